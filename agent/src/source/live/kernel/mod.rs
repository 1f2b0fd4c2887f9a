//! What differs between kernels, read from the running one.

pub mod btf;
pub mod cpus;
pub mod tracepoint;
