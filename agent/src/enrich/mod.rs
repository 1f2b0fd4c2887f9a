//! What an upcall's bytes say: packet headers, flow key, and the trace that the packet belongs to.

pub mod context;
pub mod flow_key;
pub mod headers;
mod mac;
#[cfg(test)]
mod test_bytes;

pub use context::{ContextMethod, PacketContext};
pub use flow_key::FlowKey;
pub use headers::Headers;
pub use mac::Mac;
