use proptest::prelude::*;
use serde_yaml::Value;

use super::{Conflict, Resolution, three_way, three_way_with};
use crate::merge::deep::random::{edits, nested, on_small_stack, values};
use crate::merge::lists::{Lists, Strategy};

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// Merges by kOps's keys, or by `name` everywhere when there is no `spec`.
fn merged(base: &str, ours: &str, theirs: &str) -> (Value, Vec<String>) {
    let lists = if base.contains("spec") {
        Lists::kops()
    } else {
        Lists::all(Strategy::keyed("name"))
    };
    let (value, conflicts) = three_way(&yaml(base), &yaml(ours), &yaml(theirs), &lists);
    let paths = conflicts.iter().map(|conflict| conflict.path.to_string());
    (value, paths.collect())
}

const MERGES: &[(&str, &str, &str, &str)] = &[
    (
        "{a: 1, b: 1}",
        "{a: 2, b: 1}",
        "{a: 1, b: 2}",
        "{a: 2, b: 2}",
    ),
    ("{a: 1, b: 1}", "{b: 1}", "{a: 1}", "{}"),
    (
        "{a: 1}",
        "{a: 1, b: 1}",
        "{a: 1, c: 1}",
        "{a: 1, b: 1, c: 1}",
    ),
    ("{}", "{m: {a: 1}}", "{m: {b: 1}}", "{m: {a: 1, b: 1}}"),
    (
        "{a: 1}",
        "{a: 2, b: 1}",
        "{a: 2, c: 1}",
        "{a: 2, b: 1, c: 1}",
    ),
    ("{a: 1, b: 1}", "{b: 2}", "{b: 1}", "{b: 2}"),
    ("{a: null}", "{}", "{a: null, b: 1}", "{b: 1}"),
    ("{100: a, 50: b}", "{100: c, 50: b}", "{100: a}", "{100: c}"),
    (
        "{100: a, '100': b}",
        "{100: c, '100': b}",
        "{100: a, '100': d}",
        "{100: c, '100': d}",
    ),
    // Lists of scalars.
    (
        "{l: [a, b]}",
        "{l: [a, b, c]}",
        "{l: [b, d]}",
        "{l: [b, c, d]}",
    ),
    (
        "{l: [a, b]}",
        "{l: [b, c]}",
        "{l: [b, c, a]}",
        "{l: [b, c]}",
    ),
    (
        "{l: [a, b, c]}",
        "{l: [a, b, c, d]}",
        "{l: [c, b, a]}",
        "{l: [c, b, a, d]}",
    ),
    (
        "{l: [a, b, c]}",
        "{l: [b, a, c]}",
        "{l: [c, b, a, d]}",
        "{l: [b, a, c, d]}",
    ),
    ("{}", "{l: [a, b]}", "{l: [c, a]}", "{l: [a, b, c]}"),
    // Lists by key.
    (
        "[{name: a, x: 1}, {name: b, x: 1}]",
        "[{name: a, x: 2}, {name: b, x: 1}, {name: c}]",
        "[{name: d}, {name: b, x: 1, y: 1}, {name: a, x: 1}]",
        "[{name: d}, {name: b, x: 1, y: 1}, {name: a, x: 2}, {name: c}]",
    ),
    (
        "[{name: a}, {name: b}]",
        "[{name: b}]",
        "[{name: a}, {name: b}, {name: c}]",
        "[{name: b}, {name: c}]",
    ),
    // All other lists, when one side changed them.
    (
        "{k: 1, l: [{x: 1}]}",
        "{k: 2, l: [{x: 1}]}",
        "{k: 1, l: [{x: 2}]}",
        "{k: 2, l: [{x: 2}]}",
    ),
    (
        "{k: 1, l: [a, a]}",
        "{k: 2, l: [a, a]}",
        "{k: 1, l: [a]}",
        "{k: 2, l: [a]}",
    ),
];

