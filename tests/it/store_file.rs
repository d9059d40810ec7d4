//! The file store between processes: races, kills, full and read-only file systems.
//!
//! The other processes are this test binary, told by the environment which part to play.

#![expect(
    clippy::disallowed_methods,
    reason = "other processes, and what they leave on the disk"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use kstate::store::file::FileStore;
use kstate::store::{
    Body, ErrorKind, Key, ListOptions, Precondition, ReadOptions, Result, Store, StoreUrl,
    WriteOptions,
};

const ROLE: &str = "KSTATE_TEST_ROLE";
const FOLDER: &str = "KSTATE_TEST_FOLDER";
const ROUNDS: usize = 30;
const VERSION: usize = 1 << 20;

fn open(folder: &Path) -> FileStore {
    let url = StoreUrl::parse(folder.to_str().expect("UTF-8")).expect("a path");
    FileStore::open(&url).expect("a store")
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

async fn put(store: &FileStore, name: &str, bytes: Vec<u8>) -> Result<()> {
    store
        .write(&key(name), bytes.into(), WriteOptions::default())
        .await
        .map(drop)
}

async fn get(store: &FileStore, name: &str) -> Result<Bytes> {
    store
        .read(&key(name), ReadOptions::default())
        .await?
        .body
        .collect(u64::MAX)
        .await
}

async fn names(store: &FileStore) -> Vec<String> {
    let entries: Vec<_> = store
        .list(ListOptions::default())
        .try_collect()
        .await
        .expect("a listing");
    entries
        .iter()
        .map(|entry| entry.name().to_owned())
        .collect()
}

fn command(program: &str, role: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env(ROLE, role)
        .env(FOLDER, folder)
        .stdin(Stdio::null());
    command
}

fn play(command: &mut Command) -> &mut Command {
    command.args(["--exact", "store_file::part", "--ignored", "--nocapture"])
}

fn this_binary() -> String {
    let path = std::env::current_exe().expect("this binary");
    path.to_str().expect("UTF-8").to_owned()
}

fn spawn(role: &str, folder: &Path) -> Child {
    let mut command = command(&this_binary(), role, folder);
    play(&mut command)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process")
}

/// Waits until another process has said so.
fn ready(child: &mut Child) {
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let said = lines
        .map_while(std::io::Result::ok)
        .any(|line| line.contains("ready"));
    assert!(said, "the process ended early");
}

#[tokio::test]
#[ignore = "played by other processes, for the tests below"]
async fn part() {
    let (Ok(role), Ok(folder)) = (std::env::var(ROLE), std::env::var(FOLDER)) else {
        return;
    };
    let store = open(Path::new(&folder));
    match role.as_str() {
        "race" => race(&store).await,
        "overwrite" => overwrite(&store).await,
        "stall" => stall(&store).await,
        "full" => full(&store).await,
        "read-only" => refused(&store, "read-only").await,
        "denied" => refused(&store, "permission denied").await,
        other => panic!("no part is called {other}"),
    }
}

/// Increments a counter, and creates objects that the others create too.
async fn race(store: &FileStore) {
    let me = std::process::id();
    for round in 0..ROUNDS {
        loop {
            let current = store
                .stat(&key("shared/counter"))
                .await
                .expect("the counter");
            let tag = current.tag.expect("a tag");
            let text = get(store, "shared/counter").await.expect("the counter");
            let number: usize = String::from_utf8_lossy(&text).parse().expect("a number");
            let next = (number + 1).to_string().into_bytes();
            let swap = WriteOptions::if_match(tag);
            match store.write(&key("shared/counter"), next.into(), swap).await {
                Ok(_) => break,
                Err(error) => assert!(error.is_conflict(), "{error}"),
            }
        }
        let created = key(&format!("created/{round}/object"));
        match store
            .write(&created, "x".into(), WriteOptions::if_absent())
            .await
        {
            Ok(_) => {
                put(store, &format!("won/{round}/{me}"), Vec::new())
                    .await
                    .expect("a write");
            }
            Err(error) => assert_eq!(*error.kind(), ErrorKind::AlreadyExists),
        }
    }
}

#[tokio::test]
async fn conditions_hold_between_processes() {
    const PROCESSES: usize = 4;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    put(&store, "shared/counter", b"0".to_vec())
        .await
        .expect("a write");
    let children: Vec<_> = (0..PROCESSES)
        .map(|_| spawn("race", folder.path()))
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("its end");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let counter = get(&store, "shared/counter").await.expect("the counter");
    assert_eq!(counter, (PROCESSES * ROUNDS).to_string());
    let won = names(&store)
        .await
        .into_iter()
        .filter(|name| name.starts_with("won/"))
        .count();
    assert_eq!(won, ROUNDS, "each object has one creator");
    drop(store);
    assert!(
        !folder.path().join(".kstate").exists(),
        "nothing is left behind"
    );
}

async fn overwrite(store: &FileStore) {
    println!("ready");
    for byte in (b'a'..=b'z').cycle() {
        put(store, "folder/k", vec![byte; VERSION])
            .await
            .expect("a write");
    }
}

#[tokio::test]
async fn a_killed_writer_leaves_one_version_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    put(&store, "folder/k", vec![b'a'; VERSION])
        .await
        .expect("a write");
    for _ in 0..5 {
        let mut child = spawn("overwrite", folder.path());
        ready(&mut child);
        let before = store.stat(&key("folder/k")).await.expect("it").tag;
        while store.stat(&key("folder/k")).await.expect("it").tag == before {}
        child.kill().expect("a kill");
        child.wait().expect("its end");
        let bytes = get(&store, "folder/k").await.expect("the object");
        assert_eq!(bytes.len(), VERSION);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(names(&store).await, ["folder/k"]);
        // No lock outlives its process.
        let tag = store
            .stat(&key("folder/k"))
            .await
            .expect("it")
            .tag
            .expect("a tag");
        let swap = WriteOptions::if_match(tag);
        store
            .write(&key("folder/k"), "next".into(), swap)
            .await
            .expect("a swap");
    }
}

