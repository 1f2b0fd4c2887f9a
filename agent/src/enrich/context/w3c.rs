//! W3C Trace Context, level 2 (<https://www.w3.org/TR/trace-context-2/>).

use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};
use smallvec::SmallVec;

use super::hex::{self, Case};

/// Length of a `traceparent` of version 00, and of the part of later ones that is known.
const VERSION_00_LEN: usize = 55;
/// `sampled` and `random`, the flags of version 00.
const VERSION_00_FLAGS: u8 = 0x03;
/// The one flag that later versions are sure to have, too.
const LATER_FLAGS: u8 = 0x01;

/// Most members of a `tracestate`.
const MAX_MEMBERS: usize = 32;
/// Characters of a `tracestate` that are passed on; longer ones are shortened by whole members.
const MAX_STATE_LEN: usize = 512;
/// Members longer than this go first.
const LONG_MEMBER: usize = 128;

/// Reads a `traceparent`.
pub(super) fn traceparent(value: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, later) = value.split_at_checked(VERSION_00_LEN)?;
    let [version] = hex::bytes(&known[..2], Case::Lower)?;
    let flags_mask = match (version, later.first()) {
        (0, None) => VERSION_00_FLAGS,
        (1..=0xfe, None | Some(b'-')) => LATER_FLAGS,
        _ => return None,
    };
    if [known[2], known[35], known[52]] != *b"---" {
        return None;
    }
    let trace_id = TraceId::from_bytes(hex::bytes(&known[3..35], Case::Lower)?);
    let span_id = SpanId::from_bytes(hex::bytes(&known[36..52], Case::Lower)?);
    let [flags] = hex::bytes(&known[53..], Case::Lower)?;
    Some((trace_id, span_id, TraceFlags::new(flags & flags_mask)))
}

/// Reads the `tracestate` headers of a request, in their order. One that breaks the rules is
/// dropped as a whole, which the trace context survives.
pub(super) fn tracestate<'v>(values: impl Iterator<Item = &'v [u8]>) -> TraceState {
    members(values)
        .and_then(|members| TraceState::from_key_value(members).ok())
        .unwrap_or(TraceState::NONE)
}

type Members<'v> = SmallVec<[(&'v str, &'v str); 4]>;

fn members<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<Members<'v>> {
    let mut members = Members::new();
    for member in values.flat_map(|value| value.split(|&byte| byte == b',')) {
        let member = std::str::from_utf8(member).ok()?.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let is_printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if key.is_empty() || !is_printable(value) || members.len() == MAX_MEMBERS {
            return None;
        }
        members.push((key, value));
    }
    shorten(&mut members);
    Some(members)
}

