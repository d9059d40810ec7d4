//! Links, pipes, crashes, other programs: what a folder meets that a bucket doesn't.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;
use crate::store::is_reserved;

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
async fn a_link_in_place_of_the_store_or_its_staging_folder_is_not_followed() {
    let scratch = Scratch::new();
    scratch.write("outside/tmp/keep", "x");
    let store = scratch.store();
    symlink(scratch.path("outside"), scratch.path("store/.kstate")).expect("a link");
    assert!(put(&store, "a", "x").await.is_err());
    drop(store);
    assert_eq!(scratch.disk("outside/tmp"), ["keep"]);
    std::fs::remove_file(scratch.path("store/.kstate")).expect("the link");

    let store = scratch.store();
    put(&store, "a", "x").await.expect("a write");
    std::fs::rename(scratch.path("store"), scratch.path("old")).expect("a name");
    symlink(scratch.path("outside"), scratch.path("store")).expect("a link");
    assert!(put(&store, "b", "x").await.is_err());
    let error = get(&store, "tmp/keep").await.expect_err("another folder");
    assert!(
        error.to_string().contains("since the store was opened"),
        "{error}"
    );
    assert!(
        store
            .delete(&key("tmp/keep"), Precondition::None)
            .await
            .is_err()
    );
    assert_eq!(scratch.disk("outside"), ["tmp/", "tmp/keep"]);
}

#[tokio::test]
async fn a_store_behind_a_link_is_where_the_link_led_when_it_was_opened() {
    let scratch = Scratch::new();
    scratch.write("other/x", "other");
    symlink("store", scratch.path("link")).expect("a link");
    let url = scratch.path("link").display().to_string();
    let store = FileStore::open(&StoreUrl::parse(&url).expect("a path")).expect("a store");
    assert_eq!(store.url(), url);
    std::fs::remove_file(scratch.path("link")).expect("the link");
    symlink("other", scratch.path("link")).expect("a link");
    put(&store, "x", "mine").await.expect("a write");
    assert_eq!(get(&store, "x").await.expect("a file"), "mine");
    drop(store);
    assert_eq!(scratch.disk("store"), ["x"]);
    assert_eq!(scratch.disk("other"), ["x"]);
}

#[tokio::test]
async fn a_path_that_goes_up_from_a_missing_folder_is_known_by_where_it_leads() {
    let scratch = Scratch::new();
    scratch.write("other/x", "other");
    let top = scratch.path("store").display().to_string();
    let url = StoreUrl::parse(&format!("{top}/missing/../../other")).expect("a path");
    let store = FileStore::open(&url).expect("a store");
    assert_eq!(store.place(), place_of(&scratch.path("other")));
    put(&store, "y", "mine").await.expect("a write");
    drop(store);
    assert_eq!(scratch.disk("store"), [""; 0]);
    assert_eq!(scratch.disk("other"), ["x", "y"]);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_that_come_and_go_share_the_staging_folder() {
    let scratch = Arc::new(Scratch::new());
    let writers = (0..4).map(|writer| {
        let scratch = Arc::clone(&scratch);
        tokio::spawn(async move {
            for _ in 0..300 {
                let store = scratch.store();
                put(&store, &format!("k{writer}"), "x")
                    .await
                    .expect("a write");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("all writes");
    }
    assert_eq!(scratch.disk("store"), ["k0", "k1", "k2", "k3"]);
}
