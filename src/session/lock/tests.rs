//! The life of a lock, over stores in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinHandle;

use super::record::Record;
use super::site::Site;
use super::{Holder, Locks, Strength, tend};
use crate::store::file::FileStore;
use crate::store::registry::Env;
use crate::store::{
    Body, ErrorKind, Key, ListOptions, Precondition, Result, Store, StoreUrl, WriteOptions, mem,
};

fn memory() -> Arc<dyn Store> {
    let url = StoreUrl::parse("memfs://b").unwrap();
    Arc::new(mem::Buckets::default().open(&url))
}

fn folder(path: &Path) -> Arc<dyn Store> {
    let url = StoreUrl::parse(path.to_str().unwrap()).unwrap();
    Arc::new(FileStore::open_with(&url, false).unwrap())
}

fn site(home: &Arc<dyn Store>) -> Site {
    Site {
        home: Arc::clone(home),
        name: "race".to_owned(),
        me: Holder::here(&Env::default(), "7f3a"),
    }
}

/// A lock as a run of its own takes it.
struct Taking {
    ready: oneshot::Receiver<Result<Record>>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    locks: Arc<Locks>,
}

async fn take(site: Site, strength: Strength, ttl: Duration, wait: Duration) -> Taking {
    let locks = Arc::new(Locks::default());
    let place = ("b".to_owned(), "race".to_owned());
    let entry = locks.enter(place, "b", "race").await.unwrap();
    let record = Record::new(site.me.clone(), strength, ttl);
    let (stop, stopped) = oneshot::channel();
    let (tell, ready) = oneshot::channel();
    let ended = tokio::spawn(tend::tend(site, record, wait, entry, tell, stopped));
    Taking {
        ready,
        stop,
        ended,
        locks,
    }
}

impl Taking {
    /// Whether it was taken, with its record.
    async fn outcome(&mut self) -> Result<Record> {
        (&mut self.ready).await.unwrap()
    }

    async fn give_back(self) {
        drop(self.stop);
        self.ended.await.unwrap();
    }

    fn may_write(&self) -> Result<()> {
        let key = Key::parse("c/config").unwrap();
        self.locks.check("write", &*memory(), &key)
    }
}

async fn objects(store: &Arc<dyn Store>) -> usize {
    use futures::TryStreamExt;
    let listing = store.list(ListOptions::default());
    let all: Vec<_> = listing.try_collect().await.unwrap();
    all.len()
}

const HOUR: Duration = Duration::from_hours(1);

