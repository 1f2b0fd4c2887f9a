//! The fields of an `event = {...}` line: `struct event_t` of upcall_cost.py, as Python prints it.

use crate::event::{Comm, Cpu, EventKind, MonotonicNs, Tid};
use crate::source::recording::{Captured, LineFault, RecordedEvent};

use super::literal::{Cursor, Decoded};

/// A field, by its place in `struct event_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Event,
    Cpu,
    Pid,
    UpcallType,
    Ts,
    PktFragSize,
    PktSize,
    KeySize,
    Comm,
    DpifName,
    DevName,
    Pkt,
    Key,
}

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Cpu => "cpu",
            Self::Pid => "pid",
            Self::UpcallType => "upcall_type",
            Self::Ts => "ts",
            Self::PktFragSize => "pkt_frag_size",
            Self::PktSize => "pkt_size",
            Self::KeySize => "key_size",
            Self::Comm => "comm",
            Self::DpifName => "dpif_name",
            Self::DevName => "dev_name",
            Self::Pkt => "pkt",
            Self::Key => "key",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"event" => Self::Event,
            b"cpu" => Self::Cpu,
            b"pid" => Self::Pid,
            b"upcall_type" => Self::UpcallType,
            b"ts" => Self::Ts,
            b"pkt_frag_size" => Self::PktFragSize,
            b"pkt_size" => Self::PktSize,
            b"key_size" => Self::KeySize,
            b"comm" => Self::Comm,
            b"dpif_name" => Self::DpifName,
            b"dev_name" => Self::DevName,
            b"pkt" => Self::Pkt,
            b"key" => Self::Key,
            _ => return None,
        })
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// What no event can be used without.
    const ALWAYS_REQUIRED: [Self; 5] = [Self::Event, Self::Cpu, Self::Pid, Self::Ts, Self::Comm];

    /// What, beyond [`Field::ALWAYS_REQUIRED`], an event of `kind` cannot be used without.
    const fn required(kind: EventKind) -> &'static [Self] {
        match kind {
            EventKind::RecvUpcall => &[
                Self::UpcallType,
                Self::PktSize,
                Self::KeySize,
                Self::DpifName,
                Self::Pkt,
                Self::Key,
            ],
            EventKind::DpUpcall => {
                &[Self::PktFragSize, Self::PktSize, Self::DpifName, Self::DevName, Self::Pkt]
            }
            EventKind::OpFlowExecute => &[Self::PktSize, Self::Pkt],
            EventKind::OpFlowPut | EventKind::OvsPktExec => &[],
        }
    }
}

/// The fields of the last line read. Keep it and use it again, for its buffers.
#[derive(Debug)]
pub(super) struct EventLine {
    /// Bits of the fields that the line has.
    seen: u16,
    kind: EventKind,
    ts: MonotonicNs,
    cpu: Cpu,
    tid: Tid,
    upcall_type: u32,
    /// Bytes of the linear part of a non-linear skb, else 0.
    pkt_frag_size: u32,
    pkt_size: u32,
    key_size: u32,
    dpif_name: Decoded,
    dev_name: Decoded,
    pkt: Decoded,
    key: Decoded,
    comm: Decoded,
    /// For what need not be kept: names of fields.
    name: Vec<u8>,
}

impl Default for EventLine {
    fn default() -> Self {
        Self {
            seen: 0,
            kind: EventKind::RecvUpcall,
            ts: MonotonicNs(0),
            cpu: Cpu(0),
            tid: Tid(0),
            upcall_type: 0,
            pkt_frag_size: 0,
            pkt_size: 0,
            key_size: 0,
            dpif_name: Decoded::default(),
            dev_name: Decoded::default(),
            pkt: Decoded::default(),
            key: Decoded::default(),
            comm: Decoded::default(),
            name: Vec::new(),
        }
    }
}

