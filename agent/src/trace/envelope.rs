//! What surrounds the spans in a request.

use bytes::Bytes;
use prost::encoding::encoded_len_varint;

use super::batch::EncodedSpans;
use super::names;
use super::resource::Resource;
use super::wire::{self, Field};

const REQUEST_RESOURCE_SPANS: Field = 1;
const RESOURCE_SPANS_RESOURCE: Field = 1;
const RESOURCE_SPANS_SCOPE_SPANS: Field = 2;
const RESOURCE_SPANS_SCHEMA_URL: Field = 3;
const SCOPE_SPANS_SCOPE: Field = 1;
const SCOPE_SPANS_SCHEMA_URL: Field = 3;
const SCOPE_NAME: Field = 1;
const SCOPE_VERSION: Field = 2;

/// Longest key and length of a field in a request of up to 4 GiB.
const MAX_PREFIX: usize = 1 + encoded_len_varint(u32::MAX as u64);

/// Resource and scope, encoded once; turns spans into an `ExportTraceServiceRequest`.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// `ResourceSpans.resource`
    resource: Vec<u8>,
    /// `ResourceSpans.schema_url`
    resource_schema: Vec<u8>,
    /// `ScopeSpans.scope`
    scope: Vec<u8>,
    /// `ScopeSpans.schema_url`
    scope_schema: Vec<u8>,
}

impl Envelope {
    /// An envelope for spans of this resource, and of upspan's own scope.
    #[must_use]
    pub fn new(resource: &Resource) -> Self {
        let mut this = Self {
            resource: Vec::new(),
            resource_schema: Vec::new(),
            scope: Vec::new(),
            scope_schema: Vec::new(),
        };
        wire::message::<2>(&mut this.resource, RESOURCE_SPANS_RESOURCE, |buf| resource.encode(buf));
        wire::string(&mut this.resource_schema, RESOURCE_SPANS_SCHEMA_URL, names::SCHEMA_URL);
        wire::message::<1>(&mut this.scope, SCOPE_SPANS_SCOPE, |buf| {
            wire::string(buf, SCOPE_NAME, names::SCOPE_NAME);
            wire::string(buf, SCOPE_VERSION, names::SCOPE_VERSION);
        });
        wire::string(&mut this.scope_schema, SCOPE_SPANS_SCHEMA_URL, names::SCHEMA_URL);
        this
    }

    /// A whole `ExportTraceServiceRequest`, protobuf-encoded. The spans are copied once.
    #[must_use]
    pub fn request(&self, spans: &EncodedSpans) -> Bytes {
        let scope_spans_len = self.scope.len() + spans.bytes.len() + self.scope_schema.len();
        let resource_spans_len = self.resource.len()
            + 1
            + encoded_len_varint(scope_spans_len as u64)
            + scope_spans_len
            + self.resource_schema.len();
        let mut buf = Vec::with_capacity(MAX_PREFIX + resource_spans_len);
        wire::length_prefix(&mut buf, REQUEST_RESOURCE_SPANS, resource_spans_len);
        buf.extend_from_slice(&self.resource);
        wire::length_prefix(&mut buf, RESOURCE_SPANS_SCOPE_SPANS, scope_spans_len);
        buf.extend_from_slice(&self.scope);
        buf.extend_from_slice(&spans.bytes);
        buf.extend_from_slice(&self.scope_schema);
        buf.extend_from_slice(&self.resource_schema);
        buf.into()
    }

    /// Most bytes by which a request is longer than its spans: what a batch that is cut by bytes
    /// must leave free.
    #[must_use]
    pub fn overhead_bytes(&self) -> usize {
        self.resource.len()
            + self.resource_schema.len()
            + self.scope.len()
            + self.scope_schema.len()
            + 2 * MAX_PREFIX
    }
}
