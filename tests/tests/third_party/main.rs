//! What we send, as it arrives in programs that are not ours. `tests/third_party/setup` installs
//! them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod program;
mod python;
mod rotel;
mod sent;
