//! OTLP messages written as protobuf wire bytes, without the structures that prost would build and
//! throw away: a span is a dozen allocations there and none here.
//!
//! Fields are written in the order of their numbers, lengths as short as they can be, so the bytes
//! are those that the generated code would write. Field numbers are those of opentelemetry-proto's
//! trace.proto, common.proto and resource.proto.

use std::fmt::{self, Display, Write as _};

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::names::Attribute;

/// Number of a field in its message.
pub(super) type Field = u32;

const KEY_VALUE_KEY: Field = 1;
const KEY_VALUE_VALUE: Field = 2;
const ANY_VALUE_STRING: Field = 1;
const ANY_VALUE_BOOL: Field = 2;
const ANY_VALUE_INT: Field = 3;
const ANY_VALUE_ARRAY: Field = 5;
const ARRAY_VALUES: Field = 1;

pub(super) fn bytes(buf: &mut Vec<u8>, field: Field, value: &[u8]) {
    length_prefix(buf, field, value.len());
    buf.extend_from_slice(value);
}

pub(super) fn string(buf: &mut Vec<u8>, field: Field, value: &str) {
    bytes(buf, field, value.as_bytes());
}

pub(super) fn varint(buf: &mut Vec<u8>, field: Field, value: u64) {
    encode_key(field, WireType::Varint, buf);
    encode_varint(value, buf);
}

pub(super) fn fixed32(buf: &mut Vec<u8>, field: Field, value: u32) {
    encode_key(field, WireType::ThirtyTwoBit, buf);
    buf.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn fixed64(buf: &mut Vec<u8>, field: Field, value: u64) {
    encode_key(field, WireType::SixtyFourBit, buf);
    buf.extend_from_slice(&value.to_le_bytes());
}

/// The key and length of a length-delimited field; its `len` bytes are to follow.
pub(super) fn length_prefix(buf: &mut Vec<u8>, field: Field, len: usize) {
    encode_key(field, WireType::LengthDelimited, buf);
    encode_varint(len as u64, buf);
}

/// Bytes of a length-delimited field with `len` bytes of content and a number below 16.
const fn delimited_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// A message whose length is known once it is written. `WIDTH` is the expected number of bytes of
/// the length: 1 for messages below 128 bytes, 2 below 16 KiB. A wrong guess costs a move.
pub(super) fn message<const WIDTH: usize>(
    buf: &mut Vec<u8>,
    field: Field,
    body: impl FnOnce(&mut Vec<u8>),
) {
    encode_key(field, WireType::LengthDelimited, buf);
    let prefix = buf.len();
    buf.extend_from_slice(&[0; WIDTH]);
    let start = prefix + WIDTH;
    body(buf);
    let end = buf.len();
    let len = (end - start) as u64;
    let width = encoded_len_varint(len);
    if width != WIDTH {
        buf.resize(end.max(end - WIDTH + width), 0);
        buf.copy_within(start..end, prefix + width);
        buf.truncate(end - WIDTH + width);
    }
    encode_varint(len, &mut &mut buf[prefix..prefix + width]);
}

/// A `KeyValue` with a string; its name is not empty.
pub(super) fn string_attribute(buf: &mut Vec<u8>, field: Field, name: &str, value: &str) {
    let value_len = delimited_len(value.len());
    length_prefix(buf, field, delimited_len(name.len()) + delimited_len(value_len));
    string(buf, KEY_VALUE_KEY, name);
    length_prefix(buf, KEY_VALUE_VALUE, value_len);
    string(buf, ANY_VALUE_STRING, value);
}

/// Writes the attributes of a span or span event.
pub(super) struct Attributes<'b> {
    buf: &'b mut Vec<u8>,
    field: Field,
}

impl<'b> Attributes<'b> {
    /// Attributes that are the field of this number in the message being written.
    pub(super) fn new(buf: &'b mut Vec<u8>, field: Field) -> Self {
        Self { buf, field }
    }

    pub(super) fn string(&mut self, attribute: Attribute<str>, value: &str) {
        string_attribute(self.buf, self.field, attribute.name(), value);
    }

    pub(super) fn int(&mut self, attribute: Attribute<i64>, value: impl Into<i64>) {
        // Two's complement in 64 bits, also where negative: protobuf's int64.
        self.varint(attribute.name(), ANY_VALUE_INT, value.into().cast_unsigned());
    }

    pub(super) fn bool(&mut self, attribute: Attribute<bool>, value: bool) {
        self.varint(attribute.name(), ANY_VALUE_BOOL, value.into());
    }

