//! Normalisation of rows by their mean and variance: layer norm and instance norm.

use std::ops::Range;

use crate::catalog::KernelId;
use crate::rows::tiered;
use crate::{Ctx, Isa, Shards, SimdOp, Tier};

/// What the scales and shifts after a normalisation belong to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Affine {
    /// One for each place in a row, as in layer norm: `len` scales, and shifts or none.
    Element,
    /// One for each channel, row r being channel `r % channels`, as in instance norm.
    Row {
        /// Number of channels, and of scales.
        channels: usize,
    },
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + shift` for each row of `(outer, len)`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NormRows {
    /// Number of rows.
    pub outer: usize,
    /// Length of a row.
    pub len: usize,
    /// Added to the (population) variance.
    pub epsilon: f32,
    /// What scales and shifts belong to.
    pub affine: Affine,
}

/// What a normalisation reads and writes.
pub struct NormRowsArgs<'a> {
    /// Rows.
    pub x: &'a [f32],
    /// Factors; empty for 1.
    pub scale: &'a [f32],
    /// Offsets; empty for 0.
    pub shift: &'a [f32],
    /// Normalised rows.
    pub y: &'a mut [f32],
}

/// One row of the table of kernels for normalisation of rows.
pub struct NormRowsKernel {
    /// Name and tier.
    pub id: KernelId,
    /// Normalises. Panics when a length is not what the problem says.
    pub run: fn(&NormRows, NormRowsArgs<'_>, Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [NormRowsKernel; 3] = tiered!(NormRowsKernel, "norm-rows", "f32", F32, { run: run });

/// The kernel of a tier.
pub fn choose_rows(tier: Tier) -> &'static NormRowsKernel {
    &ROWS[tier as usize]
}

fn run<I: Isa>(p: &NormRows, args: NormRowsArgs<'_>, ctx: Ctx<'_>) {
    let NormRowsArgs { x, scale, shift, y } = args;
    let parameters = match p.affine {
        Affine::Element => p.len,
        Affine::Row { channels } => channels,
    };
    assert!(x.len() == p.outer * p.len && y.len() == x.len());
    assert!([scale, shift].iter().all(|s| s.is_empty() || s.len() == parameters));
    if y.is_empty() {
        return;
    }
    let (isa, y, rows) = (I::require(), Shards::new(y), (super::CHUNK / p.len).max(1));
    ctx.pool.run(p.outer.div_ceil(rows), &|task| {
        for row in task.index * rows..p.outer.min((task.index + 1) * rows) {
            let range = row * p.len..(row + 1) * p.len;
            // SAFETY: rows are disjoint, and each belongs to one task.
            let y = unsafe { y.range(range.clone()) };
            isa.dispatch(Row { p, row, x: &x[range], scale, shift, y });
        }
    });
}

struct Row<'a> {
    p: &'a NormRows,
    row: usize,
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    y: &'a mut [f32],
}

impl SimdOp for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Row { p, row, x, scale, shift, y } = self;
        let mean = sum::<I, false>(isa, x, 0.0) / p.len as f32;
        let variance = sum::<I, true>(isa, x, mean) / p.len as f32;
        let factor = 1.0 / (variance + p.epsilon).sqrt();
        let (mean, factor) = (isa.splat(mean), isa.splat(factor));
        for (i, (x, y)) in x.chunks(I::LANES).zip(y.chunks_mut(I::LANES)).enumerate() {
            let normal = isa.mul(isa.sub(isa.load_part(x), mean), factor);
            let scale = parameter(isa, p, scale, (row, i * I::LANES..i * I::LANES + x.len()), 1.0);
            let shift = parameter(isa, p, shift, (row, i * I::LANES..i * I::LANES + x.len()), 0.0);
            isa.store_part(y, isa.fma(normal, scale, shift));
        }
    }
}

/// Scales or shifts of places in a row: one for all, or each its own.
#[inline(always)]
fn parameter<I: Isa>(isa: I, p: &NormRows, s: &[f32], (row, places): (usize, Range<usize>), none: f32) -> I::F {
    if s.is_empty() {
        return isa.splat(none);
    }
    match p.affine {
        Affine::Element => isa.load_part(&s[places]),
        Affine::Row { channels } => isa.splat(s[row % channels]),
    }
}

/// The sum of `x`, or of the squares of `x - mean`, in four chains that are joined every 4096 elements or so.
#[inline(always)]
fn sum<I: Isa, const SQUARES: bool>(isa: I, x: &[f32], mean: f32) -> f32 {
    let (whole, rest) = x.split_at(x.len() - x.len() % (4 * I::LANES));
    let center = isa.splat(mean);
    let mut total = 0.0;
    for block in whole.chunks(256 * I::LANES) {
        let mut chains = [isa.zero(); 4];
        for x in block.chunks_exact(4 * I::LANES) {
            for (acc, x) in chains.iter_mut().zip(x.chunks_exact(I::LANES)) {
                let d = isa.sub(isa.load(x), center);
                *acc = if SQUARES { isa.fma(d, d, *acc) } else { isa.add(*acc, d) };
            }
        }
        let [a, b, c, d] = chains;
        total += isa.sum(isa.add(isa.add(a, b), isa.add(c, d)));
    }
    rest.iter().fold(total, |sum, x| sum + if SQUARES { (x - mean) * (x - mean) } else { x - mean })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::trial::{assert_close, each_tier, numbers};

    #[test]
    fn layer_and_instance_norm_equal_the_reference() {
        for (outer, len) in [(7, 768), (6, 12_345), (200, 49), (3, 1), (0, 5)] {
            for affine in [Affine::Element, Affine::Row { channels: 3 }] {
                let p = NormRows { outer, len, epsilon: 1e-5, affine };
                let x: Vec<f32> = numbers(outer * len, 6).iter().map(|x| x + 3.0).collect();
                let parameters = if affine == Affine::Element { len } else { 3 };
                let (scale, shift) = (numbers(parameters, 7), numbers(parameters, 8));
                for (scale, shift) in [(&scale[..], &shift[..]), (&scale, &[]), (&[], &[])] {
                    let want = reference::norm_rows(&p, &x, scale, shift);
                    each_tier(0, |tier, ctx| {
                        let mut y = vec![9.0; x.len()];
                        (choose_rows(tier).run)(&p, NormRowsArgs { x: &x, scale, shift, y: &mut y }, ctx);
                        assert_close(&format!("{} {p:?}", choose_rows(tier).id.name), &y, &want, 5e-6);
                    });
                }
            }
        }
    }
}
