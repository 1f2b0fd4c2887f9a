//! Upcalls become spans.

use bytes::{BufMut, Bytes, BytesMut};

/// Spans in OTLP wire format.
#[derive(Clone, Debug, Default)]
pub struct EncodedSpans {
    /// Consecutive `ScopeSpans.spans` fields (tag 2).
    pub bytes: Bytes,
    /// How many of them.
    pub spans: usize,
}

/// What surrounds the spans of a request: resource and scope.
#[derive(Clone, Debug, Default)]
pub struct Envelope;

impl Envelope {
    /// The whole `ExportTraceServiceRequest`.
    #[must_use]
    pub fn request(&self, spans: &EncodedSpans) -> Bytes {
        let mut scope = BytesMut::new();
        field(&mut scope, 2, &spans.bytes);
        let mut request = BytesMut::new();
        field(&mut request, 1, &scope);
        request.freeze()
    }

    /// Bytes that [`Envelope::request`] adds to those of the spans, at most.
    #[must_use]
    pub fn overhead_bytes(&self) -> usize {
        16
    }
}

fn field(out: &mut BytesMut, tag: u8, body: &[u8]) {
    out.put_u8(tag << 3 | 2);
    prost::encoding::encode_varint(body.len() as u64, out);
    out.put_slice(body);
}
