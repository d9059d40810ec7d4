//! `move_bucket` when nothing stands in its way.

use super::{MOVE, assert_moved, bucket, double_with, is_write, move_all, move_on};
use crate::support::{Desk, Ended, sample, ten_clusters};

#[test]
fn moves_the_sample_between_folders_and_then_has_nothing_to_do() {
    let desk = Desk::new();
    let to = desk.arg("new");
    let args = [
        "run",
        MOVE,
        "--from",
        "examples/state",
        "--to",
        &to,
        "--all-clusters",
        "--yes",
    ];
    let before = sample();
    let first = desk.run(&args).with(0);
    first.says("kOps can't run clusters from");
    assert_moved(&before, &desk.tree("new"), &to);
    assert_eq!(sample(), before, "the source was touched");
    let after = desk.tree("new");
    let again = desk.run(&args).with(0);
    again.says("Nothing to do");
    assert!(!again.stderr.contains("are others"), "{}", again.stderr);
    assert_eq!(desk.tree("new"), after);
}

#[test]
fn a_moved_cluster_that_was_changed_since_is_named() {
    let desk = Desk::new();
    let to = desk.arg("new");
    move_all(&desk, "examples/state", &to, &[]).with(0);
    let config = desk.read("new/blue.k8s.example.com/config");
    desk.write(
        "new/blue.k8s.example.com/config",
        format!("# ours\n{config}"),
    );
    let again = move_all(&desk, "examples/state", &to, &[]).with(0);
    assert!(!again.stderr.contains("are others"), "{}", again.stderr);

    let other = config.replace("kubernetesVersion: ", "kubernetesVersion: 9");
    desk.write("new/blue.k8s.example.com/config", &other);
    desk.write("new/blue.k8s.example.com/pki/ssh/public/admin/x", "theirs");
    let again = move_all(&desk, "examples/state", &to, &[]).with(0);
    again.says("blue.k8s.example.com are others in");
    again.says("such as config, and stay as they are there");
    assert_eq!(desk.read("new/blue.k8s.example.com/config"), other);
}

#[test]
fn the_embedded_script_is_the_same() {
    let desk = Desk::new();
    let to = desk.arg("new");
    desk.run(&[
        "run",
        "move_bucket",
        "--from",
        "examples/state",
        "--to",
        &to,
        "--all-clusters",
        "--yes",
    ])
    .with(0);
    assert_moved(&sample(), &desk.tree("new"), &to);
}

#[test]
fn moves_ten_real_clusters_between_folders() {
    let Some(tree) = ten_clusters() else { return };
    let desk = Desk::new();
    desk.write_tree("old", &tree);
    let (from, to) = (
        format!("file://{}", desk.arg("old")),
        format!("file://{}", desk.arg("new")),
    );
    move_all(&desk, &from, &to, &[]).with(0);
    assert_moved(&tree, &desk.tree("new"), &desk.arg("new"));
    assert_eq!(desk.tree("old"), tree);
}

#[test]
fn moves_ten_real_clusters_from_a_folder_to_s3() {
    let Some(tree) = ten_clusters() else { return };
    let desk = Desk::new();
    desk.write_tree("old", &tree);
    let double = double_with(&sample());
    let mut run = desk.kstate(&[
        "run",
        MOVE,
        "--to",
        "s3://new-state-store",
        "--all-clusters",
        "--yes",
    ]);
    run.envs(double.env())
        .env("KOPS_STATE_STORE", desk.arg("old"));
    Ended::of(run).with(0);
    assert_moved(
        &tree,
        &bucket(&double, "new-state-store"),
        "s3://new-state-store",
    );
}

#[test]
fn moves_ten_real_clusters_on_the_server() {
    let Some(tree) = ten_clusters() else { return };
    let desk = Desk::new();
    let double = double_with(&tree);
    move_on(
        &desk,
        &double,
        "s3://old-state-store",
        "s3://new-state-store/prod",
        &[],
    )
    .with(0);
    let moved = bucket(&double, "new-state-store");
    let moved = moved.into_iter().map(|(key, bytes)| {
        (
            key.strip_prefix("prod/").expect("below prod").to_owned(),
            bytes,
        )
    });
    assert_moved(&tree, &moved.collect(), "s3://new-state-store/prod");
    assert_eq!(bucket(&double, "old-state-store"), tree);
    let copied = double
        .requests()
        .iter()
        .filter(|request| request.op == "CopyObject")
        .count();
    let objects = tree.len() - 10;
    assert!(
        (objects..=objects + 1).contains(&copied),
        "{copied}: all but the configs are copied on the server, and one copy is asked for \
         twice to find out what the server honours"
    );
}

