//! How well one list of numbers tells another.

/// The value below which a share of the values lies; NaN where there are none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Pearson's correlation; NaN where one side does not vary.
fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let product =
        |a: &[f64], ma: f64, b: &[f64], mb: f64| a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>();
    product(x, mx, y, my) / (product(x, mx, x, mx) * product(y, my, y, my)).sqrt()
}

/// Pearson's correlation of logarithms.
fn pearson_of_logs(x: &[f64], y: &[f64]) -> f64 {
    let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
    pearson(&logs(x), &logs(y))
}

/// Spearman's correlation: Pearson's of ranks, equal values sharing theirs.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&ranks(x), &ranks(y))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let (below, equal) = values.iter().fold((0usize, 0usize), |(below, equal), other| {
            (below + usize::from(other < value), equal + usize::from(other == value))
        });
        below as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

/// How well one list of positive numbers tells another.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Pearson's correlation, which the largest decide.
    pub pearson: f64,
    /// Pearson's correlation of logarithms.
    pub pearson_log: f64,
    /// Spearman's correlation.
    pub spearman: f64,
    /// The median of the relative errors.
    pub median: f64,
    /// The relative error below which nine of ten lie.
    pub p90: f64,
}

/// How well `x` tells `y`: by itself where it has the same unit, else at the rate that the median of `y / x` has.
pub fn told(x: &[f64], y: &[f64], same_unit: bool) -> Told {
    let rates: Vec<f64> = x.iter().zip(y).map(|(x, y)| y / x).collect();
    let rate = if same_unit { 1.0 } else { quantile(&rates, 0.5) };
    let errors: Vec<f64> = rates.iter().map(|own| (rate / own - 1.0).abs()).collect();
    Told {
        pearson: pearson(x, y),
        pearson_log: pearson_of_logs(x, y),
        spearman: spearman(x, y),
        median: quantile(&errors, 0.5),
        p90: quantile(&errors, 0.9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_those_of_the_definitions() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), 1.0));
        assert!(close(pearson(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]), 0.8));
        assert!(close(spearman(&[1.0, 10.0, 100.0], &[-1.0, -2.0, -9.0]), -1.0));
        assert!(close(pearson_of_logs(&[1.0, 10.0, 100.0], &[1.0, 100.0, 10_000.0]), 1.0));
        assert_eq!(ranks(&[5.0, 1.0, 5.0]), [2.5, 1.0, 2.5]);
        assert!(pearson(&[1.0, 1.0], &[1.0, 2.0]).is_nan());
    }

    #[test]
    fn errors_are_those_at_the_median_rate() {
        let (x, y) = ([1.0, 2.0, 3.0], [10.0, 20.0, 60.0]);
        let at_rate = told(&x, &y, false);
        assert_eq!((at_rate.median, at_rate.p90), (0.0, 0.5));
        let by_itself = told(&x, &y, true);
        assert!((by_itself.median - 0.9).abs() < 1e-12 && (by_itself.p90 - 0.95).abs() < 1e-12, "{by_itself:?}");
        assert_eq!(by_itself.spearman, 1.0);
    }

    #[test]
    fn quantiles_are_values_of_the_list() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.9), 3.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
