//! The trace that a packet belongs to, by what the packet itself carries.
//!
//! Three carriers are known: W3C `traceparent` and `tracestate`, and B3, in the head of an HTTP
//! request (HTTP/1.x and HTTP/2, so gRPC too), and a TCP option that OpenTelemetry's eBPF
//! instrumentation writes. The packet may be tunnelled by VXLAN or Geneve.
//!
//! All of it is untrusted input, and mostly there is no context in it. So the work is bounded by
//! `MAX_PAYLOAD`, whatever the bytes say, and nothing is allocated before a header of a known
//! name was found. Only what is certain counts: a request whose beginning is not in this packet,
//! or a header that the capture cut, says nothing.

mod b3;
mod carrier;
mod hex;
mod hpack;
mod http1;
mod http2;
mod tcp_option;
#[cfg(test)]
mod tests;
mod tunnel;
mod w3c;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::headers::{Headers, Transport, ip_number};
use crate::event::Packet;

/// Most bytes of a TCP payload that are looked at. Servers refuse longer request heads by default
/// (Apache httpd, nginx and Go's HTTP/1 servers allow 8 KiB for a line or header), and live capture
/// has 2 KiB of a packet at most.
const MAX_PAYLOAD: usize = 8 << 10;

/// Shortest TCP header, in bytes (RFC 9293, section 3.1).
const MIN_TCP_HEADER: usize = 20;

/// The span, somewhere else, that a packet was sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketContext {
    span_context: SpanContext,
    method: ContextMethod,
    is_deferred: bool,
}

/// How a packet's context was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextMethod {
    /// A W3C `traceparent` header.
    Traceparent,
    /// A B3 header, single or multiple.
    B3,
    /// TCP option 25.
    TcpOption,
}

impl ContextMethod {
    /// All of them; those of the first are preferred.
    pub const ALL: [Self; 3] = [Self::Traceparent, Self::B3, Self::TcpOption];

    /// The name used in attributes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traceparent => "traceparent",
            Self::B3 => "b3",
            Self::TcpOption => "tcp_option",
        }
    }
}

/// What a context says of the sampling of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sampling {
    Decided(TraceFlags),
    /// B3 without a sampling state: whoever receives it is to decide.
    Deferred,
}

impl Sampling {
    const YES: Self = Self::Decided(TraceFlags::SAMPLED);
    const NO: Self = Self::Decided(TraceFlags::NOT_SAMPLED);
}

impl PacketContext {
    /// `None` for ids that are all zero, which are invalid everywhere.
    fn new(
        method: ContextMethod,
        trace_id: TraceId,
        span_id: SpanId,
        sampling: Sampling,
        trace_state: TraceState,
    ) -> Option<Self> {
        let (flags, is_deferred) = match sampling {
            Sampling::Decided(flags) => (flags, false),
            Sampling::Deferred => (TraceFlags::NOT_SAMPLED, true),
        };
        let span_context = SpanContext::new(trace_id, span_id, flags, true, trace_state);
        span_context.is_valid().then_some(Self { span_context, method, is_deferred })
    }

    /// The context of a packet that begins with its Ethernet header and may be cut anywhere.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        Self::of_transport(Headers::split(packet.bytes).1?)
    }

    /// As [`PacketContext::of`], of what [`Headers::split`] has handed out.
    #[must_use]
    pub fn of_transport(transport: Transport<'_>) -> Option<Self> {
        match transport.protocol {
            ip_number::TCP => Self::of_tcp(transport.bytes),
            ip_number::UDP => {
                // Of a tunnel in a tunnel, the inner one is left alone.
                let inner = Headers::split(tunnel::inner_ethernet(transport.bytes)?).1?;
                (inner.protocol == ip_number::TCP).then(|| Self::of_tcp(inner.bytes))?
            }
            _ => None,
        }
    }

    fn of_tcp(tcp: &[u8]) -> Option<Self> {
        let header_len = usize::from(tcp.get(12)? >> 4) * 4;
        if header_len < MIN_TCP_HEADER {
            return None;
        }
        let (header, payload) = tcp.split_at(header_len.min(tcp.len()));
        let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
        Self::of_payload(payload).or_else(|| tcp_option::context(header.get(MIN_TCP_HEADER..)?))
    }

    fn of_payload(payload: &[u8]) -> Option<Self> {
        match http1::request(payload) {
            Some(carrier) => carrier.context(),
            None => http2::context(payload),
        }
    }

    /// Trace and span id, flags and state, as they were sent.
    #[must_use]
    pub const fn span_context(&self) -> &SpanContext {
        &self.span_context
    }

    /// How it was found.
    #[must_use]
    pub const fn method(&self) -> ContextMethod {
        self.method
    }

    /// Whether the sender records the trace; `None` if it leaves that to the receiver.
    #[must_use]
    pub fn sampled(&self) -> Option<bool> {
        (!self.is_deferred).then(|| self.span_context.is_sampled())
    }
}
