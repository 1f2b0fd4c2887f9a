//! What the agent has set at load time.

use core::ptr;

use upspan_ebpf::config::{Config, TracepointFields};

/// See the module.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config {
    packet_limit: 0,
    key_limit: 0,
    upcalls: 0,
    skb_data: 0,
    ring_bytes: 0,
    wake_bytes: 0,
    reserved: 0,
    tracepoint: TracepointFields {
        dp_name: 0,
        dev_name: 0,
        skbaddr: 0,
        len: 0,
        data_len: 0,
        upcall_cmd: 0,
    },
    datapath: [0; 16],
    port: [0; 16],
};

/// Reads a field of [`CONFIG`]. Volatile, as the value that is compiled in is not the one at run
/// time.
macro_rules! config {
    ($field:ident) => {
        $crate::config::read(&raw const $crate::config::CONFIG.$field)
    };
}
pub(crate) use config;

#[inline(always)]
pub(crate) fn read<T>(field: *const T) -> T {
    // SAFETY: it is a field of [`CONFIG`], which is initialised and never written to.
    unsafe { ptr::read_volatile(field) }
}
