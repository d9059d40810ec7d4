//! Locks whose holder is stopped, killed, interrupted or cut off.

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use kstate::session::Mode;
use kstate::session::lock::LockOptions;
use kstate::store::{Body, ErrorKind, Key, Precondition, WriteOptions};
use rustix::process::Signal;

use super::{open, script, session, signal, trust, wait_until};
use crate::s3_double::{Action, Fault, S3Double};
use crate::support::{Desk, Ended};

/// Takes the lock, says so, and goes on once `go` is there.
const HOLDER: &str = r#"
local store = kstate.store.open(arg[1])
store:lock("job", { ttl = arg[2] }, function()
  store:write("a", "1")
  repeat
    kstate.task.sleep("5ms")
  until store:exists("go")
  store:write("bucket", "1")
end)
"#;

/// Takes the lock as soon as it is free.
const NEXT: &str = r#"
local store = kstate.store.open(arg[1])
store:lock("job", { ttl = "30s", wait = arg[2] }, function()
  store:write("c", "1")
end)
"#;

fn holder(desk: &Desk, ttl: &str) -> Child {
    let url = desk.arg("state");
    let mut child = script(desk, None, HOLDER, &[&url, ttl])
        .spawn()
        .expect("the binary runs");
    wait_until(&mut child, || desk.path("state/a").exists());
    child
}

fn next(desk: &Desk, wait: &str) -> Ended {
    Ended::of(script(desk, None, NEXT, &[&desk.arg("state"), wait]))
}

fn ended(child: Child) -> Ended {
    child.wait_with_output().expect("it ends").into()
}

fn names(desk: &Desk) -> Vec<String> {
    desk.tree("state").into_keys().collect()
}

#[test]
fn a_holder_that_slept_past_its_ttl_lost_the_lock_and_writes_no_more() {
    let desk = Desk::new();
    let child = holder(&desk, "1s");
    signal(&child, Signal::STOP);
    let waited = next(&desk, "1m").with(0);
    waited.says("waiting for the lock 'job'");
    waited.says(&format!("pid {}", child.id()));
    desk.write("state/go", "1");
    signal(&child, Signal::CONT);
    ended(child).with(4).says("lost the lock 'job'");
    assert_eq!(names(&desk), ["a", "c", "go"], "b was not written");
}

#[test]
fn a_holder_that_slept_for_a_moment_goes_on() {
    let desk = Desk::new();
    let child = holder(&desk, "60s");
    signal(&child, Signal::STOP);
    let refused = next(&desk, "0s").with(4);
    refused.says("held by");
    refused.says("kstate lock break");
    desk.write("state/go", "1");
    signal(&child, Signal::CONT);
    ended(child).with(0);
    assert_eq!(names(&desk), ["a", "bucket", "go"]);
}

#[test]
fn the_lock_of_a_process_that_was_killed_is_free_at_once() {
    let desk = Desk::new();
    let mut child = holder(&desk, "24h");
    child.kill().expect("it runs");
    // Whether or not its parent took note of its end.
    next(&desk, "0s").with(0);
    child.wait().expect("it ends");
    next(&desk, "0s").with(0);
    assert_eq!(names(&desk), ["a", "c"]);
}

#[test]
fn an_interrupted_run_gives_its_lock_back() {
    for interrupt in [Signal::INT, Signal::TERM] {
        let desk = Desk::new();
        let child = holder(&desk, "60s");
        signal(&child, interrupt);
        ended(child).with(130);
        assert_eq!(names(&desk), ["a"]);
        assert!(!desk.path("state/.kstate").exists());
    }
}

