//! Tests of whole recordings.

mod arbitrary;
mod compact;
mod damaged;
mod golden;
mod inputs;
mod one_format;
mod options;
mod script;
mod semantics;
mod writer;

use std::io::{Cursor, Read};

use super::*;
use crate::event::{EventBody, Unusable};

/// What a recording gave, owned.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// Ordinals of usable and unusable events.
    events: Vec<(u64, Result<EventKind, Unusable>)>,
    lost: Vec<(EventKind, u64)>,
    counts: Counts,
    malformed: Vec<MalformedLine>,
    is_damaged: bool,
    has_port_map: bool,
}

impl Outcome {
    fn usable(&self) -> Vec<u64> {
        self.events.iter().filter(|(_, kind)| kind.is_ok()).map(|&(ordinal, _)| ordinal).collect()
    }

    fn faults(&self) -> Vec<(u64, String)> {
        self.malformed.iter().map(|bad| (bad.place.number, bad.fault.to_string())).collect()
    }
}

fn drain(mut recording: Recording) -> Result<Outcome, RecordingError> {
    let mut outcome = Outcome::default();
    let mut unreadable = 0;
    while let Some(record) = recording.next()? {
        match record {
            Record::Event(event) => {
                outcome.events.push((event.head.ordinal.0, Ok(event.kind())));
            }
            Record::Unusable { head, reason, .. } => {
                outcome.events.push((head.ordinal.0, Err(reason)));
            }
            Record::Unreadable => unreadable += 1,
            Record::Lost { kind, count } => outcome.lost.push((kind, count)),
            Record::Clock(_) => {}
            Record::Failed { .. } => panic!("these recordings have no failures"),
        }
    }
    assert_eq!(unreadable, recording.counts().malformed_events());
    assert_eq!(recording.next()?, None, "the end stays the end");
    outcome.counts = *recording.counts();
    outcome.malformed = recording.malformed().to_vec();
    outcome.is_damaged = recording.damage().is_some();
    outcome.has_port_map = recording.has_port_map();
    Ok(outcome)
}

fn read_with(
    reader: impl Read + Send + 'static,
    options: Options,
) -> Result<Outcome, RecordingError> {
    drain(Recording::from_reader(reader, options)?)
}

fn read(bytes: impl AsRef<[u8]> + Send + 'static) -> Outcome {
    read_with(Cursor::new(bytes), Options::default()).unwrap()
}

/// Gives the first event of a recording, and the ports of the whole, to `look`.
fn with_event<T>(text: &str, look: impl FnOnce(EventBody<'_>, &Ports) -> T) -> T {
    let mut recording = recording(text);
    let Some(Record::Event(event)) = recording.next().unwrap() else {
        panic!("no usable event in {text}");
    };
    look(event.body, &ports(text))
}

/// The ports of a whole recording.
fn ports(text: &str) -> Ports {
    let mut recording = recording(text);
    while recording.next().unwrap().is_some() {}
    recording.ports().clone()
}

fn recording(text: &str) -> Recording {
    Recording::from_reader(Cursor::new(text.to_owned()), Options::default()).unwrap()
}

fn fixture(name: &str) -> std::path::PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "tests", "fixtures", name].iter().collect()
}

fn decompressed(name: &str) -> Vec<u8> {
    zstd::decode_all(&std::fs::read(fixture(name)).unwrap()[..]).unwrap()
}
