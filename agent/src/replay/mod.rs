//! Replays a recording: its upcalls become traces again, at their own pace or as fast as the
//! destination takes them.

mod outlet;
mod pace;

pub use outlet::{Destination, Outlet, OutletTotals, Passed, Times, WhenFull, Witness};
pub use pace::{Pace, Speed, SpeedError, Stop};
