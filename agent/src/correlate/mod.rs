//! Puts the events of each upcall together: streaming, in a single pass, without I/O or clock.
//!
//! Time is what the events say. Memory is bounded by [`Config`]; the cost per event does not grow
//! with what is waiting. Every event pushed reaches the [`Sink`] once, as part of an upcall or as
//! unmatched; only the `dp_upcall` of a GSO super-packet is part of several upcalls.
//!
//! Two joins make an upcall: between kernel and handler thread by the packet (`waiting`), and
//! within the thread by the order in which vswitchd works (`batch`). The second one rests on
//! nothing missing: so a thread's operations are joined only where its batches before and after
//! show no sign of lost events either.

mod batch;
mod evidence;
mod packet;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::enrich::flow_key::FlowKey;
use crate::event::{Event, EventBody, EventHead, EventKind, MonotonicNs, Ordinal, Tid};
use crate::upcall::{FailedUpcall, Sink, Unmatched, UnmatchedReason};
use batch::{Batch, Close, Doubt, KernelJoin, Remaining, Trust};
use evidence::Evidence;
use waiting::{Expired, Found, Origin, WaitingUpcalls};

/// Bounds and modes of a [`Correlator`].
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long, in nanoseconds of event time, events wait for what belongs to them.
    pub timeout_ns: u64,
    /// Most `dp_upcall`s that wait; past it the oldest gives way. The sockets of a vswitchd that
    /// does not read hold some thousand small packets per handler thread.
    pub max_waiting: usize,
    /// Most bytes of their packets; past it the oldest gives way, too.
    pub max_waiting_bytes: usize,
    /// Most threads that are followed.
    pub max_threads: usize,
    /// Events are known to be lost, but not where: see [`Correlator::lost`], for good.
    pub lossy: bool,
    /// Batches of the same thread, before and after, that must show no sign of loss either for a
    /// batch's operations to be joined.
    pub neighbours: usize,
}

