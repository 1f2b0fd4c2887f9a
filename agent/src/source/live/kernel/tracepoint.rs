//! Where the fields of a tracepoint are, from its file `format` in tracefs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use upspan_ebpf::config::{FIELDS, TracepointFields};

/// Where tracefs is mounted: on its own, or below debugfs.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const OVS_DP_UPCALL: &str = "events/openvswitch/ovs_dp_upcall/format";

/// Why the fields are not known.
#[derive(Debug, thiserror::Error)]
pub enum TracepointError {
    /// tracefs is not there.
    #[error("tracefs is not mounted: run mount -t tracefs tracefs /sys/kernel/tracing")]
    NoTracefs,
    /// There is no such tracepoint.
    #[error(
        "the kernel has no tracepoint openvswitch:ovs_dp_upcall: is the module loaded (modprobe \
         openvswitch)? Kernels have it since 5.16"
    )]
    NoTracepoint,
    /// It cannot be read.
    #[error("cannot read {path}: {source}; run as root, or with CAP_DAC_READ_SEARCH")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It has changed since upspan was written.
    #[error("the tracepoint openvswitch:ovs_dp_upcall has no field {0}: upspan does not know it")]
    NoField(&'static str),
    /// As above.
    #[error(
        "the tracepoint openvswitch:ovs_dp_upcall has its field {name} at {offset}: upspan does \
         not know it"
    )]
    Place {
        /// Name of the field.
        name: &'static str,
        /// Its offset in bytes.
        offset: u16,
    },
}

/// The fields of `openvswitch:ovs_dp_upcall`.
///
/// # Errors
///
/// The file is not there, cannot be read, or lacks a field.
pub fn ovs_dp_upcall() -> Result<TracepointFields, TracepointError> {
    let tracefs = TRACEFS.map(Path::new).into_iter().find(|folder| folder.join("events").exists());
    let path = tracefs.ok_or(TracepointError::NoTracefs)?.join(OVS_DP_UPCALL);
    match fs::read_to_string(&path) {
        Ok(format) => parse(&format),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(TracepointError::NoTracepoint),
        Err(source) => Err(TracepointError::Unreadable { path, source }),
    }
}

fn parse(format: &str) -> Result<TracepointFields, TracepointError> {
    let offset = |name, size| {
        let offset = field(format, name).ok_or(TracepointError::NoField(name))?;
        let is_readable = FIELDS.contains(&offset) && offset % size == 0;
        if is_readable { Ok(offset) } else { Err(TracepointError::Place { name, offset }) }
    };
    Ok(TracepointFields {
        dp_name: offset("dp_name", 4)?,
        dev_name: offset("dev_name", 4)?,
        skbaddr: offset("skbaddr", 8)?,
        len: offset("len", 4)?,
        data_len: offset("data_len", 4)?,
        upcall_cmd: offset("upcall_cmd", 1)?,
    })
}

/// The offset of a field, from a line such as `field:void * skbaddr; offset:16; size:8; signed:0;`.
fn field(format: &str, name: &str) -> Option<u16> {
    format.lines().find_map(|line| {
        let (declaration, rest) = line.trim().strip_prefix("field:")?.split_once(';')?;
        let declared = declaration.rsplit([' ', '*']).next()?.split('[').next()?;
        let offset = rest.trim().strip_prefix("offset:")?.split(';').next()?;
        (declared == name).then(|| offset.parse().ok())?
    })
}

/// As Linux 6.12 has them.
#[cfg(test)]
pub const LINUX_6_12: TracepointFields = TracepointFields {
    dp_name: 16,
    dev_name: 20,
    skbaddr: 24,
    len: 32,
    data_len: 36,
    upcall_cmd: 84,
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As kernel 6.12 shows it.
    const FORMAT: &str = include_str!("ovs_dp_upcall.format");

    #[test]
    fn the_fields_of_a_real_kernel_are_found() {
        let fields = parse(FORMAT).expect("all are there");
        assert_eq!(fields, LINUX_6_12);
    }

    #[test]
    fn a_field_that_the_programs_cannot_read_is_refused() {
        for offset in ["30", "164"] {
            let moved = FORMAT.replace("len;\toffset:32", &format!("len;\toffset:{offset}"));
            assert!(matches!(parse(&moved), Err(TracepointError::Place { name: "len", .. })));
        }
    }

    #[test]
    fn a_field_that_is_not_there_is_named() {
        let error = parse(&FORMAT.replace("skbaddr", "skb")).expect_err("it is not there");
        assert!(matches!(error, TracepointError::NoField("skbaddr")));
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(format: String, line in "field:.{0,20};.{0,3}offset:.*") {
            let _any = parse(&format);
            let _any = field(&line, "len");
        }
    }
}
