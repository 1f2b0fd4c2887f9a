//! What a recording had in it.

use serde::Serialize;

use crate::event::EventKind;
use crate::per_kind::PerKind;

/// Events that were lost while recording, by kind.
pub type LossCounts = PerKind<u64>;

/// Events of one kind. `valid` and `total` are what upcall_cost.py prints as usable and total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KindCounts {
    /// Events to correlate.
    pub valid: u64,
    /// Events read, those of no use among them.
    pub total: u64,
    /// Events that were lost while recording.
    pub miss: u64,
    /// Events left out by the handler filter; not in `total`.
    pub filtered: u64,
}

/// What was read of a recording so far. Lines are records, where the recording is compact. Every
/// event line is in `total` or `filtered` of its kind,
/// or in `malformed_events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub(super) kinds: PerKind<KindCounts>,
    pub(super) event_lines: u64,
    pub(super) malformed_events: u64,
    pub(super) malformed: u64,
    pub(super) unrelated: u64,
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

impl Counts {
    /// Events by kind.
    #[must_use]
    pub const fn kinds(&self) -> &PerKind<KindCounts> {
        &self.kinds
    }

    /// Events of one kind.
    #[must_use]
    pub fn of(&self, kind: EventKind) -> KindCounts {
        self.kinds[kind]
    }

    /// Events of all kinds together.
    #[must_use]
    pub fn sum(&self) -> KindCounts {
        self.kinds.iter().fold(KindCounts::default(), |sum, (_, kind)| KindCounts {
            valid: sum.valid + kind.valid,
            total: sum.total + kind.total,
            miss: sum.miss.saturating_add(kind.miss),
            filtered: sum.filtered + kind.filtered,
        })
    }

    /// Lines with events, malformed ones among them: the next event's ordinal.
    #[must_use]
    pub const fn event_lines(&self) -> u64 {
        self.event_lines
    }

    /// Malformed lines with events.
    #[must_use]
    pub const fn malformed_events(&self) -> u64 {
        self.malformed_events
    }

    /// Malformed lines of all kinds.
    #[must_use]
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Lines that are none of a recording's, blank ones for example; records of kinds that came
    /// after this upspan.
    #[must_use]
    pub const fn unrelated(&self) -> u64 {
        self.unrelated
    }

    /// All lines.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Bytes of all lines, decompressed.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}
