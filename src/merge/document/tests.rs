use super::*;

fn set(text: &str, path: &[&str], value: &str) -> String {
    let mut document = Document::parse(text).expect("YAML");
    let steps = path.iter().map(|step| {
        step.parse()
            .map_or_else(|_| Step::Key((*step).into()), Step::Index)
    });
    match document.set(0, &Path(steps.collect()), value) {
        Ok(()) => document.text().to_owned(),
        Err(fault) => format!("refused: {fault}"),
    }
}

#[test]
fn replaces_the_scalar_and_nothing_else() {
    for (text, path, expected) in [
        ("a: x # why\nb: y\n", &["a"][..], "a: new # why\nb: y\n"),
        ("a: 'x'\n", &["a"], "a: 'new'\n"),
        ("a: \"x\"   # c\n", &["a"], "a: \"new\"   # c\n"),
        ("a:   x\r\nb: y\r\n", &["a"], "a:   new\r\nb: y\r\n"),
        ("\u{feff}a: x\n", &["a"], "\u{feff}a: new\n"),
        ("a: x", &["a"], "a: new"),
        ("---\na: x\n...\n", &["a"], "---\na: new\n...\n"),
        ("# top\n---\na: x\n", &["a"], "# top\n---\na: new\n"),
        ("a: {b: x, c: y}\n", &["a", "b"], "a: {b: new, c: y}\n"),
        (
            "a:\n- b: x\n- b: y\n",
            &["a", "1", "b"],
            "a:\n- b: x\n- b: new\n",
        ),
        ("a:\n  - [x, y]\n", &["a", "0", "1"], "a:\n  - [x, new]\n"),
        ("a: !!str x\n", &["a"], "a: !!str new\n"),
        ("a: &k x\nb: y\n", &["a"], "a: &k new\nb: y\n"),
        ("k: &k x\na: *k\n", &["a"], "k: &k x\na: new\n"),
        ("a: >-\n  x\n  y\nb: z\n", &["a"], "a: new\nb: z\n"),
        ("a: 1.30\n", &["a"], "a: new\n"),
        ("\"a\": x\n", &["a"], "\"a\": new\n"),
        ("{\"a\": \"x\"}", &["a"], "{\"a\": \"new\"}"),
        ("a: x\n---\na: x\n", &["a"], "a: new\n---\na: x\n"),
    ] {
        assert_eq!(set(text, path, "new"), expected, "{text}");
    }
}

#[test]
fn adds_a_key_where_kops_would_sort_it() {
    for (text, path, expected) in [
        ("a: 1\nc: 3\n", &["b"][..], "a: 1\nb: new\nc: 3\n"),
        (
            "a: 1\n\n# of c\nc: 3\n",
            &["b"],
            "a: 1\n\nb: new\n# of c\nc: 3\n",
        ),
        ("a: 1", &["b"], "a: 1\nb: new"),
        ("a: 1 # why\n# end\n", &["b"], "a: 1 # why\nb: new\n# end\n"),
        ("a: 1\r\nc: 3\r\n", &["b"], "a: 1\r\nb: new\r\nc: 3\r\n"),
        (
            "s:\n    a: 1\n    c: |\n      x\n",
            &["s", "d"],
            "s:\n    a: 1\n    c: |\n      x\n    d: new\n",
        ),
        (
            "l:\n- c: 1\n  d: 2\n",
            &["l", "0", "b"],
            "l:\n- c: 1\n  b: new\n  d: 2\n",
        ),
        (
            "s:\n  a: 1\nz: 1\n",
            &["s", "b", "c"],
            "s:\n  a: 1\n  b:\n    c: new\nz: 1\n",
        ),
        ("s: {a: 1}\n", &["s", "b"], "s: {a: 1, b: new}\n"),
        ("s: {}\n", &["s", "b", "c"], "s:\n  b:\n    c: new\n"),
        (
            "s: # why\nz: 1\n",
            &["s", "b"],
            "s: # why\n  b: new\nz: 1\n",
        ),
        ("a:\n", &["a"], "a: new\n"),
        ("s: null\n", &["s", "b"], "s:\n  b: new\n"),
    ] {
        assert_eq!(set(text, path, "new"), expected, "{text}");
    }
}

#[test]
fn refuses_what_would_change_more_than_was_asked() {
    for (text, path) in [
        ("a: &k x\nb: *k\n", &["a"][..]),
        ("k: &k {a: x}\ns: *k\n", &["s", "a"]),
        ("a: [1]\n", &["a", "7"]),
        ("a: x\n", &["a", "b"]),
    ] {
        let text = set(text, path, "new");
        assert!(text.starts_with("refused: line "), "{text}");
    }
}

#[test]
fn strings_stay_strings() {
    for value in ["no", "1.30", "1_000", "12:30:45", "", "a: b", "x # y"] {
        let text = set("a: x\n", &["a"], value);
        assert_eq!(text, format!("a: \"{value}\"\n"));
    }
    assert_eq!(set("a: 1.30\n", &["a"], "1.30"), "a: \"1.30\"\n");
}

#[test]
fn faults_name_the_line_in_the_whole_text() {
    let fault = Document::parse("a: 1\n---\nb: 2\nc: [\n").expect_err("broken");
    assert!(fault.line >= 4, "{fault}");
    let twice = Document::parse("a: 1\na: 2\n").expect_err("a key twice");
    assert_eq!(
        twice.to_string(),
        "line 2, column 1: duplicate key a: line 1 has it already"
    );
    let twice =
        Document::parse("x: 1\n---\ns:\n- {b: 1, c: {\"d\": 1}, b: 2}\n").expect_err("twice");
    assert_eq!((twice.line, twice.column), (4, 23), "{twice}");
}

#[test]
fn positions_are_those_of_an_editor() {
    let document = Document::parse("# c\na: 1\n---\ns:\n- {k: ü, l: x}\n").expect("YAML");
    let path = Path(vec![
        Step::Key("s".into()),
        Step::Index(0),
        Step::Key("l".into()),
    ]);
    assert_eq!(document.position(1, &path), (5, 13));
    assert_eq!(document.key_position(1, &path), (5, 10));
    assert_eq!(path.to_string(), "s[0].l");
}

proptest::proptest! {
    #[test]
    fn any_text_is_edited_rightly_or_not_at_all(
        text in "(a|b|: |:|- |\n|\n  |\r\n|#|'|\"|\\{|\\}|\\[|\\]|, |---\n|&x |\\*x|!!str |\\||>|\u{e9}|a: |b: |\n  a: ){0,24}",
        value in "[a-z:# '\"\n\u{e9}]{0,6}",
    ) {
        if let Ok(mut document) = Document::parse(&text) {
            let path = Path::keys(&["a", "b"]);
            if document.set(0, &path, value.as_str()).is_ok() {
                let found = document.get(0, &path).and_then(Value::as_str);
                proptest::prop_assert_eq!(found, Some(value.as_str()));
            } else {
                proptest::prop_assert_eq!(document.text(), text);
            }
        }
    }
}
