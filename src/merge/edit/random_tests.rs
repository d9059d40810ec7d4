//! Random edits of random documents.

use std::fmt::Write;

use proptest::prelude::*;
use serde_yaml::{Mapping, Value};

use crate::merge::document::{Document, Fault, Path, Step};

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
        "(a|b| |\n|\t|#|: |- |'|\"|\\\\|1|0x|\\.|_|:|e|~|\u{e9}|\u{85}|\u{2028}|\r|%|---|\u{1f600}){0,6}"
            .prop_map(Value::from),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(4, 24, 5, |inner| {
        let keys = prop_oneof![
            4 => "[a-e]".prop_map(Value::from),
            1 => "(name|no|a\\.b|: |#|\n|[0-9]){1,2}".prop_map(Value::from),
            1 => (0..200).prop_map(Value::from),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((keys, inner), 0..5)
                .prop_map(|entries| Value::Mapping(entries.into_iter().collect::<Mapping>())),
        ]
    })
}

/// Documents in block style with a comment line of its own before many lines, and other styles.
fn documents() -> impl Strategy<Value = String> {
    let noise = proptest::collection::vec(any::<u8>(), 64);
    (values(), noise).prop_map(|(value, noise)| {
        // Their line ends are no others, see the outline.
        let plain = serde_yaml::to_string(&value)
            .expect("YAML")
            .replace(['\u{85}', '\u{2028}'], "");
        let mut text = String::new();
        for (index, line) in plain.lines().enumerate() {
            let dice = noise[index % noise.len()];
            let indent = line.len() - line.trim_start().len();
            if dice % 4 == 0 {
                let _ = writeln!(text, "{}# c{index}", " ".repeat(indent));
            }
            text.push_str(line);
            if dice % 5 == 0 && !line.ends_with(['|', '>', '-', '+']) {
                let _ = write!(text, " # t{index}");
            }
            text.push_str(if dice % 32 == 31 { "\n\n" } else { "\n" });
        }
        // A comment in the midst of a scalar is a part of it, or breaks it.
        let is_sound = |text: &String| serde_yaml::from_str::<Value>(text).is_ok();
        let candidates = [text, plain, "a: b\n".to_owned()];
        let text = candidates.into_iter().find(is_sound).unwrap_or_default();
        match noise[63] % 4 {
            0 => text.trim_end_matches('\n').to_owned(),
            1 => text.replace('\n', "\r\n"),
            2 => format!(
                "\u{feff}# top\n---\n{}\n---\nother: 1\n",
                text.trim_end_matches('\n')
            ),
            _ => text,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_document_becomes_any_value(text in documents(), intended in values()) {
        let mut document = Document::parse(&text).expect("YAML");
        let result = document.apply(0, &intended);
        prop_assert!(result.is_ok(), "{:?}\n{}", result, text);
        prop_assert_eq!(document.get(0, &Path::default()), Some(&intended));
        let again = document.text().to_owned();
        document.apply(0, &intended).expect("nothing to do");
        prop_assert_eq!(document.text(), again);
    }

    #[test]
    fn any_layout_becomes_any_value(
        text in prop_oneof![layouts(), in_brackets()],
        new in values(),
        at in any::<prop::sample::Index>(),
    ) {
        let Ok(document) = Document::parse(&text) else {
            return Ok(());
        };
        let root = Path::default();
        let before = document.get(0, &root).expect("a document").clone();
        let mut places = Vec::new();
        walk(&before, &root, &mut places);
        let path = at.get(&places);
        for path in [path, &root] {
            let mut edited = document.clone();
            match edited.set(0, path, new.clone()) {
                Ok(()) => prop_assert_eq!(edited.get(0, path), Some(&new)),
                // A key that is no scalar has no path.
                Err(_) if document.get(0, path).is_none() => {}
                Err(fault) => prop_assert!(is_strange(&fault, &text), "{}\n{}", fault, text),
            }
        }
        let mut edited = document.clone();
        match edited.unset(0, path) {
            Ok(was_there) => {
                prop_assert_eq!(was_there, edited.get(0, &root) != Some(&before));
            }
            Err(fault) => prop_assert!(path.0.is_empty() || is_strange(&fault, &text), "{}\n{}", fault, text),
        }
    }

    #[test]
    fn one_edit_touches_its_lines_only(
        text in documents(),
        new in values(),
        at in any::<prop::sample::Index>(),
        kind in 0..3,
    ) {
        let mut document = Document::parse(&text).expect("YAML");
        let before = document.values().next().expect("a document").clone();
        let mut places = Vec::new();
        walk(&before, &Path::default(), &mut places);
        let path = at.get(&places);
        let result = match kind {
            0 => document.set(0, path, new.clone()),
            1 => document.unset(0, path).map(|_| ()),
            _ => document.append(0, path, new.clone()),
        };
        if result.is_err() {
            prop_assert_eq!(document.text(), &text);
            let is_meant = kind != 0;
            prop_assert!(is_meant, "{:?}\n{}", result, text);
            return Ok(());
        }
        match kind {
            0 => prop_assert_eq!(document.get(0, path), Some(&new)),
            1 => {}
            _ => prop_assert_eq!(
                document.get(0, path).and_then(Value::as_sequence).and_then(|list| list.last()),
                Some(&new)
            ),
        }
        // What stands before and behind the place, and is no part of it, stays.
        let parent = Path(path.0[..path.0.len().saturating_sub(1)].to_vec());
        let is_lone = parent.lookup(&before).is_some_and(|parent| match parent {
            Value::Mapping(entries) => entries.len() == 1,
            Value::Sequence(items) => items.len() == 1,
            _ => true,
        });
        if path.0.is_empty() || (kind == 1 && is_lone) {
            return Ok(());
        }
        let (old, now) = (lines(&text), lines(document.text()));
        let untouched = Document::parse(&text).expect("YAML");
        let line_of = |path: &Path| untouched.key_position(0, path).0;
        let above = old[..line_of(path) - 1].iter().rev();
        let comments = above.take_while(|line| line.trim_start().starts_with('#')).count();
        let first = line_of(path) - 1 - comments;
        prop_assert_eq!(&old[..first], &now[..first]);
        let next = places.iter().skip_while(|place| *place != path);
        let mut next = next.skip_while(|place| place.0.starts_with(&path.0));
        if let Some(next) = next.next() {
            let rest = &old[line_of(next)..];
            prop_assert!(now.ends_with(rest), "{}\n{}", text, document.text());
        }
    }
}

/// Texts of YAML's signs, many of which are no YAML.
fn layouts() -> impl Strategy<Value = String> {
    "(a|b|: |- |\n|\n  |\n    |\n- |\na: |\n  b: |\r\n| #|'|\"|\\{|\\}|\\[|\\]|, |\n---\n|\n...\n|!!str |!t |&x |\\*x|<<: | \\||>|\\+|1|\\? |\u{e9}| ){0,30}"
}

/// Documents in flow style, with line ends, comments and superfluous commas.
fn in_brackets() -> impl Strategy<Value = String> {
    let noise = proptest::collection::vec(any::<u8>(), 64);
    (values(), noise).prop_map(|(value, noise)| {
        let mut dice = noise.into_iter().cycle();
        let mut text = String::from("k: ");
        write_in_brackets(&mut text, &value, &mut dice);
        text + " # end\n"
    })
}

fn write_in_brackets(text: &mut String, value: &Value, dice: &mut impl Iterator<Item = u8>) {
    let (open, close) = match value {
        Value::Sequence(_) => ('[', ']'),
        Value::Mapping(_) => ('{', '}'),
        scalar => {
            let scalar = serde_yaml::to_string(scalar).expect("YAML");
            let is_simple =
                scalar.is_ascii() && scalar.len() < 20 && !scalar.contains([',', '|', '>']);
            return text.push_str(if is_simple {
                scalar.trim_end()
            } else {
                "'long'"
            });
        }
    };
    text.push(open);
    let nothing = Value::Null;
    let items: Vec<(Option<&Value>, &Value)> = match value {
        Value::Sequence(items) => items.iter().map(|item| (None, item)).collect(),
        Value::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| (Some(key), value))
            .collect(),
        _ => vec![(None, &nothing)],
    };
    let count = items.len();
    for (index, (key, value)) in items.into_iter().enumerate() {
        gap(text, dice);
        if let Some(key) = key {
            write_in_brackets(text, key, dice);
            text.push_str(": ");
        }
        write_in_brackets(text, value, dice);
        gap(text, dice);
        if index + 1 < count || dice.next().is_some_and(|dice| dice % 4 == 0) {
            text.push(',');
        }
    }
    gap(text, dice);
    text.push(close);
}

fn gap(text: &mut String, dice: &mut impl Iterator<Item = u8>) {
    let gaps = ["", "", "", " ", "\n  ", " # c\n "];
    text.push_str(gaps[usize::from(dice.next().unwrap_or(0)) % gaps.len()]);
}

/// Whether an edit may be refused: the layout can't be followed, other places refer to an anchor,
/// or a `|` key or scalar without a final newline would get one.
fn is_strange(fault: &Fault, text: &str) -> bool {
    let is_open = !text.ends_with('\n') && text.contains(['|', '>']);
    let is_tied = text.contains(['&', '*']) || text.contains("<<");
    fault.message.contains("can't be followed") || is_open || is_tied
}

fn lines(text: &str) -> Vec<&str> {
    text.split('\n').collect()
}

fn walk(value: &Value, path: &Path, places: &mut Vec<Path>) {
    places.push(path.clone());
    match value {
        Value::Mapping(entries) => {
            for (key, value) in entries {
                let text = crate::merge::path::key_text(key);
                walk(value, &path.then(Step::Key(text.into_owned())), places);
            }
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &path.then(Step::Index(index)), places);
            }
        }
        _ => {}
    }
}