#[test]
fn a_run_whose_time_is_over_gives_its_lock_back_on_s3_too() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("bucket").start());
    trust(&desk, &double, &["bucket"]);
    desk.write("hold.lua", HOLDER);
    let script = desk.arg("hold.lua");
    let mut run = desk.kstate(&["run", "--timeout", "1500ms", &script, "s3://bucket", "60s"]);
    run.envs(double.env());
    Ended::of(run).with(124);
    assert_eq!(double.keys("bucket"), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_cant_be_renewed_is_lost_when_its_time_is_over_and_no_write_goes_out() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("bucket").start());
    trust(&desk, &double, &["bucket"]);
    let session = session(&desk, Some(&double), Mode::Direct);
    let store = open(&session, "s3://bucket");
    let options = LockOptions {
        ttl: Duration::from_secs(1),
        ..LockOptions::default()
    };
    let guard = session.lock(&store, "job", &options).await.expect("free");
    let key = ".kstate/locks/job";
    double.fault(Fault::on("PutObject").key(key).always().then(Action::Hang));
    let protected = async {
        let (mut written, other) = (0, Key::parse("other").expect("a key"));
        let refusal = loop {
            let body = Body::from("1");
            match store.write(&other, body, WriteOptions::default()).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        (written, refusal)
    };
    let (written, refusal) = protected.await;
    assert_eq!(*refusal.kind(), ErrorKind::LockLost);
    assert!(
        refusal
            .to_string()
            .contains("cannot write s3://bucket/other"),
        "{refusal}"
    );
    let puts = double.requests();
    let puts = puts
        .iter()
        .filter(|request| request.op == "PutObject" && request.key == "other");
    assert_eq!(puts.count(), written, "the refused one was not sent");

    let error = guard
        .protect(std::future::pending::<()>())
        .await
        .expect_err("it is lost");
    assert_eq!(*error.kind(), ErrorKind::LockLost);
    let (other, body) = (Key::parse("other").expect("a key"), Body::from("2"));
    let free = store.write(&other, body, WriteOptions::default()).await;
    free.expect("the run may write again");
    assert_eq!(
        double.keys("bucket"),
        ["other"],
        "what was still ours is taken away"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_settled_by_looking() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("bucket").start());
    trust(&desk, &double, &["bucket"]);
    let session = session(&desk, Some(&double), Mode::Direct);
    let store = open(&session, "s3://bucket");
    let lost = Fault::on("PutObject").then(Action::ResetBeforeResponse);
    double.fault(lost);
    let guard = session.lock(&store, "job", &super::at_once()).await;
    let guard = guard.expect("it is ours, although nobody said so");
    double.fault(Fault::on("DeleteObject").then(Action::ResetBeforeResponse));
    guard.release().await;
    assert_eq!(double.keys("bucket"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_on_its_way_when_the_lock_is_lost_becomes_no_object() {
    let desk = Desk::new();
    let session = session(&desk, None, Mode::Direct);
    let store = open(&session, "memfs://bucket");
    let options = LockOptions {
        ttl: Duration::from_secs(1),
        ..LockOptions::default()
    };
    let guard = session.lock(&store, "job", &options).await.expect("free");
    let key = |name: &str| Key::parse(name).expect("a key");
    let (inner, probe, lock) = (Arc::clone(&store), key("probe"), key(".kstate/locks/job"));
    // All bytes are there when the lock goes; only the end is not.
    let end = stream::once(async move {
        let broken = inner.delete(&lock, Precondition::None).await;
        broken.expect("a delete");
        let write = async || {
            let body = Body::from("1");
            inner.write(&probe, body, WriteOptions::default()).await
        };
        while write().await.is_ok() {
            tokio::task::yield_now().await;
        }
        Ok(bytes::Bytes::new())
    });
    let body = Body::stream(Some(3), stream::iter([Ok("abc".into())]).chain(end));
    let slow = store
        .write(&key("slow"), body, WriteOptions::default())
        .await;
    assert_eq!(
        *slow.expect_err("the lock is lost").kind(),
        ErrorKind::LockLost
    );
    let missing = store.stat(&key("slow")).await.expect_err("no object");
    assert!(missing.is_missing_key(), "{missing}");
    guard.release().await;
}

/// Takes the lock and waits for ever; says on the way out how far it came.
const CANCELLED: &str = r#"
local store = kstate.store.open(arg[1])
local went_on, closed = false, 0
local ok, e = pcall(store.lock, store, "job", { ttl = "1s" }, function()
  local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
  store:write("a", "1")
  kstate.task.sleep("1h")
  went_on = true
end)
assert(not ok and e:is("lock_lost") and e.message:find("'job'"), tostring(e))
assert(not went_on and closed == 1)
assert(store:write("after", "1"))
error(e)
"#;

#[test]
fn a_lock_that_somebody_broke_cancels_its_function_and_then_the_run_may_write_again() {
    let desk = Desk::new();
    let mut child = script(&desk, None, CANCELLED, &[&desk.arg("state")])
        .spawn()
        .expect("the binary runs");
    wait_until(&mut child, || desk.path("state/a").exists());
    std::fs::remove_file(desk.path("state/.kstate/locks/job")).expect("broken");
    ended(child).with(4).says("lock 'job'");
    assert_eq!(names(&desk), ["a", "after"]);
}
