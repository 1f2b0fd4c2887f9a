//! Drives a recording through the correlator, to whoever wants to know.

use crate::correlate::{Config, Correlator};
use crate::event::{Event, EventKind, MonotonicNs};
use crate::ports::Ports;
use crate::report::{EventCounts, Report};
use crate::source::Record;
use crate::source::input::Progress;
use crate::source::recording::{Recording, RecordingError};
use crate::trace::TimeAnchor;
use crate::upcall::{FailedUpcall, Sink, Unmatched, Upcall};

/// Takes what a pipeline yields. The references are valid during the call only.
pub trait Consumer {
    /// A usable event, before it is correlated.
    fn event(&mut self, event: &Event<'_>, ports: &Ports);
    /// See [`Sink::upcall`].
    fn upcall(&mut self, upcall: &Upcall<'_>, ports: &Ports);
    /// See [`Sink::failed`].
    fn failed(&mut self, failed: &FailedUpcall<'_>, ports: &Ports);
    /// See [`Sink::unmatched`].
    fn unmatched(&mut self, unmatched: &Unmatched);
    /// What times mean from here on, by the clocks of whoever recorded them.
    fn clock(&mut self, _: TimeAnchor) {}
    /// Events that the source has lost, at about this place.
    fn lost(&mut self, _kind: EventKind, _count: u64) {}
    /// All that has happened by now was handed on: time to show it. Only of a live source.
    fn settled(&mut self) {}
    /// Whether it is of no use to go on. Asked now and then.
    fn is_closed(&self) -> bool {
        false
    }
}

/// Both take everything.
#[derive(Debug)]
pub struct Tee<A, B>(pub A, pub B);

impl<A: Consumer, B: Consumer> Consumer for Tee<A, B> {
    fn event(&mut self, event: &Event<'_>, ports: &Ports) {
        self.0.event(event, ports);
        self.1.event(event, ports);
    }

    fn upcall(&mut self, upcall: &Upcall<'_>, ports: &Ports) {
        self.0.upcall(upcall, ports);
        self.1.upcall(upcall, ports);
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>, ports: &Ports) {
        self.0.failed(failed, ports);
        self.1.failed(failed, ports);
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        self.0.unmatched(unmatched);
        self.1.unmatched(unmatched);
    }

    fn clock(&mut self, anchor: TimeAnchor) {
        self.0.clock(anchor);
        self.1.clock(anchor);
    }

    fn lost(&mut self, kind: EventKind, count: u64) {
        self.0.lost(kind, count);
        self.1.lost(kind, count);
    }

    fn settled(&mut self) {
        self.0.settled();
        self.1.settled();
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed() || self.1.is_closed()
    }
}

impl Consumer for Report {
    fn event(&mut self, event: &Event<'_>, _: &Ports) {
        if event.kind() != EventKind::DpUpcall {
            self.thread_event(&event.head);
        }
    }

    fn upcall(&mut self, upcall: &Upcall<'_>, _: &Ports) {
        Sink::upcall(self, upcall);
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>, _: &Ports) {
        Sink::failed(self, failed);
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        Sink::unmatched(self, unmatched);
    }
}

impl<C: Consumer> Consumer for &mut C {
    fn event(&mut self, event: &Event<'_>, ports: &Ports) {
        (**self).event(event, ports);
    }

    fn upcall(&mut self, upcall: &Upcall<'_>, ports: &Ports) {
        (**self).upcall(upcall, ports);
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>, ports: &Ports) {
        (**self).failed(failed, ports);
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        (**self).unmatched(unmatched);
    }

    fn clock(&mut self, anchor: TimeAnchor) {
        (**self).clock(anchor);
    }

    fn lost(&mut self, kind: EventKind, count: u64) {
        (**self).lost(kind, count);
    }

    fn settled(&mut self) {
        (**self).settled();
    }

    fn is_closed(&self) -> bool {
        (**self).is_closed()
    }
}

/// A consumer, with the ports as they are known at the time.
struct AtThisTime<'a, C> {
    consumer: &'a mut C,
    ports: &'a Ports,
}

impl<C: Consumer> Sink for AtThisTime<'_, C> {
    fn upcall(&mut self, upcall: &Upcall<'_>) {
        self.consumer.upcall(upcall, self.ports);
    }

    fn failed(&mut self, failed: &FailedUpcall<'_>) {
        self.consumer.failed(failed, self.ports);
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        self.consumer.unmatched(unmatched);
    }
}

/// Events on their way through the correlator to a consumer, counted.
#[derive(Debug)]
pub struct Flow<C> {
    correlator: Correlator,
    counts: EventCounts,
    consumer: C,
}

impl<C: Consumer> Flow<C> {
    /// To this consumer.
    #[must_use]
    pub fn new(config: Config, consumer: C) -> Self {
        Self { correlator: Correlator::new(config), counts: EventCounts::default(), consumer }
    }