impl Config {
    /// For a capture on this node, which says by itself what the kernel could not deliver: what
    /// waits does so in a socket, and is read some day.
    #[must_use]
    pub fn live() -> Self {
        Self { max_waiting: 65_536, ..Self::default() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout_ns: 10_000_000_000,
            max_waiting: 16_384,
            max_waiting_bytes: 16 << 20,
            max_threads: 512,
            lossy: false,
            neighbours: 2,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Correlator {
    config: Config,
    waiting: WaitingUpcalls,
    threads: HashMap<Tid, Thread, foldhash::fast::FixedState>,
    spare: Vec<Batch>,
    now: MonotonicNs,
    swept: MonotonicNs,
    /// The latest event.
    position: Ordinal,
    evidence: Evidence,
    /// When a loss was last reported or evident.
    lost: Option<MonotonicNs>,
    /// When a recirculated packet last came up: where packets pass the datapath more than once,
    /// the same bytes are sent up more than once.
    recirculated: Option<MonotonicNs>,
}

#[derive(Debug, Default)]
struct Thread {
    current: Batch,
    /// Closed batches, oldest first, that wait for the ones after them.
    held: VecDeque<Batch>,
    /// Batches handed on since the last one in doubt, as many as matter.
    clean: usize,
    last: MonotonicNs,
}

impl Thread {
    /// How long a thread is silent before it is taken to have done everything for its batch.
    const SETTLED_NS: i64 = 100_000_000;
    /// The same where members have a flow put and no execute, which may still come.
    const DOUBTFUL_NS: i64 = 1_000_000_000;

    /// Whether nothing more is to be expected for what it has.
    fn is_settled(&self, now: MonotonicNs) -> bool {
        let silent = now.since(self.last);
        if self.current.is_empty() && self.held.is_empty() {
            return false;
        }
        match self.current.remaining() {
            Remaining::Nothing => silent > Self::SETTLED_NS,
            Remaining::PerhapsExecutes => silent > Self::DOUBTFUL_NS,
            Remaining::Operations => false,
        }
    }
}

impl Correlator {
    /// An empty one.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            waiting: WaitingUpcalls::new(config.max_waiting, config.max_waiting_bytes),
            threads: HashMap::default(),
            spare: Vec::new(),
            now: MonotonicNs::default(),
            swept: MonotonicNs::default(),
            position: Ordinal::default(),
            evidence: Evidence::default(),
            lost: None,
            recirculated: None,
        }
    }

    /// Takes the next event.
    pub fn push(&mut self, event: &Event<'_>, sink: &mut impl Sink) {
        self.advance(event.head.ts, sink);
        let head = event.head;
        self.position = head.ordinal;
        match event.body {
            EventBody::DpUpcall { upcall_type, datapath, port, packet, .. } => {
                while let Some(Expired { head, .. }) = self.waiting.pop_excess() {
                    let (kind, reason) = (EventKind::DpUpcall, UnmatchedReason::Evicted);
                    sink.unmatched(&Unmatched { kind, head, reason });
                }
                self.waiting.insert(head, Origin { datapath, upcall_type }, port, &packet);
            }
            EventBody::RecvUpcall { upcall_type, datapath, in_port, packet, key } => {
                let origin = Origin { datapath, upcall_type };
                let lossy = self.lossy();
                let recirculated = FlowKey::new(key).recirc_id().is_some_and(|id| id != 0);
                if recirculated {
                    self.recirculated = Some(self.now);
                }
                // With losses, a recirculated packet may find the `dp_upcall` of its first pass.
                let kernel = if lossy && recirculated {
                    KernelJoin::Ambiguous
                } else {
                    match self.waiting.take(origin, in_port, &packet, lossy) {
                        Found::One(side) => KernelJoin::Joined(side),
                        Found::Several => KernelJoin::Ambiguous,
                        Found::Nothing => KernelJoin::NotSeen,
                    }
                };
                let thread = self.thread(head, sink);
                if !thread.current.takes_another() {
                    self.begin_batch(head.tid, sink);
                    self.release(head.tid, self.config.neighbours, sink);
                }
                let current = &mut self.thread(head, sink).current;
                current.recv(head, origin, in_port, &packet, &key, kernel);
                let evidence = current.take_evidence();
                self.note(evidence);
            }
            EventBody::FlowPut if head.comm.is_revalidator() => {
                let reason = UnmatchedReason::Revalidator;
                sink.unmatched(&Unmatched { kind: EventKind::OpFlowPut, head, reason });
            }
            EventBody::FlowPut => {
                let current = &mut self.thread(head, sink).current;
                current.flow_put(head, sink);
                let evidence = current.take_evidence();
                self.note(evidence);
            }
            EventBody::FlowExecute { packet } => {
                let lossy = self.lossy();
                let current = &mut self.thread(head, sink).current;
                current.flow_execute(head, &packet, lossy, sink);
                let evidence = current.take_evidence();
                self.note(evidence);
            }
            EventBody::PacketExecute => {
                let current = &mut self.thread(head, sink).current;
                current.packet_execute(head, sink);
                let evidence = current.take_evidence();
                self.note(evidence);
            }
        }
    }

    /// Notes that the kernel could not deliver the `dp_upcall` that was at `dp_upcall`, and gave up
    /// at `returned` on the same CPU. Nothing happens if that one was not seen, or not alone.
    pub fn failed(
        &mut self,
        returned: &EventHead,
        dp_upcall: MonotonicNs,
        errno: i32,
        sink: &mut impl Sink,
    ) {
        self.waiting.take_failed(returned.cpu, dp_upcall, |&head, origin, port, packet| {
            let Origin { datapath, upcall_type } = origin;
            let returned = returned.ts;
            sink.failed(&FailedUpcall {
                upcall_type,
                datapath,
                port,
                head,
                packet,
                returned,
                errno,
            });
        });
    }

    /// Hands on what is settled by `now`, although no further event comes: batches of threads that
    /// fell silent with everything done, and what waited too long. For a source that has given all
    /// events from before `now`, and perhaps later ones.
    pub fn settle(&mut self, now: MonotonicNs, sink: &mut impl Sink) {
        // The source may be far behind: time does not start anew for that.
        if now > self.now {
            self.advance(now, sink);
        }
        if self.lossy() {
            return;
        }
        let quiet: Vec<Tid> = self
            .threads
            .iter()
            .filter(|(_, thread)| thread.is_settled(now))
            .map(|(&tid, _)| tid)
            .collect();
        for tid in quiet {
            self.close_batch(tid, Close::Next, sink);
            self.release(tid, 0, sink);
        }
    }

    /// Notes that the source lost events just now: whatever is being put together may lack some.
    /// For the timeout's length from now on, anything unusual counts as a sign of loss, and a
    /// packet that may have been sent up twice is not joined.
    pub fn lost(&mut self) {
        self.note(Some((self.position, Doubt::Lossy)));
        for thread in self.threads.values_mut() {
            thread.current.add_doubt(Doubt::Lossy);
        }
    }

    fn lossy(&self) -> bool {
        self.config.lossy || self.recently(self.lost)
    }

    fn recently(&self, when: Option<MonotonicNs>) -> bool {
        when.is_some_and(|when| self.now.0.abs_diff(when.0) <= self.config.timeout_ns)
    }

    /// Hands on everything that is left.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        self.close_threads(Close::Ended, |_| true, sink);
        while let Some(Expired { head, contested }) = self.waiting.pop_oldest() {
            let waited = self.now.since(head.ts).unsigned_abs();
            let reason = match contested {
                true => UnmatchedReason::Ambiguous,
                false if waited > self.config.timeout_ns => UnmatchedReason::NeverReceived,
                false => UnmatchedReason::Ended,
            };
            sink.unmatched(&Unmatched { kind: EventKind::DpUpcall, head, reason });
        }
    }

