//! What a run is about to change, on the disk before it does: enough to take it back.

mod before;
mod log;
mod record;
mod runs;
mod tell;
mod writer;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use std::time::Duration;

use tokio::sync::OnceCell;

pub(in crate::session) use log::{Log, Op, State};
pub use record::{About, Changes, End, Work};
pub(in crate::session) use record::{Begin, Kept, Line, New, Old};
pub use runs::{Run, find, prune, runs};
pub use tell::Told;

use super::host;
use super::opened::Opened;
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Meta, Place, Result};
use writer::Writer;

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
}

/// A change that is about to be made.
pub(super) struct Intent {
    pub(super) object: Place,
    pub(super) old: Old,
    pub(super) deed: Deed,
}

/// What is about to be done.
pub(super) enum Deed {
    Write {
        sha256: Option<String>,
    },
    Copy {
        from: Place,
        tag: Option<String>,
        size: u64,
        checksum: Option<String>,
    },
    Delete,
}

/// The number of the only change that was begun.
pub(super) fn one(ops: Vec<usize>) -> usize {
    ops.first().copied().unwrap_or_default()
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
            started: OnceCell::new(),
        }
    }

    /// The journal of an interrupted run, which goes on. Fails when that run is still alive.
    pub(super) fn resume(
        settings: Settings,
        about: About,
        folder: PathBuf,
        next: Next,
        opened: Arc<Opened>,
    ) -> Result<Self> {
        let log = folder.join(LOG);
        let writer = Writer::open(&log)
            .and_then(|writer| truncate(&log, next.length).map(|()| writer))
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => Error::new(
                    ErrorKind::Unavailable,
                    "go on with",
                    "another kstate is still working on it",
                )
                .at(format!("run {}", about.id), None)
                .hint("wait until it has ended"),
                _ => cannot(&folder, error),
            })?;
        let started = Started {
            folder,
            writer,
            ops: AtomicUsize::new(next.op),
            files: AtomicU64::new(u64::from(fastrand::u32(..)) << 32),
            stores: Mutex::default(),
            first_store: next.store,
        };
        Ok(Self {
            settings,
            about,
            opened,
            started: OnceCell::from(started),
        })
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
    pub(super) async fn begin(&self, intents: Vec<Intent>) -> Result<Vec<usize>> {
        let started = self.started().await?;
        let mut lines = Vec::new();
        let mut ops = Vec::with_capacity(intents.len());
        for intent in intents {
            let op = started.ops.fetch_add(1, Ordering::Relaxed);
            let located = self.opened.locate(&intent.object);
            let Some((index, key)) = located else {
                return Err(Error::new(
                    ErrorKind::Other,
                    "journal",
                    format!("{} lies in no store of this run", intent.object.prefix),
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
                        Some((index, key)) => (Some(self.number(started, index, &mut lines)), key),
                        None => (None, from.prefix),
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
                store: self.number(started, index, &mut lines),
                key,
                old: intent.old,
                new,
            };
            push(&mut lines, &Line::Begin(Box::new(begin)));
            ops.push(op);
        }
        let written = started.writer.append_durably(lines).await;
        written.map_err(|error| cannot(&started.folder, io::Error::other(error)))?;
        Ok(ops)
    }

    /// The log's number of a store; its line comes first.
    fn number(&self, started: &Started, index: usize, lines: &mut Vec<u8>) -> usize {
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
            push(lines, &Line::Store { number, store });
        }
        number
    }

    /// Says what the bytes of a streamed write are, and returns when that is on the disk.
    pub(super) async fn body(&self, op: usize, sha256: String) -> Result<()> {
        let started = self.started().await?;
        let mut lines = Vec::new();
        push(&mut lines, &Line::Body { op, sha256 });
        let written = started.writer.append_durably(lines).await;
        written.map_err(|error| cannot(&started.folder, io::Error::other(error)))
    }

    /// Says what came of changes.
    pub(super) fn ended(&self, outcomes: &[Line]) {
        let Some(started) = self.started.get() else {
            return;
        };
        let mut lines = Vec::new();
        for outcome in outcomes {
            push(&mut lines, outcome);
        }
        started.writer.append(lines);
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
        let folder = parent.join(&about.id);
        private_folders(&folder)?;
        private_folders(&folder.join(OBJECTS))?;
        write_json(&folder.join(RUN), about)?;
        let writer = Writer::open(&folder.join(LOG))?;
        for folder in [&folder, parent] {
            sync_folder(folder)?;
        }
        Ok(Self {
            folder,
            writer,
            ops: AtomicUsize::new(0),
            files: AtomicU64::new(0),
            stores: Mutex::default(),
            first_store: 0,
        })
    }
}

fn push(lines: &mut Vec<u8>, line: &Line) {
    // A line has nothing that JSON can't say.
    if serde_json::to_writer(&mut *lines, line).is_ok() {
        lines.push(b'\n');
    }
}

fn cannot(folder: &Path, error: io::Error) -> Error {
    let message = format!("{error}; what can't be taken back is not done");
    Error::new(ErrorKind::Other, "write the journal", message)
        .at(folder.display(), None)
        .hint("make room or set XDG_STATE_HOME to a folder that can be written; --no-journal goes on without undo")
        .because(error)
}

fn private_folders(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[expect(clippy::disallowed_methods, reason = "the journal's own folder")]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

fn truncate(log: &Path, length: u64) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(log)?
        .set_len(length)
}

/// Writes a small file whole, and syncs it.
#[expect(clippy::disallowed_methods, reason = "the journal's own file")]
fn write_json(path: &Path, value: &impl serde::Serialize) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension("tmp");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
