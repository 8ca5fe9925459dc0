//! How far two arrays are apart.

/// The distance between two arrays, as `compare` and the tests report it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Largest absolute difference; infinite where one side is NaN or where infinities differ.
    pub max_abs: f64,
    /// Largest absolute difference over the largest magnitude of the expected values (0 when both are all zero).
    pub max_rel: f64,
    /// Elements outside `atol + rtol * |expected|`.
    pub outside: usize,
}

/// Compares `actual` with `expected` element by element. Two NaN at the same place are equal.
///
/// Arrays of different lengths have every element outside.
pub fn difference(actual: &[f32], expected: &[f32], atol: f64, rtol: f64) -> Difference {
    if actual.len() != expected.len() {
        return Difference {
            max_abs: f64::INFINITY,
            max_rel: f64::INFINITY,
            outside: actual.len().max(expected.len()),
        };
    }
    let (mut max_abs, mut range, mut outside) = (0f64, 0f64, 0);
    for (&a, &e) in actual.iter().zip(expected) {
        let (a, e) = (f64::from(a), f64::from(e));
        if a == e || (a.is_nan() && e.is_nan()) {
            range = range.max(if e.is_finite() { e.abs() } else { 0.0 });
            continue;
        }
        let gap = (a - e).abs();
        let gap = if gap.is_nan() { f64::INFINITY } else { gap };
        max_abs = max_abs.max(gap);
        range = range.max(if e.is_finite() { e.abs() } else { 0.0 });
        // An infinite expectation would make the tolerance infinite as well.
        outside += usize::from(gap == f64::INFINITY || gap > atol + rtol * e.abs());
    }
    let max_rel = if max_abs == 0.0 { 0.0 } else { max_abs / range };
    Difference { max_abs, max_rel, outside }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_a_number_is_never_close_to_a_number() {
        assert_eq!(difference(&[f32::NAN], &[1.0], 1.0, 1.0).outside, 1);
        assert_eq!(difference(&[f32::NAN], &[f32::NAN], 0.0, 0.0).outside, 0);
        assert_eq!(difference(&[f32::INFINITY], &[f32::NEG_INFINITY], 0.0, 0.0).outside, 1);
        assert_eq!(difference(&[1.0, 2.0], &[1.0], 1.0, 1.0).outside, 2);
    }

    #[test]
    fn relative_difference_is_over_the_range() {
        let d = difference(&[1.0, 10.1], &[1.0, 10.0], 0.0, 0.02);
        assert!((d.max_rel - 0.01).abs() < 1e-6 && d.outside == 0);
    }
}
