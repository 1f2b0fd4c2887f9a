//! What arrived at the backend, against what the applications say.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::Tried;
use super::account::{AppSpan, Side, SpanKey};
use crate::report::Report;

/// By how much a span may miss an upcall that is linked to it (`--join-tolerance`), and what the
/// clock may be off.
const TOLERANCE_NS: u64 = 6_000_000;

/// Of the links that should be, those that must be.
const RECALL_PERCENT: usize = 95;

/// An upcall as its root span has it.
#[derive(Debug)]
struct Upcall {
    key: SpanKey,
    /// Where its packet comes from and goes to.
    ends: [SocketAddr; 2],
    time: RangeInclusive<u64>,
    /// Its parent, if its packet said so.
    parent: Option<SpanKey>,
    links: Vec<SpanKey>,
}

/// A span `ovs upcall` in an application's trace.
#[derive(Debug)]
struct StandIn {
    parent: SpanKey,
    time: RangeInclusive<u64>,
}

/// Everything that arrived.
pub(super) struct Judge {
    upcalls: Vec<Upcall>,
    /// By the upcalls that they stand for.
    stand_ins: HashMap<SpanKey, Vec<StandIn>>,
    arrived: HashMap<SpanKey, usize>,
}

/// Counts of one kind of traffic.
#[derive(Debug, Default)]
struct Counts {
    /// Links and parents.
    claims: usize,
    /// Those that are wrong.
    wrong: Vec<String>,
    /// Spans that were open when an upcall of their connection began, and can be told.
    expected: usize,
    /// Those that were not found.
    missed: Vec<String>,
    /// Spans that cannot be told from others.
    untold: usize,
    /// Connections with an expected link, and those where one is missing.
    connections: BTreeSet<[SocketAddr; 2]>,
    lacking: BTreeSet<[SocketAddr; 2]>,
    /// Upcalls that are part of an application's trace.
    children: usize,
    stand_ins: usize,
    wrong_stand_ins: Vec<String>,
}

impl Judge {
    pub(super) fn new<'a>(spans: impl Iterator<Item = &'a Span>) -> Self {
        let mut judge =
            Self { upcalls: Vec::new(), stand_ins: HashMap::new(), arrived: HashMap::new() };
        for span in spans {
            *judge.arrived.entry(key(&span.trace_id, &span.span_id)).or_default() += 1;
            match span.name.as_str() {
                "upcall" => judge.upcalls.extend(upcall(span)),
                "ovs upcall" => {
                    let parent = key(&span.trace_id, &span.parent_span_id);
                    for of in links(span) {
                        let stand_in = StandIn { parent: parent.clone(), time: time(span) };
                        judge.stand_ins.entry(of).or_default().push(stand_in);
                    }
                }
                _ => {}
            }
        }
        judge
    }

    pub(super) fn judge(&self, tried: &Tried, report: &mut Report) {
        let Tried { kind, spans, time } = tried;
        let mut by_connection: HashMap<[SocketAddr; 2], Vec<&AppSpan>> = HashMap::new();
        for span in spans {
            by_connection.entry([span.client, span.server]).or_default().push(span);
        }
        let mut counts = Counts::default();
        for upcall in self.upcalls.iter().filter(|upcall| time.contains(upcall.time.start())) {
            let [from, to] = upcall.ends;
            let on = by_connection.get_key_value(&[from, to]);
            let on = on.or_else(|| by_connection.get_key_value(&[to, from]));
            let (connection, on) = on.map_or(([from, to], &[][..]), |(ends, on)| (*ends, &on[..]));
            counts.joins(upcall, connection, on);
            counts.stand_ins(upcall, self.stand_ins.get(&upcall.key).map_or(&[], |of| &of[..]));
        }
        let name = |what: &str| format!("{}: {what}", kind.name);
        let forwarded: Vec<&str> = spans
            .iter()
            .filter(|span| self.arrived.get(&span.key) != Some(&1))
            .map(|span| span.key.1.as_str())
            .collect();
        report.none(&name("spans came once through the agent"), spans.len(), &forwarded);
        report.none(&name("precision of links"), counts.claims, &counts.wrong);
        let recall = |found: usize, of: usize| {
            let holds = of > 0 && found * 100 >= of * RECALL_PERCENT;
            (holds, format!("{found} of {of}, {:.1} %", 100.0 * found as f64 / of.max(1) as f64))
        };
        let found = counts.expected - counts.missed.len();
        let (holds, detail) = recall(found, counts.expected);
        report.check(&name("recall of links"), holds, detail);
        counts.missed.iter().take(4).for_each(|missed| report.say(missed));
        let connections = counts.connections.len();
        let (holds, detail) = recall(connections - counts.lacking.len(), connections);
        report.check(&name("recall of connections"), holds, detail);
        // Of each connection the first packet was an upcall, and its client's span was open.
        let all: HashSet<_> = by_connection.keys().collect();
        report.check(
            &name("connections"),
            connections * 2 >= all.len(),
            format_args!("{connections} of {} had an upcall while such a span was open", all.len()),
        );
        report.say(format_args!("{} times, a span that cannot be told was open", counts.untold));
        let has_children = counts.children > 0;
        report.check(
            &name("upcalls of packets with a context"),
            has_children == kind.propagates,
            counts.children,
        );
        report.none(
            &name("spans in the application's traces"),
            counts.stand_ins,
            &counts.wrong_stand_ins,
        );
        report.check(&name("there are some"), counts.stand_ins > 0, counts.stand_ins);
    }
}

