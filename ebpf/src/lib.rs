//! What the BPF programs and the agent share: the layouts of the ring buffer and
//! its records, and the constants that a program is loaded with.
//!
//! All layouts are `repr(C)`, in the byte order of the machine, without padding: the programs and
//! the agent run on the same one.

#![no_std]

pub mod argument;
pub mod config;
pub mod constant;
pub mod record;
pub mod ring;
