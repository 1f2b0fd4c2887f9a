//! The figures and the text of upcall_cost.py for real recordings, from the latencies, batches and
//! threads that it found in them.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::fixture::{head, ports, upcall};
use super::text::TextOptions;
use super::{EventCounts, Report, ReportOptions, Summary, text};
use crate::event::{EventKind, Unusable};
use crate::ports::DatapathId;
use crate::upcall::{BatchPlace, Sink, Upcall};

const RECORDINGS: [&str; 4] = ["tiny-56", "small-335", "medium-10686", "mix-4319"];

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name);
    let file = std::fs::File::open(path).expect("the fixture is there");
    std::io::read_to_string(zstd::Decoder::new(file).expect("is zstd")).expect("is text")
}

/// What the script found.
#[derive(Deserialize)]
struct Golden {
    counts: HashMap<String, Count>,
    sets: Vec<HashMap<String, u64>>,
    batch_sizes: Vec<u32>,
    upcalls_per_thread: Threads,
    latency_us: HashMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
struct Count {
    valid: u64,
    total: u64,
    miss: u64,
}

/// Names and upcalls in the file's order, which a map would lose.
struct Threads(Vec<(String, usize)>);

impl<'de> Deserialize<'de> for Threads {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Threads;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Threads, A::Error> {
                let entries = std::iter::from_fn(|| map.next_entry().transpose());
                entries.collect::<Result<_, _>>().map(Threads)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Golden {
    fn new(recording: &str) -> Self {
        let json = fixture(&format!("{recording}.golden.json.zst"));
        serde_json::from_str(&json).expect("is JSON of a reference run")
    }

    fn counts(&self) -> EventCounts {
        let mut counts = EventCounts::default();
        for kind in EventKind::ALL {
            let count = &self.counts[kind.name()];
            (0..count.valid).for_each(|_| counts.usable(kind));
            (count.valid..count.total).for_each(|_| counts.unusable(kind, Unusable::UnknownPort));
            counts.lost(kind, count.miss);
        }
        counts
    }

    /// Upcalls with these latencies, batches and threads. Ordinals are new ones, as the golden
    /// data does not say which upcall was in which batch.
    fn upcalls(&self, datapath: DatapathId) -> Vec<Upcall<'static>> {
        let latencies = |name: &str| {
            let values = self.latency_us[name].iter();
            values.map(|us| (us * 1000.0).round() as u64).collect::<Vec<_>>().into_iter()
        };
        let mut to_vswitchd = latencies("kernel_to_vswitchd");
        let mut to_kernel = latencies("vswitchd_to_kernel");
        let mut overhead = latencies("time_minus_lookup");
        let mut total = latencies("kernel_to_kernel_exec");

        let threads = self.upcalls_per_thread.0.iter().enumerate();
        let threads = threads.flat_map(|(tid, (name, upcalls))| {
            std::iter::repeat_n((tid as u32, name.as_str()), *upcalls)
        });
        let batches = self.batch_sizes.iter();
        let batches = batches.flat_map(|&size| (0..size).map(move |index| (size, index)));
        let mut sets = self.sets.iter();
        let mut upcalls = Vec::new();
        for (number, ((tid, comm), (size, index))) in threads.zip(batches).enumerate() {
            let ordinal = number as u64 * 5;
            let event = |offset, ns| head(ordinal + offset, ns, tid, comm);
            // Far from 0, so that nothing comes before it.
            const START: u64 = 1 << 50;
            let mut made = upcall(datapath, ordinal, [START; 5], tid);
            made.batch = BatchPlace { size, index };
            made.recv = event(1, START);
            (made.flow_put, made.flow_execute, made.packet_execute) = (None, None, None);
            if let Some(set) = sets.next() {
                let has = |kind: EventKind| set.contains_key(kind.name());
                made.recv = event(1, START + to_vswitchd.next().expect("every set has one"));
                if has(EventKind::OvsPktExec) {
                    let end = START + total.next().expect("has its events");
                    made.packet_execute = Some(event(4, end));
                    if has(EventKind::OpFlowExecute) {
                        let ns = end - to_kernel.next().expect("has its events");
                        made.flow_execute = Some(event(3, ns));
                    }
                    if has(EventKind::OpFlowPut) {
                        let lookup = end - START - overhead.next().expect("has its events");
                        made.flow_put = Some(event(2, made.recv.ts.0 + lookup));
                    }
                }
            } else {
                made.kernel = None;
            }
            upcalls.push(made);
        }
        assert!([to_vswitchd, to_kernel, overhead, total].iter().all(|rest| rest.len() == 0));
        upcalls
    }

