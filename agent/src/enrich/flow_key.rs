//! OVS netlink flow keys (`OVS_KEY_ATTR_*` of the kernel's include/uapi/linux/openvswitch.h).

use std::fmt;

use crate::event::FlowKeyBytes;

/// A flow key, decoded as it is read: borrowed attribute bytes.
#[derive(Clone, Copy, Debug)]
pub struct FlowKey<'a> {
    key: FlowKeyBytes<'a>,
}

impl<'a> FlowKey<'a> {
    /// Wraps captured key bytes; a key cut by the capture is decoded as far as it goes.
    #[must_use]
    pub const fn new(key: FlowKeyBytes<'a>) -> Self {
        Self { key }
    }

    fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.key.bytes;
        while let Some((head, _)) = rest.split_first_chunk::<4>() {
            let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
            let kind = u16::from_ne_bytes([head[2], head[3]]);
            let value = rest.get(4..len)?;
            if kind == wanted {
                return Some(value);
            }
            rest = rest.get(len.next_multiple_of(4)..)?;
        }
        None
    }

    /// Recirculation id.
    #[must_use]
    pub fn recirc_id(&self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.attribute(20)?.try_into().ok()?))
    }

    /// Connection tracking state.
    #[must_use]
    pub fn ct_state(&self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.attribute(22)?.try_into().ok()?))
    }

    /// Connection tracking zone.
    #[must_use]
    pub fn ct_zone(&self) -> Option<u16> {
        Some(u16::from_ne_bytes(self.attribute(23)?.try_into().ok()?))
    }
}

impl fmt::Display for FlowKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stub({} bytes)", self.key.bytes.len())
    }
}
