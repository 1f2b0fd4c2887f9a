//! Drives a recording through the correlator, to whoever wants to know.

use crate::correlate::{Config, Correlator};
use crate::event::{Event, EventKind};
use crate::ports::Ports;
use crate::report::EventCounts;
use crate::source::Record;
use crate::source::recording::{Progress, Recording, RecordingError};
use crate::upcall::{Sink, Unmatched, Upcall};

/// Takes what a pipeline yields.
pub trait Consumer: Sink {
    /// The ports are known, or have changed. Comes before the events that need them.
    fn ports(&mut self, ports: &Ports);
    /// A usable event, before it is correlated.
    fn event(&mut self, event: &Event<'_>);
}

/// Both take everything.
#[derive(Debug)]
pub struct Tee<A, B>(pub A, pub B);

impl<A: Sink, B: Sink> Sink for Tee<A, B> {
    fn upcall(&mut self, upcall: &Upcall<'_>) {
        self.0.upcall(upcall);
        self.1.upcall(upcall);
    }

    fn unmatched(&mut self, unmatched: &Unmatched) {
        self.0.unmatched(unmatched);
        self.1.unmatched(unmatched);
    }
}

impl<A: Consumer, B: Consumer> Consumer for Tee<A, B> {
    fn ports(&mut self, ports: &Ports) {
        self.0.ports(ports);
        self.1.ports(ports);
    }

    fn event(&mut self, event: &Event<'_>) {
        self.0.event(event);
        self.1.event(event);
    }
}

/// Reads `recording` to its end, or until `go_on` says no. `go_on` is asked now and then, with how
/// far the input is read.
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
    let mut correlator = Correlator::new(Config { lossy: config.lossy || declared, ..config });
    let mut counts = EventCounts::default();
    let mut until_question = 0;
    let mut outcome = Ok(());
    loop {
        if until_question == 0 {
            until_question = EVENTS_PER_QUESTION;
            if !go_on(recording.progress()) {
                break;
            }
        }
        until_question -= 1;
        match recording.next() {
            Ok(Some(Record::Event(event))) => {
                counts.usable(event.kind());
                consumer.event(&event);
                correlator.push(&event, consumer);
            }
            Ok(Some(Record::Unusable { kind, reason, .. })) => counts.unusable(kind, reason),
            Ok(Some(Record::Lost { kind, count })) => {
                counts.lost(kind, count);
                correlator.lost();
            }
            Ok(Some(Record::PortsChanged)) => consumer.ports(recording.ports()),
            Ok(None) => break,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    correlator.finish(consumer);
    for kind in EventKind::ALL {
        counts.filtered(kind, recording.counts().of(kind).filtered);
    }
    counts.malformed_lines(recording.counts().malformed());
    outcome.map(|()| counts)
}