impl Counts {
    /// Of an upcall on a connection with these spans, if the applications know of it.
    fn joins(&mut self, upcall: &Upcall, connection: [SocketAddr; 2], on: &[&AppSpan]) {
        let near = upcall.time.start().saturating_sub(TOLERANCE_NS)
            ..=upcall.time.end().saturating_add(TOLERANCE_NS);
        let claims: Vec<&SpanKey> = upcall.links.iter().chain(&upcall.parent).collect();
        self.claims += claims.len();
        self.children += usize::from(upcall.parent.is_some());
        for claim in &claims {
            let is_right = on.iter().any(|span| span.key == **claim && span.overlaps(&near));
            if !is_right {
                self.wrong.push(format!("{upcall:?} has not to do with {claim:?}"));
            }
        }
        let open = on.iter().filter(|span| span.time.contains(upcall.time.start()));
        for span in open {
            // A packet with a context was sent by the client's span.
            if upcall.parent.is_some() && span.side == Side::Server {
                continue;
            }
            if !span.says_client {
                self.untold += 1;
                continue;
            }
            self.expected += 1;
            self.connections.insert(connection);
            if !claims.contains(&&span.key) {
                self.missed.push(format!("{upcall:?} lacks {span:?}"));
                self.lacking.insert(connection);
            }
        }
    }

    /// Each trace that an upcall is linked to has one, which is a child of a linked span.
    fn stand_ins(&mut self, upcall: &Upcall, of: &[StandIn]) {
        self.stand_ins += of.len();
        let traces: BTreeSet<&str> = upcall.links.iter().map(|(trace, _)| trace.as_str()).collect();
        let parents: BTreeSet<&str> =
            of.iter().map(|stand_in| stand_in.parent.0.as_str()).collect();
        let are_right = traces == parents
            && traces.len() == of.len()
            && of.iter().all(|stand_in| {
                upcall.links.contains(&stand_in.parent) && stand_in.time == upcall.time
            });
        if !are_right {
            self.wrong_stand_ins.push(format!("{of:?} for {upcall:?}"));
        }
    }
}

fn upcall(span: &Span) -> Option<Upcall> {
    let value = |name: &str| {
        let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
        attribute.value.as_ref()?.value.as_ref()
    };
    let end = |address: &str, port: &str| {
        let (Value::StringValue(address), Value::IntValue(port)) = (value(address)?, value(port)?)
        else {
            return None;
        };
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, u16::try_from(*port).ok()?))
    };
    let has_parent = !span.parent_span_id.is_empty();
    Some(Upcall {
        key: key(&span.trace_id, &span.span_id),
        ends: [
            end("source.address", "source.port")?,
            end("destination.address", "destination.port")?,
        ],
        time: time(span),
        parent: has_parent.then(|| key(&span.trace_id, &span.parent_span_id)),
        links: links(span),
    })
}

fn links(span: &Span) -> Vec<SpanKey> {
    span.links.iter().map(|link| key(&link.trace_id, &link.span_id)).collect()
}

fn time(span: &Span) -> RangeInclusive<u64> {
    span.start_time_unix_nano..=span.end_time_unix_nano
}

fn key(trace_id: &[u8], span_id: &[u8]) -> SpanKey {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (hex(trace_id), hex(span_id))
}
