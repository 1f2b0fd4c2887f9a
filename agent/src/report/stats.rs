//! Exact statistics of durations.
//!
//! Moments are integer sums of nanoseconds and are rounded once, at the end, to the nearest `f64`.
//! upcall_cost.py adds up decimals of 28 digits and rounds once as well, so both print the same
//! digits.

use serde::Serialize;

/// Number of values, sum and sum of squares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    count: u64,
    sum: i128,
    /// `None` when it does not fit.
    squares: Option<u128>,
}

impl Moments {
    pub(super) fn of(values: &[i64]) -> Self {
        let square = |ns: i64| u128::from(ns.unsigned_abs()).pow(2);
        Self {
            count: values.len() as u64,
            sum: values.iter().copied().map(i128::from).sum(),
            squares: values.iter().try_fold(0_u128, |sum, &ns| sum.checked_add(square(ns))),
        }
    }

    /// Arithmetic mean in units of `unit_ns` nanoseconds; 0 of no values.
    pub(super) fn mean(&self, unit_ns: u32) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let mean = ratio(self.sum.unsigned_abs(), u128::from(self.count) * u128::from(unit_ns));
        if self.sum < 0 { -mean } else { mean }
    }

    /// Population variance (Σ(x − mean)² / n) in units of `unit_ns`² ns²; 0 of no values.
    pub(super) fn variance(&self, unit_ns: u32) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let count = u128::from(self.count);
        let unit = u128::from(unit_ns);
        // n·Σx² − (Σx)² is never negative.
        let exact = || {
            let squares = count.checked_mul(self.squares?)?;
            squares.checked_sub(self.sum.unsigned_abs().checked_pow(2)?)
        };
        match exact() {
            Some(numerator) => ratio(numerator, count * count * (unit * unit)),
            // Times that span centuries: no clock gives them, but a broken file may.
            None => f64::INFINITY,
        }
    }

    /// Square root of the variance.
    pub(super) fn deviation(&self, unit_ns: u32) -> f64 {
        self.variance(unit_ns).sqrt()
    }
}

/// The `f64` nearest to a fraction of integers whose denominator is below 2^124.
///
/// A division of `f64`s would round three times. The decimal expansion, cut with a mark that says
/// that more follows, leaves the one rounding to the parser of the standard library.
fn ratio(numerator: u128, denominator: u128) -> f64 {
    /// Digits after the point; enough to tell apart neighbours of the smallest value that occurs
    /// (1 / (10^6 · n²)).
    const DIGITS: usize = 60;
    let mut decimal = format!("{}.", numerator / denominator);
    let mut rest = numerator % denominator;
    for _ in 0..DIGITS {
        rest *= 10;
        decimal.push(char::from(b'0' + (rest / denominator) as u8));
        rest %= denominator;
    }
    if rest > 0 {
        decimal.push('1');
    }
    decimal.parse().unwrap_or(f64::NAN)
}

/// Median of sorted values: the middle one, or the mean of the middle two.
pub(super) fn median(sorted: &[i64], convert: impl Fn(i64) -> f64) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        convert(sorted[middle])
    } else if let (Some(&low), Some(&high)) =
        (sorted.get(middle.wrapping_sub(1)), sorted.get(middle))
    {
        (convert(low) + convert(high)) / 2.0
    } else {
        0.0
    }
}

/// The value that at least `per_mille` ‰ of the values do not exceed (nearest rank, never
/// interpolated): always one that occurred.
fn percentile(sorted: &[i64], per_mille: usize) -> Option<i64> {
    let rank = (sorted.len().saturating_mul(per_mille)).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied()
}

/// How a series of durations is distributed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// Number of values.
    pub count: u64,
    /// `None` when there are no values.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// Figures of at least one duration, in nanoseconds. Percentiles are exact, by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Smallest value.
    pub min: i64,
    /// Largest value.
    pub max: i64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Population standard deviation.
    pub sd: f64,
    /// The middle value, or the mean of the middle two.
    pub median: f64,
    /// 90th percentile.
    pub p90: i64,
    /// 99th percentile.
    pub p99: i64,
    /// 99.9th percentile.
    #[serde(rename = "p99.9")]
    pub p99_9: i64,
}

impl Distribution {
    /// Sorts the values, in nanoseconds, and takes their figures.
    pub(super) fn of(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        let moments = Moments::of(&values);
        let figures = || {
            Some(Figures {
                min: *values.first()?,
                max: *values.last()?,
                mean: moments.mean(1),
                sd: moments.deviation(1),
                median: median(&values, |ns| ns as f64),
                p90: percentile(&values, 900)?,
                p99: percentile(&values, 990)?,
                p99_9: percentile(&values, 999)?,
            })
        };
        Self { count: values.len() as u64, figures: figures() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred: Vec<i64> = (1..=100).collect();
        let figures = Distribution::of(hundred).figures.expect("there are values");
        assert_eq!((figures.p90, figures.p99, figures.p99_9), (90, 99, 100));
        assert_eq!(figures.median, 50.5);
        let one = Distribution::of(vec![7]).figures.expect("there is a value");
        assert_eq!((one.min, one.p90, one.p99_9, one.max), (7, 7, 7, 7));
        assert_eq!((one.mean, one.sd, one.median), (7.0, 0.0, 7.0));
    }

    #[test]
    fn no_values_have_no_figures() {
        let none = Distribution::of(Vec::new());
        assert_eq!(none, Distribution { count: 0, figures: None });
        assert_eq!(serde_json::to_string(&none).expect("serialises"), r#"{"count":0}"#);
    }

    #[test]
    fn ratios_are_rounded_once() {
        assert_eq!(ratio(1, 3), 1.0 / 3.0);
        assert_eq!(ratio(u128::from(u64::MAX), 1), u64::MAX as f64);
        // Halfway between two neighbours, and a little more: a division of floats cannot see it.
        let halfway = (1_u128 << 53) + 1;
        assert_eq!(ratio(halfway, 1), (1_u64 << 53) as f64);
        assert_eq!(ratio(halfway * 1000 + 1, 1000), ((1_u64 << 53) + 2) as f64);
    }

    #[test]
    fn squares_that_do_not_fit_are_no_panic() {
        let moments = Moments::of(&[i64::MIN, i64::MAX, i64::MAX, i64::MIN, i64::MIN]);
        assert_eq!(moments.variance(1), f64::INFINITY);
        assert!(moments.mean(1000) < 0.0);
    }

    proptest! {
        #[test]
        fn variance_is_that_of_the_definition(values in prop::collection::vec(-1_000_000_i64..1_000_000, 1..50)) {
            let count = values.len() as f64;
            let mean = values.iter().sum::<i64>() as f64 / count;
            let variance = values.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / count;
            let moments = Moments::of(&values);
            prop_assert!((moments.mean(1) - mean).abs() <= 1e-6);
            prop_assert!((moments.variance(1) - variance).abs() <= variance * 1e-9 + 1e-3);
        }
    }
}
