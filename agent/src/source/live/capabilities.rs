//! What the process may do.

use rustix::thread::{self, CapabilitySet};

/// The process lacks what the BPF programs need. What else may be missing shows when it is needed:
/// it depends on the kernel, on who runs vswitchd, and on how tracefs is mounted.
#[derive(Debug, thiserror::Error)]
#[error(
    "this process lacks {0}: run it as root (sudo upspan …), or grant it CAP_BPF, CAP_PERFMON and \
     CAP_SYS_PTRACE; if it is not root, also CAP_DAC_READ_SEARCH; on kernels before 6.6, also \
     CAP_SYS_ADMIN"
)]
pub struct MissingCapabilities(String);

/// Checks the effective capabilities of this thread.
///
/// # Errors
///
/// Some that are needed are missing. Where they cannot be read, the kernel will tell.
pub fn check() -> Result<(), MissingCapabilities> {
    thread::capabilities(None).map_or(Ok(()), |sets| needed(sets.effective))
}

fn needed(effective: CapabilitySet) -> Result<(), MissingCapabilities> {
    // It comprises the others (`bpf_capable` and `perfmon_capable` of the kernel).
    if effective.contains(CapabilitySet::SYS_ADMIN) {
        return Ok(());
    }
    let missing: Vec<_> =
        [(CapabilitySet::BPF, "CAP_BPF"), (CapabilitySet::PERFMON, "CAP_PERFMON")]
            .into_iter()
            .filter(|&(capability, _)| !effective.contains(capability))
            .map(|(_, name)| name)
            .collect();
    if missing.is_empty() { Ok(()) } else { Err(MissingCapabilities(missing.join(" and "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let missing = |effective| needed(effective).expect_err("some are missing").0;
        assert_eq!(missing(CapabilitySet::PERFMON), "CAP_BPF");
        assert_eq!(missing(CapabilitySet::SYS_PTRACE), "CAP_BPF and CAP_PERFMON");
        assert!(needed(CapabilitySet::BPF | CapabilitySet::PERFMON).is_ok());
        assert!(needed(CapabilitySet::SYS_ADMIN).is_ok());
    }
}
