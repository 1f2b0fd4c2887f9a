//! The headers of one request that may carry a context.

use std::borrow::Cow;

use opentelemetry::trace::TraceState;
use smallvec::SmallVec;

use super::{ContextMethod, PacketContext, Sampling, b3, w3c};

/// Most bytes of `tracestate` values that are kept; of more, none is used. Far above what may be
/// passed on, and a bound to what few bytes of HTTP/2 can stand for.
const MAX_STATE_BYTES: usize = 8 << 10;

/// A header that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Traceparent,
    Tracestate,
    B3,
    B3TraceId,
    B3SpanId,
    B3Sampled,
    B3Flags,
}

impl Name {
    /// All of them, with their names in lower case and these in the Huffman code of HTTP/2 (RFC
    /// 7541, appendix B), which has one encoding for each text.
    pub(super) const ALL: [(Self, &'static [u8], &'static [u8]); 7] = [
        (Self::Traceparent, b"traceparent", b"\x4d\x83\x21\x6b\x1d\x85\xa9\x3f"),
        (Self::Tracestate, b"tracestate", b"\x4d\x83\x21\x50\x91\xa4\xbf"),
        (Self::B3, b"b3", b"\x8d\x9f"),
        (Self::B3TraceId, b"x-b3-traceid", b"\xf2\xb4\x6c\xac\x9b\x06\x42\x9a\x4f"),
        (Self::B3SpanId, b"x-b3-spanid", b"\xf2\xb4\x6c\xac\x8a\xc7\x51\xa4"),
        (Self::B3Sampled, b"x-b3-sampled", b"\xf2\xb4\x6c\xac\x81\xd3\x5d\x05\x93"),
        (Self::B3Flags, b"x-b3-flags", b"\xf2\xb4\x6c\xad\x2d\x03\x99\x1f"),
    ];

    /// The header of this name, in letters of either case, as in HTTP/1.
    pub(super) fn ignoring_case(name: &[u8]) -> Option<Self> {
        Self::find(|lower, _| name.eq_ignore_ascii_case(lower))
    }

    /// The header of this name in lower case, as HTTP/2 wants it.
    pub(super) fn lower(name: &[u8]) -> Option<Self> {
        Self::find(|lower, _| name == lower)
    }

    /// The header whose name has this Huffman code.
    pub(super) fn huffman(code: &[u8]) -> Option<Self> {
        Self::find(|_, huffman| code == huffman)
    }

    fn find(is: impl Fn(&[u8], &[u8]) -> bool) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(_, lower, huffman)| is(lower, huffman));
        found.map(|(name, ..)| name)
    }
}

/// A header that a request must not have more than once.
#[derive(Clone, Debug, Default)]
enum Once<'a> {
    #[default]
    Absent,
    Present(Cow<'a, [u8]>),
    Repeated,
}

impl<'a> Once<'a> {
    fn set(&mut self, value: Cow<'a, [u8]>) {
        *self = match self {
            Self::Absent => Self::Present(value),
            Self::Present(_) | Self::Repeated => Self::Repeated,
        };
    }

    /// Its value, if there is exactly one.
    fn get(&self) -> Option<&[u8]> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Repeated => None,
        }
    }
}

/// `tracestate`, which may be spread over several headers.
#[derive(Clone, Debug)]
enum State<'a> {
    Values(SmallVec<[Cow<'a, [u8]>; 1]>),
    TooMuch,
}

impl Default for State<'_> {
    fn default() -> Self {
        Self::Values(SmallVec::new())
    }
}

impl<'a> State<'a> {
    fn add(&mut self, value: Cow<'a, [u8]>) {
        let Self::Values(values) = self else { return };
        // An empty value, too, takes memory.
        let bytes: usize = values.iter().map(|value| value.len() + 1).sum();
        if bytes + value.len() < MAX_STATE_BYTES {
            values.push(value);
        } else {
            *self = Self::TooMuch;
        }
    }
}

/// What the headers of a request say.
#[derive(Clone, Debug, Default)]
pub(super) struct Carrier<'a> {
    traceparent: Once<'a>,
    tracestate: State<'a>,
    b3: Once<'a>,
    b3_trace_id: Once<'a>,
    b3_span_id: Once<'a>,
    b3_sampled: Once<'a>,
    b3_flags: Once<'a>,
}

impl<'a> Carrier<'a> {
    pub(super) fn add(&mut self, name: Name, value: Cow<'a, [u8]>) {
        match name {
            Name::Traceparent => self.traceparent.set(value),
            Name::Tracestate => self.tracestate.add(value),
            Name::B3 => self.b3.set(value),
            Name::B3TraceId => self.b3_trace_id.set(value),
            Name::B3SpanId => self.b3_span_id.set(value),
            Name::B3Sampled => self.b3_sampled.set(value),
            Name::B3Flags => self.b3_flags.set(value),
        }
    }

    pub(super) fn context(&self) -> Option<PacketContext> {
        self.w3c().or_else(|| self.b3())
    }

