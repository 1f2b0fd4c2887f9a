//! /proc/PID/stat and status, see proc_pid_stat(5) and proc_pid_status(5).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::ProcessError;
use super::id::{Pid, StartTime};
use super::is_gone;

/// What is wanted of /proc/PID/stat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Name of the first thread, field 2.
    pub(super) comm: Vec<u8>,
    /// Not a zombie, field 3.
    pub(super) is_alive: bool,
    /// Field 4.
    pub(super) parent: Pid,
    /// Field 22.
    pub(super) start: StartTime,
}

/// Why there is no [`Stat`].
#[derive(Debug)]
pub(super) enum StatError {
    Read { path: PathBuf, error: io::Error },
    Malformed(PathBuf),
}

impl StatError {
    /// As it concerns the process `pid`.
    pub(super) fn of(self, pid: Pid) -> ProcessError {
        match self {
            Self::Read { error, .. } if is_gone(&error) => ProcessError::NotRunning(pid),
            Self::Read { path, error } => ProcessError::Unreadable { path, error },
            Self::Malformed(path) => ProcessError::Malformed(path),
        }
    }
}

impl Stat {
    /// Reads it of a process's directory.
    pub(super) fn read(dir: &Path) -> Result<Self, StatError> {
        let path = dir.join("stat");
        match fs::read(&path) {
            Ok(bytes) => Self::parse(&bytes).ok_or(StatError::Malformed(path)),
            Err(error) => Err(StatError::Read { path, error }),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        // A name may have spaces and parentheses in it, but nothing has them behind it.
        let start = memchr::memchr(b'(', bytes)? + 1;
        let end = memchr::memrchr(b')', bytes)?;
        let comm = bytes.get(start..end)?.to_vec();
        let mut fields = std::str::from_utf8(&bytes[end + 1..]).ok()?.split_ascii_whitespace();
        let is_alive = !matches!(fields.next()?, "Z" | "X" | "x");
        let parent = Pid(fields.next()?.parse().ok()?);
        // The next one is field 5.
        let start = StartTime(fields.nth(22 - 5)?.parse().ok()?);
        Some(Self { comm, is_alive, parent, start })
    }
}

/// The process that the thread `tid` belongs to: itself, if it is a process's first. Procfs shows
/// threads like processes to who asks for them by number.
pub(super) fn process_of_thread(dir: &Path, tid: Pid) -> Result<Pid, ProcessError> {
    let path = dir.join("status");
    let read = |error| StatError::Read { path: path.clone(), error }.of(tid);
    let status = fs::read(&path).map_err(read)?;
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"));
    line.and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok().map(Pid))
        .ok_or(ProcessError::Malformed(path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REAL: &[u8] = b"812 (ovs-vswitchd) S 811 812 812 0 -1 1077936448 6000 0 5 0 200 100 0 0 \
        10 -10 9 0 4711 281837568 9000 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0\n";

    #[test]
    fn a_real_line_is_read() {
        let expected = Stat {
            comm: b"ovs-vswitchd".to_vec(),
            is_alive: true,
            parent: Pid(811),
            start: StartTime(4711),
        };
        assert_eq!(Stat::parse(REAL), Some(expected));
    }

    #[test]
    fn a_name_may_look_like_other_fields() {
        let line = String::from_utf8(REAL.to_vec()).unwrap().replace("ovs-vswitchd", "a) Z 1 (b");
        let stat = Stat::parse(line.as_bytes()).unwrap();
        assert_eq!((stat.comm.as_slice(), stat.is_alive), (&b"a) Z 1 (b"[..], true));
    }

    #[test]
    fn zombies_are_not_alive() {
        let line = String::from_utf8(REAL.to_vec()).unwrap().replace(") S", ") Z");
        assert!(!Stat::parse(line.as_bytes()).unwrap().is_alive);
    }

    #[test]
    fn a_process_of_this_machine_is_read() {
        let dir = Path::new("/proc/self");
        let stat = Stat::read(dir).unwrap();
        assert!(stat.is_alive && stat.start > StartTime(0));
        let pid = Pid(std::process::id());
        assert_eq!(process_of_thread(dir, pid).unwrap(), pid);
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_do_no_harm(bytes in any::<Vec<u8>>(), cut in 0..REAL.len()) {
            Stat::parse(&bytes);
            Stat::parse(&REAL[..cut]);
            Stat::parse(&[&bytes[..], &REAL[cut..]].concat());
        }
    }
}
