//! Doing what a plan says, once all that it was computed from is as it was.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::Session;
use super::check::{self, Expected, Stale, Versions};
use super::execute::{Act, Done, Ending, Options, Task, execute};
use super::journal::{self, Log, Run, Work};
use super::plan::{Plan, PlannedChange, Step};
use super::resume::{earlier_run, open};
use crate::store::{Body, Error, ErrorKind, Key, Place, Result, Store, WriteOptions};
use crate::transfer::Observer;

/// A plan on its way into the stores.
pub struct Apply {
    session: Session,
    plan: Plan,
    stores: Vec<Arc<dyn Store>>,
    /// The steps that are done: by an interrupted run, or by this one.
    done: Done,
}

/// Whether a plan was followed.
#[derive(Debug)]
pub enum Applied {
    /// Not at all: this is no longer as the plan saw it.
    Not(Vec<Stale>),
    /// It was.
    Done(Outcome),
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
    /// [`ErrorKind::Invalid`] when a store of the plan is another one here,
    /// [`ErrorKind::PermissionDenied`] when this run may not do all of it; what the journal of an
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
        let completed = earlier.as_ref().is_some_and(Run::is_complete);
        let (session, log) = session.going_on(settings, earlier, work)?;
        let stores = plan.stores.iter().map(|store| open(&session, store));
        let apply = Self {
            stores: stores.collect::<Result<_>>()?,
            session,
            plan,
            done: Done::default(),
        };
        if let Some(log) = log {
            let done = apply.done_before(&log).await?;
            *apply.done.lock() = done;
        }
        if completed && apply.remaining() > 0 {
            return Err(broken("its journal says that it was done, but not how"));
        }
        for (index, step) in apply.plan.steps.iter().enumerate() {
            if !apply.done.lock().contains_key(&index) {
                let store = apply.store(step.store)?;
                apply.session.permit(&*store, &Key::parse(&step.key)?)?;
            }
        }
        Ok(apply)
    }

    /// How many steps are still to be done.
    pub fn remaining(&self) -> usize {
        self.plan.steps.len() - self.done.lock().len()
    }

    /// How many steps an earlier run did.
    pub fn done_before_now(&self) -> usize {
        self.done.lock().len()
    }

    /// The steps that are done by now, with the tags of what they left.
    pub fn done(&self) -> HashMap<usize, Option<String>> {
        self.done.lock().clone()
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
        let made = self.done();
        for (index, step) in self.plan.steps.iter().enumerate() {
            if let (Some(tag), Some(store)) = (made.get(&index), self.stores.get(step.store)) {
                done.insert(Place::of(&**store, &step.key), tag.clone());
            }
        }
        check::check(&Expected {
            stores: &self.stores,
            observed: &self.plan.observed,
            done,
        })
        .await
    }

    /// Takes the locks of the run, makes sure that everything is as the plan saw it, and does what
    /// is still to be done.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the plan contradicts itself,
    /// [`ErrorKind::Locked`](crate::store::ErrorKind::Locked); what fails in a store is in the
    /// outcome.
    pub async fn run(
        &self,
        concurrency: usize,
        lock_wait: Duration,
        observer: Arc<dyn Observer>,
    ) -> Result<Applied> {
        let tasks = self.plan.steps.iter().map(|step| self.task(step));
        let tasks = tasks.collect::<Result<Vec<_>>>()?;
        let locks = self.plan.locks.iter();
        let locks = locks.map(|lock| Ok((self.store(lock.store)?, lock)));
        let locks = locks.collect::<Result<Vec<_>>>()?;
        let options = Options {
            concurrency,
            keep_going: false,
        };
        let work = async {
            let stale = self.check().await?;
            if !stale.is_empty() {
                return Ok(Applied::Not(stale));
            }
            let endings = execute(tasks, &self.done, &options, observer).await;
            Ok(Applied::Done(Outcome::of(endings)))
        };
        let applied = self.session.under_locks(locks, lock_wait, work).await;
        let complete = matches!(&applied, Ok(Applied::Done(outcome)) if outcome.is_complete());
        self.session.finish(complete);
        applied
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
                    body: Box::new(move || {
                        let bytes = bytes.clone();
                        async { Ok(Body::Bytes(bytes)) }.boxed()
                    }),
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
        let mut steps: HashMap<Place, Vec<usize>> = HashMap::new();
        for (index, step) in self.plan.steps.iter().enumerate() {
            let place = Place::of(&*self.store(step.store)?, &step.key);
            steps.entry(place).or_default().push(index);
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

fn broken(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "apply the plan", message).hint("make a new plan")
}
