//! A store whose writes reach it: once the gate lets them through, and once the journal has what
//! it takes to take them back.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};

use super::gate::Gate;
use super::journal::{self, Deed, Intent, Journal, Line, Old};
use super::tally::{Fate, Tally};
use crate::store::{
    Algorithm, Body, Capabilities, Checksum, Error, ErrorKind, Key, ListOptions, Listing, Meta,
    Object, Place, Precondition, ReadOptions, Result, Store, StoreUrl, WriteOptions, is_reserved,
};

/// How many objects are looked at at once before a batch of them is deleted.
const AT_ONCE: usize = 32;

/// How many are deleted between two entries of the journal.
const BATCH: usize = 1000;

/// A store behind the run's [`Gate`] and [`Journal`].
#[derive(Clone)]
pub(super) struct Direct {
    base: Arc<dyn Store>,
    opened_at: Arc<StoreUrl>,
    gate: Arc<Gate>,
    tally: Arc<Tally>,
    /// `None` when nothing is kept, for this store or for the whole run.
    journal: Option<Arc<Journal>>,
}

impl Direct {
    pub(super) fn new(
        base: Arc<dyn Store>,
        url: &StoreUrl,
        gate: Arc<Gate>,
        tally: Arc<Tally>,
        journal: Option<Arc<Journal>>,
    ) -> Self {
        let ephemeral = base.capabilities().ephemeral;
        Self {
            journal: journal.filter(|journal| journal.keeps(ephemeral)),
            base,
            opened_at: Arc::new(url.clone()),
            gate,
            tally,
        }
    }

    /// The journal, for objects that are not kstate's own.
    fn journal(&self, key: &Key) -> Option<&Arc<Journal>> {
        self.journal.as_ref().filter(|_| !is_reserved(key.as_str()))
    }

    fn object(&self, key: &Key) -> Place {
        let place = self.base.place();
        Place {
            prefix: place.full_key(key.as_str()),
            root: place.root,
        }
    }

    fn intent(&self, key: &Key, old: Old, deed: Deed) -> Intent {
        Intent {
            object: self.object(key),
            old,
            deed,
        }
    }

    /// What becomes of an object that no journal looks at.
    async fn fate(&self, key: &Key, wanted: &Precondition, believed: &Precondition) -> Fate {
        if is_reserved(key.as_str()) {
            return Fate::Uncounted;
        }
        match (wanted, believed) {
            (Precondition::IfAbsent, _) | (Precondition::None, Precondition::IfAbsent) => {
                Fate::Created
            }
            (Precondition::IfMatch(_), _) | (_, Precondition::IfMatch(_)) => Fate::Changed,
            (Precondition::None, _) if self.base.capabilities().ephemeral => {
                match self.base.stat(key).await {
                    Ok(_) => Fate::Changed,
                    Err(_) => Fate::Created,
                }
            }
            (Precondition::None, _) => Fate::Written,
        }
    }

    /// Says in the journal and in the tally what came of a change.
    fn settle<T>(
        &self,
        journal: &Journal,
        op: usize,
        fate: Fate,
        result: &Result<T>,
        tag: impl FnOnce(&T) -> Option<String>,
    ) {
        let line = match result {
            Ok(done) => {
                self.tally.count(fate);
                let tag = tag(done);
                Line::Done { op, tag }
            }
            Err(error) => failed(op, error),
        };
        journal.ended(&[line]);
    }

    /// Deletes a batch of objects that the gate let through; gives the failures.
    async fn delete_batch(&self, journal: &Arc<Journal>, keys: Vec<Key>) -> Vec<Error> {
        let unconditional = (&Precondition::None, &Precondition::None);
        let looks = stream::iter(keys).map(|key| async move {
            let old = journal
                .look("delete", &*self.base, &key, unconditional)
                .await;
            (key, old)
        });
        let looked: Vec<_> = looks.buffered(AT_ONCE).collect().await;
        let (mut there, mut absent, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for (key, old) in looked {
            match old {
                Ok(Old::Absent) => absent.push(key),
                Ok(old) => there.push((key, old)),
                Err(error) => failures.push(error),
            }
        }
        let keys: Vec<Key> = there.iter().map(|(key, _)| key.clone()).collect();
        let intents = there
            .into_iter()
            .map(|(key, old)| self.intent(&key, old, Deed::Delete))
            .collect();
        let ops = match journal.begin(intents).await {
            Ok(ops) => ops,
            Err(error) => {
                let here = |key: Key| error.clone().at(self.url(), Some(key.as_str()));
                failures.extend(keys.into_iter().chain(absent).map(here));
                return failures;
            }
        };
        absent.extend(keys.iter().cloned());
        let failed_now = self.base.delete_many(absent).await;
        let by_key: HashMap<_, _> = failed_now
            .iter()
            .map(|error| (error.key(), error))
            .collect();
        let ended = |(op, key): (usize, &Key)| {
            let error = by_key.get(&Some(key.as_str())).or(by_key.get(&None));
            if let Some(error) = error {
                return failed(op, error);
            }
            self.tally.count(Fate::Deleted);
            Line::Done { op, tag: None }
        };
        let lines: Vec<Line> = std::iter::zip(ops, &keys).map(ended).collect();
        journal.ended(&lines);
        failures.extend(failed_now);
        failures
    }
}

/// What a failed change was: one that surely did not happen, or one that may have.
fn failed(op: usize, error: &Error) -> Line {
    match error.kind() {
        ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Corrupt | ErrorKind::Other => {
            Line::Unclear { op }
        }
        _ => Line::Void { op },
    }
}

fn checksum(meta: &Meta) -> Option<String> {
    let sum = meta.checksum.as_ref()?;
    Some(format!("{}:{}", sum.algorithm.name(), sum.hex()))
}

#[async_trait]
impl Store for Direct {
    fn url(&self) -> &str {
        self.base.url()
    }

