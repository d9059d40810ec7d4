//! Every backend's suite, against servers that others wrote.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kstate::store::contract::{self, Options, Report};
use kstate::store::retry::Policy;
use kstate::store::s3::Tuning;
use kstate::store::{Body, Store, WriteOptions};

use super::{Service, key};
use crate::support::assert_verdict;

pub(super) fn options() -> Options {
    Options {
        large_size: 11 << 20,
        many: 1100,
        racers: 32,
        swappers: 4,
        patience: Duration::from_mins(1),
    }
}

async fn report(service: &Service) -> Report {
    let place = format!("{}/state", service.bucket().await);
    let tuning = Tuning {
        part_size: 5 << 20,
        largest_copy: 6 << 20,
        retry: Policy {
            attempts: 3,
            ..Policy::default()
        },
        ..Tuning::default()
    };
    let store: Arc<dyn Store> = Arc::new(service.open(&place, tuning));
    let report = contract::run(store, options()).await;
    println!("{report}");
    report
}

/// What only AWS is trusted with.
const AWS_ONLY: [&str; 4] = [
    "a copy keeps its preconditions",
    "delete-if-match deletes the version it names",
    "delete-if-match leaves every other version alone",
    "of many that delete a version exactly one wins",
];

/// Both servers ignore the version that a copy asks for. Once that is known, the copy's own tag
/// tells that another version was copied: the caller learns of it, but the copy is there.
const STALE_COPY: &str = "a copy is of the version that was asked for";

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn radosgw_passes_but_for_what_it_ignores() {
    let report = report(&Service::radosgw()).await;
    assert_verdict(&report, &[STALE_COPY], &AWS_ONLY);
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn moto_passes_but_for_what_it_ignores() {
    let report = report(&Service::moto()).await;
    assert_verdict(&report, &[STALE_COPY], &AWS_ONLY);
}

async fn one_of_many_creates(service: Service) {
    const RACERS: usize = 32;
    let bucket = service.bucket().await;
    let store = Arc::new(service.open(&bucket, Tuning::default()));
    let racers = (0..RACERS).map(|racer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let body = Body::from(format!("racer {racer}").into_bytes());
            store
                .write(&key("lock"), body, WriteOptions::if_absent())
                .await
        })
    });
    let mut winners = Vec::new();
    for (racer, outcome) in join_all(racers).await.into_iter().enumerate() {
        match outcome.expect("no panic") {
            Ok(_) => winners.push(racer),
            Err(error) => assert!(error.is_conflict(), "{error}"),
        }
    }
    let [winner] = winners[..] else {
        panic!("{winners:?} won");
    };
    let tree = service.tree(&bucket).await;
    assert_eq!(tree["lock"], format!("racer {winner}").into_bytes());
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn of_32_that_create_an_object_on_radosgw_one_wins() {
    one_of_many_creates(Service::radosgw()).await;
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn of_32_that_create_an_object_on_moto_one_wins() {
    one_of_many_creates(Service::moto()).await;
}
