//! The backend `webdav`, against Apache.

use std::fs::{File, FileTimes};
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kstate::store::contract::{self, Options};
use kstate::store::{Algorithm, Body, Checksum, ListOptions, Precondition, Store, WriteOptions};
use reqwest::{Method, Response};

use super::{contract::options, unique, variable};
use crate::shipped::{self, key, names, read, write};
use crate::support::{Desk, Ended};

fn host() -> String {
    variable("KSTATE_WEBDAV_ENDPOINT").replace("http://", "")
}

/// A place of a test's own on the server.
struct Place(String);

impl Place {
    fn new() -> Self {
        Self(unique())
    }

    fn open(&self) -> Arc<dyn Store> {
        self.open_with(&variable("KSTATE_WEBDAV_PASSWORD"))
    }

    fn open_with(&self, password: &str) -> Arc<dyn Store> {
        let user = variable("KSTATE_WEBDAV_USER");
        let env = [
            ("WEBDAV_USER", user.as_str()),
            ("WEBDAV_PASSWORD", password),
        ];
        shipped::open(env, &format!("webdav://{}/{}", host(), self.0))
    }

    /// Where it lies on the server's disk.
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(variable("KSTATE_WEBDAV_FILES"))
            .join(&self.0)
            .join(name)
    }

    /// A request of another program.
    async fn ask(&self, method: &str, name: &str, body: &'static str) -> Response {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let url = format!("http://{}/{}/{name}", host(), self.0);
        let request = reqwest::Client::new().request(method, url);
        let request = request.header("authorization", authorization()).body(body);
        request.send().await.expect("an answer")
    }

    /// Where an object is held.
    fn hold_of(name: &str) -> String {
        let hash = Checksum::of(Algorithm::Sha256, name.as_bytes()).hex();
        format!(".kstate-hold-{}", &hash[..16])
    }
}

