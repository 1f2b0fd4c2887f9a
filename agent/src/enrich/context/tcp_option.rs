//! The TCP option by which OpenTelemetry's eBPF instrumentation (OBI) hands a context on.
//!
//! Option 25, which IANA has not assigned, holds trace and span id as raw bytes; a longer form adds
//! the trace flags.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

use super::{ContextMethod, PacketContext, Sampling};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const CONTEXT: u8 = 25;

/// Looks through the options of a TCP header, as far as they were captured.
pub(super) fn context(mut options: &[u8]) -> Option<PacketContext> {
    loop {
        options = match *options {
            [] | [END, ..] => return None,
            [NO_OPERATION, ref rest @ ..] => rest,
            [kind, len, ..] => {
                // Two bytes of each option are its kind and length.
                let (option, rest) = options.split_at_checked(usize::from(len))?;
                let content = option.get(2..)?;
                if kind == CONTEXT {
                    return read(content);
                }
                rest
            }
            [_] => return None,
        }
    }
}

fn read(content: &[u8]) -> Option<PacketContext> {
    let (trace_id, rest) = content.split_first_chunk()?;
    let (span_id, flags) = rest.split_first_chunk()?;
    let flags = match flags {
        // It is sent for traces that are recorded.
        [] => TraceFlags::SAMPLED,
        &[flags] => TraceFlags::new(flags) & TraceFlags::SAMPLED,
        _ => return None,
    };
    PacketContext::new(
        ContextMethod::TcpOption,
        TraceId::from_bytes(*trace_id),
        SpanId::from_bytes(*span_id),
        Sampling::Decided(flags),
        TraceState::NONE,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: [u8; 24] = *b"0123456789abcdefghijklmn";

    fn option(kind: u8, content: &[u8]) -> Vec<u8> {
        let len = u8::try_from(content.len() + 2).unwrap();
        [&[kind, len], content].concat()
    }

    fn flags(options: &[u8]) -> Option<u8> {
        let context = context(options)?;
        let span = context.span_context();
        assert_eq!(span.trace_id().to_bytes(), IDS[..16]);
        assert_eq!(span.span_id().to_bytes(), IDS[16..]);
        assert!(span.is_remote());
        Some(span.trace_flags().to_u8())
    }

    #[test]
    fn it_has_26_or_27_bytes() {
        assert_eq!(flags(&option(25, &IDS)), Some(1));
        assert_eq!(flags(&option(25, &[&IDS[..], &[1]].concat())), Some(1));
        assert_eq!(flags(&option(25, &[&IDS[..], &[0xfe]].concat())), Some(0));
        assert_eq!(flags(&option(25, &IDS[1..])), None);
        assert_eq!(flags(&option(25, &[&IDS[..], &[1, 0]].concat())), None);
    }

    #[test]
    fn it_is_found_behind_others_and_before_the_end() {
        let timestamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let own = option(25, &IDS);
        assert_eq!(flags(&[&timestamps[..], &own].concat()), Some(1));
        assert_eq!(flags(&[&own[..], &timestamps].concat()), Some(1));
        assert_eq!(flags(&[&[0][..], &own].concat()), None, "after the end of the list");
    }

    #[test]
    fn options_of_no_length_end_the_search() {
        for wrong in [[8, 0], [8, 1], [25, 0], [25, 1], [8, 255]] {
            assert_eq!(flags(&[&wrong[..], &option(25, &IDS)].concat()), None);
        }
    }

    #[test]
    fn ids_of_zero_are_none() {
        assert_eq!(context(&option(25, &[0; 24])), None);
        assert_eq!(context(&option(25, &[[0; 16].as_slice(), &IDS[16..]].concat())), None);
        assert_eq!(context(&option(25, &[&IDS[..16], &[0; 8]].concat())), None);
    }

    proptest! {
        #[test]
        fn any_options_are_read(options in prop::collection::vec(any::<u8>(), 0..41)) {
            context(&options);
        }

        #[test]
        fn a_cut_option_is_none(len in 0_usize..26) {
            prop_assert_eq!(context(&option(25, &IDS)[..len]), None);
        }
    }
}