    /// The consumer.
    pub const fn consumer(&self) -> &C {
        &self.consumer
    }

    /// The consumer, to be changed.
    pub const fn consumer_mut(&mut self) -> &mut C {
        &mut self.consumer
    }

    /// Takes the next record of the source, with the ports known at the time.
    pub fn push(&mut self, record: &Record<'_>, ports: &Ports) {
        let Self { correlator, counts, consumer } = self;
        match *record {
            Record::Event(event) => {
                counts.usable(event.kind());
                consumer.event(&event, ports);
                correlator.push(&event, &mut AtThisTime { consumer, ports });
            }
            Record::Unusable { kind, reason, .. } => counts.unusable(kind, reason),
            Record::Unreadable => correlator.lost(),
            Record::Lost { kind, count } => {
                counts.lost(kind, count);
                consumer.lost(kind, count);
                correlator.lost();
            }
            Record::Clock(anchor) => consumer.clock(anchor),
            Record::Failed { head, dp_upcall, errno } => {
                let sink = &mut AtThisTime { consumer, ports };
                correlator.failed(&head, dp_upcall, errno, sink);
            }
        }
    }

    /// See [`Correlator::settle`].
    pub fn settle(&mut self, now: MonotonicNs, ports: &Ports) {
        let sink = &mut AtThisTime { consumer: &mut self.consumer, ports };
        self.correlator.settle(now, sink);
        self.consumer.settled();
    }

    /// Hands on what is left; there are no more records.
    pub fn finish(mut self, ports: &Ports) -> (C, EventCounts) {
        self.correlator.finish(&mut AtThisTime { consumer: &mut self.consumer, ports });
        (self.consumer, self.counts)
    }
}

/// Reads `recording` to its end, until `consumer` is closed, or until `go_on` says no. `go_on` is
/// asked now and then, with how far the input is read.
///
/// # Errors
///
/// What the recording reports; what was read before has reached `consumer` all the same.
pub fn run(
    recording: &mut Recording,
    config: Config,
    consumer: &mut impl Consumer,
    mut go_on: impl FnMut(Progress) -> bool,
) -> Result<EventCounts, RecordingError> {
    /// Events between two questions: often enough for a progress bar, too seldom to cost anything.
    const EVENTS_PER_QUESTION: u32 = 1024;

    let declared = recording.declared_losses().is_some_and(|losses| !losses.is_zero());
    let config = Config { lossy: config.lossy || declared, ..config };
    let mut flow = Flow::new(config, consumer);
    let mut until_question = 0;
    let mut outcome = Ok(());
    loop {
        if until_question == 0 {
            until_question = EVENTS_PER_QUESTION;
            if flow.consumer().is_closed() || !go_on(recording.progress()) {
                break;
            }
        }
        until_question -= 1;
        match recording.next_with_ports() {
            Ok(Some((record, ports))) => flow.push(&record, ports),
            Ok(None) => break,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    let (_, mut counts) = flow.finish(recording.ports());
    for kind in EventKind::ALL {
        counts.filtered(kind, recording.counts().of(kind).filtered);
    }
    counts.malformed_lines(recording.counts().malformed());
    outcome.map(|()| counts)
}
