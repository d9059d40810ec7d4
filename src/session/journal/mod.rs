//! What a run is about to change, on the disk before it does: enough to take it back.

mod before;
mod disk;
mod log;
mod record;
mod runs;
mod summed;
mod tell;
mod writer;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use std::time::Duration;

use tokio::sync::OnceCell;

pub(in crate::session) use log::{Log, Op, State};
pub use record::{About, Changes, End, Work};
pub(in crate::session) use record::{Begin, Kept, Line, New, Old};
pub use runs::{Run, find, prune, prune_behind, runs};
pub use tell::Told;

use super::host;
use super::lock::Notes;
use super::opened::{Opened, Reached};
use super::plan::PlannedLock;
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Meta, Result};
use disk::{private_folder, private_folders, reopen, sync_folder, write_json};
use writer::{Locked, Writer};

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of all journals.
    pub folder: PathBuf,
    /// The largest object that is kept when it is replaced or deleted, in bytes.
    pub max_object: u64,
    /// Refuse to change what could not be restored.
    pub require_undo: bool,
    /// Also for stores that end with this process: for the runtime's own tests.
    pub ephemeral: bool,
    /// Whether this run is kept; those that were are read all the same.
    pub keep: bool,
}

/// How long journals are kept after their runs: 90 days.
pub const KEEP: Duration = Duration::from_hours(90 * 24);

/// How much room all journals may take: 4 GiB.
pub const MAX_ALL: u64 = 4 << 30;

/// The largest object that is kept unless told otherwise: 256 MiB.
pub const MAX_OBJECT: u64 = 256 << 20;

impl Settings {
    /// A journal in a folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            max_object: MAX_OBJECT,
            require_undo: false,
            ephemeral: false,
            keep: true,
        }
    }

    /// The folder of all journals: `$XDG_STATE_HOME/kstate/journal`, else
    /// `~/.local/state/kstate/journal`. `None` without a home folder.
    #[must_use]
    pub fn folder(env: &Env) -> Option<PathBuf> {
        let state = match env.get("XDG_STATE_HOME").map(PathBuf::from) {
            // The XDG specification: a relative path is invalid and ignored.
            Some(folder) if folder.is_absolute() => folder,
            _ => env.home()?.join(".local/state"),
        };
        Some(state.join("kstate/journal"))
    }
}

/// One run's journal. Its folder is made with the first change.
pub(super) struct Journal {
    settings: Settings,
    about: About,
    opened: Arc<Opened>,
    locks: Arc<Notes>,
    started: OnceCell<Started>,
}

/// A journal that has begun.
struct Started {
    folder: PathBuf,
    writer: Writer,
    ops: AtomicUsize,
    files: AtomicU64,
    /// The log's numbers of the stores that the run opened.
    stores: Mutex<HashMap<usize, usize>>,
    first_store: usize,
    /// How many of the run's locks the log names.
    locks: AtomicUsize,
}

/// A change that was announced, and of which the log is told what came of it: that it is unclear
/// when nobody says.
pub(super) struct Begun {
    journal: Arc<Journal>,
    op: usize,
    ended: bool,
}

impl Begun {
    pub(super) fn op(&self) -> usize {
        self.op
    }

    pub(super) fn done(self, tag: Option<String>) {
        let op = self.op;
        self.end(&Line::Done { op, tag });
    }

    /// It did not happen, and never will.
    pub(super) fn void(self) {
        let op = self.op;
        self.end(&Line::Void { op });
    }

    /// What a failed change was: one that surely did not happen, or one that may have.
    pub(super) fn failed(self, error: &Error) {
        match error.kind() {
            ErrorKind::Throttled
            | ErrorKind::Unavailable
            | ErrorKind::Corrupt
            | ErrorKind::TimedOut
            | ErrorKind::Other => {}
            _ => self.void(),
        }
    }

    fn end(mut self, line: &Line) {
        self.ended = true;
        self.journal.ended(line);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.ended {
            self.journal.ended(&Line::Unclear { op: self.op });
        }
    }
}

/// A change that is about to be made.
pub(super) struct Intent {
    pub(super) object: Reached,
    pub(super) old: Old,
    pub(super) deed: Deed,
}

/// What is about to be done.
pub(super) enum Deed {
    Write {
        sha256: Option<String>,
    },
    Copy {
        from: Reached,
        tag: Option<String>,
        size: u64,
        checksum: Option<String>,
    },
    Delete,
}

