//! Taking a run back: every object that it changed becomes what it was, unless somebody else has
//! changed it since.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::execute::{Act, Done, Ending, Options, Task, execute};
use super::identify::{Finding, identify};
use super::journal::{self, Kept, Log, Old, Run, State, Work, tag_of};
use super::plan::Expects;
use super::resume::{Stores, earlier_run, no_such_store, open_logged, remade, source_of};
use super::{Outcome, Session};
use crate::store::{Body, Error, ErrorKind, Key, Place, Result, Store, WriteOptions};
use crate::text::human_size;
use crate::transfer::Observer;

/// A run on its way back.
pub struct Undo {
    session: Session,
    log: Arc<Log>,
    stores: Stores,
    chains: Vec<Chain>,
    /// Those of the chains that an interrupted undo took back already.
    done: HashMap<usize, Option<String>>,
}

/// An object that can't be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrestorable {
    /// The store's printable URL.
    pub store: String,
    /// The object.
    pub key: String,
    /// Its size before the run, in bytes.
    pub size: u64,
}

/// All changes of a run to one object, as one.
struct Chain {
    store: usize,
    key: Key,
    place: Place,
    /// What was there before the first.
    old: Old,
    /// What they left there; the last one last, unless several were made at once.
    left: Vec<Option<String>>,
    /// Those that may have been made.
    unclear: Vec<usize>,
    began: usize,
    ended: usize,
}

/// One object to put back, and what is expected there now.
struct Step {
    chain: usize,
    expects: Expects,
}

/// What is to be done about each object of a run.
#[derive(Default)]
struct Verdicts {
    steps: Vec<Step>,
    conflicts: Vec<Error>,
    unrestorable: Vec<Unrestorable>,
}

/// What is there of an object now.
enum Now {
    /// What the run left, with this tag; `None` when it deleted it.
    Ours(Option<String>),
    /// What was there before the run.
    AsBefore,
    /// Neither.
    Theirs,
}

/// What came of taking a run back.
#[derive(Debug, Default)]
pub struct Undone {
    /// What was done, and what somebody else changed since.
    pub outcome: Outcome,
    /// What could not be put back because nothing kept it.
    pub unrestorable: Vec<Unrestorable>,
}

impl Undone {
    /// Whether everything is as it was.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.outcome.is_complete() && self.unrestorable.is_empty()
    }
}

impl Undo {
    /// Reads a run's journal, and finds out what an interrupted undo of it did already.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the run is still going on, [`ErrorKind::PermissionDenied`]
    /// when this run may not take back all of it; what its journal can't tell;
    /// those of the stores.
    pub async fn prepare(
        session: &Session,
        settings: &journal::Settings,
        run: &Run,
        work: Work,
    ) -> Result<Self> {
        if run.is_alive() {
            return Err(
                Error::new(ErrorKind::Unavailable, "undo", "it is still going on")
                    .at(format!("run {}", run.about.id), None)
                    .hint("wait until it has ended, or end it"),
            );
        }
        let log = run.log()?;
        let id = &run.about.id;
        let earlier = earlier_run(&settings.folder, |work| work.undoes.as_ref() == Some(id))?;
        let (session, earlier_log) = session.going_on(Some(settings), earlier, work)?;
        let stores = open_logged(&session, &log)?;
        let chains = chains(&log, &stores)?;
        let mut undo = Self {
            session,
            log: Arc::new(log),
            stores,
            chains,
            done: HashMap::new(),
        };
        if let Some(log) = earlier_log {
            for (place, tag) in undo.session.changes_in(&log).await? {
                let chain = undo.chains.iter().position(|chain| chain.place == place);
                undo.done.extend(chain.map(|chain| (chain, tag)));
            }
        }
        for log in remade(&settings.folder, id)? {
            for (place, tag) in undo.session.changes_in(&log).await? {
                let mut chains = undo.chains.iter_mut();
                if let Some(chain) = chains.find(|chain| chain.place == place) {
                    chain.left.push(tag);
                }
            }
        }
        for chain in &undo.chains {
            undo.session
                .permit(&*undo.stores[&chain.store], &chain.key)?;
        }
        Ok(undo)
    }

