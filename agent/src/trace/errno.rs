//! Names and meanings of the errors with which the kernel fails to deliver an upcall.

/// The name of an error number (include/uapi/asm-generic/errno*.h), as `error.type` wants it: few
/// and stable. Those that `ovs_dp_upcall` and what it calls return.
pub(super) const fn name(errno: i32) -> &'static str {
    match errno {
        11 => "EAGAIN",
        12 => "ENOMEM",
        19 => "ENODEV",
        22 => "EINVAL",
        90 => "EMSGSIZE",
        105 => "ENOBUFS",
        107 => "ENOTCONN",
        111 => "ECONNREFUSED",
        _ => "_OTHER",
    }
}

/// What it means for an upcall.
pub(crate) const fn meaning(errno: i32) -> &'static str {
    match errno {
        11 | 105 => "the handler thread's socket is full: it reads more slowly than upcalls come",
        12 => "the kernel has no memory for the upcall",
        90 => "the packet is too long for an upcall",
        107 => "no handler thread listens to the port",
        111 => "the handler thread's socket is closed: ovs-vswitchd ends or restarts",
        _ => "the kernel could not deliver the upcall",
    }
}
