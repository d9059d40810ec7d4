//! How objects lie in the namespace, and what a write costs.

use futures::{StreamExt, stream};
use kstate::store::{Algorithm, Checksum, ErrorKind, ReadOptions, WriteOptions};
use serde_json::{Value, json};

use super::{NAMESPACE, key, names, noise, open, put, quick, read, scene, write};

fn secret(double: &crate::k8s_double::K8sDouble) -> Value {
    let [secret] = &double.objects("secrets", NAMESPACE)[..] else {
        panic!("not one Secret");
    };
    secret.clone()
}

#[tokio::test]
async fn an_object_is_a_secret_that_says_what_it_is() {
    let (double, store) = scene();
    let options = WriteOptions {
        content_type: Some("text/plain".into()),
        user: [("who".to_owned(), "ann".to_owned())].into(),
        ..WriteOptions::default()
    };
    put(&store, "c/config", "kind: Cluster\n".repeat(50), options)
        .await
        .expect("a write");
    let secret = secret(&double);
    assert_eq!(secret["type"], "kstate.dev/object");
    let (labels, annotations) = (
        &secret["metadata"]["labels"],
        &secret["metadata"]["annotations"],
    );
    assert_eq!(labels["app.kubernetes.io/managed-by"], "kstate");
    assert_eq!(labels["kstate.dev/role"], "object");
    assert_eq!(annotations["kstate.dev/key"], "x/c/config");
    assert_eq!(annotations["kstate.dev/size"], "700");
    assert_eq!(annotations["kstate.dev/encoding"], "gzip");
    assert_eq!(annotations["kstate.dev/content-type"], "text/plain");
    let sum = Checksum::of(Algorithm::Sha256, "kind: Cluster\n".repeat(50).as_bytes());
    assert_eq!(annotations["kstate.dev/sha256"], sum.hex());
    let told = store.stat(&key("c/config")).await.expect("metadata");
    assert_eq!(told.checksum, Some(sum));
    assert_eq!(told.user["who"], "ann");
}

#[tokio::test]
async fn a_new_small_object_is_one_request_and_a_listing_moves_no_bytes() {
    let (double, store) = scene();
    for name in ["a", "b", "c"] {
        write(&store, name, name).await;
    }
    assert_eq!(double.requests().len(), 3);
    double.reset_counts();
    assert_eq!(names(&store).await, ["a", "b", "c"]);
    let requests = double.requests();
    assert!(
        requests.iter().all(|request| request.metadata_only),
        "{requests:?}"
    );
    assert!(
        requests[0].selector.contains("kstate.dev/top="),
        "{requests:?}"
    );
}

#[tokio::test]
async fn stores_of_one_namespace_see_the_same_objects() {
    let (double, store) = scene();
    write(&store, "y/k", "1").await;
    let above = open(&double, "admin", quick(), "k8s://here/state");
    assert_eq!(names(&above).await, ["x/y/k"]);
    assert!(above.place().contains(&store.place()));
    let below = open(&double, "admin", quick(), "k8s:///state/x/y?context=here");
    assert_eq!(read(&below, "k").await.expect("the object"), b"1");
    assert_eq!(below.place(), store.at("y").place());
}

#[tokio::test]
async fn what_others_keep_in_the_namespace_is_none_of_ours() {
    let (double, store) = scene();
    write(&store, "k", "1").await;
    let other = secret(&double);
    let name = other["metadata"]["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    // A copy under another name, with all labels, as a restore may make it.
    double.edit("secrets", NAMESPACE, &name, |secret| {
        secret["metadata"]["name"] = "copied".into();
    });
    assert_eq!(names(&store).await, ["k"]);
    double.edit("secrets", NAMESPACE, "copied", |secret| {
        secret["metadata"]["labels"] = json!({});
    });
    assert_eq!(names(&store).await, ["k"]);
    assert_eq!(double.objects("secrets", NAMESPACE).len(), 2);
}

#[tokio::test]
async fn what_somebody_edited_is_not_passed_off_as_what_was_written() {
    let (double, store) = scene();
    let first = write(&store, "k", "right").await;
    let name = double.names("secrets", NAMESPACE, "ks-").remove(0);
    double.edit("secrets", NAMESPACE, &name, |secret| {
        secret["data"]["object"] = "d3Jvbmc=".into();
    });
    let error = read(&store, "k").await.expect_err("other bytes");
    assert_eq!(*error.kind(), ErrorKind::Corrupt);
    // A label alone is another version, with the same bytes.
    let again = write(&store, "k", "right").await;
    double.edit("secrets", NAMESPACE, &name, |secret| {
        secret["metadata"]["labels"]["team"] = "a".into();
    });
    assert_eq!(read(&store, "k").await.expect("the object"), b"right");
    let stale = ReadOptions {
        if_match: again.tag,
        ..ReadOptions::default()
    };
    let error = store
        .read(&key("k"), stale)
        .await
        .map(|_| ())
        .expect_err("another version");
    assert!(error.is_conflict(), "{error}");
    assert_ne!(first.tag, None);
    double.edit("secrets", NAMESPACE, &name, |secret| {
        secret["metadata"]["annotations"]["kstate.dev/size"] = "x".into();
    });
    let error = read(&store, "k").await.expect_err("a broken annotation");
    assert!(
        error.to_string().contains("kstate.dev/size was changed"),
        "{error}"
    );
}

#[tokio::test]
async fn of_32_that_overwrite_each_has_its_turn() {
    let (double, store) = scene();
    let writes = (0..32_u64).map(|racer| {
        let store = store.clone();
        async move {
            // Every other one has chunks.
            let size = if racer % 2 == 0 { 100 } else { 25_000 };
            put(&store, "k", noise(racer, size), WriteOptions::default()).await
        }
    });
    let writes: Vec<_> = stream::iter(writes).buffer_unordered(32).collect().await;
    for written in writes {
        written.expect("a write");
    }
    let bytes = read(&store, "k").await.expect("the object");
    assert!((0..32).any(|racer| bytes == noise(racer, 100) || bytes == noise(racer, 25_000)));
    let left = super::chunks(&double).len();
    assert_eq!(
        left,
        if bytes.len() > 100 { 3 } else { 0 },
        "only the winner's"
    );
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent() {
    let (double, store) = scene();
    assert_eq!(store.capabilities().max_size, Some(64 << 20));
    assert_eq!(store.capacity(), Some(2 << 30));
    let huge = kstate::store::Body::stream(Some((64 << 20) + 1), stream::empty());
    let error = store.write(&key("k"), huge, WriteOptions::default()).await;
    let error = error.expect_err("too large");
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("64"), "{error}");
    assert_eq!(double.requests(), []);
    let user = [("k".to_owned(), "v".repeat(300_000))].into();
    let options = WriteOptions {
        user,
        ..WriteOptions::default()
    };
    let error = put(&store, "k", "x", options).await.expect_err("too much");
    assert_eq!(*error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("Too long"), "{error}");
}
