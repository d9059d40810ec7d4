//! Locks on Leases, between sessions and between processes.

use std::process::Command;
use std::time::Duration;

use kstate::session::lock::{LockOptions, Strength};
use kstate::session::{Mode, Session};
use kstate::store::ErrorKind;
use serde_json::Value;

use super::{NAMESPACE, env_of};
use crate::k8s_double::{Action, Fault, K8sDouble};
use crate::lock::open;
use crate::lock::race::{COUNT, one_of_32_wins, racers};
use crate::support::{Desk, Ended};

const URL: &str = "k8s:///state/x";

fn scene() -> (Desk, K8sDouble) {
    let (desk, double) = (
        Desk::new(),
        K8sDouble::builder().namespace(NAMESPACE).start(),
    );
    desk.write("kubeconfig", double.kubeconfig("admin"));
    (desk, double)
}

fn session(desk: &Desk) -> Session {
    Session::new(env_of(desk), Mode::Direct)
}

fn lease(double: &K8sDouble) -> Value {
    let [lease] = &double.objects("leases", NAMESPACE)[..] else {
        panic!("not one lease");
    };
    lease["spec"].clone()
}

fn run(desk: &Desk, args: &[&str]) -> Ended {
    let mut command = desk.kstate(args);
    command.env("KUBECONFIG", desk.arg("kubeconfig"));
    Ended::of(command)
}

/// A lock's whole life.
pub(super) async fn take_and_break(desk: &Desk) {
    let session = session(desk);
    let store = open(&session, URL);
    let guard = session.lock(&store, "job", &LockOptions::default()).await;
    let guard = guard.expect("free");
    let status = session.lock_status(&store).await.expect("a status");
    assert_eq!(status.locks.len(), 1);
    session
        .break_locks(&store, &status.locks)
        .await
        .expect("broken");
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_a_lease_that_counts_its_holders() {
    let (desk, double) = scene();
    let session = session(&desk);
    let store = open(&session, URL);
    for round in 1..=3 {
        let guard = session.lock(&store, "job", &LockOptions::default()).await;
        let guard = guard.expect("free");
        assert_eq!(guard.record().strength, Strength::Lease);
        assert_eq!(guard.record().fencing, round);
        let lease_now = lease(&double);
        assert_eq!(lease_now["leaseTransitions"], round);
        assert_eq!(lease_now["leaseDurationSeconds"], 60);
        let holder = lease_now["holderIdentity"].as_str().expect("a holder");
        assert!(
            holder.contains(&format!("pid {}", std::process::id())),
            "{holder}"
        );
        guard.release().await;
        assert_eq!(lease(&double)["holderIdentity"], "");
        assert_eq!(lease(&double)["leaseTransitions"], round, "it goes on");
    }
    assert_eq!(
        double.objects("secrets", NAMESPACE).len(),
        0,
        "nothing beside"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_sessions_one_holds_the_lease_each_time() {
    let (desk, _double) = scene();
    let sessions = racers(|| session(&desk));
    one_of_32_wins(sessions, URL, 10, Strength::Lease).await;
}

fn script(desk: &Desk, text: &str, args: &[&str]) -> Command {
    let mut command = crate::lock::script(desk, None, text, args);
    command.env("KUBECONFIG", desk.arg("kubeconfig"));
    command
}

#[test]
fn of_several_processes_one_at_a_time_is_inside() {
    let (desk, double) = scene();
    let runs: Vec<_> = (0..4)
        .map(|_| {
            script(&desk, COUNT, &[URL, "5", "lease"])
                .spawn()
                .expect("the binary runs")
        })
        .collect();
    for run in runs {
        Ended::from(run.wait_with_output().expect("it ends")).with(0);
    }
    let ended = run(&desk, &["cat", &format!("{URL}/count")]).with(0);
    let counted: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (&counted["count"], &counted["fencing"]),
        (&20.into(), &20.into())
    );
    assert_eq!(lease(&double)["leaseTransitions"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_break_work_on_leases() {
    let (desk, double) = scene();
    run(&desk, &["lock", "status", URL])
        .with(0)
        .says("no locks on");
    let holder = session(&desk);
    let store = open(&holder, URL);
    let options = LockOptions {
        ttl: Duration::from_secs(1),
        ..LockOptions::default()
    };
    let guard = holder.lock(&store, "job", &options).await.expect("free");
    let ended = run(&desk, &["lock", "status", URL]).with(0);
    ended.says("job: held by ");
    ended.says("a lock there is lease: the service keeps a lease for it");
    run(&desk, &["lock", "break", URL, "job"])
        .with(3)
        .says("--yes");
    run(&desk, &["lock", "break", URL, "job", "--dry-run"]).with(0);
    assert_ne!(lease(&double)["holderIdentity"], "");
    let lost = guard.protect(std::future::pending::<()>());
    let lost = tokio::spawn(lost);
    run(&desk, &["lock", "break", URL, "job", "--yes"])
        .with(0)
        .says("broken");
    let error = lost.await.expect("no panic").expect_err("it was broken");
    assert_eq!(*error.kind(), ErrorKind::LockLost);
    assert!(error.to_string().contains("somebody broke it"), "{error}");
    assert_eq!(lease(&double)["holderIdentity"], "");
    run(&desk, &["lock", "status", URL])
        .with(0)
        .says("no locks on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_a_process_left_is_taken_over() {
    let (desk, double) = scene();
    let text = "local store = kstate.store.open(arg[1])\n\
        store:lock('job', function() store:write('inside', 'x') while true do end end)";
    let mut child = script(&desk, text, &[URL])
        .spawn()
        .expect("the binary runs");
    while double.objects("secrets", NAMESPACE).is_empty() {
        assert!(
            child.try_wait().expect("a child").is_none(),
            "it ended early"
        );
        std::thread::yield_now();
    }
    let session = session(&desk);
    let store = open(&session, URL);
    let refused = session.lock(&store, "job", &LockOptions::default()).await;
    let error = refused.map(|_| ()).expect_err("held");
    assert_eq!(*error.kind(), ErrorKind::Locked);
    assert!(
        error.to_string().contains(&format!("pid {}", child.id())),
        "{error}"
    );
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
    let guard = session.lock(&store, "job", &LockOptions::default()).await;
    let guard = guard.expect("its process is gone");
    assert_eq!(guard.record().fencing, 2);
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_taken_although_answers_get_lost() {
    let (desk, double) = scene();
    for (round, verb) in ["create", "update"].into_iter().enumerate() {
        double.fault(Fault::on(verb, "leases").then(Action::ResetAfterCommit));
        let session = session(&desk);
        let store = open(&session, URL);
        let guard = session.lock(&store, "job", &LockOptions::default()).await;
        let guard = guard.expect("our own");
        assert_eq!(guard.record().fencing, round as u64 + 1);
        guard.release().await;
    }
}
