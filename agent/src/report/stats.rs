//! Exact statistics of durations.
//!
//! Sums carry what `f64` additions round off and are rounded once, at the end. upcall_cost.py, whose
//! decimals have 28 digits, prints the same figures from the same values; plain `f64` sums would
//! not.

use serde::Serialize;

/// A sum of floats with about twice their precision (Neumaier's compensated summation).
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    high: f64,
    /// What was rounded off `high`.
    low: f64,
}

impl Sum {
    /// Adds a value that is the sum of two, the second being what was rounded off the first.
    fn add(&mut self, value: f64, rounded_off: f64) {
        let (high, error) = two_sum(self.high, value);
        self.high = high;
        self.low += error + rounded_off;
    }

    /// The sum's part, rounded once: the remainder of a first quotient corrects it.
    fn divided_by(self, count: f64) -> f64 {
        let quotient = self.high / count;
        let remainder = quotient.mul_add(-count, self.high) + self.low;
        quotient + remainder / count
    }
}

/// A sum and what was rounded off it (Knuth's TwoSum).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_added = sum - a;
    (sum, (a - (sum - b_added)) + (b - b_added))
}

/// Mean and population variance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f64,
    /// Σ(x − mean)² / n.
    pub(super) variance: f64,
}

impl Moments {
    /// The moments of values in a unit to which `convert` brings nanoseconds; 0 of no values.
    pub(super) fn of(values: &[i64], convert: impl Fn(i64) -> f64) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let count = values.len() as f64;
        let (mut sum, mut squares) = (Sum::default(), Sum::default());
        for &ns in values {
            sum.add(convert(ns), 0.0);
        }
        let mean = sum.divided_by(count);
        for &ns in values {
            // The mean is off by half a unit in its last place at most; the square of that is far
            // beyond the last place of the variance.
            let (difference, rounded_off) = two_sum(convert(ns), -mean);
            let square = difference * difference;
            let square_rounded_off = difference.mul_add(difference, -square);
            squares.add(square, square_rounded_off + 2.0 * difference * rounded_off);
        }
        Self { mean, variance: squares.divided_by(count) }
    }

    /// Standard deviation: the square root of the variance.
    pub(super) fn deviation(&self) -> f64 {
        self.variance.sqrt()
    }
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
    pub(crate) fn of(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        let moments = Moments::of(&values, |ns| ns as f64);
        let figures = || {
            Some(Figures {
                min: *values.first()?,
                max: *values.last()?,
                mean: moments.mean,
                sd: moments.deviation(),
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
    fn sums_lose_no_digits() {
        // The squares of so large values are far beyond an f64's precision.
        let far = 1 << 50;
        let moments = Moments::of(&[far, far + 1, far + 2, far + 3], |ns| ns as f64);
        assert_eq!(moments, Moments { mean: far as f64 + 1.5, variance: 1.25 });
    }

    #[test]
    fn extreme_values_are_finite() {
        let moments = Moments::of(&[i64::MIN, i64::MAX, i64::MIN], |ns| ns as f64);
        assert!(moments.mean < 0.0 && moments.deviation() > 1e18);
        assert!(moments.variance.is_finite());
        assert_eq!(Moments::of(&[], |ns| ns as f64), Moments::default());
    }

    proptest! {
        #[test]
        fn moments_are_those_of_the_definition(
            values in prop::collection::vec(-1_000_000_i64..1_000_000, 1..50),
        ) {
            let count = values.len() as i64;
            let (sum, squares) = (values.iter().sum::<i64>(), values.iter().map(|x| x * x).sum::<i64>());
            let moments = Moments::of(&values, |ns| ns as f64);
            prop_assert_eq!(moments.mean, sum as f64 / count as f64);
            let variance = (count * squares - sum * sum) as f64 / (count * count) as f64;
            prop_assert!((moments.variance - variance).abs() <= variance * 1e-15);
        }
    }
}
