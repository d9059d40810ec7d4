//! What `move_bucket` refuses, before it writes anything.

use super::{MOVE, bucket, double_with, move_all, move_on};
use crate::s3_double::{Action, Fault};
use crate::support::{Desk, Ended, Tree, clusters, sample};

/// Moves a tree between folders; gives how that ended and what is at the destination.
fn attempt(tree: &Tree, args: &[&str]) -> (Ended, Tree) {
    let desk = Desk::new();
    desk.write_tree("old", tree);
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    let mut all = vec!["run", MOVE, "--from", &from, "--to", &to, "--yes"];
    all.extend(args);
    (desk.run(&all), desk.tree("new"))
}

fn first() -> String {
    clusters(&sample()).remove(0)
}

#[test]
fn a_cluster_that_is_not_there() {
    let (ended, new) = attempt(&sample(), &["--cluster", "nobody.example.com"]);
    ended.with(3).says("nobody.example.com");
    assert!(new.is_empty());
}

#[test]
fn one_bad_cluster_stops_all_before_anything_is_written() {
    let mut tree = sample();
    let name = first();
    tree.insert(
        format!("{name}/config"),
        b"kind: Cluster\nspec: [\n".to_vec(),
    );
    let (ended, new) = attempt(&tree, &["--all-clusters"]);
    let ended = ended.with(3);
    ended.says(&format!("{name}/config"));
    ended.says("line");
    assert!(new.is_empty());
}

#[test]
fn an_empty_config() {
    let mut tree = sample();
    tree.insert(format!("{}/config", first()), Vec::new());
    let (ended, new) = attempt(&tree, &["--all-clusters"]);
    ended.with(3).says("config");
    assert!(new.is_empty());
}

#[test]
fn a_config_of_another_name() {
    let mut tree = sample();
    let name = first();
    let text = String::from_utf8(tree[&format!("{name}/config")].clone()).expect("UTF-8");
    let other = text.replace(&format!("name: {name}"), "name: other.example.com");
    assert_ne!(text, other);
    tree.insert(format!("{name}/config"), other.into_bytes());
    let (ended, new) = attempt(&tree, &["--all-clusters"]);
    ended.with(3).says("other.example.com");
    assert!(new.is_empty());
}

#[test]
fn no_cluster_named() {
    let (ended, new) = attempt(&sample(), &[]);
    assert_ne!(ended.code, Some(0));
    ended.says("--all-clusters");
    assert!(new.is_empty());
}

#[test]
fn a_flag_that_does_not_exist() {
    let (ended, new) = attempt(&sample(), &["--all-cluster"]);
    ended.with(2).says("--all-clusters");
    assert!(new.is_empty());
}

#[test]
fn places_that_are_one_or_within_each_other() {
    for (from, to) in [
        ("old", "old"),
        ("old", "old/sub"),
        ("old/sub", "old"),
        ("old", "link"),
    ] {
        let desk = Desk::new();
        desk.write_tree("old", &sample());
        desk.write_tree("old/sub", &sample());
        std::os::unix::fs::symlink(desk.path("old"), desk.path("link")).expect("a link");
        let before = desk.tree("old");
        let (from, to) = (desk.arg(from), desk.arg(to));
        let ended = move_all(&desk, &from, &to, &[]);
        ended.with(3);
        assert_eq!(desk.tree("old"), before, "{from} {to}");
    }
}

#[test]
fn another_cluster_of_the_same_name_at_the_destination() {
    let name = first();
    for touched in ["config", "pki/private/kubernetes-ca/keyset.yaml"] {
        let desk = Desk::new();
        desk.write_tree("old", &sample());
        let mut there = sample();
        let key = format!("{name}/{touched}");
        let text = String::from_utf8(there[&key].clone()).expect("UTF-8");
        let text = text.replace("\nspec:\n", "\nspec:\n  configBase: s3://elsewhere/c\n");
        there.insert(key, format!("{text}# somebody else's\n").into_bytes());
        desk.write_tree("new", &there);
        let (from, to) = (desk.arg("old"), desk.arg("new"));
        let ended = desk.run(&[
            "run",
            MOVE,
            "--from",
            &from,
            "--to",
            &to,
            "--cluster",
            &name,
            "--yes",
        ]);
        ended.with(3).says(&name);
        assert_eq!(desk.tree("new"), there, "{touched}");
    }
}

#[test]
fn nobody_to_ask_and_no_yes() {
    let desk = Desk::new();
    let to = desk.arg("new");
    let ended = desk.run(&[
        "run",
        MOVE,
        "--from",
        "examples/state",
        "--to",
        &to,
        "--all-clusters",
    ]);
    ended.with(3).says("--yes");
    assert!(desk.tree("new").is_empty());
}

#[test]
fn a_destination_that_cant_be_written() {
    let desk = Desk::new();
    let double = double_with(&sample());
    double.deny("main", "PutObject", "new-state-store", "");
    let ended = move_on(
        &desk,
        &double,
        "s3://old-state-store",
        "s3://new-state-store",
        &[],
    )
    .with(1);
    ended.says("s3:PutObject");
    ended.says("new-state-store");
    assert!(bucket(&double, "new-state-store").is_empty());
}

