//! What stands between a script or a command and its stores.
//!
//! Every store that anything above reaches comes from [`Session::open`]: this is the one seam
//! that makes a dry run dry.

mod apply;
mod check;
mod direct;
mod execute;
mod gate;
mod host;
mod identify;
pub mod journal;
mod layer;
pub mod lock;
mod merged;
mod opened;
mod operation;
mod overlay;
pub mod permissions;
pub mod plan;
mod resume;
mod tally;
mod undo;
mod watched;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use apply::{Applied, Apply, Outcome};
pub use check::{How, Stale};
pub use operation::{Action, Operation};
pub use plan::Plan;
pub use undo::{Undo, Undone, Unrestorable};

use crate::store::registry::{Env, Registry};
use crate::store::{Key, Result, Store, StoreUrl};
use direct::Direct;
use gate::Gate;
use journal::Journal;
use layer::Layer;
use opened::Opened;
use overlay::Overlay;
use permissions::Grants;
use plan::Origin;
use tally::Tally;

/// What happens to writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They reach the stores.
    Direct,
    /// They stay in this process: reads and listings show them, the stores never see them.
    DryRun,
    /// As in a dry run, and everything that is needed to do it later is kept.
    Plan,
}

/// One run's stores, and what becomes of its writes.
pub struct Session {
    registry: Arc<Registry>,
    mode: Mode,
    gate: Arc<Gate>,
    opened: Arc<Opened>,
    layer: Option<Arc<Layer>>,
    tally: Arc<Tally>,
    journal: Option<Arc<Journal>>,
    /// Tells this run from all others.
    run: String,
    notes: Arc<lock::Notes>,
}

impl Session {
    /// A session over the stores of this environment.
    #[must_use]
    pub fn new(env: Env, mode: Mode) -> Self {
        Self::over(Arc::new(Registry::new(env)), mode)
    }

    /// A session over the stores of a registry, which sessions of one process may share.
    #[must_use]
    pub fn over(registry: Arc<Registry>, mode: Mode) -> Self {
        let layer = match mode {
            Mode::Direct => None,
            Mode::DryRun => Some(Layer::default()),
            Mode::Plan => Some(Layer::for_plan()),
        };
        Self {
            notes: Arc::new(lock::Notes::new(registry.env())),
            run: format!("{:08x}", fastrand::u32(..)),
            registry,
            mode,
            gate: Arc::default(),
            opened: Arc::default(),
            layer: layer.map(Arc::new),
            tally: Arc::default(),
            journal: None,
        }
    }

    /// The same session with a journal of what it does directly.
    #[must_use]
    pub fn journaled(mut self, settings: journal::Settings, work: journal::Work) -> Self {
        if self.mode == Mode::Direct && settings.keep {
            let (opened, locks) = (Arc::clone(&self.opened), Arc::clone(&self.notes));
            let env = self.registry.env();
            let journal = Journal::new(settings, env, &self.run, work, opened, locks);
            self.journal = Some(Arc::new(journal));
        }
        self
    }

    /// The session, with no more than these permissions. Stores opened before keep theirs.
    #[must_use]
    pub fn granting(self, grants: Grants) -> Self {
        Self {
            gate: Arc::new(Gate {
                grants,
                locks: Arc::clone(&self.gate.locks),
            }),
            ..self
        }
    }

    /// What the run may do.
    pub fn grants(&self) -> &Grants {
        &self.gate.grants
    }

    /// Whether an object may be written, for those who know beforehand what they will write.
    pub(crate) fn permit(&self, store: &dyn Store, key: &Key) -> Result<()> {
        self.gate.grants.check_write("write", store, key)
    }

    /// What happens to writes.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The environment of the run.
    pub fn env(&self) -> &Env {
        self.registry.env()
    }

    /// What opens the stores of this run, and those of its sessions.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What tells this run from all others.
    pub fn run_id(&self) -> &str {
        &self.run
    }

