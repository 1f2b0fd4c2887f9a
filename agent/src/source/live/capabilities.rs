//! What the process may do.

use std::fs;

const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The process lacks what live capture needs.
#[derive(Debug, thiserror::Error)]
#[error(
    "live capture needs the capabilities CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN, and this process \
     lacks {0}: run as root (sudo upspan …), or grant them"
)]
pub struct MissingCapabilities(String);

/// Checks the effective capabilities of this process.
///
/// # Errors
///
/// Some that are needed are missing. Where they cannot be read, the kernel will tell.
pub fn check() -> Result<(), MissingCapabilities> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).map_or(Ok(()), needed)
}

/// The bits of the line `CapEff:`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn needed(effective: u64) -> Result<(), MissingCapabilities> {
    let missing: Vec<_> =
        [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON"), (CAP_SYS_ADMIN, "CAP_SYS_ADMIN")]
            .into_iter()
            .filter(|(bit, _)| effective >> bit & 1 == 0)
            .map(|(_, name)| name)
            .collect();
    if missing.is_empty() { Ok(()) } else { Err(MissingCapabilities(missing.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let effective = effective("Name:\tx\nCapEff:\t0000004000200000\n").expect("it is there");
        let error = needed(effective).expect_err("CAP_BPF is missing");
        assert_eq!(error.0, "CAP_BPF");
        assert!(needed(u64::MAX).is_ok());
    }

    #[test]
    fn other_files_say_nothing() {
        assert_eq!(effective("CapEff: xyz"), None);
        assert_eq!(effective(""), None);
    }
}
