use serde_yaml::Value;

use crate::merge::document::{Document, Fault, Path, Step};
use crate::merge::path::Selector;

fn value(text: &str) -> Value {
    serde_yaml::from_str(text).expect("YAML")
}

fn path(text: &str, document: &Document) -> Path {
    let selector: Selector = text.parse().expect("a path");
    let value = document.values().next().expect("a document");
    selector.resolve(value).expect("a place").remove(0)
}

fn shown(document: &Document, result: Result<bool, Fault>) -> String {
    match result {
        Ok(_) => document.text().to_owned(),
        Err(fault) => format!("refused: {fault}"),
    }
}

fn set(text: &str, at: &str, to: &str) -> String {
    let mut document = Document::parse(text).expect("YAML");
    let path = path(at, &document);
    let result = document.set(0, &path, value(to)).map(|()| true);
    shown(&document, result)
}

fn unset(text: &str, at: &str) -> String {
    let mut document = Document::parse(text).expect("YAML");
    let path = path(at, &document);
    let result = document.unset(0, &path);
    shown(&document, result)
}

fn append(text: &str, at: &str, item: &str) -> String {
    let mut document = Document::parse(text).expect("YAML");
    let path = path(at, &document);
    let result = document.append(0, &path, value(item)).map(|()| true);
    shown(&document, result)
}

fn apply(text: &str, to: &str) -> String {
    let mut document = Document::parse(text).expect("YAML");
    let result = document.apply(0, &value(to)).map(|()| true);
    shown(&document, result)
}

