//! Doing what a plan says, once all that it was computed from is as it was.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::check::{self, Expected, Stale, Versions};
use super::execute::{Act, Ending, Options, Task, execute};
use super::identify::{Fate, identify};
use super::journal::{self, Journal, Line, Log, Op, Run, State, Work};
use super::lock::{Guard, LockOptions};
use super::plan::{Plan, PlannedChange, PlannedStore, Step};
use super::{Mode, Session};
use crate::store::{Body, Error, ErrorKind, Key, Result, Store, StoreUrl, WriteOptions};
use crate::transfer::Observer;

/// A plan on its way into the stores.
pub struct Apply {
    session: Session,
    plan: Plan,
    stores: Vec<Arc<dyn Store>>,
    /// The steps that an interrupted run did already, with the tags of what they left.
    done: HashMap<usize, Option<String>>,
}

/// What came of a plan, or of taking a run back.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many changes are made, those of an interrupted run before this one included.
    pub done: usize,
    /// What somebody else changed meanwhile, and was left alone.
    pub conflicts: Vec<Error>,
    /// What failed.
    pub failures: Vec<Error>,
    /// How many changes were not tried because of that.
    pub not_tried: usize,
}

impl Outcome {
    pub(super) fn of(endings: Vec<Ending>) -> Self {
        let mut outcome = Self::default();
        for ending in endings {
            match ending {
                Ending::Done(_) => outcome.done += 1,
                Ending::Failed(error) if error.is_conflict() => outcome.conflicts.push(error),
                Ending::Failed(error) => outcome.failures.push(error),
                Ending::NotTried => outcome.not_tried += 1,
            }
        }
        outcome
    }

    /// Whether everything was done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.conflicts.is_empty() && self.failures.is_empty() && self.not_tried == 0
    }
}

impl Apply {
    /// Opens a plan's stores, and finds out what an interrupted run of it did already.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a store of the plan is another one here; what the journal of an
    /// earlier run can't tell; those of the stores.
    pub async fn prepare(
        session: &Session,
        settings: Option<&journal::Settings>,
        plan: Plan,
        work: Work,
    ) -> Result<Self> {
        let earlier = match settings {
            Some(settings) => earlier_run(&settings.folder, |work| {
                work.plan.as_deref() == Some(&plan.origin.id)
            })?,
            None => None,
        };
        let log = earlier.as_ref().map(Run::log).transpose()?;
        let session = match (settings, earlier.zip(log.as_ref())) {
            (None, _) => session.fork(None),
            (Some(settings), None) => {
                let session = session.fork(None);
                session.journaled(settings.clone(), work)
            }
            (Some(settings), Some((run, log))) => session.resumed(settings, run, log)?,
        };
        let stores = open_stores(&session, &plan.stores)?;
        let mut apply = Self {
            session,
            plan,
            stores,
            done: HashMap::new(),
        };
        if let Some(log) = log {
            apply.done = apply.done_before(&log).await?;
        }
        Ok(apply)
    }

    /// How many steps are still to be done.
    pub fn remaining(&self) -> usize {
        self.plan.steps.len() - self.done.len()
    }

    /// How many steps an earlier run did.
    pub fn done_before_now(&self) -> usize {
        self.done.len()
    }

