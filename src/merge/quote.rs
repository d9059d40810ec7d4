//! Writing a string as a YAML scalar that every reader takes for the same string.
//!
//! kOps reads YAML 1.1 (`go.yaml.in` v2), most others 1.2: what either would take for a boolean,
//! a number, a date or a null is quoted.

/// How a scalar stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
}

impl Style {
    /// The style of a scalar's source text. A block scalar counts as plain.
    pub(super) fn of(source: &str) -> Self {
        match source.as_bytes().first() {
            Some(b'\'') => Self::Single,
            Some(b'"') => Self::Double,
            _ => Self::Plain,
        }
    }
}

/// The scalar for `value`, in the wished style where that can hold it.
pub(super) fn scalar(value: &str, style: Style) -> String {
    match style {
        Style::Plain if is_plain(value) => value.to_owned(),
        Style::Single if value.chars().all(is_printable) => {
            format!("'{}'", value.replace('\'', "''"))
        }
        _ => double(value),
    }
}

/// A string of several lines as a `|` scalar, from the bar on. Its lines stand in the column
/// `indent`, which is `step` deeper than the collection around it. `None` where a `|` scalar
/// can't hold the string.
pub(super) fn literal(value: &str, step: usize, indent: usize) -> Option<String> {
    let body = value.trim_end_matches('\n');
    let can_hold = |c: char| c == '\n' || c == '\t' || is_printable(c);
    if !value.contains('\n') || body.is_empty() || !value.chars().all(can_hold) {
        return None;
    }
    let mut text = String::from("|");
    // A reader takes the first line's indentation for that of all.
    if body.trim_start_matches('\n').starts_with([' ', '\t']) {
        let digit = u32::try_from(step).ok()?;
        text.push(char::from_digit(digit, 10).filter(|digit| *digit != '0')?);
    }
    match value.len() - body.len() {
        0 => text.push('-'),
        1 => {}
        _ => text.push('+'),
    }
    let lines = value.strip_suffix('\n').unwrap_or(value).split('\n');
    for line in lines {
        text.push('\n');
        if !line.is_empty() {
            text.extend(std::iter::repeat_n(' ', indent));
            text.push_str(line);
        }
    }
    (step > 0).then_some(text)
}

fn double(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_printable(c) => quoted.push(c),
            c => quoted.extend(format!("\\U{:08X}", u32::from(c)).chars()),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a character may stand for itself in a quoted scalar on one line.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// Whether a string may stand without quotes, in block and in flow context. Errs on the side of
/// quoting: only letters, digits and the punctuation of paths and URLs, nothing that resolves.
fn is_plain(value: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "/._-:@+=~ ".contains(c);
    let starts_well = value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    starts_well
        && value.chars().all(safe)
        && !value.ends_with([':', ' '])
        && !value.contains(": ")
        && !value.contains("  ")
        && !is_word(value)
        && !may_be_number(value)
}

/// Whether a string has a digit in front and nothing that no number, date or time could have:
/// `1_000`, `0o7`, `1e3`, `12:30:45`, `2016-12-10 12:30:45Z`. An address such as `10.0.0.0/8` is
/// none of these.
fn may_be_number(value: &str) -> bool {
    let of_number = |c: char| c.is_ascii_hexdigit() || "xXoO_.,:+- tTzZ".contains(c);
    value.starts_with(|c: char| c.is_ascii_digit()) && value.chars().all(of_number)
}

/// The words of YAML 1.1 and 1.2 that are no strings, in any case.
fn is_word(value: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_would_resolve_is_quoted() {
        for value in [
            "",
            "y",
            "No",
            "ON",
            "off",
            "true",
            "null",
            "~",
            "1",
            "1.30",
            "1_000",
            "12:30:45",
            "1:30",
            "10.0.0.1",
            "0b101",
            "1_000.5e+03",
            "2016-12-10T22:42:27.5+02:00",
            "2016-12-10 22:42:27 Z",
            "0x1f",
            "0o7",
            "1e3",
            ".inf",
            ".5",
            "-1",
            "+1",
            "2016-12-10",
            "=",
            "<<",
            "-",
            "- a",
            "? a",
            "a: b",
            "a:",
            " a",
            "a ",
            "a #b",
            "#a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a",
            "{a}",
            "[a]",
            "a,b",
            "---",
            "a\tb",
            "a\nb",
            "'a",
            "\"a",
            "ü",
        ] {
            let written = scalar(value, Style::Plain);
            assert!(
                written.starts_with('"'),
                "{value:?} was written as {written}"
            );
        }
        for value in [
            "s3://b/c.example.com",
            "/srv/state",
            "gs://b",
            "a b",
            "nope",
            "file:///x",
            "0.0.0.0/0",
            "150m",
            "1Gi",
            "v1.32.0",
        ] {
            assert_eq!(scalar(value, Style::Plain), value);
        }
    }

    #[test]
    fn every_style_reads_back() {
        for value in [
            "a",
            "it's",
            "a\"b\\c",
            "a\nb\tc\r",
            "\u{7}\u{85}\u{2028}\u{feff}",
            "ü €",
        ] {
            for style in [Style::Plain, Style::Single, Style::Double] {
                let written = scalar(value, style);
                let read: String = serde_yaml::from_str(&written).expect("YAML");
                assert_eq!(read, value, "{written}");
            }
        }
    }

    #[test]
    fn several_lines_stand_behind_a_bar() {
        for (value, header) in [
            ("a\nb", "|-"),
            ("a\nb\n", "|"),
            ("a\nb\n\n", "|+"),
            ("\n\na\n", "|"),
            (" a\nb\n", "|2"),
            ("\n\ta\n b", "|2-"),
            ("a \n\n  \n# b\n", "|"),
            ("a: 1\n---\n", "|"),
        ] {
            let written = literal(value, 2, 4).expect("a literal");
            assert_eq!(written.lines().next(), Some(header), "{value:?}");
            let text = format!("x:\n  k: {written}\n");
            let read: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
            assert_eq!(read["x"]["k"].as_str(), Some(value), "{text}");
        }
        for value in [
            "a",
            "\n",
            "a\r\nb",
            "a\u{7}\nb",
            "\u{feff}\n",
            "a\u{2028}\n",
        ] {
            assert_eq!(literal(value, 2, 4), None, "{value:?}");
        }
        assert_eq!(literal(" a\n", 10, 10), None, "one digit only");
    }
}
