//! Which upcalls a client wants.

use opentelemetry::trace::TraceId;
use upspan_proto::v1;

use super::entry::Entry;
use super::flow_prefix::{FlowPrefix, FlowPrefixError};
use super::message::method;
use crate::upcall::MatchMethod;

/// What [`v1::UpcallFilter`] says, checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    datapaths: Vec<String>,
    ports: Vec<String>,
    threads: Vec<String>,
    flows: Vec<FlowPrefix>,
    min_duration_ns: u64,
    completeness: Option<Completeness>,
    methods: Vec<MatchMethod>,
    trace_ids: Vec<TraceId>,
}

/// What an upcall has of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completeness {
    Complete,
    Incomplete,
    Failed,
}

impl Completeness {
    pub(super) fn of(entry: &Entry) -> Self {
        match entry.upcall() {
            None => Self::Failed,
            Some(upcall) if upcall.is_complete() => Self::Complete,
            Some(_) => Self::Incomplete,
        }
    }
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FilterError {
    #[error("filter.flows: {0}")]
    Flow(#[from] FlowPrefixError),
    #[error("filter.completeness: {0} is not known to this upspan")]
    Completeness(i32),
    #[error("filter.match_methods: {0} is not known to this upspan")]
    MatchMethod(i32),
    #[error("filter.trace_ids: an id has 16 bytes, not {0}")]
    TraceId(usize),
}

impl TryFrom<v1::UpcallFilter> for Filter {
    type Error = FilterError;

    fn try_from(filter: v1::UpcallFilter) -> Result<Self, FilterError> {
        let completeness = match v1::Completeness::try_from(filter.completeness) {
            Ok(v1::Completeness::Unspecified) => None,
            Ok(v1::Completeness::Complete) => Some(Completeness::Complete),
            Ok(v1::Completeness::Incomplete) => Some(Completeness::Incomplete),
            Ok(v1::Completeness::Failed) => Some(Completeness::Failed),
            Err(_) => return Err(FilterError::Completeness(filter.completeness)),
        };
        let known = |&number: &i32| {
            let message = v1::MatchMethod::try_from(number).ok();
            message.and_then(method).ok_or(FilterError::MatchMethod(number))
        };
        let trace_id = |bytes: &Vec<u8>| match bytes[..].try_into() {
            Ok(bytes) => Ok(TraceId::from_bytes(bytes)),
            Err(_) => Err(FilterError::TraceId(bytes.len())),
        };
        Ok(Self {
            flows: filter.flows.iter().map(TryFrom::try_from).collect::<Result<_, _>>()?,
            completeness,
            methods: filter.match_methods.iter().map(known).collect::<Result<_, _>>()?,
            trace_ids: filter.trace_ids.iter().map(trace_id).collect::<Result<_, _>>()?,
            datapaths: filter.datapaths,
            ports: filter.ports,
            threads: filter.threads,
            min_duration_ns: filter.min_duration_ns,
        })
    }
}

impl Filter {
    /// Whether this upcall passes. What is cheap to find out comes first.
    pub(super) fn passes(&self, entry: &Entry) -> bool {
        let upcall = entry.upcall();
        upcall.is_none_or(|upcall| upcall.duration_ns() >= self.min_duration_ns)
            && self.completeness.is_none_or(|wanted| wanted == Completeness::of(entry))
            && any(&self.methods, |&wanted| {
                upcall.and_then(|u| u.kernel.as_ref()).is_some_and(|k| k.matched == wanted)
            })
            && any(&self.trace_ids, |&wanted| entry.trace_id == Some(wanted))
            && any(&self.datapaths, |wanted| {
                entry.datapath.as_str() == wanted.strip_prefix("system@").unwrap_or(wanted)
            })
            && any(&self.ports, |wanted| is_port(entry, wanted))
            && any(&self.threads, |wanted| {
                upcall.is_some_and(|upcall| upcall.recv.comm.as_bytes() == wanted.as_bytes())
            })
            && (self.flows.is_empty() || {
                let headers = entry.headers();
                self.flows.iter().any(|flow| flow.fits(&headers))
            })
    }
}

fn is_port(entry: &Entry, wanted: &str) -> bool {
    entry.port_name.is_some_and(|name| name.as_str() == wanted)
        || entry.port().is_some_and(|port| wanted.parse() == Ok(port.0))
}

/// Whether one of the list is meant, or none is named.
fn any<T>(list: &[T], is_meant: impl Fn(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(is_meant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, proptest};

    use super::{Entry, Filter, FilterError, v1};
    use crate::report::fixture::{ports, upcall};

    proptest! {
        #[test]
        fn any_filter_is_taken_or_refused(
            names in prop::collection::vec("(p1|2|system@ovs-system|\\PC{0,4})", 0..3),
            threads in prop::collection::vec("(handler7|\\PC{0,4})", 0..2),
            min_duration_ns: u64,
            completeness in -1..5,
            match_methods in prop::collection::vec(-1..7, 0..3),
            trace_ids in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..18), 0..2),
            source in "([0-9./]{0,12}|::|\\PC{0,3})",
        ) {
            let message = v1::UpcallFilter {
                datapaths: names.clone(),
                ports: names,
                threads,
                flows: vec![v1::FlowPrefix { source, ..v1::FlowPrefix::default() }],
                min_duration_ns,
                completeness,
                match_methods: match_methods.clone(),
                trace_ids: trace_ids.clone(),
            };
            let is_known = (0..=3).contains(&completeness)
                && match_methods.iter().all(|method| (1..=5).contains(method))
                && trace_ids.iter().all(|id| id.len() == 16);
            match Filter::try_from(message) {
                Ok(filter) => {
                    prop_assert!(is_known);
                    let (ports, datapath) = ports();
                    let upcall = upcall(datapath, 0, [0, 1, 2, 3, 4], 7);
                    filter.passes(&Entry::handled(&upcall, &ports));
                }
                Err(FilterError::Flow(_)) => {}
                Err(_) => prop_assert!(!is_known),
            }
        }
    }
}