    fn place(&self) -> Place {
        self.base.place()
    }

    fn capabilities(&self) -> Capabilities {
        self.base.capabilities()
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            base: self.base.at(folder),
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.base.stat(key).await
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        self.base.read(key, options).await
    }

    async fn read_version(&self, key: &Key, version: &str) -> Result<Object> {
        self.base.read_version(key, version).await
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        self.gate.admit("write", &*self.base, key)?;
        let conditions = (&options.precondition, &options.believed);
        let Some(journal) = self.journal(key) else {
            let fate = self.fate(key, conditions.0, conditions.1).await;
            let body = self.gate.follow(&self.base, key, body);
            let written = self.base.write(key, body, options).await?;
            self.tally.count(fate);
            return Ok(written);
        };
        let old = journal.look("write", &*self.base, key, conditions).await?;
        let fate = Fate::of_write(&old);
        let sha256 = match &body {
            Body::Bytes(bytes) => Some(Checksum::of(Algorithm::Sha256, bytes).hex()),
            Body::Stream { .. } => None,
        };
        let is_stream = sha256.is_none();
        let intent = self.intent(key, old, Deed::Write { sha256 });
        let op = journal.begin_one(intent).await?;
        let body = if is_stream {
            journal.summed(op, body)
        } else {
            body
        };
        let body = self.gate.follow(&self.base, key, body);
        let result = match self.gate.admit("write", &*self.base, key) {
            Ok(()) => self.base.write(key, body, options).await,
            Err(error) => Err(error),
        };
        self.settle(journal, op, fate, &result, journal::tag_of);
        result
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        self.gate.admit("delete", &*self.base, key)?;
        let Some(journal) = self.journal(key) else {
            let look = self.base.capabilities().ephemeral;
            let known = !look || self.base.stat(key).await.is_ok();
            self.base.delete(key, precondition).await?;
            if known && !is_reserved(key.as_str()) {
                self.tally.count(Fate::Deleted);
            }
            return Ok(());
        };
        let conditions = (&precondition, &Precondition::None);
        let old = journal.look("delete", &*self.base, key, conditions).await?;
        if old == Old::Absent {
            return self.base.delete(key, precondition).await;
        }
        let intent = self.intent(key, old, Deed::Delete);
        let op = journal.begin_one(intent).await?;
        let result = match self.gate.admit("delete", &*self.base, key) {
            Ok(()) => self.base.delete(key, precondition).await,
            Err(error) => Err(error),
        };
        self.settle(journal, op, Fate::Deleted, &result, |()| None);
        result
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Vec<Error> {
        let mut failures = Vec::new();
        let mut admitted = Vec::with_capacity(keys.len());
        for key in keys {
            match self.gate.admit("delete", &*self.base, &key) {
                Ok(()) => admitted.push(key),
                Err(denied) => failures.push(denied),
            }
        }
        let Some(journal) = &self.journal else {
            let asked = admitted.len() as u64;
            let failed = self.base.delete_many(admitted).await;
            let done = asked.saturating_sub(failed.len() as u64);
            self.tally.count_many(Fate::Deleted, done);
            failures.extend(failed);
            return failures;
        };
        let batches: Vec<Vec<Key>> = admitted.chunks(BATCH).map(<[Key]>::to_vec).collect();
        for batch in batches {
            failures.extend(self.delete_batch(journal, batch).await);
        }
        failures
    }

    fn list(&self, options: ListOptions) -> Listing {
        self.base.list(options)
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        self.gate.admit("copy", &*self.base, key)?;
        let conditions = (&options.precondition, &options.believed);
        let Some(journal) = self.journal(key) else {
            let fate = self.fate(key, conditions.0, conditions.1).await;
            let copied = self.base.copy_from(source, from, key, options).await?;
            if copied.is_some() {
                self.tally.count(fate);
            }
            return Ok(copied);
        };
        let old = journal.look("copy", &*self.base, key, conditions).await?;
        let fate = Fate::of_write(&old);
        let place = source.place();
        let deed = Deed::Copy {
            from: Place {
                prefix: place.full_key(from.key.as_str()),
                root: place.root,
            },
            tag: from.tag.as_ref().map(|tag| tag.0.clone()),
            size: from.size,
            checksum: checksum(from),
        };
        let op = journal.begin_one(self.intent(key, old, deed)).await?;
        let result = match self.gate.admit("copy", &*self.base, key) {
            Ok(()) => self.base.copy_from(source, from, key, options).await,
            Err(error) => Err(error),
        };
        match &result {
            // Whoever asked for it streams instead.
            Ok(None) => journal.ended(&[Line::Void { op }]),
            Ok(Some(meta)) => {
                self.settle(journal, op, fate, &Ok(meta), |meta| journal::tag_of(meta));
            }
            Err(error) => journal.ended(&[failed(op, error)]),
        }
        result
    }

    fn backend(&self) -> &dyn Any {
        self.base.backend()
    }

    fn opened_at(&self) -> Option<&StoreUrl> {
        Some(&self.opened_at)
    }

    fn refuses(&self, key: &Key) -> Option<String> {
        self.base.refuses(key)
    }
}
