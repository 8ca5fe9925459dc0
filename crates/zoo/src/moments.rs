//! Expected mean and variance of activations, by which seeded weights are scaled.
//!
//! The rules are those of independent normal numbers: rough, but what they miss in one layer the next one does not
//! amplify. A test runs every network and looks at the range of its activations.

use tilewise_tensor::Unary;

/// Mean and variance over the elements of a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Moments {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

impl Moments {
    /// What a normalized image, and the output of a layer whose weights were scaled, look like.
    pub(crate) const NORMAL: Moments = Moments { mean: 0.0, variance: 1.0 };

    /// Mean of the squares.
    pub(crate) fn square(self) -> f64 {
        self.mean * self.mean + self.variance
    }

    /// After a function of one number: its moments over the normal distribution, by the trapezoidal rule.
    pub(crate) fn map(self, function: Unary) -> Moments {
        const STEPS: i32 = 200;
        const REACH: f64 = 6.0;
        let (mut total, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for i in -STEPS..=STEPS {
            let z = REACH * f64::from(i) / f64::from(STEPS);
            let (weight, y) = ((-z * z / 2.0).exp(), function.at(self.mean + self.variance.sqrt() * z));
            total += weight;
            sum += weight * y;
            squares += weight * y * y;
        }
        let mean = sum / total;
        Moments { mean, variance: squares / total - mean * mean }
    }

    /// Of a sum of two values.
    pub(crate) fn plus(self, other: Moments) -> Moments {
        Moments { mean: self.mean + other.mean, variance: self.variance + other.variance }
    }

    /// Of a product of two values.
    pub(crate) fn times(self, other: Moments) -> Moments {
        let mean = self.mean * other.mean;
        Moments { mean, variance: self.square() * other.square() - mean * mean }
    }

    /// Of values side by side, each with its number of elements.
    pub(crate) fn mixed(parts: &[(usize, Moments)]) -> Moments {
        let total: usize = parts.iter().map(|(count, _)| count).sum();
        let over = |f: fn(Moments) -> f64| {
            parts.iter().map(|&(count, m)| count as f64 * f(m)).sum::<f64>() / total.max(1) as f64
        };
        let mean = over(|m| m.mean);
        Moments { mean, variance: over(Moments::square) - mean * mean }
    }

    /// Of means of neighbours. Neighbours are alike, and channels differ from each other: about half of the variance
    /// stays, whatever the window.
    pub(crate) fn averaged(self) -> Moments {
        Moments { mean: self.mean, variance: 0.5 * self.variance }
    }

    /// Of the largest of some neighbours. Of nine independent normal numbers it is 1.5 deviations above the mean, with
    /// a third of the variance; neighbours are alike, which takes about half of either effect back.
    pub(crate) fn largest(self) -> Moments {
        Moments { mean: self.mean + 0.75 * self.variance.sqrt(), variance: 0.65 * self.variance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_after_relu_are_those_of_the_half_normal_distribution() {
        let m = Moments::NORMAL.map(Unary::Relu);
        let mean = 1.0 / (2.0 * std::f64::consts::PI).sqrt();
        assert!((m.mean - mean).abs() < 1e-3 && (m.square() - 0.5).abs() < 1e-3, "{m:?}");
    }

    #[test]
    fn values_side_by_side_keep_their_squares() {
        let (a, b) = (Moments { mean: 1.0, variance: 2.0 }, Moments { mean: -1.0, variance: 0.5 });
        let mixed = Moments::mixed(&[(3, a), (1, b)]);
        assert!((mixed.square() - (3.0 * a.square() + b.square()) / 4.0).abs() < 1e-12);
    }
}
