use serde_yaml::Value;

use super::{Operation, json_patch};

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn patched(document: &str, patch: &str) -> Result<Value, String> {
    let operations = Operation::parse_all(&yaml(patch)).map_err(|error| error.to_string())?;
    let document = yaml(document);
    let before = document.clone();
    let result = json_patch(&document, &operations).map_err(|error| error.to_string());
    assert_eq!(document, before);
    result
}

/// RFC 6902, appendix A.
#[test]
fn does_what_the_rfc_says() {
    for (document, patch, expected) in [
        // A.1 to A.4: adding and removing.
        (
            r#"{"foo": "bar"}"#,
            r#"[{"op": "add", "path": "/baz", "value": "qux"}]"#,
            r#"{"baz": "qux", "foo": "bar"}"#,
        ),
        (
            r#"{"foo": ["bar", "baz"]}"#,
            r#"[{"op": "add", "path": "/foo/1", "value": "qux"}]"#,
            r#"{"foo": ["bar", "qux", "baz"]}"#,
        ),
        (
            r#"{"baz": "qux", "foo": "bar"}"#,
            r#"[{"op": "remove", "path": "/baz"}]"#,
            r#"{"foo": "bar"}"#,
        ),
        (
            r#"{"foo": ["bar", "qux", "baz"]}"#,
            r#"[{"op": "remove", "path": "/foo/1"}]"#,
            r#"{"foo": ["bar", "baz"]}"#,
        ),
        // A.5: replacing.
        (
            r#"{"baz": "qux", "foo": "bar"}"#,
            r#"[{"op": "replace", "path": "/baz", "value": "boo"}]"#,
            r#"{"baz": "boo", "foo": "bar"}"#,
        ),
        // A.6, A.7: moving.
        (
            r#"{"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}}"#,
            r#"[{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}]"#,
            r#"{"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}}"#,
        ),
        (
            r#"{"foo": ["all", "grass", "cows", "eat"]}"#,
            r#"[{"op": "move", "from": "/foo/1", "path": "/foo/3"}]"#,
            r#"{"foo": ["all", "cows", "eat", "grass"]}"#,
        ),
        // A.8: testing.
        (
            r#"{"baz": "qux", "foo": ["a", 2, "c"]}"#,
            r#"[{"op": "test", "path": "/baz", "value": "qux"},
                {"op": "test", "path": "/foo/1", "value": 2}]"#,
            r#"{"baz": "qux", "foo": ["a", 2, "c"]}"#,
        ),
        // A.10, A.11: nested values and unknown members.
        (
            r#"{"foo": "bar"}"#,
            r#"[{"op": "add", "path": "/child", "value": {"grandchild": {}}}]"#,
            r#"{"foo": "bar", "child": {"grandchild": {}}}"#,
        ),
        (
            r#"{"foo": "bar"}"#,
            r#"[{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}]"#,
            r#"{"foo": "bar", "baz": "qux"}"#,
        ),
        // A.14, A.16: escapes and the end of a list.
        (
            r#"{"/": 9, "~1": 10}"#,
            r#"[{"op": "test", "path": "/~01", "value": 10}]"#,
            r#"{"/": 9, "~1": 10}"#,
        ),
        (
            r#"{"foo": ["bar"]}"#,
            r#"[{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}]"#,
            r#"{"foo": ["bar", ["abc", "def"]]}"#,
        ),
    ] {
        assert_eq!(patched(document, patch), Ok(yaml(expected)), "{patch}");
    }
}

/// RFC 6902, appendix A.9, A.12, A.13 and A.15.
#[test]
fn fails_where_the_rfc_says() {
    for (document, patch, expected) in [
        (
            r#"{"baz": "qux"}"#,
            r#"[{"op": "test", "path": "/baz", "value": "bar"}]"#,
            "operation 1 (test /baz): the value there is `qux`, not `bar`; nothing was changed",
        ),
        (
            r#"{"foo": "bar"}"#,
            r#"[{"op": "add", "path": "/baz/bat", "value": "qux"}]"#,
            "operation 1 (add /baz/bat): there is no key `baz` in the document; nothing was changed",
        ),
        (
            r#"{"/": 9, "~1": 10}"#,
            r#"[{"op": "test", "path": "/~01", "value": "10"}]"#,
            "operation 1 (test /~01): the value there is `10`, not `'10'`; nothing was changed",
        ),
    ] {
        assert_eq!(patched(document, patch), Err(expected.to_owned()));
    }
    // A.13: a member twice is refused by the parser.
    let twice = r#"[{"op": "add", "path": "/baz", "value": "qux", "op": "remove"}]"#;
    assert!(serde_yaml::from_str::<Value>(twice).is_err());
}

