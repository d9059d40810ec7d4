//! Clusters whose `configBase` lies elsewhere.

use super::{assert_moved, bucket, double_with, move_all, move_on};
use crate::support::{Desk, Tree, clusters, sample};

const REGISTRY: [&str; 3] = ["config", "instancegroup/", "clusteraddons/"];

/// One cluster as `kops create cluster --config-base` makes it: what kOps reads below the state
/// store, and all else below `base`.
fn two_trees(base: &str) -> (String, Tree, Tree) {
    let tree = sample();
    let name = clusters(&tree).remove(0);
    let (mut registry, mut rest) = (Tree::new(), Tree::new());
    for (key, bytes) in tree {
        let Some(below) = key.strip_prefix(&format!("{name}/")) else {
            continue;
        };
        if below == "config" {
            let text = String::from_utf8(bytes).expect("UTF-8");
            let text: String = text
                .lines()
                .filter(|line| !line.contains("configBase:"))
                .fold(String::new(), |text, line| {
                    let added = if line == "spec:" {
                        format!("\n  configBase: {base}")
                    } else {
                        String::new()
                    };
                    text + line + &added + "\n"
                });
            registry.insert(key.clone(), text.into_bytes());
        } else if REGISTRY.iter().any(|part| below.starts_with(part)) {
            registry.insert(key.clone(), bytes);
        } else {
            rest.insert(below.to_owned(), bytes);
        }
    }
    (name, registry, rest)
}

#[test]
fn both_trees_are_moved_to_one_place() {
    let desk = Desk::new();
    let base = desk.arg("elsewhere/base");
    let (name, registry, rest) = two_trees(&base);
    desk.write_tree("old", &registry);
    desk.write_tree("elsewhere/base", &rest);
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    move_all(&desk, &from, &to, &[]).with(0);
    let mut whole = registry;
    whole.extend(
        rest.into_iter()
            .map(|(key, bytes)| (format!("{name}/{key}"), bytes)),
    );
    assert_moved(&whole, &desk.tree("new"), &to);
}

#[test]
fn stale_leftovers_beside_the_registry_lose_to_the_real_tree() {
    let desk = Desk::new();
    let base = desk.arg("elsewhere/base");
    let (name, mut registry, rest) = two_trees(&base);
    let key = format!("{name}/pki/private/kubernetes-ca/keyset.yaml");
    registry.insert(key.clone(), b"stale\n".to_vec());
    desk.write_tree("old", &registry);
    desk.write_tree("elsewhere/base", &rest);
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    move_all(&desk, &from, &to, &[]).with(0);
    assert_eq!(
        desk.tree("new")[&key],
        rest["pki/private/kubernetes-ca/keyset.yaml"]
    );
}

#[test]
fn half_a_cluster_is_refused() {
    let desk = Desk::new();
    let base = desk.arg("elsewhere/base");
    let (_, registry, _) = two_trees(&base);
    desk.write_tree("old", &registry);
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    let ended = move_all(&desk, &from, &to, &[]);
    ended.with(3).says(&base);
    assert!(desk.tree("new").is_empty());
}

#[test]
fn half_a_cluster_that_cant_be_read_is_refused() {
    let desk = Desk::new();
    let (_, registry, _) = two_trees("s3://elsewhere/base");
    let double = double_with(&registry);
    double.create_bucket("elsewhere", "us-east-1");
    double.put("elsewhere", "base/kops-version.txt", "1.33.0");
    double.deny("main", "*", "elsewhere", "");
    move_on(
        &desk,
        &double,
        "s3://old-state-store",
        "s3://new-state-store",
        &[],
    )
    .with(3)
    .says("s3://elsewhere/base");
    assert!(bucket(&double, "new-state-store").is_empty());
}

#[test]
fn a_whole_copy_of_a_store_that_is_gone_is_moved_as_it_is() {
    let desk = Desk::new();
    let name = clusters(&sample()).remove(0);
    let (_, registry, rest) = two_trees(&format!("s3://gone/{name}"));
    let mut whole = registry;
    whole.extend(
        rest.into_iter()
            .map(|(key, bytes)| (format!("{name}/{key}"), bytes)),
    );
    let double = double_with(&whole);
    move_on(
        &desk,
        &double,
        "s3://old-state-store",
        "s3://new-state-store",
        &[],
    )
    .with(0)
    .says("s3://gone");
    assert_moved(
        &whole,
        &bucket(&double, "new-state-store"),
        "s3://new-state-store",
    );
}