impl EventLine {
    /// Reads the dict at `cursor`, up to the end of the line. Fields may come in any order and
    /// unknown ones are skipped; of a field that comes twice the last one counts, as in Python.
    pub(super) fn read(&mut self, mut cursor: Cursor<'_>) -> Result<(), LineFault> {
        self.clear();
        let mut name = std::mem::take(&mut self.name);
        let read = cursor.dict(
            |cursor| Ok(Field::named(cursor.string(&mut name)?)),
            |cursor, field| match field {
                Some(field) => self.read_field(field, cursor),
                None => Ok(cursor.skip_value()?),
            },
        );
        self.name = name;
        read?;
        cursor.end()?;
        Field::ALWAYS_REQUIRED
            .iter()
            .chain(Field::required(self.kind))
            .find(|field| self.seen & field.bit() == 0)
            .map_or(Ok(()), |field| Err(LineFault::Missing(field.name())))
    }

    /// Forgets the last line, so that nothing of it passes for this one's.
    fn clear(&mut self) {
        self.seen = 0;
        self.upcall_type = 0;
        self.pkt_frag_size = 0;
        self.pkt_size = 0;
        self.key_size = 0;
        for bytes in [&mut self.dpif_name, &mut self.dev_name, &mut self.pkt, &mut self.key] {
            bytes.clear();
        }
    }

    fn read_field(&mut self, field: Field, cursor: &mut Cursor<'_>) -> Result<(), LineFault> {
        match field {
            Field::Event => {
                let code = cursor.integer()?;
                self.kind = u64::try_from(code)
                    .ok()
                    .and_then(EventKind::from_code)
                    .ok_or(LineFault::UnknownKind(code))?;
            }
            Field::Cpu => self.cpu = Cpu(exact(field, cursor)?),
            Field::Pid => self.tid = Tid(exact(field, cursor)?),
            Field::Ts => self.ts = MonotonicNs(exact(field, cursor)?),
            Field::UpcallType => self.upcall_type = upcall_type(cursor.integer()?),
            Field::PktFragSize => self.pkt_frag_size = size(cursor)?,
            Field::PktSize => self.pkt_size = size(cursor)?,
            Field::KeySize => self.key_size = size(cursor)?,
            Field::Comm => cursor.bytes(&mut self.comm)?,
            Field::DpifName => cursor.bytes(&mut self.dpif_name)?,
            Field::DevName => cursor.bytes(&mut self.dev_name)?,
            Field::Pkt => cursor.bytes(&mut self.pkt)?,
            Field::Key => cursor.bytes(&mut self.key)?,
        }
        self.seen |= field.bit();
        Ok(())
    }

    /// The event, borrowed from the buffers.
    pub(super) fn event(&self) -> RecordedEvent<'_> {
        RecordedEvent {
            kind: self.kind,
            ts: self.ts,
            cpu: self.cpu,
            tid: self.tid,
            pid: None,
            comm: Comm::from_bytes(self.comm.as_slice()),
            upcall_type: self.upcall_type,
            datapath: self.dpif_name.as_slice(),
            port_name: self.dev_name.as_slice(),
            port: None,
            packet: Captured::new(self.pkt_size, self.pkt.as_slice()),
            linear_len: self.pkt_frag_size,
            key: Captured::new(self.key_size, self.key.as_slice()),
        }
    }
}

/// A number that means something else when it is bent.
fn exact<T: TryFrom<i128>>(field: Field, cursor: &mut Cursor<'_>) -> Result<T, LineFault> {
    T::try_from(cursor.integer()?).map_err(|_| LineFault::OutOfRange(field.name()))
}

/// A size in bytes; one that cannot be is as good as the nearest that can.
fn size(cursor: &mut Cursor<'_>) -> Result<u32, LineFault> {
    Ok(u32::try_from(cursor.integer()?.max(0)).unwrap_or(u32::MAX))
}

/// One that no upcall can have is as good as any other that is no miss.
fn upcall_type(number: i128) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_names() {
        for kind in EventKind::ALL {
            for &field in Field::ALWAYS_REQUIRED.iter().chain(Field::required(kind)) {
                assert_eq!(Field::named(field.name().as_bytes()), Some(field));
            }
        }
        assert_eq!(Field::named(b"pkt_"), None);
        assert_eq!(Field::named(b""), None);
    }
}
