use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_yaml::Value;

use super::*;
use crate::merge::document::Document;

fn outlined(text: &str) -> std::result::Result<Node, String> {
    outline(text, 0..text.len(), &mut 0).map_err(|trouble| trouble.message)
}

/// Whether an outline has the shape of a value, and its scalars stand where it says.
fn fits(text: &str, node: &Node, value: &Value) -> bool {
    let value = match value {
        Value::Tagged(tagged) => &tagged.value,
        value => value,
    };
    let source = &text[node.content..node.span.end];
    match (node.kind, value) {
        (Kind::Alias, _) => source.starts_with('*'),
        (Kind::Empty, value) => source.is_empty() && (value.is_null() || node.tag.is_some()),
        (Kind::Mapping(_), Value::Mapping(entries)) => {
            entries.len() == node.children.len()
                && entries
                    .iter()
                    .zip(&node.children)
                    .all(|((key, value), child)| {
                        child.key.as_ref().is_some_and(|node| fits(text, node, key))
                            && fits(text, &child.value, value)
                    })
        }
        (Kind::Sequence(_), Value::Sequence(items)) => {
            items.len() == node.children.len()
                && items
                    .iter()
                    .zip(&node.children)
                    .all(|(item, child)| fits(text, &child.value, item))
        }
        (Kind::BlockScalar, Value::String(_)) => source.starts_with(['|', '>']),
        (Kind::Scalar, value) => {
            // What stands there, alone, is the same value.
            let alone = serde_yaml::from_str::<Value>(source).ok();
            node.tag.is_some() || alone.as_ref() == Some(value) || value.as_str() == Some(source)
        }
        _ => false,
    }
}

#[test]
fn follows_every_layout() {
    for text in [
        "",
        "# nothing\n",
        "---\n",
        "a",
        "a\nb\n c\n",
        "--- a\n...\n",
        "%YAML 1.1\n---\na: 1\n",
        "- a\n-\n  - b\n- - c\n  - d\n-   k: v\n    l: w\n",
        "a:\n- b\n- c\nd:\n  - e\n",
        "a: &x\n  b: 1\nc: *x\n&k d: !!str 1\n? e\n: f\n? [g]\n? - h\n: - i\n",
        "a: !t\n  b: 1\nc: !t\nd: &y\ne: !t {f: 1}\n",
        "a: |\n  x\n\n   y # no comment\n # comment\nb: >-2\n    z\n\n\nc: |+\n  k\n\nd: |\ne: 1\n",
        "- |\n x\n- >\n\n  y\n",
        "a: b c\n  d\n\n  e # comment\nf: \"g\n  h\\\"\n  i\" # c\nj: 'k''l\n\n  m'\n",
        "{a: 1, b: [c, {d: e}, f: g], h, \"i\":j, ? k : l, m: , n: }",
        "[a, b # c\n , [], {}, \"x\", http://y:1/z,]\n",
        "a: {\n  b: 1,\n# c\n  d: 2\n}\ne: 3\n",
        "\"a b\": 1\n'c: d' : 2\n1: 3\n-1: x\n?a: y\n:b: z\n",
        "a: - b\n",
        "a: x#y\nb: c:d\ne: -f\ng: ?h\ni: '#'\n",
        "a:\r\n  b: |\r\n    c\r\n  d: e\r\n",
        "- \t# c\n- a\t # c\n",
        "a: *b-c\n",
        "*a : 1\n",
    ] {
        let parsed = serde_yaml::from_str::<Value>(text);
        match (outlined(text), parsed) {
            (Ok(node), Ok(value)) => assert!(fits(text, &node, &value), "{text}\n{node:#?}"),
            (Err(message), Ok(_)) => panic!("{text}\n{message}"),
            (_, Err(_)) => {}
        }
    }
}

