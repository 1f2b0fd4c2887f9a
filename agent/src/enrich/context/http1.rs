//! HTTP/1.x: the head of a request at the start of a TCP payload.

use std::borrow::Cow;

use super::carrier::{Carrier, Name};

/// Headers of a request that are looked at; contexts rarely stand behind as many.
const MAX_HEADERS: usize = 64;
/// Longest method that is taken for one. Registered ones have up to 17 letters
/// (`UPDATEREDIRECTREF`).
const MAX_METHOD: usize = 20;

/// The headers of a request that begins here, up to where the capture or the segment ends.
pub(super) fn request(payload: &[u8]) -> Option<Carrier<'_>> {
    if !begins_with_method(payload) {
        return None;
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    // Whether it goes on to the end of the head does not matter: what is whole until then stays.
    let _ = request.parse(payload);
    // Not set before the whole request line was read.
    request.version?;
    let mut carrier = Carrier::default();
    for header in request.headers.iter().take_while(|header| !header.name.is_empty()) {
        if let Some(name) = Name::ignoring_case(header.name.as_bytes()) {
            carrier.add(name, Cow::Borrowed(header.value.trim_ascii_end()));
        }
    }
    Some(carrier)
}

/// Whether there are capital letters and a space. Methods may be other tokens, but none in use is.
fn begins_with_method(payload: &[u8]) -> bool {
    let start = &payload[..payload.len().min(MAX_METHOD + 1)];
    let letters = start.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    letters > 0 && start.get(letters) == Some(&b' ')
}