#[test]
fn a_dry_run_asks_for_no_write_and_shows_them_all() {
    let desk = Desk::new();
    let double = double_with(&sample());
    let mut run = desk.kstate(&[
        "run",
        MOVE,
        "--from",
        "s3://old-state-store",
        "--to",
        "s3://new-state-store",
        "--all-clusters",
        "--dry-run",
    ]);
    run.envs(double.env());
    let ended = Ended::of(run).with(0);
    for key in sample().keys() {
        assert!(
            ended
                .stdout
                .contains(&format!("+ s3://new-state-store/{key} ")),
            "{key}\n{}",
            ended.stdout
        );
    }
    ended.says("nothing was written");
    let written: Vec<_> = double
        .requests()
        .into_iter()
        .filter(|request| is_write(&request.op))
        .collect();
    assert!(written.is_empty(), "{written:?}");

    let to = desk.arg("new");
    desk.run(&[
        "run",
        MOVE,
        "--dry-run",
        "--from",
        "examples/state",
        "--to",
        &to,
        "--all-clusters",
    ])
    .with(0);
    assert!(!desk.path("new").exists());
}

#[test]
fn etcd_markers_come_first_and_config_last() {
    let desk = Desk::new();
    let double = double_with(&sample());
    let name = crate::support::clusters(&sample()).remove(0);
    let mut run = desk.kstate(&[
        "run",
        MOVE,
        "--from",
        "s3://old-state-store",
        "--to",
        "s3://new-state-store",
        "--cluster",
        &name,
        "--yes",
    ]);
    run.envs(double.env());
    Ended::of(run).with(0);
    let written: Vec<String> = double
        .requests()
        .into_iter()
        .filter(|request| request.bucket == "new-state-store" && is_write(&request.op))
        .map(|request| request.key)
        .filter(|key| !key.starts_with(".kstate/"))
        .collect();
    let markers = |key: &String| key.contains("/control/etcd-cluster-");
    let count = written.iter().filter(|key| markers(key)).count();
    assert!(count >= 2, "{written:?}");
    assert!(written.iter().take(count).all(markers), "{written:?}");
    assert_eq!(written.last(), Some(&format!("{name}/config")));
    assert!(
        written
            .iter()
            .all(|key| key.starts_with(&format!("{name}/"))),
        "only that cluster"
    );
}

#[test]
fn a_pending_command_is_left_behind_and_reported() {
    let desk = Desk::new();
    let mut tree = sample();
    let name = crate::support::clusters(&tree).remove(0);
    let command =
        format!("{name}/backups/etcd/main/control/2026-01-01T00:00:00Z-000000/_command.json");
    tree.insert(command.clone(), b"{\"restoreBackup\":{}}".to_vec());
    desk.write_tree("old", &tree);
    let (from, to) = (desk.arg("old"), desk.arg("new"));
    let ended = desk
        .run(&[
            "run",
            MOVE,
            "--from",
            &from,
            "--to",
            &to,
            "--cluster",
            &name,
            "--yes",
        ])
        .with(0);
    ended.says("_command.json");
    assert!(!desk.tree("new").contains_key(&command));
}

#[test]
fn backups_are_copied_as_far_as_asked() {
    for (how, markers, data) in [
        ("all", true, true),
        ("control", true, false),
        ("none", false, false),
    ] {
        let desk = Desk::new();
        let to = desk.arg("new");
        move_all(&desk, "examples/state", &to, &["--backups", how]).with(0);
        let tree = desk.tree("new");
        let has = |end: &str| {
            tree.keys()
                .any(|key| key.contains("/backups/") && key.ends_with(end))
        };
        assert_eq!(has("/control/etcd-cluster-created"), markers, "{how}");
        assert_eq!(
            has("/_etcd_backup.meta") && has("/etcd.backup.gz"),
            data,
            "{how}"
        );
    }
}

#[test]
fn the_file_that_named_the_store_is_rewritten_when_asked() {
    let desk = Desk::new();
    desk.write_tree("old", &sample());
    let text = format!(
        "# mine\nkops_state_store: {}   # the old one\nother: 1\n",
        desk.arg("old")
    );
    desk.write(".kops.yaml", &text);
    let to = desk.arg("new");
    desk.run(&[
        "run",
        MOVE,
        "--to",
        &to,
        "--all-clusters",
        "--yes",
        "--update-config",
    ])
    .with(0);
    assert_eq!(desk.read(".kops.yaml"), text.replace(&desk.arg("old"), &to));
}

#[test]
fn the_result_is_json_when_asked() {
    let desk = Desk::new();
    let to = desk.arg("new");
    let ended = move_all(&desk, "examples/state", &to, &["--json"]).with(0);
    let result: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one JSON document");
    let moved = result["moved"].as_array().expect("a list");
    assert_eq!(moved.len(), crate::support::clusters(&sample()).len());
    assert_eq!(
        moved[0]["config_base"]
            .as_str()
            .map(|base| base.starts_with(&to)),
        Some(true)
    );
}

#[test]
fn content_verification_and_concurrency_are_accepted() {
    let desk = Desk::new();
    let to = desk.arg("new");
    move_all(
        &desk,
        "examples/state",
        &to,
        &["--verify", "content", "--concurrency", "3"],
    )
    .with(0);
    assert_moved(&sample(), &desk.tree("new"), &to);
}