#[test]
fn follows_real_files() {
    let real = crate::fixture::objects().unwrap_or_default();
    let mut seen = 0;
    // Every file is read by the tests of edits; a part of them will do here.
    let some = real.into_iter().step_by(7).chain(crate::fixture::sample());
    for (key, bytes) in some {
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        let Ok(document) = Document::parse(&text) else {
            continue;
        };
        for part in &document.parts {
            let node = part.outline.as_ref();
            let node = node.unwrap_or_else(|| panic!("{key} has no outline"));
            // Each scalar by itself is slow to check in the largest.
            if part.range.len() < 20_000 {
                assert!(fits(&text, node, &part.value), "{key}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 10, "the sample alone has more");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn agrees_with_the_parser(
        text in "(a|b|: |:|- |\n|\n  |\n    |\n- |\na: |\n  b: |\r\n|#| #|'|\"|\\{|\\}|\\[|\\]|, |\n---\n|\n...\n|&x |\\*x|!!str |!t | \\||>|\\+|1|\\? |\u{e9}|\t| ){0,30}",
    ) {
        if let (Ok(node), Ok(value)) = (outlined(&text), serde_yaml::from_str::<Value>(&text)) {
            prop_assert!(fits(&text, &node, &value), "{:#?}\n{:?}", node, value);
        }
    }
}

#[test]
fn hostile_texts_are_refused_soon() {
    let start = Instant::now();
    let nine = |name: char, of: &str| format!("{name}: &{name} [{}]\n", [of; 9].join(", "));
    let mut laughs = nine('a', "lol");
    for (name, of) in ('b'..='i').zip('a'..) {
        laughs.push_str(&nine(name, &format!("*{of}")));
    }
    let long = "x".repeat(1 << 20);
    for (text, words) in [
        (laughs, "aliases"),
        (
            format!("a: &a {long}\nb: [{}]\n", ["*a"; 1000].join(", ")),
            "aliases",
        ),
        ("[".repeat(1 << 20), "deeper"),
        ("{a: ".repeat(1 << 20), "deeper"),
        ("- ".repeat(1 << 18), "deeper"),
        ("? ".repeat(1 << 18), "deeper"),
        ("&a\n".repeat(1 << 18), "deeper"),
        ("!a\n".repeat(1 << 18), "deeper"),
        (
            (0..2000).fold(String::new(), |text, n| text + &" ".repeat(n) + "a:\n"),
            "deeper",
        ),
        ("&a [*a]".to_owned(), "no anchor"),
        ("[".to_owned() + &"a,".repeat(2 << 20), "MiB"),
        (format!("a: {}", "x".repeat(50 << 20)), "bytes"),
        ("\"".to_owned() + &"x".repeat(4 << 20), "never closed"),
        ("[ # ]\n".repeat(1 << 18), "deeper"),
    ] {
        let shown = &text[..text.len().min(40)];
        let fault = Document::parse(&text).expect_err(shown);
        assert!(fault.message.contains(words), "{shown}: {fault}");
    }
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn what_nests_as_deeply_as_allowed_is_edited() {
    let text = (0..DEEPEST).fold(String::new(), |text, n| text + &" ".repeat(n) + "a:\n");
    let mut document = Document::parse(&text).expect("YAML");
    let path = crate::merge::path::Path::keys(&["a"; DEEPEST]);
    document.set(0, &path, "x").expect("set");
    assert_eq!(document.text(), text.trim_end().to_owned() + " x\n");
    let deeper = crate::merge::path::Path::keys(&["a"; DEEPEST + 1]);
    let fault = document.clone().set(0, &deeper, "x").expect_err("too deep");
    assert!(fault.message.contains("deeper"), "{fault}");
    let deepest = crate::merge::path::Path::keys(&vec!["a"; 100_000]);
    let fault = document
        .clone()
        .set(0, &deepest, "x")
        .expect_err("too deep");
    assert!(fault.message.contains("deeper"), "{fault}");
    let mut value = Value::Null;
    for _ in 0..10_000 {
        value = Value::Sequence(vec![value]);
    }
    let fault = document.apply(0, &value).expect_err("too deep");
    assert!(fault.message.contains("deeper"), "{fault}");
    // Dropping it recurses as well: take it apart.
    while let Value::Sequence(mut items) = value {
        value = items.pop().unwrap_or(Value::Null);
    }
}
