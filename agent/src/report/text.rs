//! The report as text: first what upcall_cost.py prints, in its layout, then what it does not have.

use std::fmt;
use std::io::{self, Write};
use std::num::NonZeroUsize;

use super::counts::Tally;
use super::histogram::{write_batches, write_latencies};
use super::series::{Latency, microseconds};
use super::stats::Distribution;
use super::summary::Summary;
use super::terminal::plain;
use super::waterfall::DEFAULT_WIDTH;
use crate::event::Unusable;
use crate::ports::PortNo;
use crate::upcall::{MissingReason, UnmatchedReason};

/// How to print a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Buckets of each latency histogram.
    pub buckets: NonZeroUsize,
    /// Print the values of each latency before its histogram.
    pub sets: bool,
    /// Columns of the terminal, for waterfalls.
    pub width: usize,
}

impl Default for TextOptions {
    /// The buckets of upcall_cost.py, and a terminal of [`DEFAULT_WIDTH`].
    fn default() -> Self {
        const BUCKETS: NonZeroUsize = NonZeroUsize::new(20).expect("20 is not 0");
        Self { buckets: BUCKETS, sets: false, width: DEFAULT_WIDTH }
    }
}

/// Prints a report.
///
/// # Errors
/// Those of `out`.
pub fn write(summary: &Summary, out: &mut impl Write, options: &TextOptions) -> io::Result<()> {
    counts(summary, out)?;
    writeln!(out, "\n\n- Analyzing {} event sets...", summary.matches.values().sum::<u64>())?;
    reference(summary, out, options)?;
    durations(summary, out)?;
    breakdowns(summary, out)?;
    joins(summary, out)?;
    accounting(summary, out)?;
    if !summary.slowest.is_empty() {
        writeln!(out, "\n=> The {} slowest upcalls:", summary.slowest.len())?;
        for waterfall in &summary.slowest {
            writeln!(out, "{}", waterfall.display(options.width))?;
        }
    }
    Ok(())
}

/// Events per kind, by label.
fn counts(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let mut kinds: Vec<_> =
        summary.counts.iter().filter(|(_, count)| count.total > 0 || count.miss > 0).collect();
    kinds.sort_by_key(|(kind, _)| kind.label());
    writeln!(out, "- Analyzing results ({} events)...", summary.usable)?;
    if kinds.iter().any(|(_, count)| count.miss > 0) {
        writeln!(
            out,
            "\nWARNING: Not all events were captured!\n         Increase the BPF ring buffer size \
             with the --buffer-page-count option."
        )?;
    }
    writeln!(out, "\n=> Events received per type (usable/total) [missed events]:")?;
    for (kind, count) in kinds {
        writeln!(
            out,
            "  {:36}: {:10}/{:10} [{:10}]",
            kind.label(),
            count.valid,
            count.total,
            count.miss
        )?;
    }
    Ok(())
}

/// Threads, batches and the four latencies.
fn reference(summary: &Summary, out: &mut impl Write, options: &TextOptions) -> io::Result<()> {
    let threads = summary.upcalls_per_thread.0.iter();
    section(out, "Upcalls handled per thread", threads.map(|(name, upcalls)| (name, *upcalls)))?;
    writeln!(out, "\n=> Histogram of upcalls per batch:")?;
    write_batches(out, &summary.batch_sizes)?;
    for latency in Latency::ALL {
        let series = summary.latency_us.get(latency);
        writeln!(out, "\n=> {}:", latency.title())?;
        if options.sets {
            values(series, out)?;
        }
        write_latencies(out, series, options.buckets)?;
    }
    Ok(())
}

/// Values in microseconds, the way Python prints a list of floats.
fn values(series: &[i64], out: &mut impl Write) -> io::Result<()> {
    write!(out, "[")?;
    for (index, &ns) in series.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(out, "{comma}{:?}", microseconds(ns))?;
    }
    writeln!(out, "]")
}

/// Heading of the columns that [`Row`] prints.
const FIGURES: &str =
    "        min       mean         sd     median        p90        p99      p99.9        max";

/// The figures of a distribution in microseconds, in columns; nothing where there are no values.
struct Row<'a>(&'a Distribution);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(figures) = &self.0.figures else { return Ok(()) };
        let (min, max) = (microseconds(figures.min), microseconds(figures.max));
        let (mean, sd) = (figures.mean / 1000.0, figures.sd / 1000.0);
        let median = figures.median / 1000.0;
        write!(f, "{min:11.1}{mean:11.1}{sd:11.1}{median:11.1}")?;
        for percentile in [figures.p90, figures.p99, figures.p99_9] {
            write!(f, "{:11.1}", microseconds(percentile))?;
        }
        write!(f, "{max:11.1}")
    }
}

