//! A real API server. `tests/servers/README.md` says how to run these tests.
#![expect(clippy::expect_used, reason = "a test that panics has failed")]

use std::sync::Arc;
use std::time::Duration;

use kstate::session::lock::Strength;
use kstate::session::{Mode, Session};
use kstate::store::contract::{self, Options};
use kstate::store::k8s::{Clients, Tuning};
use kstate::store::{ErrorKind, Key, Store, StoreUrl};

use crate::lock::race::{one_of_32_wins, racers};
use crate::scripts::assert_comes_back;
use crate::support::{Desk, Ended, sample, ten_clusters};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run this as `tests/servers/with kubernetes -- \
             cargo test --locked --test it real_kubernetes -- --ignored`"
        )
    })
}

/// A place of the test's own, as the user with just the Role that a store needs.
fn place() -> String {
    let namespace = variable("KSTATE_KUBERNETES_NAMESPACE");
    format!("k8s://kstate/{namespace}/{:016x}", fastrand::u64(..))
}

fn env() -> Vec<(String, String)> {
    let file = variable("KSTATE_KUBERNETES_KUBECONFIG");
    vec![("KUBECONFIG".to_owned(), file)]
}

fn open(url: &str, tuning: Tuning) -> Arc<dyn Store> {
    let clients = Clients::with(env().into_iter().collect(), tuning);
    let url = StoreUrl::parse(url).expect("a URL");
    Arc::new(clients.open(&url).expect("a store"))
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_passes() {
    let tuning = Tuning {
        page: 40,
        ..Tuning::default()
    };
    let options = Options {
        large_size: 11 << 20,
        many: 1100,
        patience: Duration::from_mins(3),
        ..Options::default()
    };
    let report = contract::run(open(&place(), tuning), options).await;
    println!("{report}");
    assert!(report.passed(), "{report}");
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn of_32_sessions_one_holds_the_lease_each_time() {
    let (desk, url) = (Desk::new(), place());
    let mut env = env();
    env.push(("HOME".to_owned(), desk.arg("")));
    let session = || Session::new(env.iter().cloned().collect(), Mode::Direct);
    one_of_32_wins(racers(session), &url, 50, Strength::Lease).await;
}

#[ignore = "needs the servers of tests/servers"]
#[test]
fn a_store_comes_back_as_it_went_in() {
    let (desk, place) = (Desk::new(), place());
    let tree = ten_clusters().unwrap_or_else(sample);
    desk.write_tree("from", &tree);
    let run = |args: &[&str]| {
        let mut command = desk.kstate(args);
        command.envs(env());
        Ended::of(command)
    };
    run(&["sync", &desk.arg("from"), &place]).with(0);
    run(&["diff", &desk.arg("from"), &place]).with(0);
    run(&["sync", &place, &desk.arg("back")]).with(0);
    assert!(desk.tree("back") == tree);
    run(&["rm", "-r", "--yes", &place]).with(0);
}

#[ignore = "needs the servers of tests/servers"]
#[test]
fn clusters_are_moved_there_and_back() {
    let tree = ten_clusters().unwrap_or_else(sample);
    assert_comes_back(&Desk::new(), &tree, &[&place()], &env());
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test]
async fn a_user_without_rights_learns_which_are_missing() {
    let url = place().replace("//kstate/", "//limited/");
    let key = Key::parse("k").expect("a key");
    let error = open(&url, Tuning::default()).stat(&key).await;
    let error = error.expect_err("it may not");
    assert!(matches!(error.kind(), ErrorKind::PermissionDenied { .. }));
    assert!(error.hint_text().expect("a hint").contains("verbs: [get]"));
}
