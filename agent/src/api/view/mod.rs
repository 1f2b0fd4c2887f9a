//! What the API says, for people and for programs: lines of a table, waterfalls, JSON, and
//! `key: value`.

mod fields;
mod table;
mod waterfall;

use upspan_proto::v1;

pub use fields::{dict, json};
pub use table::Table;
pub use waterfall::{Shown, waterfall};

use crate::event::EventKind;

/// The kind that a message names; `None` of one that this version does not know.
fn event_kind(kind: v1::EventKind) -> Option<EventKind> {
    EventKind::IN_ORDER.into_iter().find(|&known| super::message::event_kind(known) == kind)
}

/// A duration in few columns: `999ns`, `12.3µs`, `4.56ms`, `7.89s`.
#[must_use]
pub fn short(ns: u64) -> String {
    const UNITS: [(&str, f64); 3] = [("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    if ns < 1000 {
        return format!("{ns}ns");
    }
    let ns = ns as f64;
    // What rounds up to 1000 is one of the next unit.
    let fits = |unit: &&(&str, f64)| ns / unit.1 < 999.5;
    let (unit, size) = UNITS.iter().find(fits).unwrap_or(&UNITS[2]);
    let number = ns / size;
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.digits$}{unit}")
}

/// What is missing in a stream, in a line.
#[must_use]
pub fn lost(lost: &v1::Lost) -> String {
    let count = lost.count;
    match (lost.source(), event_kind(lost.kind())) {
        (v1::LostSource::Client, _) => format!(
            "{count} upcalls are missing here: they came faster than this command took them; \
             filter more, or raise --api-history of upspan run"
        ),
        (v1::LostSource::Capture, Some(kind)) => format!(
            "{count} {kind} events are missing here: the ring buffer was full; raise \
             --buffer-page-count of upspan run"
        ),
        (_, _) => format!("{count} are missing here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_few_columns() {
        let said: Vec<_> = [
            0,
            999,
            1_000,
            9_994,
            9_996,
            12_340,
            99_949,
            99_960,
            999_400,
            999_600,
            4_560_000,
            77_401_857,
            999_600_000,
            7_890_000_000,
            1_000_000_000_000,
            u64::MAX,
        ]
        .map(short)
        .into();
        assert_eq!(
            said.join(" "),
            "0ns 999ns 1.00µs 9.99µs 10.0µs 12.3µs 99.9µs 100µs 999µs 1.00ms 4.56ms 77.4ms 1.00s \
             7.89s 1000s 18446744074s"
        );
    }
}
