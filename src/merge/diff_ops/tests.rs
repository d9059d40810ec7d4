use proptest::prelude::*;
use serde_yaml::Value;

use super::diff_ops;
use crate::merge::deep::random::{edits, nested, on_small_stack, values};
use crate::merge::diff::diff;
use crate::merge::json_patch::{Operation, json_patch};
use crate::merge::patch::patch;

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// As `op path value`, one per line.
fn shown(operations: &[Operation]) -> Vec<String> {
    let words = operations.iter().map(|operation| {
        let value = match operation {
            Operation::Add { value, .. } | Operation::Replace { value, .. } => {
                format!(" {}", serde_yaml::to_string(value).unwrap().trim_end())
            }
            _ => String::new(),
        };
        format!("{} {}{value}", operation.name(), operation.path())
    });
    words.collect()
}

#[test]
fn tells_what_changed() {
    for (from, to, expected) in [
        ("{a: 1, b: 2}", "{b: 2, a: 1}", &[][..]),
        (
            "{a: 1, b: 2, c: 3}",
            "{b: 4, c: 3, d: null}",
            &["remove /a", "replace /b 4", "add /d null"],
        ),
        (
            "{a: [1, 2, 3, 4]}",
            "{a: [1, 3, 4, 5]}",
            &["add /a/4 5", "remove /a/1"],
        ),
        ("[1, 2, 3]", "[3]", &["remove /1", "remove /0"]),
        ("[]", "[1, 2]", &["add /0 1", "add /1 2"]),
        ("{x: 1}", "!t {x: 1}", &["replace  !t\nx: 1"]),
        ("[1, 2, 3, 4]", "[5]", &["replace  - 5"]),
        (
            "[0, 9, 8, 7]",
            "[0, 1, 2, 9, 8, 7]",
            &["add /1 1", "add /2 2"],
        ),
        ("{100: 1, x: 1}", "{100: 2, x: 1}", &["replace /100 2"]),
        ("{100: 1, x: 1}", "{x: 1}", &["remove /100"]),
        ("{x: 1}", "{100: 1, x: 1}", &["replace  100: 1\nx: 1"]),
        (
            "{100: 1, x: 1}",
            "{'100': 1, x: 1}",
            &["replace  '100': 1\nx: 1"],
        ),
        (
            "{'100': 1, 100: 2, x: 1}",
            "{100: 2, x: 1}",
            &["replace  100: 2\nx: 1"],
        ),
        (
            "{'100': 1, 100: 2, x: 1}",
            "{'100': 3, 100: 2, x: 1}",
            &["replace /100 3"],
        ),
        (
            "{a: {x: 1, y: 2, z: 3}}",
            "{a: {u: 4}}",
            &["replace /a u: 4"],
        ),
        (
            "{a/b: {~: 1, k: 2}}",
            "{a/b: {~: 1, k: 3}}",
            &["replace /a~1b/k 3"],
        ),
        ("{a: !t 1}", "{a: !u 1}", &["replace /a !u 1"]),
        ("1", "2", &["replace  2"]),
    ] {
        let (from, to) = (yaml(from), yaml(to));
        let operations = diff_ops(&from, &to);
        assert_eq!(shown(&operations), expected, "{from:?} {to:?}");
        assert_eq!(json_patch(&from, &operations).unwrap(), to);
    }
}

#[test]
fn tells_which_element_of_a_cluster_changed() {
    let from = yaml(
        "spec: {subnets: [{name: a, zone: x, cidr: 10.0.0.0/20, type: Public},
                          {name: b, zone: y, cidr: 10.1.0.0/20, type: Public}],
                etcdClusters: [{name: main, etcdMembers: [{name: a}, {name: b}]}, {name: events}]}",
    );
    let to = yaml(
        "spec: {subnets: [{name: a, zone: x, cidr: 10.0.0.0/20, type: Private, id: s-1},
                          {name: b, zone: y, cidr: 10.1.0.0/20, type: Public},
                          {name: c, zone: z}],
                etcdClusters: [{name: main, etcdMembers: [{name: b}]}, {name: events}]}",
    );
    let operations = diff_ops(&from, &to);
    assert_eq!(
        shown(&operations),
        [
            "add /spec/subnets/2 name: c\nzone: z",
            "replace /spec/subnets/0/type Private",
            "add /spec/subnets/0/id s-1",
            "remove /spec/etcdClusters/0/etcdMembers/0",
        ]
    );
    assert_eq!(json_patch(&from, &operations).unwrap(), to);
}

#[test]
fn two_hundred_levels_are_safe() {
    on_small_stack(|| {
        let (from, to) = (nested(1.into()), nested(2.into()));
        let operations = diff_ops(&from, &to);
        assert_eq!(operations.len(), 1);
        assert_eq!(operations[0].path().tokens().len(), 200);
        assert_eq!(json_patch(&from, &operations), Ok(to.clone()));
        let merge_patch = diff(&from, &to).unwrap();
        assert_eq!(patch(&from, &merge_patch), to);
    });
}

#[test]
fn long_lists_take_no_time() {
    let list = |step: u64| {
        Value::from(
            (0..30_000u64)
                .map(|i| i * step % 30_011)
                .collect::<Vec<_>>(),
        )
    };
    let (from, to) = (list(7), list(1234));
    let start = std::time::Instant::now();
    let operations = diff_ops(&from, &to);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert_eq!(json_patch(&from, &operations).unwrap(), to);
}

proptest! {
    #[test]
    fn patching_with_the_difference_makes_the_other(a in values(), b in values()) {
        prop_assert_eq!(json_patch(&a, &diff_ops(&a, &b)), Ok(b));
    }

    #[test]
    fn so_it_does_after_edits((a, edited) in edits(1)) {
        let operations = diff_ops(&a, &edited[0]);
        prop_assert_eq!(json_patch(&a, &operations), Ok(edited[0].clone()));
    }

    #[test]
    fn so_it_does_for_lists(
        a in proptest::collection::vec(0u8..4, 0..12),
        b in proptest::collection::vec(0u8..4, 0..12),
    ) {
        let (a, b) = (Value::from(a), Value::from(b));
        prop_assert_eq!(json_patch(&a, &diff_ops(&a, &b)), Ok(b));
    }

    #[test]
    fn nothing_is_said_of_equal_values(a in values()) {
        prop_assert_eq!(diff_ops(&a, &a), vec![]);
    }

    #[test]
    fn it_takes_no_more_than_saying_all_anew(a in values(), b in values()) {
        let cost: usize = diff_ops(&a, &b)
            .iter()
            .map(|operation| match operation {
                Operation::Add { value, .. } | Operation::Replace { value, .. } => super::cost_of(value),
                _ => 1,
            })
            .sum();
        prop_assert!(cost <= super::cost_of(&b));
    }
}
