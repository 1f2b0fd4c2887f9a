//! Integration tests of the whole; see `tests/`.
