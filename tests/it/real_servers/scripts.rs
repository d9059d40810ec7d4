//! The shipped scripts through the built binary.

use super::{Service, run};
use crate::scripts::configure::{
    BLUE, configuring,
    together::{assert_all_labels, labels},
};
use crate::scripts::{MOVE, RETIRE, assert_moved};
use crate::support::{Desk, Ended, Tree, clusters, sample, ten_clusters};

fn move_all(desk: &Desk, services: &[&Service], from: &str, to: &str) -> Ended {
    let args = [
        "run",
        MOVE,
        "--from",
        from,
        "--to",
        to,
        "--all-clusters",
        "--yes",
    ];
    let first = run(desk, services, &args).with(0);
    run(desk, services, &args).with(0).says("Nothing to do");
    first
}

/// From a folder over both servers and back, each step by the script, and each one twice.
async fn tour(tree: Tree) {
    let (ceph, moto) = (Service::radosgw(), Service::moto());
    let both = [&ceph, &moto];
    let [first, second] = [ceph.bucket().await, ceph.bucket().await];
    let third = moto.bucket().await;
    let desk = Desk::new();
    desk.write_tree("old", &tree);

    move_all(&desk, &both, &desk.arg("old"), &ceph.url(&first));
    let there = ceph.tree(&first).await;
    assert_moved(&tree, &there, &format!("s3://{first}"));

    let place = format!("{second}/prod");
    move_all(&desk, &both, &ceph.url(&first), &ceph.url(&place));
    let copied = ceph.tree(&second).await.into_iter();
    let copied = copied
        .map(|(key, bytes)| (key.strip_prefix("prod/").expect("below prod").into(), bytes))
        .collect();
    assert_moved(&tree, &copied, &format!("s3://{place}"));

    move_all(&desk, &both, &ceph.url(&first), &moto.url(&third));
    let copied = moto.tree(&third).await;
    assert_moved(&tree, &copied, &format!("s3://{third}"));

    move_all(&desk, &both, &moto.url(&third), &desk.arg("new"));
    assert_moved(&tree, &desk.tree("new"), &desk.arg("new"));

    assert!(desk.tree("old") == tree, "the folder was touched");
    assert!(ceph.tree(&first).await == there, "the bucket was touched");
}

