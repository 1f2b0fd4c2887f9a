//! /proc/PID/maps, see proc_pid_maps(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The first place where a process maps the code of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub(super) start: u64,
    /// The address behind the last.
    pub(super) end: u64,
    /// Path in the process's mount namespace, as the kernel prints it.
    pub(super) path: PathBuf,
    /// Device and inode as the kernel prints them. Those of `stat` may differ, on btrfs for
    /// example, so they only tell the lines of one process apart.
    pub(super) device: Vec<u8>,
    pub(super) inode: u64,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Code of a file.
    Code(Mapping),
    /// Anything else.
    Other,
}

/// Reads a line. `None` if it is malformed.
pub(super) fn parse(line: &[u8]) -> Option<Line> {
    // Addresses, rights, offset, device, inode, and the path behind as many spaces as make columns.
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let addresses = std::str::from_utf8(fields.next()?).ok()?;
    let rights = fields.next()?;
    let _offset = fields.next()?;
    let device = fields.next()?.to_vec();
    let inode = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let (start, end) = addresses.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    let path = fields.next().unwrap_or_default().trim_ascii_start();
    // Rights as in `r-xp`. What is not of a file has no path, or one such as `[vdso]`.
    if rights.get(2) != Some(&b'x') || inode == 0 || !path.starts_with(b"/") {
        return Some(Line::Other);
    }
    let path = OsString::from_vec(path.to_vec()).into();
    Some(Line::Code(Mapping { start, end, path, device, inode }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODE: &[u8] =
        b"55a542d64000-55a542d6a000 r-xp 00002000 fe:00 247282                     /usr/sbin/a b";

    #[test]
    fn code_of_files_is_found() {
        let expected = Mapping {
            start: 0x55a5_42d6_4000,
            end: 0x55a5_42d6_a000,
            path: "/usr/sbin/a b".into(),
            device: b"fe:00".to_vec(),
            inode: 247_282,
        };
        assert_eq!(parse(CODE), Some(Line::Code(expected)));
    }

    #[test]
    fn data_and_memory_without_a_file_are_something_else() {
        for line in [
            "55a542d62000-55a542d64000 r--p 00000000 fe:00 247282     /usr/bin/head",
            "7f0000000000-7f0000001000 rwxp 00000000 00:00 0 ",
            "7f0000000000-7f0000001000 rwxp 00000000 00:00 0",
            "7ffd4b5fe000-7ffd4b600000 r-xp 00000000 00:00 0          [vdso]",
            "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]",
            "7f0000000000-7f0000001000 r-xp 00000000 00:0e 77         anon_inode:[x]",
        ] {
            assert_eq!(parse(line.as_bytes()), Some(Line::Other), "{line}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for line in ["", "a", "1-2 r-xp 0 0:0", "1 r-xp 0 0:0 1 /a", "1-g r-xp 0 0:0 1 /a"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_do_no_harm(bytes in any::<Vec<u8>>(), cut in 0..CODE.len()) {
            parse(&bytes);
            parse(&[&CODE[..cut], &bytes].concat());
        }
    }
}
