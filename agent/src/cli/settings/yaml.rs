//! The configuration file: a YAML mapping of keys to values or lists of values.
//!
//! Values are taken as they are written, not as numbers or booleans: the same text on the command
//! line means the same.

use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A key of the file, with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// None where the file leaves the key without value.
    pub(super) values: Vec<String>,
    /// Line of the key, from 1 on.
    pub(super) line: usize,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

/// Reads the text of a file. Each key comes once.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Fault> {
    let mut events = Events(Parser::new_from_str(text));
    let mut entries: Vec<Entry> = Vec::new();
    match events.next()? {
        (Event::MappingStart(..), _) => {}
        (Event::StreamEnd, _) => return Ok(entries),
        (Event::Scalar(text, style, ..), _) if is_null(&text, style) => return Ok(entries),
        (_, span) => return Err(fault(span, "the file must consist of lines KEY: VALUE")),
    }
    loop {
        let (key, line) = match events.next()? {
            (Event::MappingEnd, _) => break,
            (Event::Scalar(key, ..), span) => (key.into_owned(), span.start.line()),
            (_, span) => return Err(fault(span, "a key must be a text")),
        };
        if let Some(first) = entries.iter().find(|entry| entry.key == key) {
            let what = format!("{key} was set in line {} already", first.line);
            return Err(Fault { line, what });
        }
        let values = values(&mut events, &key)?;
        entries.push(Entry { key, values, line });
    }
    match events.next()? {
        (Event::StreamEnd, _) => Ok(entries),
        (_, span) => Err(fault(span, "a second document follows: the file must have one")),
    }
}

/// The value of a key, or those of a list.
fn values(events: &mut Events<'_>, key: &str) -> Result<Vec<String>, Fault> {
    let mut values = Vec::new();
    match events.next()? {
        (Event::Scalar(text, style, ..), _) => {
            values.extend((!is_null(&text, style)).then(|| text.into_owned()));
        }
        (Event::SequenceStart(..), _) => loop {
            match events.next()? {
                (Event::Scalar(text, ..), _) => values.push(text.into_owned()),
                (Event::SequenceEnd, _) => break,
                (_, span) => return Err(fault(span, format!("{key}: the list must be of values"))),
            }
        },
        (_, span) => return Err(fault(span, format!("{key}: give a value, or a list of values"))),
    }
    Ok(values)
}

/// Whether it means no value (YAML 1.2, core schema).
fn is_null(text: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn fault(span: Span, what: impl Into<String>) -> Fault {
    Fault { line: span.start.line(), what: what.into() }
}

/// What the parser finds, but for where documents begin and end.
struct Events<'a>(Parser<'a, saphyr_parser::StrInput<'a>>);

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        loop {
            match self.0.next_event() {
                Some(Ok((
                    Event::Nothing
                    | Event::StreamStart
                    | Event::DocumentStart(_)
                    | Event::DocumentEnd,
                    _,
                ))) => {}
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => {
                    let what = format!("this is no YAML: {}", error.info());
                    return Err(Fault { line: error.marker().line(), what });
                }
                None => return Ok((Event::StreamEnd, Span::default())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(key: &str, values: &[&str], line: usize) -> Entry {
        let values = values.iter().map(ToString::to_string).collect();
        Entry { key: key.to_owned(), values, line }
    }

    #[test]
    fn values_are_what_is_written() {
        let text = "# upspan\nsample: 0.10\nseed: 0x10\nendpoint: 'http://h:4317' # there\n\
                    port: [p1, \"2\"]\nheader:\n  - a=b\n  - c=d\ninsecure: true\nthread:\n";
        let expected = [
            entry("sample", &["0.10"], 2),
            entry("seed", &["0x10"], 3),
            entry("endpoint", &["http://h:4317"], 4),
            entry("port", &["p1", "2"], 5),
            entry("header", &["a=b", "c=d"], 6),
            entry("insecure", &["true"], 9),
            entry("thread", &[], 10),
        ];
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        for text in ["", "\n", "# nothing\n", "---\n", "{}\n", "~\n"] {
            assert_eq!(read(text), Ok(Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn faults_say_where_and_what() {
        let fault = |text| read(text).unwrap_err().to_string();
        let said = [
            "- a\n",
            "just text\n",
            "a: 1\nb: {c: 2}\n",
            "a: 1\nb: [[2]]\n",
            "a: 1\nc: 3\na: 2\n",
            "? [a]\n: 1\n",
            "a: 1\n---\na: 2\n",
            "a: &x 1\nb: *x\n",
            "a: [1, 2\n",
            "a: \"open\n",
        ]
        .map(fault);
        insta::assert_snapshot!(said.join("\n"), @"
        1: the file must consist of lines KEY: VALUE
        1: the file must consist of lines KEY: VALUE
        2: b: give a value, or a list of values
        2: b: the list must be of values
        3: a was set in line 1 already
        1: a key must be a text
        3: a second document follows: the file must have one
        2: b: give a value, or a list of values
        2: this is no YAML: while parsing a flow sequence, expected ',' or ']'
        1: this is no YAML: while scanning a quoted scalar, found unexpected end of stream
        ");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-a:&*!?|>'\"\\[\\]{}#,\n \t0]{0,60}") {
            if let Ok(entries) = read(&text) {
                prop_assert!(entries.iter().all(|entry| entry.line > 0));
            }
        }
    }
}
