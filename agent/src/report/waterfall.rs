//! An upcall as a waterfall in a terminal: where its time went.

use std::fmt;

use serde::Serialize;

use super::event_line::seconds;
use super::series::microseconds;
use super::summary::serialize_missing;
use super::terminal::{cut, plain};
use crate::enrich::headers::Headers;
use crate::event::{Comm, MonotonicNs, Ordinal, Tid};
use crate::per_kind::PerKind;
use crate::phases::PhaseKind;
use crate::ports::{DatapathId, PortNo, Ports};
use crate::upcall::{MatchMethod, Missing, Upcall};

/// Columns taken when the terminal's width is not known.
pub const DEFAULT_WIDTH: usize = 80;

/// Columns below which lines are not made narrower.
const MIN_WIDTH: usize = 60;

/// Columns for the name of a phase, the longest one indented.
const NAME_WIDTH: usize = 20;

/// Columns for a duration in microseconds with its unit.
const DURATION_WIDTH: usize = 16;

/// What a waterfall shows of an upcall, without the names that only [`Ports`] knows.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    start: MonotonicNs,
    duration_ns: u64,
    datapath: DatapathId,
    port: Option<PortNo>,
    headers: Headers,
    bars: [Option<Bar>; PhaseKind::ALL.len()],
    thread: Comm,
    tid: Tid,
    batch_size: u32,
    batch_index: u32,
    matched: Option<MatchMethod>,
    events: PerKind<Option<Ordinal>>,
    missing: Missing,
}

/// A phase, relative to the start of its upcall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Bar {
    pub(crate) phase: PhaseKind,
    pub(crate) offset_ns: u64,
    pub(crate) duration_ns: u64,
}

impl Timeline {
    pub(super) fn of(upcall: &Upcall<'_>) -> Self {
        let start = upcall.first().ts;
        let bar = |kind| {
            let phase = upcall.phase(kind)?;
            Some(Bar {
                phase: kind,
                offset_ns: phase.start.0.saturating_sub(start.0),
                duration_ns: phase.duration_ns(),
            })
        };
        Self {
            start,
            duration_ns: upcall.duration_ns(),
            datapath: upcall.datapath,
            port: upcall.port(),
            headers: Headers::parse(&upcall.packet),
            bars: PhaseKind::ALL.map(bar),
            thread: upcall.recv.comm,
            tid: upcall.recv.tid,
            batch_size: upcall.batch.size,
            batch_index: upcall.batch.index,
            matched: upcall.kernel.as_ref().map(|kernel| kernel.matched),
            events: PerKind::from_fn(|kind| upcall.event(kind).map(|head| head.ordinal)),
            missing: upcall.missing,
        }
    }

    pub(super) fn with_names(self, ports: &Ports) -> Waterfall {
        let port = self.port.and_then(|port| ports.name(self.datapath, port));
        Waterfall {
            datapath: ports.datapath_name(self.datapath).to_owned(),
            port: port.map(str::to_owned),
            port_number: self.port,
            packet: self.headers.to_string(),
            start: self.start,
            duration_ns: self.duration_ns,
            thread: self.thread.to_str_lossy().into_owned(),
            tid: self.tid,
            batch_size: self.batch_size,
            batch_index: self.batch_index,
            matched: self.matched,
            events: self.events,
            missing: self.missing,
            phases: self.bars.into_iter().flatten().collect(),
        }
    }
}

/// One upcall, to be shown by [`Waterfall::display`] or serialised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waterfall {
    #[serde(rename = "start_ns")]
    pub(crate) start: MonotonicNs,
    pub(crate) duration_ns: u64,
    pub(crate) datapath: String,
    pub(crate) port_number: Option<PortNo>,
    pub(crate) port: Option<String>,
    pub(crate) packet: String,
    pub(crate) thread: String,
    pub(crate) tid: Tid,
    pub(crate) batch_size: u32,
    pub(crate) batch_index: u32,
    #[serde(rename = "match")]
    pub(crate) matched: Option<MatchMethod>,
    #[serde(serialize_with = "PerKind::serialize_known")]
    pub(crate) events: PerKind<Option<Ordinal>>,
    #[serde(serialize_with = "serialize_missing")]
    pub(crate) missing: Missing,
    pub(crate) phases: Vec<Bar>,
}

impl Waterfall {
    /// Takes from an upcall what its waterfall shows.
    #[must_use]
    pub fn new(upcall: &Upcall<'_>, ports: &Ports) -> Self {
        Timeline::of(upcall).with_names(ports)
    }