async fn stall(store: &FileStore) {
    let chunks = stream::iter([Ok(Bytes::from(vec![1; 2 << 20]))]).chain(stream::once(async {
        println!("ready");
        std::future::pending().await
    }));
    let body = Body::stream(None, chunks);
    let _ = store
        .write(&key("folder/k"), body, WriteOptions::default())
        .await;
}

#[tokio::test]
async fn a_half_written_file_of_a_killed_process_is_never_seen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    put(&store, "folder/k", b"old".to_vec())
        .await
        .expect("a write");
    let mut child = spawn("stall", folder.path());
    ready(&mut child);
    child.kill().expect("a kill");
    child.wait().expect("its end");
    let left = std::fs::read_dir(folder.path().join(".kstate/tmp")).expect("the staging folder");
    assert_eq!(left.count(), 1, "the kill came in the middle");
    assert_eq!(names(&store).await, ["folder/k"]);
    assert_eq!(get(&store, "folder/k").await.expect("the object"), "old");
}

async fn full(store: &FileStore) {
    put(store, "folder/k", b"old".to_vec())
        .await
        .expect("a small write");
    let error = put(store, "folder/k", vec![1; 4 << 20])
        .await
        .expect_err("no space");
    assert!(error.to_string().contains("no space left"), "{error}");
    assert!(error.hint_text().is_some() && !error.is_retryable());
    let error = put(store, "new/k", vec![1; 4 << 20])
        .await
        .expect_err("no space");
    assert_eq!(*error.kind(), ErrorKind::Other);
    assert_eq!(get(store, "folder/k").await.expect("the old one"), "old");
    assert_eq!(names(store).await, ["folder/k"]);
    put(store, "folder/k", b"new".to_vec())
        .await
        .expect("the space is free again");
}

async fn refused(store: &FileStore, said: &str) {
    assert_eq!(get(store, "k").await.expect("a read"), "old");
    let written = put(store, "k", b"new".to_vec())
        .await
        .expect_err("a refusal");
    let deleted = store
        .delete(&key("k"), Precondition::None)
        .await
        .expect_err("a refusal");
    for error in [written, deleted] {
        assert!(error.to_string().contains(said), "{error}");
        let ErrorKind::PermissionDenied { action, resource } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!(action.as_deref(), Some(error.operation()));
        assert!(
            resource
                .as_ref()
                .is_some_and(|path| path.starts_with(store.url()))
        );
    }
}

/// Plays a part in namespaces of its own, so that also root meets a file system that refuses.
/// Skipped where the system allows no namespaces.
fn plays_apart(role: &str, flags: &str, setup: &str) {
    let allowed = Command::new("unshare").args([flags, "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this system allows no user namespaces");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = format!("set -e; {setup} exec \"$0\" \"$@\"");
    let mut unshare = command("unshare", role, folder.path());
    unshare.args([flags, "sh", "-c", &script, &this_binary()]);
    if role == "denied" {
        std::fs::write(folder.path().join("k"), "old").expect("a file");
        let locked = std::fs::Permissions::from_mode(0o555);
        std::fs::set_permissions(folder.path(), locked).expect("a mode");
    }
    let output = play(&mut unshare).output().expect("a process");
    let text = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&text)
    );
}

#[test]
fn a_full_disk_keeps_the_old_object() {
    let setup = r#"mount -t tmpfs -o size=2m tmpfs "$KSTATE_TEST_FOLDER";"#;
    plays_apart("full", "-rm", setup);
}

#[test]
fn a_read_only_file_system_refuses_by_name() {
    let setup = r#"mount -t tmpfs tmpfs "$KSTATE_TEST_FOLDER"; cd "$KSTATE_TEST_FOLDER"; printf old >k; cd /; mount -o remount,ro "$KSTATE_TEST_FOLDER";"#;
    plays_apart("read-only", "-rm", setup);
}

#[test]
fn a_folder_without_permission_refuses_by_name() {
    plays_apart("denied", "-U", "");
}
