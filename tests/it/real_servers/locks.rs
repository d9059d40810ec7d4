//! Locks on servers that others wrote: what the probe says must be what the races show.

use std::sync::Arc;

use kstate::session::lock::{LockOptions, Strength};
use kstate::session::{Mode, Session};
use kstate::store::{Store, StoreUrl};

use super::Service;
use crate::lock::race::{one_of_32_wins, racers};
use crate::support::Desk;

fn session(desk: &Desk, service: &Service) -> Session {
    let mut env = service.env();
    env.push(("HOME".to_owned(), desk.arg("")));
    env.push(("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()));
    Session::new(env.into_iter().collect(), Mode::Direct)
}

fn open(session: &Session, url: &str) -> Arc<dyn Store> {
    let url = StoreUrl::parse(url).expect("a URL");
    session.open(&url).expect("a store")
}

/// What the probe says of a server, and the races when it says atomic.
async fn race(service: &Service) -> Strength {
    let desk = Desk::new();
    let bucket = service.bucket().await;
    let url = service.url(&format!("{bucket}/state"));
    let first = session(&desk, service);
    let store = open(&first, &url);
    let guard = first.lock(&store, "race", &LockOptions::default()).await;
    let guard = guard.expect("free");
    let strength = guard.record().strength;
    guard.release().await;
    let status = first.lock_status(&store).await.expect("a status");
    println!("{}: {:?}", service.endpoint, status.judgement);
    if strength == Strength::Atomic {
        one_of_32_wins(
            racers(|| session(&desk, service)),
            &url,
            200,
            Strength::Atomic,
        )
        .await;
    }
    assert!(service.tree(&bucket).await.is_empty(), "nothing stays");
    strength
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn of_32_on_radosgw_one_holds_the_lock_each_time() {
    assert_eq!(race(&Service::radosgw()).await, Strength::Atomic);
}

/// Its handlers run on threads, and none promises that checking and writing are one step.
/// Whatever the probe has seen, the races must agree with it.
#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn on_moto_the_verdict_and_the_races_agree() {
    race(&Service::moto()).await;
}
