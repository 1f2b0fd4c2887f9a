//! Where events come from. Every source yields [`Record`]s in order.

pub mod input;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod live;
pub mod recording;

use crate::event::{Event, EventHead, EventKind, MonotonicNs, Unusable};
use crate::trace::TimeAnchor;

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
    /// Events are missing here, and what they were is not known: one that could not be read, or some
    /// that the kernel had no room for.
    Unreadable,
    /// Events that the source lost, as it reports it.
    Lost {
        /// Their kind.
        kind: EventKind,
        /// How many.
        count: u64,
    },
    /// The recorder's clocks, measured: what times mean from here on. Recordings of the script have
    /// none.
    Clock(TimeAnchor),
    /// The kernel could not deliver an upcall: `ovs_dp_upcall` has returned an error.
    Failed {
        /// The return.
        head: EventHead,
        /// When the `dp_upcall` that failed was, on the same CPU.
        dp_upcall: MonotonicNs,
        /// The error number, positive.
        errno: i32,
    },
}
