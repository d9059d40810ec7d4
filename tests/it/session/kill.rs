//! `kill -9` at any moment of a run, an apply or an undo, and going on or back from there.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::{command, history, newest, on, script};
use crate::s3_double::{Action, S3Double};
use crate::scripts::{bucket, is_write};
use crate::support::{Desk, Tree};

const SCRIPT: &str = r#"
    local s, t = kstate.store.open("s3://bucket"), kstate.store.open("s3://other")
    s:write("changed", "new")
    s:write("created", "new")
    s:copy("large", t)
    s:delete("deleted")
    kstate.task.map({ "1", "2", "3", "4" }, function(n) s:write("many/" .. n, n) end)
    s:write("created", "newer")
    t:write("last", "done")
"#;

fn filled() -> S3Double {
    let double = S3Double::builder().bucket("bucket").bucket("other").start();
    double.put("bucket", "changed", "old");
    double.put("bucket", "deleted", "old");
    double.put("bucket", "large", vec![3; 300_000]);
    double
}

fn all(double: &S3Double) -> (Tree, Tree) {
    let tree = |name| {
        let mut tree = bucket(double, name);
        tree.retain(|key, _| !key.starts_with(".kstate/"));
        tree
    };
    (tree("bucket"), tree("other"))
}

/// Kills a run before or after its write number `at` is carried out. Whether it came so far.
fn killed(double: &S3Double, mut run: Command, at: i32, after: bool) -> bool {
    let writes = Arc::new(AtomicI32::new(0));
    let pid = Arc::new(AtomicI32::new(0));
    let child_pid = Arc::clone(&pid);
    let hook = move |_: u64, request: &crate::s3_double::Request| {
        if !is_write(&request.op) || writes.fetch_add(1, Ordering::SeqCst) + 1 != at {
            return None;
        }
        let pid = loop {
            match Pid::from_raw(child_pid.load(Ordering::SeqCst)) {
                Some(pid) => break pid,
                None => std::thread::yield_now(),
            }
        };
        kill_process(pid, Signal::KILL).expect("the child runs");
        Some(Action::ResetBeforeResponse)
    };
    if after {
        double.after_requests(hook);
    } else {
        double.before_requests(hook);
    }
    let mut child: Child = run
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    pid.store(i32::try_from(child.id()).expect("a pid"), Ordering::SeqCst);
    let status = child.wait().expect("it ends");
    double.clear_faults();
    status.code().is_none()
}

/// All moments to die at, until a run comes through.
fn moments() -> impl Iterator<Item = (i32, bool)> {
    (1..100).flat_map(|at| [(at, false), (at, true)])
}

#[test]
fn a_killed_run_can_be_taken_back() {
    let mut deaths = 0;
    for (at, after) in moments() {
        let (desk, double) = (Desk::new(), filled());
        let before = all(&double);
        let script = script(&desk, SCRIPT);
        if !killed(
            &double,
            command(&desk, &double, &["run", &script]),
            at,
            after,
        ) {
            break;
        }
        deaths += 1;
        on(&desk, &double, &["undo", &newest(&desk)]).with(0);
        assert_eq!(all(&double), before, "write {at}, after: {after}");
    }
    assert!(deaths >= 18, "{deaths}");
}

#[test]
fn a_killed_apply_goes_on_and_can_be_taken_back() {
    let expected = {
        let (desk, double) = (Desk::new(), filled());
        on(&desk, &double, &["run", &script(&desk, SCRIPT)]).with(0);
        all(&double)
    };
    let mut deaths = 0;
    for (at, after) in moments() {
        let (desk, double) = (Desk::new(), filled());
        let before = all(&double);
        let plan = desk.arg("plan");
        on(
            &desk,
            &double,
            &["plan", &script(&desk, SCRIPT), "-o", &plan],
        )
        .with(6);
        let apply = ["apply", &plan, "--yes"];
        if !killed(&double, command(&desk, &double, &apply), at, after) {
            break;
        }
        deaths += 1;
        on(&desk, &double, &apply).with(0);
        assert_eq!(all(&double), expected, "write {at}, after: {after}");
        assert_eq!(history(&desk).len(), 1);
        on(&desk, &double, &["undo", &newest(&desk)]).with(0);
        assert_eq!(all(&double), before, "undone, write {at}, after: {after}");
    }
    assert!(deaths >= 18, "{deaths}");
}

#[test]
fn a_killed_undo_goes_on() {
    let mut deaths = 0;
    for (at, after) in moments() {
        let (desk, double) = (Desk::new(), filled());
        let before = all(&double);
        on(&desk, &double, &["run", &script(&desk, SCRIPT)]).with(0);
        let id = newest(&desk);
        if !killed(&double, command(&desk, &double, &["undo", &id]), at, after) {
            break;
        }
        deaths += 1;
        on(&desk, &double, &["undo", &id]).with(0);
        assert_eq!(all(&double), before, "write {at}, after: {after}");
    }
    assert!(deaths >= 14, "{deaths}");
}

