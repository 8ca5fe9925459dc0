//! Transformed weights, in f64 and for a vector of output channels at a time.

use std::marker::PhantomData;

use super::Transform;
use crate::{Conv2d, Isa, MAX_LANES, SimdOp};

/// Taps of the largest kernel, 11 x 11.
pub(in crate::conv) const MOST_TAPS: usize = 121;

/// The filters of one input channel for a vector of output channels, and where their values go.
pub(in crate::conv) struct Filter<'a> {
    /// Taps, row after row, of a lane each.
    pub(in crate::conv) taps: &'a [[f64; MAX_LANES]],
    to: &'a mut [f32],
    /// From one value to the next.
    step: usize,
}

impl Filter<'_> {
    /// Rounds the lanes of a value and stores them.
    #[inline(always)]
    pub(in crate::conv) fn store<I: Isa>(&mut self, value: usize, values: &[f64; MAX_LANES]) {
        let to = &mut self.to[value * self.step..][..I::LANES];
        to.iter_mut().zip(values).for_each(|(to, value)| *to = *value as f32);
    }
}

/// sum += factor * values
#[inline(always)]
pub(in crate::conv) fn add_scaled<I: Isa>(sum: &mut [f64; MAX_LANES], factor: f64, values: &[f64; MAX_LANES]) {
    for lane in 0..I::LANES {
        sum[lane] += factor * values[lane];
    }
}

/// Transforms `[oc][ic / groups][kh][kw]` and packs it in the order in which tiles read: for each block of `width`
/// output channels (the last of a group may have fewer vectors), values of the filter, input channels, output channels.
pub(super) fn pack<I: Isa, T: Transform>(p: &Conv2d, w: &[f32], packed: &mut [f32], width: usize) {
    let (isa, taps, factors) = (I::require(), p.kh * p.kw, T::factors([p.kh, p.kw]));
    let (icg, ocg) = (p.ic / p.groups, p.oc / p.groups);
    let mut rest = packed;
    for (group, first) in (0..p.groups).flat_map(|g| (0..ocg).step_by(width).map(move |first| (g, first))) {
        let padded = width.min((ocg - first).next_multiple_of(I::LANES));
        let (block, after) = rest.split_at_mut(T::FILTERS * icg * padded);
        rest = after;
        for (ic, lane) in (0..icg).flat_map(|ic| (0..padded).step_by(I::LANES).map(move |lane| (ic, lane))) {
            let filters = FilterVector::<T> {
                from: &w[((group * ocg + first + lane) * icg + ic) * taps..],
                pitch: icg * taps,
                filters: I::LANES.min(ocg - first - lane),
                taps,
                factors: &factors,
                to: &mut block[ic * padded + lane..],
                step: icg * padded,
                transform: PhantomData,
            };
            isa.dispatch(filters);
        }
    }
}

/// The filters of one input channel for a vector of output channels.
struct FilterVector<'a, T: Transform> {
    /// Filters, `pitch` apart.
    from: &'a [f32],
    pitch: usize,
    /// How many there are; the lanes after them become zero.
    filters: usize,
    taps: usize,
    factors: &'a T::Factors,
    /// Values, `step` apart.
    to: &'a mut [f32],
    step: usize,
    transform: PhantomData<T>,
}

impl<T: Transform> SimdOp for FilterVector<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let mut taps = [[0f64; MAX_LANES]; MOST_TAPS];
        for (lane, from) in self.from.chunks(self.pitch).take(self.filters).enumerate() {
            for (taps, &value) in taps.iter_mut().zip(&from[..self.taps]) {
                taps[lane] = f64::from(value);
            }
        }
        T::filter(isa, self.factors, Filter { taps: &taps[..self.taps], to: self.to, step: self.step });
    }
}
