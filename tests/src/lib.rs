//! What the integration tests of the whole share; the tests are in `tests/`.

pub mod backend;
mod command;
pub mod pki;
pub mod spans;

pub use command::upspan;
