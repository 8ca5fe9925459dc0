//! The transform of the weights, along one axis and then along the other.

use super::minimal::Minimal;
use crate::conv::transformed::{Filter, add_scaled};
use crate::{Isa, MAX_LANES};

/// The largest n and the largest r.
const MOST: [usize; 2] = [12, 7];

/// What tap `a` gives to value `i` along one axis, `by_tap[a][i]`, for so many taps and values.
pub(super) struct Axis {
    by_tap: [[f64; MOST[0]]; MOST[1]],
    taps: usize,
    values: usize,
}

impl Axis {
    /// The axis of a kernel of `taps`.
    pub(super) fn new<T: Minimal<M, N>, const M: usize, const N: usize>(taps: usize) -> Self {
        let mut axis = Axis { by_tap: [[0.0; MOST[0]]; MOST[1]], taps, values: T::FILTERS };
        for (tap, factors) in axis.by_tap.iter_mut().enumerate().take(taps) {
            let mut unit = [0.0; MOST[1]];
            unit[tap] = 1.0;
            T::filter(&unit[..taps], &mut factors[..T::FILTERS]);
        }
        axis
    }

    /// The axis of one tap, which is left as it is.
    pub(super) fn one() -> Self {
        let mut axis = Axis { by_tap: [[0.0; MOST[0]]; MOST[1]], taps: 1, values: 1 };
        axis.by_tap[0][0] = 1.0;
        axis
    }
}

/// Transforms the filters of a vector of output channels, down and across.
#[inline(always)]
pub(super) fn transform<I: Isa>([down, across]: &[Axis; 2], mut filter: Filter<'_>) {
    for i in 0..down.values {
        let mut row = [[0f64; MAX_LANES]; MOST[1]];
        for (tap, taps) in filter.taps.iter().enumerate() {
            add_scaled::<I>(&mut row[tap % across.taps], down.by_tap[tap / across.taps][i], taps);
        }
        for j in 0..across.values {
            let mut value = [0f64; MAX_LANES];
            for (row, factors) in row.iter().zip(&across.by_tap).take(across.taps) {
                add_scaled::<I>(&mut value, factors[j], row);
            }
            filter.store::<I>(i * across.values + j, &value);
        }
    }
}
