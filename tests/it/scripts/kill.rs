//! `kill -9` at any moment of a move, and running it again.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::{MOVE, assert_moved, bucket, double_with, is_write};
use crate::lock::trust;
use crate::s3_double::{Action, S3Double};
use crate::support::{Desk, Ended, Tree, clusters, sample, tree_of};

const TO: &str = "s3://new-state-store";

fn one_cluster() -> Tree {
    let mut tree = sample();
    let name = clusters(&tree).remove(0);
    tree.retain(|key, _| key.starts_with(&format!("{name}/")));
    tree
}

fn args(from: &str) -> [&str; 8] {
    [
        "run",
        MOVE,
        "--from",
        from,
        "--to",
        TO,
        "--all-clusters",
        "--yes",
    ]
}

/// Lets `kill_now` decide at each request, before and after it is carried out, whether the child
/// dies there. Its answer never arrives.
fn kill_at(double: &S3Double, child: &Arc<AtomicI32>, at: u64, after: bool) {
    let writes = Arc::new(AtomicI32::new(0));
    let child = child.clone();
    let hook = move |_: u64, request: &crate::s3_double::Request| {
        if !is_write(&request.op) {
            return None;
        }
        let number = writes.fetch_add(1, Ordering::SeqCst) + 1;
        (i64::from(number) == i64::try_from(at).expect("a small number")).then(|| {
            let pid = loop {
                match Pid::from_raw(child.load(Ordering::SeqCst)) {
                    Some(pid) => break pid,
                    None => std::thread::yield_now(),
                }
            };
            kill_process(pid, Signal::KILL).expect("the child runs");
            Action::ResetBeforeResponse
        })
    };
    if after {
        double.after_requests(hook);
    } else {
        double.before_requests(hook);
    }
}

fn config_only_when_complete(tree: &Tree, original: &Tree, point: &str) {
    if clusters(tree).is_empty() {
        return;
    }
    let state = tree.keys().filter(|key| !key.starts_with(".kstate/"));
    assert!(
        state.eq(original.keys()),
        "{point}: config is there before the rest"
    );
}

/// What is moved: a folder with the tree, or the double's old bucket.
fn place_of(desk: &Desk, from_folder: bool, tree: &Tree) -> String {
    desk.write_tree("old", tree);
    if from_folder {
        desk.arg("old")
    } else {
        "s3://old-state-store".to_owned()
    }
}

fn killed_then_run_again(from_folder: bool, points: impl Iterator<Item = (u64, bool)>) {
    let original = one_cluster();
    for (at, after) in points {
        let point = format!("write {at}, {}", if after { "after" } else { "before" });
        let desk = Desk::new();
        let from = place_of(&desk, from_folder, &original);
        let double = double_with(&original);
        trust(&desk, &double, &["new-state-store"]);
        let pid = Arc::new(AtomicI32::new(0));
        kill_at(&double, &pid, at, after);
        let mut run = desk.kstate(&args(&from));
        run.envs(double.env())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child: Child = run.spawn().expect("the binary runs");
        pid.store(i32::try_from(child.id()).expect("a pid"), Ordering::SeqCst);
        let status = child.wait().expect("it ends");
        assert!(
            status.code().is_none(),
            "{point}: it was not killed, but ended with {status}"
        );
        config_only_when_complete(&bucket(&double, "new-state-store"), &original, &point);

        double.clear_faults();
        let mut again = desk.kstate(&args(&from));
        again.envs(double.env());
        Ended::of(again).with(0);
        let mut moved = bucket(&double, "new-state-store");
        moved.retain(|key, _| !key.starts_with(".kstate/"));
        assert_moved(&original, &moved, TO);
        assert_eq!(bucket(&double, "old-state-store"), original);
        assert!(double.uploads("new-state-store").is_empty());
    }
}

/// How many writes an undisturbed move makes: every point before that is one to die at.
fn writes(from_folder: bool) -> u64 {
    let desk = Desk::new();
    let original = one_cluster();
    let double = double_with(&original);
    trust(&desk, &double, &["new-state-store"]);
    let from = place_of(&desk, from_folder, &original);
    let mut run = desk.kstate(&args(&from));
    run.envs(double.env());
    Ended::of(run).with(0);
    let requests = double.requests();
    requests
        .iter()
        .filter(|request| is_write(&request.op))
        .count() as u64
}

#[test]
fn at_every_write_on_the_server_before_it_counts() {
    killed_then_run_again(false, (1..=writes(false)).map(|at| (at, false)));
}

#[test]
fn at_every_write_on_the_server_after_it_counts() {
    killed_then_run_again(false, (1..=writes(false)).map(|at| (at, true)));
}

#[test]
fn at_every_third_write_from_a_folder() {
    killed_then_run_again(
        true,
        (1..=writes(true)).step_by(3).map(|at| (at, at % 2 == 0)),
    );
}

#[test]
fn between_folders_at_many_moments() {
    let original = one_cluster();
    for files in 0..original.len() {
        let desk = Desk::new();
        desk.write_tree("old", &original);
        let (from, to) = (desk.arg("old"), desk.arg("new"));
        let args = [
            "run",
            MOVE,
            "--from",
            &from,
            "--to",
            &to,
            "--all-clusters",
            "--yes",
            "--concurrency",
            "1",
        ];
        let mut run = desk.kstate(&args);
        let mut child = run
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        while desk.tree_size("new") < files && child.try_wait().expect("a child").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("a child");
        child.wait().expect("it ends");
        let listed = state_only(tree_of(&desk.path("new")));
        config_only_when_complete(&listed, &original, &format!("{files} files"));
        desk.run(&args).with(0);
        assert_moved(&original, &state_only(desk.tree("new")), &to);
        assert_eq!(desk.tree("old"), original);
    }
}

fn state_only(mut tree: Tree) -> Tree {
    tree.retain(|key, _| !key.starts_with(".kstate/"));
    tree
}

#[test]
fn an_interrupt_leaves_both_usable_and_says_130() {
    let original = one_cluster();
    let desk = Desk::new();
    let double = double_with(&original);
    let pid = Arc::new(AtomicI32::new(0));
    let child_pid = pid.clone();
    double.before_requests(move |_, request| {
        (request.op == "CopyObject").then(|| {
            let raw = loop {
                match Pid::from_raw(child_pid.load(Ordering::SeqCst)) {
                    Some(pid) => break pid,
                    None => std::thread::yield_now(),
                }
            };
            // The child may be gone by the time of a later request.
            let _ = kill_process(raw, Signal::INT);
            Action::Slow(std::time::Duration::from_secs(20))
        })
    });
    let mut run = desk.kstate(&args("s3://old-state-store"));
    run.envs(double.env())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = run.spawn().expect("the binary runs");
    pid.store(i32::try_from(child.id()).expect("a pid"), Ordering::SeqCst);
    let ended: Ended = child.wait_with_output().expect("it ends").into();
    ended.with(130).says("interrupted");
    assert!(clusters(&bucket(&double, "new-state-store")).is_empty());
    double.clear_faults();
    let mut again = desk.kstate(&args("s3://old-state-store"));
    again.envs(double.env());
    Ended::of(again).with(0);
    assert_moved(
        &original,
        &state_only(bucket(&double, "new-state-store")),
        TO,
    );
}
