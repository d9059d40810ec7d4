//! Every fault does what its name says, to the requests it is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;

use super::{client, refusal, text};
use crate::s3_double::{Action, Fault, S3Double};

fn double() -> S3Double {
    let double = S3Double::builder()
        .bucket("one")
        .bucket("two")
        .page_size(3)
        .start();
    for key in ["a", "b", "c", "d"] {
        double.put("one", key, vec![b'x'; 100_000]);
    }
    double
}

/// A client and a double that does this to every request.
fn always(action: Action) -> (S3Double, Client) {
    let double = double();
    double.fault(Fault::on("*").always().then(action));
    let client = client(&double);
    (double, client)
}

async fn put(client: &Client) -> Result<(), (u16, String)> {
    let put = client
        .put_object()
        .bucket("one")
        .key("new")
        .body(ByteStream::from_static(b"n"));
    let result = put.send().await;
    if result.is_ok() {
        return Ok(());
    }
    Err(refusal(result))
}

#[tokio::test]
async fn a_fault_strikes_the_requests_it_is_for() {
    let double = double();
    let client = client(&double);
    double.fault(
        Fault::on("GetObject")
            .bucket("one")
            .key("a")
            .nth(2)
            .times(2)
            .then(Action::slow_down()),
    );
    let get = |key: &str| client.get_object().bucket("one").key(key).send();
    get("b").await.unwrap();
    get("a").await.unwrap();
    assert_eq!(refusal(get("a").await), (503, "SlowDown".into()));
    client
        .head_object()
        .bucket("one")
        .key("a")
        .send()
        .await
        .unwrap();
    assert_eq!(refusal(get("a").await), (503, "SlowDown".into()));
    get("a").await.unwrap();
    assert_eq!(
        (double.count("GetObject"), double.count("HeadObject")),
        (5, 1)
    );
    double.reset_counts();
    assert!(double.requests().is_empty());
}

#[tokio::test]
async fn what_fails_before_the_commit_changes_nothing() {
    for action in [
        Action::Status(500, "InternalError"),
        Action::ResetBeforeCommit,
    ] {
        let (double, client) = always(action);
        put(&client).await.unwrap_err();
        assert!(double.get("one", "new").is_none());
        double.clear_faults();
        put(&client).await.unwrap();
    }
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let (double, client) = always(Action::slow_down());
    let put = || {
        let body = ByteStream::from(vec![b'x'; 3 << 20]);
        client
            .put_object()
            .bucket("one")
            .key("new")
            .body(body)
            .send()
    };
    assert_eq!(refusal(put().await), (503, "SlowDown".into()));
    double.clear_faults();
    put().await.unwrap();
    assert_eq!(double.object("one", "new").unwrap().content.len(), 3 << 20);
}

#[tokio::test]
async fn what_fails_after_the_commit_has_happened() {
    for (action, status) in [
        (Action::FailAfterCommit(500, "InternalError"), 500),
        (Action::ResetBeforeResponse, 0),
    ] {
        let (double, client) = always(action);
        assert_eq!(put(&client).await.unwrap_err().0, status);
        assert_eq!(double.get("one", "new").unwrap(), "n");
    }
}

#[tokio::test]
async fn bodies_break_off_end_early_or_lie() {
    let get = |client: &Client| client.get_object().bucket("one").key("a").send();
    let (_double, client) = always(Action::ResetAfter(70_000));
    let mut body = get(&client).await.unwrap().body;
    let mut got = 0;
    let broken = loop {
        match body.next().await {
            Some(Ok(chunk)) => got += chunk.len(),
            end => break end,
        }
    };
    assert!(broken.is_some_and(|end| end.is_err()));
    assert_eq!(got, 70_000);

    let (_double, client) = always(Action::TruncateBody(10));
    let short = get(&client).await.unwrap();
    assert_eq!(short.content_length(), Some(10));
    assert_eq!(text(short).await, "x".repeat(10));

    let (_double, client) = always(Action::CorruptBody);
    let bytes = text(get(&client).await.unwrap()).await;
    assert_eq!((bytes.len(), &bytes[..2]), (100_000, "yx"));
}

#[tokio::test]
async fn a_corrupt_body_fails_the_checksum_that_came_with_the_upload() {
    let (double, client) = always(Action::CorruptBody);
    let put = client
        .put_object()
        .bucket("one")
        .key("new")
        .body(ByteStream::from_static(b"n"));
    put.send().await.unwrap();
    let get = client
        .get_object()
        .bucket("one")
        .key("new")
        .send()
        .await
        .unwrap();
    assert!(
        double
            .object("one", "new")
            .unwrap()
            .checksum
            .checksum_crc32
            .is_some()
    );
    let error = get.body.collect().await.unwrap_err();
    assert!(
        format!("{error:?}").contains("ChecksumMismatch"),
        "{error:?}"
    );
}