const CORNERS: &[(&str, &str, &str)] = &[
    ("{}", "[]", "{}"),
    ("[]", "[{op: add, path: '', value: {a: 1}}]", "{a: 1}"),
    ("{a: 1}", "[{op: replace, path: '', value: null}]", "null"),
    ("{a: 1}", "[{op: add, path: /a, value: null}]", "{a: null}"),
    ("{'': 1}", "[{op: replace, path: /, value: 2}]", "{'': 2}"),
    ("[1, 2]", "[{op: add, path: /2, value: 3}]", "[1, 2, 3]"),
    ("[1, 2]", "[{op: add, path: /0, value: 0}]", "[0, 1, 2]"),
    (
        "{'0': 1}",
        "[{op: add, path: /01, value: 2}]",
        "{'0': 1, '01': 2}",
    ),
    ("{a: [1]}", "[{op: move, from: /a, path: /b}]", "{b: [1]}"),
    ("{a: 1}", "[{op: move, from: /a, path: /a}]", "{a: 1}"),
    ("{a: 1, b: 2}", "[{op: move, from: /a, path: /b}]", "{b: 1}"),
    (
        "{a: {b: 1}}",
        "[{op: move, from: /a/b, path: /a}]",
        "{a: 1}",
    ),
    (
        "{a: {b: 1}}",
        "[{op: copy, from: /a, path: /a/b}]",
        "{a: {b: {b: 1}}}",
    ),
    (
        "{a: {b: 1}}",
        "[{op: copy, from: '', path: /c}]",
        "{a: {b: 1}, c: {a: {b: 1}}}",
    ),
    ("{a: {b: 1}}", "[{op: move, from: /a, path: ''}]", "{b: 1}"),
    (
        "{ab: 1, a: {}}",
        "[{op: move, from: /ab, path: /a/b}]",
        "{a: {b: 1}}",
    ),
    ("{a: 1}", "[{op: test, path: /a, value: 1.0}]", "{a: 1}"),
    (
        "{a: -1.0}",
        "[{op: test, path: /a, value: -1}]",
        "{a: -1.0}",
    ),
    (
        "{a: {b: [1], c: 2}}",
        "[{op: test, path: /a, value: {c: 2.0, b: [1]}}]",
        "{a: {b: [1], c: 2}}",
    ),
    (
        "{a: null}",
        "[{op: test, path: /a, value: null}]",
        "{a: null}",
    ),
    ("{a: null}", "[{op: remove, path: /a}]", "{}"),
    // What JSON does not have.
    (
        "{m: {100: a, 50: b}}",
        "[{op: add, path: /m/100, value: c}]",
        "{m: {100: c, 50: b}}",
    ),
    (
        "{m: {100: a, 50: b}}",
        "[{op: remove, path: /m/50}]",
        "{m: {100: a}}",
    ),
    (
        "{m: {100: a}}",
        "[{op: add, path: /m/7, value: b}]",
        "{m: {100: a, '7': b}}",
    ),
    (
        "{m: !t {a: 1}, n: 1}",
        "[{op: move, from: /m, path: /n}]",
        "{n: !t {a: 1}}",
    ),
    (
        "{a: 18446744073709551615}",
        "[{op: copy, from: /a, path: /b}]",
        "{a: 18446744073709551615, b: 18446744073709551615}",
    ),
];

#[test]
fn keeps_to_the_corners_of_the_rfc() {
    for (document, patch, expected) in CORNERS {
        assert_eq!(patched(document, patch), Ok(yaml(expected)), "{patch}");
    }
}