    fn w3c(&self) -> Option<PacketContext> {
        let (trace_id, span_id, flags) = w3c::traceparent(self.traceparent.get()?)?;
        let state = match &self.tracestate {
            State::Values(values) => w3c::tracestate(values.iter().map(|value| &**value)),
            State::TooMuch => TraceState::NONE,
        };
        let sampling = Sampling::Decided(flags);
        PacketContext::new(ContextMethod::Traceparent, trace_id, span_id, sampling, state)
    }

    fn b3(&self) -> Option<PacketContext> {
        let (trace_id, span_id, sampling) = match &self.b3 {
            // B3 prefers the single header to the others.
            Once::Present(value) => b3::single(value)?,
            Once::Repeated => return None,
            Once::Absent => self.multiple()?.ids()?,
        };
        PacketContext::new(ContextMethod::B3, trace_id, span_id, sampling, TraceState::NONE)
    }

    fn multiple(&self) -> Option<b3::Multiple<'_>> {
        if matches!(self.b3_sampled, Once::Repeated) || matches!(self.b3_flags, Once::Repeated) {
            return None;
        }
        Some(b3::Multiple {
            trace_id: self.b3_trace_id.get()?,
            span_id: self.b3_span_id.get()?,
            sampled: self.b3_sampled.get(),
            flags: self.b3_flags.get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W3C: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const B3: &[u8] = b"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0";

    fn context(headers: &[(Name, &[u8])]) -> Option<PacketContext> {
        let mut carrier = Carrier::default();
        for &(name, value) in headers {
            carrier.add(name, Cow::Borrowed(value));
        }
        carrier.context()
    }

    fn method(headers: &[(Name, &[u8])]) -> Option<ContextMethod> {
        context(headers).map(|context| context.method())
    }

    #[test]
    fn huffman_codes_are_those_of_the_names() {
        for (name, lower, huffman) in Name::ALL {
            let mut code = Vec::new();
            httlib_huffman::encode(lower, &mut code).unwrap();
            assert_eq!(code, huffman);
            assert_eq!(Name::huffman(huffman), Some(name));
            assert_eq!(Name::lower(lower), Some(name));
            assert_eq!(Name::lower(&lower.to_ascii_uppercase()), None);
            assert_eq!(Name::ignoring_case(&lower.to_ascii_uppercase()), Some(name));
            assert_eq!(Name::ignoring_case(&lower[1..]), None);
        }
    }

    #[test]
    fn traceparent_is_preferred_and_b3_used_where_it_says_nothing() {
        let both = [(Name::B3, B3), (Name::Traceparent, W3C)];
        assert_eq!(method(&both), Some(ContextMethod::Traceparent));
        assert_eq!(method(&both[..1]), Some(ContextMethod::B3));
        let invalid = [(Name::B3, B3), (Name::Traceparent, &W3C[1..])];
        assert_eq!(method(&invalid), Some(ContextMethod::B3));
        assert_eq!(method(&[(Name::Tracestate, b"a=1")]), None);
    }

    #[test]
    fn what_must_be_there_once_says_nothing_if_it_is_there_twice() {
        for (name, value) in [(Name::Traceparent, W3C), (Name::B3, B3)] {
            assert!(method(&[(name, value)]).is_some());
            assert_eq!(method(&[(name, value), (name, value)]), None);
            assert_eq!(method(&[(name, value), (name, value), (name, value)]), None);
        }
        let ids = [(Name::B3TraceId, &B3[..32]), (Name::B3SpanId, &B3[33..49])];
        assert!(method(&ids).is_some());
        for name in [Name::B3TraceId, Name::B3SpanId, Name::B3Sampled, Name::B3Flags] {
            let twice = [ids[0], ids[1], (name, b"0"), (name, b"0")];
            assert_eq!(method(&twice), None);
        }
    }

    #[test]
    fn the_single_header_of_b3_is_preferred() {
        let ids = [(Name::B3TraceId, &B3[..32]), (Name::B3SpanId, &B3[33..49])];
        let other = b"0000000000000001-0000000000000002-1";
        let context = context(&[ids[0], ids[1], (Name::B3, other)]).unwrap();
        assert_eq!(context.span_context().trace_id(), 1.into());
        assert_eq!(context.sampled(), Some(true));
        assert_eq!(method(&[ids[0], ids[1], (Name::B3, b"0")]), None);
        assert_eq!(method(&ids[..1]), None);
    }

    #[test]
    fn ids_of_zero_are_none() {
        let zero = |range: std::ops::Range<usize>| {
            let mut value = W3C.to_vec();
            value[range].fill(b'0');
            value
        };
        assert_eq!(method(&[(Name::Traceparent, &zero(3..35))]), None);
        assert_eq!(method(&[(Name::Traceparent, &zero(36..52))]), None);
    }

    #[test]
    fn a_tracestate_without_end_is_dropped() {
        let state = |headers: usize, value: &[u8]| {
            let mut carrier = Carrier::default();
            carrier.add(Name::Traceparent, Cow::Borrowed(W3C));
            for _ in 0..headers {
                carrier.add(Name::Tracestate, Cow::Owned(value.to_vec()));
            }
            carrier.context().unwrap().span_context().trace_state().header()
        };
        assert_eq!(state(2, b"a=1"), "a=1,a=1");
        assert_eq!(state(100, &[b' '; 100]), "");
        assert_eq!(state(100_000, b""), "");
    }
}
