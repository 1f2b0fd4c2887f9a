//! Puts the events of each upcall together.
