//! OVS netlink flow keys (`OVS_KEY_ATTR_*` of the kernel's include/uapi/linux/openvswitch.h).
use crate::event::FlowKeyBytes;

/// A flow key, decoded as it is read: borrowed attribute bytes.
#[derive(Clone, Copy, Debug)]
pub struct FlowKey<'a> {
    bytes: &'a [u8],
}

impl<'a> FlowKey<'a> {
    /// Wraps captured key bytes; a key cut by the capture is decoded as far as it goes.
    #[must_use]
    pub const fn new(key: FlowKeyBytes<'a>) -> Self {
        Self { bytes: key.bytes }
    }
    /// x
    pub fn recirc_id(&self) -> Option<u32> {
        let b = self.bytes.get(..8)?;
        (b[2] == 20 && b[3] == 0).then(|| u32::from_ne_bytes([b[4], b[5], b[6], b[7]]))
    }
}
