//! Applies and undos under the locks of the run that they follow.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{newest, script};
use crate::lock::command::held;
use crate::support::{Desk, Ended};

const BODY: &str = r#"
    s:lock("edit", { ttl = "20s", min_strength = "atomic" }, function()
        s:write("copy", s:read("input"))
    end)
"#;

fn desk() -> (Desk, String) {
    let desk = Desk::new();
    desk.write("state/input", "1");
    let text = format!(
        "local s = kstate.store.open(\"{}\")\n{BODY}",
        desk.arg("state")
    );
    let script = script(&desk, &text);
    (desk, script)
}

/// Runs a command until it waits for the lock, does something meanwhile, gives the lock back and
/// lets the command end.
async fn while_waiting(desk: &Desk, args: &[&str], meanwhile: impl FnOnce()) -> Ended {
    let guard = held(desk, None, &desk.arg("state"), "edit").await;
    let mut child = desk
        .kstate(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stderr = BufReader::new(child.stderr.take().expect("its stderr"));
    let mut told = String::new();
    while !told.contains("waiting for") {
        let read = stderr.read_line(&mut told).expect("a line");
        assert_ne!(read, 0, "it ended before it waited: {told}");
    }
    meanwhile();
    guard.release().await;
    std::io::Read::read_to_string(&mut stderr, &mut told).expect("the rest");
    Ended {
        code: child.wait().expect("it ends").code(),
        stdout: String::new(),
        stderr: told,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_goes_stale_while_apply_waits_for_its_lock_is_refused() {
    let (desk, script) = desk();
    let plan = desk.arg("plan");
    desk.run(&["plan", &script, "-o", &plan]).with(6);
    let args = ["apply", &plan, "--yes", "--lock-wait", "50s"];
    let ended = while_waiting(&desk, &args, || desk.write("state/input", "2")).await;
    ended.with(4).says("input was changed");
    assert!(!desk.path("state/copy").exists());
    assert!(
        !desk.path("state/.kstate").exists(),
        "the lock is given back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_takes_the_locks_of_the_run() {
    let (desk, script) = desk();
    desk.run(&["run", &script]).with(0);
    let id = newest(&desk);
    let guard = held(&desk, None, &desk.arg("state"), "edit").await;
    let ended = desk.run(&["undo", &id, "--lock-wait", "0s"]).with(4);
    ended.says("edit");
    assert!(desk.path("state/copy").exists());
    guard.release().await;
    let ended = while_waiting(&desk, &["undo", &id], || {}).await;
    ended.with(0);
    assert!(!desk.path("state/copy").exists());
}

#[test]
fn a_plan_keeps_what_a_lock_had_to_be() {
    let (desk, script) = desk();
    let plan = desk.arg("plan");
    desk.run(&["plan", &script, "-o", &plan]).with(6);
    let text = desk.read("plan");
    assert!(text.contains("\"ttl_ms\":20000"), "{text}");
    assert!(text.contains("\"min_strength\":\"atomic\""), "{text}");
}
