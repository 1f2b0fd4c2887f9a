//! What lines mean.

use super::writer::{EventText, PORT_MAP, in_port};
use super::*;
use crate::event::InPort;
use crate::ports::PortNo;

fn after_ports(event: &EventText) -> String {
    format!("{PORT_MAP}{event}\n")
}

/// The reason for which an event is of no use.
fn reason(text: &str) -> Unusable {
    let outcome = read(text.to_owned());
    assert_eq!(outcome.malformed, [], "{text}");
    assert_eq!(outcome.counts.sum().valid, 0, "{text}");
    assert_eq!(outcome.counts.sum().total, 1, "{text}");
    outcome.events[0].1.unwrap_err()
}

#[test]
fn every_kind_is_usable() {
    let text: String = std::iter::once(PORT_MAP.to_owned())
        .chain(EventKind::ALL.map(|kind| EventText::new(kind).line()))
        .collect();
    let outcome = read(text);
    let kinds: Vec<_> = outcome.events.iter().map(|&(_, kind)| kind.unwrap()).collect();
    assert_eq!(kinds, EventKind::ALL);
    assert!(outcome.has_port_map);
}

#[test]
fn every_event_has_its_head() {
    let text = EventText::new(EventKind::OpFlowPut).line();
    let mut recording = recording(&text);
    let Some(Record::Event(event)) = recording.next().unwrap() else { panic!() };
    assert_eq!(event.body, EventBody::FlowPut);
    assert_eq!(event.head.ordinal.0, 0);
    assert_eq!(event.head.ts.0, 723_456_761_119);
    assert_eq!(event.head.cpu.0, 1);
    assert_eq!(event.head.tid.0, 944);
    assert_eq!(event.head.comm.as_bytes(), b"handler13");
}

#[test]
fn stale_bytes_are_not_handed_on() {
    let captured = b"0123456789".to_vec();
    let event = |kind| EventText { pkt: captured.clone(), ..EventText::new(kind) };
    let packet = |event: &EventText| {
        with_event(&after_ports(event), |body, _| match body {
            EventBody::DpUpcall { packet, .. }
            | EventBody::RecvUpcall { packet, .. }
            | EventBody::FlowExecute { packet } => (packet.len, packet.bytes.to_vec()),
            other => panic!("{other:?}"),
        })
    };
    for kind in [EventKind::DpUpcall, EventKind::RecvUpcall, EventKind::OpFlowExecute] {
        for (pkt_size, len, valid) in [
            (1, 1, 1),
            (9, 9, 9),
            (10, 10, 10),
            (1500, 1500, 10),
            (i64::from(u32::MAX) + 1, u32::MAX, 10),
            (i64::MAX, u32::MAX, 10),
        ] {
            let event = EventText { pkt_size, ..event(kind) };
            assert_eq!(packet(&event), (len, captured[..valid].to_vec()), "{event}");
        }
    }
    for (pkt_frag_size, valid) in [(-1, 8), (0, 8), (3, 3), (8, 8), (9, 8), (i64::MAX, 8)] {
        let event = EventText { pkt_size: 8, pkt_frag_size, ..event(EventKind::DpUpcall) };
        assert_eq!(packet(&event), (8, captured[..valid].to_vec()), "{event}");
    }
    for (key_size, valid) in [(8, 8), (10, 8), (i64::MAX, 8)] {
        let tunnel = [8, 0, 16, 0, 1, 2, 3, 4].to_vec();
        let event = EventText { key_size, key: tunnel, ..event(EventKind::RecvUpcall) };
        with_event(&after_ports(&event), |body, _| {
            let EventBody::RecvUpcall { key, in_port, .. } = body else { panic!("{body:?}") };
            assert_eq!(in_port, InPort::Any);
            assert_eq!(key.bytes.len(), valid);
            assert_eq!(key.len, u32::try_from(key_size).unwrap_or(u32::MAX));
        });
    }
}

#[test]
fn events_of_no_use_are_told_apart() {
    let dp = EventText::new(EventKind::DpUpcall);
    let recv = EventText::new(EventKind::RecvUpcall);
    let execute = EventText::new(EventKind::OpFlowExecute);
    for (event, expected) in [
        (EventText { pkt_size: 0, ..dp.clone() }, Unusable::NoPacket),
        (EventText { pkt_size: -5, ..dp.clone() }, Unusable::NoPacket),
        (EventText { pkt: vec![], ..dp.clone() }, Unusable::NoPacket),
        (EventText { dev_name: "p9", ..dp.clone() }, Unusable::UnknownPort),
        (EventText { dpif_name: "other", ..dp.clone() }, Unusable::UnknownPort),
        (EventText { upcall_type: 1, ..recv.clone() }, Unusable::NotAMiss),
        (EventText { pkt_size: 0, ..recv.clone() }, Unusable::NoPacket),
        (EventText { key_size: 0, ..recv.clone() }, Unusable::NoKey),
        (EventText { key_size: -1, ..recv.clone() }, Unusable::NoKey),
        (EventText { pkt_size: 0, ..execute.clone() }, Unusable::NoPacket),
        (EventText { pkt: vec![], ..execute }, Unusable::NoPacket),
    ] {
        assert_eq!(reason(&after_ports(&event)), expected, "{event}");
    }
    assert_eq!(reason(&dp.line()), Unusable::UnknownPort, "without a port map");
}

