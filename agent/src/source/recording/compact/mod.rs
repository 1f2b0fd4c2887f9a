//! The compact format, `upspan.recording.v1`: Zstandard frames of length-delimited protobuf
//! records, as the crate `upspan-proto` describes them.
//!
//! An event is a tenth of what the script's format takes before compression. Each frame stands for
//! itself and has a checksum, so that a file can be read as far as it was written.

mod encode;
mod framing;
mod reader;
mod writer;

pub(super) use reader::{Reader, skim};
pub use upspan_proto::recording::v1::MAX_RECORD_LEN;
pub(super) use upspan_proto::recording::v1::{MAGIC, MAGIC_OF_ANY_VERSION};
pub use writer::CompactWriter;