/// The tag of an object that was written.
pub(super) fn tag_of(meta: &Meta) -> Option<String> {
    meta.tag.as_ref().map(|tag| tag.0.clone())
}

impl Journal {
    /// The journal of a run.
    pub(super) fn new(
        settings: Settings,
        env: &Env,
        id: &str,
        work: Work,
        opened: Arc<Opened>,
        locks: Arc<Notes>,
    ) -> Self {
        let about = About {
            id: id.to_owned(),
            kstate: env!("CARGO_PKG_VERSION").to_owned(),
            started: String::new(),
            who: host::who(env),
            pid: std::process::id(),
            work,
        };
        Self {
            settings,
            about,
            opened,
            locks,
            started: OnceCell::new(),
        }
    }

    /// The journal of an interrupted run, which goes on, and what it says so far.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when that run is still alive; those of the file system.
    pub(super) fn resume(
        settings: Settings,
        run: Run,
        opened: Arc<Opened>,
        locks: Arc<Notes>,
    ) -> Result<(Self, Log)> {
        let Run { about, folder, .. } = run;
        let locked = Locked::open(&folder.join(LOG)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::new(
                ErrorKind::Unavailable,
                "go on with",
                "another kstate is still working on it",
            )
            .at(format!("run {}", about.id), None)
            .hint("wait until it has ended"),
            _ => cannot(&folder, error),
        })?;
        let log = Log::read(&folder)?;
        let writer = reopen(&folder)
            .and_then(|()| Writer::start(locked, log.next.length))
            .map_err(|error| cannot(&folder, error))?;
        let started = Started {
            folder,
            writer,
            ops: AtomicUsize::new(log.next.op),
            files: AtomicU64::new(u64::from(fastrand::u32(..)) << 32),
            stores: Mutex::default(),
            first_store: log.next.store,
            locks: AtomicUsize::new(0),
        };
        let journal = Self {
            settings,
            about,
            opened,
            locks,
            started: OnceCell::from(started),
        };
        Ok((journal, log))
    }

    /// Whether changes of this store are kept.
    pub(super) fn keeps(&self, ephemeral: bool) -> bool {
        !ephemeral || self.settings.ephemeral
    }

    /// The run's name.
    pub(super) fn run(&self) -> &str {
        &self.about.id
    }

    /// The run's name, once it has changed something.
    pub(super) fn id(&self) -> Option<&str> {
        self.started.get().map(|_| self.about.id.as_str())
    }

    async fn started(&self) -> Result<&Started> {
        self.started
            .get_or_try_init(|| async {
                let mut about = self.about.clone();
                about.started = host::now();
                Started::create(&self.settings.folder, &about)
                    .map_err(|error| cannot(&self.settings.folder, error))
            })
            .await
    }

    /// Says what is about to be done, and returns the numbers of the changes when that is on the
    /// disk.
    pub(super) async fn begin(self: &Arc<Self>, intents: Vec<Intent>) -> Result<Vec<Begun>> {
        let started = self.started().await?;
        let mut lines = Vec::new();
        self.name_locks(started);
        let mut ops = Vec::with_capacity(intents.len());
        for intent in intents {
            let op = started.ops.fetch_add(1, Ordering::Relaxed);
            let located = self.opened.locate(&intent.object);
            let Some((index, key)) = located else {
                return Err(Error::new(
                    ErrorKind::Other,
                    "journal",
                    format!(
                        "{} lies in no store of this run",
                        intent.object.place.prefix
                    ),
                ));
            };
            let new = match intent.deed {
                Deed::Write { sha256 } => New::Write { sha256 },
                Deed::Delete => New::Delete,
                Deed::Copy {
                    from,
                    tag,
                    size,
                    checksum,
                } => {
                    let located = self.opened.locate(&from);
                    let (store, key) = match located {
                        Some((index, key)) => (Some(self.number(started, index)), key),
                        None => (None, from.place.prefix),
                    };
                    New::Copy {
                        store,
                        key,
                        tag,
                        size,
                        checksum,
                    }
                }
            };
            let begin = Begin {
                op,
                store: self.number(started, index),
                key,
                old: intent.old,
                new,
            };
            lines.extend(line(&Line::Begin(Box::new(begin))));
            ops.push(op);
        }
        let written = started.writer.append_durably(lines).await;
        written.map_err(|error| cannot(&started.folder, io::Error::other(error)))?;
        let begun = ops.into_iter().map(|op| Begun {
            journal: Arc::clone(self),
            op,
            ended: false,
        });
        Ok(begun.collect())
    }

    /// As [`begin`](Self::begin), for one change.
    pub(super) async fn begin_one(self: &Arc<Self>, intent: Intent) -> Result<Begun> {
        let begun = self.begin(vec![intent]).await?.pop();
        begun.ok_or_else(|| Error::new(ErrorKind::Other, "journal", "a change has no number"))
    }

    /// Names the locks that the run took since: an undo holds them too.
    fn name_locks(&self, started: &Started) {
        let taken = self.locks.taken();
        let named = started.locks.fetch_max(taken.len(), Ordering::Relaxed);
        for lock in taken.into_iter().skip(named) {
            if let Some((index, _)) = self.opened.locate(&lock.reached()) {
                let store = self.number(started, index);
                let lock = Line::Lock(PlannedLock::of(lock, store));
                started.writer.append(line(&lock));
            }
        }
    }

    /// The log's number of a store, whose own line is on its way before anybody can use it.
    fn number(&self, started: &Started, index: usize) -> usize {
        let mut stores = started
            .stores
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = stores.get(&index) {
            return *number;
        }
        let number = started.first_store + stores.len();
        stores.insert(index, number);
        if let Some(store) = self.opened.get(index) {
            started.writer.append(line(&Line::Store { number, store }));
        }
        number
    }

    /// Says what the bytes of a streamed write are, and returns when that is on the disk.
    pub(super) async fn body(&self, op: usize, sha256: String) -> Result<()> {
        let started = self.started().await?;
        let body = line(&Line::Body { op, sha256 });
        let written = started.writer.append_durably(body).await;
        written.map_err(|error| cannot(&started.folder, io::Error::other(error)))
    }

    /// Says what came of a change.
    pub(super) fn ended(&self, outcome: &Line) {
        if let Some(started) = self.started.get() {
            started.writer.append(line(outcome));
        }
    }

    /// Ends the journal.
    pub(super) fn finish(&self, complete: bool, changes: Changes) {
        let Some(started) = self.started.get() else {
            return;
        };
        started.writer.close();
        let end = End {
            ended: host::now(),
            complete,
            changes,
        };
        if let Err(error) = write_json(&started.folder.join(END), &end) {
            let folder = started.folder.display();
            tracing::warn!("cannot write to the journal {folder}: {error}");
        }
    }
}

