#![expect(
    clippy::disallowed_methods,
    reason = "what the store did is seen beside it, on the disk"
)]

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use super::*;
use crate::store::contract::{self, Options};
use crate::store::{Entry, is_reserved};

struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("store")).expect("a folder");
        Self { folder }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn open(&self, below: &str) -> FileStore {
        let path = self.path(below);
        let url = StoreUrl::parse(path.to_str().expect("a UTF-8 path")).expect("a path");
        FileStore::open_with(&url, false).expect("a store")
    }

    fn store(&self) -> FileStore {
        self.open("store")
    }

    fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }

    /// Everything on the disk, folders with a slash.
    fn disk(&self, below: &str) -> Vec<String> {
        fn walk(folder: &Path, top: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path
                    .strip_prefix(top)
                    .expect("below")
                    .to_string_lossy()
                    .into_owned();
                if path.is_dir() && !path.is_symlink() {
                    found.push(format!("{name}/"));
                    walk(&path, top, found);
                } else {
                    found.push(name);
                }
            }
        }
        let top = self.path(below);
        let mut found = Vec::new();
        walk(&top, &top, &mut found);
        found.sort_unstable();
        found
    }

    fn mode(&self, below: &str) -> u32 {
        let meta = std::fs::metadata(self.path(below)).expect("a file");
        meta.permissions().mode() & 0o777
    }
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

async fn put(store: &FileStore, name: &str, text: &'static str) -> Result<Meta> {
    store
        .write(&key(name), text.into(), WriteOptions::default())
        .await
}

async fn get(store: &FileStore, name: &str) -> Result<bytes::Bytes> {
    store
        .read(&key(name), ReadOptions::default())
        .await?
        .body
        .collect(u64::MAX)
        .await
}

async fn entries(store: &FileStore, options: ListOptions) -> Result<Vec<Entry>> {
    store.list(options).try_collect().await
}

async fn names(store: &FileStore) -> Vec<String> {
    let entries = entries(store, ListOptions::default())
        .await
        .expect("a listing");
    entries
        .iter()
        .map(|entry| entry.name().to_owned())
        .collect()
}

