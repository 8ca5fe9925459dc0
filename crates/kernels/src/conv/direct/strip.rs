//! The input of a strip of output rows: read in place, or copied once with its padding and its columns in order.

use super::nest::ConvStage;
use super::tile::{RowLayout, Taps};
use crate::nest::{AXES, Cell};
use crate::{Conv2d, Isa, MAX_LANES, Pads, SimdOp};

/// How a problem's input is read by tiles: a function of the problem and of the lanes of its layout.
pub(super) struct Input {
    p: Conv2d,
    /// Elements of a pixel: the lanes of the blocked layout, or 1 for a planar one.
    pub(super) lanes: usize,
    /// Channel vectors (planes, where planar) of one group, and of all.
    group_blocks: usize,
    blocks: usize,
    /// True where strips are copied to scratch.
    pub(super) copied: bool,
    /// True where the output pixels of a strip are one long row, as nothing tells its rows apart.
    pub(super) flat: bool,
    /// Pixels from one plane of the input to the next.
    plane: usize,
    row: RowLayout,
    pub(super) taps: Taps,
    /// Stored rows from one output row to the next.
    row_step: usize,
}

/// Where tiles find the taps of an output pixel.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Strip {
    /// The first tap of the first output pixel in the first input channel.
    pub(in crate::conv) at: usize,
    /// Row, pixel and input channel of the group that stand there.
    pub(in crate::conv) first: [usize; 3],
    /// From one vector of channels to the next.
    pub(in crate::conv) block_pitch: usize,
    /// From one output row to the next.
    pub(in crate::conv) row_pitch: usize,
}

impl Strip {
    /// The first tap of a row, pixel and input channel of the group, for pixels of `lanes` elements.
    pub(super) fn place(&self, [row, pixel, channel]: [usize; 3], lanes: usize) -> usize {
        let [first_row, first_pixel, first_channel] = self.first;
        self.at
            + (row - first_row) * self.row_pitch
            + (pixel - first_pixel) * lanes
            + (channel - first_channel) / lanes * self.block_pitch
    }
}

impl Input {
    pub(super) fn new(p: &Conv2d, lanes: usize) -> Self {
        let pointwise = is_pointwise(p);
        let copied = p.pads != Pads::default() || p.stride[1] != 1;
        let row = if copied {
            RowLayout::copied(p, lanes)
        } else {
            RowLayout { pitch: p.iw * lanes, phases: 1, phase_pitch: p.iw * lanes, lanes }
        };
        // Copied rows of a kernel one row high stand next to each other, without those in between.
        let row_step = if copied && p.kh == 1 { 1 } else { p.stride[0] };
        Input {
            p: *p,
            lanes,
            group_blocks: (p.ic / p.groups).div_ceil(lanes),
            blocks: p.ic.div_ceil(lanes),
            copied,
            flat: pointwise && (copied || p.stride[0] == 1),
            taps: Taps::new([p.kh, p.kw], p.dilation, &row),
            plane: p.ih * p.iw,
            row,
            row_step,
        }
    }

    /// The same with planes that begin `plane` pixels apart.
    pub(super) fn in_planes(self, plane: usize) -> Self {
        Input { plane, ..self }
    }

    /// Stored rows that so many output rows read.
    fn rows(&self, out: usize) -> usize {
        (out - 1) * self.row_step + self.p.reach()[0]
    }

    /// Length of a copy of what a strip of `out` output rows reads; 0 where it is read in place.
    pub(super) fn strip_len(&self, out: usize) -> usize {
        if self.copied { self.group_blocks * self.rows(out) * self.row.pitch } else { 0 }
    }

    /// Length of the copy for a part of each axis.
    pub(super) fn copy_len(&self, extents: [usize; AXES]) -> usize {
        let [rows, pixels] = [ConvStage::Row, ConvStage::Pixel].map(|axis| extents[axis as usize]);
        let out = if self.flat { pixels.div_ceil(self.p.ow()) } else { rows };
        extents[ConvStage::Ic as usize].div_ceil(self.lanes) * self.rows(out) * self.row.pitch
    }

    /// Where the first channel of a group of image `n` begins.
    fn first(&self, (n, group): (usize, usize)) -> usize {
        (n * self.blocks + group * self.group_blocks) * self.plane * self.lanes
    }

    /// The input where it stands.
    pub(super) fn in_place(&self, image: (usize, usize)) -> Strip {
        let block_pitch = self.plane * self.lanes;
        Strip { at: self.first(image), first: [0; 3], block_pitch, row_pitch: self.row_step * self.row.pitch }
    }