const ERRORS: &[(&str, &str)] = &[
    (
        "[{op: add, path: /x, value: 1}, {op: remove, path: /y}]",
        "operation 2 (remove /y): there is no key `y` in the document; nothing was changed",
    ),
    (
        "[{op: replace, path: /l/2, value: 1}]",
        "operation 1 (replace /l/2): there is no element 2 in /l, which has 2",
    ),
    (
        "[{op: add, path: /l/3, value: 1}]",
        "there is no element 3 in /l, which has 2",
    ),
    (
        "[{op: add, path: /l/01, value: 1}]",
        "`01` is no number of an element",
    ),
    ("[{op: remove, path: /l/-}]", "there is no element - in /l"),
    ("[{op: remove, path: /l/2}]", "there is no element 2 in /l"),
    (
        "[{op: add, path: /a/b, value: 1}]",
        "`b` can't be looked up in /a, which is neither a mapping nor a list",
    ),
    (
        "[{op: remove, path: ''}]",
        "operation 1 (remove \"\"): the whole document can't be removed",
    ),
    (
        "[{op: move, from: /m, path: /m/k}]",
        "/m can't be moved into itself",
    ),
    (
        "[{op: move, from: '', path: /m}]",
        "\"\" can't be moved into itself",
    ),
    ("[{op: move, from: /z, path: /z}]", "no key `z`"),
    ("[{op: copy, from: /z, path: /y}]", "no key `z`"),
    ("[{op: test, path: /z, value: null}]", "no key `z`"),
    (
        "[{op: test, path: /l, value: 1}]",
        "the value there is a list of 2 elements, not `1`",
    ),
    (
        "[{op: test, path: /l/0, value: '1'}]",
        "the value there is `1`, not `'1'`",
    ),
    (
        "[{op: test, path: /big, value: 9007199254740992.0}]",
        "is `9007199254740993`",
    ),
    ("{op: add}", "a JSON Patch (RFC 6902) is a list"),
    (
        "[{op: test, path: /a, value: 1}, 7]",
        "operation 2 is no mapping",
    ),
    (
        "[{path: /a}]",
        "operation 1: `op` must be there and be a text",
    ),
    (
        "[{op: add, value: 1}]",
        "operation 1: `path` must be there and be a text",
    ),
    (
        "[{op: add, path: 1, value: 1}]",
        "operation 1: `path` must be there and be a text",
    ),
    (
        "[{op: move, path: /a}]",
        "operation 1: `from` must be there and be a text",
    ),
    (
        "[{op: add, path: /a}]",
        "operation 1: `add` needs a `value`",
    ),
    (
        "[{op: spam, path: /a}]",
        "operation 1: there is no `spam`, only add,",
    ),
    ("[{op: ADD, path: /a, value: 1}]", "there is no `ADD`"),
    (
        "[{op: add, path: a, value: 1}]",
        "operation 1: `path`: a JSON Pointer is empty or starts with `/`",
    ),
    (
        "[{op: copy, from: /~2, path: /a}]",
        "operation 1: `from`: `~` stands",
    ),
];

#[test]
fn errors_name_the_operation_and_nothing_is_changed() {
    for (patch, expected) in ERRORS {
        let error =
            patched("{a: 1, l: [1, 2], m: {k: 1}, big: 9007199254740993}", patch).unwrap_err();
        assert!(error.contains(expected), "{patch}: {error}");
    }
}

#[test]
fn long_values_are_cut_in_errors() {
    let long = "é".repeat(500);
    let error = patched(
        &format!("{{a: {long}}}"),
        "[{op: test, path: /a, value: 1}]",
    )
    .unwrap_err();
    assert!(error.len() < 300 && error.contains("é…`"), "{error}");
}

#[test]
fn copies_and_nesting_are_bounded() {
    let bomb = "[".to_owned() + &"{op: copy, from: '', path: /-},".repeat(60) + "]";
    let error = patched(&format!("[{}]", "x".repeat(1000)), &bomb).unwrap_err();
    assert!(error.contains("add more than 64 MiB"), "{error}");
    let at = |depth: usize| "/a".repeat(depth);
    let deeper = |depths: std::ops::Range<usize>| {
        let add = |depth| format!("{{op: add, path: {}, value: {{}}}},", at(depth));
        "[".to_owned() + &depths.map(add).collect::<String>() + "]"
    };
    assert!(patched("{}", &deeper(1..200)).is_ok());
    let error = patched("{}", &deeper(1..300)).unwrap_err();
    assert!(
        error.contains("operation 201 (add") && error.contains("deeper than 200 levels"),
        "{error}"
    );
    let error = patched(
        "{}",
        &format!(
            "{deep} {{op: copy, from: {from}, path: {to}}}]",
            deep = deeper(1..150).trim_end_matches(']'),
            from = at(1),
            to = at(149)
        ),
    )
    .unwrap_err();
    assert!(error.contains("deeper than 200 levels"), "{error}");
}

#[test]
fn operations_print_as_they_parse() {
    let patch = yaml(
        "[{op: test, path: /a~1b, value: 1}, {op: add, path: '', value: null},
          {op: remove, path: /a}, {op: replace, path: /a, value: {100: x}},
          {op: move, from: /a, path: /b}, {op: copy, from: /a, path: /b/-}]",
    );
    let operations = Operation::parse_all(&patch).unwrap();
    let printed: Vec<Value> = operations.iter().map(Operation::to_value).collect();
    assert_eq!(Value::from(printed), patch);
}

#[test]
fn changes_a_cluster_only_if_it_is_what_was_seen() {
    let cluster = "{spec: {subnets: [{name: a}, {name: b}], kubernetesVersion: 1.30.1}}";
    let patch = "
- {op: test, path: /spec/subnets/1/name, value: b}
- {op: add, path: /spec/subnets/1/zone, value: eu-west-1b}
- {op: replace, path: /spec/kubernetesVersion, value: 1.31.0}";
    assert_eq!(
        patched(cluster, patch),
        Ok(yaml(
            "{spec: {subnets: [{name: a}, {name: b, zone: eu-west-1b}], kubernetesVersion: 1.31.0}}"
        ))
    );
    let other = cluster.replace("name: b", "name: c");
    let error = patched(&other, patch).unwrap_err();
    assert!(error.starts_with("operation 1 (test /spec/subnets/1/name): the value there is `c`"));
}
