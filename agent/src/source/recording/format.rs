//! The formats of recordings.

use std::fmt;

use clap::ValueEnum;

use super::compact;

/// The format of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// What upcall_cost.py writes with --write-events, and reads with --read-events.
    Script,
    /// Small; has clocks, host and versions; can be read as far as it was written.
    Compact,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Script => "script",
            Self::Compact => "compact",
        })
    }
}

/// A recording of a version of the compact format that this upspan does not read: its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownVersion(pub(super) String);

impl Format {
    /// Tells by the first decompressed bytes. Whatever is not the compact format is taken for the
    /// script's: its reader says what it makes of it.
    pub(super) fn detect(start: &[u8]) -> Result<Self, UnknownVersion> {
        if start.starts_with(compact::MAGIC) {
            return Ok(Self::Compact);
        }
        if !start.starts_with(compact::MAGIC_OF_ANY_VERSION) {
            return Ok(Self::Script);
        }
        let name = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
        Err(UnknownVersion(name.escape_ascii().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_format() {
        let named = |start: &[u8]| Format::detect(start).map_err(|UnknownVersion(name)| name);
        assert_eq!(named(b"upspan.recording.v1\n\x02"), Ok(Format::Compact));
        assert_eq!(named(b"dp_port_map = {'ovs"), Ok(Format::Script));
        assert_eq!(named(b""), Ok(Format::Script));
        assert_eq!(named(b"upspan.rec"), Ok(Format::Script));
        assert_eq!(named(b"upspan.recording.v2\nabc"), Err("upspan.recording.v2".to_owned()));
        assert_eq!(named(b"upspan.recording.v1\xff"), Err("upspan.recording.v1\\xff".to_owned()));
    }
}
