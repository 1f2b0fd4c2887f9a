//! The correlator on recordings of a real Open vSwitch: against what really happened, and against
//! what upcall_cost.py finds. docs/parity.md explains every difference.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use upspan::event::EventKind;
use upspan::upcall::{MatchMethod, UnmatchedReason};
use upspan_tests::collect::{Collected, collect};
use upspan_tests::fixtures::{self, RECORDINGS, Set};

fn correlate(name: &str) -> Collected {
    collect(&fixtures::path(&format!("{name}.events.zst")))
}

#[test]
fn upcalls_without_losses_are_those_that_happened() {
    for name in RECORDINGS {
        let truth = fixtures::sets(&fixtures::json(&format!("{name}.truth")));
        assert!(correlate(name).sets == truth, "{name}");
    }
}

#[test]
fn vlan_upcalls_are_found() {
    let reference = fixtures::sets(&fixtures::json("small-335.golden"));
    let ours = correlate("small-335");
    assert_eq!(ours.matches[&MatchMethod::Vlan], 6);
    assert_eq!(ours.sets.len(), reference.len() + 6);
}

#[test]
fn gso_segments_are_found() {
    let reference = fixtures::sets(&fixtures::json("mix-4319.golden"));
    let ours = correlate("mix-4319");
    assert_eq!(ours.gso_segments, 372);
    assert_eq!(ours.sets.len(), reference.len() + 372);
}

#[test]
fn flow_puts_of_revalidators_belong_to_no_upcall() {
    let puts = (EventKind::OpFlowPut, UnmatchedReason::Revalidator);
    assert_eq!(correlate("mix-4319").unmatched, BTreeMap::from([(puts, 80)]));
}

#[test]
fn whatever_the_reference_finds_is_found() {
    for name in RECORDINGS {
        let ours: BTreeSet<Set> = correlate(name).sets.into_iter().collect();
        for set in fixtures::sets(&fixtures::json(&format!("{name}.golden"))) {
            assert!(ours.contains(&set), "{name}: {set:?}");
        }
    }
}

/// How events get lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// Each one of so many.
    OneIn(u32),
    /// All of them for a while, now and then: the ring buffer is full.
    Gaps,
    /// Likewise, but for shorter and more often.
    Bursts,
    /// Likewise, and then every other one: the reader makes room as slowly as events come.
    BurstsAndThinning,
}

impl Loss {
    /// Which of `events` are lost.
    fn lost(self, events: usize, rng: &mut SmallRng) -> Vec<bool> {
        let mut lost = Vec::with_capacity(events);
        let stretch = |longest: u32, rng: &mut SmallRng| 1 + rng.next_u32() % longest;
        while lost.len() < events {
            match self {
                Self::OneIn(n) => lost.push(stretch(n, rng) == 1),
                Self::Gaps => {
                    lost.extend((0..stretch(9000, rng)).map(|_| false));
                    lost.extend((0..stretch(1000, rng)).map(|_| true));
                }
                Self::Bursts | Self::BurstsAndThinning => {
                    lost.extend((0..stretch(1500, rng)).map(|_| false));
                    lost.extend((0..stretch(400, rng)).map(|_| true));
                    if matches!(self, Self::BurstsAndThinning) {
                        lost.extend((0..stretch(800, rng)).map(|_| stretch(2, rng) == 1));
                    }
                }
            }
        }
        lost.truncate(events);
        lost
    }
}

/// Writes the recording without the events that are lost, which it declares at its end, as
/// upcall_cost.py does. Returns the original ordinals of those that are left.
fn write_with_losses(text: &[u8], lost: &[bool], to: &mut impl Write) -> Vec<u64> {
    let mut left = Vec::new();
    let mut missed = BTreeMap::<u8, u64>::new();
    let mut ordinal = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if let Some(event) = line.strip_prefix(b"event = {'event': ") {
            ordinal += 1;
            if lost[ordinal - 1] {
                *missed.entry(event[0] - b'0').or_default() += 1;
                continue;
            }
            left.push(u64::try_from(ordinal - 1).unwrap());
        }
        to.write_all(line).unwrap();
    }
    let missed: Vec<String> = missed.iter().map(|(kind, n)| format!("{kind}: {n}")).collect();
    writeln!(to, "event_miss = {{{}}}", missed.join(", ")).unwrap();
    left
}

#[test]
fn with_losses_no_wrong_join() {
    let losses = [
        Loss::OneIn(100),
        Loss::OneIn(20),
        Loss::OneIn(5),
        Loss::OneIn(2),
        Loss::Gaps,
        Loss::Bursts,
        Loss::BurstsAndThinning,
    ];
    let (mut joins, mut kept) = (0, 0);
    for name in ["small-335", "medium-10686", "mix-4319", "pvp-10k"] {
        let text = fixtures::read(&format!("{name}.events"));
        let truth: BTreeMap<u64, Set> = fixtures::sets(&fixtures::json(&format!("{name}.truth")))
            .into_iter()
            .map(|set| (set["recv_upcall"], set))
            .collect();
        let events =
            text.split(|&b| b == b'\n').filter(|line| line.starts_with(b"event = ")).count();
        for (seed, loss) in (0..).zip(losses) {
            let mut rng = SmallRng::seed_from_u64(seed);
            let lost = loss.lost(events, &mut rng);
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let left = write_with_losses(&text, &lost, &mut file);
            let collected = collect(file.path());
            for set in &collected.sets {
                let original = |ordinal: &u64| left[usize::try_from(*ordinal).expect("an ordinal")];
                let truth = &truth[&original(&set["recv_upcall"])];
                for (kind, ordinal) in set {
                    let expected = truth.get(kind);
                    assert_eq!(Some(&original(ordinal)), expected, "{name} {loss:?}: {kind}");
                }
                joins += set.len() - 1;
                let is_left = |ordinal: &&u64| !lost[usize::try_from(**ordinal).unwrap()];
                kept += truth.values().filter(is_left).count() - 1;
            }
        }
    }
    // Leaving everything out would be right, too, but of no use.
    assert!(joins * 2 > kept, "{joins} of {kept}");
}
