//! Edits of real files: exactly the lines concerned change.

use std::collections::HashSet;

use serde_yaml::{Mapping, Value};

use crate::merge::document::{Document, Path, Step};
use crate::merge::path::key_text;

/// The YAML files up to a size, each distinct one once.
fn texts(largest: usize) -> Vec<(String, String)> {
    let real = crate::fixture::objects().unwrap_or_default();
    let mut seen = HashSet::new();
    real.into_iter()
        .chain(crate::fixture::sample())
        .filter_map(|(key, bytes)| Some((key, String::from_utf8(bytes).ok()?)))
        .filter(|(_, text)| text.contains(": ") && text.len() <= largest)
        .filter(|(_, text)| seen.insert(text.clone()))
        .filter(|(_, text)| {
            Document::parse(text).is_ok_and(|it| it.values().any(Value::is_mapping))
        })
        .collect()
}

fn places(value: &Value, path: &Path, found: &mut Vec<Path>) {
    found.push(path.clone());
    match value {
        Value::Mapping(entries) => {
            for (key, value) in entries {
                places(
                    value,
                    &path.then(Step::Key(key_text(key).into_owned())),
                    found,
                );
            }
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &path.then(Step::Index(index)), found);
            }
        }
        _ => {}
    }
}

/// How many lines a value has as kOps would write it, in a mapping or a list.
fn height(value: &Value) -> usize {
    match value {
        Value::Mapping(entries) if !entries.is_empty() => {
            1 + entries.values().map(height).sum::<usize>()
        }
        Value::Sequence(items) if !items.is_empty() => {
            1 + items
                .iter()
                .map(|item| height(item) - usize::from(is_filled(item)))
                .sum::<usize>()
        }
        // A long one may be folded.
        Value::String(text) => text.trim_end().lines().count().max(1) + 1 + text.len() / 60,
        _ => 1,
    }
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Mapping(entries) => !entries.is_empty(),
        Value::Sequence(items) => !items.is_empty(),
        _ => false,
    }
}

/// How many lines went and came between the first and the last one that differ, and the comments
/// that went.
fn changed<'a>(before: &'a str, after: &'a str) -> (usize, usize, Vec<&'a str>) {
    assert_eq!(before.ends_with('\n'), after.ends_with('\n'));
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let front = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[front..], &new[front..]);
    let ends = old.iter().rev().zip(new.iter().rev());
    let back = ends.take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - back], &new[..new.len() - back]);
    let mut lost = old.to_vec();
    lost.retain(|line| line.trim_start().starts_with('#') && !new.contains(line));
    (old.len(), new.len(), lost)
}

/// The edits that are tried at a place: what is done, and what then stands there.
fn edits(value: &Value) -> Vec<(&'static str, Value)> {
    let nested = Mapping::from_iter([(
        Value::from("b"),
        Value::from(vec![Value::from(1), Value::from("no")]),
    )]);
    let mut edits = vec![
        ("set", Value::from("new: text")),
        ("set", Value::from(nested.clone())),
        ("unset", Value::Null),
    ];
    match value {
        Value::Mapping(_) => {
            edits.push(("add", Value::from("1.30")));
            edits.push(("add", Value::from(nested)));
        }
        Value::Sequence(_) => {
            edits.push(("append", Value::from("x")));
            edits.push(("append", Value::from(nested)));
        }
        _ => edits.push(("set", Value::from(vec![Value::Null, Value::from(true)]))),
    }
    edits
}

#[test]
fn edits_of_real_files_change_the_lines_concerned() {
    edit_real_files(16, 20_000);
}

#[test]
#[ignore = "takes 20 s in a debug build; .ci/run runs it"]
fn edits_of_all_real_files_change_the_lines_concerned() {
    edit_real_files(1, usize::MAX);
}

/// Makes thirty edits in one file of `every`, and two in the others.
fn edit_real_files(every: usize, largest: usize) {
    let (mut done, mut shift) = (0, 0);
    for (number, (key, text)) in texts(largest).into_iter().enumerate() {
        let per_file = if number % every == 0 { 30 } else { 2 };
        let document = Document::parse(&text).expect("YAML");
        let mut all = Vec::new();
        for (part, value) in document.values().enumerate() {
            let mut found = Vec::new();
            places(value, &Path::default(), &mut found);
            for path in found.into_iter().skip(1) {
                let value = document.get(part, &path).expect("a value");
                all.extend(
                    edits(value)
                        .into_iter()
                        .map(|edit| (part, path.clone(), edit)),
                );
            }
        }
        // Spread over the file, and others in the next one.
        let step = (all.len() / per_file).max(1);
        shift += 1;
        for (part, path, (kind, new)) in all.into_iter().skip(shift % step).step_by(step) {
            let label = format!("{key}: {kind} {path}");
            check_edit(&document, part, &path, kind, new, &label);
            done += 1;
        }
    }
    assert!(done >= 30, "the sample alone has more: {done}");
}

fn check_edit(document: &Document, part: usize, path: &Path, kind: &str, new: Value, label: &str) {
    let old = document.get(part, path).expect("a value");
    let tall = height(&new);
    let mut edited = document.clone();
    let result = match kind {
        "set" => edited.set(part, path, new),
        "unset" => edited.unset(part, path).map(drop),
        "append" => edited.append(part, path, new),
        _ => edited.set(part, &path.then(Step::Key("zz".into())), new),
    };
    result.unwrap_or_else(|fault| panic!("{label}: {fault}"));
    let text = document.text();
    let (gone, come, lost) = changed(text, edited.text());
    let (most_gone, most_come) = match kind {
        "set" => (height(old), tall),
        // The key above an emptied collection changes, and a dash may move.
        "unset" => (height(old) + 2, 2),
        // `{}` is written out.
        _ => (usize::from(!is_filled(old)), tall + 1),
    };
    // In brackets, all is one line.
    let line = document.position(part, path).0 - 1;
    let line = text.lines().nth(line).unwrap_or_default();
    let in_flow = usize::from(line.contains(['[', '{']));
    let (most_gone, most_come) = (most_gone.max(in_flow), most_come.max(in_flow));
    assert!(
        gone <= most_gone && come <= most_come,
        "{label}: {gone} of {most_gone} lines went, {come} of {most_come} came"
    );
    let is_inside = old.is_string() || is_filled(old) || kind == "unset";
    assert!(is_inside || lost.is_empty(), "{label}: {lost:?}");
}

#[test]
fn a_real_manifest_is_merged_with_many_options_at_once() {
    for (key, text) in texts(20_000) {
        if !key.ends_with("/config") {
            continue;
        }
        let mut document = Document::parse(&text).expect("YAML");
        let mut intended = document.get(0, &Path::default()).expect("a value").clone();
        let spec = intended
            .get_mut("spec")
            .and_then(Value::as_mapping_mut)
            .expect("a spec");
        let options: Vec<String> = (0..200)
            .map(|option| format!("option{option:03}"))
            .collect();
        for option in &options {
            spec.insert(option.as_str().into(), Value::from(vec![Value::from("on")]));
        }
        document
            .apply(0, &intended)
            .unwrap_or_else(|fault| panic!("{key}: {fault}"));
        let (gone, come, _) = changed(&text, document.text());
        assert_eq!((gone, come), (0, 400), "{key}");
    }
}
