//! What the BPF programs and the agent share: the layouts of the ring buffer, records,
//! configuration and probe arguments.
//!
//! All of them are `repr(C)`, in the byte order of the machine, without padding: the programs and
//! the agent run on the same one.

#![no_std]

pub mod argument;
pub mod config;
pub mod record;
pub mod ring;
