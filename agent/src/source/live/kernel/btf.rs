//! Offsets of structure members from the kernel's type information (BTF), as
//! Documentation/bpf/btf.rst of the kernel describes it.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows its own types, but not those of its modules.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
/// Bytes of what comes before a type's own data: `struct btf_type`.
const TYPE_LEN: usize = 12;
/// Bytes of `struct btf_member`.
const MEMBER_LEN: usize = 12;

/// Why an offset is not known.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file is not there or not readable.
    #[error(
        "cannot read the kernel's type information {path}: {source}; a kernel with \
         CONFIG_DEBUG_INFO_BTF=y has it, as those of distributions do"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not what the documentation says.
    #[error("the kernel's type information is malformed at byte {0}")]
    Malformed(usize),
    /// The kernel has no such structure, or it no such member.
    #[error("this kernel has no {member} in struct {structure}: upspan does not know it")]
    Missing {
        /// Name of the structure.
        structure: String,
        /// Name of the member.
        member: String,
    },
}

/// The type information of a kernel.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
}

impl Btf {
    /// Reads a file such as [`VMLINUX`].
    ///
    /// # Errors
    ///
    /// The file cannot be read. Whether it is BTF shows when something is looked up.
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        let bytes = fs::read(path)
            .map_err(|source| BtfError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self { bytes })
    }

    /// Offset in bytes of a member in a structure.
    ///
    /// # Errors
    ///
    /// It is malformed, or the member is not there.
    pub fn offset(&self, structure: &str, member: &str) -> Result<u32, BtfError> {
        if self.u16(0)? != MAGIC {
            return Err(BtfError::Malformed(0));
        }
        let header_len = self.u32(4)? as usize;
        let types = header_len + self.u32(8)? as usize;
        let end = types + self.u32(12)? as usize;
        let strings = header_len + self.u32(16)? as usize;
        let is_named = |name: u32, wanted: &str| {
            let from = self.bytes.get(strings + name as usize..).unwrap_or_default();
            from.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        };
        let mut at = types;
        while at < end {
            let info = self.u32(at + 4)?;
            let (kind, count) = (info >> 24 & 0x1f, info as usize & 0xffff);
            let members = at + TYPE_LEN;
            if kind == KIND_STRUCT && is_named(self.u32(at)?, structure) {
                for place in (members..).step_by(MEMBER_LEN).take(count) {
                    if is_named(self.u32(place)?, member) {
                        let bits = self.u32(place + 8)?;
                        let has_bit_fields = info >> 31 == 1;
                        return Ok(if has_bit_fields { bits & 0xff_ffff } else { bits } / 8);
                    }
                }
            }
            at = members + data_len(kind, count).ok_or(BtfError::Malformed(at))?;
        }
        Err(BtfError::Missing { structure: structure.to_owned(), member: member.to_owned() })
    }

    fn u16(&self, at: usize) -> Result<u16, BtfError> {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|&bytes| u16::from_ne_bytes(bytes)).ok_or(BtfError::Malformed(at))
    }

    fn u32(&self, at: usize) -> Result<u32, BtfError> {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|&bytes| u32::from_ne_bytes(bytes)).ok_or(BtfError::Malformed(at))
    }
}

/// Bytes of a type's own data, by its kind (`BTF_KIND_*` of include/uapi/linux/btf.h).
const fn data_len(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats, type tags.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structures, unions, sections, 64-bit enumerations.
        4 | 5 | 15 | 19 => count * 12,
        // Enumerations, parameters.
        6 | 13 => count * 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `struct a { int x; int data; }`, after an integer.
    fn small() -> Vec<u8> {
        let strings = b"\0int\0a\0x\0data\0";
        let kind = |kind: u32, count: u32| kind << 24 | count;
        let types: Vec<u32> = [
            &[1, kind(1, 0), 4, 32][..],
            &[5, kind(KIND_STRUCT, 2), 8][..],
            &[7, 1, 0, 9, 1, 32][..],
        ]
        .concat();
        let types_len = types.len() as u32 * 4;
        let words = [24, 0, types_len, types_len, strings.len() as u32];
        let mut bytes = [&MAGIC.to_ne_bytes()[..], &[1, 0]].concat();
        bytes.extend(words.into_iter().chain(types).flat_map(u32::to_ne_bytes));
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn members_are_found_by_name() {
        let btf = Btf { bytes: small() };
        assert_eq!(btf.offset("a", "data").expect("it is there"), 4);
        assert!(matches!(btf.offset("a", "dat"), Err(BtfError::Missing { .. })));
        assert!(matches!(btf.offset("int", "x"), Err(BtfError::Missing { .. })));
    }

    #[test]
    fn this_kernel_has_the_data_of_a_packet() {
        if let Ok(btf) = Btf::read(Path::new(VMLINUX)) {
            assert_eq!(btf.offset("sk_buff", "data").expect("it is there") % 8, 0);
        }
    }

    #[test]
    fn a_missing_file_says_what_kernel_is_needed() {
        let error = Btf::read(Path::new("/nowhere")).expect_err("it is not there");
        assert!(error.to_string().contains("CONFIG_DEBUG_INFO_BTF=y"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes: Vec<u8>, magic: bool, cut in 0_usize..100) {
            if magic {
                let mut whole = small();
                whole.truncate(cut);
                whole.extend(&bytes);
                bytes = whole;
            }
            let _any = Btf { bytes }.offset("a", "data");
        }
    }
}
