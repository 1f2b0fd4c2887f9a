//! Statistics of what the correlator finds: the figures of upcall_cost.py (in the kernel's and Open
//! vSwitch's usdt-scripts), percentiles, phases, breakdowns, and what was missing or belonged to
//! no upcall.
//!
//! A [`Report`] is a [`Sink`](crate::upcall::Sink); when the source ends it becomes a [`Summary`],
//! which serialises to the JSON report and which [`text::write`] prints. [`event_line`] prints
//! single events, [`waterfall`] single upcalls.
//!
//! Exact statistics need every value: a report takes about 150 bytes of memory per upcall, more
//! with [`ReportOptions::keep_sets`], and nothing per event.

mod collect;
mod counts;
pub mod event_line;
mod histogram;
mod series;
mod slowest;
mod stats;
mod summary;
pub(crate) mod terminal;
pub mod text;
pub mod waterfall;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;

pub use collect::{Report, ReportOptions};
pub use counts::{EventCounts, KindCount, Tally};
pub use series::Latency;
pub use stats::{Distribution, Figures};
pub use summary::{Accounting, Summary};