    fn varint(&mut self, name: &str, kind: Field, value: u64) {
        let value_len = 1 + encoded_len_varint(value);
        let len = delimited_len(name.len()) + delimited_len(value_len);
        length_prefix(self.buf, self.field, len);
        string(self.buf, KEY_VALUE_KEY, name);
        length_prefix(self.buf, KEY_VALUE_VALUE, value_len);
        varint(self.buf, kind, value);
    }

    /// A string written as it is formatted.
    pub(super) fn display(&mut self, attribute: Attribute<str>, value: impl Display) {
        message::<1>(self.buf, self.field, |buf| {
            string(buf, KEY_VALUE_KEY, attribute.name());
            message::<1>(buf, KEY_VALUE_VALUE, |buf| {
                message::<1>(buf, ANY_VALUE_STRING, |buf| {
                    // Only a `Display` that gives up by itself fails; what it wrote is kept.
                    let _ = write!(Text(buf), "{value}");
                });
            });
        });
    }

    pub(super) fn strings<'v>(
        &mut self,
        attribute: Attribute<[&str]>,
        values: impl Iterator<Item = &'v str>,
    ) {
        message::<1>(self.buf, self.field, |buf| {
            string(buf, KEY_VALUE_KEY, attribute.name());
            message::<1>(buf, KEY_VALUE_VALUE, |buf| {
                message::<1>(buf, ANY_VALUE_ARRAY, |buf| {
                    for value in values {
                        length_prefix(buf, ARRAY_VALUES, delimited_len(value.len()));
                        string(buf, ANY_VALUE_STRING, value);
                    }
                });
            });
        });
    }
}

/// Formats into a buffer; `&str` in, so it stays valid UTF-8.
struct Text<'b>(&'b mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::super::names;
    use super::*;

    /// What the generated code writes for an attribute in this field.
    fn generated(field: Field, key: &str, value: Value) -> Vec<u8> {
        let value = Some(AnyValue { value: Some(value) });
        let attribute = KeyValue { key: key.to_owned(), value, ..KeyValue::default() };
        let mut buf = Vec::new();
        prost::encoding::message::encode(field, &attribute, &mut buf);
        buf
    }

    fn ours(field: Field, write: impl FnOnce(&mut Attributes<'_>)) -> Vec<u8> {
        let mut buf = Vec::new();
        write(&mut Attributes::new(&mut buf, field));
        buf
    }

    #[test]
    fn a_message_of_any_length_has_the_shortest_length_prefix() {
        for len in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_152] {
            let content = vec![7; len];
            let mut expected = Vec::new();
            bytes(&mut expected, 2, &content);
            let body = |buf: &mut Vec<u8>| buf.extend_from_slice(&content);
            let (mut one, mut two) = (Vec::new(), Vec::new());
            message::<1>(&mut one, 2, body);
            message::<2>(&mut two, 2, body);
            assert!(one == expected && two == expected, "length {len}");
        }
    }

    proptest! {
        #[test]
        fn attributes_are_what_the_generated_code_writes(
            text in ".{0,300}", number: i64, flag: bool, list in proptest::collection::vec(".{0,90}", 0..5),
        ) {
            let string = ours(9, |to| to.string(names::PORT_NAME, &text));
            prop_assert_eq!(&string, &generated(9, "ovs.port.name", Value::StringValue(text.clone())));
            prop_assert_eq!(&string, &ours(9, |to| to.display(names::PORT_NAME, &text)));
            prop_assert_eq!(
                ours(3, |to| to.int(names::CPU, number)),
                generated(3, "cpu.logical_number", Value::IntValue(number))
            );
            prop_assert_eq!(
                ours(9, |to| to.bool(names::UPCALL_COMPLETE, flag)),
                generated(9, "ovs.upcall.complete", Value::BoolValue(flag))
            );
            let values = list.iter()
                .map(|text| AnyValue { value: Some(Value::StringValue(text.clone())) })
                .collect();
            prop_assert_eq!(
                ours(9, |to| to.strings(names::UPCALL_MISSING, list.iter().map(String::as_str))),
                generated(9, "ovs.upcall.missing", Value::ArrayValue(ArrayValue { values }))
            );
        }

        #[test]
        fn key_values_decode(name in ".{1,200}", value in ".{0,200}") {
            let mut buf = Vec::new();
            string_attribute(&mut buf, 1, &name, &value);
            let resource = opentelemetry_proto::tonic::resource::v1::Resource::decode(&buf[..])
                .expect("a resource with one attribute");
            prop_assert_eq!(&resource.attributes[0].key, &name);
            prop_assert_eq!(buf, generated(1, &name, Value::StringValue(value)));
        }
    }
}