/// Text, path, value and the text after.
const SET: &[(&str, &str, &str, &str)] = &[
    ("a: 'x' # c\n", "a", "1.5", "a: 1.5 # c\n"),
    ("a: 'x' # c\n", "a", "y", "a: 'y' # c\n"),
    (
        "a: x # c\nd: 1\n",
        "a",
        "{b: 1, c: [2]}",
        "a: # c\n  b: 1\n  c:\n  - 2\nd: 1\n",
    ),
    ("a: # c\n  b: 1 # d\nd: 1\n", "a", "x", "a: x # c\nd: 1\n"),
    (
        "a:\n  b: 1\n",
        "a",
        "[1, {c: 2, d: 3}]",
        "a:\n- 1\n- c: 2\n  d: 3\n",
    ),
    ("a:\n- 1\nd: 2\n", "a", "{b: 1}", "a:\n  b: 1\nd: 2\n"),
    ("a:\n- 1\nd: 2\n", "a", "{}", "a: {}\nd: 2\n"),
    (
        "a:\n- b: 1 # c\n  d: 2\n- x\n",
        "a[0]",
        "w",
        "a:\n- w\n- x\n",
    ),
    (
        "- x # c\n- y\n",
        "[0]",
        "{a: 1, b: 2}",
        "- a: 1 # c\n  b: 2\n- y\n",
    ),
    (
        "- x # c\n- y\n",
        "[0]",
        "[1, [2]]",
        "- - 1 # c\n  - - 2\n- y\n",
    ),
    (
        "a: {b: [1, 2], c: x}\n",
        "a.b",
        "{d: 1}",
        "a: {b: {d: 1}, c: x}\n",
    ),
    ("a: {b, c: }\n", "a.b", "1", "a: {b: 1, c: }\n"),
    ("a: {b, c: }\n", "a.c", "[x]", "a: {b, c: [x] }\n"),
    ("a: [x: w]\n", "a[0].x", "z", "a: [x: z]\n"),
    ("a: [x: w]\n", "a[0].z", "1", "a: [{x: w, z: 1}]\n"),
    ("a: [1, 2] # c\n", "a", "[3]", "a: [3] # c\n"),
    (
        "a: |\n  x\n  y\nb: 1\n",
        "a",
        "\"p\\nq\\n\"",
        "a: |\n  p\n  q\nb: 1\n",
    ),
    (
        "a: | # c\n  x\nb: 1\n",
        "a",
        "\" p\\nq\"",
        "a: |2- # c\n   p\n  q\nb: 1\n",
    ),
    (
        "a: x\nb: 1\n",
        "a",
        "\"p\\n\\nq\\n\\n\"",
        "a: |+\n  p\n\n  q\n\nb: 1\n",
    ),
    ("a: x", "a", "\"p\\nq\\n\"", "a: \"p\\nq\\n\""),
    ("a: &k x # c\n", "a", "{b: 1}", "a: &k # c\n  b: 1\n"),
    ("a: !t x\n", "a", "w", "a: w\n"),
    ("a: !t x\n", "a", "!t w", "a: !t w\n"),
    ("a: !t x\n", "a", "!u {b: 1}", "a: !u\n  b: 1\n"),
    ("a: !!str x\n", "a", "1", "a: 1\n"),
    ("a: &k x\nb: *k\n", "b", "{c: 1}", "a: &k x\nb:\n  c: 1\n"),
    (
        "? a\n? b\n: 1\n",
        "a",
        "{c: 1}",
        "? a\n:\n  c: 1\n? b\n: 1\n",
    ),
    (
        "a:\n    b: 1\nc: x\n",
        "c",
        "{d: {e: [1]}}",
        "a:\n    b: 1\nc:\n    d:\n        e:\n        - 1\n",
    ),
    ("a:\n  - b\nc: x\n", "c", "[1]", "a:\n  - b\nc:\n  - 1\n"),
    ("--- x\n", ".", "{a: 1}", "---\na: 1\n"),
    ("# c\nx # d\n", ".", "[1]", "# c\n- 1\n"),
    ("# c\na: 1\nb: 2\n...\n", ".", "x", "# c\nx\n...\n"),
    ("", ".", "{a: 1}", "a: 1\n"),
    ("# c\n---\n", "a.b", "1", "# c\n---\na:\n  b: 1\n"),
    ("---", "a", "1", "---\na: 1"),
    ("100: a\n50: b\n", "75", "c", "100: a\n50: b\n75: c\n"),
    ("100: a\n", "100", "c", "100: c\n"),
    (
        "a: 1\n",
        "b",
        "{x y: 'no', 'on': 1, 2: 3}",
        "a: 1\nb:\n  x y: \"no\"\n  \"on\": 1\n  2: 3\n",
    ),
    (
        "a: x\r\nb: 1\r\n",
        "a",
        "{c: [\"p\\nq\\n\"]}",
        "a:\r\n  c:\r\n  - |\r\n    p\r\n    q\r\nb: 1\r\n",
    ),
    (
        "\u{feff}a: 1\nb: 2",
        "a",
        "{c: 1}",
        "\u{feff}a:\n  c: 1\nb: 2",
    ),
    ("\u{feff}b: 1", "a", "2", "\u{feff}a: 2\nb: 1"),
    ("a: [1]\n", "a[1]", "{b: x}", "a: [1, {b: x}]\n"),
    ("a: null\n", "a[+]", "1", "a:\n- 1\n"),
];

#[test]
fn any_value_takes_the_place_of_any_other() {
    for (text, at, to, expected) in SET {
        assert_eq!(set(text, at, to), *expected, "{text}: {at} = {to}");
    }
}