fn authorization() -> String {
    let (user, password) = (
        variable("KSTATE_WEBDAV_USER"),
        variable("KSTATE_WEBDAV_PASSWORD"),
    );
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes() {
    // There are no pages, so that fewer objects show as much.
    let options = Options {
        many: 200,
        ..options()
    };
    let report = contract::run(Place::new().open(), options).await;
    println!("{report}");
    shipped::assert_passed(&report);
}

/// What a kill in the middle of an upload leaves: the server writes beside the file, and renames.
#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_breaks_off_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    write(&store, "k", "old").await;
    let mut line = TcpStream::connect(host()).expect("a connection");
    write!(
        line,
        "PUT /{}/k HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\ncontent-length: 100\r\n\r\nnew",
        place.0,
        host(),
        authorization()
    )
    .expect("sent");
    drop(line);
    assert_eq!(read(&store, "k").await.expect("an object"), "old");
    assert_eq!(names(&store, ListOptions::default()).await, ["k"]);
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn folders_come_and_go_without_a_word() {
    let place = Place::new();
    let store = place.open();
    write(&store, "a/b/c", "x").await;
    let inner = WriteOptions::default();
    let error = store
        .write(&key("a/b"), Body::from("y"), inner.clone())
        .await;
    let error = error.expect_err("a/b/c is there");
    assert_eq!(error.kind().name(), "unsupported", "{error}");
    let below = store.write(&key("a/b/c/d"), Body::from("y"), inner).await;
    assert_eq!(
        below.expect_err("a/b/c is there").kind().name(),
        "unsupported"
    );
    assert_eq!(read(&store, "a/b/c").await.expect("an object"), "x");

    store
        .delete(&key("a/b/c"), Precondition::None)
        .await
        .expect("deleted");
    assert!(place.path("a/b").is_dir());
    let one_level = ListOptions {
        one_level: true,
        ..ListOptions::default()
    };
    assert_eq!(names(&store, one_level).await, [""; 0]);
    write(&store, "a", "in the place of empty folders").await;
    assert_eq!(names(&store, ListOptions::default()).await, ["a"]);
    // What isn't there is deleted without making anything.
    store
        .delete(&key("no/such"), Precondition::None)
        .await
        .expect("deleted");
    assert!(!place.path("no").exists());
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn other_programs_are_noticed() {
    let place = Place::new();
    let store = place.open();
    let mine = write(&store, "k", "mine").await;
    assert_eq!(place.ask("PUT", "k", "theirs").await.status(), 204);
    let how = WriteOptions::if_match(mine.tag.expect("a tag"));
    let error = store.write(&key("k"), Body::from("new"), how).await;
    assert!(error.expect_err("theirs is there").is_conflict());

    let lock = "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope>\
                <locktype><write/></locktype></lockinfo>";
    assert_eq!(place.ask("LOCK", "k", lock).await.status(), 200);
    let how = WriteOptions::default();
    let error = store.write(&key("k"), Body::from("new"), how).await;
    let error = error.expect_err("it is locked");
    assert!(
        error.message().contains("another program has locked it"),
        "{error}"
    );
    assert_eq!(read(&store, "k").await.expect("an object"), "theirs");
    // A name that is locked is no object yet.
    assert_eq!(place.ask("LOCK", "name", lock).await.status(), 200);
    assert_eq!(names(&store, ListOptions::default()).await, ["k"]);
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_held_is_waited_for_until_its_holder_must_be_gone() {
    let place = Place::new();
    let store = place.open();
    write(&store, "k", "old").await;
    let hold = Place::hold_of("k");
    assert_eq!(place.ask("MKCOL", &hold, "").await.status(), 201);
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { write(&store, "k", "new").await }
    });
    // Another object is free meanwhile.
    write(&store, "free", "x").await;
    assert_eq!(read(&store, "k").await.expect("an object"), "old");
    assert!(!waiting.is_finished());
    assert_eq!(place.ask("DELETE", &hold, "").await.status(), 204);
    waiting.await.expect("it was written");

    assert_eq!(place.ask("MKCOL", &hold, "").await.status(), 201);
    let long_ago = SystemTime::now() - Duration::from_mins(3);
    let folder = File::open(place.path(&hold)).expect("the folder");
    let times = FileTimes::new().set_modified(long_ago);
    folder.set_times(times).expect("another time");
    write(&store, "k", "newer").await;
    assert_eq!(read(&store, "k").await.expect("an object"), "newer");
    assert_eq!(names(&store, ListOptions::default()).await, ["free", "k"]);
    assert!(!place.path(&hold).exists());
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_without_it() {
    let place = Place::new();
    let store = place.open_with("hunter2");
    let error = read(&store, "k").await.expect_err("no right");
    assert_eq!(error.kind().name(), "permission_denied");
    let shown = format!("{error:?} {:?}", error.hint_text());
    assert!(shown.contains("WEBDAV_PASSWORD"), "{shown}");
    let encoded = STANDARD.encode(format!("{}:hunter2", variable("KSTATE_WEBDAV_USER")));
    assert!(
        !shown.contains("hunter") && !shown.contains(&encoded),
        "{shown}"
    );
}

/// The probe races, and finds what Apache alone would not keep.
#[ignore = "needs the servers of tests/servers"]
#[test]
fn a_lock_there_is_atomic() {
    let desk = Desk::new();
    let url = format!("webdav://{}/{}", host(), unique());
    let script = format!(
        "local store = kstate.store.open('{url}')
         store:lock('here', function(lock) print(lock.strength) end)"
    );
    desk.write("lock.lua", script);
    let mut command = desk.kstate(&["run", &desk.arg("lock.lua")]);
    command.env("WEBDAV_USER", variable("KSTATE_WEBDAV_USER"));
    command.env("WEBDAV_PASSWORD", variable("KSTATE_WEBDAV_PASSWORD"));
    assert_eq!(Ended::of(command).with(0).stdout, "atomic\n");
}