    fn summary(&self) -> Summary {
        let (ports, datapath) = ports();
        let upcalls = self.upcalls(datapath);
        let mut report = Report::new(ReportOptions::default());
        upcalls.iter().for_each(|upcall| report.thread_event(&upcall.recv));
        // Upcalls come as they complete: the figures must not depend on the order.
        upcalls.iter().rev().for_each(|upcall| report.upcall(upcall));
        report.finish(self.counts(), &ports)
    }
}

/// The part that both reports have, from the counts to the last histogram. The script's first
/// version had other labels (and so another order of the counts) and a mistake in a title; its
/// warning is not for us to give; a recorded terminal session ends in stray line ends.
fn common(text: &str) -> String {
    let text = text
        .replace("netlink_opperate__op_flow_execute   ", "dpif_netlink_operate__op_flow_execute")
        .replace("netlink_opperate__op_flow_put       ", "dpif_netlink_operate__op_flow_put   ")
        .replace("vsiwtchd", "vswitchd")
        .replace(
            "WARNING: SKB from kernel had fragments, we could only copy/compare the first part!\n",
            "",
        );
    let start = text.find("=> Events received").expect("has counts");
    let end = text.find("\n=> Durations").unwrap_or(text.len());
    let (counts, rest) = text[start..end].split_once("\n\n").expect("has several sections");
    let (title, lines) = counts.split_once('\n').expect("has counts");
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    format!("{title}\n{}\n\n{rest}\n", lines.join("\n"), rest = rest.trim_end())
}

#[test]
fn text_is_that_of_the_reference_byte_for_byte() {
    for recording in RECORDINGS {
        let summary = Golden::new(recording).summary();
        let mut ours = Vec::new();
        text::write(&summary, &mut ours, &TextOptions::default()).expect("memory takes it");
        let ours = common(&String::from_utf8(ours).expect("is text"));
        let theirs = common(&fixture(&format!("{recording}.report.txt.zst")));
        assert!(theirs.lines().count() > 120, "{recording}");
        for (ours, theirs) in ours.lines().zip(theirs.lines()) {
            assert_eq!(ours, theirs, "{recording}");
        }
        assert_eq!(ours, theirs, "{recording}");
    }
}

#[test]
fn json_has_the_figures_of_the_reference() {
    for recording in RECORDINGS.into_iter().chain(["pvp-10k"]) {
        let golden: serde_json::Value =
            serde_json::from_str(&fixture(&format!("{recording}.golden.json.zst")))
                .expect("is JSON");
        let summary = Golden::new(recording).summary();
        let ours = serde_json::to_value(&summary).expect("serialises");
        for key in ["events", "usable", "counts", "batch_sizes", "upcalls_per_thread", "latency_us"]
        {
            assert_eq!(ours[key], golden[key], "{recording}: {key}");
        }
        let text = serde_json::to_string(&summary).expect("serialises");
        let order: Golden = serde_json::from_str(&text.replacen('{', "{\"sets\":[],", 1))
            .expect("has the keys of the reference");
        assert_eq!(order.upcalls_per_thread.0, Golden::new(recording).upcalls_per_thread.0);
    }
}
