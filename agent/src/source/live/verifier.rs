//! What the kernel has against a BPF program.

use std::io;

use rustix::io::Errno;
use tracing::debug;

/// Why a program is not loaded.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}{}", because(source, reason.as_deref()))]
pub struct Rejected {
    /// Name of the program.
    pub name: &'static str,
    /// What the system says.
    pub source: io::Error,
    /// The last that the verifier said.
    pub reason: Option<String>,
}

impl Rejected {
    /// With what the verifier said, which is logged.
    #[must_use]
    pub fn new(name: &'static str, source: io::Error, log: &str) -> Self {
        debug!("the verifier about {name}: {log}");
        Self { name, source, reason: last_complaint(log) }
    }
}

fn because(error: &io::Error, reason: Option<&str>) -> String {
    let right = denied(error);
    reason.map_or_else(|| right.to_owned(), |reason| format!(" ({reason}){right}"))
}

/// What to do where a right is missing.
pub(super) fn denied(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            "; this takes root, or the capabilities CAP_BPF and CAP_PERFMON"
        }
        _ => "",
    }
}

/// The last line of the verifier's output that is no statistics.
fn last_complaint(log: &str) -> Option<String> {
    const STATISTICS: [&str; 3] = ["processed ", "stack depth ", "verification time "];
    let is_statistics = |line: &str| STATISTICS.iter().any(|start| line.starts_with(start));
    let mut lines = log.lines().rev().map(str::trim);
    lines.find(|line| !line.is_empty() && !is_statistics(line)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifiers_reason_is_told_and_not_its_steps() {
        let log = "0: (bf) r6 = r1\n1: (85) call bpf_ringbuf_output#130\nR2 min value is negative\n\
                   verification time 93 usec\nstack depth 192+0\nprocessed 7 insns (limit 1000000) max_states_per_insn 0\n\n";
        let invalid = io::Error::from_raw_os_error(Errno::INVAL.raw_os_error());
        insta::assert_snapshot!(
            Rejected::new("recv_upcall", invalid, log),
            @"recv_upcall: Invalid argument (os error 22) (R2 min value is negative)"
        );
        let denied = io::Error::from_raw_os_error(Errno::PERM.raw_os_error());
        insta::assert_snapshot!(
            Rejected::new("recv_upcall", denied, ""),
            @"recv_upcall: Operation not permitted (os error 1); this takes root, or the capabilities CAP_BPF and CAP_PERFMON"
        );
    }
}
