//! The loops above the register tile of a direct convolution.

use super::strip::Input;
use crate::Conv2d;
use crate::conv::ConvBlocks;
use crate::nest::{Kind, Nest, Stage};

/// What the nest of a direct convolution is made of: four of its seven loops. Images and groups are outside of all and
/// shared out to threads, as strips of rows and parts of the output channels are; kernel rows and columns are the tile's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConvStage {
    /// Output channels, as many as a register tile has.
    Oc,
    /// Input channels of a pass: `ic` of them.
    Ic,
    /// Output rows.
    Row,
    /// Pixels of a row, as many as a register tile has; of the whole strip where nothing tells its rows apart.
    Pixel,
    /// Copies the input of the rows and channels that are inside, where tiles do not read it in place.
    PackX,
}

use ConvStage::{Ic, Oc, PackX, Pixel, Row};

impl Stage for ConvStage {
    const DEFAULT: &'static [Self] = &[PackX, Oc, Ic, Row, Pixel];
    const LINES: &'static [Self] = &[Pixel];

    fn name(self) -> &'static str {
        match self {
            Oc => "oc",
            Ic => "ic",
            Row => "row",
            Pixel => "pixel",
            PackX => "pack-x",
        }
    }

    fn kind(self) -> Kind<Self> {
        match self {
            Oc => Kind::Output(Oc as usize),
            Ic => Kind::Sum(Ic as usize),
            Row => Kind::Output(Row as usize),
            Pixel => Kind::Output(Pixel as usize),
            // Rows are copied whole.
            PackX => Kind::Pack { inside: &[], outside: &[Pixel] },
        }
    }
}

/// Orders to try: weights stay while pixels pass; pixels stay while weights pass, a row of them or a tile; input
/// channels outermost, each pass copied when it is taken up.
pub static ORDERS: [&[ConvStage]; 4] =
    [&[Oc, Ic, Row, Pixel], &[Row, Oc, Ic, Pixel], &[Pixel, Row, Oc, Ic], &[Ic, PackX, Oc, Row, Pixel]];

/// The nest of each image and group, for tiles of `pixels` pixels by `width` output channels.
pub(super) fn nest(p: &Conv2d, blocks: &ConvBlocks, input: &Input, [pixels, width]: [usize; 2]) -> Nest<ConvStage> {
    let (icg, ocg, rows) = (p.ic / p.groups, p.oc / p.groups, blocks.rows.clamp(1, p.oh()));
    let mut extents = [0; 4];
    (extents[Oc as usize], extents[Ic as usize]) = (ocg, icg);
    let strip = if input.flat { (Pixel, rows * p.ow()) } else { (Row, rows) };
    let [height, line] = if input.flat { [1, p.oh() * p.ow()] } else { [p.oh(), p.ow()] };
    (extents[Row as usize], extents[Pixel as usize]) = (height, line);
    let shared = [strip, (Oc, blocks.oc.clamp(1, ocg).next_multiple_of(width))];
    let passed = if input.flat { strip.1 } else { line };
    let step = |stage: ConvStage, _| match stage {
        Oc => width,
        Ic => blocks.ic.max(1).next_multiple_of(input.lanes),
        Pixel => passed.div_ceil(passed.div_ceil(pixels)),
        Row | PackX => 1,
    };
    let packed: &[ConvStage] = if input.copied { &[PackX] } else { &[] };
    Nest::new(extents, &shared, packed, &blocks.order, step)
}