    /// The session that does it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// How many objects the run changed.
    pub fn objects(&self) -> usize {
        self.chains.len()
    }

    /// How many of them an earlier undo put back.
    pub fn done_before_now(&self) -> usize {
        self.done.len()
    }

    /// What [`run`](Self::run) would come to now. Nothing is written.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn rehearse(&self) -> Result<Undone> {
        let verdicts = self.judge(true).await?;
        Ok(Undone {
            outcome: Outcome {
                done: verdicts.steps.len(),
                conflicts: verdicts.conflicts,
                ..Outcome::default()
            },
            unrestorable: verdicts.unrestorable,
        })
    }

    /// Takes the locks that the run held, puts back what can be, and tells of the rest.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`]; those of the stores while finding out what interrupted changes
    /// turned out to be.
    pub async fn run(
        &self,
        concurrency: usize,
        lock_wait: Duration,
        observer: Arc<dyn Observer>,
    ) -> Result<Undone> {
        let locks = self.log.locks.iter().map(|lock| {
            let store = self.stores.get(&lock.store).cloned();
            Ok((store.ok_or_else(no_such_store)?, lock))
        });
        let locks = locks.collect::<Result<Vec<_>>>()?;
        let work = self.put_back(concurrency, observer);
        let undone = self.session.under_locks(locks, lock_wait, work).await;
        let complete = undone.as_ref().is_ok_and(Undone::is_complete);
        self.session.finish(complete);
        undone
    }

    async fn put_back(&self, concurrency: usize, observer: Arc<dyn Observer>) -> Result<Undone> {
        let Verdicts {
            steps,
            conflicts,
            unrestorable,
        } = self.judge(false).await?;
        let mut tasks = Vec::with_capacity(steps.len());
        for (index, step) in steps.iter().enumerate() {
            // Those that began after this object's changes had ended are taken back before it.
            let chain = &self.chains[step.chain];
            let before = &steps[..index];
            let after = before.partition_point(|step| self.chains[step.chain].began > chain.ended);
            tasks.push(self.task(step, after));
        }
        let options = Options {
            concurrency,
            keep_going: true,
        };
        let mut endings = execute(tasks, &Done::default(), &options, observer).await;
        endings.extend(self.done.values().cloned().map(Ending::Done));
        let mut outcome = Outcome::of(endings);
        outcome.conflicts.extend(conflicts);
        Ok(Undone {
            outcome,
            unrestorable,
        })
    }

    /// Looks at each object where the journal alone can't tell what is to be done; at all of them
    /// when nothing else is going to.
    async fn judge(&self, at_all: bool) -> Result<Verdicts> {
        let mut verdicts = Verdicts::default();
        for (index, chain) in self.chains.iter().enumerate() {
            if self.done.contains_key(&index) {
                continue;
            }
            let store = &self.stores[&chain.store];
            let now = match self.now(chain, at_all).await? {
                Now::Ours(tag) => tag,
                Now::AsBefore => continue,
                Now::Theirs => {
                    verdicts.conflicts.push(changed_since(&**store, &chain.key));
                    continue;
                }
            };
            match &chain.old {
                Old::Absent if now.is_none() => continue,
                Old::Object {
                    kept: Kept::Nothing,
                    size,
                    ..
                } => {
                    if now != chain.old.tag() {
                        verdicts.unrestorable.push(Unrestorable {
                            store: store.url().to_owned(),
                            key: chain.key.to_string(),
                            size: *size,
                        });
                    }
                    continue;
                }
                _ => {}
            }
            verdicts.steps.push(Step {
                chain: index,
                expects: now.map_or(Expects::Absent, Expects::Tag),
            });
        }
        Ok(verdicts)
    }

    async fn now(&self, chain: &Chain, look: bool) -> Result<Now> {
        let store = &self.stores[&chain.store];
        if let ([only], true, false) = (&*chain.left, chain.unclear.is_empty(), look) {
            return Ok(Now::Ours(only.clone()));
        }
        let tag = store.find(&chain.key).await?.as_ref().and_then(tag_of);
        if chain.left.contains(&tag) {
            return Ok(Now::Ours(tag));
        }
        for op in chain.unclear.iter().rev() {
            let op = &self.log.ops[*op];
            let source = source_of(op, &self.stores);
            match identify(op, &**store, &chain.key, source).await? {
                Finding::Made(tag) => return Ok(Now::Ours(tag)),
                Finding::NotMade if op.begin.old.tag() == chain.old.tag() => {
                    return Ok(Now::AsBefore);
                }
                Finding::NotMade | Finding::Unknown => {}
            }
        }
        Ok(Now::Theirs)
    }

    fn task(&self, step: &Step, after: usize) -> Task {
        let chain = &self.chains[step.chain];
        let store = &self.stores[&chain.store];
        let act = match &chain.old {
            Old::Absent => Act::Delete,
            Old::Object {
                size,
                content_type,
                user,
                kept,
                ..
            } => {
                let (log, kept) = (Arc::clone(&self.log), kept.clone());
                let (store, key) = (Arc::clone(store), chain.key.clone());
                Act::Write {
                    body: Box::new(move || {
                        let (log, kept) = (Arc::clone(&log), kept.clone());
                        kept_body(log, kept, Arc::clone(&store), key.clone()).boxed()
                    }),
                    size: *size,
                    options: WriteOptions {
                        content_type: content_type.clone(),
                        user: user.clone(),
                        ..WriteOptions::default()
                    },
                }
            }
        };
        Task {
            after,
            store: Arc::clone(store),
            key: chain.key.clone(),
            expects: step.expects.clone(),
            act,
        }
    }
}

