//! `retire_bucket`: what it refuses, and what it deletes.

use super::{MOVE, RETIRE, bucket, double_with};
use crate::support::{Desk, Ended, Tree, clusters, sample};

/// The sample, moved; its `configBase` named the old folder before.
fn moved() -> (Desk, String) {
    let desk = Desk::new();
    let old = desk.arg("old");
    let mut tree = sample();
    for bytes in tree.values_mut() {
        if let Ok(text) = String::from_utf8(bytes.clone()) {
            *bytes = text.replace("s3://example-state-store", &old).into_bytes();
        }
    }
    let name = clusters(&tree).remove(0);
    tree.retain(|key, _| key.starts_with(&format!("{name}/")));
    desk.write_tree("old", &tree);
    desk.write(
        &format!("old/{name}/cluster-completed.spec"),
        completed(&name, &format!("{old}/{name}")),
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

/// What kOps makes of a config, as far as it matters here.
fn completed(name: &str, base: &str) -> String {
    format!(
        "apiVersion: kops.k8s.io/v1alpha2\nkind: Cluster\nmetadata:\n  name: {name}\nspec:\n  configBase: {base}\n"
    )
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

/// Lets the config at the old place look older than the one at the new place, as it is in life.
fn age(desk: &Desk, name: &str) {
    let file = std::fs::File::options()
        .write(true)
        .open(desk.path(&format!("old/{name}/config")))
        .expect("the config");
    file.set_modified(std::time::UNIX_EPOCH).expect("its time");
}

#[test]
fn refuses_when_old_and_new_are_exchanged() {
    let (desk, _) = moved();
    update(&desk);
    let (old, new) = (desk.arg("old"), desk.arg("new"));
    let before = desk.tree("new");
    let args = [
        "run",
        RETIRE,
        "--from",
        &new,
        "--to",
        &old,
        "--all-clusters",
    ];
    desk.run(&[&args[..], &["--yes"]].concat())
        .with(3)
        .says("exchanged");
    assert_eq!(desk.tree("new"), before);
}

#[test]
fn refuses_when_the_old_config_was_edited_after_the_move() {
    let (desk, name) = moved();
    update(&desk);
    let config = format!("old/{name}/config");
    // The kernel's clock for files is coarser than ours.
    let file = std::fs::File::options()
        .write(true)
        .open(desk.path(&config));
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
    file.expect("the config")
        .set_modified(later)
        .expect("a time");
    let before = desk.tree("old");
    retire(&desk, &["--yes"])
        .with(3)
        .says("edited after the move");
    assert_eq!(desk.tree("old"), before);
}

#[test]
fn refuses_the_state_store_that_is_in_use() {
    let (desk, _) = moved();
    update(&desk);
    let old = desk.arg("old");
    desk.write(".kops.yaml", format!("kops_state_store: {old}/\n"));
    let before = desk.tree("old");
    retire(&desk, &["--yes"]).with(3).says(".kops.yaml");
    assert_eq!(desk.tree("old"), before);
}

#[test]
fn leaves_the_new_place_alone_when_the_old_config_leads_there() {
    let (desk, name) = moved();
    update(&desk);
    std::os::unix::fs::symlink(desk.path("new"), desk.path("link")).expect("a link");
    let config = format!("old/{name}/config");
    let text = desk
        .read(&config)
        .lines()
        .filter(|line| !line.trim_start().starts_with("configBase:"))
        .fold(String::new(), |text, line| text + line + "\n");
    let base = format!("spec:\n  configBase: {}/{name}", desk.arg("link"));
    desk.write(&config, text.replacen("spec:", &base, 1));
    age(&desk, &name);
    let new = desk.tree("new");
    retire(&desk, &["--yes"]).with(0);
    assert_eq!(desk.tree("new"), new);
    assert_eq!(desk.tree("old"), Tree::new());
}

#[test]
fn refuses_while_an_instance_group_names_the_old_place() {
    let (desk, name) = moved();
    update(&desk);
    for place in ["old", "new"] {
        desk.write(
            &format!("{place}/{name}/instancegroup/extra"),
            format!("spec:\n  userData: cp {}/{name}/x .\n", desk.arg("old")),
        );
    }
    let before = desk.tree("old");
    let ended = retire(&desk, &["--yes"]).with(3);
    ended.says("instancegroup/extra");
    ended.says("edit them");
    assert_eq!(desk.tree("old"), before);
}

#[test]
fn folder_markers_of_a_console_are_in_nobodys_way() {
    let mut tree = sample();
    let name = clusters(&tree).remove(0);
    tree.retain(|key, _| key.starts_with(&format!("{name}/")));
    let double = super::double_with(&tree);
    double.put("old-state-store", &format!("{name}/pki/"), Vec::new());
    let desk = Desk::new();
    let run = |args: &[&str]| {
        let mut command = desk.kstate(args);
        command.envs(double.env());
        Ended::of(command)
    };
    let (old, new) = ("s3://old-state-store", "s3://new-state-store");
    let places = ["--from", old, "--to", new, "--all-clusters", "--yes"];
    let moved = run(&[&["run", MOVE][..], &places].concat()).with(0);
    moved.says(&format!("kops update cluster {name} --yes"));
    let spec = completed(&name, &format!("{new}/{name}"));
    double.put(
        "new-state-store",
        &format!("{name}/cluster-completed.spec"),
        spec,
    );
    run(&[&["run", RETIRE][..], &places].concat()).with(0);
    let left = super::bucket(&double, "old-state-store");
    assert_eq!(left.keys().collect::<Vec<_>>(), [&format!("{name}/pki/")]);
}

/// `file://` is another way to write a folder.
#[test]
fn a_place_is_seen_however_it_is_written() {
    let (desk, name) = moved();
    update(&desk);
    let old = desk.arg("old");
    for place in [
        format!("file://{old}"),
        format!("/{}", old.replace('/', "//")),
    ] {
        desk.write(
            &format!("new/{name}/manifests/etcd/main-x.yaml"),
            format!("args: [--backup-store={place}/{name}/backups/etcd/main]\n"),
        );
        let ended = retire(&desk, &["--yes"]).with(3);
        ended.says("manifests/etcd/main-x.yaml");
    }
}

#[test]
fn what_kops_wrote_last_must_be_of_the_new_place() {
    let (desk, name) = moved();
    update(&desk);
    let before = desk.tree("old");
    desk.write(
        &format!("new/{name}/cluster-completed.spec"),
        completed(&name, &format!("s3://a-third-place/{name}")),
    );
    let ended = retire(&desk, &["--yes"]).with(3);
    ended.says(&format!(
        "`kops update cluster {name}` has not run at the new place"
    ));
    ended.says("s3://a-third-place");
    assert_eq!(desk.tree("old"), before);
}

/// A cluster runs from the bucket; nothing could run from the folder.
#[test]
fn a_bucket_is_not_retired_in_favour_of_what_kops_cannot_read() {
    let desk = Desk::new();
    let tree = sample();
    let double = double_with(&tree);
    desk.write_tree("new", &tree);
    let new = desk.arg("new");
    let from = ["run", RETIRE, "--from", "s3://old-state-store"];
    let mut run = desk.kstate(&[&from[..], &["--to", &new, "--all-clusters", "--yes"]].concat());
    run.envs(double.env());
    let ended = Ended::of(run).with(3);
    ended.says("kOps can't run clusters from");
    assert_eq!(bucket(&double, "old-state-store"), tree);
}
