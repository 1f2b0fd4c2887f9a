//! Writes recordings as Python does.

use std::fmt::{self, Write as _};

use crate::event::EventKind;

pub(super) const PORT_MAP: &str =
    "dp_port_map = {'ovs-system': {'ovs-system': 0, 'p1': 2, 'p2': 3}}\n";

/// `repr` of Python bytes.
pub(super) fn repr(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut text = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\t' => text.push_str(r"\t"),
            b'\n' => text.push_str(r"\n"),
            b'\r' => text.push_str(r"\r"),
            b'\\' => text.push_str(r"\\"),
            b' '..=b'~' if char::from(byte) == quote => write!(text, "\\{quote}").unwrap(),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
    }
    text.push(quote);
    text
}

/// An event as upcall_cost.py writes it.
#[derive(Clone, Debug)]
pub(super) struct EventText {
    pub(super) code: usize,
    pub(super) pid: u32,
    pub(super) upcall_type: u32,
    pub(super) ts: u64,
    pub(super) pkt_frag_size: i64,
    pub(super) pkt_size: i64,
    pub(super) key_size: i64,
    pub(super) comm: &'static str,
    pub(super) dpif_name: &'static str,
    pub(super) dev_name: &'static str,
    pub(super) pkt: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// `OVS_KEY_ATTR_IN_PORT`.
pub(super) fn in_port(number: u32) -> Vec<u8> {
    [&8_u16.to_ne_bytes()[..], &3_u16.to_ne_bytes(), &number.to_ne_bytes()].concat()
}

impl EventText {
    /// A usable event.
    pub(super) fn new(kind: EventKind) -> Self {
        let (dpif_name, dev_name) = match kind {
            EventKind::DpUpcall => ("ovs-system", "p1"),
            EventKind::RecvUpcall => ("system@ovs-system", ""),
            _ => ("", ""),
        };
        Self {
            code: kind.index(),
            pid: 944,
            upcall_type: u32::from(kind == EventKind::DpUpcall),
            ts: 723_456_761_119,
            pkt_frag_size: 0,
            pkt_size: 4,
            key_size: 8,
            comm: "handler13",
            dpif_name,
            dev_name,
            pkt: b"\x02'\"\\\0\0".to_vec(),
            key: in_port(2),
        }
    }

    pub(super) fn line(&self) -> String {
        format!("{self}\n")
    }
}

impl fmt::Display for EventText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "event = {{'event': {}, 'cpu': 1, 'pid': {}, 'upcall_type': {}, 'ts': {}, \
             'pkt_frag_size': {}, 'pkt_size': {}, 'key_size': {}, 'comm': {}, 'dpif_name': {}, \
             'dev_name': {}, 'pkt': {}, 'key': {}}}",
            self.code,
            self.pid,
            self.upcall_type,
            self.ts,
            self.pkt_frag_size,
            self.pkt_size,
            self.key_size,
            repr(self.comm.as_bytes()),
            repr(self.dpif_name.as_bytes()),
            repr(self.dev_name.as_bytes()),
            repr(&self.pkt),
            repr(&self.key),
        )
    }
}
