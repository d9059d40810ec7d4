//! `retire_bucket`: what it refuses, and what it deletes.

use super::{MOVE, RETIRE};
use crate::support::{Desk, Ended, Tree, clusters, sample};

/// The sample, moved; its `configBase` named the old folder before.
fn moved() -> (Desk, String) {
    let desk = Desk::new();
    let old = desk.arg("old");
    let mut tree = sample();
    for bytes in tree.values_mut() {
        if let Ok(text) = String::from_utf8(bytes.clone()) {
            *bytes = text.replace("s3://sample-state-store", &old).into_bytes();
        }
    }
    let name = clusters(&tree).remove(0);
    tree.retain(|key, _| key.starts_with(&format!("{name}/")));
    desk.write_tree("old", &tree);
    desk.write(
        &format!("old/{name}/cluster-completed.spec"),
        format!("spec:\n  configBase: {old}/{name}\n"),
    );
    let new = desk.arg("new");
    desk.run(&[
        "run",
        MOVE,
        "--from",
        &old,
        "--to",
        &new,
        "--all-clusters",
        "--yes",
    ])
    .with(0);
    (desk, name)
}

/// What `kops update cluster` does to the files at the new place.
fn update(desk: &Desk) {
    let (old, new) = (desk.arg("old"), desk.arg("new"));
    for (key, bytes) in desk.tree("new") {
        if let Ok(text) = String::from_utf8(bytes) {
            desk.write(&format!("new/{key}"), text.replace(&old, &new));
        }
    }
}

fn retire(desk: &Desk, more: &[&str]) -> Ended {
    let (old, new) = (desk.arg("old"), desk.arg("new"));
    let mut args = vec![
        "run",
        RETIRE,
        "--from",
        &old,
        "--to",
        &new,
        "--all-clusters",
    ];
    args.extend(more);
    desk.run(&args)
}

#[test]
fn refuses_before_kops_update_and_names_the_files() {
    let (desk, name) = moved();
    let before = desk.tree("old");
    let ended = retire(&desk, &["--yes"]).with(3);
    ended.says("cluster-completed.spec");
    ended.says(&format!("kops update cluster {name}"));
    assert_eq!(desk.tree("old"), before);
}

#[test]
fn deletes_everything_once_nothing_needs_it() {
    let (desk, _) = moved();
    update(&desk);
    let new = desk.tree("new");
    retire(&desk, &["--yes", "--dry-run"]).with(0);
    assert!(!desk.tree("old").is_empty());
    retire(&desk, &["--yes"]).with(0);
    assert_eq!(desk.tree("old"), Tree::new());
    assert_eq!(desk.tree("new"), new);
}

#[test]
fn refuses_without_a_confirmation() {
    let (desk, _) = moved();
    update(&desk);
    let before = desk.tree("old");
    retire(&desk, &[]).with(3);
    assert_eq!(desk.tree("old"), before);
}

#[test]
fn refuses_when_the_old_place_has_something_that_the_new_one_has_not() {
    let (desk, name) = moved();
    update(&desk);
    let backup = "backups/etcd/main/2026-02-02T00:00:00Z-000009/_etcd_backup.meta";
    desk.write(&format!("old/{name}/{backup}"), "{}");
    let before = desk.tree("old");
    retire(&desk, &["--yes"]).with(3).says(backup);
    assert_eq!(desk.tree("old"), before);
}

#[test]
fn refuses_when_a_key_differs() {
    let (desk, name) = moved();
    update(&desk);
    desk.write(
        &format!("old/{name}/pki/private/kubernetes-ca/keyset.yaml"),
        "rotated: true\n",
    );
    let before = desk.tree("old");
    retire(&desk, &["--yes"])
        .with(3)
        .says("pki/private/kubernetes-ca/keyset.yaml");
    assert_eq!(desk.tree("old"), before);
}

#[test]
fn refuses_a_cluster_that_was_not_moved() {
    let (desk, name) = moved();
    update(&desk);
    std::fs::remove_file(desk.path(&format!("new/{name}/config"))).expect("the file");
    let before = desk.tree("old");
    retire(&desk, &["--yes"]).with(3).says("move it first");
    assert_eq!(desk.tree("old"), before);
}

#[test]
fn goes_on_after_an_interruption() {
    let (desk, name) = moved();
    update(&desk);
    std::fs::remove_file(desk.path(&format!("old/{name}/config"))).expect("the file");
    let (old, new) = (desk.arg("old"), desk.arg("new"));
    desk.run(&[
        "run",
        RETIRE,
        "--from",
        &old,
        "--to",
        &new,
        "--cluster",
        &name,
        "--yes",
    ])
    .with(0);
    assert_eq!(desk.tree("old"), Tree::new());
}
