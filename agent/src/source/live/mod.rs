//! Live capture: events of the Open vSwitch of this node, by eBPF.

pub mod capabilities;
pub mod capture;
pub mod kernel;
pub mod losses;
pub mod programs;
pub mod record;