    /// The session that does it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Everything that is no longer as the plan saw it.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn check(&self) -> Result<Vec<Stale>> {
        let mut done = Versions::new();
        for (index, step) in self.plan.steps.iter().enumerate() {
            if let (Some(tag), Some(store)) = (self.done.get(&index), self.stores.get(step.store)) {
                let place = store.place();
                let full = place.full_key(&step.key);
                done.insert((place.root, full), tag.clone());
            }
        }
        check::check(&Expected {
            stores: &self.stores,
            observed: &self.plan.observed,
            done,
        })
        .await
    }

    /// Does what is still to be done.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the plan contradicts itself; what fails in a store is in the
    /// outcome.
    pub async fn run(
        &self,
        concurrency: usize,
        lock_wait: Duration,
        observer: Arc<dyn Observer>,
    ) -> Result<Outcome> {
        let tasks = self.plan.steps.iter().map(|step| self.task(step));
        let tasks = tasks.collect::<Result<Vec<_>>>()?;
        let options = Options {
            concurrency,
            keep_going: false,
        };
        let mut work: BoxFuture<'_, Result<Vec<Ending>>> =
            async { Ok(execute(tasks, &self.done, &options, observer).await) }.boxed();
        for guard in self.locks(lock_wait).await? {
            work = guard.protect(work).map(Result::flatten).boxed();
        }
        let outcome = Outcome::of(work.await?);
        self.session.finish(outcome.is_complete());
        Ok(outcome)
    }

    /// The locks that the run held.
    async fn locks(&self, wait: Duration) -> Result<Vec<Guard>> {
        let mut guards = Vec::new();
        for lock in &self.plan.locks {
            let options = LockOptions::of_command(wait);
            let store = self.store(lock.store)?;
            guards.push(self.session.lock(&store, &lock.name, &options).await?);
        }
        Ok(guards)
    }

    fn task(&self, step: &Step) -> Result<Task> {
        let act = match &step.change {
            PlannedChange::Delete => Act::Delete,
            PlannedChange::Write {
                content,
                size,
                content_type,
                user,
            } => {
                let bytes = self.plan.contents.get(content).cloned();
                let bytes = bytes.ok_or_else(|| broken("it lacks the content of a step"))?;
                Act::Write {
                    body: Box::new(|| async { Ok(Body::Bytes(bytes)) }.boxed()),
                    size: *size,
                    options: WriteOptions {
                        content_type: content_type.clone(),
                        user: user.clone(),
                        ..WriteOptions::default()
                    },
                }
            }
            PlannedChange::Copy {
                store,
                key,
                version,
                ..
            } => Act::Copy {
                source: self.store(*store)?,
                key: Key::parse(key)?,
                version: version.clone(),
            },
        };
        Ok(Task {
            after: step.after,
            store: self.store(step.store)?,
            key: Key::parse(&step.key)?,
            expects: step.expects.clone(),
            act,
        })
    }

    fn store(&self, index: usize) -> Result<Arc<dyn Store>> {
        let store = self.stores.get(index).cloned();
        store.ok_or_else(|| broken("a step names a store that it doesn't have"))
    }

    /// The steps that a log says were done: those of one object happen one after the other, so the
    /// first change of an object is its first step.
    async fn done_before(&self, log: &Log) -> Result<HashMap<usize, Option<String>>> {
        let mut steps: HashMap<(String, String), Vec<usize>> = HashMap::new();
        for (index, step) in self.plan.steps.iter().enumerate() {
            let place = self.store(step.store)?.place();
            let full = place.full_key(&step.key);
            steps.entry((place.root, full)).or_default().push(index);
        }
        let mut done = HashMap::new();
        for (place, tag) in self.session.changes_in(log).await? {
            let steps = steps.get_mut(&place).filter(|steps| !steps.is_empty());
            let Some(steps) = steps else {
                return Err(broken("its journal has changes that are none of its steps"));
            };
            done.insert(steps.remove(0), tag);
        }
        Ok(done)
    }
}

