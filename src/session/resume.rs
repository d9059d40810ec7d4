//! Going on with what an earlier run began.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::identify::{Finding, identify};
use super::journal::{self, Journal, Line, Log, Op, Run, State, Work};
use super::plan::PlannedStore;
use super::{Mode, Session};
use crate::store::{Error, ErrorKind, Key, Place, Result, Store, StoreUrl};

/// The stores of a log, by its numbers.
pub(super) type Stores = BTreeMap<usize, Arc<dyn Store>>;

impl Session {
    /// A session that does some work, in the journal of the run that began it where there is one,
    /// and what that says so far. Of a work that was completed the journal is only read.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the earlier run is still at it, [`ErrorKind::Corrupt`] when
    /// its journal can't be read.
    pub(super) fn going_on(
        &self,
        settings: Option<&journal::Settings>,
        earlier: Option<Run>,
        work: Work,
    ) -> Result<(Self, Option<Log>)> {
        let settings = settings.filter(|settings| settings.keep && self.mode == Mode::Direct);
        match (settings, earlier) {
            (Some(settings), Some(run)) if !run.is_complete() => {
                let (opened, locks) = (Arc::clone(&self.opened), Arc::clone(&self.notes));
                let (journal, log) = Journal::resume(settings.clone(), run, opened, locks)?;
                let session = self.fork(Some(journal));
                session.tally.recall(&log);
                Ok((session, Some(log)))
            }
            (Some(settings), None) => {
                let session = self.fork(None).journaled(settings.clone(), work);
                Ok((session, None))
            }
            (_, earlier) => {
                let log = earlier.as_ref().map(Run::log).transpose()?;
                Ok((self.fork(None), log))
            }
        }
    }

    /// Another run with the same rights and stores, whose writes reach them.
    #[must_use]
    pub fn directly(&self) -> Self {
        Self {
            run: format!("{:08x}", fastrand::u32(..)),
            ..self.fork(None)
        }
    }

    /// A session with the same rights and stores, without a journal yet or with another one.
    fn fork(&self, journal: Option<Journal>) -> Self {
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

    /// The changes that were made, in the order in which they began, with what is there since.
    /// What was interrupted is looked at, and the journal told what it turned out to be.
    pub(super) async fn changes_in(&self, log: &Log) -> Result<Vec<(Place, Option<String>)>> {
        let stores = open_logged(self, log)?;
        let mut made = Vec::new();
        for op in &log.ops {
            let Some(store) = stores.get(&op.begin.store) else {
                return Err(no_such_store());
            };
            let tag = match &op.state {
                State::Void => continue,
                State::Done(tag) => tag.clone(),
                State::Unclear => match self.settle(op, store, &stores).await? {
                    Some(tag) => tag,
                    None => continue,
                },
            };
            made.push((Place::of(&**store, &op.begin.key), tag));
        }
        Ok(made)
    }

    /// What an interrupted change of this run turned out to be; `None` when it was not made.
    async fn settle(
        &self,
        op: &Op,
        store: &Arc<dyn Store>,
        stores: &Stores,
    ) -> Result<Option<Option<String>>> {
        let key = Key::parse(&op.begin.key)?;
        let number = op.begin.op;
        let (line, result) = match identify(op, &**store, &key, source_of(op, stores)).await? {
            Finding::Made(tag) => (
                Line::Done {
                    op: number,
                    tag: tag.clone(),
                },
                Some(tag),
            ),
            // What somebody else wrote there shows when the step is tried again.
            Finding::NotMade | Finding::Unknown => (Line::Void { op: number }, None),
        };
        if let Some(journal) = &self.journal {
            journal.ended(&line);
        }
        Ok(result)
    }
}

/// The store that an interrupted copy read from.
pub(super) fn source_of(op: &Op, stores: &Stores) -> Option<Arc<dyn Store>> {
    match &op.begin.new {
        journal::New::Copy { store, .. } => stores.get(&(*store)?).cloned(),
        _ => None,
    }
}

/// The newest run of some work that was not taken back since.
///
/// # Errors
/// Those of the file system.
pub(super) fn earlier_run(folder: &Path, is_it: impl Fn(&Work) -> bool) -> Result<Option<Run>> {
    let mut undone = Vec::new();
    for run in journal::runs(folder)? {
        if undone.contains(&run.about.id) {
            continue;
        }
        if is_it(&run.about.work) {
            return Ok(Some(run));
        }
        undone.extend(run.about.work.undoes);
    }
    Ok(None)
}

/// What the undos of a run's undos say: they made its changes once more.
///
/// # Errors
/// Those of the file system; [`ErrorKind::Corrupt`] when a log can't be read.
pub(super) fn remade(folder: &Path, id: &str) -> Result<Vec<Log>> {
    let runs = journal::runs(folder)?;
    let undos = |id: &str| {
        let runs = runs.iter();
        let of_it = runs.filter(|run| run.about.work.undoes.as_deref() == Some(id));
        of_it.collect::<Vec<_>>()
    };
    let (mut open, mut logs) = (vec![id.to_owned()], Vec::new());
    while let Some(id) = open.pop() {
        for run in undos(&id).iter().flat_map(|undo| undos(&undo.about.id)) {
            logs.push(run.log()?);
            open.push(run.about.id.clone());
        }
    }
    Ok(logs)
}

/// Opens the stores of a log, which must be the ones that it was made with.
pub(super) fn open_logged(session: &Session, log: &Log) -> Result<Stores> {
    let stores = log.stores.iter();
    stores
        .map(|(number, store)| Ok((*number, open(session, store)?)))
        .collect()
}

/// Opens a store that must be the one that it was before.
pub(super) fn open(session: &Session, planned: &PlannedStore) -> Result<Arc<dyn Store>> {
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

/// A log that contradicts itself.
pub(super) fn no_such_store() -> Error {
    let message = "the journal names a store that it doesn't have";
    Error::new(ErrorKind::Corrupt, "read the journal", message)
}
