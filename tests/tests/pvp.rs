//! The generated recordings are like the fixture that they extend.

use std::io::{Read, Result as IoResult};

use upspan::event::{EventBody, EventKind, InPort};
use upspan::source::Record;
use upspan::source::recording::{Options, Recording};
use upspan_tests::pvp;

/// What matters of an event for the correlator's work, in order.
fn shape(mut recording: Recording) -> Vec<(EventKind, Option<InPort>, u32, usize, u32)> {
    let mut shape = Vec::new();
    while let Some(record) = recording.next().expect("it is whole") {
        let Record::Event(event) = record else { panic!("{record:?} is no usable event") };
        let (port, packet) = match event.body {
            EventBody::DpUpcall { port, packet, .. } => (Some(InPort::Port(port)), packet),
            EventBody::RecvUpcall { in_port, packet, .. } => (Some(in_port), packet),
            EventBody::FlowExecute { packet } => (None, packet),
            EventBody::FlowPut | EventBody::PacketExecute => Default::default(),
        };
        let thread = event.head.tid.0;
        shape.push((event.kind(), port, packet.len, packet.bytes.len(), thread));
    }
    shape
}

/// Of these, how many.
fn count<T>(events: &[T], which: impl Fn(&&T) -> bool) -> usize {
    events.iter().filter(which).count()
}

#[test]
fn ten_thousand_events_are_like_the_fixture() -> IoResult<()> {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pvp-10k.events.zst");
    let fixture = Recording::open(&std::path::Path::new(fixture).into(), Options::default());
    let fixture = shape(fixture.expect("the fixture is there"));
    let mut text = Vec::new();
    pvp::write_recording(fixture.len(), &mut text)?;
    let text = std::io::Cursor::new(text);
    let made = Recording::from_reader(text.take(u64::MAX), Options::default());
    let made = shape(made.expect("memory is readable"));

    assert_eq!(made.len(), fixture.len());
    for kind in EventKind::ALL {
        let (made, fixture) = (count(&made, |e| e.0 == kind), count(&fixture, |e| e.0 == kind));
        assert_eq!(made, fixture, "{kind}");
    }
    // Which thread reads how many at once is up to chance; all else is the same.
    let upcalls = |events: &[(EventKind, Option<InPort>, u32, usize, u32)]| {
        let upcalls = [EventKind::DpUpcall, EventKind::RecvUpcall];
        let mut upcalls: Vec<_> =
            events.iter().copied().filter(|event| upcalls.contains(&event.0)).collect();
        for event in upcalls.iter_mut().filter(|event| event.0 == EventKind::RecvUpcall) {
            event.4 = 0;
        }
        upcalls
    };
    assert!(upcalls(&made) == upcalls(&fixture));
    Ok(())
}
