//! A recording as a list of events: decoded by the library, and nothing made of them yet.

use std::path::Path;

use anyhow::{Context, ensure};
use upspan::event::{EventBody, EventHead, EventKind, InPort, Unusable};
use upspan::ports::PortNo;
use upspan::source::Record;
use upspan::source::input::Input;
use upspan::source::recording::{Options, Recording};

use super::ident::Ident;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) head: EventHead,
    pub(crate) what: What,
}

/// What it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    DpUpcall { port: PortNo, packet: Ident },
    RecvUpcall { port: Option<PortNo>, packet: Ident },
    Put,
    Execute { packet: Ident },
    PacketExecute,
    /// Of no use to the correlator, such as an upcall of the type ACTION.
    Unusable(EventKind, Unusable),
}

impl Event {
    pub(crate) fn kind(&self) -> EventKind {
        match self.what {
            What::DpUpcall { .. } => EventKind::DpUpcall,
            What::RecvUpcall { .. } => EventKind::RecvUpcall,
            What::Put => EventKind::OpFlowPut,
            What::Execute { .. } => EventKind::OpFlowExecute,
            What::PacketExecute => EventKind::OvsPktExec,
            What::Unusable(kind, _) => kind,
        }
    }

    /// What identifies its packet.
    pub(crate) fn packet(&self) -> Option<&Ident> {
        match &self.what {
            What::DpUpcall { packet, .. }
            | What::RecvUpcall { packet, .. }
            | What::Execute { packet } => Some(packet),
            What::Put | What::PacketExecute | What::Unusable(..) => None,
        }
    }
}

/// A recording.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// In order.
    pub(crate) all: Vec<Event>,
    /// Lost events, as the recording says, by [`EventKind::index`].
    pub(crate) lost: [u64; EventKind::ALL.len()],
}

impl Events {
    /// Reads a recording, which must be whole.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let options = Options { strict: true, ..Options::default() };
        let mut recording = Recording::open(&Input::from(path), options)?;
        let mut events = Self::default();
        while let Some(record) = recording.next()? {
            match record {
                Record::Event(event) => {
                    let what = match event.body {
                        EventBody::DpUpcall { port, packet, .. } => {
                            What::DpUpcall { port, packet: Ident::of(packet) }
                        }
                        EventBody::RecvUpcall { in_port, packet, .. } => What::RecvUpcall {
                            port: match in_port {
                                InPort::Port(port) => Some(port),
                                InPort::Any => None,
                            },
                            packet: Ident::of(packet),
                        },
                        EventBody::FlowPut => What::Put,
                        EventBody::FlowExecute { packet } => {
                            What::Execute { packet: Ident::of(packet) }
                        }
                        EventBody::PacketExecute => What::PacketExecute,
                    };
                    events.all.push(Event { head: event.head, what });
                }
                Record::Unusable { kind, head, reason } => {
                    events.all.push(Event { head, what: What::Unusable(kind, reason) });
                }
                Record::Lost { kind, count } => events.lost[kind.index()] += count,
                // Where events are missing; how many, `Lost` says.
                Record::Unreadable | Record::Failed { .. } => {}
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
            while let Some(record) = recording.next()? {
                events += usize::from(matches!(record, Record::Event(_)));
            }
            Ok(events)
        };
        // There may be no file yet, or not enough of it.
        count().unwrap_or(0)
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
