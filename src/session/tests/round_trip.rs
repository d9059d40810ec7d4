//! Whatever a run does: planned and applied it ends as if it had been done directly, taken back
//! all is as it was, and planning changed nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use futures::future::join_all;
use proptest::prelude::*;

use crate::session::journal::{self, Run, Work};
use crate::session::plan::{Origin, Plan};
use crate::session::{Applied, Apply, Mode, Session, Undo};
use crate::store::registry::{Env, Registry};
use crate::store::{
    Body, Entry, Key, ListOptions, Precondition, ReadOptions, Result, Store, StoreUrl, WriteOptions,
};

/// Two stores of one bucket, one inside the other, and one of another bucket.
const STORES: [&str; 3] = ["memfs://one", "memfs://one/a", "memfs://two/deep"];
const KEYS: [&str; 6] = ["a/x", "a/y", "x", "y", "b/x", "a/b/z"];

#[derive(Clone, Debug)]
enum Op {
    Write(usize, usize, u8),
    Create(usize, usize, u8),
    Swap(usize, usize, u8),
    Append(usize, usize, u8),
    Delete(usize, usize),
    Copy((usize, usize), (usize, usize)),
    /// Writes how many objects a folder has.
    Count(usize, &'static str, usize),
    /// Several at once.
    Together(Vec<Op>),
    /// Several at once that may meet.
    Meet(Vec<Op>),
    /// A body whose end is not known beforehand.
    Stream(usize, usize, u8),
    DeleteMany(usize, Vec<usize>),
}

fn op() -> impl Strategy<Value = Op> {
    let store = 0..STORES.len();
    let key = 0..KEYS.len();
    let one = prop_oneof![
        4 => (store.clone(), key.clone(), any::<u8>()).prop_map(|(s, k, b)| Op::Write(s, k, b)),
        2 => (store.clone(), key.clone(), any::<u8>()).prop_map(|(s, k, b)| Op::Create(s, k, b)),
        2 => (store.clone(), key.clone(), any::<u8>()).prop_map(|(s, k, b)| Op::Swap(s, k, b)),
        2 => (store.clone(), key.clone(), any::<u8>()).prop_map(|(s, k, b)| Op::Append(s, k, b)),
        3 => (store.clone(), key.clone()).prop_map(|(s, k)| Op::Delete(s, k)),
        4 => ((store.clone(), key.clone()), (store.clone(), key.clone()))
            .prop_map(|(from, to)| Op::Copy(from, to)),
        1 => (store, prop_oneof![Just(""), Just("a")], key)
            .prop_map(|(s, folder, k)| Op::Count(s, folder, k)),
    ];
    // At once only what can't meet, or direct and planned runs could differ by chance.
    let apart = proptest::collection::vec(any::<u8>(), 1..KEYS.len()).prop_map(|bytes| {
        let writes = bytes.iter().enumerate();
        Op::Together(writes.map(|(k, b)| Op::Write(2, k, *b)).collect())
    });
    prop_oneof![8 => one, 1 => apart]
}

/// What a direct run can do besides: what comes of it hangs on chance.
fn any_op() -> impl Strategy<Value = Op> {
    let (store, key) = (0..STORES.len(), 0..KEYS.len());
    let stream = (store.clone(), key.clone(), any::<u8>());
    let keys = proptest::collection::vec(key, 0..KEYS.len());
    let one = prop_oneof![
        2 => op(),
        1 => stream.prop_map(|(s, k, b)| Op::Stream(s, k, b)),
        1 => (store, keys).prop_map(|(s, keys)| Op::DeleteMany(s, keys)),
    ];
    let several = proptest::collection::vec(one.clone(), 1..5);
    prop_oneof![2 => one, 1 => several.prop_map(Op::Meet)]
}

fn key(index: usize) -> Key {
    Key::parse(KEYS[index]).expect("a literal key")
}

/// A script: what it does depends on what it finds, and conflicts are no failures.
async fn run(stores: &[Arc<dyn Store>], op: &Op) {
    let text = |byte: u8| Body::from(vec![byte; usize::from(byte % 7)]);
    match op {
        Op::Write(s, k, byte) => {
            let options = WriteOptions {
                content_type: Some(format!("text/{byte}")),
                user: BTreeMap::from([("by".to_owned(), format!("{byte}"))]),
                ..WriteOptions::default()
            };
            stores[*s]
                .write(&key(*k), text(*byte), options)
                .await
                .expect("written");
        }
        Op::Create(s, k, byte) => {
            let options = WriteOptions::if_absent();
            let written = stores[*s].write(&key(*k), text(*byte), options).await;
            conflict_at_most(written);
        }
        Op::Swap(s, k, byte) => {
            if let Ok(meta) = stores[*s].stat(&key(*k)).await {
                let options = WriteOptions::if_match(meta.tag.expect("a tag"));
                conflict_at_most(stores[*s].write(&key(*k), text(*byte), options).await);
            }
        }
        Op::Append(s, k, byte) => append(&*stores[*s], &key(*k), *byte).await,
        Op::Delete(s, k) => {
            stores[*s]
                .delete(&key(*k), Precondition::None)
                .await
                .expect("deleted");
        }
        Op::Copy((from, k), (to, target)) => {
            let Ok(meta) = stores[*from].stat(&key(*k)).await else {
                return;
            };
            let (options, target) = (WriteOptions::default(), key(*target));
            let copied = stores[*to].copy_from(&stores[*from], &meta, &target, &options);
            match copied.await {
                Err(error) if error.is_missing_key() => {}
                copied => conflict_at_most(copied),
            }
        }
        Op::Count(s, folder, k) => {
            let listing = stores[*s].list(ListOptions::recursive(*folder));
            let entries: Vec<Entry> = listing.try_collect().await.expect("a listing");
            let count = u8::try_from(entries.len()).expect("few");
            let options = WriteOptions::default();
            stores[*s]
                .write(&key(*k), Body::from(vec![count]), options)
                .await
                .expect("written");
        }
        Op::Stream(s, k, byte) => {
            let chunks = vec![vec![*byte; 3], vec![*byte; usize::from(byte % 5)]];
            let chunks = chunks.into_iter().map(|chunk| Ok(chunk.into()));
            let body = Body::stream(None, futures::stream::iter(chunks));
            let (key, options) = (key(*k), WriteOptions::default());
            stores[*s]
                .write(&key, body, options)
                .await
                .expect("written");
        }
        Op::DeleteMany(s, keys) => {
            let keys = keys.iter().map(|k| key(*k)).collect();
            let failures = stores[*s].at("").delete_many(keys).await;
            assert!(failures.is_empty(), "{failures:?}");
        }
        Op::Together(ops) | Op::Meet(ops) => {
            join_all(ops.iter().map(|op| run(stores, op))).await;
        }
    }
}

async fn append(store: &dyn Store, key: &Key, byte: u8) {
    let mut bytes = match store.read(key, ReadOptions::default()).await {
        Ok(found) => found.body.collect(1 << 20).await.expect("bytes").to_vec(),
        Err(_) => Vec::new(),
    };
    bytes.push(byte);
    let written = store.write(key, Body::from(bytes), WriteOptions::default());
    written.await.expect("written");
}

fn conflict_at_most<T>(result: Result<T>) {
    if let Err(error) = result {
        assert!(error.is_conflict(), "{error}");
    }
}

fn open(session: &Session) -> Vec<Arc<dyn Store>> {
    let open = |url: &&str| {
        let url = StoreUrl::parse(url).expect("a literal URL");
        session.open(&url).expect("a memory store")
    };
    STORES.iter().map(open).collect()
}

type Objects = BTreeMap<String, (Vec<u8>, Option<String>, BTreeMap<String, String>)>;

async fn objects(registry: &Arc<Registry>) -> Objects {
    let mut objects = Objects::new();
    for bucket in ["memfs://one", "memfs://two"] {
        let url = StoreUrl::parse(bucket).expect("a literal URL");
        let store = crate::session::beneath(registry, &url).expect("a memory store");
        let entries: Vec<Entry> = store
            .list(ListOptions::default())
            .try_collect()
            .await
            .expect("a listing");
        for entry in entries {
            let Entry::Object(meta) = entry else {
                panic!("{entry:?}");
            };
            let read = store
                .read(&meta.key, ReadOptions::default())
                .await
                .expect("an object");
            let bytes = read.body.collect(1 << 20).await.expect("bytes").to_vec();
            let object = (bytes, read.meta.content_type, read.meta.user);
            objects.insert(format!("{bucket}/{}", meta.key), object);
        }
    }
    objects
}

fn settings(folder: &Path) -> journal::Settings {
    journal::Settings {
        ephemeral: true,
        ..journal::Settings::new(folder.join("journal"))
    }
}

async fn filled(initial: &[Op]) -> Arc<Registry> {
    let registry = Arc::new(Registry::new(Env::default()));
    let stores = open(&Session::over(Arc::clone(&registry), Mode::Direct));
    for op in initial {
        run(&stores, op).await;
    }
    registry
}

async fn planned(registry: &Arc<Registry>, ops: &[Op]) -> Plan {
    let session = Session::over(Arc::clone(registry), Mode::Plan);
    let stores = open(&session);
    for op in ops {
        run(&stores, op).await;
    }
    session.plan(Origin {
        id: "0123456789abcdef".to_owned(),
        ..Origin::default()
    })
}

async fn applied(registry: &Arc<Registry>, plan: Plan, settings: &journal::Settings) {
    let session = Session::over(Arc::clone(registry), Mode::Direct);
    let work = Work {
        plan: Some(plan.origin.id.clone()),
        ..Work::default()
    };
    let apply = Apply::prepare(&session, Some(settings), plan, work)
        .await
        .expect("prepared");
    assert_eq!(
        apply.check().await.expect("checked"),
        [],
        "nothing is stale"
    );
    let outcome = apply
        .run(8, std::time::Duration::ZERO, Arc::new(()))
        .await
        .expect("applied");
    let done = matches!(&outcome, Applied::Done(outcome) if outcome.is_complete());
    assert!(done, "{outcome:?}");
}

/// Takes the newest run back.
async fn undone(registry: &Arc<Registry>, settings: &journal::Settings) {
    let runs = journal::runs(&settings.folder).expect("the runs");
    if let Some(run) = runs.into_iter().next() {
        undone_run(registry, settings, run).await;
    }
}

async fn undone_run(registry: &Arc<Registry>, settings: &journal::Settings, run: Run) {
    let session = Session::over(Arc::clone(registry), Mode::Direct);
    let work = Work {
        undoes: Some(run.about.id.clone()),
        ..Work::default()
    };
    let undo = Undo::prepare(&session, settings, &run, work)
        .await
        .expect("prepared");
    let undone = undo
        .run(8, std::time::Duration::ZERO, Arc::new(()))
        .await
        .expect("undone");
    assert!(undone.outcome.is_complete(), "{undone:?}");
    assert_eq!(undone.unrestorable, []);
}

async fn check(initial: Vec<Op>, ops: Vec<Op>) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());

    let direct = filled(&initial).await;
    let stores = open(&Session::over(Arc::clone(&direct), Mode::Direct));
    for op in &ops {
        run(&stores, op).await;
    }
    let expected = objects(&direct).await;

    let registry = filled(&initial).await;
    let before = objects(&registry).await;
    let plan = planned(&registry, &ops).await;
    assert_eq!(
        objects(&registry).await,
        before,
        "planning changed something"
    );
    applied(&registry, plan, &settings).await;
    assert_eq!(
        objects(&registry).await,
        expected,
        "applied is not as direct"
    );
    undone(&registry, &settings).await;
    assert_eq!(objects(&registry).await, before, "undone is not as before");
}