impl Session {
    /// A session with the same rights and stores, without a journal yet or with another one.
    pub(super) fn fork(&self, journal: Option<Journal>) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
            mode: Mode::Direct,
            gate: Arc::clone(&self.gate),
            opened: Arc::clone(&self.opened),
            layer: None,
            tally: Arc::default(),
            run: match &journal {
                Some(journal) => journal.run().to_owned(),
                None => self.run.clone(),
            },
            journal: journal.map(Arc::new),
            notes: Arc::clone(&self.notes),
        }
    }

    /// A session that goes on where an interrupted run stopped, in the same journal.
    pub(super) fn resumed(
        &self,
        settings: &journal::Settings,
        run: Run,
        log: &Log,
    ) -> Result<Self> {
        let opened = Arc::clone(&self.opened);
        let journal = Journal::resume(settings.clone(), run.about, run.folder, log.next, opened)?;
        let session = self.fork(Some(journal));
        session.tally.recall(log);
        Ok(session)
    }

    /// The changes that were made, in the order in which they began, with what is there since.
    /// What was interrupted is looked at, and the journal told what it turned out to be.
    pub(super) async fn changes_in(
        &self,
        log: &Log,
    ) -> Result<Vec<((String, String), Option<String>)>> {
        let stores = open_logged(self, log)?;
        let mut made = Vec::new();
        for op in &log.ops {
            let Some(store) = stores.get(&op.begin.store) else {
                return Err(broken("its journal names a store that it doesn't have"));
            };
            let tag = match &op.state {
                State::Void => continue,
                State::Done(tag) => tag.clone(),
                State::Unclear => match self.settle(op, store, &stores).await? {
                    Some(tag) => tag,
                    None => continue,
                },
            };
            let place = store.place();
            let full = place.full_key(&op.begin.key);
            made.push(((place.root, full), tag));
        }
        Ok(made)
    }

    /// What an interrupted change of this run turned out to be; `None` when it was not made.
    async fn settle(
        &self,
        op: &Op,
        store: &Arc<dyn Store>,
        stores: &BTreeMap<usize, Arc<dyn Store>>,
    ) -> Result<Option<Option<String>>> {
        let key = Key::parse(&op.begin.key)?;
        let number = op.begin.op;
        let fate = identify(op, &**store, &key, source_of(op, stores)).await?;
        let (line, result) = match fate {
            Fate::Made(tag) => (
                Line::Done {
                    op: number,
                    tag: tag.clone(),
                },
                Some(tag),
            ),
            // What somebody else wrote there shows when the step is tried again.
            Fate::NotMade | Fate::Unknown => (Line::Void { op: number }, None),
        };
        if let Some(journal) = &self.journal {
            journal.ended(&[line]);
        }
        Ok(result)
    }
}

/// The store that an interrupted copy read from.
pub(super) fn source_of(
    op: &Op,
    stores: &BTreeMap<usize, Arc<dyn Store>>,
) -> Option<Arc<dyn Store>> {
    match &op.begin.new {
        journal::New::Copy { store, .. } => stores.get(&(*store)?).cloned(),
        _ => None,
    }
}

/// The newest run of some work that was not taken back since.
///
/// # Errors
/// Those of the file system.
pub(super) fn earlier_run(
    folder: &std::path::Path,
    is_it: impl Fn(&Work) -> bool,
) -> Result<Option<Run>> {
    let mut undone = Vec::new();
    for run in journal::runs(folder)? {
        if let Some(other) = &run.about.work.undoes {
            undone.push(other.clone());
        }
        if is_it(&run.about.work) {
            return Ok((!undone.contains(&run.about.id)).then_some(run));
        }
    }
    Ok(None)
}

/// Opens the stores of a plan, which must be the ones that it was made with.
fn open_stores(session: &Session, stores: &[PlannedStore]) -> Result<Vec<Arc<dyn Store>>> {
    stores.iter().map(|store| open(session, store)).collect()
}

pub(super) fn open_logged(session: &Session, log: &Log) -> Result<BTreeMap<usize, Arc<dyn Store>>> {
    let stores = log.stores.iter();
    stores
        .map(|(number, store)| Ok((*number, open(session, store)?)))
        .collect()
}

fn open(session: &Session, planned: &PlannedStore) -> Result<Arc<dyn Store>> {
    let mut url = StoreUrl::parse(&planned.url)?;
    url.options.clone_from(&planned.options);
    let store = session.open(&url)?;
    let place = store.place();
    if (&place.root, &place.prefix) == (&planned.root, &planned.prefix) {
        return Ok(store);
    }
    let message = format!(
        "it is {}/{} here, and was {}/{}",
        place.root, place.prefix, planned.root, planned.prefix
    );
    Err(Error::new(ErrorKind::Invalid, "use", message)
        .at(store.url(), None)
        .hint("set the endpoint (S3_ENDPOINT) as it was, or make a new plan"))
}

fn broken(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "apply the plan", message).hint("make a new plan")
}
