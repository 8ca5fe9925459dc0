//! Interpolation along one axis: which places a point between places is made of, and by what weights.

use crate::attr::attr_enum;

attr_enum! {
    /// How a value between places follows from its neighbours.
    Interpolation {
        /// The nearest one.
        Nearest = "nearest",
        /// The two neighbours, by their distance.
        Linear = "linear",
        /// Four neighbours by Keys' cubic kernel (R. Keys, Cubic convolution interpolation, 1981).
        Cubic = "cubic",
    }
}

/// Keys' parameter `a` that image libraries use.
pub(crate) const CUBIC_A: f32 = -0.75;

impl Interpolation {
    /// The places that point `x` is made of, with weights that sum to 1; places may lie outside of the axis.
    /// `squeeze` up to 1 widens the kernel by its inverse, as antialiasing does where an axis gets shorter; `a` is
    /// the parameter of the cubic kernel. `Nearest` rounds ties to even.
    pub(crate) fn taps(self, x: f64, squeeze: f64, a: f64) -> Vec<(i64, f64)> {
        let radius = match self {
            Interpolation::Nearest => return vec![(x.round_ties_even() as i64, 1.0)],
            Interpolation::Linear => 1.0,
            Interpolation::Cubic => 2.0,
        };
        let base = x.floor();
        let first = (-radius / squeeze).floor() as i64 + 1;
        let weight = |i: i64| self.kernel(((i as f64) - (x - base)).abs() * squeeze, a);
        let taps: Vec<(i64, f64)> = (first..=1 - first).map(|i| (i.saturating_add(base as i64), weight(i))).collect();
        let sum: f64 = taps.iter().map(|(_, w)| w).sum();
        taps.into_iter().filter(|(_, w)| *w != 0.0).map(|(i, w)| (i, w / sum)).collect()
    }

    /// The kernel at a distance from its centre.
    fn kernel(self, t: f64, a: f64) -> f64 {
        match self {
            Interpolation::Nearest => f64::from(t <= 0.5),
            Interpolation::Linear => (1.0 - t).max(0.0),
            Interpolation::Cubic if t <= 1.0 => ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0,
            Interpolation::Cubic if t < 2.0 => ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a,
            Interpolation::Cubic => 0.0,
        }
    }
}
