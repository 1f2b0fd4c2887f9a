//! Encoded traces that wait, first in, first out, in a fixed piece of memory.

use std::collections::VecDeque;
use std::time::Instant;

use super::connection::Connection;

/// A trace that waits for the spans of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) connection: Connection,
    /// How many spans it has.
    pub(super) spans: usize,
    /// Until when it waits.
    pub(super) until: Instant,
}

/// See the module. The memory is a ring; a trace is never in two pieces, so some bytes at the end
/// may stay unused.
#[derive(Debug)]
pub(super) struct Waiting {
    ring: Box<[u8]>,
    /// Where the next trace goes.
    tail: usize,
    traces: VecDeque<(Held, usize, usize)>,
}

impl Waiting {
    pub(super) fn new(bytes: usize) -> Self {
        Self { ring: vec![0; bytes].into_boxed_slice(), tail: 0, traces: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.traces.len()
    }

    /// Takes a trace in; `false` if there is no room.
    pub(super) fn push(&mut self, held: Held, trace: &[u8]) -> bool {
        let Some(at) = self.place(trace.len()) else { return false };
        self.ring[at..at + trace.len()].copy_from_slice(trace);
        self.tail = at + trace.len();
        self.traces.push_back((held, at, trace.len()));
        true
    }

    /// Where a trace of this length fits behind the last one.
    fn place(&self, len: usize) -> Option<usize> {
        let Some(&(_, head, _)) = self.traces.front() else {
            return (len <= self.ring.len()).then_some(0);
        };
        // An empty trace may make both equal although nothing was written: it takes no room.
        let is_wrapped = self.traces.back().is_some_and(|&(_, last, _)| last < head);
        if is_wrapped {
            return (self.tail + len <= head).then_some(self.tail);
        }
        if self.tail + len <= self.ring.len() {
            return Some(self.tail);
        }
        (len <= head).then_some(0)
    }

    /// The trace that has waited longest.
    pub(super) fn front(&self) -> Option<(&Held, &[u8])> {
        let (held, at, len) = self.traces.front()?;
        Some((held, &self.ring[*at..at + len]))
    }

    pub(super) fn pop(&mut self) {
        self.traces.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::super::connection::{Socket, Transport};
    use super::*;

    fn held(spans: usize) -> Held {
        let socket = Socket { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 1 };
        let connection =
            Connection { transport: Transport::Tcp, source: socket, destination: socket };
        Held { connection, spans, until: Instant::now() }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order(
            steps in proptest::collection::vec(proptest::option::of(1_usize..40), 0..300),
        ) {
            let mut waiting = Waiting::new(100);
            let mut model: VecDeque<(usize, Vec<u8>)> = VecDeque::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Some(len) => {
                        let trace = vec![number as u8; len];
                        if waiting.push(held(number), &trace) {
                            model.push_back((number, trace));
                        } else {
                            let used: usize = model.iter().map(|(_, trace)| trace.len()).sum();
                            prop_assert!(used + 2 * 40 > 100, "refused with {used} bytes used");
                        }
                    }
                    None => {
                        waiting.pop();
                        model.pop_front();
                    }
                }
                let front = waiting.front().map(|(held, trace)| (held.spans, trace.to_vec()));
                prop_assert_eq!(front.as_ref(), model.front());
                prop_assert_eq!(waiting.len(), model.len());
            }
        }
    }
}
