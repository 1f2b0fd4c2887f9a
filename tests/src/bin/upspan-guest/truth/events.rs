//! A recording as a list of events: as they stand there, and nothing made of them yet.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, ensure};
use upspan::enrich::FlowKey;
use upspan::event::{Cpu, EventHead, EventKind, FlowKeyBytes, MonotonicNs, Ordinal, Packet};
use upspan::ports::PortNo;
use upspan::source::input::Input;
use upspan::source::recording::{DatapathPorts, Item, Options, RecordedEvent, Recording};

use super::ident::Ident;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) head: EventHead,
    pub(crate) what: What,
}

/// Why there is an upcall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cause {
    /// No flow matched.
    Miss,
    /// A flow's action says so.
    Action,
}

/// What an event was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    DpUpcall { of: Cause, port: Option<PortNo>, packet: Ident },
    RecvUpcall { of: Cause, port: Option<PortNo>, packet: Ident },
    Put,
    Execute { packet: Ident },
    PacketExecute,
}

impl Event {
    pub(crate) fn kind(&self) -> EventKind {
        match &self.what {
            What::DpUpcall { .. } => EventKind::DpUpcall,
            What::RecvUpcall { .. } => EventKind::RecvUpcall,
            What::Put => EventKind::OpFlowPut,
            What::Execute { .. } => EventKind::OpFlowExecute,
            What::PacketExecute => EventKind::OvsPktExec,
        }
    }

    /// What identifies its packet.
    pub(crate) fn packet(&self) -> Option<&Ident> {
        match &self.what {
            What::DpUpcall { packet, .. }
            | What::RecvUpcall { packet, .. }
            | What::Execute { packet } => Some(packet),
            What::Put | What::PacketExecute => None,
        }
    }
}

/// A recording.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// In order.
    pub(crate) all: Vec<Event>,
    /// `dp_upcall`s that the kernel could not deliver, by where and when they were.
    failed: HashSet<(Cpu, MonotonicNs)>,
    /// Lost events, as the recording says, by [`EventKind::index`].
    pub(crate) lost: [u64; EventKind::ALL.len()],
}

impl Events {
    /// Reads a recording, which must be whole.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let options = Options { strict: true, ..Options::default() };
        let mut recording = Recording::open(&Input::from(path), options)?;
        let (mut events, mut ports) = (Self::default(), PortNumbers::default());
        while let Some(item) = recording.next_item()? {
            match item {
                Item::Ports(known) => ports.add(known),
                Item::Event(event) => {
                    let ordinal = Ordinal(events.all.len() as u64);
                    events.all.push(Event {
                        head: EventHead {
                            ordinal,
                            ts: event.ts,
                            cpu: event.cpu,
                            tid: event.tid,
                            comm: event.comm,
                        },
                        what: what(&event, &ports),
                    });
                }
                Item::Failed(failure) => {
                    events.failed.insert((failure.cpu, failure.dp_upcall));
                }
                Item::Lost { kind, count } => events.lost[kind.index()] += count,
                _ => {}
            }
        }
        ensure!(recording.damage().is_none(), "the recording is damaged");
        events.all.last().context("the recording is empty")?;
        Ok(events)
    }

    /// How many events there are by now in a recording that is being written.
    pub(crate) fn so_far(path: &Path) -> usize {
        let count = || -> anyhow::Result<usize> {
            let mut recording = Recording::open(&Input::from(path), Options::default())?;
            let mut events = 0;
            while let Some(item) = recording.next_item()? {
                events += usize::from(matches!(item, Item::Event(_)));
            }
            Ok(events)
        };
        // There may be no file yet, or not enough of it.
        count().unwrap_or(0)
    }

    /// Whether the kernel could not deliver this `dp_upcall`.
    pub(crate) fn has_failed(&self, dp_upcall: &EventHead) -> bool {
        self.failed.contains(&(dp_upcall.cpu, dp_upcall.ts))
    }

    /// Events of a kind.
    pub(crate) fn of(&self, kind: EventKind) -> impl Iterator<Item = &Event> {
        self.all.iter().filter(move |event| event.kind() == kind)
    }

    /// Lost events of all kinds.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.iter().sum()
    }
}

/// Numbers of ports by datapath and name.
#[derive(Default)]
struct PortNumbers(HashMap<(Vec<u8>, Vec<u8>), PortNo>);

impl PortNumbers {
    fn add(&mut self, known: &[DatapathPorts]) {
        for datapath in known {
            for port in &datapath.ports {
                self.0.insert((datapath.datapath.clone(), port.name.clone()), port.number);
            }
        }
    }

    fn of(&self, event: &RecordedEvent<'_>) -> Option<PortNo> {
        let named = (event.datapath.to_vec(), event.port_name.to_vec());
        event.port.or_else(|| self.0.get(&named).copied())
    }
}

fn what(event: &RecordedEvent<'_>, ports: &PortNumbers) -> What {
    /// `OVS_PACKET_CMD_MISS` of the kernel, and `DPIF_UC_MISS` of vswitchd.
    const MISSES: (u32, u32) = (1, 0);
    let of_type = |miss| if event.upcall_type == miss { Cause::Miss } else { Cause::Action };
    // Of a packet in fragments only the first part was captured.
    let mut bytes = event.packet.valid();
    if event.kind == EventKind::DpUpcall && event.linear_len != 0 {
        bytes = &bytes[..bytes.len().min(event.linear_len as usize)];
    }
    let packet = || Ident::of(Packet { len: event.packet.len, bytes });
    match event.kind {
        EventKind::DpUpcall => {
            What::DpUpcall { of: of_type(MISSES.0), port: ports.of(event), packet: packet() }
        }
        EventKind::RecvUpcall => {
            let key = FlowKeyBytes { len: event.key.len, bytes: event.key.valid() };
            let port = FlowKey::new(key).in_port();
            What::RecvUpcall { of: of_type(MISSES.1), port, packet: packet() }
        }
        EventKind::OpFlowPut => What::Put,
        EventKind::OpFlowExecute => What::Execute { packet: packet() },
        EventKind::OvsPktExec => What::PacketExecute,
    }
}
