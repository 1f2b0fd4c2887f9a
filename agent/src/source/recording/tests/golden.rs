//! Recordings of a real Open vSwitch, against what upcall_cost.py counts in them.

use std::collections::HashSet;

use super::*;

#[test]
fn counts_are_those_of_the_reference() {
    for name in ["tiny-56", "small-335", "medium-10686", "mix-4319", "pvp-10k"] {
        let golden: serde_json::Value =
            serde_json::from_slice(&decompressed(&format!("{name}.golden.json.zst"))).unwrap();
        let input = Input::from(fixture(&format!("{name}.events.zst")).as_path());
        let options = Options { strict: true, ..Options::default() };
        let recording = Recording::open(&input, options).unwrap();
        assert_eq!(recording.declared_losses(), Some(&LossCounts::default()), "{name}");
        let outcome = drain(recording).unwrap();

        for (kind, counts) in outcome.counts.kinds().iter() {
            let golden = &golden["counts"][kind.name()];
            assert_eq!(golden["valid"], counts.valid, "{name} {kind}");
            assert_eq!(golden["total"], counts.total, "{name} {kind}");
            assert_eq!(golden["miss"], counts.miss, "{name} {kind}");
        }
        assert_eq!(golden["events"], outcome.counts.event_lines(), "{name}");
        assert_eq!(outcome.counts.lines(), outcome.counts.event_lines() + 1, "{name}");
        let ordinals: Vec<_> = outcome.events.iter().map(|&(ordinal, _)| ordinal).collect();
        assert_eq!(ordinals, (0..outcome.counts.event_lines()).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn captures_are_whole_up_to_their_limits() {
    let bytes = decompressed("medium-10686.events.zst");
    let len = bytes.len() as u64;
    let mut recording = Recording::from_reader(Cursor::new(bytes), Options::default()).unwrap();
    let mut received = HashSet::new();
    while let Some(record) = recording.next().unwrap() {
        let Record::Event(event) = record else { panic!("{record:?}") };
        match event.body {
            EventBody::RecvUpcall { packet, key, .. } => {
                assert_eq!(packet.bytes.len(), 512.min(packet.len as usize));
                assert_eq!(key.bytes.len(), 128.min(key.len as usize));
                received.insert(packet.bytes.to_vec());
            }
            EventBody::FlowExecute { packet } => {
                // Stale bytes would differ.
                assert!(received.contains(packet.bytes), "{:?}", event.head);
            }
            EventBody::DpUpcall { packet, .. } => assert!(packet.bytes.len() <= 512),
            EventBody::FlowPut | EventBody::PacketExecute => {}
        }
    }
    assert_eq!(recording.counts().bytes(), len);
}
