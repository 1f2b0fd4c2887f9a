//! Writes the script's format.

use std::io::{self, Write};

use crate::event::{EventKind, MonotonicNs};
use crate::source::recording::{DatapathPorts, FLUSH_AGE, LossCounts, RecordedEvent, Unwritten};

use super::port_map_line::PortMapLine;
use super::repr;

/// Writes a recording as upcall_cost.py does with `--write-events`, for its `--read-events`.
///
/// The script's format has no place for what it does not record: clocks, host and versions,
/// process ids, port numbers of events, types and interfaces of ports, upcalls that the kernel could
/// not deliver. These are left out. Losses
/// are added up, and come at the end.
///
/// Each event is one write: give it an output with a buffer.
#[derive(Debug)]
pub struct ScriptWriter<W> {
    out: W,
    map: PortMapLine,
    has_map: bool,
    losses: LossCounts,
    line: Vec<u8>,
    /// When the first event since the last flush was.
    begun: Option<MonotonicNs>,
    pub(in super::super) unwritten: Unwritten,
}

impl<W: Write> ScriptWriter<W> {
    /// Begins a recording.
    #[must_use]
    pub fn new(out: W) -> Self {
        Self {
            out,
            map: PortMapLine::default(),
            has_map: false,
            losses: LossCounts::default(),
            line: Vec::with_capacity(4096),
            begun: None,
            unwritten: Unwritten::default(),
        }
    }

    /// Adds ports to those known. upspan takes ports that come later, too; the script takes only
    /// those that come before the first event.
    ///
    /// # Errors
    ///
    /// What the output reports; this holds for the other methods, too. There is no going on then.
    pub fn ports(&mut self, datapaths: &[DatapathPorts]) -> io::Result<()> {
        self.has_map = true;
        self.map.add(&mut self.out, datapaths)
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn event(&mut self, event: &RecordedEvent<'_>) -> io::Result<()> {
        self.write_ports()?;
        self.line.clear();
        print(&mut self.line, event)?;
        self.begun.get_or_insert(event.ts);
        self.out.write_all(&self.line)
    }

    /// Says that events were lost.
    pub fn lost(&mut self, kind: EventKind, count: u64) {
        self.losses[kind] = self.losses[kind].saturating_add(count);
    }

    /// Writes the ports that wait for more of them. The script reads no event before it has ports,
    /// be they none.
    fn write_ports(&mut self) -> io::Result<()> {
        if !self.has_map {
            self.ports(&[])?;
        }
        self.map.write(&mut self.out)
    }

    /// Hands what was written to the system.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn flush(&mut self) -> io::Result<()> {
        self.begun = None;
        self.out.flush()
    }

    /// As [`ScriptWriter::flush`], if the first event since the last time was a second or more
    /// before `now`.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn flush_due(&mut self, now: MonotonicNs) -> io::Result<()> {
        match self.begun {
            Some(begun) if now.since(begun) >= FLUSH_AGE => self.flush(),
            _ => Ok(()),
        }
    }

    /// Ends the recording, and gives the output back.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_ports()?;
        if !self.losses.is_zero() {
            let lost = EventKind::ALL.into_iter().filter(|&kind| self.losses[kind] > 0);
            let counts: Vec<_> =
                lost.map(|kind| format!("{}: {}", kind.index(), self.losses[kind])).collect();
            writeln!(self.out, "event_miss = {{{}}}", counts.join(", "))?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Appends the line of an event: the fields of `struct event_t`, in their order.
fn print(line: &mut Vec<u8>, event: &RecordedEvent<'_>) -> io::Result<()> {
    write!(
        line,
        "event = {{'event': {}, 'cpu': {}, 'pid': {}, 'upcall_type': {}, 'ts': {}, \
         'pkt_frag_size': {}, 'pkt_size': {}, 'key_size': {}",
        event.kind.index(),
        event.cpu.0,
        event.tid.0,
        event.upcall_type,
        event.ts.0,
        event.linear_len,
        event.packet.len,
        event.key.len,
    )?;
    for (name, bytes, nuls) in [
        ("comm", event.comm.as_bytes(), 0),
        ("dpif_name", event.datapath, 0),
        ("dev_name", event.port_name, 0),
        ("pkt", event.packet.bytes, event.packet.padding),
        ("key", event.key.bytes, event.key.padding),
    ] {
        line.extend_from_slice(b", '");
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(b"': ");
        repr::bytes(line, bytes, nuls);
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}