/// The same for a direct run with a journal.
async fn check_direct(initial: Vec<Op>, ops: Vec<Op>) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    let registry = filled(&initial).await;
    let before = objects(&registry).await;
    let session = Session::over(Arc::clone(&registry), Mode::Direct)
        .journaled(settings.clone(), Work::default());
    let stores = open(&session);
    for op in &ops {
        run(&stores, op).await;
    }
    session.finish(true);
    let after = objects(&registry).await;
    undone(&registry, &settings).await;
    assert_eq!(objects(&registry).await, before, "undone is not as before");
    // Taking the undo back leads forward again.
    undone(&registry, &settings).await;
    assert_eq!(
        objects(&registry).await,
        after,
        "undone twice is not as after"
    );
    // And the run itself can be taken back again.
    let runs = journal::runs(&settings.folder).expect("the runs");
    if let Some(run) = runs
        .into_iter()
        .find(|run| run.about.id == session.run_id())
    {
        undone_run(&registry, &settings, run).await;
        assert_eq!(objects(&registry).await, before, "undone again");
    }
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future);
}

fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_applied_is_the_run_itself_and_undone_is_the_beginning(
        initial in ops(12),
        ops in ops(20),
    ) {
        block_on(check(initial, ops));
    }

    #[test]
    fn a_direct_run_can_be_taken_back_and_that_too(
        initial in ops(12),
        ops in proptest::collection::vec(any_op(), 0..20),
    ) {
        block_on(check_direct(initial, ops));
    }
}
