use proptest::collection::vec;
use proptest::prelude::*;
use serde_yaml::Value;

use super::deep;
use super::random::{documents, nested, on_small_stack, values};
use crate::merge::lists::{Lists, Strategy};

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn print(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap()
}

#[test]
fn lays_flags_over_a_cluster() {
    let base = yaml(
        "
metadata: {name: a.example.com}
spec:
  sshAccess: [0.0.0.0/0]
  subnets:
  - {name: a, zone: eu-west-1a, cidr: 10.0.0.0/20, additionalRoutes: [{cidr: 1.0.0.0/8, target: x}]}
  - {name: b, zone: eu-west-1b}
  etcdClusters:
  - name: main
    etcdMembers: [{name: a, instanceGroup: cp-a}, {name: b, instanceGroup: cp-b}]
    manager: {env: [{name: E, value: '1'}]}
  - name: events
",
    );
    let over = yaml(
        "
spec:
  sshAccess: [10.0.0.0/8]
  sshKeyName: null
  subnets:
  - {name: c, zone: eu-west-1c}
  - {name: a, cidr: 10.1.0.0/20, additionalRoutes: [{cidr: 1.0.0.0/8, target: y}, {cidr: 2.0.0.0/8}]}
  etcdClusters:
  - name: events
    cpuRequest: 200m
  - name: main
    etcdMembers: [{name: b, volumeSize: 30}]
    manager: {env: [{name: E, value: '2'}, {name: F}]}
",
    );
    let expected = "\
metadata:
  name: a.example.com
spec:
  sshAccess:
  - 10.0.0.0/8
  subnets:
  - name: a
    zone: eu-west-1a
    cidr: 10.1.0.0/20
    additionalRoutes:
    - cidr: 1.0.0.0/8
      target: y
    - cidr: 2.0.0.0/8
  - name: b
    zone: eu-west-1b
  - name: c
    zone: eu-west-1c
  etcdClusters:
  - name: main
    etcdMembers:
    - name: a
      instanceGroup: cp-a
    - name: b
      instanceGroup: cp-b
      volumeSize: 30
    manager:
      env:
      - name: E
        value: '2'
      - name: F
  - name: events
    cpuRequest: 200m
  sshKeyName: null
";
    assert_eq!(print(&deep(&base, &over, &Lists::kops())), expected);
}

#[test]
fn merges_lists_as_told() {
    for (base, over, strategy, expected) in [
        ("[1, 2]", "[2, 3]", Strategy::Replace, "[2, 3]"),
        ("[1, 2]", "[2, 3]", Strategy::Append, "[1, 2, 2, 3]"),
        (
            "[2, 1, 2]",
            "[3, 2, 3, 1.0]",
            Strategy::Union,
            "[2, 1, 2, 3, 1.0]",
        ),
        (
            "[{a: 1, b: 2}]",
            "[{b: 2, a: 1}, {}]",
            Strategy::Union,
            "[{a: 1, b: 2}, {}]",
        ),
        ("[]", "[{name: a}]", Strategy::keyed("name"), "[{name: a}]"),
        ("[{name: a}]", "[]", Strategy::keyed("name"), "[{name: a}]"),
        (
            "[{name: 1, x: 1}, {name: '1'}]",
            "[{name: '1', x: 2}]",
            Strategy::keyed("name"),
            "[{name: 1, x: 1}, {name: '1', x: 2}]",
        ),
    ] {
        let merged = deep(&yaml(base), &yaml(over), &Lists::all(strategy));
        assert_eq!(merged, yaml(expected), "{base} {over}");
    }
}

#[test]
fn what_cannot_be_matched_is_replaced() {
    let names = "{spec: {subnets: [a, b]}}";
    let keyed = "{spec: {subnets: [{name: a, x: 1}]}}";
    let twice = "{spec: {subnets: [{name: a}, {name: a}]}}";
    let unnamed = "{spec: {subnets: [{x: 1}]}}";
    for (base, over) in [
        (names, "{spec: {subnets: [c]}}"),
        (names, keyed),
        (keyed, names),
        (twice, keyed),
        (keyed, twice),
        (unnamed, keyed),
        (keyed, unnamed),
        (keyed, "{spec: {subnets: null}}"),
        (keyed, "{spec: {subnets: {name: a}}}"),
    ] {
        let merged = deep(&yaml(base), &yaml(over), &Lists::kops());
        assert_eq!(merged, yaml(over), "{base} {over}");
    }
}

#[test]
fn many_floats_take_no_time() {
    let list = |from: u32| {
        Value::from(
            (from..from + 30_000)
                .map(|i| f64::from(i) + 0.5)
                .collect::<Vec<_>>(),
        )
    };
    let merged = deep(&list(0), &list(15_000), &Lists::all(Strategy::Union));
    assert_eq!(merged.as_sequence().unwrap().len(), 45_000);
}

#[test]
fn two_hundred_levels_are_safe() {
    on_small_stack(|| {
        let lists = Lists::all(Strategy::keyed("name"));
        let merged = deep(&nested("old".into()), &nested("new".into()), &lists);
        assert_eq!(merged, nested("new".into()));
    });
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Lists> {
    prop_oneof![
        Just(Lists::default()),
        Just(Lists::all(Strategy::Union)),
        Just(Lists::all(Strategy::keyed("name"))),
        Just(Lists::all(Strategy::keyed("name")).with("*".parse().unwrap(), Strategy::Union)),
    ]
}

proptest! {
    #[test]
    fn over_itself_nothing_changes(value in values(), lists in strategies()) {
        prop_assert_eq!(deep(&value, &value, &lists), value);
    }

    #[test]
    fn over_a_mapping_the_empty_one_changes_nothing(value in documents(), lists in strategies()) {
        prop_assert_eq!(deep(&value, &yaml("{}"), &lists), value);
    }

    #[test]
    fn laid_over_twice_is_laid_over_once(a in values(), b in values(), lists in strategies()) {
        let once = deep(&a, &b, &lists);
        prop_assert_eq!(deep(&once, &b, &lists), once);
    }

    #[test]
    fn replacing_lists_is_associative(a in documents(), b in documents(), c in documents()) {
        let lists = Lists::default();
        // Where b has no mapping but a and c have, the order matters as it must.
        let left = deep(&deep(&a, &b, &lists), &c, &lists);
        let right = deep(&a, &deep(&b, &c, &lists), &lists);
        if mapping_shapes_agree(&a, &b) && mapping_shapes_agree(&b, &c) {
            prop_assert_eq!(left, right);
        }
    }

    #[test]
    fn appending_adds_up(a in vec(values(), 0..5), b in vec(values(), 0..5)) {
        let merged = deep(&a.clone().into(), &b.clone().into(), &Lists::all(Strategy::Append));
        prop_assert_eq!(merged, Value::from([a, b].concat()));
    }
}

/// Whether no key is a mapping in one and something else in the other.
fn mapping_shapes_agree(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Mapping(a), Value::Mapping(b)) => a
            .iter()
            .all(|(key, a)| b.get(key).is_none_or(|b| mapping_shapes_agree(a, b))),
        (a, b) => ![a, b]
            .iter()
            .any(|value| matches!(value, Value::Mapping(_))),
    }
}
