//! OVS netlink flow keys (`OVS_KEY_ATTR_*` of the kernel's include/uapi/linux/openvswitch.h).

/// A flow key, decoded as it is read: borrowed attribute bytes.
#[derive(Clone, Copy, Debug)]
pub struct FlowKey<'a> {
    bytes: &'a [u8],
}

impl<'a> FlowKey<'a> {
    /// Wraps captured key bytes; a key cut by the capture is decoded as far as it goes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}