/// 64 processes each add a label to one cluster, 16 at a time.
async fn labels_are_kept(service: Service) {
    let name = service.bucket().await;
    let desk = Desk::new();
    desk.write_tree("old", &sample());
    let services = [&service];
    run(
        &desk,
        &services,
        &["cp", "-r", "-q", &desk.arg("old"), &service.url(&name)],
    )
    .with(0);
    let store = service.url(&name);
    labels(64, |set| {
        let mut run = configuring(&desk, &store, BLUE, &["--set", set]);
        run.envs(service.env());
        run
    });
    let tree = service.tree(&name).await;
    let config = &tree[&format!("{BLUE}/config")];
    assert_all_labels(64, std::str::from_utf8(config).expect("UTF-8"));
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn of_64_that_add_a_label_on_radosgw_none_is_lost() {
    labels_are_kept(Service::radosgw()).await;
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn the_sample_is_moved_over_both_servers_and_back() {
    tour(sample()).await;
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn ten_real_clusters_are_moved_over_both_servers_and_back() {
    let Some(tree) = ten_clusters() else { return };
    tour(tree).await;
}

/// Every text of a tree with one name in place of another.
fn renamed(tree: Tree, old: &str, new: &str) -> Tree {
    let rename = |bytes| match String::from_utf8(bytes) {
        Ok(text) => text.replace(old, new).into_bytes(),
        Err(error) => error.into_bytes(),
    };
    let objects = tree.into_iter();
    objects.map(|(key, bytes)| (key, rename(bytes))).collect()
}

/// Moves the sample from one bucket to another, and gives up the old one when nothing there is
/// needed any more, and no sooner.
async fn retire(service: Service) {
    let [old, new] = [service.bucket().await, service.bucket().await];
    let desk = Desk::new();
    let tree = renamed(sample(), "example-state-store", &old);
    desk.write_tree("old", &tree);
    let [from, to] = [service.url(&old), service.url(&new)];
    run(&desk, &[&service], &["sync", &desk.arg("old"), &from]).with(0);
    move_all(&desk, &[&service], &from, &to);

    let args = [
        "run",
        RETIRE,
        "--from",
        &from,
        "--to",
        &to,
        "--all-clusters",
        "--yes",
    ];
    let refused = run(&desk, &[&service], &args).with(3);
    for name in clusters(&tree) {
        refused.says(&format!("kops update cluster {name}"));
    }
    assert!(service.tree(&old).await == tree, "the bucket was touched");

    // What `kops update cluster` does.
    let updated = renamed(service.tree(&new).await, &old, &new);
    desk.write_tree("updated", &updated);
    run(&desk, &[&service], &["sync", &desk.arg("updated"), &to]).with(0);
    run(&desk, &[&service], &args).with(0);
    assert_eq!(service.tree(&old).await, Tree::new());
    assert!(service.tree(&new).await == updated);
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn an_old_bucket_is_retired_on_radosgw() {
    retire(Service::radosgw()).await;
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn an_old_bucket_is_retired_on_moto() {
    retire(Service::moto()).await;
}

/// The newest run's name.
fn newest(desk: &Desk) -> String {
    let listed = desk.run(&["history", "--json"]).with(0);
    let runs: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    runs[0]["id"].as_str().expect("an id").to_owned()
}

/// A move is planned, applied and taken back; an edit too, which replaces and deletes.
async fn plan_apply_undo(service: Service) {
    let [old, new] = [service.bucket().await, service.bucket().await];
    let [from, to] = [service.url(&old), service.url(&new)];
    let (desk, tree) = (Desk::new(), sample());
    desk.write_tree("old", &tree);
    run(&desk, &[&service], &["sync", &desk.arg("old"), &from]).with(0);
    let plan = desk.arg("plan");
    let args = [
        "plan",
        MOVE,
        "--from",
        &from,
        "--to",
        &to,
        "--all-clusters",
        "-o",
        &plan,
    ];
    run(&desk, &[&service], &args).with(6);
    assert_eq!(
        service.tree(&new).await,
        Tree::new(),
        "a plan writes nothing"
    );
    run(&desk, &[&service], &["apply", &plan, "--yes"]).with(0);
    let moved = service.tree(&new).await;
    assert_moved(&tree, &moved, &format!("s3://{new}"));

    let cluster = clusters(&tree).remove(0);
    let script = format!(
        r#"
        local s = kstate.store.open({to:?})
        local config = s:stat("{cluster}/config")
        assert(s:write("{cluster}/config", "changed", {{ if_match = config.tag }}))
        s:delete("{cluster}/kops-version.txt")
        s:write("{cluster}/clusteraddons/more", "new")
        "#
    );
    desk.write("edit.lua", script);
    run(&desk, &[&service], &["run", &desk.arg("edit.lua")]).with(0);
    assert!(service.tree(&new).await != moved);
    let edit = newest(&desk);
    run(&desk, &[&service], &["undo", &edit]).with(0);
    assert!(
        service.tree(&new).await == moved,
        "the edit was not taken back"
    );

    // What was put back is no longer what the move wrote where tags tell times apart; on S3 they
    // are sums of the bytes.
    let runs = desk.run(&["history", "--json"]).with(0);
    let runs: serde_json::Value = serde_json::from_str(&runs.stdout).expect("JSON");
    let apply = runs[2]["id"].as_str().expect("an id");
    run(&desk, &[&service], &["undo", apply]).with(0);
    assert_eq!(service.tree(&new).await, Tree::new());
    assert!(service.tree(&old).await == tree, "the source was touched");
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_planned_applied_and_taken_back_on_radosgw() {
    plan_apply_undo(Service::radosgw()).await;
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_planned_applied_and_taken_back_on_moto() {
    plan_apply_undo(Service::moto()).await;
}