/// Kills a command over files when the journals have so many bytes more: between any two steps.
/// Whether it came so far.
fn killed_at(desk: &Desk, mut run: Command, bytes: usize) -> bool {
    let journal = desk.path(".local/state/kstate/journal");
    let written = || -> usize {
        let runs = std::fs::read_dir(&journal).into_iter().flatten().flatten();
        let logs = runs.filter_map(|run| std::fs::read(run.path().join("log.jsonl")).ok());
        // Behind the lines is room for more.
        logs.map(|log| log.iter().filter(|byte| **byte != 0).count())
            .sum()
    };
    let before = written();
    let mut child = run
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    while written() < before + bytes.max(1) && child.try_wait().expect("it runs").is_none() {
        std::thread::yield_now();
    }
    child.kill().expect("killed");
    child.wait().expect("it ends").code().is_none()
}

fn two_trees() -> Desk {
    let desk = Desk::new();
    for n in 0..30 {
        desk.write(&format!("from/{n}"), vec![b'x'; 1000 * n]);
    }
    desk.write("to/7", "theirs");
    desk
}

const MIRROR: &str = r"
    local from, to = kstate.store.open(FROM), kstate.store.open(TO)
    from:sync(to, { delete = true, concurrency = 3 })
";

fn mirror(desk: &Desk) -> String {
    let text = MIRROR
        .replace("FROM", &format!("{:?}", desk.arg("from")))
        .replace("TO", &format!("{:?}", desk.arg("to")));
    script(desk, &text)
}

fn tree(desk: &Desk) -> Tree {
    let mut tree = desk.tree("to");
    tree.retain(|key, _| !key.starts_with(".kstate/"));
    tree
}

#[test]
fn a_run_over_files_killed_at_any_byte_of_its_journal_can_be_taken_back() {
    let mut deaths = 0;
    for bytes in (0..30).map(|n| n * 200) {
        let desk = two_trees();
        let before = tree(&desk);
        let args = ["run", &mirror(&desk)];
        deaths += usize::from(killed_at(&desk, desk.kstate(&args), bytes));
        if history(&desk).is_empty() {
            continue;
        }
        desk.run(&["undo", &newest(&desk)]).with(0);
        assert_eq!(tree(&desk), before, "killed at {bytes} bytes");
    }
    assert!(deaths >= 10, "{deaths}");
}

#[test]
fn an_apply_over_files_killed_at_any_byte_goes_on_and_can_be_taken_back() {
    let mut deaths = 0;
    for bytes in (0..15).map(|n| n * 400) {
        let desk = two_trees();
        let before = tree(&desk);
        let plan = desk.arg("plan");
        desk.run(&["plan", &mirror(&desk), "-o", &plan]).with(6);
        let apply = ["apply", &plan, "--yes", "--concurrency", "3"];
        deaths += usize::from(killed_at(&desk, desk.kstate(&apply), bytes));
        desk.run(&apply).with(0);
        assert_eq!(tree(&desk), desk.tree("from"), "killed at {bytes} bytes");
        assert_eq!(history(&desk).len(), 1);
        desk.run(&["undo", &newest(&desk)]).with(0);
        assert_eq!(tree(&desk), before, "killed at {bytes} bytes");
    }
    assert!(deaths >= 5, "{deaths}");
}

#[test]
fn an_undo_over_files_killed_at_any_byte_goes_on() {
    let mut deaths = 0;
    for bytes in (0..15).map(|n| n * 400) {
        let desk = two_trees();
        let before = tree(&desk);
        desk.run(&["run", &mirror(&desk)]).with(0);
        let undo = ["undo", &newest(&desk), "--concurrency", "3"];
        deaths += usize::from(killed_at(&desk, desk.kstate(&undo), bytes));
        desk.run(&undo).with(0);
        assert_eq!(tree(&desk), before, "killed at {bytes} bytes");
        assert_eq!(history(&desk).len(), 2);
    }
    assert!(deaths >= 5, "{deaths}");
}

/// A line that was cut is as if it had never been written.
#[test]
fn a_torn_last_line_is_no_obstacle() {
    let desk = Desk::new();
    desk.write("state/a", "old");
    let text = format!(
        "kstate.store.open(\"{}\"):write('a', 'new')",
        desk.arg("state")
    );
    desk.run(&["run", &script(&desk, &text)]).with(0);
    let id = newest(&desk);
    let log = desk
        .path(".local/state/kstate/journal")
        .join(&id)
        .join("log.jsonl");
    let mut bytes = std::fs::read(&log).expect("the log");
    bytes.extend_from_slice(b"{\"begin\":{\"op\":1,\"sto");
    std::fs::write(&log, bytes).expect("written");
    desk.run(&["undo", &id]).with(0);
    assert_eq!(desk.read("state/a"), "old");
}