#[test]
fn what_is_removed_takes_its_comments_along() {
    for (text, at, expected) in [
        ("a: 1\n# of b\nb: 2 # too\nc: 3\n", "b", "a: 1\nc: 3\n"),
        ("# of all\na: 1\nb: 2\n", "a", "# of all\nb: 2\n"),
        ("s:\n  # of a\n  a: 1\n  b: 2\n", "s.a", "s:\n  b: 2\n"),
        ("s:\n  # of a\n  a: 1\nt: 2\n", "s.a", "s: {}\nt: 2\n"),
        ("a: 1\n\n# apart\n\nb: 2\n", "b", "a: 1\n\n# apart\n\n"),
        (
            "a: 1\n  # deeper\nb:\n- 1\n- 2\n",
            "b",
            "a: 1\n  # deeper\n",
        ),
        ("a: 1\nb: |\n  x\n\n# c\nc: 3", "b", "a: 1\n\n# c\nc: 3"),
        ("a: 1\nb: 2", "b", "a: 1"),
        ("a: 1\r\nb: 2\r\n", "a", "b: 2\r\n"),
        (
            "l:\n- a: 1 # x\n  b: 2\n- c\n",
            "l[0].a",
            "l:\n- b: 2\n- c\n",
        ),
        (
            "l:\n- a: 1 # x\n  # of b\n  b: 2\n",
            "l[0].a",
            "l:\n-\n  # of b\n  b: 2\n",
        ),
        (
            "l:\n- a # x\n# of b\n- b\n- c\n",
            "l[1]",
            "l:\n- a # x\n- c\n",
        ),
        ("l:\n- a\n- b\n", "l[0]", "l:\n- b\n"),
        ("l: [a, b, c]\n", "l[2]", "l: [a, b]\n"),
        ("l: [a, b, c]\n", "l[0]", "l: [b, c]\n"),
        ("l: [a]\n", "l[0]", "l: []\n"),
        ("l: [\n  a, # x\n  b\n]\n", "l[1]", "l: [\n  a # x\n  \n]\n"),
        ("m: {a: 1, b: 2}\n", "m.b", "m: {a: 1}\n"),
        ("a: 1\n? b\n: 2\nc: 3\n", "b", "a: 1\nc: 3\n"),
        ("a: 1\n", "b.c", "a: 1\n"),
    ] {
        assert_eq!(unset(text, at), expected, "{text}: {at}");
    }
}

#[test]
fn a_list_grows_in_its_own_style() {
    for (text, at, item, expected) in [
        ("a:\n- 1\nb: 2\n", "a", "{c: 1}", "a:\n- 1\n- c: 1\nb: 2\n"),
        ("a:\n  - 1 # c\n", "a", "x", "a:\n  - 1 # c\n  - x\n"),
        ("a: [1] # c\n", "a", "x", "a: [1, x] # c\n"),
        ("a: [] # c\n", "a", "x", "a: # c\n- x\n"),
        ("a: 1\n", "b.c", "x", "a: 1\nb:\n  c:\n  - x\n"),
        ("a:\n", "a", "x", "a:\n- x\n"),
        ("- 1", "", "2", "- 1\n- 2"),
        ("- |\n  x\n", "", "2", "- |\n  x\n- 2\n"),
    ] {
        let at = if at.is_empty() { "." } else { at };
        assert_eq!(append(text, at, item), expected, "{text}: {at} + {item}");
    }
    assert!(append("a: x\n", "a", "1").contains("is no list"));
}

