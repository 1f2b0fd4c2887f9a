//! The script's format, written.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::writer::{EventText, PORT_MAP};
use super::*;
use crate::event::{Comm, Cpu, Pid, Tid};
use crate::ports::PortNo;

fn text(write: impl FnOnce(&mut ScriptWriter<Vec<u8>>)) -> String {
    let mut writer = ScriptWriter::new(Vec::new());
    write(&mut writer);
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

fn datapath(name: &str, ports: &[(u32, &str)]) -> DatapathPorts {
    let port = |&(number, name): &(u32, &str)| Port {
        number: PortNo(number),
        name: name.into(),
        ..Port::default()
    };
    DatapathPorts { datapath: name.into(), ports: ports.iter().map(port).collect() }
}

/// Copies a recording, in the same format or another.
fn copy(bytes: &[u8], to: Format) -> Vec<u8> {
    let mut from = Recording::from_reader(Cursor::new(bytes.to_vec()), Options::default()).unwrap();
    let mut writer = RecordingWriter::new(to, Vec::new(), &Header::default()).unwrap();
    while let Some(item) = from.next_item().unwrap() {
        writer.item(item).unwrap();
    }
    assert!(from.damage().is_none());
    writer.finish().unwrap()
}

#[test]
fn events_are_written_as_the_script_writes_them() {
    let mut expected = PORT_MAP.to_owned();
    for kind in EventKind::ALL {
        expected += &EventText::new(kind).line();
    }
    expected += "event_miss = {1: 23, 2: 5}\n";
    for format in [Format::Script, Format::Compact] {
        let copied = copy(&copy(expected.as_bytes(), format), Format::Script);
        assert_eq!(String::from_utf8(copied).unwrap(), expected, "by way of {format}");
    }
}

#[test]
fn without_ports_there_is_an_empty_map() {
    assert_eq!(text(|_| {}), "dp_port_map = {}\n");
    let event = RecordedEvent::of(EventKind::OpFlowPut);
    let written = text(|writer| writer.event(&event).unwrap());
    assert!(written.starts_with("dp_port_map = {}\nevent = {'event': 2, "), "{written}");
    assert_eq!(text(|writer| writer.ports(&[]).unwrap()), "dp_port_map = {}\n");
}

#[test]
fn ports_that_come_together_are_one_map() {
    let written = text(|writer| {
        writer.ports(&[datapath("a", &[(0, "a")]), datapath("b", &[])]).unwrap();
        writer.ports(&[datapath("b", &[(1, "x")])]).unwrap();
        writer.ports(&[datapath("b", &[(2, "it's")])]).unwrap();
        writer.event(&RecordedEvent::of(EventKind::OpFlowPut)).unwrap();
        writer.ports(&[datapath("b", &[(3, "y")])]).unwrap();
    });
    let lines: Vec<_> = written.lines().filter(|line| !line.starts_with("event")).collect();
    assert_eq!(
        lines,
        [
            "dp_port_map = {'a': {'a': 0}, 'b': {'x': 1, \"it's\": 2}}",
            "dp_port_map = {'b': {'y': 3}}"
        ]
    );
}

#[test]
fn a_datapath_that_comes_back_does_not_hide_what_came_before() {
    let written = text(|writer| {
        let [a, b] = ["a", "b"].map(|name| datapath(name, &[(1, "x")]));
        writer.ports(&[a, b, datapath("a", &[(2, "y")])]).unwrap();
    });
    assert_eq!(
        written,
        "dp_port_map = {'a': {'x': 1}, 'b': {'x': 1}}\ndp_port_map = {'a': {'y': 2}}\n"
    );
}

#[test]
fn a_map_that_is_too_long_for_a_line_becomes_several() {
    let names: Vec<_> = (0..65_000).map(|number| format!("port-{number:010}")).collect();
    let ports: Vec<_> = (0..).zip(names.iter().map(String::as_str)).collect();
    let written = text(|writer| writer.ports(&[datapath("a", &ports)]).unwrap());
    assert!(written.lines().count() > 1);
    let mut recording = recording(&written);
    while recording.next().unwrap().is_some() {}
    assert_eq!(recording.counts().malformed(), 0);
    let dp = recording.ports().find(b"a").unwrap();
    assert_eq!(recording.ports().number(dp, names[64_999].as_bytes()), Some(PortNo(64_999)));
}

#[test]
fn losses_are_added_up() {
    let written = text(|writer| {
        writer.lost(EventKind::OpFlowPut, 1);
        writer.lost(EventKind::RecvUpcall, 0);
        writer.lost(EventKind::DpUpcall, 2);
        writer.lost(EventKind::OpFlowPut, 3);
    });
    assert!(written.ends_with("event_miss = {1: 2, 2: 4}\n"), "{written}");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        kind in select(EventKind::ALL.to_vec()),
        (ts, cpu, tid, pid) in any::<(u64, u32, u32, Option<u32>)>(),
        (upcall_type, linear_len, packet_len, key_len) in any::<(u32, u32, u32, u32)>(),
        comm in vec(1..=u8::MAX, 0..=15),
        (datapath, port_name) in any::<([u8; 5], [u8; 3])>(),
        (packet, key) in (vec(any::<u8>(), 0..300), vec(any::<u8>(), 0..100)),
    ) {
        let event = RecordedEvent {
            kind,
            ts: MonotonicNs(ts),
            cpu: Cpu(cpu),
            tid: Tid(tid),
            pid: pid.map(Pid),
            comm: Comm::from_bytes(&comm),
            upcall_type,
            datapath: &datapath,
            port_name: &port_name,
            port: None,
            packet: Captured::new(packet_len, &packet),
            linear_len,
            key: Captured::new(key_len, &key),
        };
        let written = text(|writer| writer.event(&event).unwrap());
        for bytes in [written.clone().into_bytes(), copy(written.as_bytes(), Format::Compact)] {
            let copied = copy(&bytes, Format::Script);
            prop_assert_eq!(String::from_utf8(copied).unwrap(), written.clone());
        }
        let mut recording = recording(&written);
        prop_assert_eq!(recording.next_item().unwrap(), Some(Item::Ports(&[])));
        let expected = RecordedEvent { pid: None, ..event };
        prop_assert_eq!(recording.next_item().unwrap(), Some(Item::Event(expected)));
    }
}