async fn passes(store: FileStore) {
    let options = Options {
        large_size: 3 << 20,
        many: 600,
        ..Options::default()
    };
    let report = contract::run(Arc::new(store), options).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_contract_in_a_folder_of_its_own() {
    let scratch = Scratch::new();
    passes(scratch.store()).await;
    assert_eq!(scratch.disk("store"), [""; 0], "it leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_contract_through_a_link_and_with_syncs() {
    let scratch = Scratch::new();
    symlink(scratch.path("store"), scratch.path("link")).expect("a link");
    let link = scratch.path("link");
    let url = StoreUrl::parse(link.to_str().expect("UTF-8")).expect("a path");
    let store = FileStore::open(&url).expect("a store");
    assert_eq!(store.place(), scratch.store().place());
    let options = Options {
        large_size: 1 << 20,
        many: 40,
        ..Options::default()
    };
    let report = contract::run(Arc::new(store), options).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test]
async fn a_missing_folder_is_told_and_made_by_the_first_write() {
    let scratch = Scratch::new();
    let store = scratch.open("not/yet");
    for error in [
        store.stat(&key("k")).await.expect_err("no folder"),
        entries(&store, ListOptions::default())
            .await
            .expect_err("no folder"),
    ] {
        assert_eq!(*error.kind(), ErrorKind::NotFound);
        assert!(!error.is_missing_key());
    }
    assert!(!scratch.path("not").exists());
    put(&store, "k", "x").await.expect("a write");
    assert_eq!(names(&store).await, ["k"]);
}

#[tokio::test]
async fn files_are_private_and_folders_as_kops_makes_them() {
    let scratch = Scratch::new();
    let store = scratch.store();
    for name in [
        "c/config",
        "c/pki/private/ca/keyset.yaml",
        "c/secrets/admin",
    ] {
        put(&store, name, "x").await.expect("a write");
        assert_eq!(scratch.mode(&format!("store/{name}")), 0o600, "{name}");
    }
    for (folder, mode) in [
        ("c", 0o755),
        ("c/pki", 0o755),
        ("c/pki/private", 0o700),
        ("c/secrets", 0o700),
    ] {
        assert_eq!(scratch.mode(&format!("store/{folder}")), mode, "{folder}");
    }
}

#[tokio::test]
async fn nothing_of_ours_lies_below_a_cluster() {
    let scratch = Scratch::new();
    scratch.write("state/c/config", "kind: Cluster");
    scratch.write("state/c/instancegroup/nodes", "kind: InstanceGroup");
    for folder in ["state/c", "state/c/addons/deep"] {
        let store = scratch.open(folder);
        put(&store, "new", "x").await.expect("a write");
        let ours: Vec<_> = scratch
            .disk("state")
            .into_iter()
            .filter(|name| name.contains(".kstate"))
            .collect();
        assert_eq!(ours, [".kstate/", ".kstate/tmp/"], "{folder}");
        drop(store);
        assert!(
            !scratch.path("state/.kstate").exists(),
            "{folder}: gone with the store"
        );
    }
}

#[tokio::test]
async fn staging_is_no_part_of_the_state() {
    let scratch = Scratch::new();
    scratch.write("store/.kstate/tmp/half", "half");
    scratch.write("store/inner/.kstate/tmp/half", "half");
    scratch.write("store/.kstate/lock", "lock");
    let store = scratch.store();
    assert_eq!(names(&store).await, [".kstate/lock"]);
    assert!(is_reserved(".kstate/lock"));
    let half = key(".kstate/tmp/half");
    assert!(
        store
            .stat(&half)
            .await
            .is_err_and(|error| error.is_missing_key())
    );
    let written = store
        .write(&half, "x".into(), WriteOptions::default())
        .await;
    assert_eq!(
        written.map_err(|error| error.kind().name()),
        Err("invalid_key")
    );
    store
        .delete(&half, Precondition::None)
        .await
        .expect("nothing to delete");
    assert!(scratch.path("store/.kstate/tmp/half").exists());
    let one_level = ListOptions {
        one_level: true,
        ..ListOptions::default()
    };
    let shown = entries(&store, one_level).await.expect("a listing");
    assert_eq!(shown, [Entry::Prefix(".kstate/".into())]);
}

#[tokio::test]
async fn what_a_crash_left_goes_with_the_first_write_and_what_lives_stays() {
    let scratch = Scratch::new();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux");
    let boot: String = boot
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(12)
        .collect();
    let mut child = std::process::Command::new("true")
        .spawn()
        .expect("a process");
    child.wait().expect("its end");
    let (dead, alive) = (child.id(), std::process::id());
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(2);
    let make = |name: &str, old_file: bool| {
        let path = format!("store/.kstate/tmp/{name}");
        scratch.write(&path, "half");
        if old_file {
            let file = std::fs::File::options()
                .write(true)
                .open(scratch.path(&path));
            file.expect("a file").set_modified(old).expect("a time");
        }
    };
    make(&format!("{boot}-{dead}-1"), true);
    make(&format!("{boot}-{dead}-2"), false);
    make(&format!("{boot}-{alive}-3"), true);
    make("elsewhere-1-4", true);
    make("no-name-of-ours.txt", true);
    put(&scratch.store(), "k", "x").await.expect("a write");
    let wanted = [
        format!("{boot}-{dead}-2"),
        format!("{boot}-{alive}-3"),
        "elsewhere-1-4".to_owned(),
        "no-name-of-ours.txt".to_owned(),
    ];
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    assert_eq!(scratch.disk("store/.kstate/tmp"), wanted);
}

#[tokio::test]
async fn deleting_leaves_no_empty_folders_but_its_own() {
    let scratch = Scratch::new();
    let store = scratch.store();
    put(&store, "a/b/c/d", "x").await.expect("a write");
    put(&store, "a/e", "x").await.expect("a write");
    store
        .delete(&key("a/b/c/d"), Precondition::None)
        .await
        .expect("a delete");
    assert!(!scratch.path("store/a/b").exists());
    store
        .delete(&key("a/e"), Precondition::None)
        .await
        .expect("a delete");
    drop(store);
    assert_eq!(scratch.disk("store"), [""; 0]);
    assert!(scratch.path("store").exists());
}

#[tokio::test]
async fn a_refused_write_leaves_no_folders() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let gone = put(&store, "x", "x")
        .await
        .expect("a write")
        .tag
        .expect("a tag");
    let swap = WriteOptions::if_match(gone);
    let swapped = store.write(&key("a/b/c"), "x".into(), swap).await;
    assert_eq!(
        swapped.map_err(|error| error.kind().name()),
        Err("precondition_failed")
    );
    assert!(!scratch.path("store/a").exists());
}

#[tokio::test]
async fn an_object_and_objects_below_it_exclude_each_other() {
    let scratch = Scratch::new();
    let store = scratch.store();
    put(&store, "a/b", "x").await.expect("a write");
    put(&store, "f", "x").await.expect("a write");
    for options in [WriteOptions::default(), WriteOptions::if_absent()] {
        for name in ["a", "f/b", "f/b/c"] {
            let error = store.write(&key(name), "y".into(), options.clone()).await;
            let error = error.expect_err(name);
            assert_eq!(*error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.hint_text().is_some());
        }
    }
    assert_eq!(names(&store).await, ["a/b", "f"]);
    assert!(
        get(&store, "f/b")
            .await
            .is_err_and(|error| error.is_missing_key())
    );
}

#[tokio::test]
async fn an_empty_folder_is_nothing_and_in_nobodys_way() {
    let scratch = Scratch::new();
    let store = scratch.store();
    std::fs::create_dir_all(scratch.path("store/empty/inner")).expect("folders");
    std::fs::create_dir(scratch.path("store/name")).expect("a folder");
    let one_level = ListOptions {
        one_level: true,
        ..ListOptions::default()
    };
    assert_eq!(entries(&store, one_level).await.expect("a listing"), []);
    put(&store, "name", "x")
        .await
        .expect("a write over an empty folder");
    assert_eq!(names(&store).await, ["name"]);
}

#[tokio::test]
async fn links_never_lead_out() {
    let scratch = Scratch::new();
    scratch.write("outside/secret", "secret");
    scratch.write("store/real/file", "inside");
    let link = |target: PathBuf, name: &str| symlink(target, scratch.path(name)).expect("a link");
    link("real/file".into(), "store/good");
    link(scratch.path("store/real/file"), "store/good-absolute");
    link("../outside/secret".into(), "store/out");
    link(scratch.path("outside"), "store/outside");
    link("real".into(), "store/folder");
    link("nowhere".into(), "store/broken");
    link("loop".into(), "store/loop");
    let store = scratch.store();
    let listed = entries(&store, ListOptions::default())
        .await
        .expect("a listing");
    let objects: Vec<_> = listed
        .iter()
        .filter(|entry| matches!(entry, Entry::Object(_)))
        .map(Entry::name)
        .collect();
    assert_eq!(objects, ["good", "good-absolute", "real/file"]);
    assert_eq!(listed.len(), 8);
    assert_eq!(get(&store, "good").await.expect("a link inside"), "inside");
    assert_eq!(
        get(&store, "good-absolute").await.expect("a link inside"),
        "inside"
    );
    for name in ["out", "outside/secret", "folder/file", "broken", "loop"] {
        assert!(get(&store, name).await.is_err(), "{name}");
        assert!(store.stat(&key(name)).await.is_err(), "{name}");
    }
    for name in ["outside/new", "outside/secret"] {
        assert!(put(&store, name, "bad").await.is_err(), "{name}");
        assert!(
            store.delete(&key(name), Precondition::None).await.is_err(),
            "{name}"
        );
    }
    assert!(
        entries(&store, ListOptions::recursive("outside"))
            .await
            .is_err()
    );
    assert_eq!(scratch.disk("outside"), ["secret"]);
    put(&store, "out", "mine")
        .await
        .expect("a write replaces the link itself");
    assert_eq!(
        std::fs::read_to_string(scratch.path("outside/secret"))
            .ok()
            .as_deref(),
        Some("secret")
    );
}

#[tokio::test]
async fn what_is_no_file_is_told_and_not_opened() {
    let scratch = Scratch::new();
    let name = std::ffi::OsStr::from_bytes(b"bad-\xff-name");
    std::fs::write(scratch.path("store").join(name), "bytes").expect("a file");
    let _socket =
        std::os::unix::net::UnixListener::bind(scratch.path("store/socket")).expect("a socket");
    let status = std::process::Command::new("mkfifo")
        .arg(scratch.path("store/pipe"))
        .status();
    assert!(status.is_ok_and(|status| status.success()));
    let store = scratch.store();
    let listed = entries(&store, ListOptions::default())
        .await
        .expect("a listing");
    let reasons: Vec<_> = listed
        .iter()
        .filter_map(|entry| match entry {
            Entry::Foreign { name, reason, .. } => Some((name.as_str(), reason.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(
        reasons,
        [
            ("bad-\u{fffd}-name", "its name is not UTF-8"),
            ("pipe", "it is a named pipe"),
            ("socket", "it is a socket"),
        ]
    );
    assert!(
        get(&store, "pipe")
            .await
            .is_err_and(|error| *error.kind() == ErrorKind::Unsupported)
    );
}

#[tokio::test]
async fn changes_by_other_programs_change_the_tag() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let before = put(&store, "k", "one")
        .await
        .expect("a write")
        .tag
        .expect("a tag");
    std::fs::write(scratch.path("store/k"), "two").expect("a write in place");
    let swapped = store
        .write(&key("k"), "six".into(), WriteOptions::if_match(before))
        .await;
    assert_eq!(
        swapped.map_err(|error| error.kind().name()),
        Err("precondition_failed")
    );
    assert_eq!(get(&store, "k").await.expect("a read"), "two");
}

#[tokio::test]
async fn a_file_cut_short_while_it_is_read_is_corrupt() {
    let scratch = Scratch::new();
    let store = scratch.store();
    store
        .write(&key("k"), vec![7; 2 << 20].into(), WriteOptions::default())
        .await
        .expect("a write");
    let object = store
        .read(&key("k"), ReadOptions::default())
        .await
        .expect("a read");
    let file = std::fs::File::options()
        .write(true)
        .open(scratch.path("store/k"))
        .expect("a file");
    file.set_len(1 << 20).expect("a cut");
    let error = object
        .body
        .collect(u64::MAX)
        .await
        .expect_err("half a file");
    assert_eq!(*error.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn an_abandoned_write_leaves_nothing() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let chunks = stream::iter([Ok(vec![1; CHUNK].into())]).chain(stream::once(async move {
        let _ = sender.send(());
        std::future::pending().await
    }));
    let task = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .write(
                    &key("k"),
                    Body::stream(None, chunks),
                    WriteOptions::default(),
                )
                .await
        }
    });
    receiver.await.expect("the first chunk is taken");
    assert_eq!(scratch.disk("store/.kstate/tmp").len(), 1);
    task.abort();
    assert!(task.await.is_err_and(|error| error.is_cancelled()));
    drop(store);
    assert_eq!(scratch.disk("store"), [""; 0]);
}

#[tokio::test]
async fn copies_from_another_folder_and_checks_them() {
    let scratch = Scratch::new();
    let (from, to) = (scratch.store(), scratch.open("other"));
    let meta = put(&from, "a/k", "content").await.expect("a write");
    let source: Arc<dyn Store> = Arc::new(from);
    let checksum = |text: &str| WriteOptions {
        checksum: Some(crate::store::Checksum::of(
            crate::store::Algorithm::Sha256,
            text.as_bytes(),
        )),
        ..WriteOptions::default()
    };
    let bad = to
        .copy_from(&source, &meta, &key("k"), &checksum("other"))
        .await;
    assert_eq!(bad.map_err(|error| error.kind().name()), Err("corrupt"));
    assert!(get(&to, "k").await.is_err());
    let good = to
        .copy_from(&source, &meta, &key("k"), &checksum("content"))
        .await;
    assert!(good.is_ok_and(|copied| copied.is_some()));
    assert_eq!(get(&to, "k").await.expect("the copy"), "content");
    assert_eq!(scratch.mode("other/k"), 0o600);
}

#[test]
fn paths_are_absolute_and_stay_as_they_were_given() {
    let open = |text: &str| {
        let url = StoreUrl::parse(text).expect("a path");
        FileStore::open(&url).expect("a store")
    };
    assert_eq!(open("/srv/state/").url(), "/srv/state");
    assert_eq!(open("file:///srv/state").at("c").url(), "/srv/state/c");
    assert_eq!(open("/").at("etc").url(), "/etc");
    assert_eq!(open("/").place().prefix, "");
    let here = std::env::current_dir().expect("a working directory");
    assert_eq!(open("x").url(), here.join("x").to_str().expect("UTF-8"));
}

#[test]
fn refuses_names_no_file_system_holds() {
    let scratch = Scratch::new();
    let store = scratch.store();
    assert!(store.refuses(&key(&"n".repeat(255))).is_none());
    assert!(store.refuses(&key(&"n".repeat(256))).is_some());
    assert!(
        store
            .refuses(&key(&"nn/".repeat(2000).trim_end_matches('/')))
            .is_some()
    );
    assert!(store.refuses(&key(".kstate/tmp")).is_some());
}