#[test]
fn a_whole_value_is_applied_by_the_fewest_changes() {
    let text = "# top\nname: x # n\nsubnets:\n# first\n- name: a\n  cidr: '10.0.0.0/8' # ten\n# second\n- name: b\n  cidr: 1\nzones: [a, b]\n";
    for (to, expected) in [
        (
            "{name: x, subnets: [{name: new, cidr: 0}, {name: a, cidr: 10.0.0.0/9}, {name: b, cidr: 1}], zones: [a, b]}",
            text.replace("# first\n", "- name: new\n  cidr: 0\n# first\n")
                .replace("/8", "/9"),
        ),
        (
            "{name: x, subnets: [{name: b, cidr: 1}], zones: [b, c]}",
            text.replace("# first\n- name: a\n  cidr: '10.0.0.0/8' # ten\n", "")
                .replace("[a, b]", "[b, c]"),
        ),
        (
            "{name: x, subnets: [{name: a, cidr: 10.0.0.0/8}, {name: b, cidr: 1, zone: z}], tags: {k: v}, zones: [a]}",
            text.replace("  cidr: 1\n", "  cidr: 1\n  zone: z\ntags:\n  k: v\n")
                .replace("[a, b]", "[a]"),
        ),
    ] {
        assert_eq!(apply(text, to), expected, "{to}");
    }
    for (text, to, expected) in [
        (
            "- a # a\n- b # b\n- c # c\n",
            "[a, x, c]",
            "- a # a\n- x # b\n- c # c\n",
        ),
        ("- a # a\n- b # b\n- c # c\n", "[c]", "- c # c\n"),
        (
            "- a # a\n- b # b\n",
            "[x, a, w, b, z]",
            "- x\n- a # a\n- w\n- b # b\n- z\n",
        ),
        (
            "- {p: 1, q: 2} # x\n- {p: 3, q: 4}\n",
            "[{p: 3, q: 5}]",
            "- {p: 3, q: 5}\n",
        ),
        (
            "- - a # x\n  - b\n- c\n",
            "[[w, b], c]",
            "- - w # x\n  - b\n- c\n",
        ),
        (
            "- - a # x\n  - b\n- c\n",
            "[[w, m, b], c]",
            "- - w\n  - m\n  - b\n- c\n",
        ),
        ("l: [a, b, c]\n", "{l: [x, b]}", "l: [x, b]\n"),
        ("l: [a, b, c]\n", "{l: [b, x, w]}", "l: [b, x, w]\n"),
        (
            "a: 1\ne: 5\n",
            "{e: 5, d: 4, f: 6, c: 3, a: 1}",
            "a: 1\nc: 3\nd: 4\ne: 5\nf: 6\n",
        ),
        (
            "e: 1\na: 5\n",
            "{e: 1, d: 4, a: 5, c: 3}",
            "e: 1\na: 5\nd: 4\nc: 3\n",
        ),
        (
            "{b: 1, c: 2}\n",
            "{a: 0, c: 2, d: 3}",
            "{a: 0, c: 2, d: 3}\n",
        ),
        ("a: 1\nb: 2", "{a: 1, c: 3}", "a: 1\nc: 3"),
        (
            "a:\n  x: 1\nb: 2",
            "{a: {x: 1, z: 2}}",
            "a:\n  x: 1\n  z: 2",
        ),
    ] {
        assert_eq!(apply(text, to), expected, "{text} -> {to}");
    }
}

#[test]
fn ties_to_other_places_are_respected() {
    for (text, at, to, words) in [
        (
            "a: &k {b: 1}\nc: *k\n",
            "a.b",
            "2",
            "can't be changed alone",
        ),
        ("a: &k {b: 1}\nc: *k\n", "c.b", "2", "behind the alias *k"),
        ("a: &k {b: 1}\nc:\n  <<: *k\n", "c.<<.b", "2", "merge key"),
        (
            "a: &k {b: {d: 1}}\nc:\n  <<: *k\n",
            "c.b.e",
            "2",
            "would hide the rest",
        ),
    ] {
        let text = set(text, at, to);
        assert!(
            text.starts_with("refused: line ") && text.contains(words),
            "{text}"
        );
    }
    let text = "a: &k {b: 1}\nc:\n  <<: *k\n  b: 2\n";
    assert!(unset(text, "c.b").contains("would show"));
    assert!(unset(text, "a").starts_with("refused: "));
    assert!(unset(text, "c.<<").contains("merge key"));
    assert_eq!(set(text, "c.b", "3"), text.replace("b: 2", "b: 3"));
    assert_eq!(set(text, "c.d", "3"), text.to_owned() + "  d: 3\n");
    let out = "a: &k {b: 1}\nc: *k\n";
    assert_eq!(
        apply(out, "{a: {b: 1}, c: {b: 2}}"),
        "a: &k {b: 1}\nc:\n  b: 2\n"
    );
}

#[test]
fn paths_that_lead_nowhere_are_refused() {
    let mut document = Document::parse("a: [1]\nb: x\n").expect("YAML");
    for (path, words) in [
        (
            Path(vec![Step::Key("a".into()), Step::Index(2)]),
            "[1] is the next",
        ),
        (Path::keys(&["a", "b"]), "no mapping"),
        (Path::keys(&["b", "c"]), "no mapping"),
        (Path(vec![Step::Key("b".into()), Step::Index(0)]), "no list"),
    ] {
        let fault = document.set(0, &path, 1).expect_err("refused");
        assert!(fault.message.contains(words), "{fault}");
    }
    let fault = document.set(1, &Path::default(), 1).expect_err("refused");
    assert!(fault.message.contains("document"), "{fault}");
    let fault = document.unset(0, &Path::default()).expect_err("refused");
    assert!(fault.message.contains("as a whole"), "{fault}");
}
