//! Copies that the service makes.

use std::sync::Arc;

use kstate::store::rest::Tuning;
use kstate::store::{Meta, Precondition, Result, Store, WriteOptions};

use super::{Opener, get, key, noise, put, quick, write};
use crate::azure_double;
use crate::http_double::Fault;

async fn copy(
    to: &Arc<dyn Store>,
    from: (&Arc<dyn Store>, &Meta),
    name: &str,
    options: &WriteOptions,
) -> Result<Option<Meta>> {
    to.copy_from(from.0, from.1, &key(name), options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_or_in_blocks_within_an_account_and_between_two() {
    let described = WriteOptions {
        content_type: Some("text/x".to_owned()),
        user: [("who".to_owned(), "me".to_owned())].into(),
        ..WriteOptions::if_absent()
    };
    for (largest, size) in [(None, 90 << 10), (Some(100 << 10), 250 << 10)] {
        let double = azure_double::start();
        double.service().largest_copy = 100 << 10;
        let tuning = Tuning {
            largest_copy: largest,
            ..quick()
        };
        let opener = Opener::new(&double, tuning);
        let here = opener.open("first", "container/state");
        let bytes = noise(size);
        let wrote = write(&here, "k", bytes.clone(), described.clone()).await;
        let from = wrote.expect("a write");
        for (account, place) in [("first", "second"), ("other", "container/state")] {
            let there = opener.open(account, place);
            let options = WriteOptions::if_absent();
            let copied = copy(&there, (&here, &from), "c", &options).await;
            let copied = copied.expect("a copy").expect("on the server");
            assert_eq!((copied.size, &copied.checksum), (from.size, &from.checksum));
            let told = there.stat(&key("c")).await.expect("the copy");
            assert_eq!(told.tag, copied.tag);
            assert_eq!(told.content_type.as_deref(), Some("text/x"));
            assert_eq!(told.user, described.user);
            assert!(get(&there, "c").await == bytes);
            let again = copy(&there, (&here, &from), "c", &options).await;
            let error = again.expect_err("it exists");
            assert_eq!(error.kind().name(), "already_exists");
        }
        put(&here, "k", "new").await;
        let stale = copy(&here, (&here, &from), "d", &WriteOptions::default()).await;
        let error = stale.expect_err("another version");
        assert_eq!(error.kind().name(), "precondition_failed");
        assert_eq!(error.key(), Some("k"));
        let gone = here.delete(&key("k"), Precondition::None).await;
        gone.expect("a delete");
        let stale = copy(&here, (&here, &from), "d", &WriteOptions::default()).await;
        let error = stale.expect_err("no source");
        assert!(error.key() == Some("k"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_refuses_is_streamed_and_asked_for_once() {
    let double = azure_double::start();
    double.service().refuses_copies = true;
    let opener = Opener::new(&double, quick());
    let here = opener.open("first", "container");
    let there = opener.open("other", "container");
    let from = put(&here, "k", "bytes").await;
    double.requests();
    let options = WriteOptions::default();
    for _ in 0..2 {
        let copied = copy(&there, (&here, &from), "k", &options).await;
        assert!(copied.expect("no failure").is_none());
    }
    assert_eq!(double.requests().len(), 1);
    let within = copy(&here, (&here, &from), "l", &options).await;
    assert!(within.expect("no failure").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_copy_whose_answer_was_lost_knows_itself() {
    let double = azure_double::start();
    let store = Opener::new(&double, quick()).open("first", "container");
    let from = put(&store, "k", "bytes").await;
    let options = WriteOptions::if_absent();
    double.once(|_| true, Fault::LoseAnswer);
    let copied = copy(&store, (&store, &from), "l", &options).await;
    let copied = copied.expect("its own copy").expect("on the server");
    let told = store.stat(&key("l")).await.expect("the copy");
    assert_eq!(copied.tag, told.tag);
    put(&store, "m", "other").await;
    double.once(|_| true, Fault::FailAfter(500));
    let refused = copy(&store, (&store, &from), "m", &options).await;
    assert_eq!(refused.expect_err("theirs").kind().name(), "already_exists");
}
