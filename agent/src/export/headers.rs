//! Headers to send with each request.

use percent_encoding::percent_decode_str;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};

use super::error::Invalid;

/// Adds the headers of `OTEL_EXPORTER_OTLP_HEADERS`: `key1=value1,key2=value2` in the format of W3C
/// Baggage without properties, the values percent-encoded
/// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables>).
pub(crate) fn add_list(headers: &mut MetadataMap, list: &str) -> Result<(), Invalid> {
    for (index, entry) in list.split(',').map(str::trim).enumerate() {
        if entry.is_empty() {
            continue;
        }
        let (key, value) = entry.split_once('=').ok_or(Invalid::HeaderForm(index + 1))?;
        add(headers, key, &percent_decode_str(value.trim()).collect::<Vec<u8>>())?;
    }
    Ok(())
}

/// Adds number `index` (from 1) of the headers of the command line: `key=value`, the value as it is.
pub(crate) fn add_flag(
    headers: &mut MetadataMap,
    index: usize,
    entry: &str,
) -> Result<(), Invalid> {
    let (key, value) = entry.split_once('=').ok_or(Invalid::HeaderForm(index))?;
    add(headers, key, value.trim().as_bytes())
}

fn add(headers: &mut MetadataMap, key: &str, value: &[u8]) -> Result<(), Invalid> {
    let key = key.trim().to_ascii_lowercase();
    let name = MetadataKey::<Ascii>::from_bytes(key.as_bytes())
        .map_err(|_| Invalid::HeaderName(key.clone()))?;
    // tonic would let other octets through, which gRPC does not
    // (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, ASCII-Value).
    let mut value = Some(value)
        .filter(|value| value.iter().all(|byte| matches!(byte, b' '..=b'~')))
        .and_then(|value| MetadataValue::try_from(value).ok())
        .ok_or(Invalid::HeaderValue(key))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut headers = MetadataMap::new();
        add_list(&mut headers, text).map_err(|e| e.to_string())?;
        let headers = headers.into_headers();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        Ok(headers.iter().map(|(key, value)| (key.to_string(), text(value))).collect())
    }

    #[test]
    fn baggage_is_decoded() {
        let headers =
            list("Authorization = Bearer%20a%3Db%2Cc , x-scope=team-1,,last=50%").unwrap();
        let expected = [("authorization", "Bearer a=b,c"), ("x-scope", "team-1"), ("last", "50%")];
        assert_eq!(headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn errors_name_the_entry_and_keep_the_value_secret() {
        assert!(list("a=1,secret").unwrap_err().starts_with("entry 2 is not"));
        assert!(list("a b=secret").unwrap_err().starts_with("\"a b\" is no header name"));
        assert!(list("a-bin=secret").unwrap_err().contains("no -bin"));
        let error = list("token=secret%0A").unwrap_err();
        assert!(error.contains("\"token\"") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn values_are_not_printed_by_debug() {
        let mut headers = MetadataMap::new();
        add_flag(&mut headers, 1, "authorization=Basic a,b").unwrap();
        assert_eq!(headers.get("authorization").unwrap(), "Basic a,b");
        assert!(!format!("{headers:?}").contains("Basic"));
    }

    proptest! {
        #[test]
        fn any_text_is_headers_or_an_error(text: String) {
            let _ = list(&text);
        }
    }
}
