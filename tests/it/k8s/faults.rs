//! Passing troubles, and answers that get lost.

use kstate::store::{ErrorKind, Precondition, WriteOptions};

use super::{chunks, key, names, noise, put, read, scene, write};
use crate::k8s_double::{Action, Fault};

fn troubles() -> [Action; 6] {
    [
        Action::Plain(429, "Too many requests, please try again later.", Some(1)),
        Action::Status(429, "TooManyRequests", "slow down"),
        Action::Status(500, "InternalError", "etcdserver: leader changed"),
        Action::Status(504, "Timeout", "request did not complete"),
        Action::Plain(502, "<html>Bad Gateway</html>", None),
        Action::Reset,
    ]
}

#[tokio::test]
async fn passing_troubles_are_outwaited() {
    let (double, store) = scene();
    for (round, trouble) in troubles().into_iter().enumerate() {
        for verb in ["create", "get", "list", "delete"] {
            double.fault(Fault::on(verb, "secrets").times(2).then(trouble.clone()));
        }
        let name = format!("k{round}");
        write(&store, &name, noise(1, 25_000)).await;
        assert!(read(&store, &name).await.expect("the object") == noise(1, 25_000));
        assert_eq!(names(&store).await, [&*name]);
        let deleted = store.delete(&key(&name), Precondition::None).await;
        deleted.expect("a delete");
    }
    assert_eq!(double.objects("secrets", "state").len(), 0);
}

#[tokio::test]
async fn a_trouble_that_stays_is_told_with_its_words() {
    let (double, store) = scene();
    let trouble = Action::Status(503, "ServiceUnavailable", "apiserver is shutting down");
    double.fault(Fault::on("*", "*").always().then(trouble));
    let error = read(&store, "k").await.expect_err("no answer");
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(
        error
            .to_string()
            .contains("shutting down (ServiceUnavailable)"),
        "{error}"
    );
    assert_eq!(double.requests().len(), 4);
}

/// The request is carried out, and nobody hears of it.
fn lost_answers() -> [Action; 2] {
    [
        Action::ResetAfterCommit,
        Action::FailAfterCommit(504, "Timeout", "the request may have been carried out"),
    ]
}

#[tokio::test]
async fn writes_know_themselves_again_when_their_answer_is_lost() {
    for lost in lost_answers() {
        let (double, store) = scene();
        let lose = |verb| double.fault(Fault::on(verb, "secrets").named("ks-").then(lost.clone()));
        lose("create");
        let created = put(&store, "k", "one", WriteOptions::if_absent()).await;
        let created = created.expect("our own");
        lose("update");
        let options = WriteOptions::if_match(created.tag.expect("a tag"));
        let swapped = put(&store, "k", "two", options).await.expect("our own");
        let told = store.stat(&key("k")).await.expect("metadata");
        assert_eq!(swapped.tag, told.tag);
        lose("update");
        write(&store, "k", "three").await;
        lose("create");
        write(&store, "new", "four").await;
        assert_eq!(read(&store, "k").await.expect("the object"), b"three");
        lose("delete");
        let told = store.stat(&key("k")).await.expect("metadata");
        let this = Precondition::IfMatch(told.tag.expect("a tag"));
        store.delete(&key("k"), this).await.expect("our own");
        lose("delete");
        store
            .delete(&key("new"), Precondition::None)
            .await
            .expect("our own");
        assert_eq!(names(&store).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_write_with_the_same_bytes_by_another_is_not_taken_for_our_own() {
    for lost in lost_answers() {
        let (double, store) = scene();
        write(&store, "k", "same").await;
        double.fault(Fault::on("create", "secrets").then(lost));
        let created = put(&store, "k", "same", WriteOptions::if_absent()).await;
        assert!(created.expect_err("it was there").is_conflict());
    }
}

#[tokio::test]
async fn chunks_stay_while_nobody_knows_whether_the_object_names_them() {
    let (double, store) = scene();
    // The object is written, and all that is heard of it is a proxy's page.
    for _ in 0..4 {
        let lost = Action::FailAfterCommit(504, "Timeout", "perhaps");
        double.fault(Fault::on("create", "secrets").named("ks-chunk-").then(lost));
    }
    write(&store, "k", noise(1, 35_000)).await;
    assert_eq!(chunks(&double).len(), 4);
    assert!(read(&store, "k").await.expect("the object") == noise(1, 35_000));
    let lost = Action::FailAfterCommit(504, "Timeout", "perhaps");
    let gone = Action::Status(503, "ServiceUnavailable", "no");
    double.fault(Fault::on("update", "secrets").then(lost));
    double.fault(Fault::on("update", "secrets").nth(2).always().then(gone));
    put(&store, "k", noise(2, 35_000), WriteOptions::default())
        .await
        .expect_err("nobody knows");
    assert!(read(&store, "k").await.expect("the object") == noise(2, 35_000));
}

#[tokio::test]
async fn other_bytes_than_were_sent_are_noticed() {
    let (double, store) = scene();
    double.fault(Fault::on("create", "secrets").then(Action::Garble));
    let error = put(&store, "k", "x", WriteOptions::default()).await;
    assert_eq!(*error.expect_err("other bytes").kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_page_of_something_else_is_no_api_server() {
    let (double, store) = scene();
    double.fault(Fault::on("get", "secrets").then(Action::Plain(200, "<html>log in</html>", None)));
    let error = read(&store, "k").await.expect_err("a login page");
    assert_eq!(*error.kind(), ErrorKind::Corrupt);
    assert!(
        error.hint_text().expect("a hint").contains("API server"),
        "{error}"
    );
}
