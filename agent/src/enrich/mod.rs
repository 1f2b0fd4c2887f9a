//! What an upcall's bytes say: packet headers and flow key.

pub mod flow_key;
pub mod headers;
mod mac;
#[cfg(test)]
mod test_bytes;

pub use flow_key::FlowKey;
pub use headers::Headers;
pub use mac::Mac;
