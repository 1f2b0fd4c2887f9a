//! upspan: Open vSwitch upcalls as OpenTelemetry traces.
//!
//! Data flows one way: [`source`] → [`event`] → [`correlate`] → [`enrich`] → [`trace`] →
//! [`export`], with [`report`] beside the last two, and [`api`] behind [`replay`]. Spans of
//! applications come in by the [`receiver`], and meet upcalls in [`join`]. What clients connect to is
//! in [`listen`].

pub mod api;
pub mod correlate;
pub mod enrich;
pub mod event;
pub mod export;
pub mod filter;
pub mod join;
pub mod listen;
mod per_kind;
pub mod phases;
pub mod pipeline;
pub mod ports;
mod protobuf;
pub mod receiver;
pub mod replay;
pub mod report;
pub mod source;
pub mod trace;
pub mod upcall;

pub use per_kind::PerKind;