    /// Moves time on. A step back of more than the timeout is a clock that was reset (or an event
    /// with an absurd time before): time starts anew there.
    fn advance(&mut self, ts: MonotonicNs, sink: &mut impl Sink) {
        let timeout = self.config.timeout_ns;
        if ts > self.now || self.now.0.abs_diff(ts.0) > timeout {
            self.now = ts;
        }
        let now = self.now;
        let over = |ts: MonotonicNs| now.0.abs_diff(ts.0) > timeout;
        while let Some(Expired { head, contested }) = self.waiting.pop_expired(over) {
            let reason =
                if contested { UnmatchedReason::Ambiguous } else { UnmatchedReason::NeverReceived };
            sink.unmatched(&Unmatched { kind: EventKind::DpUpcall, head, reason });
        }
        // Threads are few, but not so few as to look at all of them for every event.
        if now.0.abs_diff(self.swept.0) > timeout / 4 {
            self.swept = now;
            self.close_threads(Close::TimedOut, |thread| over(thread.last), sink);
        }
    }

    fn thread(&mut self, head: EventHead, sink: &mut impl Sink) -> &mut Thread {
        if self.threads.len() >= self.config.max_threads && !self.threads.contains_key(&head.tid) {
            self.close_threads(Close::TimedOut, |_| true, sink);
        }
        let (spare, clean) = (&mut self.spare, self.config.neighbours);
        let thread = self.threads.entry(head.tid).or_insert_with(|| {
            let mut current = spare.pop().unwrap_or_default();
            current.reset();
            Thread { current, clean, ..Thread::default() }
        });
        thread.last = head.ts;
        thread
    }

    fn close_threads(
        &mut self,
        close: Close,
        which: impl Fn(&Thread) -> bool,
        sink: &mut impl Sink,
    ) {
        let mut tids: Vec<Tid> =
            self.threads.iter().filter(|(_, thread)| which(thread)).map(|(tid, _)| *tid).collect();
        tids.sort_unstable();
        for &tid in &tids {
            self.close_batch(tid, close, sink);
        }
        for tid in tids {
            self.release(tid, 0, sink);
            if let Some(thread) = self.threads.remove(&tid) {
                self.spare.push(thread.current);
            }
        }
    }

    /// Closes the thread's current batch, and begins the next one with what must be of it.
    fn begin_batch(&mut self, tid: Tid, sink: &mut impl Sink) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let mut next = self.spare.pop().unwrap_or_default();
        next.reset();
        thread.current.carry_over(&mut next);
        self.close_batch(tid, Close::Next, sink);
        if let Some(thread) = self.threads.get_mut(&tid) {
            self.spare.push(std::mem::replace(&mut thread.current, next));
        }
    }

    /// Closes the thread's current batch.
    fn close_batch(&mut self, tid: Tid, close: Close, sink: &mut impl Sink) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        thread.current.close(close, sink);
        let mut next = self.spare.pop().unwrap_or_default();
        next.reset();
        let mut closed = std::mem::replace(&mut thread.current, next);
        let evidence = closed.take_evidence();
        if closed.is_empty() {
            // Operations of an upcall before the capture; it says nothing of its neighbours.
            self.spare.push(closed);
        } else {
            thread.held.push_back(closed);
        }
        self.note(evidence);
    }

    /// Hands on all closed batches of the thread but the last `keep`.
    fn release(&mut self, tid: Tid, keep: usize, sink: &mut impl Sink) {
        let (lossy, recirculating) = (self.lossy(), self.recently(self.recirculated));
        let suspicious = if lossy { Doubt::Unusual } else { Doubt::Lossy };
        let neighbours = self.config.neighbours;
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        while thread.held.len() > keep {
            let doubtful = |batch: &Batch| batch.doubt() >= suspicious;
            let after = thread.held.iter().take(neighbours + 1).any(doubtful);
            let Some(mut batch) = thread.held.pop_front() else { break };
            let (first, last) = batch.span();
            let doubted = after
                || thread.clean < neighbours
                || self.evidence.is_near(first, last, suspicious);
            let trust = match doubted {
                false if lossy => Trust::Prompt,
                false => Trust::All,
                true if lossy && recirculating => Trust::Nothing,
                true => Trust::Packets,
            };
            thread.clean = if doubtful(&batch) { 0 } else { (thread.clean + 1).min(neighbours) };
            batch.emit(trust, sink);
            self.spare.push(batch);
        }
    }

    /// Takes note of where doubt was cast.
    fn note(&mut self, evidence: Option<(Ordinal, Doubt)>) {
        if let Some((at, doubt)) = evidence {
            self.evidence.add(at, doubt);
            if doubt == Doubt::Lossy {
                self.lost = Some(self.now);
            }
        }
    }
}
