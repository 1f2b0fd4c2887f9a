//! The compact format, written and read.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use tempfile::tempdir;
use upspan_proto::recording::v1::record::Body;
use upspan_proto::recording::v1::{self as proto, MAGIC};

use super::one_format::FAILURE;
use super::writer::in_port;
use super::*;
use crate::event::{Comm, Cpu, Pid, Tid};
use crate::ports::{NetnsId, PortNo};

pub(super) const STRICT: Options = Options { strict: true, stop_after: None, handlers: None };

fn event(kind: EventKind, ts: u64) -> RecordedEvent<'static> {
    let (datapath, port_name): (&[u8], &[u8]) = match kind {
        EventKind::DpUpcall => (b"ovs-system", b"p1"),
        EventKind::RecvUpcall => (b"system@ovs-system", b""),
        _ => (b"", b""),
    };
    RecordedEvent {
        ts: MonotonicNs(ts),
        cpu: Cpu(1),
        tid: Tid(944),
        comm: Comm::from_bytes(b"handler13"),
        datapath,
        port_name,
        packet: Captured::new(9, b"\x02\0packet\0"),
        key: Captured::new(8, b"\x08\0\x03\0\x02\0\0\0"),
        ..RecordedEvent::of(kind)
    }
}

fn ports() -> DatapathPorts {
    let port = |(number, name): (u32, &str)| Port {
        number: PortNo(number),
        name: name.into(),
        ..Port::default()
    };
    let ports = [(0, "ovs-system"), (2, "p1"), (3, "p2")].map(port).to_vec();
    DatapathPorts { datapath: b"ovs-system".to_vec(), ports }
}

/// A recording with `events` events in frames of `per_frame`, and a loss at its end.
fn written(events: u64, per_frame: u64) -> Vec<u8> {
    let mut writer = CompactWriter::new(Vec::new(), &Header::default()).unwrap();
    writer.ports(&[ports()]).unwrap();
    for ts in 0..events {
        writer.event(&event(EventKind::ALL[ts as usize % 5], ts)).unwrap();
        if (ts + 1) % per_frame == 0 {
            writer.flush().unwrap();
        }
    }
    writer.lost(EventKind::DpUpcall, 23).unwrap();
    writer.finish().unwrap()
}

/// A recording of these records, not compressed.
pub(super) fn of_records(bodies: impl IntoIterator<Item = Option<Body>>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for body in bodies {
        bytes.extend(proto::Record { body }.encode_length_delimited_to_vec());
    }
    bytes
}

pub(super) fn end(events: u64) -> Option<Body> {
    Some(Body::End(proto::End { events }))
}

fn put() -> Option<Body> {
    let kind = proto::EventKind::OpFlowPut.into();
    Some(Body::Event(proto::Event { kind, ..proto::Event::default() }))
}

/// How the reading of these bytes ended early.
fn damage(bytes: Vec<u8>) -> Option<String> {
    let mut recording = Recording::from_reader(Cursor::new(bytes), Options::default()).unwrap();
    while recording.next().unwrap().is_some() {}
    recording.damage().map(ToString::to_string)
}

#[test]
fn what_is_written_is_read() {
    let outcome = read_with(Cursor::new(written(100, 1000)), STRICT).unwrap();
    assert_eq!(outcome.usable(), Vec::from_iter(0..100));
    assert_eq!(outcome.lost, [(EventKind::DpUpcall, 23)]);
    assert!(outcome.has_port_map);
    assert_eq!(outcome.counts.lines(), 1 + 1 + 100 + 1 + 1);
}