#[test]
fn takes_what_one_side_changed() {
    for (base, ours, theirs, expected) in MERGES {
        let (value, conflicts) = merged(base, ours, theirs);
        assert_eq!(value, yaml(expected), "{base} {ours} {theirs}");
        assert!(conflicts.is_empty(), "{conflicts:?}");
    }
}

#[test]
fn what_both_changed_is_a_conflict_and_stays_ours() {
    for (base, ours, theirs, expected, path) in [
        ("{a: 1}", "{a: 2}", "{a: 3}", "{a: 2}", "a"),
        ("{}", "{a: 2}", "{a: 3}", "{a: 2}", "a"),
        ("{a: 1}", "{}", "{a: 3}", "{}", "a"),
        ("{a: 1}", "{a: 2}", "{}", "{a: 2}", "a"),
        ("{a: {b: 1}}", "{}", "{a: {b: 2}}", "{}", "a"),
        ("{a: {b: 1}}", "{a: {b: 2}}", "{a: 1}", "{a: {b: 2}}", "a"),
        ("{a: 1}", "{a: {b: 1}}", "{a: {c: 1}}", "{a: {b: 1}}", "a"),
        ("{a: 1}", "{a: null}", "{a: 2}", "{a: null}", "a"),
        ("{a: 1}", "{a: null}", "{}", "{a: null}", "a"),
        ("{a: !t 1}", "{a: !t 2}", "{a: !t 3}", "{a: !t 2}", "a"),
        (
            "{a: {100: 1}}",
            "{a: {100: 2}}",
            "{a: {100: 3}}",
            "{a: {100: 2}}",
            "a.100",
        ),
        (
            "{l: [a, a]}",
            "{l: [a, a, b]}",
            "{l: [a]}",
            "{l: [a, a, b]}",
            "l",
        ),
        (
            "{l: [[1]]}",
            "{l: [[2]]}",
            "{l: [[1], [3]]}",
            "{l: [[2]]}",
            "l",
        ),
        ("{l: a}", "{l: [a]}", "{l: [b]}", "{l: [a]}", "l"),
        ("1", "2", "3", "2", "."),
        (
            "[{name: a, x: 1}]",
            "[{name: z}, {name: a, x: 2}]",
            "[{name: a, x: 3}]",
            "[{name: z}, {name: a, x: 2}]",
            "a.x",
        ),
        ("[{name: a, x: 1}]", "[]", "[{name: a, x: 3}]", "[]", "a"),
        (
            "[{name: a}]",
            "[{name: a, x: 1}]",
            "[{name: a}, {name: a}]",
            "[{name: a, x: 1}]",
            ".",
        ),
    ] {
        let (value, conflicts) = merged(base, ours, theirs);
        assert_eq!(value, yaml(expected), "{base} {ours} {theirs}");
        assert_eq!(conflicts, [path], "{base} {ours} {theirs}");
    }
}

const BASE: &str = "
spec:
  kubernetesVersion: 1.30.1
  sshAccess: [0.0.0.0/0]
  subnets:
  - {cidr: 10.0.0.0/20, name: a, zone: x}
  - {cidr: 10.1.0.0/20, name: b, zone: y}
  etcdClusters:
  - etcdMembers: [{instanceGroup: cp-a, name: a}]
    name: main
";
const OURS: &str = "
spec:
  kubernetesVersion: 1.31.0
  sshAccess: [10.0.0.0/8]
  subnets:
  - {cidr: 10.0.0.0/20, name: a, zone: x, id: s-1}
  etcdClusters:
  - etcdMembers: [{instanceGroup: cp-a, name: a, volumeSize: 30}]
    name: main
";
const THEIRS: &str = "
spec:
  kubernetesVersion: 1.30.4
  sshAccess: [0.0.0.0/0, 192.168.0.0/16]
  subnets:
  - {cidr: 10.2.0.0/20, name: c, zone: z}
  - {cidr: 10.0.0.0/21, name: a, zone: x}
  - {cidr: 10.9.0.0/20, name: b, zone: y}
  etcdClusters:
  - cpuRequest: 200m
    etcdMembers: [{instanceGroup: cp-a, name: a}, {instanceGroup: cp-b, name: b}]
    name: main
