//! What an upcall's bytes say: packet headers and flow key.

pub mod flow_key;
pub mod headers;
mod mac;

pub use flow_key::FlowKey;
pub use headers::Headers;
pub use mac::Mac;
