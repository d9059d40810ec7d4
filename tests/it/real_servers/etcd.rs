//! The backend `etcd`, against Debian's etcd.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt};
use kstate::store::{ListOptions, Precondition, Store, contract};
use serde_json::{Value as Json, json};

use super::{contract::options, unique, variable};
use crate::scripts::assert_comes_back;
use crate::shipped::{self, key, names, read, write};
use crate::support::{Desk, sample, ten_clusters};

fn host() -> String {
    variable("KSTATE_ETCD_ENDPOINT").replace("http://", "")
}

/// A store in a place of its own, and the place's name.
fn open(user: &str, password: &str) -> (Arc<dyn Store>, String) {
    let place = unique();
    let url = format!("etcd://{}/{place}/state", host());
    let env = [("ETCDCTL_USER", user), ("ETCDCTL_PASSWORD", password)];
    (shipped::open(env, &url), place)
}

fn as_root() -> (Arc<dyn Store>, String) {
    let password = variable("KSTATE_ETCD_PASSWORD");
    open(&variable("KSTATE_ETCD_USER"), &password)
}

/// One call of root's, without anything of ours.
async fn ask(call: &str, question: Json) -> Json {
    let endpoint = variable("KSTATE_ETCD_ENDPOINT");
    let client = reqwest::Client::new();
    let post = async |call: &str, question: Json, token: &str| {
        let request = client.post(format!("{endpoint}/v3/{call}"));
        // An empty one is a wrong one.
        let request = match token {
            "" => request,
            token => request.header("authorization", token),
        };
        let answer = request.body(question.to_string()).send().await;
        let bytes = answer.expect("an answer").bytes().await.expect("bytes");
        serde_json::from_slice::<Json>(&bytes).expect("JSON")
    };
    let (user, password) = (
        variable("KSTATE_ETCD_USER"),
        variable("KSTATE_ETCD_PASSWORD"),
    );
    let login = json!({ "name": user, "password": password });
    // Another test may change users in between, which ends tokens.
    for _ in 0..20 {
        let token = post("auth/authenticate", login.clone(), "").await;
        let token = token["token"].as_str().expect("a token").to_owned();
        let answer = post(call, question.clone(), &token).await;
        if answer["code"].is_null() {
            return answer;
        }
        println!("{call}: {answer}");
    }
    panic!("{call} is refused");
}

fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes() {
    let (store, _) = as_root();
    let report = contract::run(store, options()).await;
    println!("{report}");
    shipped::assert_passed(&report);
}

/// Enough for pages that nobody has asked for while the first one is looked at.
const MANY: usize = 700;

/// A listing that is under way while the last object is deleted and another one comes.
async fn overtaken(is_compacted: bool) -> Vec<String> {
    let (store, place) = as_root();
    let wanted: Vec<_> = (0..MANY).map(|number| format!("k{number:04}")).collect();
    let writes = wanted.iter().map(|name| write(&store, name, "x"));
    let writes: Vec<_> = writes.collect();
    futures::stream::iter(writes)
        .buffer_unordered(16)
        .count()
        .await;

    let mut listing = store.list(ListOptions::default());
    let first = listing.next().await.expect("an entry").expect("an object");
    let last = key(wanted.last().expect("a name"));
    store
        .delete(&last, Precondition::None)
        .await
        .expect("deleted");
    write(&store, "new", "x").await;
    if is_compacted {
        let there = ask("kv/range", json!({ "key": encoded(&place) })).await;
        let revision = &there["header"]["revision"];
        let question = json!({ "revision": revision, "physical": true });
        ask("kv/compaction", question).await;
    }
    let rest: Vec<_> = listing.try_collect().await.expect("a whole listing");
    let all = [first].into_iter().chain(rest);
    let names: Vec<_> = all.map(|entry| entry.name().to_owned()).collect();
    assert!(names.is_sorted() && names[..MANY - 1] == wanted[..MANY - 1]);
    names
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_of_one_moment_unless_that_is_compacted_away() {
    // Another test compacts too, but none as soon as this.
    let of_then = overtaken(false).await;
    assert_eq!(of_then.last().expect("a name"), "k0699");
    let of_now = overtaken(true).await;
    assert_eq!(of_now.last().expect("a name"), "new");
    assert_eq!((of_then.len(), of_now.len()), (MANY, MANY));
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_user_logs_in_again_and_gets_no_further_than_its_rights() {
    let name = unique();
    let user = json!({ "name": name, "password": "hunter2" });
    ask("auth/user/add", user.clone()).await;
    ask("auth/role/add", json!({ "name": name })).await;
    ask("auth/user/grant", json!({ "user": name, "role": name })).await;
    let (store, place) = open(&name, "hunter2");
    let (key, range_end) = (encoded(&format!("{place}/")), encoded(&format!("{place}0")));
    let all = json!({ "permType": "READWRITE", "key": key, "range_end": range_end });
    ask("auth/role/grant", json!({ "name": name, "perm": all })).await;
    write(&store, "k", "x").await;

    // That ends all tokens of the user.
    ask("auth/user/changepw", user).await;
    assert_eq!(read(&store, "k").await.expect("with a new token"), "x");

    let (elsewhere, _) = open(&name, "hunter2");
    let error = read(&elsewhere, "k").await.expect_err("no right");
    assert_eq!(error.kind().name(), "permission_denied", "{error}");
    let (stranger, _) = open(&name, "hunter3");
    let error = read(&stranger, "k").await.expect_err("another password");
    assert_eq!(error.kind().name(), "permission_denied");
    let shown = format!("{error:?} {:?}", error.hint_text());
    assert!(
        shown.contains("ETCDCTL_PASSWORD") && !shown.contains("hunter"),
        "{shown}"
    );
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn what_others_put_is_an_object() {
    let (store, place) = as_root();
    for name in ["a", "b//c"] {
        let key = encoded(&format!("{place}/state/{name}"));
        ask("kv/put", json!({ "key": key, "value": encoded("theirs") })).await;
    }
    assert_eq!(read(&store, "a").await.expect("an object"), "theirs");
    let listed = names(&store, ListOptions::default()).await;
    assert_eq!(listed.len(), 2);
    assert!(listed[1].starts_with("b//c: "), "{listed:?}");
}

/// Each step proves its copies, and refuses what the next store can't hold.
#[ignore = "needs the servers of tests/servers"]
#[test]
fn clusters_are_moved_there_over_tls_then_to_webdav_and_back() {
    let tree = ten_clusters().unwrap_or_else(sample);
    let desk = Desk::new();
    let etcd = variable("KSTATE_ETCD_TLS_ENDPOINT").replace("https://", "etcd://");
    let webdav = variable("KSTATE_WEBDAV_ENDPOINT").replace("http://", "webdav://");
    let settings = format!(
        "stores:\n  etcd:\n    url: {etcd}/{place}\n    tls: \"true\"\n  webdav:\n    url: {webdav}/{place}\n",
        place = unique()
    );
    desk.write(".config/kstate/config.yaml", settings);
    let env = [
        ("ETCDCTL_USER", variable("KSTATE_ETCD_USER")),
        ("ETCDCTL_PASSWORD", variable("KSTATE_ETCD_PASSWORD")),
        ("SSL_CERT_FILE", variable("KSTATE_ETCD_CERTIFICATE")),
        ("WEBDAV_USER", variable("KSTATE_WEBDAV_USER")),
        ("WEBDAV_PASSWORD", variable("KSTATE_WEBDAV_PASSWORD")),
    ];
    assert_comes_back(&desk, &tree, &["etcd", "webdav"], &env);
}
