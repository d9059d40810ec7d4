#![expect(
    clippy::disallowed_methods,
    reason = "what the store did is seen beside it, on the disk"
)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use super::*;
use crate::store::Entry;
use crate::store::contract::{self, Options};

mod hostile;

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
            .refuses(&key("nn/".repeat(2000).trim_end_matches('/')))
            .is_some()
    );
    assert!(store.refuses(&key(".kstate/tmp")).is_some());
}
