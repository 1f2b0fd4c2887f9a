//! Why the ports of this node cannot be watched.

use std::io;

use rustix::io::Errno;

/// Why the ports of this node cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// The kernel has no family of Open vSwitch.
    #[error(
        "this kernel has no Open vSwitch datapath; load its module with `modprobe openvswitch`, \
         or run upspan on a node whose Open vSwitch uses the kernel's datapath"
    )]
    NoOpenvswitch,
    /// The process is not allowed what it needs.
    #[error(
        "not allowed to {action} ({error}); run upspan as root, and let its container's seccomp \
         and security profiles allow netlink"
    )]
    NotAllowed {
        /// What was tried.
        action: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The process may open no sockets of this address family.
    #[error(
        "cannot open a netlink socket ({0}); a systemd unit with RestrictAddressFamilies= needs \
         AF_NETLINK in it"
    )]
    NoNetlink(io::Error),
    /// The system refuses for another reason.
    #[error("cannot {action}: {error}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The kernel does not answer as generic netlink should.
    #[error(
        "the kernel did not answer when asked to {action}; see the kernel's log (`dmesg`), and \
         report the kernel's version if this comes again"
    )]
    NoAnswer {
        /// What was tried.
        action: &'static str,
    },
    /// A family lacks the multicast group of its name.
    #[error(
        "the kernel's {0} has no multicast group that announces changes, so ports cannot be \
         watched; load the openvswitch module that belongs to the running kernel"
    )]
    NoGroup(&'static str),
}

impl MonitorError {
    /// The error for what the system says when `action` fails.
    pub(super) fn new(action: &'static str, error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::PERM | Errno::ACCESS) => Self::NotAllowed { action, error },
            Some(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => Self::NoNetlink(error),
            _ => Self::System { action, error },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(errno: Errno) -> String {
        MonitorError::new("read the kernel's ports", errno.into()).to_string()
    }

    #[test]
    fn errors_say_what_to_do() {
        assert!(MonitorError::NoOpenvswitch.to_string().contains("`modprobe openvswitch`"));
        assert!(text(Errno::PERM).contains("run upspan as root"));
        assert!(text(Errno::AFNOSUPPORT).contains("RestrictAddressFamilies"));
        assert_eq!(
            text(Errno::NOMEM),
            "cannot read the kernel's ports: Cannot allocate memory (os error 12)"
        );
    }
}
