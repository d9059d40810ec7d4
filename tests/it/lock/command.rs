//! `kstate lock`, and the commands and scripts that take the lock of a store.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use kstate::session::Mode;
use kstate::session::lock::{Guard, STORE_LOCK};

use super::{at_once, open, session, trust};
use crate::s3_double::S3Double;
use crate::scripts::{bucket, double_with, is_write, move_all, move_on};
use crate::support::{Desk, Ended, sample};

/// Somebody else's lock, in this process.
pub(crate) async fn held(desk: &Desk, double: Option<&S3Double>, url: &str, name: &str) -> Guard {
    let session = session(desk, double, Mode::Direct);
    let store = open(&session, url);
    session.lock(&store, name, &at_once()).await.expect("free")
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_who_holds_what_and_what_it_is_worth() {
    let desk = Desk::new();
    let state = desk.arg("state");
    desk.write("state/c/x", "1");
    desk.run(&["lock", "status", &state])
        .with(0)
        .says("no locks on");
    let guard = held(&desk, None, &state, "store").await;
    let ended = desk.run(&["lock", "status", &state]).with(0);
    ended.says("store: held by ");
    ended.says(&format!("pid {}", std::process::id()));
    ended.says("a lock there is atomic: its conditional writes are known to hold");
    let json = desk
        .run(&["lock", "status", &state, "--json"])
        .with(0)
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["strength"], "atomic");
    let lock = &json["locks"][0];
    assert_eq!(lock["name"], "store");
    assert_eq!(lock["pid"], std::process::id());
    assert_eq!(lock["fencing"], guard.record().fencing);
    assert_eq!(
        (&lock["expired"], &lock["ttl_seconds"]),
        (&false.into(), &60.into())
    );
    guard.release().await;
    assert!(!desk.path("state/.kstate").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_status_writes_nothing_and_knows_what_a_probe_saw() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("bucket").start());
    let status = |desk: &Desk| {
        let mut run = desk.kstate(&["lock", "status", "s3://bucket"]);
        run.envs(double.env());
        Ended::of(run).with(0)
    };
    status(&desk).says("is found out when the first one is taken");
    let written = double.requests();
    assert!(
        !written.iter().any(|request| is_write(&request.op)),
        "{written:?}"
    );
    let guard = held(&desk, Some(&double), "s3://bucket", "job").await;
    status(&desk).says("let one win each time");
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn break_asks_first_and_takes_away_what_was_shown() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("bucket").start());
    trust(&desk, &double, &["bucket"]);
    let _guard = held(&desk, Some(&double), "s3://bucket", "job").await;
    let run = |args: &[&str]| {
        let mut run = desk.kstate(args);
        run.envs(double.env());
        Ended::of(run)
    };
    let near = run(&["lock", "break", "s3://bucket", "jab"]).with(1);
    near.says("did you mean 'job'");
    let ended = run(&["lock", "break", "s3://bucket", "job"]).with(3);
    ended.says("job: held by ");
    ended.says("--yes");
    run(&["lock", "break", "s3://bucket", "job", "--dry-run"]).with(0);
    assert_eq!(double.keys("bucket"), [".kstate/locks/job"]);
    run(&["lock", "break", "s3://bucket", "job", "--yes"])
        .with(0)
        .says("broken");
    assert_eq!(double.keys("bucket"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_changes_while_it_is_broken_stays() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("bucket").start());
    trust(&desk, &double, &["bucket"]);
    let _guard = held(&desk, Some(&double), "s3://bucket", "job").await;
    let key = ".kstate/locks/job";
    let text =
        String::from_utf8(double.get("bucket", key).expect("a lock").to_vec()).expect("text");
    let renewed = text.replace("\"renewals\": 0", "\"renewals\": 1");
    let double = Arc::new(double);
    let service = Arc::downgrade(&double);
    let write = renewed.clone();
    // Once it was read for the person, its holder renews it.
    double.after_requests(move |_, request| {
        if request.op == "GetObject" && request.key == key {
            service.upgrade()?.put("bucket", key, write.clone());
        }
        None
    });
    let mut run = desk.kstate(&["lock", "break", "s3://bucket", "job", "--yes"]);
    run.envs(double.env());
    Ended::of(run).with(4);
    assert_eq!(double.get("bucket", key).expect("a lock"), renewed);
}