/// Drops members until the rest may be passed on: long ones first, then from the end.
fn shorten(members: &mut Members<'_>) {
    let len = |(key, value): &(&str, &str)| key.len() + 1 + value.len();
    while members.iter().map(len).sum::<usize>() + members.len().saturating_sub(1) > MAX_STATE_LEN {
        match members.iter().rposition(|member| len(member) > LONG_MEMBER) {
            Some(long) => drop(members.remove(long)),
            None => drop(members.pop()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn flags(value: &str) -> Option<u8> {
        let (trace_id, span_id, flags) = traceparent(value.as_bytes())?;
        assert_eq!(trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span_id.to_string(), "00f067aa0ba902b7");
        Some(flags.to_u8())
    }

    fn with(range: std::ops::Range<usize>, text: &str) -> String {
        let mut value = VALUE.to_owned();
        value.replace_range(range, text);
        value
    }

    #[test]
    fn version_00_has_an_exact_length_and_two_flags() {
        assert_eq!(flags(VALUE), Some(1));
        assert_eq!(flags(&with(53..55, "00")), Some(0));
        assert_eq!(flags(&with(53..55, "ff")), Some(3));
        for wrong in [&VALUE[..54], "", &format!("{VALUE}-"), &format!("{VALUE}-00")] {
            assert_eq!(flags(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn later_versions_begin_like_version_00() {
        for version in ["01", "cc", "fe"] {
            let value = with(0..2, version);
            assert_eq!(flags(&value), Some(1));
            assert_eq!(flags(&format!("{value}-")), Some(1));
            assert_eq!(flags(&format!("{value}-what the future brings")), Some(1));
            assert_eq!(flags(&format!("{value}.what")), None);
            assert_eq!(flags(&value[..54]), None);
            assert_eq!(flags(&value.replace("-01", "-03")), Some(1), "{version}");
        }
        assert_eq!(flags(&with(0..2, "ff")), None);
        assert_eq!(flags(&format!("{}-00", with(0..2, "ff"))), None);
    }

    #[test]
    fn what_is_out_of_form_is_refused() {
        for (range, wrong) in [
            (0..2, "0x"),
            (2..3, "_"),
            (3..4, "G"),
            (3..4, "A"),
            (35..36, "0"),
            (36..37, "F"),
            (52..53, " "),
            (53..55, "0X"),
            (53..55, "0A"),
        ] {
            assert_eq!(flags(&with(range, wrong)), None);
        }
    }

    fn state(values: &[&str]) -> String {
        tracestate(values.iter().map(|value| value.as_bytes())).header()
    }

    #[test]
    fn headers_of_a_tracestate_are_put_together() {
        assert_eq!(state(&["congo=t61rcWkgMzE"]), "congo=t61rcWkgMzE");
        assert_eq!(state(&["rojo=1, congo=2 ,", "", "\t,a/b@c=x y"]), "rojo=1,congo=2,a/b@c=x y");
        assert_eq!(state(&[]), "");
    }

    #[test]
    fn a_tracestate_that_breaks_the_rules_is_dropped_whole() {
        for wrong in
            ["a=1,b", "a=1,B=2", "=1", "a=1=2", "a=\u{1}", "a=ä", "a=1;b\n=2", "1 a=2", "a@b@c=1"]
        {
            assert_eq!(state(&[wrong, "b=2"]), "", "{wrong}");
        }
        assert_eq!(tracestate([&b"a=\xff"[..]].into_iter()), TraceState::NONE);
        let long = "x".repeat(257);
        assert_eq!(state(&[&format!("{long}=1")]), "");
        assert_eq!(state(&[&format!("a={long}")]), "");
    }

    #[test]
    fn at_most_32_members() {
        let members: Vec<_> = (0..33).map(|number| format!("k{number}=v")).collect();
        let all = members[..32].join(",");
        assert_eq!(state(&[&all]), all);
        assert_eq!(state(&[&members.join(",")]), "");
    }

    #[test]
    fn a_long_tracestate_loses_long_members_first_and_then_the_last_ones() {
        let long = format!("long={}", "x".repeat(200));
        let short = (10..32).map(|number| format!("k{number}={}", "v".repeat(16)));
        let short = short.collect::<Vec<_>>().join(",");
        assert_eq!(short.len(), 22 * 21 - 1);
        assert_eq!(state(&[&long, &short]), short);
        let (second, third) = (long.replace("long", "l2"), long.replace("long", "l3"));
        assert_eq!(state(&[&long, "a=1", &second, &third]), format!("{long},a=1,{second}"));
        let full = format!("{short},last={}", "w".repeat(45));
        assert_eq!(full.len(), 512);
        assert_eq!(state(&[&full]), full);
        assert_eq!(state(&[&full, "more=1"]), full);
        assert_eq!(state(&[&format!("{full}w")]), short);
    }

    proptest! {
        #[test]
        fn any_traceparent_is_read_back(trace: u128, span: u64, sampled: bool) {
            let value = format!("00-{trace:032x}-{span:016x}-0{}", u8::from(sampled));
            let expected =
                (TraceId::from(trace), SpanId::from(span), TraceFlags::new(sampled.into()));
            prop_assert_eq!(traceparent(value.as_bytes()), Some(expected));
        }

        #[test]
        fn any_tracestate_is_valid_and_short_or_empty(
            values in prop::collection::vec("[ -~]{0,40}|([a-z]{1,9}=[ -~&&[^,=]]{0,260},?){0,9}", 0..9),
        ) {
            let text = tracestate(values.iter().map(|value| value.as_bytes())).header();
            prop_assert!(text.len() <= 512);
            let again: TraceState = text.parse().expect("it is valid");
            prop_assert_eq!(again.into_iter().len(), text.split_terminator(',').count());
        }
    }
}
