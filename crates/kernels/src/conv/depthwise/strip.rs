//! Output rows of one channel vector, cut into columns of tiles.

use std::ops::Range;

use super::sweep::{Sweep, Sweeps, WIDEST};
use crate::conv::epilogue::Finish;
use crate::{Conv2d, Isa};

/// Rows that a column of tiles goes down before the next one to the right: enough to pay for its beginning, and so few
/// that what the next one reads again (a band of kernel columns, some ten KiB) is still in L1.
const BAND: usize = 14;

/// Output rows of a channel vector.
pub(in crate::conv) struct Strip<'a> {
    pub(in crate::conv) p: &'a Conv2d,
    /// Input plane of the channel vector.
    pub(in crate::conv) x: &'a [f32],
    /// Its weights: kernel rows, kernel columns, lanes.
    pub(in crate::conv) w: &'a [f32],
    /// Output rows, of 0 to the output's height.
    pub(in crate::conv) rows: Range<usize>,
    /// Where they are stored.
    pub(in crate::conv) out: &'a mut [f32],
    /// Where they stand in the whole output.
    pub(in crate::conv) y_at: usize,
    /// First channel.
    pub(in crate::conv) channel: usize,
    pub(in crate::conv) finish: &'a Finish<'a>,
}

impl Strip<'_> {
    pub(in crate::conv) fn compute<I: Isa>(self, isa: I, sweeps: &Sweeps<I>) {
        let Strip { p, x, w, rows, out, y_at, channel, finish } = self;
        let ow = p.ow();
        let tiles = ow.div_ceil(WIDEST);
        // Tiles of almost the same width: a narrow rest would leave the multiply-adds waiting for each other.
        let (width, wider) = (ow / tiles, ow % tiles);
        for band in rows.clone().step_by(BAND) {
            let at = (band - rows.start) * ow * I::LANES;
            let band = band..rows.end.min(band + BAND);
            let mut column = 0;
            for tile in 0..tiles {
                let width = width + usize::from(tile < wider);
                let sweep = Sweep {
                    p,
                    x,
                    w,
                    rows: band.clone(),
                    column,
                    out: &mut out[at..],
                    y_at: y_at + at,
                    channel,
                    finish,
                };
                sweeps[width - 1](isa, sweep);
                column += width;
            }
        }
    }
}
