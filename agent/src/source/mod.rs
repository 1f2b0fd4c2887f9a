//! Where events come from. Every source yields [`Record`]s in order.

pub mod input;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod live;
pub mod recording;

use crate::event::{Event, EventHead, EventKind, Unusable};

/// One item of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// An event to correlate.
    Event(Event<'a>),
    /// An event that was read, but says nothing that could be joined.
    Unusable {
        /// Its kind.
        kind: EventKind,
        /// What every event carries.
        head: EventHead,
        /// Why it is of no use.
        reason: Unusable,
    },
    /// An event that could not be read: what it was is not known.
    Unreadable,
    /// Events that the source lost, as it reports it.
    Lost {
        /// Their kind.
        kind: EventKind,
        /// How many.
        count: u64,
    },
}
