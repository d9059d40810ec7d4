use proptest::prelude::*;
use serde_yaml::Value;

use super::*;

fn value(text: &str) -> Value {
    serde_yaml::from_str(text).expect("YAML")
}

const CLUSTER: &str = "
metadata:
  labels: {kops.k8s.io/cluster: c}
spec:
  etcdClusters:
  - name: main
    members: [{name: a}, {name: b}]
  - name: events
    members: [{name: c}]
  ports: [{port: 80}, {port: 443}]
  empty:
  weights: {100: a}
";

fn resolve(text: &str) -> String {
    let selector: Selector = match text.parse() {
        Ok(selector) => selector,
        Err(error) => return error.to_string(),
    };
    match selector.resolve(&value(CLUSTER)) {
        Ok(paths) => paths
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn chooses_what_is_there_and_what_can_be_made() {
    for (text, expected) in [
        ("spec.etcdClusters[0].name", "spec.etcdClusters[0].name"),
        ("spec.etcdClusters[2]", "spec.etcdClusters[2]"),
        ("spec.etcdClusters[+].name", "spec.etcdClusters[2].name"),
        (
            "spec.etcdClusters[*].name",
            "spec.etcdClusters[0].name spec.etcdClusters[1].name",
        ),
        ("spec.etcdClusters[name=events].x", "spec.etcdClusters[1].x"),
        (
            "spec.etcdClusters[*].members[+]",
            "spec.etcdClusters[0].members[2] spec.etcdClusters[1].members[1]",
        ),
        ("spec.ports[port=443].port", "spec.ports[1].port"),
        ("spec.ports[\"port\"='443']", "spec.ports[1]"),
        ("spec.new.a.b", "spec.new.a.b"),
        ("spec.empty[0]", "spec.empty[0]"),
        ("spec.empty[+].a", "spec.empty[0].a"),
        ("spec.empty[*].a", ""),
        ("spec.weights.100", "spec.weights.100"),
        (
            "metadata.labels.\"kops.k8s.io/cluster\"",
            "metadata.labels[\"kops.k8s.io/cluster\"]",
        ),
        ("['metadata']['labels']", "metadata.labels"),
        (".", "."),
    ] {
        assert_eq!(resolve(text), expected, "{text}");
    }
    let existing = |text: &str| {
        let selector: Selector = text.parse().expect("a selector");
        selector.existing(&value(CLUSTER)).expect("paths").len()
    };
    assert_eq!(existing("spec.etcdClusters[*].name"), 2);
    assert_eq!(existing("spec.etcdClusters[+]"), 0);
    assert_eq!(existing("spec.weights.100"), 1);
    assert_eq!(existing("spec.new"), 0);
}

#[test]
fn finds_what_is_there_and_passes_over_what_leads_nowhere() {
    let found = |text: &str, path: &str| {
        let selector: Selector = path.parse().expect("a selector");
        let value = value(text);
        let found = selector.find(&value).into_iter();
        let found: Vec<_> = found.map(|(path, _)| path.to_string()).collect();
        found.join(" ")
    };
    let text = "{a: [{b: [{n: x}, {n: y}]}, {b: 1}, {c: []}, 1, {b: [{n: y}]}], s: text, 1: n}";
    for (path, expected) in [
        (".", "."),
        ("a[*].b[n=y]", "a[0].b[1] a[4].b[0]"),
        ("a[*].b[n=x].n", "a[0].b[0].n"),
        ("a[n=z].b", ""),
        ("a[7]", ""),
        ("a[+]", ""),
        ("s.t[0]", ""),
        ("none.at.all", ""),
        ("1", "1"),
    ] {
        assert_eq!(found(text, path), expected, "{path}");
    }
}

#[test]
fn what_was_found_is_taken_out() {
    for (text, path, expected) in [
        ("[1, 2, 3]", "[*]", "[]"),
        ("[{n: a}, {n: b}, {n: a}, 7]", "[n=a]", "[{n: b}, 7]"),
        (
            "{a: [{x: 1, y: 2}, 3, {x: 4}]}",
            "a[*].x",
            "{a: [{y: 2}, 3, {}]}",
        ),
        (
            "[{l: [{n: a}, {n: b}]}, {l: [{n: b}, {n: b}, {n: c}]}]",
            "[*].l[n=b]",
            "[{l: [{n: a}]}, {l: [{n: c}]}]",
        ),
        ("!t {a: !t [1, 2], 1: x}", "a[1]", "!t {a: !t [1], 1: x}"),
        ("{1: x, b: y}", "1", "{b: y}"),
        ("{a: 1}", ".", "{a: 1}"),
    ] {
        let selector: Selector = path.parse().expect("a selector");
        let mut left = value(text);
        let found = selector.find(&left).into_iter();
        let paths: Vec<Path> = found.map(|(path, _)| path).collect();
        Path::take_all(&paths, &mut left);
        assert_eq!(left, value(expected), "{text} {path}");
    }
}

#[test]
fn says_what_is_wrong_and_where() {
    for (text, expected) in [
        ("", "column 1 of the path \"\": a key was expected"),
        ("a..b", "column 3 of the path \"a..b\": a key was expected"),
        ("ü[x", "column 3 of the path \"ü[x\": an index, '+', '*'"),
        ("a[0", "column 4 of the path \"a[0\": ']' was expected"),
        ("a[-1]", "column 3 of the path \"a[-1]\": an index"),
        ("a[name]", "column 3 of the path \"a[name]\": an index"),
        ("a[99999999999999999999999]", "column 3"),
        (
            "a.\"b",
            "column 5 of the path \"a.\\\"b\": a closing \" was expected",
        ),
        ("a.\"\\n\"", "was expected after '\\'"),
        (
            "a b",
            "column 2 of the path \"a b\": '.' or '[' was expected",
        ),
        ("a.", "column 3 of the path \"a.\": a key was expected"),
        (
            "spec.etcdClusters[3]",
            "spec.etcdClusters: has no element [3]: the list has 2 elements",
        ),
        (
            "spec.empty[1]",
            "spec.empty: has no element [1]: the list has no elements",
        ),
        (
            "spec.etcdClusters[name=x]",
            "no element has name=x; there is main, events",
        ),
        (
            "spec.etcdClusters[role=x]",
            "no element has role=x; none has a field role",
        ),
        (
            "spec.etcdClusters.name",
            "spec.etcdClusters: has no key name: it is a list",
        ),
        (
            "spec.weights[0]",
            "spec.weights: is no list: it is a mapping",
        ),
        (
            "spec.etcdClusters[0].name.x",
            "has no key x: it is a string",
        ),
    ] {
        let said = resolve(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
    let long = "a".repeat(5000).parse::<Selector>().expect_err("too long");
    assert!(
        long.to_string().contains("at most 4096"),
        "{}",
        long.to_string().len()
    );
}

proptest! {
    #[test]
    fn what_is_read_prints_as_what_reads_the_same(
        text in "(a|b-c|/|\\.|\\[|\\]|\\[0\\]|\\[\\+\\]|\\[\\*\\]|\"|'|\\\\|\\\\\"|=| |\\[a=b\\]|\u{e9}|1){0,12}",
    ) {
        if let Ok(selector) = text.parse::<Selector>() {
            let printed = selector.to_string();
            prop_assert_eq!(printed.parse::<Selector>(), Ok(selector), "{}", printed);
        }
    }

    #[test]
    fn a_path_prints_as_what_chooses_it(keys in prop::collection::vec("[a.\"'\\\\ =\\[\\]\n1+*]{0,5}", 0..4)) {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let path = Path::keys(&keys).then(Step::Index(0));
        let selector: Selector = path.to_string().parse().expect("a selector");
        prop_assert_eq!(selector.resolve(&Value::Null), Ok(vec![path]));
    }
}

#[test]
fn the_same_choices_lead_to_another_field() {
    let selector: Selector = "spec.networking.subnets[name=a].routes[+].\"x.y\""
        .parse()
        .unwrap();
    let field = selector.field();
    assert_eq!(
        field.to_string(),
        "spec.networking.subnets[0].routes[0][\"x.y\"]"
    );
    let other = Path(vec![
        Step::Key("spec".to_owned()),
        Step::Key("subnets".to_owned()),
        Step::Index(0),
        Step::Key("way".to_owned()),
        Step::Index(0),
    ]);
    assert_eq!(
        selector.along(&other).to_string(),
        "spec.subnets[name=a].way[+]"
    );
}