#[tokio::test]
async fn entity_tags_lie() {
    const WRONG: Option<&str> = Some("\"00000000000000000000000000000000\"");
    let (_double, client) = always(Action::WrongEtag);
    let head = client
        .head_object()
        .bucket("one")
        .key("a")
        .send()
        .await
        .unwrap();
    assert_eq!(head.e_tag(), WRONG);
    let copy = client
        .copy_object()
        .copy_source("one/a")
        .bucket("two")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(copy.copy_object_result().unwrap().e_tag(), WRONG);
    let list = client.list_objects_v2().bucket("one").send().await.unwrap();
    assert!(list.contents().iter().all(|object| object.e_tag() == WRONG));
}

#[tokio::test]
async fn listings_lie() {
    let keys = |action| async {
        let (_double, client) = always(action);
        let page = client.list_objects_v2().bucket("one").send().await.unwrap();
        let keys = page
            .contents()
            .iter()
            .map(|object| object.key().unwrap())
            .collect::<String>();
        (
            keys,
            page.is_truncated().unwrap(),
            page.next_continuation_token().is_some(),
        )
    };
    assert_eq!(
        keys(Action::TruncatedList).await,
        ("ab".into(), false, false)
    );
    assert_eq!(
        keys(Action::TokenlessList).await,
        ("abc".into(), true, false)
    );
    assert_eq!(
        keys(Action::UnorderedList).await,
        ("cba".into(), true, true)
    );
}

#[tokio::test]
async fn answers_of_200_are_no_success() {
    let (double, client) = always(Action::ErrorIn200("InternalError"));
    let copy = client
        .copy_object()
        .copy_source("one/a")
        .bucket("two")
        .key("k")
        .send()
        .await;
    assert_eq!(refusal(copy), (200, "InternalError".into()));
    assert!(double.keys("two").is_empty());

    let (_double, client) = always(Action::Nonsense);
    let list = client.list_objects_v2().bucket("one").send().await;
    assert!(list.is_err() || list.unwrap().contents().is_empty());
    let page = client
        .get_object()
        .bucket("one")
        .key("a")
        .send()
        .await
        .unwrap();
    assert_eq!(page.content_type(), Some("text/html"));
}

#[tokio::test]
async fn a_slow_request_takes_its_time() {
    let (_double, client) = always(Action::Slow(Duration::from_millis(120)));
    let start = Instant::now();
    put(&client).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_request_that_hangs_is_never_answered() {
    for (action, written) in [(Action::Hang, false), (Action::HangAfterCommit, true)] {
        let (double, client) = always(action);
        let asked = put(&client);
        let answer = tokio::time::timeout(Duration::from_millis(200), asked).await;
        assert!(answer.is_err());
        assert_eq!(double.count("PutObject"), 1);
        assert_eq!(double.get("one", "new").is_some(), written);
    }
}

#[tokio::test]
async fn hooks_see_every_request_before_and_after_it_is_carried_out() {
    let double = Arc::new(double());
    let client = client(&double);
    let (before, after) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let exists = |double: &S3Double| double.get("one", "new").is_some();
    let (seen, weak) = (before.clone(), Arc::downgrade(&double));
    double.before_requests(move |n, request| {
        assert!(n != 2 || (request.op == "PutObject" && !exists(&weak.upgrade().unwrap())));
        seen.store(n, Ordering::SeqCst);
        None
    });
    let (seen, weak) = (after.clone(), Arc::downgrade(&double));
    double.after_requests(move |n, request| {
        assert!(n != 2 || (request.key == "new" && exists(&weak.upgrade().unwrap())));
        seen.store(n, Ordering::SeqCst);
        (n == 2).then_some(Action::ResetBeforeResponse)
    });
    client
        .head_object()
        .bucket("one")
        .key("a")
        .send()
        .await
        .unwrap();
    assert_eq!(put(&client).await.unwrap_err().0, 0);
    assert_eq!(
        (before.load(Ordering::SeqCst), after.load(Ordering::SeqCst)),
        (2, 2)
    );
    // what it answers for one request only
    double.clear_faults();
    let hook = |n: u64, _: &_| (n == 3).then_some(Action::Status(500, "InternalError"));
    double.fault(Fault::on("PutObject").always().then(Action::call(hook)));
    assert_eq!(put(&client).await.unwrap_err().0, 500);
    put(&client).await.unwrap();
}

#[tokio::test]
async fn nobody_answers_once_it_is_dropped() {
    let double = double();
    let client = client(&double);
    put(&client).await.unwrap();
    drop(double);
    let get = client.get_object().bucket("one").key("a").send().await;
    assert!(matches!(get, Err(SdkError::DispatchFailure(_))));
}
