//! Doing what was worked out beforehand: several things at once, none before what must come first,
//! each only if it finds what it expects.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

use super::plan::{CopyOf, Expects};
use crate::store::{
    Body, Error, ErrorKind, Key, Place, Precondition, Result, Store, Tag, WriteOptions,
};
use crate::transfer::{self, Evidence, Observer, Outcome};

/// One change to one object.
pub(super) struct Task {
    /// So many of the tasks before it must have ended when it begins.
    pub(super) after: usize,
    pub(super) store: Arc<dyn Store>,
    pub(super) key: Key,
    pub(super) expects: Expects,
    pub(super) act: Act,
}

/// What happens to the object.
pub(super) enum Act {
    Write {
        body: Bytes,
        size: u64,
        options: WriteOptions,
    },
    Copy {
        source: Arc<dyn Store>,
        key: Key,
        version: CopyOf,
    },
    Delete,
}

/// Gives the bytes of a write when its turn comes.
pub(super) type Bytes =
    Box<dyn Fn() -> futures::future::BoxFuture<'static, Result<Body>> + Send + Sync>;

/// What came of a task.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// The object has this tag now, or is gone.
    Done(Option<String>),
    Failed(Error),
    /// Something before it failed.
    NotTried,
}

/// How tasks are done.
pub(super) struct Options {
    pub(super) concurrency: usize,
    /// Go on with the others when one fails.
    pub(super) keep_going: bool,
}

struct Run {
    results: Vec<Option<Ending>>,
    /// So many at the beginning have ended.
    ended: usize,
    running: JoinSet<(usize, Result<Option<String>>)>,
    writing: HashSet<Place>,
    reading: HashMap<Place, usize>,
    touched: HashMap<usize, (Place, Option<Place>)>,
    failed: bool,
    observer: Arc<dyn Observer>,
}

/// The tasks that are done, with the tags of what they left: those that were before, and each
/// when it ends.
#[derive(Default)]
pub(super) struct Done(Mutex<HashMap<usize, Option<String>>>);

impl Done {
    /// A panic elsewhere can't leave it half-changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<usize, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does tasks, but for those that are done already.
pub(super) async fn execute(
    tasks: Vec<Task>,
    done: &Done,
    options: &Options,
    observer: Arc<dyn Observer>,
) -> Vec<Ending> {
    let mut run = Run {
        results: vec![None; tasks.len()],
        ended: 0,
        running: JoinSet::new(),
        writing: HashSet::new(),
        reading: HashMap::new(),
        touched: HashMap::new(),
        failed: false,
        observer,
    };
    for (index, tag) in &*done.lock() {
        if let Some(result) = run.results.get_mut(*index) {
            *result = Some(Ending::Done(tag.clone()));
        }
    }
    for (index, task) in tasks.into_iter().enumerate() {
        if run.results[index].is_some() {
            continue;
        }
        let target = Place::of(&*task.store, task.key.as_str());
        let source = match &task.act {
            Act::Copy { source, key, .. } => Some(Place::of(&**source, key.as_str())),
            _ => None,
        };
        while !run.may_start(task.after, &target, source.as_ref(), options) {
            run.next(done).await;
        }
        if run.failed && !options.keep_going {
            break;
        }
        run.start(index, task, target, source);
    }
    while !run.running.is_empty() {
        run.next(done).await;
    }
    let results = run.results.into_iter();
    results
        .map(|result| result.unwrap_or(Ending::NotTried))
        .collect()
}

impl Run {
    fn may_start(
        &mut self,
        after: usize,
        target: &Place,
        source: Option<&Place>,
        options: &Options,
    ) -> bool {
        if self.running.is_empty() || (self.failed && !options.keep_going) {
            return true;
        }
        while self.results.get(self.ended).is_some_and(Option::is_some) {
            self.ended += 1;
        }
        self.ended >= after
            && self.running.len() < options.concurrency
            && !self.writing.contains(target)
            && !self.reading.contains_key(target)
            && !source.is_some_and(|source| self.writing.contains(source))
    }

    fn start(&mut self, index: usize, task: Task, target: Place, source: Option<Place>) {
        let Some(precondition) = self.precondition(&task.expects) else {
            self.results[index] = Some(Ending::NotTried);
            return;
        };
        let version = match &task.act {
            Act::Copy { version, .. } => self.version(version),
            _ => None,
        };
        if version.is_none() && matches!(task.act, Act::Copy { .. }) {
            self.results[index] = Some(Ending::NotTried);
            return;
        }
        self.writing.insert(target.clone());
        if let Some(source) = &source {
            *self.reading.entry(source.clone()).or_default() += 1;
        }
        self.touched.insert(index, (target, source));
        let observer = Arc::clone(&self.observer);
        self.running.spawn(async move {
            let key = task.key.clone();
            let result = act(task, precondition, version).await;
            let outcome = match &result {
                Ok(_) => Outcome::Deleted,
                Err(error) => Outcome::Failed(error.clone()),
            };
            observer.object_done(&key, &outcome);
            (index, result)
        });
    }

