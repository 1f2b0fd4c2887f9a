//! The agent's own API: `upspan.v1.Observer` over gRPC, on a unix socket unless told otherwise.
//!
//! A [`Recorder`] watches the [`Outlet`](crate::replay::Outlet) and writes each upcall into a ring
//! of fixed size. Whoever asks reads the ring at its own pace: the ring is the queue of every
//! client. So a client costs the pipeline nothing, however slow it is; when the ring has gone past
//! it, it is told how many upcalls it has missed.
//!
//! ```text
//! Outlet → Recorder → Ring ← Follower, one per stream → gRPC
//!                       ↑
//!                   statistics
//! ```
//!
//! docs/api.md is for those who use it; proto/proto/upspan/v1/observer.proto describes each message.

pub mod client;
mod entry;
mod filter;
mod flow_prefix;
mod follower;
mod listen;
mod mask;
mod message;
mod recorder;
mod ring;
mod server;
mod service;
mod statistics;
pub mod view;

pub use flow_prefix::{FlowPrefix, FlowPrefixError};
pub use listen::{Access, ListenOptions, WhenUnset};
pub use recorder::Recorder;
pub use server::{Server, ServerError};

/// Where the API listens, and where its client looks for it.
pub const DEFAULT_SOCKET: &str = "/run/upspan/upspan.sock";

/// Upcalls that are kept, unless somebody says otherwise.
pub const DEFAULT_HISTORY: usize = 16_384;
