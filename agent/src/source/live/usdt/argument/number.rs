//! Integers as compilers print them for the assembler.

/// A decimal or hexadecimal integer, with or without sign. One beyond `i64` is taken by its bits,
/// as compilers print large unsigned constants.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    // What from_str_radix accepts, but for a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { Some(magnitude.cast_signed()) }
}

/// The sum of one or more integers: GCC also prints `-8+16`.
pub(super) fn sum(text: &str) -> Option<i64> {
    let mut sum = 0_i64;
    let mut rest = text;
    loop {
        let sign = usize::from(rest.starts_with(['+', '-']));
        let end = rest[sign..].find(['+', '-']).map_or(rest.len(), |at| sign + at);
        let (term, others) = rest.split_at(end);
        sum = sum.checked_add(integer(term)?)?;
        rest = others;
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_decimal_or_hexadecimal() {
        for (text, value) in [
            ("0", Some(0)),
            ("-8", Some(-8)),
            ("+8", Some(8)),
            ("0x1F", Some(31)),
            ("-0x10", Some(-16)),
            ("18446744073709551615", Some(-1)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("18446744073709551616", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("-+1", None),
            ("0x", None),
            ("0x+1", None),
            ("1f", None),
            ("é", None),
        ] {
            assert_eq!(integer(text), value, "{text}");
        }
    }

    #[test]
    fn sums_are_added_up() {
        for (text, value) in [
            ("12", Some(12)),
            ("-8+16-4", Some(4)),
            ("+8", Some(8)),
            ("8+", None),
            ("foo+4", None),
            ("4+foo", None),
            ("", None),
            ("é+1", None),
            ("9223372036854775807+1", None),
        ] {
            assert_eq!(sum(text), value, "{text}");
        }
    }
}
