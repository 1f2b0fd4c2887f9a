//! What only the compact format has a place for.

use upspan_proto::recording::v1 as proto;
use upspan_proto::recording::v1::record::Body;

use super::compact::{STRICT, end, of_records};
use super::*;
use crate::event::{Comm, Cpu, Tid};
use crate::ports::{NetnsId, PortNo};

/// Of the `dp_upcall` at 7.
pub(super) const FAILURE: RecordedFailure = RecordedFailure {
    ts: MonotonicNs(9),
    cpu: Cpu(1),
    tid: Tid(944),
    comm: Comm::EMPTY,
    dp_upcall: MonotonicNs(7),
    errno: 105,
};

#[test]
fn an_upcall_that_the_kernel_could_not_deliver_is_a_record() {
    let mut writer = CompactWriter::new(Vec::new(), &Header::default()).unwrap();
    writer.failed(&FAILURE).unwrap();
    let bytes = writer.finish().unwrap();
    let mut recording = Recording::from_reader(Cursor::new(bytes), STRICT).unwrap();
    let Some(Record::Failed { head, dp_upcall, errno }) = recording.next().unwrap() else {
        panic!("it is there");
    };
    assert_eq!((head.ts, dp_upcall, errno), (FAILURE.ts, FAILURE.dp_upcall, FAILURE.errno));
    assert_eq!(recording.next().unwrap(), None);
    assert_eq!(recording.counts().event_lines(), 0);

    let failed = proto::UpcallFailed { errno: u32::MAX, ..proto::UpcallFailed::default() };
    let outcome = read(of_records([Some(Body::UpcallFailed(failed)), end(0)]));
    assert_eq!(outcome.faults(), [(1, "the errno is out of range".to_owned())]);
}

#[test]
fn a_name_of_ports_in_different_namespaces_means_none_of_them() {
    let port = |number, netns| Port {
        number: PortNo(number),
        name: b"eth0".to_vec(),
        netns: Some(NetnsId(netns)),
        ..Port::default()
    };
    let ports = vec![port(4, 1), port(5, 2)];
    let mut writer = CompactWriter::new(Vec::new(), &Header::default()).unwrap();
    writer.ports(&[DatapathPorts { datapath: b"dp".to_vec(), ports }]).unwrap();
    let bytes = writer.finish().unwrap();
    let mut recording = Recording::from_reader(Cursor::new(bytes), STRICT).unwrap();
    while recording.next().unwrap().is_some() {}
    let dp = recording.ports().find(b"dp").unwrap();
    assert_eq!(recording.ports().number(dp, b"eth0"), None);
    assert_eq!(recording.ports().name(dp, PortNo(4)), Some("eth0"));
}

#[test]
fn clocks_are_records_wherever_they_are() {
    let anchor = |ns| ClockAnchor { monotonic: MonotonicNs(ns), realtime_unix_ns: 1_700 + ns };
    let header = Header { anchor: Some(anchor(1)), ..Header::default() };
    let mut writer = CompactWriter::new(Vec::new(), &header).unwrap();
    writer.anchor(anchor(2)).unwrap();
    let bytes = writer.finish().unwrap();
    let mut recording = Recording::from_reader(Cursor::new(bytes), STRICT).unwrap();
    for ns in [1, 2] {
        assert_eq!(recording.next().unwrap(), Some(Record::Clock(anchor(ns).into())));
    }
    assert_eq!(recording.next().unwrap(), None);
}

#[test]
fn a_gap_is_where_it_was() {
    let mut writer = CompactWriter::new(Vec::new(), &Header::default()).unwrap();
    writer.gap().unwrap();
    let bytes = writer.finish().unwrap();
    let mut recording = Recording::from_reader(Cursor::new(bytes), STRICT).unwrap();
    assert_eq!(recording.next().unwrap(), Some(Record::Unreadable));
    assert_eq!(recording.next().unwrap(), None);
    assert_eq!(recording.counts().malformed_events(), 0);
}

#[test]
fn the_script_s_format_leaves_out_what_it_has_no_place_for_and_counts_it() {
    for (format, unwritten, read) in [
        (Format::Compact, Unwritten::default(), 5),
        (Format::Script, Unwritten { failures: 2, anchors: 1 }, 1),
    ] {
        let mut writer = RecordingWriter::new(format, Vec::new(), &Header::default()).unwrap();
        for item in [Item::Gap, Item::Failed(FAILURE), Item::Failed(FAILURE)] {
            writer.item(item).unwrap();
        }
        writer.item(Item::Anchor(ClockAnchor::default())).unwrap();
        assert_eq!(writer.unwritten(), unwritten);
        let bytes = writer.finish().unwrap();
        let mut recording = Recording::from_reader(Cursor::new(bytes), STRICT).unwrap();
        let mut items = 0;
        while recording.next_item().unwrap().is_some() {
            items += 1;
        }
        // The header or, of the script's format, a port map.
        assert_eq!(items, read);
    }
}
