//! A store whose writes reach it: once the gate lets them through, and once the journal has what
//! it takes to take them back.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};

use super::gate::Gate;
use super::journal::{Begun, Deed, Intent, Journal, Old, tag_of};
use super::opened::Reached;
use super::tally::{Fate, Tally};
use crate::store::{
    Algorithm, Body, Capabilities, Checksum, Error, ErrorKind, Key, ListOptions, Listing, Meta,
    Object, Place, Precondition, ReadOptions, Result, Store, StoreUrl, WriteOptions, is_reserved,
};

/// How many objects are looked at at once before a batch of them is deleted.
const AT_ONCE: usize = 32;

/// How many are deleted between two entries of the journal.
const BATCH: usize = 1000;

/// How often a write is tried again when somebody was faster between the look at what it replaces
/// and the write.
const TRIES: usize = 8;

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

    fn intent(&self, key: &Key, old: Old, deed: Deed) -> Intent {
        Intent {
            object: Reached::of(self, key.as_str()),
            old,
            deed,
        }
    }

    /// The condition under which what is replaced is what the journal keeps, where nobody gave one
    /// and the store can check it.
    fn pinned(options: &WriteOptions, old: &Old, able: bool) -> Option<WriteOptions> {
        let wanted = (&options.precondition, &options.believed);
        if !able || wanted != (&Precondition::None, &Precondition::None) {
            return None;
        }
        Some(WriteOptions {
            precondition: old.as_precondition()?,
            ..options.clone()
        })
    }

    /// What becomes of an object that no journal looks at.
    async fn fate(&self, key: &Key, options: &WriteOptions) -> Fate {
        if is_reserved(key.as_str()) {
            return Fate::Uncounted;
        }
        match (&options.precondition, &options.believed) {
            (Precondition::IfAbsent, _) | (Precondition::None, Precondition::IfAbsent) => {
                Fate::Created
            }
            (Precondition::IfMatch(_), _) | (_, Precondition::IfMatch(_)) => Fate::Changed,
            (Precondition::None, _) if self.base.capabilities().ephemeral => {
                match self.base.find(key).await {
                    Ok(None) => Fate::Created,
                    _ => Fate::Changed,
                }
            }
            (Precondition::None, _) => Fate::Written,
        }
    }

    /// Says in the journal and in the tally what came of a change.
    fn settle<T>(
        &self,
        begun: Begun,
        fate: Fate,
        result: &Result<T>,
        tag: impl FnOnce(&T) -> Option<String>,
    ) {
        match result {
            Ok(done) => {
                self.tally.count(fate);
                begun.done(tag(done));
            }
            Err(error) => begun.failed(error),
        }
    }

    /// Writes and copies, kept in the journal.
    async fn replace(
        &self,
        journal: &Arc<Journal>,
        key: &Key,
        mut what: Source<'_>,
        options: WriteOptions,
    ) -> Result<Option<Meta>> {
        let verb = what.verb();
        let able = self.base.capabilities();
        let mut can_pin = able.if_absent && able.if_match && what.is_repeatable(&able);
        let conditions = (&options.precondition, &options.believed);
        let mut tries = TRIES;
        loop {
            let old = journal.look(verb, &*self.base, key, conditions).await?;
            let fate = Fate::of_write(&old);
            let pinned = Self::pinned(&options, &old, can_pin);
            let intent = self.intent(key, old, what.deed());
            let begun = journal.begin_one(intent).await?;
            let again = pinned.is_some() && tries > 0;
            let options = pinned.as_ref().unwrap_or(&options);
            let result = match self.gate.admit(verb, &*self.base, key) {
                Ok(()) => {
                    let op = begun.op();
                    self.make(journal, op, key, &mut what, options).await
                }
                Err(error) => Err(error),
            };
            match result {
                // Whoever asked for a copy streams instead.
                Ok(None) => begun.void(),
                Err(error) if again && error.is_conflict() => {
                    begun.void();
                    tries -= 1;
                    continue;
                }
                // Some services say only now that they compare nothing.
                Err(error) if again && *error.kind() == ErrorKind::Unsupported => {
                    begun.void();
                    can_pin = false;
                    continue;
                }
                ref result => {
                    self.settle(begun, fate, result, |meta| meta.as_ref().and_then(tag_of));
                }
            }
            return result;
        }
    }

    async fn make(
        &self,
        journal: &Arc<Journal>,
        op: usize,
        key: &Key,
        what: &mut Source<'_>,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        let body = match what {
            Source::Copy { source, from } => {
                return self.base.copy_from(source, from, key, options).await;
            }
            Source::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Source::Stream(body) => {
                let body = std::mem::replace(body, Body::Bytes(Bytes::new()));
                self.gate.follow(&self.base, key, journal.summed(op, body))
            }
        };
        self.base.write(key, body, options.clone()).await.map(Some)
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
        let (mut there, mut failures) = (Vec::new(), Vec::new());
        for (key, old) in looked {
            match old {
                // What comes after this look is not deleted: nothing would keep it.
                Ok(Old::Absent) => {}
                Ok(old) => there.push((key, old)),
                Err(error) => failures.push(error),
            }
        }
        let keys: Vec<Key> = there.iter().map(|(key, _)| key.clone()).collect();
        let intents = there
            .into_iter()
            .map(|(key, old)| self.intent(&key, old, Deed::Delete))
            .collect();
        let begun = match journal.begin(intents).await {
            Ok(begun) => begun,
            Err(error) => {
                let here = |key: Key| error.clone().at(self.url(), Some(key.as_str()));
                failures.extend(keys.into_iter().map(here));
                return failures;
            }
        };
        let failed_now = self.base.delete_many(keys.clone()).await;
        let by_key: HashMap<_, _> = failed_now
            .iter()
            .map(|error| (error.key(), error))
            .collect();
        for (begun, key) in std::iter::zip(begun, &keys) {
            let error = by_key.get(&Some(key.as_str())).or(by_key.get(&None));
            let result = error.map_or(Ok(()), |error| Err((*error).clone()));
            self.settle(begun, Fate::Deleted, &result, |()| None);
        }
        failures.extend(failed_now);
        failures
    }
}

