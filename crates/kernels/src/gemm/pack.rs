//! Packing: a panel stands in the order in which a tile reads it.

use std::ops::Range;

use super::Strides;
use super::tile::{Tile, panel_width};
use crate::{Isa, SimdOp};

/// Panel `i` of `rows` rows in panels of at most `mr`: all but equally high, so that no panel is a sliver.
///
/// Packed matrices hold panel after panel over the whole depth, column by column: panel `i` begins at
/// `panel_rows(..).start * k` and holds nothing but its rows.
pub(crate) fn panel_rows(rows: usize, mr: usize, i: usize) -> Range<usize> {
    let panels = rows.div_ceil(mr);
    i * rows / panels..(i + 1) * rows / panels
}

/// Packs a whole left operand of `[m, k]` panel after panel; `to` holds `m * k` values.
pub(crate) fn pack_lhs<T: Tile>(isa: T::I, [m, k]: [usize; 2], from: &[f32], strides: Strides, to: &mut [f32]) {
    if m * k == 0 {
        return;
    }
    for i in 0..m.div_ceil(T::MR) {
        let rows = panel_rows(m, T::MR, i);
        let to = &mut to[rows.start * k..rows.end * k];
        let from = &from[rows.start * strides.row..];
        isa.dispatch(PackPanel { from, strides, lanes: rows.len(), width: rows.len(), to });
    }
}

/// Packs the columns `js` of a right operand over the depth `ks`, whole vectors a step.
pub(crate) fn pack_columns<T: Tile>(
    isa: T::I,
    from: &[f32],
    strides: Strides,
    ks: Range<usize>,
    js: Range<usize>,
    to: &mut [f32],
) {
    if to.is_empty() {
        return;
    }
    let from = &from[ks.start * strides.row + js.start * strides.col..];
    let strides = Strides { row: strides.col, col: strides.row };
    isa.dispatch(PackPanel { from, strides, lanes: js.len(), width: panel_width::<T>(js.len()), to });
}

/// Writes `depth` steps of `lanes` values each, filled up with zeros to `width` values a step.
///
/// Value (step p, lane j) is read at `j * strides.row + p * strides.col` of `from`: the rows of A, the columns of B
/// (with its strides exchanged).
pub(crate) struct PackPanel<'a> {
    pub from: &'a [f32],
    pub strides: Strides,
    pub lanes: usize,
    pub width: usize,
    pub to: &'a mut [f32],
}

impl SimdOp for PackPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let PackPanel { from, strides, lanes, width, to } = self;
        if strides.row == 1 {
            for (p, step) in to.chunks_exact_mut(width).enumerate() {
                copy(isa, &from[p * strides.col..][..lanes], &mut step[..lanes]);
            }
        } else if strides.col == 1 {
            for j in (0..lanes).step_by(4) {
                let (from, to) = (&from[j * strides.row..], &mut to[j..]);
                match lanes - j {
                    1 => transpose::<1>(from, strides.row, width, to),
                    2 => transpose::<2>(from, strides.row, width, to),
                    3 => transpose::<3>(from, strides.row, width, to),
                    _ => transpose::<4>(from, strides.row, width, to),
                }
            }
        } else {
            for (p, step) in to.chunks_exact_mut(width).enumerate() {
                step[..lanes].iter_mut().enumerate().for_each(|(j, to)| *to = from[j * strides.row + p * strides.col]);
            }
        }
        if lanes < width {
            to.chunks_exact_mut(width).for_each(|step| step[lanes..].fill(0.0));
        }
    }
}

/// Steps that [`transpose`] takes at a time.
const STEPS: usize = 4;

/// Writes `N` dense rows of `from`, `pitch` apart, as lanes of the steps of `to`, `width` apart. Four steps at a time
/// compile to shuffles and whole stores.
#[inline(always)]
fn transpose<const N: usize>(from: &[f32], pitch: usize, width: usize, to: &mut [f32]) {
    let steps = to.len().div_ceil(width);
    let rows: [&[f32]; N] = std::array::from_fn(|j| &from[j * pitch..][..steps]);
    let lanes = |p: usize| -> [f32; N] { std::array::from_fn(|j| rows[j][p]) };
    let whole = steps / STEPS * STEPS;
    let (main, rest) = to.split_at_mut((whole * width).min(to.len()));
    for (to, p) in main.chunks_mut(STEPS * width).zip((0..whole).step_by(STEPS)) {
        let square: [[f32; N]; STEPS] = std::array::from_fn(|l| lanes(p + l));
        for (l, lanes) in square.iter().enumerate() {
            to[l * width..][..N].copy_from_slice(lanes);
        }
    }
    for (to, p) in rest.chunks_mut(width).zip(whole..) {
        to[..N].copy_from_slice(&lanes(p));
    }
}

/// Copies by vectors: a call of the library's `memcpy` costs more than the few vectors of a step.
#[inline(always)]
pub(crate) fn copy<I: Isa>(isa: I, from: &[f32], to: &mut [f32]) {
    for (from, to) in from.chunks(I::LANES).zip(to.chunks_mut(I::LANES)) {
        if to.len() == I::LANES {
            isa.store(to, isa.load(from));
        } else {
            isa.store_part(to, isa.load_part(from));
        }
    }
}
