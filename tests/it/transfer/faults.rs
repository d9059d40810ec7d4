//! Stores that fail, lie or change under the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures::{FutureExt, stream};
use kstate::store::{Body, Error, ErrorKind, Precondition};
use kstate::transfer::{Evidence, SyncOptions, copy_object};

use super::odd::{Hook, Odd, calls, error};
use super::{Shared, get, key, memory, plain, put, remove, run, store, tree};

const LARGE: usize = (8 << 20) + 1;

fn one_by_one() -> SyncOptions {
    SyncOptions {
        concurrency: 1,
        ..SyncOptions::default()
    }
}

/// Memory stores answer at once.
fn put_now(store: &Shared, name: &str, text: &str) {
    put(store, name, text).now_or_never().unwrap();
}

fn once() -> impl Fn() -> bool {
    let done = AtomicBool::new(false);
    move || !done.swap(true, Ordering::Relaxed)
}

#[tokio::test]
async fn a_listing_that_breaks_ends_the_run_and_deletes_nothing() {
    let source = store("a", &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let target = store("b", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await;
    for end in [0, 1, 2] {
        for source_breaks in [true, false] {
            let (mut from, mut to) = (Odd::new(&source), Odd::new(&target));
            let broken = if source_breaks { &mut from } else { &mut to };
            broken.break_list = Some(end);
            let options = SyncOptions {
                delete: true,
                ..SyncOptions::default()
            };
            let error = run(&from.share(), &to.share(), options).await.unwrap_err();
            assert_eq!(*error.cause.kind(), ErrorKind::Unavailable);
            assert_eq!(error.report.deleted, 0);
            assert_eq!(tree(&target).await.len(), 4);
        }
    }
}

#[tokio::test]
async fn one_failure_does_not_stop_the_others() {
    let source = store("a", &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&target);
    odd.before_copy = Arc::new(|key| (key.as_str() == "b").then(|| error(ErrorKind::Other)));
    let report = plain(&source, &odd.share()).await;
    assert_eq!((report.copied, report.failures.count), (2, 1));
    assert_eq!(report.failures.first[0].key, "b");
    assert_eq!(report.failures.first[0].kind, Some("other"));
    let error = report.into_result().unwrap_err();
    assert_eq!(error.report.copied, 2);
}

#[tokio::test]
async fn a_store_that_refuses_everything_is_asked_a_few_times_only() {
    let objects: Vec<_> = (0..50).map(|n| format!("k{n:02}")).collect();
    let objects: Vec<_> = objects.iter().map(|k| (k.as_str(), "x")).collect();
    let source = store("a", &objects).await;
    let denied = ErrorKind::PermissionDenied {
        action: None,
        resource: None,
    };
    let gone = Error::new(ErrorKind::NotFound, "write", "no such bucket").at("odd://", None);
    for (failure, most) in [
        (error(denied), 3),
        (error(ErrorKind::Unavailable), 8),
        (gone, 1),
    ] {
        let mut odd = Odd::new(&memory("b"));
        odd.opaque = true;
        odd.before_write = Arc::new(move |_| Some(failure.clone()));
        let counted = odd.calls.clone();
        let error = run(&source, &odd.share(), one_by_one()).await.unwrap_err();
        assert_eq!(error.report.copied, 0);
        // One more may be on its way when the last answer comes.
        assert!((most..=most + 1).contains(&calls(&counted.write)), "{most}");
    }
}

fn spoilt(spoil: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Odd {
    let source = memory("a");
    put_now(&source, "small", "some bytes");
    put_now(&source, "large", &"x".repeat(LARGE));
    let mut odd = Odd::new(&source);
    odd.opaque = true;
    odd.read_body = Arc::new(move |_, bytes| {
        let size = bytes.len() as u64;
        let mut bytes = bytes.to_vec();
        spoil(&mut bytes);
        let chunks: Vec<_> = bytes.chunks(1 << 20).map(Bytes::copy_from_slice).collect();
        Body::stream(Some(size), stream::iter(chunks.into_iter().map(Ok)))
    });
    odd
}

#[tokio::test]
async fn spoilt_bytes_never_reach_the_target() {
    let flip: fn(&mut Vec<u8>) = |bytes| bytes[3] ^= 1;
    let cut: fn(&mut Vec<u8>) = |bytes| bytes.truncate(bytes.len() - 1);
    let add: fn(&mut Vec<u8>) = |bytes| bytes.push(0);
    for (spoil, greedy) in [(flip, false), (flip, true), (cut, true), (add, true)] {
        let target = memory("b");
        let mut odd = Odd::new(&target);
        odd.greedy = greedy;
        let report = plain(&spoilt(spoil).share(), &odd.share()).await;
        assert_eq!((report.copied, report.failures.count), (0, 2));
        assert_eq!(report.failures.first[0].kind, Some("corrupt"));
        assert_eq!(tree(&target).await.len(), 0);
    }
}

#[tokio::test]
async fn bytes_spoilt_in_the_target_are_found_by_reading_back() {
    let source = store("a", &[("a", "some bytes")]).await;
    let target = memory("b");
    let mut odd = Odd::like_files(&target);
    odd.read_body = Arc::new(|_, bytes| Body::Bytes(Bytes::from(vec![0; bytes.len()])));
    let report = plain(&source, &odd.share()).await;
    assert_eq!((report.copied, report.failures.count), (0, 1));
    assert!(report.failures.first[0].reason.contains("not the same"));
    assert!(report.failures.first[0].hint.is_some());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_read_again() {
    for size in [10, LARGE] {
        let source = memory("a");
        put(&source, "k", &"x".repeat(size)).await;
        let mut odd = Odd::new(&source);
        odd.opaque = true;
        let first = once();
        odd.read_body = Arc::new(move |_, bytes| {
            let size = Some(bytes.len() as u64);
            let reset = Error::new(ErrorKind::Unavailable, "read", "connection reset");
            let start = Ok(bytes.slice(..5));
            if first() {
                return Body::stream(size, stream::iter([start, Err(reset)]));
            }
            Body::Bytes(bytes)
        });
        let counted = odd.calls.clone();
        let target = memory("b");
        let report = plain(&odd.share(), &target).await;
        assert_eq!((report.copied, report.failures.count), (1, 0));
        assert_eq!(calls(&counted.read), 2);
        assert_eq!(get(&target, "k").await.unwrap().len(), size);
    }
}

#[tokio::test]
async fn a_target_that_cannot_keep_its_word_on_preconditions_is_asked_once() {
    for opaque in [true, false] {
        let source = store("a", &[("a", "1"), ("b", "2"), ("c", "3")]).await;
        let target = store("b", &[("b", "x")]).await;
        let mut odd = Odd::new(&target);
        odd.no_conditions = true;
        odd.opaque = opaque;
        let counted = odd.calls.clone();
        let report = run(&source, &odd.share(), one_by_one()).await.unwrap();
        assert_eq!((report.copied, report.failures.count), (3, 0));
        assert_eq!(report.streamed, if opaque { 3 } else { 0 });
        let asked = if opaque {
            &counted.write
        } else {
            &counted.copy
        };
        assert_eq!(calls(asked), 4);
    }
}

#[tokio::test]
async fn a_large_object_is_written_again_without_the_precondition() {
    let source = memory("a");
    put(&source, "k", &"x".repeat(LARGE)).await;
    let mut odd = Odd::new(&memory("b"));
    odd.no_conditions = true;
    odd.opaque = true;
    assert_eq!(plain(&source, &odd.share()).await.copied, 1);
}

/// A target that checks preconditions on small objects only, as most S3 services do.
fn small_conditions(target: &Shared) -> Odd {
    let mut odd = Odd::new(target);
    odd.largest_conditional = LARGE as u64 - 1;
    odd.opaque = true;
    odd
}

#[tokio::test]
async fn a_large_object_costs_no_other_its_precondition() {
    let source = store("a", &[("a", "1"), ("c", "3"), ("d", "4")]).await;
    put(&source, "b", &"x".repeat(LARGE)).await;
    let target = memory("b");
    let odd = small_conditions(&target);
    let unconditional = Arc::clone(&odd.unconditional);
    let report = run(&source, &odd.share(), one_by_one()).await.unwrap();
    assert_eq!((report.copied, report.failures.count), (4, 0));
    assert_eq!(calls(&unconditional), 1);
    assert_eq!(tree(&target).await, tree(&source).await);
}

#[tokio::test]
async fn what_somebody_else_wrote_is_kept_also_where_it_is_compared_beforehand() {
    let source = memory("a");
    put(&source, "k", &"x".repeat(LARGE)).await;
    for server_copies in [true, false] {
        let target = store("b", &[("k", "theirs")]).await;
        let mut odd = small_conditions(&target);
        odd.opaque = !server_copies;
        odd.able = Arc::new(|able| able.copy_conditions = false);
        let odd = odd.share();
        let from = source.stat(&key("k")).await.unwrap();
        let (key, condition) = (key("k"), Precondition::IfAbsent);
        let copied = copy_object(&source, &from, &odd, &key, &condition, Evidence::Checksum);
        assert_eq!(*copied.await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(get(&target, "k").await.unwrap(), "theirs");
    }
}

#[tokio::test]
async fn a_large_object_that_somebody_else_wrote_meanwhile_is_a_conflict() {
    let source = memory("a");
    put(&source, "k", &"x".repeat(LARGE)).await;
    let target = memory("b");
    let mut from = Odd::new(&source);
    from.opaque = true;
    let theirs = Arc::clone(&target);
    from.before_read = Arc::new(move |_| {
        put_now(&theirs, "k", "theirs");
        None
    });
    let report = plain(&from.share(), &small_conditions(&target).share()).await;
    assert_eq!((report.copied, report.conflicts.count), (0, 1));
    assert_eq!(get(&target, "k").await.unwrap(), "theirs");
}

#[tokio::test]
async fn a_target_that_checks_nothing_is_looked_at_before_it_is_written() {
    let source = store("a", &[("k", "mine")]).await;
    let target = store("b", &[("k", "old")]).await;
    let mut odd = Odd::new(&target);
    odd.opaque = true;
    odd.able = Arc::new(|able| (able.if_absent, able.if_match) = (false, false));
    let theirs = Arc::clone(&target);
    odd.listed = Arc::new(move |meta| put_now(&theirs, meta.key.as_str(), "theirs"));
    let report = plain(&source, &odd.share()).await;
    assert_eq!((report.copied, report.conflicts.count), (0, 1));
    assert_eq!(get(&target, "k").await.as_deref(), Some("theirs"));
}

#[tokio::test]
async fn only_an_object_too_large_for_a_precondition_is_written_without() {
    let source = store("a", &[("small", "1"), ("too large", "123456")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&target);
    odd.able = Arc::new(|able| able.max_conditional = Some(5));
    odd.opaque = true;
    let other = target.clone();
    odd.before_write = Arc::new(move |key| {
        put_now(&other, key.as_str(), "x");
        None
    });
    let report = plain(&source, &odd.share()).await;
    assert_eq!((report.copied, report.conflicts.count), (1, 1));
    assert_eq!(get(&target, "small").await.as_deref(), Some("x"));
}

#[tokio::test]
async fn a_refused_server_copy_is_streamed_once_and_for_all() {
    let source = store("a", &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&target);
    let denied = ErrorKind::PermissionDenied {
        action: Some("s3:GetObject".to_owned()),
        resource: None,
    };
    odd.before_copy = Arc::new(move |_| Some(error(denied.clone())));
    let counted = odd.calls.clone();
    let report = run(&source, &odd.share(), one_by_one()).await.unwrap();
    assert_eq!((report.streamed, report.server_side), (3, 0));
    assert_eq!(calls(&counted.copy), 1);
    assert_eq!(tree(&target).await, tree(&source).await);
}

fn meddle(target: &Shared, text: &'static str) -> Hook {
    let target = Arc::clone(target);
    Arc::new(move |key| {
        put_now(&target, key.as_str(), text);
        None
    })
}

#[tokio::test]
async fn what_somebody_else_wrote_meanwhile_stays() {
    for (opaque, existing) in [(true, true), (true, false), (false, true), (false, false)] {
        let source = store("a", &[("k", "mine")]).await;
        let target = memory("b");
        if existing {
            put(&target, "k", "old").await;
        }
        let mut odd = Odd::new(&target);
        odd.opaque = opaque;
        odd.before_write = meddle(&target, "theirs");
        odd.before_copy = meddle(&target, "theirs");
        let report = plain(&source, &odd.share()).await;
        assert_eq!((report.copied, report.conflicts.count), (0, 1));
        assert_eq!((report.changed.count, report.failures.count), (0, 0));
        assert_eq!(get(&target, "k").await.as_deref(), Some("theirs"));
    }
}

#[tokio::test]
async fn a_listing_without_tags_still_protects_what_somebody_else_writes() {
    for opaque in [true, false] {
        let source = store("a", &[("k", "mine")]).await;
        let target = store("b", &[("k", "old")]).await;
        let (mut from, mut to) = (Odd::new(&source), Odd::new(&target));
        from.listed = Arc::new(|meta| meta.tag = None);
        to.listed = Arc::new(|meta| meta.tag = None);
        to.opaque = opaque;
        let (from, calm) = (from.share(), to.clone().share());
        to.before_write = meddle(&target, "theirs");
        to.before_copy = meddle(&target, "theirs");
        let report = plain(&from, &to.share()).await;
        assert_eq!((report.copied, report.conflicts.count), (0, 1));
        assert_eq!(get(&target, "k").await.as_deref(), Some("theirs"));
        assert_eq!(plain(&from, &calm).await.copied, 1);
    }
}

#[tokio::test]
async fn a_server_copy_between_stores_without_checksums_is_read_back() {
    let source = store("a", &[("k", "bytes")]).await;
    let target = memory("b");
    let mut files = Odd::like_files(&target);
    files.opaque = false;
    files.able = Arc::new(|able| able.checksum = None);
    let mut from = Odd::like_files(&source);
    from.opaque = false;
    let from = from.share();
    let report = plain(&from, &files.clone().share()).await;
    assert_eq!((report.server_side, report.verified.content), (1, 1));

    remove(&target, "k").await;
    files.read_body = Arc::new(|_, _| Body::from("spoil"));
    let report = plain(&from, &files.share()).await;
    assert_eq!((report.copied, report.failures.count), (0, 1));
}

#[tokio::test]
async fn dropping_a_run_stops_its_work() {
    let source = store("a", &[("k", "bytes"), ("l", "bytes")]).await;
    let mut odd = Odd::new(&source);
    odd.opaque = true;
    let alive = Arc::new(());
    let held = Arc::downgrade(&alive);
    let started = Arc::new(tokio::sync::Notify::new());
    let starting = Arc::clone(&started);
    odd.read_body = Arc::new(move |_, bytes| {
        let (starting, alive) = (Arc::clone(&starting), Arc::clone(&alive));
        let stuck = async move {
            starting.notify_one();
            futures::future::pending::<()>().await;
            drop(alive);
            Ok(Bytes::new())
        };
        Body::stream(Some(bytes.len() as u64), stream::once(stuck))
    });
    let (odd, target) = (odd.share(), memory("b"));
    let waiting = Box::pin(run(&odd, &target, SyncOptions::default()));
    let begun = Box::pin(started.notified());
    let futures::future::Either::Right(((), unfinished)) =
        futures::future::select(waiting, begun).await
    else {
        panic!("a run can't end whose bodies don't")
    };
    drop(unfinished);
    drop(odd);
    while held.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tree(&target).await.len(), 0);
}

#[tokio::test]
async fn somebody_elses_equal_write_is_no_conflict() {
    let source = store("a", &[("k", "same")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&target);
    odd.before_copy = meddle(&target, "same");
    let report = plain(&source, &odd.share()).await;
    assert_eq!((report.unchanged, report.conflicts.count), (1, 0));
}

#[tokio::test]
async fn a_source_that_changes_after_the_listing_is_left_to_the_next_pass() {
    for opaque in [true, false] {
        let source = store("a", &[("k", "old"), ("l", "stays")]).await;
        let target = memory("b");
        let mut to = Odd::new(&target);
        to.opaque = opaque;
        let (changing, first) = (Arc::clone(&source), once());
        let change: Hook = Arc::new(move |key| {
            if key.as_str() == "k" && first() {
                put_now(&changing, "k", "new");
            }
            None
        });
        to.before_copy = Arc::clone(&change);
        let mut from = Odd::new(&source);
        from.before_read = change;
        let (from, to) = (from.share(), to.share());
        let report = plain(&from, &to).await;
        assert_eq!((report.copied, report.changed.count), (1, 1));
        assert_eq!((report.conflicts.count, get(&target, "k").await), (0, None));
        assert_eq!(plain(&from, &to).await.copied, 1);
        assert_eq!(get(&target, "k").await.as_deref(), Some("new"));
    }
}

#[tokio::test]
async fn an_object_that_vanishes_is_changed_and_not_failed() {
    let source = store("a", &[("k", "1")]).await;
    let target = memory("b");
    let mut odd = Odd::new(&target);
    let vanishing = Arc::clone(&source);
    odd.before_copy = Arc::new(move |key| {
        let delete = vanishing.delete(key, Precondition::None);
        delete.now_or_never().unwrap().unwrap();
        None
    });
    let report = plain(&source, &odd.share()).await;
    assert_eq!((report.changed.count, report.failures.count), (1, 0));
}

#[tokio::test]
async fn one_object_is_copied_under_another_name_unless_it_is_taken() {
    let source = store("a", &[("k", "1")]).await;
    let target = memory("b");
    let from = source.stat(&key("k")).await.unwrap();
    let absent = Precondition::IfAbsent;
    let to = key("other/name");
    for expected in [true, false] {
        let verify = Evidence::Checksum;
        let copied = copy_object(&source, &from, &target, &to, &absent, verify).await;
        assert_eq!(copied.is_ok(), expected);
        assert!(copied.is_ok() || copied.unwrap_err().is_conflict());
    }
    assert_eq!(get(&target, "other/name").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn calls_on_their_way_stay_below_the_concurrency() {
    let objects: Vec<_> = (0..40).map(|n| format!("k{n:02}")).collect();
    let objects: Vec<_> = objects.iter().map(|k| (k.as_str(), "x")).collect();
    let source = store("a", &objects).await;
    let (now, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut odd = Odd::new(&source);
    odd.opaque = true;
    let (entered, peak) = (Arc::clone(&now), Arc::clone(&most));
    odd.before_read = Arc::new(move |_| {
        let running = entered.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(running, Ordering::SeqCst);
        None
    });
    odd.read_body = Arc::new(move |_, bytes| {
        let now = Arc::clone(&now);
        let size = bytes.len() as u64;
        let slow = async move {
            // Lets all others that may run come in before this one goes out.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(bytes)
        };
        Body::stream(Some(size), stream::once(slow))
    });
    let options = SyncOptions {
        concurrency: 4,
        ..SyncOptions::default()
    };
    run(&odd.share(), &memory("b"), options).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 4);
}