async fn kept_body(log: Arc<Log>, kept: Kept, store: Arc<dyn Store>, key: Key) -> Result<Body> {
    if let Kept::Version(version) = &kept {
        return Ok(store.read_version(&key, version).await?.body);
    }
    let name = key.clone();
    let body = tokio::task::spawn_blocking(move || log.kept(&kept)).await;
    let body = body
        .unwrap_or_else(|stopped| Err(Error::new(ErrorKind::Other, "undo", stopped.to_string())))?;
    body.ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "undo", "nothing kept what was there")
            .at(store.url(), Some(name.as_str()))
    })
}

/// What a run did to each object, those that began last first.
fn chains(log: &Log, stores: &Stores) -> Result<Vec<Chain>> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut by_place: HashMap<Place, usize> = HashMap::new();
    for (index, op) in log.ops.iter().enumerate() {
        if op.state == State::Void {
            continue;
        }
        let store = stores.get(&op.begin.store).ok_or_else(no_such_store)?;
        let place = Place::of(&**store, &op.begin.key);
        // What has no end was interrupted: nothing of the run came after it.
        let ended = op.ended.unwrap_or(usize::MAX);
        let known = *by_place.entry(place.clone()).or_insert(chains.len());
        if known == chains.len() {
            chains.push(Chain {
                store: op.begin.store,
                key: Key::parse(&op.begin.key)?,
                place,
                old: op.begin.old.clone(),
                left: Vec::new(),
                unclear: Vec::new(),
                began: op.began,
                ended,
            });
        }
        let chain = &mut chains[known];
        chain.ended = chain.ended.max(ended);
        match &op.state {
            // Each change conditional on the one before it: only the last one's tag is there.
            State::Done(tag) => chain.left.push(tag.clone()),
            State::Unclear => chain.unclear.push(index),
            State::Void => {}
        }
    }
    chains.reverse();
    Ok(chains)
}

fn changed_since(store: &dyn Store, key: &Key) -> Error {
    let kind = ErrorKind::PreconditionFailed { found: None };
    Error::new(kind, "undo", "somebody else changed it since").at(store.url(), Some(key.as_str()))
}

impl std::fmt::Display for Unrestorable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { store, key, size } = self;
        write!(f, "{store}/{key} ({})", human_size(*size))
    }
}
