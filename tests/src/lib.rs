//! What the integration tests of the whole share; the tests are in `tests/`.

mod command;

pub mod backend;
pub mod collect;
pub mod fixtures;
pub mod pki;
pub mod pvp;
pub mod raw;
pub mod script;
pub mod spans;

pub use command::upspan;
