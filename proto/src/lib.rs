//! The protobuf messages of upspan, generated from the `.proto` files in `proto/` and checked in,
//! so that no build needs `protoc`.

/// Recordings.
pub mod recording {
    /// The compact recording format, version 1.
    pub mod v1 {
        include!("generated/upspan.recording.v1.rs");

        /// What a recording begins with, ahead of its first [`Record`].
        pub const MAGIC: &[u8; 20] = b"upspan.recording.v1\n";

        /// What recordings of any version begin with; the version's number and a newline follow.
        pub const MAGIC_OF_ANY_VERSION: &[u8; 18] = b"upspan.recording.v";

        /// Most bytes of a [`Record`], without the length ahead of it.
        pub const MAX_RECORD_LEN: usize = 1024 * 1024;
    }
}

/// The API of a running agent, version 1.
pub mod v1 {
    #![expect(
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "tonic generates it so"
    )]
    #![expect(clippy::large_enum_variant, reason = "nearly all that is streamed is upcalls")]

    include!("generated/upspan.v1.rs");

    /// The descriptors of `observer.proto` and of what it imports, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/upspan.v1.binpb");
}
