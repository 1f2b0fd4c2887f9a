//! What the options do.

use super::writer::{EventText, PORT_MAP};
use super::*;

#[test]
fn it_stops_after_so_many_events() {
    let put = EventText::new(EventKind::OpFlowPut);
    let other = EventText { comm: "revalidator1", ..put.clone() };
    let text =
        format!("{PORT_MAP}{other}\nevent = x\n{put}\n{put}\n{put}\nevent_miss = {{1: 2}}\n");
    for (stop, expected) in [(1, &[2][..]), (2, &[2, 3]), (3, &[2, 3, 4]), (4, &[2, 3, 4])] {
        let options = Options {
            stop_after: NonZeroU64::new(stop),
            handlers: Some("handler13".parse().unwrap()),
            ..Options::default()
        };
        let outcome = read_with(Cursor::new(text.clone()), options).unwrap();
        assert_eq!(outcome.usable(), expected);
        assert_eq!(outcome.lost.len(), usize::from(stop == 4));
    }
}

#[test]
fn events_of_other_threads_are_filtered() {
    let text: String = std::iter::once(PORT_MAP.to_owned())
        .chain(["handler1", "handler13", "handler2"].into_iter().flat_map(|comm| {
            EventKind::ALL.map(|kind| EventText { comm, ..EventText::new(kind) }.line())
        }))
        .collect();
    let options =
        Options { handlers: Some("handler1,handler2".parse().unwrap()), ..Options::default() };
    let outcome = read_with(Cursor::new(text), options).unwrap();
    assert_eq!(outcome.usable(), [0, 1, 2, 3, 4, 6, 10, 11, 12, 13, 14]);
    for (kind, counts) in outcome.counts.kinds().iter() {
        let filtered = u64::from(kind != EventKind::DpUpcall);
        assert_eq!((counts.total, counts.filtered), (3 - filtered, filtered), "{kind}");
    }
    assert_eq!(outcome.counts.sum().filtered, 4);
    assert_eq!(outcome.counts.sum().total, 11);
}