    async fn next(&mut self, done: &Done) {
        let Some(joined) = self.running.join_next().await else {
            return;
        };
        // A task that panicked leaves no result; it counts as not tried, and as a failure.
        let Ok((index, result)) = joined else {
            self.failed = true;
            return;
        };
        if let Some((target, source)) = self.touched.remove(&index) {
            self.writing.remove(&target);
            if let Some(source) = source
                && let Some(readers) = self.reading.get_mut(&source)
            {
                *readers -= 1;
                if *readers == 0 {
                    self.reading.remove(&source);
                }
            }
        }
        self.failed |= result.is_err();
        if let Ok(tag) = &result {
            done.lock().insert(index, tag.clone());
        }
        self.results[index] = Some(match result {
            Ok(tag) => Ending::Done(tag),
            Err(error) => Ending::Failed(error),
        });
    }

    /// `None` when what it builds on was not done.
    fn precondition(&self, expects: &Expects) -> Option<Precondition> {
        match expects {
            Expects::Absent => Some(Precondition::IfAbsent),
            Expects::Tag(tag) => Some(Precondition::IfMatch(Tag(tag.clone()))),
            Expects::Step(step) => match self.results.get(*step)? {
                Some(Ending::Done(Some(tag))) => Some(Precondition::IfMatch(Tag(tag.clone()))),
                Some(Ending::Done(None)) => Some(Precondition::IfAbsent),
                _ => None,
            },
        }
    }

    fn version(&self, version: &CopyOf) -> Option<Tag> {
        match version {
            CopyOf::Tag(tag) => Some(Tag(tag.clone())),
            CopyOf::Step(step) => match self.results.get(*step)? {
                Some(Ending::Done(Some(tag))) => Some(Tag(tag.clone())),
                _ => None,
            },
        }
    }
}

async fn act(
    task: Task,
    precondition: Precondition,
    version: Option<Tag>,
) -> Result<Option<String>> {
    let Task {
        store, key, act, ..
    } = task;
    let meta = match act {
        Act::Write {
            body,
            size,
            options,
        } => {
            let held = held_to(&*store, &key, &options, &precondition, size).await?;
            match store.write(&key, body().await?, held).await {
                // Some services say only now that they compare nothing.
                Err(error) if *error.kind() == ErrorKind::Unsupported => {
                    let held = checked(&*store, &key, &options, &precondition).await?;
                    store.write(&key, body().await?, held).await?
                }
                written => written?,
            }
        }
        Act::Copy {
            source, key: from, ..
        } => {
            let found = source.stat(&from).await?;
            if found.tag != version {
                let kind = ErrorKind::PreconditionFailed { found: found.tag };
                let message = "it is no longer the version that is to be copied";
                return Err(Error::new(kind, "copy", message).at(source.url(), Some(from.as_str())));
            }
            let evidence = Evidence::Checksum;
            transfer::copy_object(&source, &found, &store, &key, &precondition, evidence)
                .await?
                .meta
        }
        Act::Delete => {
            delete(&*store, &key, precondition).await?;
            return Ok(None);
        }
    };
    match meta.tag {
        Some(tag) => Ok(Some(tag.0)),
        None => Ok(store.stat(&key).await?.tag.map(|tag| tag.0)),
    }
}

/// How to write under a precondition; where the store can't check it at the moment of the write,
/// it is checked just before.
async fn held_to(
    store: &dyn Store,
    key: &Key,
    options: &WriteOptions,
    precondition: &Precondition,
    size: u64,
) -> Result<WriteOptions> {
    let able = store.capabilities();
    if able.can_check(precondition) && able.max_conditional.is_none_or(|most| size <= most) {
        return Ok(WriteOptions {
            believed: precondition.clone(),
            precondition: precondition.clone(),
            ..options.clone()
        });
    }
    checked(store, key, options, precondition).await
}

async fn checked(
    store: &dyn Store,
    key: &Key,
    options: &WriteOptions,
    precondition: &Precondition,
) -> Result<WriteOptions> {
    check(store, key, precondition).await?;
    Ok(WriteOptions {
        believed: precondition.clone(),
        ..options.clone()
    })
}

async fn delete(store: &dyn Store, key: &Key, precondition: Precondition) -> Result<()> {
    match store.delete(key, precondition.clone()).await {
        Err(error) if *error.kind() == ErrorKind::Unsupported => {
            check(store, key, &precondition).await?;
            store.delete(key, Precondition::None).await
        }
        result => result,
    }
}

async fn check(store: &dyn Store, key: &Key, precondition: &Precondition) -> Result<()> {
    let now = store.find(key).await?;
    let found = now.as_ref().and_then(|meta| meta.tag.clone());
    let holds = match precondition {
        Precondition::None => true,
        Precondition::IfAbsent => now.is_none(),
        Precondition::IfMatch(tag) => found.as_ref() == Some(tag),
    };
    if holds {
        return Ok(());
    }
    let kind = ErrorKind::PreconditionFailed { found };
    Err(
        Error::new(kind, "write", "somebody else changed it meanwhile")
            .at(store.url(), Some(key.as_str())),
    )
}
