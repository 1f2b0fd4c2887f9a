//! The BPF programs, and what they capture.

use std::time::Duration;

use upspan::event::EventKind;
use upspan::source::live::capture::{Capture, FromRing, Left};
use upspan::source::live::programs::{Attached, Programs};
use upspan::source::live::record::LiveRecord;
use upspan::source::live::uprobe::Method;
use upspan::source::live::usdt::probes::Probes;
use upspan_ebpf::config::{Config, upcalls};

/// Both ways to attach; kernels before 6.6 have the second only.
pub(crate) const METHODS: [Method; 2] = [Method::Multi, Method::Perf];

pub(crate) const CONFIG: Config = Config {
    packet_limit: 256,
    key_limit: 512,
    upcalls: upcalls::MISS | upcalls::ACTION,
    skb_data: 0,
    ring_bytes: 1 << 20,
    wake_bytes: 1 << 20,
    tracepoint: upspan_ebpf::config::TracepointFields {
        dp_name: 16,
        dev_name: 20,
        skbaddr: 24,
        len: 32,
        data_len: 36,
        upcall_cmd: 84,
    },
    datapath: [0; 16],
    port: [0; 16],
};

/// What the ring buffer had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Event(Event),
    Gap,
    Lost(EventKind, u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) ts: u64,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) comm: String,
    pub(crate) upcall_type: u32,
    pub(crate) datapath: String,
    pub(crate) packet_len: u32,
    pub(crate) packet: Vec<u8>,
    pub(crate) key_len: u32,
    pub(crate) key: Vec<u8>,
}

/// The programs in the kernel.
pub(crate) struct Loaded {
    pub(crate) programs: Programs,
    pub(crate) capture: Capture,
}

impl Loaded {
    pub(crate) fn new(method: Method) -> Self {
        Self::with(method, &CONFIG)
    }

    pub(crate) fn with(method: Method, config: &Config) -> Self {
        Self::of(Programs::load_for(Some(method), config).unwrap_or_else(|error| {
            panic!("these tests take root and a kernel with BPF, 6.6 or later: {error}")
        }))
    }

    pub(crate) fn of(mut programs: Programs) -> Self {
        let capture = Capture::new(&mut programs).expect("the maps are there");
        Self { programs, capture }
    }

    /// Attaches to all of the probes.
    pub(crate) fn attach(&self, probes: &Probes) -> Vec<Attached> {
        let results = self.programs.attach_usdt(probes).into_iter();
        results.map(|result| result.unwrap_or_else(|error| panic!("{error}"))).collect()
    }

    /// Whether a program has woken us up since the last time.
    pub(crate) fn is_woken(&mut self) -> bool {
        self.capture.wait(Duration::ZERO)
    }

    /// What has come since the last time.
    pub(crate) fn seen(&mut self) -> Vec<Seen> {
        let (mut seen, mut left) = (Vec::new(), Left::Perhaps);
        while left != Left::Nothing {
            left = self
                .capture
                .drain(usize::MAX, |from_ring| {
                    seen.push(match from_ring {
                        FromRing::Gap => Seen::Gap,
                        FromRing::Lost(kind, count) => Seen::Lost(kind, count),
                        FromRing::Record(LiveRecord::Event(event)) => Seen::Event(Event {
                            kind: event.kind,
                            ts: event.ts.0,
                            pid: event.pid.expect("live capture knows it").0,
                            tid: event.tid.0,
                            comm: event.comm.to_string(),
                            upcall_type: event.upcall_type,
                            datapath: String::from_utf8_lossy(event.datapath).into_owned(),
                            packet_len: event.packet.len,
                            packet: event.packet.bytes.to_vec(),
                            key_len: event.key.len,
                            key: event.key.bytes.to_vec(),
                        }),
                        FromRing::Record(failed) => panic!("no kernel is probed: {failed:?}"),
                    });
                })
                .expect("the counts can be read");
        }
        seen
    }

    /// As [`Loaded::seen`], where nothing may have been lost.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        let event = |seen| match seen {
            Seen::Event(event) => event,
            lost => panic!("{lost:?}"),
        };
        self.seen().into_iter().map(event).collect()
    }
}