#[test]
fn ports_come_from_the_key_or_are_local() {
    let port = |text: &str| {
        with_event(text, |body, ports| {
            let EventBody::RecvUpcall { in_port, datapath, .. } = body else { panic!("{body:?}") };
            (ports.datapath_name(datapath).to_owned(), in_port)
        })
    };
    let recv = EventText::new(EventKind::RecvUpcall);
    let at = |number| ("ovs-system".to_owned(), InPort::Port(PortNo(number)));
    assert_eq!(port(&after_ports(&recv)), at(2));
    assert_eq!(port(&recv.line()), at(2), "without a port map");
    let any_port = EventText { key: in_port(99), ..recv.clone() };
    assert_eq!(port(&after_ports(&any_port)), at(99), "a port that the map does not know");

    // Cut before the port, or without it: the local port, if that is known.
    let cut = EventText { key_size: 7, ..recv.clone() };
    assert_eq!(port(&after_ports(&cut)), at(0));
    assert_eq!(reason(&cut.line()), Unusable::UnknownPort);
    // The reference takes it for usable even if nothing of packet and key was captured.
    let nothing = EventText { pkt: vec![], key: vec![], ..recv };
    assert_eq!(port(&after_ports(&nothing)), at(0));
}

#[test]
fn later_port_maps_add_ports() {
    let text = "dp_port_map = {}\n\
                dp_port_map = {'a': {'p1': 1}, \"b\": {}}\n\
                dp_port_map = {'a': {\"p'2\": 2, 'caf\u{e9}': 3, '\\xe9': 4,},}  \r\n";
    let known = ports(text);
    let datapath = known.find(b"a").unwrap();
    assert_eq!(known.number(datapath, b"p1"), Some(PortNo(1)));
    assert_eq!(known.number(datapath, b"p'2"), Some(PortNo(2)));
    assert_eq!(known.number(datapath, "caf\u{e9}".as_bytes()), Some(PortNo(3)));
    assert_eq!(known.name(datapath, PortNo(4)), Some("\u{e9}"));
    assert!(known.find(b"system@b").is_some());
}

#[test]
fn a_port_map_is_taken_whole_or_not() {
    let text = "dp_port_map = {'a': {'p1': 1, 'p2': -2}}\n";
    let outcome = read(text);
    assert_eq!(outcome.faults(), [(1, "the port number is out of range".to_owned())]);
    assert!(!outcome.has_port_map);
    assert!(ports(text).is_empty());
}

#[test]
fn losses_are_records() {
    let text = format!(
        "{PORT_MAP}event_miss = {{1: 23, 0: 0, 4: -3, 3: 18446744073709551615}}\n\
         event_miss = {{3: 2, 1: 7, 1: 8}}\nevent_miss = {{5: 1}}\n"
    );
    let outcome = read(text);
    assert_eq!(
        outcome.lost,
        [
            (EventKind::DpUpcall, 23),
            (EventKind::OpFlowExecute, u64::MAX),
            (EventKind::DpUpcall, 8),
            (EventKind::OpFlowExecute, 2),
        ]
    );
    assert_eq!(outcome.counts.of(EventKind::DpUpcall).miss, 31);
    assert_eq!(outcome.counts.of(EventKind::OpFlowExecute).miss, u64::MAX);
    assert_eq!(outcome.faults(), [(4, "there is no event 5".to_owned())]);
    assert_eq!(outcome.counts.malformed_events(), 0);
}

#[test]
fn fields_come_in_any_order_and_style() {
    let text = "event = { \"comm\" : b\"h\\x31\",'ts':7 , 'new': [{'}': (1, b'\\'')}], \
                '\\x70id': 5, 'cpu':\t3, 'event': 1, 'event': 2 , }\t\r\n";
    let mut recording = recording(text);
    let Some(Record::Event(event)) = recording.next().unwrap() else { panic!() };
    assert_eq!(event.kind(), EventKind::OpFlowPut);
    assert_eq!((event.head.ts.0, event.head.cpu.0, event.head.tid.0), (7, 3, 5));
    assert_eq!(event.head.comm.as_bytes(), b"h1");
}