";

#[test]
fn merges_a_cluster() {
    let (value, conflicts) = merged(BASE, OURS, THEIRS);
    let expected = "\
spec:
  kubernetesVersion: 1.31.0
  sshAccess:
  - 10.0.0.0/8
  - 192.168.0.0/16
  subnets:
  - cidr: 10.0.0.0/21
    name: a
    zone: x
    id: s-1
  - cidr: 10.2.0.0/20
    name: c
    zone: z
  etcdClusters:
  - cpuRequest: 200m
    etcdMembers:
    - instanceGroup: cp-a
      name: a
      volumeSize: 30
    - instanceGroup: cp-b
      name: b
    name: main
";
    assert_eq!(serde_yaml::to_string(&value).unwrap(), expected);
    assert_eq!(conflicts, ["spec.kubernetesVersion", "spec.subnets.b"]);
}

#[test]
fn additions_stand_where_kops_sorts_them() {
    for (ours, expected) in [
        ("{a: 1, c: 1, e: 2}", "a: 1\nb: 1\nc: 1\nd: 1\ne: 2\n"),
        ("{e: 2, a: 1, c: 1}", "e: 2\na: 1\nc: 1\nd: 1\nb: 1\n"),
    ] {
        let (value, _) = merged("{a: 1, c: 1, e: 1}", ours, "{d: 1, b: 1, a: 1, c: 1, e: 1}");
        assert_eq!(serde_yaml::to_string(&value).unwrap(), expected);
    }
}

fn resolved(
    resolve: impl FnMut(&Conflict) -> Result<Resolution, String>,
) -> Result<(Value, usize), String> {
    let (base, ours, theirs) = (yaml(BASE), yaml(OURS), yaml(THEIRS));
    three_way_with(&base, &ours, &theirs, &Lists::kops(), resolve)
        .map(|(value, conflicts)| (value, conflicts.len()))
}

