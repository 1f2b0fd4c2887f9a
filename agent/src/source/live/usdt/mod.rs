//! USDT probes of vswitchd: where they are, and how to read their arguments.
//!
//! A build with `--enable-usdt-probes` has, at each probe, a `nop` and a note that says where it
//! is and in which registers or memory the compiler keeps the arguments there. Nothing here loads
//! or attaches anything.
//!
//! [`process`] finds vswitchd and the files that it maps, [`elf`] and [`note`] read their notes,
//! [`argument`] the arguments, and [`probes`] picks the three probes of an upcall.
//!
//! A process of any container can call itself `ovs-vswitchd` and map any file: all of this is
//! untrusted input, and what is read of it is bounded.

pub mod address;
pub mod argument;
pub mod elf;
pub mod machine;
#[cfg(test)]
mod made;
pub mod note;
pub mod probes;
pub mod process;