/// Where an interrupted journal goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    /// The next change.
    pub(super) op: usize,
    /// The next store.
    pub(super) store: usize,
    /// How long the log is up to its last whole line, in bytes.
    pub(super) length: u64,
}

pub(super) const RUN: &str = "run.json";
pub(super) const LOG: &str = "log.jsonl";
pub(super) const END: &str = "end.json";
const OBJECTS: &str = "objects";

impl Started {
    fn create(parent: &Path, about: &About) -> io::Result<Self> {
        private_folders(parent)?;
        let folder = parent.join(&about.id);
        private_folder(&folder).map_err(|error| match error.kind() {
            // Names are drawn, so once in a blue moon.
            io::ErrorKind::AlreadyExists => {
                io::Error::other("another run has the same name; run it again")
            }
            _ => error,
        })?;
        private_folder(&folder.join(OBJECTS))?;
        let writer = Writer::start(Locked::open(&folder.join(LOG))?, 0)?;
        write_json(&folder.join(RUN), about)?;
        sync_folder(parent)?;
        Ok(Self {
            folder,
            writer,
            ops: AtomicUsize::new(0),
            files: AtomicU64::new(0),
            stores: Mutex::default(),
            first_store: 0,
            locks: AtomicUsize::new(0),
        })
    }
}

fn line(line: &Line) -> Vec<u8> {
    // A line has nothing that JSON can't say.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text
}

fn cannot(folder: &Path, error: io::Error) -> Error {
    let message = format!("{error}; what can't be taken back is not done");
    Error::new(ErrorKind::Other, "write the journal", message)
        .at(folder.display(), None)
        .hint("make room or set XDG_STATE_HOME to a folder that can be written; --no-journal goes on without undo")
        .because(error)
}