/// Durations of upcalls and phases, and the latencies that are not phases.
fn durations(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n=> Durations (microseconds):")?;
    writeln!(out, "  {:22}{:>10}{FIGURES}", "", "count")?;
    let overheads = [Latency::TimeMinusLookup.name(), Latency::KernelToKernelExec.name()];
    let latencies = summary.latency_ns.0.iter().filter(|(name, _)| overheads.contains(name));
    let upcall = ("upcall", summary.upcall);
    for (name, figures) in [upcall].iter().chain(&summary.phases.0).chain(latencies) {
        writeln!(out, "  {name:22}{:10}{}", figures.count, Row(figures))?;
    }
    Ok(())
}

/// Upcalls per port and per thread, with their durations.
fn breakdowns(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n=> Upcalls per port, their durations in microseconds:")?;
    writeln!(out, "  {:32}{:>10}{:>12}{FIGURES}", "", "upcalls", "incomplete")?;
    for port in &summary.per_port {
        let name = match (&port.port, port.port_number) {
            (Some(name), Some(PortNo(number))) => format!("{name} ({number})"),
            (_, Some(PortNo(number))) => number.to_string(),
            (_, None) => "any port".to_owned(),
        };
        let name = format!("{}/{name}", port.datapath);
        let (name, figures) = (plain(name.into()), Row(&port.upcall));
        writeln!(out, "  {name:32}{:10}{:12}{figures}", port.upcalls, port.incomplete)?;
    }
    writeln!(out, "\n=> Upcalls per thread, their durations in microseconds:")?;
    writeln!(out, "  {:22}{:>10}{:>10}{:>12}{FIGURES}", "", "batches", "upcalls", "incomplete")?;
    for thread in &summary.per_thread {
        let name = plain(format!("{} ({})", thread.thread, thread.tid.0).into());
        let (batches, figures) = (thread.batches, Row(&thread.upcall));
        writeln!(
            out,
            "  {name:22}{batches:10}{:10}{:12}{figures}",
            thread.upcalls, thread.incomplete
        )?;
    }
    Ok(())
}

/// How events were joined, and why others were not.
fn joins(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let matched: u64 = summary.matches.values().sum();
    let matches = summary.matches.iter().map(|(method, count)| (method.name(), *count));
    let matches = matches.chain([("without kernel side", summary.upcalls - matched)]);
    section(out, "Upcalls per match with the kernel's side", matches)?;
    let incomplete = named(&summary.incomplete, MissingReason::name);
    section(out, "Events missing from upcalls", incomplete)?;
    let unmatched = named(&summary.unmatched, UnmatchedReason::name);
    section(out, "Events that belong to no upcall", unmatched)?;
    section(out, "Events that are not usable", named(&summary.unusable, Unusable::name))
}

/// Where all events went.
fn accounting(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let sums = &summary.accounting;
    let places = [
        ("events read", sums.read),
        ("in upcalls", sums.in_upcalls),
        ("in no upcall", sums.unmatched),
        ("not usable", sums.unusable),
        ("filtered", sums.filtered),
        ("lines that could not be read", summary.malformed_lines),
    ];
    section(out, "Accounting", places)?;
    if sums.unaccounted != 0 {
        writeln!(out, "WARNING: {} events are unaccounted for: a bug.", sums.unaccounted)?;
    }
    Ok(())
}

/// A heading with names and counts below.
fn section(
    out: &mut impl Write,
    heading: &str,
    counts: impl IntoIterator<Item = (impl AsRef<str>, u64)>,
) -> io::Result<()> {
    writeln!(out, "\n=> {heading}:")?;
    let mut counts = counts.into_iter().peekable();
    if counts.peek().is_none() {
        writeln!(out, "  none")?;
    }
    for (name, count) in counts {
        writeln!(out, "  {:36}: {count:10}", plain(name.as_ref().into()))?;
    }
    Ok(())
}

/// The counts of a tally, with names that tell kind and reason.
fn named<R: Ord + Copy>(
    tally: &Tally<R>,
    name: fn(R) -> &'static str,
) -> impl Iterator<Item = (String, u64)> {
    tally.iter().map(move |(kind, reason, count)| (format!("{kind} ({})", name(reason)), count))
}
