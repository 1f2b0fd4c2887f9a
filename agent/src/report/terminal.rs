//! Text from outside, made fit for a terminal.

use std::borrow::Cow;

/// The text without control characters: names of tasks, ports and datapaths come from outside, and
/// must not be able to move the cursor or to break lines.
pub(crate) fn plain(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        let replaced =
            text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
        Cow::Owned(replaced.collect())
    } else {
        text
    }
}

/// The text, cut to so many characters; what is cut ends in `…`.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(width.saturating_sub(1)).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(plain("a\u{1b}[2Jb\n".into()), "a\u{fffd}[2Jb\u{fffd}");
        assert!(matches!(plain("handler1".into()), Cow::Borrowed("handler1")));
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(cut("añb", 3), "añb");
        assert_eq!(cut("añbc", 3), "añ…");
    }
}