/// Each time all of them try at once, one must get it; it holds it until all others know.
async fn one_of_32_wins_200_times(store: Arc<dyn Store>) {
    const RACERS: usize = 32;
    let mut fencing = 0;
    for round in 0..200 {
        let start = Arc::new(Barrier::new(RACERS));
        let racers = (0..RACERS).map(|_| {
            let (site, start) = (site(&store), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                let mut taking = take(site, Strength::Atomic, HOUR, Duration::ZERO).await;
                let outcome = taking.outcome().await;
                (outcome, taking)
            })
        });
        let mut winners = Vec::new();
        for racer in join_all(racers).await {
            match racer.unwrap() {
                (Ok(record), taking) => winners.push((record, taking)),
                (Err(error), _) => assert_eq!(*error.kind(), ErrorKind::Locked, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        for (record, taking) in winners {
            assert!(record.fencing > fencing, "round {round}");
            fencing = record.fencing;
            taking.give_back().await;
        }
    }
    assert_eq!(objects(&store).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_32_wins_each_time_in_memory() {
    one_of_32_wins_200_times(memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_32_wins_each_time_in_a_folder() {
    let folder_of_its_own = tempfile::tempdir().unwrap();
    one_of_32_wins_200_times(folder(folder_of_its_own.path())).await;
    let left = folder_of_its_own.path().read_dir().unwrap().count();
    assert_eq!(left, 0, "no empty folder stays");
}

async fn overwrite(store: &Arc<dyn Store>, key: &Key, record: &Record) {
    let body = Body::from(record.to_bytes());
    let written = store.write(key, body, WriteOptions::default()).await;
    written.unwrap();
}

#[tokio::test]
async fn a_renewal_that_meets_somebody_elses_object_loses_the_lock_for_good() {
    for strength in [Strength::Atomic, Strength::Advisory] {
        let store = memory();
        let site = site(&store);
        let mut taking = take(site.clone(), strength, Duration::from_secs(1), HOUR).await;
        let record = taking.outcome().await.unwrap();
        let mut usurper = Record::new(site.me.clone(), strength, HOUR);
        usurper.overtake(&record);
        let key = match strength {
            Strength::Atomic => site.key(),
            _ => site.announcement(&usurper.id),
        };
        overwrite(&store, &key.unwrap(), &usurper).await;
        while taking.may_write().is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let error = taking.may_write().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::LockLost);
        assert!(error.to_string().contains("took it over"), "{error}");
        taking.give_back().await;
        assert_eq!(objects(&store).await, 1, "the other one's stays");
    }
}

#[tokio::test]
async fn a_lock_that_was_broken_is_lost() {
    for strength in [Strength::Atomic, Strength::Advisory] {
        let store = memory();
        let site = site(&store);
        let mut taking = take(site.clone(), strength, Duration::from_secs(1), HOUR).await;
        let record = taking.outcome().await.unwrap();
        let key = match strength {
            Strength::Atomic => site.key(),
            _ => site.announcement(&record.id),
        };
        store
            .delete(&key.unwrap(), Precondition::None)
            .await
            .unwrap();
        while taking.may_write().is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let error = taking.may_write().unwrap_err();
        assert!(error.to_string().contains("broke it"), "{error}");
        taking.give_back().await;
        assert_eq!(objects(&store).await, 0, "it isn't written anew");
    }
}

#[tokio::test]
async fn a_lock_outlives_its_ttl_by_renewals() {
    for strength in [Strength::Atomic, Strength::Advisory] {
        let store = memory();
        let site = site(&store);
        let mut first = take(site.clone(), strength, Duration::from_secs(1), HOUR).await;
        first.outcome().await.unwrap();
        // Longer than the ttl, by the waiter's own clock.
        let wait = Duration::from_millis(1800);
        let mut second = take(site, strength, Duration::from_secs(1), wait).await;
        let error = second.outcome().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Locked);
        assert!(first.may_write().is_ok());
        first.give_back().await;
    }
}

/// What a holder leaves of which nobody knows whether it lives.
fn of_another_machine(strength: Strength) -> Record {
    let mut far = Holder::here(&Env::default(), "dead");
    far.host = "elsewhere".to_owned();
    Record::new(far, strength, Duration::from_secs(1))
}

#[tokio::test]
async fn one_that_is_not_renewed_is_taken_over_by_whoever_watched_it_for_its_ttl() {
    for strength in [Strength::Atomic, Strength::Advisory] {
        let store = memory();
        let site = site(&store);
        let mut left = of_another_machine(strength);
        left.fencing += 1_000_000_000;
        let key = match strength {
            Strength::Atomic => site.key(),
            _ => site.announcement(&left.id),
        };
        overwrite(&store, &key.unwrap(), &left).await;
        let mut hasty = take(site.clone(), strength, HOUR, Duration::ZERO).await;
        let error = hasty.outcome().await.unwrap_err();
        assert!(error.to_string().contains("elsewhere"), "{error}");
        let mut patient = take(site, strength, HOUR, HOUR).await;
        let record = patient.outcome().await.unwrap();
        if strength == Strength::Atomic {
            assert_eq!(record.fencing, left.fencing + 1);
        }
        patient.give_back().await;
        assert_eq!(objects(&store).await, 0);
    }
}

#[tokio::test]
async fn one_of_a_process_that_is_gone_is_taken_over_at_once() {
    for strength in [Strength::Atomic, Strength::Advisory] {
        let store = memory();
        let site = site(&store);
        let mut dead = Record::new(site.me.clone(), strength, HOUR);
        // The largest number that Linux gives is 2^22.
        dead.holder.pid = (1 << 22) + 1;
        let key = match strength {
            Strength::Atomic => site.key(),
            _ => site.announcement(&dead.id),
        };
        overwrite(&store, &key.unwrap(), &dead).await;
        let mut taking = take(site, strength, HOUR, Duration::ZERO).await;
        assert!(taking.outcome().await.unwrap().fencing > dead.fencing);
        taking.give_back().await;
    }
}

#[tokio::test]
async fn whoever_gives_up_while_it_is_taken_leaves_nothing() {
    for strength in [Strength::Atomic, Strength::Advisory] {
        let store = memory();
        let site = site(&store);
        let taking = take(site.clone(), strength, HOUR, HOUR).await;
        taking.give_back().await;
        assert_eq!(objects(&store).await, 0);
        // Also one that waits for another.
        let mut first = take(site.clone(), strength, HOUR, HOUR).await;
        first.outcome().await.unwrap();
        take(site, strength, HOUR, HOUR).await.give_back().await;
        first.give_back().await;
        assert_eq!(objects(&store).await, 0);
    }
}

#[tokio::test]
async fn of_those_that_announce_themselves_at_once_one_wins() {
    const RACERS: usize = 8;
    let store = memory();
    for _ in 0..3 {
        let mut racers = Vec::new();
        for _ in 0..RACERS {
            racers.push(take(site(&store), Strength::Advisory, HOUR, Duration::ZERO).await);
        }
        let mut won = Vec::new();
        for mut racer in racers {
            match racer.outcome().await {
                Ok(_) => won.push(racer),
                Err(error) => assert_eq!(*error.kind(), ErrorKind::Locked, "{error}"),
            }
        }
        assert_eq!(won.len(), 1);
        for racer in won {
            racer.give_back().await;
        }
        assert_eq!(objects(&store).await, 0);
    }
}

#[tokio::test]
async fn whoever_trusts_the_store_more_and_whoever_trusts_it_less_exclude_each_other() {
    let store = memory();
    for (first, second) in [
        (Strength::Atomic, Strength::Advisory),
        (Strength::Advisory, Strength::Advisory),
    ] {
        let mut holder = take(site(&store), first, HOUR, Duration::ZERO).await;
        holder.outcome().await.unwrap();
        let mut other = take(site(&store), second, HOUR, Duration::ZERO).await;
        let error = other.outcome().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Locked);
        holder.give_back().await;
    }
}

#[tokio::test]
async fn an_object_that_is_no_lock_is_neither_overwritten_nor_ignored() {
    for strength in [Strength::Atomic, Strength::Advisory] {
        let store = memory();
        let site = site(&store);
        let key = match strength {
            Strength::Atomic => site.key(),
            _ => site.announcement("odd"),
        };
        let (key, body) = (key.unwrap(), Body::from("odd"));
        let written = store.write(&key, body, WriteOptions::default()).await;
        written.unwrap();
        let mut taking = take(site, strength, HOUR, HOUR).await;
        let error = taking.outcome().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Corrupt);
        assert!(
            error
                .hint_text()
                .unwrap()
                .contains("kstate lock break memfs://b race")
        );
        assert_eq!(objects(&store).await, 1);
    }
}
