//! Text histograms with the layout and the arithmetic of upcall_cost.py: its own for batches, and
//! for latencies that of the Python package text_histogram3 that it uses.

use std::io::{self, Write};
use std::num::NonZeroUsize;

use super::series::microseconds;
use super::stats::{Moments, median};

/// A bar of so many cells; callers scale them to the width of a line.
fn bar(cells: u64) -> String {
    "∎".repeat(cells as usize)
}

/// Largest batch with a line of its own: vswitchd's `UPCALL_MAX_BATCH`.
const BATCH_LINES: usize = 64;

/// Writes how many batches there are of each size.
pub(super) fn write_batches(out: &mut impl Write, sizes: &[u32]) -> io::Result<()> {
    let (Some(min), Some(max)) = (sizes.iter().min(), sizes.iter().max()) else {
        return writeln!(out, "# NumSamples = 0");
    };
    let mut lines = [0_u64; BATCH_LINES];
    let mut larger = 0_u64;
    for &size in sizes {
        // Batches are never empty; index 0 stands for size 1.
        match lines.get_mut((size as usize).saturating_sub(1)) {
            Some(line) => *line += 1,
            None => larger += 1,
        }
    }
    let most = lines.iter().copied().max().unwrap_or_default().max(larger);
    let scale = (most / 4).max(1);

    writeln!(out, "# NumSamples = {}; Min = {min}; Max = {max}", sizes.len())?;
    writeln!(out, "# each ∎ represents a count of {scale}")?;
    let (left, right) = lines.split_at(BATCH_LINES / 2);
    for (index, (&left, &right)) in left.iter().zip(right).enumerate() {
        writeln!(
            out,
            "{:5} [{left:8}]: {:22}  {:5} [{right:8}]: {:22}",
            index + 1,
            bar(left / scale),
            index + 1 + BATCH_LINES / 2,
            bar(right / scale),
        )?;
    }
    if larger > 0 {
        let label = format!(">{BATCH_LINES}");
        writeln!(out, "{label:>5} [{larger:8}]: {:22}", bar(larger / scale))?;
    }
    Ok(())
}

/// Writes statistics and a histogram of durations in nanoseconds, printed in microseconds.
pub(super) fn write_latencies(
    out: &mut impl Write,
    durations: &[i64],
    buckets: NonZeroUsize,
) -> io::Result<()> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let (min, max) = match sorted[..] {
        [] => return writeln!(out, "# NumSamples = 0"),
        [only] => {
            let only = microseconds(only);
            return writeln!(out, "# NumSamples = 1; Min = {only:.4}; Max = {only:.4}");
        }
        [first, .., last] if first == last => (microseconds(first), microseconds(first) + 1.0),
        [first, .., last] => (microseconds(first), microseconds(last)),
    };
    let (boundaries, counts) = fill(&sorted, min, max, buckets);
    let most = counts.iter().copied().max().unwrap_or_default();
    let scale = if most > 75 { most / 75 } else { 1 };

    let moments = Moments::of(&sorted, microseconds);
    writeln!(out, "# NumSamples = {}; Min = {min:.2}; Max = {max:.2}", sorted.len())?;
    writeln!(
        out,
        "# Mean = {:.6}; Variance = {:.6}; SD = {:.6}; Median {:.6}",
        moments.mean,
        moments.variance,
        moments.deviation(),
        median(&sorted, microseconds),
    )?;
    writeln!(out, "# each ∎ represents a count of {scale}")?;
    let mut lower = min;
    for (upper, count) in boundaries.into_iter().zip(counts) {
        writeln!(out, "{lower:10.4} - {upper:10.4} [{count:6}]: {}", bar(count / scale))?;
        lower = upper;
    }
    Ok(())
}

/// The upper ends of the buckets and how many values are in each.
///
/// The last end is computed like the others and may come out just below `max`: then the largest
/// value is in no bucket, here as in text_histogram3, so that the counts can be compared.
fn fill(sorted: &[i64], min: f64, max: f64, buckets: NonZeroUsize) -> (Vec<f64>, Vec<u64>) {
    let step = (max - min) / buckets.get() as f64;
    let boundaries: Vec<f64> =
        (1..=buckets.get()).map(|bucket| min + step * bucket as f64).collect();
    let mut counts = vec![0; boundaries.len()];
    for &ns in sorted {
        let value = microseconds(ns);
        let bucket = boundaries.partition_point(|&end| end < value);
        if let Some(count) = counts.get_mut(bucket) {
            *count += 1;
        }
    }
    (boundaries, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(durations: &[i64], buckets: usize) -> String {
        let mut out = Vec::new();
        let buckets = NonZeroUsize::new(buckets).expect("not zero");
        write_latencies(&mut out, durations, buckets).expect("memory takes it");
        String::from_utf8(out).expect("is text")
    }

    fn batches(sizes: &[u32]) -> String {
        let mut out = Vec::new();
        write_batches(&mut out, sizes).expect("memory takes it");
        String::from_utf8(out).expect("is text")
    }

    #[test]
    fn nothing_and_a_single_value() {
        assert_eq!(latencies(&[], 20), "# NumSamples = 0\n");
        assert_eq!(batches(&[]), "# NumSamples = 0\n");
        assert_eq!(latencies(&[1234], 20), "# NumSamples = 1; Min = 1.2340; Max = 1.2340\n");
    }

    #[test]
    fn equal_values_get_a_range_of_one_microsecond() {
        insta::assert_snapshot!(latencies(&[2500, 2500, 2500], 4), @"
        # NumSamples = 3; Min = 2.50; Max = 3.50
        # Mean = 2.500000; Variance = 0.000000; SD = 0.000000; Median 2.500000
        # each ∎ represents a count of 1
            2.5000 -     2.7500 [     3]: ∎∎∎
            2.7500 -     3.0000 [     0]: 
            3.0000 -     3.2500 [     0]: 
            3.2500 -     3.5000 [     0]:
        ");
    }

    #[test]
    fn more_than_75_in_a_bucket_are_scaled() {
        let mut durations = vec![1000; 160];
        durations.extend([2000, 3000]);
        insta::assert_snapshot!(latencies(&durations, 2), @"
        # NumSamples = 162; Min = 1.00; Max = 3.00
        # Mean = 1.018519; Variance = 0.030521; SD = 0.174703; Median 1.000000
        # each ∎ represents a count of 2
            1.0000 -     2.0000 [   161]: ∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎∎
            2.0000 -     3.0000 [     1]:
        ");
    }

    #[test]
    fn batches_of_more_than_64_have_a_line() {
        let text = batches(&[1, 1, 1, 1, 1, 1, 1, 1, 65, 80, 33]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "# NumSamples = 11; Min = 1; Max = 80");
        assert_eq!(lines[1], "# each ∎ represents a count of 2");
        assert_eq!(
            lines[2],
            "    1 [       8]: ∎∎∎∎                       33 [       1]:                       "
        );
        assert_eq!(lines[34], "  >64 [       2]: ∎                     ");
    }

    #[test]
    fn negative_and_extreme_values_are_no_panic() {
        assert!(latencies(&[i64::MIN, -1, 0, i64::MAX], 3).starts_with("# NumSamples = 4"));
    }
}
