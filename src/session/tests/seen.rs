//! What a plan remembers of listings.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use crate::session::journal::Work;
use crate::session::plan::Origin;
use crate::session::{Apply, How, Mode, Session};
use crate::store::registry::{Env, Registry};
use crate::store::{Body, Key, ListOptions, Store, StoreUrl, WriteOptions};

fn open(session: &Session) -> Arc<dyn Store> {
    let url = StoreUrl::parse("memfs://seen").expect("a literal URL");
    session.open(&url).expect("a memory store")
}

async fn write(store: &dyn Store, name: &str) {
    let key = Key::parse(name).expect("a literal key");
    let written = store.write(&key, Body::from("x"), WriteOptions::default());
    written.await.expect("written");
}

/// What is stale when `came` is written after a plan that read so many entries of a listing.
async fn stale_after(entries: usize, came: &str) -> Vec<(String, How)> {
    let registry = Arc::new(Registry::new(Env::default()));
    let direct = open(&Session::over(Arc::clone(&registry), Mode::Direct));
    for name in ["a/1", "a/3", "a/5"] {
        write(&*direct, name).await;
    }
    let planning = Session::over(Arc::clone(&registry), Mode::Plan);
    let store = open(&planning);
    let listing = store.list(ListOptions::recursive("a")).take(entries);
    let read: Vec<_> = listing.try_collect().await.expect("a listing");
    assert_eq!(read.len(), entries.min(3));
    write(&*store, "result").await;
    let plan = planning.plan(Origin::default());

    write(&*direct, came).await;
    let session = Session::over(registry, Mode::Direct);
    let apply = Apply::prepare(&session, None, plan, Work::default()).await;
    let stale = apply.expect("prepared").check().await.expect("checked");
    stale
        .into_iter()
        .map(|stale| (stale.key, stale.how))
        .collect()
}

#[tokio::test]
async fn a_listing_counts_as_far_as_it_was_read() {
    assert_eq!(stale_after(2, "a/2").await, [("a/2".to_owned(), How::New)]);
    assert_eq!(stale_after(2, "a/4").await, []);
    assert_eq!(stale_after(9, "a/9").await, [("a/9".to_owned(), How::New)]);
    assert_eq!(stale_after(9, "b").await, []);
    assert_eq!(
        stale_after(1, "a/1").await,
        [("a/1".to_owned(), How::Changed)]
    );
}
