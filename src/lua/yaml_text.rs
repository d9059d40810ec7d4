//! Data as YAML text that both YAML 1.2 and the YAML 1.1 of kOps's Go parser read as the same.

use serde_json::Value;

/// Writes a document, with a newline at the end.
pub(super) fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Array(items) if !items.is_empty() => list(&mut text, items, 0),
        Value::Object(fields) if !fields.is_empty() => object(&mut text, fields, 0),
        flat => {
            text.push_str(&scalar(flat, 2));
            text.push('\n');
        }
    }
    text
}

fn list(text: &mut String, items: &[Value], indent: usize) {
    for item in items {
        text.push_str(&" ".repeat(indent));
        text.push('-');
        match item {
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                list(text, items, indent + 2);
            }
            Value::Object(fields) if !fields.is_empty() => {
                // The first field stands on the line of the dash.
                let mut inner = String::new();
                object(&mut inner, fields, indent + 2);
                text.push(' ');
                text.push_str(inner.trim_start_matches(' '));
            }
            flat => line(text, flat, indent),
        }
    }
}

fn object(text: &mut String, fields: &serde_json::Map<String, Value>, indent: usize) {
    for (name, value) in fields {
        text.push_str(&" ".repeat(indent));
        text.push_str(&string(name));
        text.push(':');
        match value {
            // Lists are not indented within objects, as kOps writes them.
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                list(text, items, indent);
            }
            Value::Object(fields) if !fields.is_empty() => {
                text.push('\n');
                object(text, fields, indent + 2);
            }
            flat => line(text, flat, indent),
        }
    }
}

fn line(text: &mut String, value: &Value, indent: usize) {
    text.push(' ');
    text.push_str(&scalar(value, indent + 2));
    text.push('\n');
}

fn scalar(value: &Value, indent: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if is_block(text) => block(text, indent),
        Value::String(text) => string(text),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

/// Whether a text is best shown line by line, and can be.
fn is_block(text: &str) -> bool {
    let lines = text.trim_end_matches('\n');
    lines.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.contains(" \n")
        && text
            .chars()
            .all(|c| c == '\n' || c == '\t' || is_printable(c))
}

fn block(text: &str, indent: usize) -> String {
    let body = text.trim_end_matches('\n');
    let ends = text.len() - body.len();
    let mark = match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    };
    let pad = " ".repeat(indent);
    let lines: Vec<_> = body
        .split('\n')
        .map(|line| match line {
            "" => String::new(),
            line => format!("{pad}{line}"),
        })
        .collect();
    format!(
        "{mark}\n{}{}",
        lines.join("\n"),
        "\n".repeat(ends.saturating_sub(1))
    )
}

/// A string on one line: plain where nobody can take it for something else, else quoted.
fn string(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    // A JSON string is a double-quoted YAML string once what YAML can't print is escaped too.
    let quoted = Value::String(text.to_owned()).to_string();
    if quoted.chars().all(is_printable) {
        return quoted;
    }
    let escaped = quoted.chars().map(|c| match c {
        c if is_printable(c) => c.to_string(),
        c => format!("\\u{:04x}", u32::from(c)),
    });
    escaped.collect()
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 13] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity",
        "nil",
    ];
    let safe = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                '_' | '-' | '.' | '/' | ':' | ' ' | '@' | '+' | '=' | ',' | '(' | ')' | '$'
            )
    };
    // A digit, sign or dot at the start may be a number, a date, a time or sexagesimal in 1.1.
    let starts_well = text
        .chars()
        .next()
        .is_some_and(|c| c.is_alphabetic() || matches!(c, '_' | '/'));
    starts_well
        && text.chars().all(safe)
        && text.chars().all(is_printable)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_yaml_1_1_reads_differently_is_quoted() {
        for text in [
            "yes",
            "No",
            "on",
            "y",
            "null",
            "~",
            "1.30",
            "1_000",
            "12:30:45",
            "0x1f",
            "0o7",
            "010",
            "+1",
            ".5",
            ".inf",
            "2026-01-01",
            "",
            " a",
            "a ",
            "a: b",
            "a:",
            "- a",
            "#x",
            "a #b",
            "&a",
            "*a",
            "!x",
            "%x",
            "@x",
            "`x",
            "[a",
            "{a",
            "\"x",
            "'x",
            "=",
            "<<",
            "true",
        ] {
            let written = write(&json!(text));
            assert!(written.starts_with('"'), "{text:?} is written as {written}");
        }
        for text in [
            "s3://bucket/state",
            "v1.30.2",
            "us-east-1a",
            "/etc/x",
            "a b",
            "kops.k8s.io/v1",
        ] {
            assert_eq!(write(&json!(text)), format!("{text}\n"));
        }
    }

    #[test]
    fn nested_data_is_laid_out_as_kops_does() {
        let value = json!({
            "kind": "Cluster",
            "spec": { "list": ["a", { "b": 1, "c": [] }, ["x"]], "text": "one\ntwo\n", "e": {} },
        });
        let text = "kind: Cluster\nspec:\n  list:\n  - a\n  - b: 1\n    c: []\n  -\n    - x\n  \
                    text: |\n    one\n    two\n  e: {}\n";
        assert_eq!(write(&value), text);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\n\tüé\u{85}]{0,12}".prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[ -~]{0,5}", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(value in any_json()) {
            let text = write(&value);
            let read: Value = serde_yaml::from_str(&text)
                .map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
