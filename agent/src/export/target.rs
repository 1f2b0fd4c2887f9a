//! Where to export to: the forms of an endpoint.

use http::Uri;
use http::uri::PathAndQuery;

use super::error::Invalid;

/// The default of the specification for OTLP/gRPC.
pub(crate) const DEFAULT: &str = "http://localhost:4317";

/// Reads an endpoint. `insecure` decides about TLS where it names no scheme
/// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
pub(crate) fn parse(text: &str, insecure: bool) -> Result<Uri, Invalid> {
    // Before anything that repeats the text in an error.
    if text.contains('@') {
        return Err(Invalid::Credentials);
    }
    let no_endpoint = || Invalid::Endpoint(text.to_owned());
    let whole = match text.split_once("://") {
        Some((scheme, _)) if ["http", "https"].iter().all(|s| !scheme.eq_ignore_ascii_case(s)) => {
            return Err(Invalid::Scheme(scheme.to_owned()));
        }
        Some(_) => text.to_owned(),
        None if insecure => format!("http://{text}"),
        None => format!("https://{text}"),
    };
    let uri: Uri = whole.parse().map_err(|_| no_endpoint())?;
    let authority = uri.authority().ok_or_else(no_endpoint)?;
    let host = authority.host();
    // What follows the host must be a port; http::Uri takes ":" and ":99999" as well.
    let port_is_none = authority.port_u16().is_none() && authority.as_str() != host;
    if host.is_empty() || port_is_none {
        return Err(no_endpoint());
    }
    match uri.path_and_query().map(PathAndQuery::as_str) {
        None | Some("" | "/") => Ok(uri),
        Some(path) => Err(Invalid::Path(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_the_specification() {
        let cases = [
            ("http://h:4317", false, "http://h:4317/"),
            ("http://h:4317/", false, "http://h:4317/"),
            ("https://h", true, "https://h/"),
            ("HTTPS://h:1", false, "https://h:1/"),
            ("h:4317", true, "http://h:4317/"),
            ("h:4317", false, "https://h:4317/"),
            ("[::1]:4317", true, "http://[::1]:4317/"),
            ("http://127.0.0.1:4317", false, "http://127.0.0.1:4317/"),
            (DEFAULT, false, "http://localhost:4317/"),
        ];
        for (text, insecure, expected) in cases {
            assert_eq!(parse(text, insecure).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_said() {
        let cases = [
            ("unix:///run/otlp.sock", "the scheme \"unix\" is not supported"),
            ("grpc://h:4317", "the scheme \"grpc\" is not supported"),
            ("http://h:4318/v1/traces", "have no path, but this one has \"/v1/traces\""),
            ("http://h:4317/?x=1", "have no path"),
            ("http://", "is no endpoint"),
            ("http://:4317", "is no endpoint"),
            ("http://h:", "is no endpoint"),
            ("http://h:99999", "is no endpoint"),
            ("two words", "is no endpoint"),
            ("https://user:secret@h:4317", "credentials do not go into the endpoint"),
        ];
        for (text, expected) in cases {
            let error = parse(text, false).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_endpoint_or_an_error(text: String, insecure: bool) {
            if let Ok(uri) = parse(&text, insecure) {
                prop_assert!(uri.host().is_some_and(|host| !host.is_empty()));
            }
        }
    }
}
