//! Live capture: events of the Open vSwitch of this node, by eBPF.

pub mod ports;