    /// Opens the store at a URL.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn open(&self, url: &StoreUrl) -> Result<Arc<dyn Store>> {
        let store = beneath(&self.registry, url)?;
        self.opened.add(store.url(), url, store.place());
        let gate = Arc::clone(&self.gate);
        Ok(match &self.layer {
            Some(layer) => Arc::new(Overlay::new(store, url, Arc::clone(layer), gate)),
            None => Arc::new(self.direct(store, url)),
        })
    }

    /// Opens a store to look at: the changes of a rehearsal show, and its plan doesn't depend on
    /// what is seen. It is not to be written through.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn peek(&self, url: &StoreUrl) -> Result<Arc<dyn Store>> {
        let store = beneath(&self.registry, url)?;
        let gate = Arc::clone(&self.gate);
        Ok(match &self.layer {
            Some(layer) => Arc::new(Overlay::peeking(store, Arc::clone(layer), gate)),
            None => store,
        })
    }

    fn direct(&self, store: Arc<dyn Store>, url: &StoreUrl) -> Direct {
        Direct::new(
            store,
            url,
            Arc::clone(&self.gate),
            Arc::clone(&self.tally),
            self.journal.clone(),
        )
    }

    /// The name by which the run can be taken back, once it has changed something that can.
    pub fn journal_id(&self) -> Option<&str> {
        self.journal.as_deref()?.id()
    }

    /// How much was changed directly so far.
    pub fn changes(&self) -> journal::Changes {
        self.tally.changes()
    }

    /// Ends the run's journal. `complete` says whether all that it set out to do is done.
    pub fn finish(&self, complete: bool) {
        if let Some(journal) = &self.journal {
            journal.finish(complete, self.tally.changes());
        }
    }

    /// How many changes a rehearsal would have made so far.
    pub fn staged(&self) -> usize {
        self.layer.as_ref().map_or(0, |layer| layer.completed())
    }

    /// Forgets what was rehearsed so far: stores that are open show what is beneath again.
    pub fn forget(&self) {
        if let Some(layer) = &self.layer {
            layer.clear();
        }
        self.notes.clear();
    }

    /// Takes those of the staged changes out that were made by applying the plan of this session,
    /// by their numbers in it. What is left builds on them.
    pub fn forget_made(&self, made: &HashMap<usize, Option<String>>) {
        if let Some(layer) = &self.layer {
            layer.settle(made, HashSet::new());
        }
    }

    /// Forgets the staged changes of one object, named by its key or its URL, and those that build
    /// on them. Gives how many that were.
    pub fn unstage(&self, name: &str) -> usize {
        let Some(layer) = &self.layer else {
            return 0;
        };
        let plan = self.plan(Origin::default());
        let is_it = |step: &plan::Step| {
            let store = plan.stores.get(step.store);
            let url =
                store.map(|store| format!("{}/{}", store.url.trim_end_matches('/'), step.key));
            step.key == name || url.is_some_and(|url| url == name)
        };
        let steps = plan.steps.iter().zip(layer.steps());
        let named = steps.filter(|(step, _)| is_it(step));
        let places = named.map(|(_, step)| step.object.place).collect();
        let before = layer.completed();
        layer.settle(&HashMap::new(), places);
        before - layer.completed()
    }

    /// What a rehearsal would have done to the stores so far, in order; nothing in a direct run.
    pub fn operations(&self) -> Vec<Operation> {
        let steps = self.layer.as_ref().map(|layer| layer.steps());
        let steps = steps.unwrap_or_default();
        steps
            .iter()
            .map(|step| Operation::of(step, &self.opened))
            .collect()
    }

    /// What a plan made by this run says of where it comes from.
    pub fn origin(&self, script: &str, script_sha256: &str, args: Vec<String>) -> Origin {
        Origin {
            id: format!("{:016x}", fastrand::u64(..)),
            kstate: env!("CARGO_PKG_VERSION").to_owned(),
            created: host::now(),
            who: host::who(self.env()),
            script: script.to_owned(),
            script_sha256: script_sha256.to_owned(),
            args,
        }
    }

    /// The plan of a run in [`Mode::Plan`], as far as it went.
    pub fn plan(&self, origin: Origin) -> Plan {
        match &self.layer {
            Some(layer) => plan::build(origin, layer, &self.opened, self.notes.taken()),
            None => Plan {
                origin,
                ..Plan::default()
            },
        }
    }
}

/// The store at a URL, as nothing above the session gets it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place from which stores come"
)]
fn beneath(registry: &Registry, url: &StoreUrl) -> Result<Arc<dyn Store>> {
    registry.open(url)
}

#[cfg(test)]
mod tests;