#[test]
fn an_object_that_cant_be_read_is_shown_and_can_be_broken() {
    let desk = Desk::new();
    let state = desk.arg("state");
    desk.write("state/.kstate/locks/store", "by hand");
    desk.write("source/c/x", "1");
    let source = desk.arg("source");
    let ended = desk.run(&["sync", &source, &state]).with(1);
    ended.says("no lock that can be read");
    ended.says("kstate lock break");
    assert!(!desk.path("state/c").exists());
    desk.run(&["lock", "status", &state])
        .with(0)
        .says("can't be read");
    desk.run(&["lock", "break", &state, "store", "--yes"])
        .with(0);
    desk.run(&["sync", &source, &state]).with(0);
    assert!(!desk.path("state/.kstate").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_waits_for_the_lock_of_its_target_and_says_for_whom() {
    let desk = Desk::new();
    desk.write("source/c/x", "1");
    let (source, state) = (desk.arg("source"), desk.arg("state"));
    let guard = held(&desk, None, &state, STORE_LOCK).await;
    for command in [&["sync"][..], &["cp", "-r"]] {
        let args = [command, &[&source, &state, "--lock-wait", "0s"]].concat();
        let ended = desk.run(&args).with(4);
        ended.says(&format!("pid {}", std::process::id()));
        ended.says(".kstate/locks/store");
    }
    assert!(!desk.path("state/c").exists());

    let mut run = desk.kstate(&["sync", &source, &state]);
    run.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = run.spawn().expect("the binary runs");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let line = said.next().expect("a line").expect("text");
    assert!(
        line.starts_with("waiting for the lock 'store' on "),
        "{line}"
    );
    assert!(line.contains("held by"), "{line}");
    guard.release().await;
    let more: Vec<_> = said.map_while(Result::ok).collect();
    assert!(child.wait().expect("it ends").success());
    assert!(
        !more.iter().any(|line| line.contains("waiting")),
        "{more:?}"
    );
    assert_eq!(desk.tree("state").into_keys().collect::<Vec<_>>(), ["c/x"]);
    assert!(!desk.path("state/.kstate").exists());
}

#[test]
fn a_source_that_is_not_there_makes_no_target() {
    let desk = Desk::new();
    let (source, state) = (desk.arg("source"), desk.arg("state"));
    desk.run(&["sync", &source, &state]).with(1);
    assert!(!desk.path("state").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_and_a_retirement_take_their_turn() {
    let desk = Desk::new();
    let (old, new) = (desk.arg("old"), desk.arg("new"));
    desk.write_tree("old", &sample());
    let guard = held(&desk, None, &new, STORE_LOCK).await;
    move_all(&desk, &old, &new, &["--lock-wait", "0s"])
        .with(4)
        .says("held by");
    assert_eq!(
        desk.tree("new").into_keys().collect::<Vec<_>>(),
        [".kstate/locks/store"]
    );
    // The source is never written, so nobody need be asked there.
    guard.release().await;
    let guard = held(&desk, None, &old, STORE_LOCK).await;
    move_all(&desk, &old, &new, &[]).with(0);
    let retire = [
        "run",
        "retire_bucket",
        "--from",
        &old,
        "--to",
        &new,
        "--all-clusters",
        "--yes",
    ];
    let retire = [&retire[..], &["--lock-wait", "0s"]].concat();
    desk.run(&retire).with(4).says("held by");
    guard.release().await;
    let guard = held(&desk, None, &new, STORE_LOCK).await;
    desk.run(&retire).with(4).says("held by");
    guard.release().await;
    assert!(!desk.path("new/.kstate").exists() && !desk.path("old/.kstate").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_asks_nobody_and_writes_nothing() {
    let desk = Desk::new();
    let double = double_with(&sample());
    let url = "s3://new-state-store";
    trust(&desk, &double, &["new-state-store"]);
    let guard = held(&desk, Some(&double), url, STORE_LOCK).await;
    double.reset_counts();
    let ended = move_on(&desk, &double, "s3://old-state-store", url, &["--dry-run"]).with(0);
    assert!(!ended.stdout.contains(".kstate"), "{}", ended.stdout);
    let text = r#"
local store = kstate.store.open("s3://new-state-store")
store:lock("store", { min_strength = "atomic" }, function(lock)
  assert(lock.fencing > 0 and lock.strength == "atomic" and lock.name == "store")
  local ok, e = pcall(store.lock, store, "store", print)
  assert(not ok and e:is("locked"), "the real run would say so too")
  store:write("a", "1")
end)
"#;
    desk.write("lock.lua", text);
    let mut run = desk.kstate(&["--dry-run", "run", &desk.arg("lock.lua")]);
    run.envs(double.env());
    Ended::of(run).with(0).says("+ s3://new-state-store/a");
    let requests = double.requests();
    let written: Vec<_> = requests
        .iter()
        .filter(|request| is_write(&request.op))
        .collect();
    assert!(written.is_empty(), "{written:?}");
    let keys: Vec<_> = bucket(&double, "new-state-store").into_keys().collect();
    assert_eq!(keys, [".kstate/locks/store"]);
    guard.release().await;
}

#[tokio::test]
async fn a_session_knows_which_locks_it_took() {
    let desk = Desk::new();
    for mode in [Mode::Direct, Mode::DryRun] {
        let session = session(&desk, None, mode);
        let store = open(&session, "memfs://b/state");
        for name in ["one", "two", "one"] {
            let folder = store.at("c.example.com");
            let guard = session.lock(&folder, name, &at_once()).await.expect("free");
            guard.release().await;
        }
        let taken = session.locks_taken();
        let taken: Vec<_> = taken
            .iter()
            .map(|lock| (lock.store.to_string(), lock.name.as_str()))
            .collect();
        let url = "memfs://b/state".to_owned();
        assert_eq!(taken, [(url.clone(), "one"), (url, "two")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_write_is_refused_as_without_a_lock() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("bucket").start());
    trust(&desk, &double, &["bucket"]);
    double.deny("main", "PutObject", "bucket", "");
    desk.write("source/c/x", "1");
    let mut run = desk.kstate(&["sync", &desk.arg("source"), "s3://bucket"]);
    run.envs(double.env());
    Ended::of(run).with(1).says("s3:PutObject");
}