#[test]
fn a_bucket_that_is_not_there() {
    let desk = Desk::new();
    let double = double_with(&sample());
    for (from, to) in [
        ("s3://nobodys", "s3://new-state-store"),
        ("s3://old-state-store", "s3://nobodys"),
    ] {
        move_on(&desk, &double, from, to, &[])
            .with(1)
            .says("s3://nobodys");
    }
}

#[test]
fn a_copy_that_differs_gets_no_config() {
    let desk = Desk::new();
    desk.write_tree("old", &sample());
    let double = double_with(&Tree::new());
    double.fault(
        Fault::on("PutObject")
            .key("kops-version")
            .always()
            .then(Action::Status(500, "InternalError")),
    );
    let from = desk.arg("old");
    let ended = move_on(
        &desk,
        &double,
        &from,
        "s3://new-state-store?max_attempts=2",
        &[],
    );
    assert_ne!(ended.code, Some(0));
    let there = bucket(&double, "new-state-store");
    assert!(clusters(&there).is_empty(), "{:?}", there.keys());
}

#[test]
fn an_instance_group_that_only_the_unfinished_copy_has() {
    let desk = Desk::new();
    let tree = sample();
    let name = first();
    desk.write_tree("old", &tree);
    let mut part = tree.clone();
    part.retain(|key, _| key.starts_with(&format!("{name}/")) && !key.ends_with("/config"));
    part.insert(format!("{name}/instancegroup/gone"), b"x\n".to_vec());
    desk.write_tree("new", &part);
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    let args = [
        "run",
        MOVE,
        "--from",
        &from,
        "--to",
        &to,
        "--yes",
        "--cluster",
        &name,
    ];
    desk.run(&args).with(3).says("instancegroup/gone");
    assert!(!desk.tree("new").contains_key(&format!("{name}/config")));
}

#[test]
fn an_unfinished_copy_with_keys_that_the_source_has_not() {
    let desk = Desk::new();
    let name = first();
    desk.write_tree("old", &sample());
    desk.write(&format!("new/{name}/pki/private/ca/1.key"), "x");
    let before = desk.tree("new");
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    let args = [
        "run",
        MOVE,
        "--from",
        &from,
        "--to",
        &to,
        "--yes",
        "--cluster",
        &name,
    ];
    desk.run(&args).with(3).says("another cluster");
    assert_eq!(desk.tree("new"), before);
}

#[test]
fn files_that_lie_at_the_destination_already() {
    let desk = Desk::new();
    let name = first();
    desk.write_tree("old", &sample());
    std::fs::create_dir_all(desk.path(&format!("new/{name}"))).expect("a folder");
    std::os::unix::fs::symlink(desk.path("new"), desk.path("link")).expect("a link");
    desk.write(&format!("new/{name}/kops-version.txt"), "1.33.0");
    let config = format!("old/{name}/config");
    let base = format!("spec:\n  configBase: {}/{name}", desk.arg("link"));
    let text = desk.read(&config);
    let lines = text.lines().filter(|line| !line.contains("configBase:"));
    let text = lines.fold(String::new(), |text, line| text + line + "\n");
    desk.write(&config, text.replacen("spec:", &base, 1));
    let before = desk.tree("new");
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    let args = [
        "run",
        MOVE,
        "--from",
        &from,
        "--to",
        &to,
        "--yes",
        "--cluster",
        &name,
    ];
    desk.run(&args)
        .with(3)
        .says("not apart from the destination");
    assert_eq!(desk.tree("new"), before);
}

#[test]
fn a_name_that_is_no_key_stops_all_before_anything_is_written() {
    let desk = Desk::new();
    desk.write_tree("old", &sample());
    let last = clusters(&sample()).pop().expect("a cluster");
    let link = desk.path(&format!("old/{last}/pki/link"));
    std::os::unix::fs::symlink("nowhere", link).expect("a link");
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    let args = [
        "run",
        MOVE,
        "--from",
        &from,
        "--to",
        &to,
        "--yes",
        "--all-clusters",
    ];
    desk.run(&args).with(3).says("pki/link");
    assert!(desk.tree("new").is_empty());
}

#[test]
fn a_configuration_that_cannot_be_rewritten_is_told_after_what_comes_next() {
    let desk = Desk::new();
    desk.write_tree("old", &sample());
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    desk.write(
        "settings/config",
        format!("kops_state_store: &b {from}\nx: *b\n"),
    );
    let file = desk.arg("settings/config");
    let args = [
        "--config",
        &file,
        "run",
        MOVE,
        "--to",
        &to,
        "--yes",
        "--all-clusters",
        "--update-config",
    ];
    let ended = desk.run(&args).with(1);
    ended.says("by hand");
    ended.says("Nothing comes next");
    assert!(!desk.tree("new").is_empty());
}
