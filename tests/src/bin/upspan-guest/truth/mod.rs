//! Which events really belong together. It is found without the correlator, by means that it does
//! not have: every packet is identified by a mark in it or by its headers, and nothing is lost.

mod align;
mod events;
mod ident;
mod kernel;
mod thread;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use upspan::event::{EventKind, Tid};
use upspan::ports::PortNo;
use upspan_tests::fixtures::Set;

use crate::mark::{Mark, Traffic};

pub(crate) use align::align;
pub(crate) use events::{Cause, Event, Events, What};
pub(crate) use ident::Ident;
use kernel::Kernel;
use thread::{Operations, Thread};

/// An upcall as it really was.
#[derive(Clone, Debug)]
pub(crate) struct TrueUpcall {
    /// Ordinals of its events, by the names of their kinds.
    pub(crate) set: Set,
    pub(crate) of: Cause,
    pub(crate) port: Option<PortNo>,
    pub(crate) packet: Ident,
    /// How long the packet was on its way from the kernel to the thread.
    pub(crate) waited: Duration,
}

impl TrueUpcall {
    /// Without its `dp_upcall`, which was given up before the thread read the packet.
    pub(crate) fn without_kernel(&self) -> Set {
        let mut set = self.set.clone();
        set.remove(EventKind::DpUpcall.name());
        set
    }

    /// Whether it has an event of this kind.
    pub(crate) fn has(&self, kind: EventKind) -> bool {
        self.set.contains_key(kind.name())
    }
}

/// What really was.
#[derive(Debug)]
pub(crate) struct Truth {
    /// By the ordinals of their `recv_upcall`s.
    pub(crate) upcalls: BTreeMap<u64, TrueUpcall>,
    /// `dp_upcall`s that no thread has read, although they were queued.
    pub(crate) not_delivered: Vec<u64>,
}

impl Truth {
    /// Of events of which none was lost.
    pub(crate) fn of(events: &Events) -> Self {
        let mut upcalls = BTreeMap::new();
        let mut kernel = Kernel::default();
        let mut threads: HashMap<Tid, Thread> = HashMap::new();
        // All of them, also those that a slip of the clock has put behind their `recv_upcall`.
        for Event { head, what } in &events.all {
            if let What::DpUpcall { of, port: Some(port), packet } = what
                && !events.has_failed(head)
            {
                kernel.dp_upcall(head.ordinal.0, (*of, *port), packet);
            }
        }
        for Event { head, what } in &events.all {
            let ordinal = head.ordinal.0;
            let thread = threads.entry(head.tid).or_default();
            match what {
                What::RecvUpcall { of, port, packet } => {
                    let mut set = Set::new();
                    set.insert(EventKind::RecvUpcall.name().to_owned(), ordinal);
                    let dp_upcall = port.and_then(|port| kernel.recv_upcall((*of, port), packet));
                    let mut waited = Duration::ZERO;
                    if let Some(dp_upcall) = dp_upcall {
                        // Ordinals count events from 0.
                        let sent = events.all[dp_upcall as usize].head.ts;
                        waited = Duration::from_nanos(head.ts.0.saturating_sub(sent.0));
                        set.insert(EventKind::DpUpcall.name().to_owned(), dp_upcall);
                    }
                    let (of, port, packet) = (*of, *port, packet.clone());
                    thread.recv(ordinal, of, &packet, |recv, done| add(&mut upcalls, recv, &done));
                    upcalls.insert(ordinal, TrueUpcall { set, of, port, packet, waited });
                }
                What::Put if head.comm.is_revalidator() => {}
                What::Put => thread.put(ordinal),
                What::Execute { packet } => thread.execute(ordinal, packet),
                What::PacketExecute => thread.packet_execute(ordinal),
                What::DpUpcall { .. } => {}
            }
        }
        for mut thread in threads.into_values() {
            thread.close(|recv, done| add(&mut upcalls, recv, &done));
        }
        Self { upcalls, not_delivered: kernel.left() }
    }

    /// Upcalls of packets with a mark of this kind.
    pub(crate) fn marked(&self, traffic: Traffic) -> impl Iterator<Item = &TrueUpcall> {
        let is_it = move |mark: Mark| mark.traffic == traffic;
        self.upcalls.values().filter(move |upcall| upcall.packet.mark().is_some_and(is_it))
    }
}

fn add(upcalls: &mut BTreeMap<u64, TrueUpcall>, recv: u64, done: &Operations) {
    let Some(upcall) = upcalls.get_mut(&recv) else { return };
    for (kind, ordinal) in [
        (EventKind::OpFlowPut, done.put),
        (EventKind::OpFlowExecute, done.execute),
        (EventKind::OvsPktExec, done.packet_execute),
    ] {
        if let Some(ordinal) = ordinal {
            upcall.set.insert(kind.name().to_owned(), ordinal);
        }
    }
}

#[cfg(test)]
mod tests {
    use upspan_tests::fixtures;

    use super::*;

    /// What really was is known of them otherwise. Not small-335: the keys of its packets in tunnels
    /// were cut before the port.
    const RECORDINGS: [&str; 4] = ["tiny-56", "medium-10686", "mix-4319", "pvp-10k"];

    #[test]
    fn recordings_are_understood() {
        for name in RECORDINGS {
            let path = fixtures::path(&format!("{name}.events.zst"));
            let truth = Truth::of(&Events::read(&path).unwrap());
            let known = fixtures::sets(&fixtures::json(&format!("{name}.truth")));
            let found: Vec<Set> = truth.upcalls.into_values().map(|upcall| upcall.set).collect();
            assert_eq!(found, known, "{name}");
        }
    }
}
