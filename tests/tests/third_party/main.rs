//! What we send and write, as programs that are not ours take it. `tests/third_party/setup` installs
//! them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod program;
mod python;
mod rotel;
mod script;
mod sent;
