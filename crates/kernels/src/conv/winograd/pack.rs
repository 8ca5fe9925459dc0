//! Transformed weights, in f64 and for a vector of output channels at a time.

use super::minimal::filter;
use crate::{Conv2d, Isa, MAX_LANES, SimdOp};

/// The largest n and the largest r.
const MOST: [usize; 2] = [8, 5];

/// Transforms `[oc][ic / groups][r][r]` and packs it in the order in which tiles read: for each block of `width` output
/// channels (the last of a group may have fewer vectors), positions, input channels, output channels.
pub(super) fn pack<I: Isa>(p: &Conv2d, w: &[f32], packed: &mut [f32], points: &[f64], width: usize) {
    let (isa, n, r) = (I::require(), points.len() + 1, p.kh);
    let (icg, ocg) = (p.ic / p.groups, p.oc / p.groups);
    let mut factors = [[0.0; MOST[0]]; MOST[1]];
    for (tap, factors) in factors.iter_mut().enumerate().take(r) {
        let mut unit = [0.0; MOST[1]];
        unit[tap] = 1.0;
        filter(points, &unit[..r], &mut factors[..n]);
    }
    let mut rest = packed;
    for (group, first) in (0..p.groups).flat_map(|g| (0..ocg).step_by(width).map(move |first| (g, first))) {
        let padded = width.min((ocg - first).next_multiple_of(I::LANES));
        let (block, after) = rest.split_at_mut(n * n * icg * padded);
        rest = after;
        for (ic, lane) in (0..icg).flat_map(|ic| (0..padded).step_by(I::LANES).map(move |lane| (ic, lane))) {
            let filters = FilterVector {
                from: &w[((group * ocg + first + lane) * icg + ic) * r * r..],
                pitch: icg * r * r,
                filters: I::LANES.min(ocg - first - lane),
                factors: &factors,
                size: [n, r],
                to: &mut block[ic * padded + lane..],
                step: icg * padded,
            };
            isa.dispatch(filters);
        }
    }
}

/// The filters of one input channel for a vector of output channels.
struct FilterVector<'a> {
    /// Filters, `pitch` apart.
    from: &'a [f32],
    pitch: usize,
    /// How many there are; the lanes after them become zero.
    filters: usize,
    /// What tap `a` gives to value `i` along one axis: `factors[a][i]`.
    factors: &'a [[f64; MOST[0]]; MOST[1]],
    /// n and r.
    size: [usize; 2],
    /// Positions, `step` apart.
    to: &'a mut [f32],
    step: usize,
}

impl SimdOp for FilterVector<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, _: I) {
        let [n, r] = self.size;
        let mut taps = [[[0f64; MAX_LANES]; MOST[1]]; MOST[1]];
        for (lane, from) in self.from.chunks(self.pitch).take(self.filters).enumerate() {
            for (tap, &value) in from[..r * r].iter().enumerate() {
                taps[tap / r][tap % r][lane] = f64::from(value);
            }
        }
        for i in 0..n {
            let mut row = [[0f64; MAX_LANES]; MOST[1]];
            for (b, row) in row.iter_mut().enumerate().take(r) {
                for (a, taps) in taps.iter().enumerate().take(r) {
                    add_scaled::<I>(row, self.factors[a][i], &taps[b]);
                }
            }
            for j in 0..n {
                let mut value = [0f64; MAX_LANES];
                for (b, row) in row.iter().enumerate().take(r) {
                    add_scaled::<I>(&mut value, self.factors[b][j], row);
                }
                let to = &mut self.to[(i * n + j) * self.step..][..I::LANES];
                to.iter_mut().zip(value).for_each(|(to, value)| *to = value as f32);
            }
        }
    }
}

#[inline(always)]
fn add_scaled<I: Isa>(sum: &mut [f64; MAX_LANES], factor: f64, values: &[f64; MAX_LANES]) {
    for lane in 0..I::LANES {
        sum[lane] += factor * values[lane];
    }
}