    /// Prints as several lines of at most `width` columns ([`DEFAULT_WIDTH`] where it is not
    /// known; a very small width is exceeded), the last one without its end.
    #[must_use]
    pub const fn display(&self, width: usize) -> Display<'_> {
        Display { waterfall: self, width: if width < MIN_WIDTH { MIN_WIDTH } else { width } }
    }

    /// When, where and what: the first line's left part.
    fn title(&self) -> String {
        let port = match (&self.port, self.port_number) {
            (Some(name), _) => plain(name.into()),
            (None, Some(PortNo(number))) => number.to_string().into(),
            (None, None) => "any port".into(),
        };
        let (start, datapath) = (seconds(self.start), plain((&self.datapath).into()));
        format!("{start} {datapath}/{port}: {}", plain((&self.packet).into()))
    }

    /// Thread, batch, match and the events' ordinals: the second line.
    fn details(&self) -> String {
        let mut line = format!(
            "{} ({}), batch {}/{}",
            plain((&self.thread).into()),
            self.tid.0,
            u64::from(self.batch_index) + 1,
            self.batch_size,
        );
        if let Some(matched) = self.matched {
            line += &format!(", match {matched}");
        }
        line += ", events";
        for (_, ordinal) in self.events.iter() {
            match ordinal {
                Some(Ordinal(ordinal)) => line += &format!(" {ordinal}"),
                None => line += " -",
            }
        }
        line
    }

    /// What is missing and why: the third line; `None` of a complete upcall.
    fn incomplete(&self) -> Option<String> {
        let missing = self.missing.iter();
        let missing: Vec<_> =
            missing.map(|(kind, reason)| format!("no {kind} ({})", reason.name())).collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }

    /// A phase drawn into `columns` columns that stand for the whole upcall.
    fn draw(&self, bar: &Bar, columns: usize) -> String {
        let total = u128::from(self.duration_ns.max(1));
        let scaled = |ns: u64, cells: usize| {
            usize::try_from(u128::from(ns) * cells as u128 / total).unwrap_or(cells).min(cells)
        };
        let start = scaled(bar.offset_ns, columns).min(columns.saturating_sub(1));
        let eighths = scaled(bar.duration_ns, columns * 8).clamp(1, (columns - start) * 8);
        let mut line = " ".repeat(start);
        line.extend(std::iter::repeat_n(BLOCKS[7], eighths / 8));
        if let Some(rest) = (eighths % 8).checked_sub(1) {
            line.push(BLOCKS[rest]);
        }
        line
    }
}

/// Blocks of one to eight eighths of a column, anchored at the left.
const BLOCKS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// A waterfall at a width.
#[derive(Clone, Copy, Debug)]
pub struct Display<'a> {
    waterfall: &'a Waterfall,
    width: usize,
}

impl fmt::Display for Display<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waterfall = self.waterfall;
        let duration =
            |ns| format!("{:.3} µs", microseconds(i64::try_from(ns).unwrap_or(i64::MAX)));
        let left = self.width - DURATION_WIDTH;
        let (title, total) = (waterfall.title(), duration(waterfall.duration_ns));
        writeln!(f, "{:<left$}{total:>DURATION_WIDTH$}", cut(&title, left - 1))?;
        write!(f, "  {}", cut(&waterfall.details(), self.width - 2))?;
        if let Some(incomplete) = waterfall.incomplete() {
            write!(f, "\n  {}", cut(&incomplete, self.width - 2))?;
        }
        let columns = left - NAME_WIDTH - 3;
        for bar in &waterfall.phases {
            let indent = if bar.phase.parent().is_some() { "  " } else { "" };
            let name = format!("{indent}{}", bar.phase.name());
            let drawn = waterfall.draw(bar, columns);
            let duration = duration(bar.duration_ns);
            write!(f, "\n  {name:<NAME_WIDTH$} {drawn:<columns$}{duration:>DURATION_WIDTH$}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::event::{EventKind, Packet};
    use crate::report::fixture::{head, ports, upcall};
    use crate::upcall::{BatchPlace, MissingReason};

    const TIMES: [u64; 5] = [0, 25_000, 75_500, 80_000, 120_000];

    /// A waterfall whose packet does not depend on how packets are summed up.
    fn waterfall(upcall: &Upcall<'_>, ports: &Ports) -> Waterfall {
        Waterfall { packet: "10.0.0.1 > 10.0.0.2".to_owned(), ..Waterfall::new(upcall, ports) }
    }

    #[test]
    fn all_phases() {
        let (ports, datapath) = ports();
        let upcall = upcall(datapath, 40, TIMES, 7);
        assert_snapshot!(waterfall(&upcall, &ports).display(DEFAULT_WIDTH));
    }

    #[test]
    fn a_batch_and_a_wider_terminal() {
        let (ports, datapath) = ports();
        let mut upcall = upcall(datapath, 40, TIMES, 7);
        upcall.translated = Some(head(41, 26_000, 7, "handler7"));
        upcall.batch = BatchPlace { size: 64, index: 63 };
        assert_snapshot!(waterfall(&upcall, &ports).display(120));
    }

    #[test]
    fn missing_events_are_named() {
        let (ports, datapath) = ports();
        let mut upcall = upcall(datapath, 40, TIMES, 7);
        (upcall.kernel, upcall.packet_execute) = (None, None);
        upcall.missing.set(EventKind::DpUpcall, MissingReason::NotSeen);
        upcall.missing.set(EventKind::OvsPktExec, MissingReason::TimedOut);
        assert_snapshot!(waterfall(&upcall, &ports).display(DEFAULT_WIDTH));
    }

    #[test]
    fn lines_are_never_wider_than_the_terminal() {
        let (mut ports, _) = ports();
        let datapath = ports.datapath("ü".repeat(300).as_bytes()).expect("there is room");
        let mut upcall = upcall(datapath, 40, TIMES, 7);
        upcall.packet = Packet::default();
        for kind in EventKind::ALL {
            upcall.missing.set(kind, MissingReason::Ambiguous);
        }
        let waterfall = Waterfall::new(&upcall, &ports);
        for width in [0, MIN_WIDTH, 79, 200] {
            let text = waterfall.display(width).to_string();
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert_eq!(widest, Some(width.max(MIN_WIDTH)));
        }
    }
}
