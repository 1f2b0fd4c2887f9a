//! B3, the propagation of Zipkin (<https://github.com/openzipkin/b3-propagation>).
//!
//! A sampling state alone (`b3: 0`, or `X-B3-Sampled: 0` without ids) names no trace that a span
//! could belong to, so it is no context.

use opentelemetry::trace::{SpanId, TraceId};

use super::Sampling;
use super::hex::{self, Case};

pub(super) type Ids = (TraceId, SpanId, Sampling);

/// Reads a `b3` header: `TRACE-SPAN`, `TRACE-SPAN-SAMPLING` or `TRACE-SPAN-SAMPLING-PARENT`.
pub(super) fn single(value: &[u8]) -> Option<Ids> {
    let mut fields = value.split(|&byte| byte == b'-');
    let (trace_id, span_id) = (trace_id(fields.next()?)?, span_id(fields.next()?)?);
    let sampling = match fields.next() {
        None => Sampling::Deferred,
        Some(b"0") => Sampling::NO,
        Some(b"1" | b"d") => Sampling::YES,
        Some(_) => return None,
    };
    if let Some(parent) = fields.next() {
        self::span_id(parent)?;
    }
    fields.next().is_none().then_some((trace_id, span_id, sampling))
}

/// The values of `X-B3-…` headers.
#[derive(Debug)]
pub(super) struct Multiple<'v> {
    pub(super) trace_id: &'v [u8],
    pub(super) span_id: &'v [u8],
    pub(super) sampled: Option<&'v [u8]>,
    pub(super) flags: Option<&'v [u8]>,
}

impl Multiple<'_> {
    pub(super) fn ids(&self) -> Option<Ids> {
        let sampling = match (self.flags, self.sampled) {
            // Debug, which implies sampled.
            (Some(b"1"), _) => Sampling::YES,
            (_, None) => Sampling::Deferred,
            // The words are those of old senders.
            (_, Some(b"1" | b"true")) => Sampling::YES,
            (_, Some(b"0" | b"false")) => Sampling::NO,
            (_, Some(_)) => return None,
        };
        Some((trace_id(self.trace_id)?, span_id(self.span_id)?, sampling))
    }
}

/// 128 bits, or the low 64.
fn trace_id(digits: &[u8]) -> Option<TraceId> {
    match hex::bytes(digits, Case::Either) {
        Some(bytes) => Some(TraceId::from_bytes(bytes)),
        None => hex::bytes(digits, Case::Either)
            .map(|low| TraceId::from(u128::from(u64::from_be_bytes(low)))),
    }
}

fn span_id(digits: &[u8]) -> Option<SpanId> {
    hex::bytes(digits, Case::Either).map(SpanId::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";

    fn ids(sampling: Sampling) -> Option<Ids> {
        let (trace, span) = (TraceId::from_hex(TRACE).unwrap(), SpanId::from_hex(SPAN).unwrap());
        Some((trace, span, sampling))
    }

    #[test]
    fn one_header_has_two_to_four_fields() {
        let read = |rest: &str| single(format!("{TRACE}-{SPAN}{rest}").as_bytes());
        assert_eq!(read(""), ids(Sampling::Deferred));
        assert_eq!(read("-0"), ids(Sampling::NO));
        assert_eq!(read("-1"), ids(Sampling::YES));
        assert_eq!(read("-d"), ids(Sampling::YES));
        assert_eq!(read("-1-05e3ac9a4f6e3b90"), ids(Sampling::YES));
        for wrong in ["-", "-2", "-D", "-true", "-1-", "-1-05e3", "-1-05e3ac9a4f6e3b90-", "0"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_sampling_state_alone_names_no_trace() {
        for state in [&b"0"[..], b"1", b"d", b"", b"-", b"--0"] {
            assert_eq!(single(state), None);
        }
    }

    #[test]
    fn digits_have_either_case_and_a_trace_id_may_be_short() {
        let upper = format!("{}-{}", TRACE.to_uppercase(), SPAN.to_uppercase());
        assert_eq!(single(upper.as_bytes()), ids(Sampling::Deferred));
        let (short, ..) = single(format!("{SPAN}-{SPAN}-1").as_bytes()).unwrap();
        assert_eq!(short.to_string(), format!("{:016}{SPAN}", 0));
        assert_eq!(single(format!("0{SPAN}-{SPAN}").as_bytes()), None);
    }

    #[test]
    fn several_headers_have_a_field_each() {
        let read = |sampled: Option<&str>, flags: Option<&str>| {
            Multiple {
                trace_id: TRACE.as_bytes(),
                span_id: SPAN.as_bytes(),
                sampled: sampled.map(str::as_bytes),
                flags: flags.map(str::as_bytes),
            }
            .ids()
        };
        assert_eq!(read(None, None), ids(Sampling::Deferred));
        assert_eq!(read(Some("1"), None), ids(Sampling::YES));
        assert_eq!(read(Some("true"), Some("0")), ids(Sampling::YES));
        assert_eq!(read(Some("0"), None), ids(Sampling::NO));
        assert_eq!(read(Some("false"), None), ids(Sampling::NO));
        assert_eq!(read(None, Some("1")), ids(Sampling::YES));
        assert_eq!(read(Some("0"), Some("1")), ids(Sampling::YES));
        assert_eq!(read(Some("d"), None), None);
        assert_eq!(read(Some(""), None), None);
    }
}