/// What a write puts under a key.
enum Source<'a> {
    Bytes(Bytes),
    Stream(Body),
    Copy {
        source: &'a Arc<dyn Store>,
        from: &'a Meta,
    },
}

impl Source<'_> {
    fn verb(&self) -> &'static str {
        match self {
            Self::Copy { .. } => "copy",
            _ => "write",
        }
    }

    fn deed(&self) -> Deed {
        match self {
            Self::Bytes(bytes) => Deed::Write {
                sha256: Some(Checksum::of(Algorithm::Sha256, bytes).hex()),
            },
            Self::Stream(_) => Deed::Write { sha256: None },
            Self::Copy { source, from } => Deed::Copy {
                from: Reached::of(&***source, from.key.as_str()),
                tag: tag_of(from),
                size: from.size,
                checksum: checksum(from),
            },
        }
    }

    /// Whether it can be done under a condition, and again when that didn't hold.
    fn is_repeatable(&self, able: &Capabilities) -> bool {
        match self {
            Self::Bytes(bytes) => able
                .max_conditional
                .is_none_or(|most| bytes.len() as u64 <= most),
            Self::Stream(_) => false,
            Self::Copy { .. } => able.copy_conditions,
        }
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

    async fn learn(&self) -> Result<()> {
        self.base.learn().await
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
        let Some(journal) = self.journal(key) else {
            let fate = self.fate(key, &options).await;
            let body = self.gate.follow(&self.base, key, body);
            let written = self.base.write(key, body, options).await?;
            self.tally.count(fate);
            return Ok(written);
        };
        let new = match body {
            Body::Bytes(bytes) => Source::Bytes(bytes),
            stream @ Body::Stream { .. } => Source::Stream(stream),
        };
        let written = self.replace(journal, key, new, options).await?;
        written.ok_or_else(|| {
            let message = "the store made nothing of it";
            Error::new(ErrorKind::Other, "write", message).at(self.url(), Some(key.as_str()))
        })
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
        let mut can_pin = self.base.capabilities().delete_if_match;
        let conditions = (&precondition, &Precondition::None);
        let mut tries = TRIES;
        loop {
            let old = journal.look("delete", &*self.base, key, conditions).await?;
            if old == Old::Absent {
                return Ok(());
            }
            let pinned = match precondition {
                Precondition::None if can_pin => old.as_precondition(),
                _ => None,
            };
            let begun = journal
                .begin_one(self.intent(key, old, Deed::Delete))
                .await?;
            let again = pinned.is_some() && tries > 0;
            let precondition = pinned.unwrap_or_else(|| precondition.clone());
            let result = match self.gate.admit("delete", &*self.base, key) {
                Ok(()) => self.base.delete(key, precondition).await,
                Err(error) => Err(error),
            };
            if again && result.as_ref().is_err_and(Error::is_conflict) {
                begun.void();
                tries -= 1;
                continue;
            }
            let unsupported = |error: &Error| *error.kind() == ErrorKind::Unsupported;
            if again && result.as_ref().is_err_and(unsupported) {
                begun.void();
                can_pin = false;
                continue;
            }
            self.settle(begun, Fate::Deleted, &result, |()| None);
            return result;
        }
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
        let Some(journal) = self.journal(key) else {
            let fate = self.fate(key, options).await;
            let copied = self.base.copy_from(source, from, key, options).await?;
            if copied.is_some() {
                self.tally.count(fate);
            }
            return Ok(copied);
        };
        let copy = Source::Copy { source, from };
        self.replace(journal, key, copy, options.clone()).await
    }

    fn backend(&self) -> &dyn Any {
        self.base.backend()
    }

    fn opened_at(&self) -> Option<&Arc<StoreUrl>> {
        Some(&self.opened_at)
    }

    fn capacity(&self) -> Option<u64> {
        self.base.capacity()
    }

    fn refuses(&self, key: &Key) -> Option<String> {
        self.base.refuses(key)
    }
}
