//! What an upcall's bytes say: packet headers and flow key.

pub mod flow_key;
pub mod headers;