#[test]
fn every_item_comes_back_as_it_was_written() {
    let header = Header {
        host_name: "node-1".to_owned(),
        kernel_release: "6.12.0".to_owned(),
        ovs_version: "3.5.0".to_owned(),
        anchor: Some(ClockAnchor { monotonic: MonotonicNs(7), realtime_unix_ns: 1_700_000_000 }),
        packet_snaplen: 256,
        key_snaplen: 512,
    };
    let anchor = ClockAnchor { monotonic: MonotonicNs(u64::MAX), realtime_unix_ns: u64::MAX };
    let mut ports = ports();
    ports.ports[1].vport_type = 1;
    ports.ports[1].ifindex = 17;
    ports.ports[2].netns = Some(NetnsId::NOT_ASSIGNED);
    let mut full = event(EventKind::DpUpcall, u64::MAX);
    full.pid = Some(Pid(0));
    full.port = Some(PortNo(2));
    full.upcall_type = 1;
    full.linear_len = 5;
    full.packet.padding = 247;

    let mut writer = CompactWriter::new(Vec::new(), &header).unwrap();
    writer.ports(std::slice::from_ref(&ports)).unwrap();
    writer.event(&full).unwrap();
    writer.failed(&FAILURE).unwrap();
    writer.anchor(anchor).unwrap();
    writer.lost(EventKind::OvsPktExec, u64::MAX).unwrap();
    let bytes = writer.finish().unwrap();

    let mut recording = Recording::from_reader(Cursor::new(bytes), STRICT).unwrap();
    assert_eq!(recording.format(), Format::Compact);
    assert_eq!(recording.next_item().unwrap(), Some(Item::Header(&header)));
    assert_eq!(recording.next_item().unwrap(), Some(Item::Ports(&[ports])));
    assert_eq!(recording.next_item().unwrap(), Some(Item::Event(full)));
    assert_eq!(recording.next_item().unwrap(), Some(Item::Failed(FAILURE)));
    assert_eq!(recording.next_item().unwrap(), Some(Item::Anchor(anchor)));
    let lost = Item::Lost { kind: EventKind::OvsPktExec, count: u64::MAX };
    assert_eq!(recording.next_item().unwrap(), Some(lost));
    assert_eq!(recording.next_item().unwrap(), None);
    assert_eq!(recording.next_item().unwrap(), None, "the end stays the end");
}

#[test]
fn a_dp_upcall_that_has_its_port_number_needs_no_port_map() {
    let mut writer = CompactWriter::new(Vec::new(), &Header::default()).unwrap();
    writer.event(&event(EventKind::DpUpcall, 1)).unwrap();
    let port = Some(PortNo(9));
    writer.event(&RecordedEvent { port, ..event(EventKind::DpUpcall, 2) }).unwrap();
    let outcome = read(writer.finish().unwrap());
    assert_eq!(outcome.events[0], (0, Err(Unusable::UnknownPort)));
    assert_eq!(outcome.events[1], (1, Ok(EventKind::DpUpcall)));
    assert!(!outcome.has_port_map);
}

#[test]
fn cut_anywhere_all_whole_frames_before_are_used() {
    let whole = written(40, 4);
    let mut most = 0;
    for len in MAGIC.len() + 40..whole.len() {
        let cut = whole[..len].to_vec();
        let outcome = read(cut.clone());
        assert!(outcome.is_damaged, "{len}");
        let events = outcome.usable().len();
        assert!(events >= most && events <= 40, "{len}: {events} after {most}");
        most = events;
        let error = read_with(Cursor::new(cut), STRICT).unwrap_err();
        assert!(matches!(error, RecordingError::Damaged { .. }), "{error}");
    }
    assert_eq!(most, 40);
}

#[test]
fn a_recording_that_was_not_finished_is_whole_up_to_the_last_flush() {
    let mut out = Vec::new();
    let mut writer = CompactWriter::new(&mut out, &Header::default()).unwrap();
    for ts in 0..7 {
        writer.event(&event(EventKind::OpFlowPut, ts)).unwrap();
    }
    writer.flush().unwrap();
    writer.event(&event(EventKind::OpFlowPut, 8)).unwrap();
    drop(writer);
    let outcome = read(out.clone());
    assert_eq!(outcome.usable().len(), 7);
    insta::assert_snapshot!(damage(out).unwrap(), @"the recording is cut or damaged after record 8: it has no end: it was copied in part, or what recorded it was killed");
}

