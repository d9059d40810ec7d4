//! Taking a run back: every object that it changed becomes what it was, unless somebody else has
//! changed it since.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::FutureExt;

use super::apply::{earlier_run, open_logged, source_of};
use super::execute::{Act, Ending, Options, Task, execute};
use super::identify::{Fate, identify};
use super::journal::{self, Kept, Log, Old, Run, State, Work};
use super::plan::Expects;
use super::{Outcome, Session};
use crate::store::{Body, Error, ErrorKind, Key, Result, Store, WriteOptions};
use crate::text::human_size;
use crate::transfer::Observer;

/// A run on its way back.
pub struct Undo {
    session: Session,
    log: Arc<Log>,
    stores: BTreeMap<usize, Arc<dyn Store>>,
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
    place: (String, String),
    /// What was there before the first.
    old: Old,
    /// The last one.
    last: usize,
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

/// What came of taking a run back.
#[derive(Debug, Default)]
pub struct Undone {
    /// What was done, and what somebody else changed since.
    pub outcome: Outcome,
    /// What could not be put back because nothing kept it.
    pub unrestorable: Vec<Unrestorable>,
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
        let earlier_log = earlier.as_ref().map(Run::log).transpose()?;
        let session = match earlier.zip(earlier_log.as_ref()) {
            None => session.fork(None).journaled(settings.clone(), work),
            Some((earlier, log)) => session.resumed(settings, earlier, log)?,
        };
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

    /// Puts back what can be, and tells of the rest.
    ///
    /// # Errors
    /// Those of the stores while finding out what interrupted changes turned out to be.
    pub async fn run(&self, concurrency: usize, observer: Arc<dyn Observer>) -> Result<Undone> {
        let Verdicts {
            steps,
            conflicts,
            unrestorable,
        } = self.judge().await?;
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
        let mut endings = execute(tasks, &HashMap::new(), &options, observer).await;
        endings.extend(self.done.values().cloned().map(Ending::Done));
        let mut outcome = Outcome::of(endings);
        outcome.conflicts.extend(conflicts);
        let complete = outcome.is_complete() && unrestorable.is_empty();
        self.session.finish(complete);
        Ok(Undone {
            outcome,
            unrestorable,
        })
    }

    async fn judge(&self) -> Result<Verdicts> {
        let mut verdicts = Verdicts::default();
        for (index, chain) in self.chains.iter().enumerate() {
            if self.done.contains_key(&index) {
                continue;
            }
            let store = &self.stores[&chain.store];
            let op = &self.log.ops[chain.last];
            let now = match &op.state {
                State::Done(tag) => tag.clone(),
                State::Void => continue,
                State::Unclear => {
                    let source = source_of(op, &self.stores);
                    match identify(op, &**store, &chain.key, source).await? {
                        Fate::Made(tag) => tag,
                        Fate::NotMade => tag_before(&op.begin.old),
                        Fate::Unknown => {
                            verdicts.conflicts.push(changed_since(&**store, &chain.key));
                            continue;
                        }
                    }
                }
            };
            if now == tag_before(&chain.old) {
                continue;
            }
            if let Old::Object {
                kept: Kept::Nothing,
                size,
                ..
            } = &chain.old
            {
                verdicts.unrestorable.push(Unrestorable {
                    store: store.url().to_owned(),
                    key: chain.key.to_string(),
                    size: *size,
                });
                continue;
            }
            verdicts.steps.push(Step {
                chain: index,
                expects: now.map_or(Expects::Absent, Expects::Tag),
            });
        }
        Ok(verdicts)
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
                    body: Box::new(|| async { kept_body(log, kept, store, key).await }.boxed()),
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
fn chains(log: &Log, stores: &BTreeMap<usize, Arc<dyn Store>>) -> Result<Vec<Chain>> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut by_place: HashMap<(String, String), usize> = HashMap::new();
    for (index, op) in log.ops.iter().enumerate() {
        if op.state == State::Void {
            continue;
        }
        let Some(store) = stores.get(&op.begin.store) else {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "undo",
                "the journal names a store that it doesn't have",
            ));
        };
        let place = store.place();
        let full = place.full_key(&op.begin.key);
        let place = (place.root, full);
        // What has no end was interrupted: nothing of the run came after it.
        let ended = op.ended.unwrap_or(usize::MAX);
        if let Some(chain) = by_place.get(&place).and_then(|at| chains.get_mut(*at)) {
            chain.last = index;
            chain.ended = ended;
            continue;
        }
        by_place.insert(place.clone(), chains.len());
        chains.push(Chain {
            store: op.begin.store,
            key: Key::parse(&op.begin.key)?,
            place,
            old: op.begin.old.clone(),
            last: index,
            began: op.began,
            ended,
        });
    }
    chains.reverse();
    Ok(chains)
}

fn tag_before(old: &Old) -> Option<String> {
    match old {
        Old::Absent => None,
        Old::Object { tag, .. } => tag.clone(),
    }
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
