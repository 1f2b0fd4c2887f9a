//! Which upcalls a user wants to see.

use std::time::Duration;

use crate::ports::{DatapathId, PortNo, Ports};
use crate::upcall::{FailedUpcall, Upcall};

/// Lets upcalls pass that meet all conditions; an empty list is no condition.
#[derive(Clone, Debug, Default)]
pub struct UpcallFilter {
    /// Names or numbers of ports.
    pub ports: Vec<String>,
    /// Names of handler threads.
    pub threads: Vec<String>,
    /// Names of datapaths, with or without the prefix `system@`.
    pub datapaths: Vec<String>,
    /// Shortest duration from the first to the last event.
    pub min_duration: Duration,
}

impl UpcallFilter {
    /// Whether this upcall passes.
    #[must_use]
    pub fn passes(&self, upcall: &Upcall<'_>, ports: &Ports) -> bool {
        u128::from(upcall.duration_ns()) >= self.min_duration.as_nanos()
            && self.passes_place(upcall.datapath, upcall.port(), ports)
            && any(&self.threads, |wanted| upcall.recv.comm.as_bytes() == wanted.as_bytes())
    }

    /// Whether this upcall, which was not delivered, passes. No thread has handled it, so that it
    /// does not where threads are named; whatever its duration, it failed.
    #[must_use]
    pub fn passes_failed(&self, failed: &FailedUpcall<'_>, ports: &Ports) -> bool {
        self.threads.is_empty() && self.passes_place(failed.datapath, Some(failed.port), ports)
    }

    fn passes_place(&self, datapath: DatapathId, port: Option<PortNo>, ports: &Ports) -> bool {
        any(&self.ports, |wanted| {
            port.is_some_and(|port| {
                ports.name(datapath, port) == Some(wanted)
                    || wanted.parse().is_ok_and(|number| PortNo(number) == port)
            })
        }) && any(&self.datapaths, |wanted| {
            ports.datapath_name(datapath) == wanted.strip_prefix("system@").unwrap_or(wanted)
        })
    }
}

/// Whether one of the list is meant, or none is named.
fn any(list: &[String], is_meant: impl Fn(&str) -> bool) -> bool {
    list.is_empty() || list.iter().any(|wanted| is_meant(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::Config;
    use crate::event::Event;
    use crate::pipeline::{self, Consumer};
    use crate::source::recording::{Options, Recording};
    use crate::upcall::Unmatched;

    /// Twelve upcalls of the ports p1 (2), p2 (3) and p3 (4), seven, four and one; five were
    /// handled by handler1, seven by handler2.
    const RECORDING: &[u8] = include_bytes!("../../tests/fixtures/tiny-56.events.zst");

    struct Count {
        filter: UpcallFilter,
        passed: Vec<u64>,
    }

    impl Consumer for Count {
        fn event(&mut self, _: &Event<'_>, _: &Ports) {}

        fn upcall(&mut self, upcall: &Upcall<'_>, ports: &Ports) {
            if self.filter.passes(upcall, ports) {
                self.passed.push(upcall.duration_ns());
            }
        }

        fn failed(&mut self, _: &FailedUpcall<'_>, _: &Ports) {}

        fn unmatched(&mut self, _: &Unmatched) {}
    }

    /// Durations in ns of the upcalls that pass.
    fn passing(filter: UpcallFilter) -> Vec<u64> {
        let mut recording = Recording::from_reader(RECORDING, Options::default()).unwrap();
        let mut count = Count { filter, passed: Vec::new() };
        pipeline::run(&mut recording, Config::default(), &mut count, |_| true).unwrap();
        count.passed
    }

    fn any() -> UpcallFilter {
        UpcallFilter::default()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_condition_lets_all_pass() {
        assert_eq!(passing(any()).len(), 12);
    }

    #[test]
    fn ports_by_name_and_number() {
        let cases: [(&[&str], usize); 7] = [
            (&["p1"], 7),
            (&["2"], 7),
            (&["p1", "2"], 7),
            (&["p1", "4"], 8),
            (&["p1", "nosuch"], 7),
            (&["nosuch"], 0),
            (&["-1", "99999999999"], 0),
        ];
        for (wanted, expected) in cases {
            let filter = UpcallFilter { ports: names(wanted), ..any() };
            assert_eq!(passing(filter).len(), expected, "{wanted:?}");
        }
    }

    #[test]
    fn threads_by_their_whole_name() {
        for (wanted, expected) in [("handler1", 5), ("handler2", 7), ("handler", 0), ("", 0)] {
            let filter = UpcallFilter { threads: names(&[wanted]), ..any() };
            assert_eq!(passing(filter).len(), expected, "{wanted}");
        }
    }

    #[test]
    fn datapaths_with_and_without_prefix() {
        for (wanted, expected) in [("ovs-system", 12), ("system@ovs-system", 12), ("ovs", 0)] {
            let filter = UpcallFilter { datapaths: names(&[wanted]), ..any() };
            assert_eq!(passing(filter).len(), expected, "{wanted}");
        }
    }

    #[test]
    fn durations_from_the_bound_on() {
        let mut durations = passing(any());
        durations.sort_unstable();
        let bound = durations[8];
        let filter = |ns| UpcallFilter { min_duration: Duration::from_nanos(ns), ..any() };
        assert_eq!(passing(filter(bound)).len(), 4);
        assert_eq!(passing(filter(bound + 1)).len(), 3);
        assert!(passing(UpcallFilter { min_duration: Duration::MAX, ..any() }).is_empty());
    }

    #[test]
    fn all_conditions_are_to_be_met() {
        let both = UpcallFilter { ports: names(&["p1"]), threads: names(&["handler1"]), ..any() };
        let passed = passing(both).len();
        assert!((1..5).contains(&passed), "{passed}");
    }
}