#[test]
fn conflicts_are_resolved_as_told() {
    let (value, open) = resolved(|conflict| {
        Ok(
            match (&conflict.theirs, conflict.path.to_string().as_str()) {
                (Some(theirs), "spec.subnets.b") => {
                    assert_eq!(conflict.ours, None);
                    Resolution::Set(theirs.clone())
                }
                (_, "spec.kubernetesVersion") => Resolution::Remove,
                other => panic!("{other:?}"),
            },
        )
    })
    .unwrap();
    assert_eq!(open, 0);
    assert_eq!(value["spec"].get("kubernetesVersion"), None);
    let subnets = value["spec"]["subnets"].as_sequence().unwrap();
    let names: Vec<_> = subnets
        .iter()
        .map(|subnet| subnet["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "c", "b"]);
}

#[test]
fn one_conflict_can_be_left_open() {
    let (value, open) = resolved(|conflict| {
        let is_version = conflict.path.to_string().ends_with("Version");
        Ok(if is_version {
            Resolution::Set("1.32.0".into())
        } else {
            Resolution::Open
        })
    })
    .unwrap();
    assert_eq!(open, 1);
    assert_eq!(value["spec"]["kubernetesVersion"], "1.32.0");
}

#[test]
fn a_failing_resolver_stops_the_merge() {
    let mut calls = 0;
    let failed = resolved(|conflict| {
        calls += 1;
        Err(format!("no idea about {}", conflict.path))
    });
    assert_eq!(
        failed,
        Err("no idea about spec.kubernetesVersion".to_owned())
    );
    assert_eq!(calls, 1);
}

#[test]
fn two_hundred_levels_are_safe() {
    on_small_stack(|| {
        let of = |text| nested(yaml(text));
        let lists = Lists::all(Strategy::keyed("name"));
        let (base, ours, theirs) = (of("{a: 1, b: 1}"), of("{a: 2, b: 1}"), of("{a: 1, b: 2}"));
        let merged = three_way(&base, &ours, &theirs, &lists);
        assert_eq!(merged, (of("{a: 2, b: 2}"), vec![]));
    });
}

fn lists() -> impl proptest::strategy::Strategy<Value = Lists> {
    prop_oneof![
        Just(Lists::default()),
        Just(Lists::all(Strategy::keyed("name")))
    ]
}

/// The conflicts as seen from the other side, in any order.
fn as_set(conflicts: Vec<Conflict>, is_swapped: bool) -> Vec<String> {
    let swapped = conflicts.into_iter().map(|conflict| {
        let Conflict {
            path,
            base,
            ours,
            theirs,
        } = conflict;
        let (left, right) = if is_swapped {
            (theirs, ours)
        } else {
            (ours, theirs)
        };
        format!("{path} {base:?} {left:?} {right:?}")
    });
    let mut swapped: Vec<_> = swapped.collect();
    swapped.sort();
    swapped
}

/// The value with all lists sorted.
fn sorted(value: Value) -> Value {
    match value {
        Value::Sequence(list) => {
            let mut list: Vec<_> = list.into_iter().map(sorted).collect();
            list.sort_by_key(|element| format!("{element:?}"));
            list.into()
        }
        Value::Mapping(mapping) => {
            let entries = mapping.into_iter().map(|(key, value)| (key, sorted(value)));
            let mut entries: Vec<_> = entries.collect();
            entries.sort_by_key(|(key, _)| format!("{key:?}"));
            Value::Mapping(entries.into_iter().collect())
        }
        scalar => scalar,
    }
}

proptest! {
    #[test]
    fn one_side_alone_wins(base in values(), x in values(), lists in lists()) {
        prop_assert_eq!(three_way(&base, &base, &x, &lists), (x.clone(), vec![]));
        prop_assert_eq!(three_way(&base, &x, &base, &lists), (x.clone(), vec![]));
        prop_assert_eq!(three_way(&base, &x, &x, &lists), (x, vec![]));
    }

    #[test]
    fn both_sides_see_the_same_conflicts((base, sides) in edits(2), lists in lists()) {
        let (value, conflicts) = three_way(&base, &sides[0], &sides[1], &lists);
        let (other, seen) = three_way(&base, &sides[1], &sides[0], &lists);
        if conflicts.is_empty() {
            prop_assert_eq!(sorted(value), sorted(other));
        }
        prop_assert_eq!(as_set(conflicts, false), as_set(seen, true));
    }

    #[test]
    fn both_sides_see_the_same_conflicts_of_any_values(
        base in values(), ours in values(), theirs in values(), lists in lists(),
    ) {
        let (_, conflicts) = three_way(&base, &ours, &theirs, &lists);
        let (_, seen) = three_way(&base, &theirs, &ours, &lists);
        prop_assert_eq!(as_set(conflicts, false), as_set(seen, true));
    }

    #[test]
    fn changes_of_different_keys_are_both_kept(a in values(), b in values(), c in values()) {
        let of = |left: &Value, right: &Value| {
            let entries = [("l".into(), left.clone()), ("r".into(), right.clone())];
            Value::Mapping(entries.into_iter().collect())
        };
        let merged = three_way(&of(&a, &b), &of(&c, &b), &of(&a, &c), &Lists::kops());
        prop_assert_eq!(merged, (of(&c, &c), vec![]));
    }

    #[test]
    fn taking_theirs_in_every_conflict_is_merging_the_other_way(
        (base, sides) in edits(2), lists in lists(),
    ) {
        let theirs = |conflict: &Conflict| {
            let theirs = conflict.theirs.clone();
            Ok::<_, ()>(theirs.map_or(Resolution::Remove, Resolution::Set))
        };
        let (value, open) = three_way_with(&base, &sides[0], &sides[1], &lists, theirs).unwrap();
        let (other, _) = three_way(&base, &sides[1], &sides[0], &lists);
        prop_assert_eq!(open, vec![]);
        prop_assert_eq!(sorted(value), sorted(other));
    }
}