    /// Copies what the output rows of a cell read of its input channels.
    pub(super) fn copy<I: Isa>(
        &self,
        isa: I,
        x: &[f32],
        image: (usize, usize),
        cell: &Cell,
        scratch: &mut [f32],
    ) -> Strip {
        let p = &self.p;
        let [ic, row, pixel] = [ConvStage::Ic, ConvStage::Row, ConvStage::Pixel].map(|axis| &cell[axis as usize]);
        let out = if self.flat { pixel.start / p.ow()..pixel.end.div_ceil(p.ow()) } else { row.clone() };
        let plane = self.plane * self.lanes;
        let from = self.first(image) + ic.start / self.lanes * plane;
        let block_pitch = self.rows(out.len()) * self.row.pitch;
        // The step between stored rows in the input: 1, or the stride where only the rows that are read are stored.
        let in_step = p.stride[0] / self.row_step;
        let channels = scratch.chunks_exact_mut(block_pitch).take(ic.len().div_ceil(self.lanes));
        for (to, from) in channels.zip(x[from..].chunks(plane)) {
            for (j, to) in to.chunks_exact_mut(self.row.pitch).enumerate() {
                let padded = out.start * p.stride[0] + j * in_step;
                match padded.checked_sub(p.pads.top).filter(|&iy| iy < p.ih) {
                    Some(iy) => copy_row(isa, p, &self.row, &from[iy * p.iw * self.lanes..][..p.iw * self.lanes], to),
                    None => to.fill(0.0),
                }
            }
        }
        let row_pitch = self.row_step * self.row.pitch;
        let first = [row.start, if self.flat { out.start * p.ow() } else { 0 }, ic.start];
        Strip { at: 0, first, block_pitch, row_pitch }
    }
}

/// One planar row as tiles read it that has been copied: padded, its columns in order.
pub(in crate::conv) struct Line {
    p: Conv2d,
    row: RowLayout,
    /// The taps of one kernel row.
    pub(in crate::conv) taps: Taps,
}

impl Line {
    pub(in crate::conv) fn new(p: &Conv2d) -> Self {
        let row = RowLayout::copied(p, 1);
        Line { p: *p, row, taps: Taps::new([1, p.kw], p.dilation, &row) }
    }

    /// Its length.
    pub(in crate::conv) fn pitch(&self) -> usize {
        self.row.pitch
    }

    /// Copies a row of the image.
    pub(in crate::conv) fn copy<I: Isa>(&self, isa: I, from: &[f32], to: &mut [f32]) {
        copy_row(isa, &self.p, &self.row, from, to);
    }
}

/// Copies a row to a layout of rows that are copied, with its padding, phase after phase.
fn copy_row<I: Isa>(isa: I, p: &Conv2d, row: &RowLayout, from: &[f32], to: &mut [f32]) {
    let step = p.stride[1];
    for (phase, to) in to.chunks_exact_mut(row.phase_pitch).enumerate() {
        let columns = to.len() / row.lanes;
        // Stored column i is column i * step + phase - left of the image.
        let begin = p.pads.left.saturating_sub(phase).div_ceil(step).min(columns);
        let end = (p.iw + p.pads.left).saturating_sub(phase).div_ceil(step).clamp(begin, columns);
        let (before, rest) = to.split_at_mut(begin * row.lanes);
        let (inside, after) = rest.split_at_mut((end - begin) * row.lanes);
        before.fill(0.0);
        after.fill(0.0);
        if inside.is_empty() {
            continue;
        }
        let from = &from[(begin * step + phase - p.pads.left) * row.lanes..];
        if step == 1 {
            inside.copy_from_slice(&from[..inside.len()]);
        } else {
            isa.dispatch(Gather { to: inside, from, step, planar: row.lanes == 1 });
        }
    }
}

/// Copies each `step`th pixel to neighbouring ones: at least one, vectors or, where planar, single elements.
struct Gather<'a> {
    to: &'a mut [f32],
    from: &'a [f32],
    step: usize,
    planar: bool,
}

impl SimdOp for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        match (self.planar, self.step) {
            (false, step) => {
                for (to, from) in self.to.chunks_exact_mut(I::LANES).zip(self.from.chunks(step * I::LANES)) {
                    isa.store(to, isa.load(from));
                }
            }
            (true, 2) => pick::<I, 2>(isa, self.to, self.from),
            (true, 3) => pick::<I, 3>(isa, self.to, self.from),
            (true, 4) => pick::<I, 4>(isa, self.to, self.from),
            (true, step) => self.to.iter_mut().zip(self.from.iter().step_by(step)).for_each(|(to, from)| *to = *from),
        }
    }
}

/// Copies each `STEP`th element: of that many vectors in turn, each brings the lanes that are its own.
#[inline(always)]
fn pick<I: Isa, const STEP: usize>(isa: I, to: &mut [f32], from: &[f32]) {
    let order = isa.order(std::array::from_fn(|lane| (lane * STEP % I::LANES) as u32));
    let source: [f32; MAX_LANES] = std::array::from_fn(|lane| (lane * STEP / I::LANES) as f32);
    let own: [I::M; STEP] = std::array::from_fn(|v| isa.eq(isa.load(&source), isa.splat(v as f32)));
    let gather = |load: &dyn Fn(usize) -> I::F| -> I::F {
        (1..STEP).fold(isa.permute(load(0), order), |lanes, v| isa.select(own[v], isa.permute(load(v), order), lanes))
    };
    let mut rest = from;
    for to in to.chunks_mut(I::LANES) {
        match rest.split_at_checked(STEP * I::LANES) {
            Some((here, after)) if to.len() == I::LANES => {
                isa.store(to, gather(&|v| isa.load(&here[v * I::LANES..])));
                rest = after;
            }
            _ => {
                isa.store_part(to, gather(&|v| isa.load_part(rest.get(v * I::LANES..).unwrap_or_default())));
                rest = rest.get(STEP * I::LANES..).unwrap_or_default();
            }
        }
    }
}

/// True for a kernel of one tap without padding, at any stride.
pub(in crate::conv) fn is_pointwise(p: &Conv2d) -> bool {
    p.kh * p.kw == 1 && p.pads == Pads::default()
}