#[test]
fn frames_end_when_they_are_a_second_old() {
    const SECOND: u64 = 1_000_000_000;
    let frames = |now| {
        let mut writer = CompactWriter::new(Vec::new(), &Header::default()).unwrap();
        writer.flush_due(MonotonicNs(now)).unwrap();
        for ts in [5, 6] {
            writer.event(&event(EventKind::OpFlowPut, ts)).unwrap();
        }
        for _ in 0..3 {
            writer.flush_due(MonotonicNs(now)).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let magic = 0xfd2f_b528_u32.to_le_bytes();
        bytes.windows(4).filter(|window| *window == magic).count()
    };
    assert_eq!(frames(SECOND + 4), 1);
    assert_eq!(frames(SECOND + 5), 2);
    assert_eq!(frames(0), 1, "the clock of another CPU");
}

#[test]
fn what_cannot_be_framed_is_damage() {
    for (tail, message) in [
        (&b"\xff\xff\xff\xff\xff"[..], "a record seems to be longer than 1048576 bytes"),
        (b"\x81\x80\x40", "a record seems to be longer than 1048576 bytes"),
        (b"\x80", "it ends within a record"),
        (b"\x80\x80\x40 and not as many bytes", "it ends within a record"),
        (b"\x02\x32\x00more", "more follows its end"),
        (b"", "it has no end"),
    ] {
        let bytes = [&of_records([Some(Body::Header(proto::Header::default()))]), tail].concat();
        let damage = damage(bytes).unwrap();
        assert!(damage.contains(message), "{damage}");
    }
}

#[test]
fn malformed_records_are_reported_and_the_rest_is_used() {
    let padded = |packet_padding, key_padding| {
        let kind = proto::EventKind::OpFlowPut.into();
        Some(Body::Event(proto::Event { kind, packet_padding, key_padding, ..Default::default() }))
    };
    let outcome = read(of_records([put(), padded(70_000, 0), padded(0, 70_000), put(), end(5)]));
    assert_eq!(outcome.usable(), [0, 3]);
    let faults = outcome.malformed.iter().map(ToString::to_string).collect::<Vec<_>>();
    insta::assert_snapshot!(faults.join("\n"), @"
    record 2: the packet_padding is out of range
    record 3: the key_padding is out of range
    record 5: 5 events should come before this end, but 4 did
    ");
    assert_eq!(outcome.counts.malformed_events(), 2);

    // A field of the event with a wire type that it cannot have.
    let mut bytes = of_records([put()]);
    bytes.extend(b"\x04\x12\x02\x0f\x00");
    bytes.extend(&of_records([put(), end(3)])[MAGIC.len()..]);
    let outcome = read(bytes.clone());
    assert_eq!(outcome.usable(), [0, 2]);
    assert_eq!(outcome.faults(), [(2, "it is no record of this format".to_owned())]);
    let error = read_with(Cursor::new(bytes), STRICT).unwrap_err();
    insta::assert_snapshot!(error, @"the recording: record 2: it is no record of this format");
}

#[test]
fn what_came_after_this_version_is_left_out_and_counted() {
    let kind = 77;
    let event = Some(Body::Event(proto::Event { kind, ..proto::Event::default() }));
    let lost = Some(Body::Lost(proto::Lost { kind, count: 1 }));
    let mut bytes = of_records([put(), event, lost, None]);
    // A record body of number 99, and an event with a field of number 99.
    bytes.extend(b"\x05\x9a\x06\x02hi\x07\x12\x05\x08\x03\x98\x06\x01");
    bytes.extend(&of_records([end(3)])[MAGIC.len()..]);
    let outcome = read_with(Cursor::new(bytes), STRICT).unwrap();
    assert_eq!(outcome.events.len(), 2);
    assert_eq!(outcome.counts.unrelated(), 4);
}

#[test]
fn another_version_is_refused() {
    let mut bytes = written(1, 1);
    let plain = zstd::decode_all(&bytes[..]).unwrap();
    bytes = [b"upspan.recording.v2\n", &plain[MAGIC.len()..]].concat();
    let error = read_with(Cursor::new(bytes), Options::default()).unwrap_err();
    insta::assert_snapshot!(error, @"the recording has the format upspan.recording.v2, which this upspan does not read: use a newer one");
}

#[test]
fn an_event_longer_than_a_record_is_left_out() {
    let mut writer = CompactWriter::new(Vec::new(), &Header::default()).unwrap();
    let huge = vec![1; MAX_RECORD_LEN];
    let packet = Captured::new(u32::MAX, &huge);
    let error = writer.event(&RecordedEvent { packet, ..event(EventKind::OpFlowExecute, 1) });
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let packet = Captured::new(u32::MAX, &huge[100..]);
    writer.event(&RecordedEvent { packet, ..event(EventKind::OpFlowExecute, 1) }).unwrap();
    let outcome = read_with(Cursor::new(writer.finish().unwrap()), STRICT).unwrap();
    assert_eq!(outcome.usable(), [0]);
}

#[test]
fn datapaths_with_many_ports_are_split_and_read_whole() {
    let port = |number| Port {
        number: PortNo(number),
        name: format!("a-long-name-{number}").into_bytes(),
        ..Port::default()
    };
    let many = DatapathPorts { datapath: b"dp".to_vec(), ports: (0..30_000).map(port).collect() };
    let mut writer = CompactWriter::new(Vec::new(), &Header::default()).unwrap();
    writer.ports(&[many]).unwrap();
    let bytes = writer.finish().unwrap();
    let mut recording = Recording::from_reader(Cursor::new(bytes), STRICT).unwrap();
    while recording.next().unwrap().is_some() {}
    let ports = recording.ports();
    let dp = ports.find(b"dp").unwrap();
    assert_eq!(ports.name(dp, PortNo(29_999)), Some("a-long-name-29999"));
}

#[test]
fn the_end_of_a_file_is_known_before_it_is_read() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("recording");
    let open = |path: &Path| Recording::open(&path.into(), Options::default()).unwrap();
    let whole = written(1000, 100);
    for bytes in [whole.clone(), zstd::decode_all(&whole[..]).unwrap()] {
        std::fs::write(&path, &bytes).unwrap();
        let recording = open(&path);
        assert_eq!(recording.declared_losses().unwrap()[EventKind::DpUpcall], 23);
        assert_eq!(recording.last_timestamp(), Some(MonotonicNs(999)));
        assert_eq!(drain(recording).unwrap().events.len(), 1000);
    }
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(open(&path).declared_losses(), None);
}

#[test]
fn a_pipe_gives_records_in_pieces() {
    let bytes = written(50, 7);
    let expected = read(bytes.clone());
    let plain = zstd::decode_all(&bytes[..]).unwrap();
    for bytes in [bytes, plain] {
        let trickle = super::inputs::Trickle(Cursor::new(bytes));
        assert_eq!(read_with(trickle, STRICT).unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn any_bytes_behind_the_magic_do_no_harm(bytes in vec(any::<u8>(), 0..4096)) {
        let bytes = [&MAGIC[..], &bytes].concat();
        super::arbitrary::check(&read(bytes.clone()));
        read(zstd::encode_all(&bytes[..], 1).unwrap());
    }

    #[test]
    fn mutations_do_no_harm(
        mutations in vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..8),
        compressed: bool,
    ) {
        let mut bytes = written(20, 5);
        if !compressed {
            bytes = zstd::decode_all(&bytes[..]).unwrap();
        }
        for (at, byte, mutation) in mutations {
            let at = if compressed { at.index(bytes.len()) } else {
                MAGIC.len() + at.index(bytes.len() - MAGIC.len())
            };
            match mutation {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        let whole = read_with(Cursor::new(bytes.clone()), Options::default());
        if let Ok(outcome) = whole {
            super::arbitrary::check(&outcome);
            let is_clean = outcome.malformed.is_empty() && !outcome.is_damaged;
            prop_assert_eq!(read_with(Cursor::new(bytes), STRICT).is_ok(), is_clean);
        }
    }

    #[test]
    fn packets_and_keys_come_back_byte_by_byte(
        packet in vec(any::<u8>(), 1..400),
        more in vec(0..2_u8, 0..80),
        len in 1..500_u32,
    ) {
        let key = [in_port(7), packet.clone()].concat();
        let recv = RecordedEvent {
            packet: Captured::new(len, &packet),
            key: Captured::new(len + 8, &key),
            ..event(EventKind::RecvUpcall, 1)
        };
        let padded = [&packet[..], &more].concat();
        let execute = RecordedEvent {
            packet: Captured::new(len, &padded),
            ..event(EventKind::OpFlowExecute, 1)
        };
        let mut writer = CompactWriter::new(Vec::new(), &Header::default()).unwrap();
        writer.event(&recv).unwrap();
        writer.event(&execute).unwrap();
        let bytes = writer.finish().unwrap();
        let mut recording = Recording::from_reader(Cursor::new(bytes), STRICT).unwrap();
        let mut ports = Ports::default();
        for expected in [recv, execute] {
            let read = loop {
                match recording.next_item().unwrap() {
                    Some(Item::Event(event)) => break event,
                    Some(_) => {}
                    None => panic!("an event is missing"),
                }
            };
            let ordinal = Ordinal(0);
            prop_assert_eq!(read.record(ordinal, &mut ports), expected.record(ordinal, &mut ports));
            let all = |captured: Captured<'_>| {
                let padding = captured.padding as usize;
                [captured.bytes, &vec![0; padding]].concat()
            };
            prop_assert_eq!(all(read.packet), all(expected.packet));
            prop_assert_eq!(all(read.key), all(expected.key));
        }
    }
}
