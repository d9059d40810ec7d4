//! The journals that there are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;
use serde::de::DeserializeOwned;

use super::{About, Changes, END, End, LOG, Log, RUN, State};
use crate::session::host;
use crate::session::journal::Old;
use crate::store::{Error, ErrorKind, Result};

/// A run that changed something.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it was.
    pub about: About,
    /// How it ended; `None` when it is still going on, or was killed.
    pub end: Option<End>,
    /// Where its journal is.
    pub folder: PathBuf,
}

impl Run {
    /// Whether its process is still at it.
    pub fn is_alive(&self) -> bool {
        let log = fs::OpenOptions::new()
            .append(true)
            .open(self.folder.join(LOG));
        let Ok(log) = log else {
            return false;
        };
        let locked = rustix::fs::flock(&log, FlockOperation::NonBlockingLockExclusive);
        matches!(locked, Err(rustix::io::Errno::WOULDBLOCK))
    }

    /// Whether all that it set out to do is done.
    pub fn is_complete(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.complete)
    }

    /// How much it changed; counted from its log when it didn't come to say so.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the log can't be read.
    pub fn changes(&self) -> Result<Changes> {
        if let Some(end) = &self.end {
            return Ok(end.changes);
        }
        let mut changes = Changes::default();
        for op in self.log()?.ops {
            let is_delete = matches!(op.begin.new, super::New::Delete);
            match (&op.state, &op.begin.old) {
                (State::Void, _) => {}
                _ if is_delete => changes.deleted += 1,
                (_, Old::Absent) => changes.created += 1,
                (_, Old::Object { .. }) => changes.changed += 1,
            }
        }
        Ok(changes)
    }

    pub(in crate::session) fn log(&self) -> Result<Log> {
        Log::read(&self.folder)
    }
}

/// All runs, the newest first. What can't be read is passed over, with a warning.
///
/// # Errors
/// What the file system says.
pub fn runs(folder: &Path) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for path in folders(folder).map_err(|error| cannot_list(folder, error))? {
        match read(&path) {
            Ok(run) => runs.push(run),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("cannot read {}: {error}", path.display()),
        }
    }
    runs.sort_by_cached_key(|run| {
        let about = &run.about;
        std::cmp::Reverse((host::moment(&about.started), about.id.clone()))
    });
    Ok(runs)
}

/// The run that an id, or the beginning of one, names.
///
/// # Errors
/// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::Invalid`] when there are several.
pub fn find(folder: &Path, id: &str) -> Result<Run> {
    let runs = runs(folder)?;
    let mut named = runs
        .into_iter()
        .filter(|run| !id.is_empty() && run.about.id.starts_with(id));
    match (named.next(), named.next()) {
        (Some(run), None) => Ok(run),
        (None, _) => Err(Error::new(
            ErrorKind::NotFound,
            "find",
            format!("there is no run '{id}'"),
        )
        .at(folder.display(), None)
        .hint("kstate history lists the runs")),
        (Some(one), Some(other)) => Err(Error::new(
            ErrorKind::Invalid,
            "find",
            format!(
                "'{id}' may be {} or {}: write more of it",
                one.about.id, other.about.id
            ),
        )
        .at(folder.display(), None)),
    }
}

/// Deletes the journals of runs that ended longer ago than `age`, then the oldest ones until all
/// that are left take no more than `size` bytes; the newest stays, however large it is, and so do
/// those of running processes. Gives the runs whose journals are gone.
///
/// # Errors
/// What the file system says.
pub fn prune(folder: &Path, age: Option<Duration>, size: Option<u64>) -> Result<Vec<Run>> {
    let mut pruned = Vec::new();
    let (mut total, mut is_full) = (0, false);
    for (index, run) in runs(folder)?.into_iter().enumerate() {
        let bytes = bytes_of(&run.folder).map_err(|error| cannot_list(&run.folder, error))?;
        let written = last_written(&run.folder);
        let old = age.zip(written.and_then(|at| SystemTime::now().duration_since(at).ok()));
        let too_old = old.is_some_and(|(most, is)| is > most);
        // The newest run was just told how to undo itself.
        is_full |= index > 0 && size.is_some_and(|most| total + bytes > most);
        if (too_old || is_full) && !run.is_alive() {
            remove(&run.folder).map_err(|error| cannot_list(&run.folder, error))?;
            pruned.push(run);
        } else {
            total += bytes;
        }
    }
    Ok(pruned)
}

/// After how long all journals are looked through again, and from how many bytes of a new one on at
/// once: with thousands of them that takes longer than a small run.
const EVERY: Duration = Duration::from_hours(1);
const MUCH: u64 = 1 << 20;

/// As [`prune`], behind a run; most runs leave it to one of the next.
///
/// # Errors
/// What the file system says.
#[expect(
    clippy::disallowed_methods,
    reason = "a mark in the journals' own folder"
)]
pub fn prune_behind(run: &str, folder: &Path, age: Duration, size: u64) -> Result<Vec<Run>> {
    let mark = folder.join(".pruned");
    let last = fs::metadata(&mark).and_then(|mark| mark.modified()).ok();
    // A clock that was put back makes it due.
    let since = last.and_then(|at| SystemTime::now().duration_since(at).ok());
    let is_small = bytes_of(&folder.join(run)).is_ok_and(|bytes| bytes <= MUCH);
    if is_small && since.is_some_and(|since| since < EVERY) {
        return Ok(Vec::new());
    }
    let pruned = prune(folder, Some(age), Some(size))?;
    fs::File::create(&mark).map_err(|error| cannot_list(folder, error))?;
    Ok(pruned)
}

#[expect(clippy::disallowed_methods, reason = "the journals' own folder")]
fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| Ok(entry?.path()));
    let paths: io::Result<Vec<PathBuf>> = paths.collect();
    Ok(paths?.into_iter().filter(|path| path.is_dir()).collect())
}

fn read(folder: &Path) -> io::Result<Run> {
    Ok(Run {
        about: json(&folder.join(RUN))?,
        end: match json(&folder.join(END)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            end => Some(end?),
        },
        folder: folder.to_owned(),
    })
}

#[expect(clippy::disallowed_methods, reason = "the journals' own files")]
fn json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn last_written(folder: &Path) -> Option<SystemTime> {
    let of = |name: &str| fs::metadata(folder.join(name)).ok()?.modified().ok();
    of(END).or_else(|| of(LOG)).or_else(|| of(RUN))
}

#[expect(clippy::disallowed_methods, reason = "the journals' own folder")]
fn bytes_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            bytes_of(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "the journals' own folder")]
fn remove(folder: &Path) -> io::Result<()> {
    fs::remove_dir_all(folder)
}

fn cannot_list(folder: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Other, "look through", error.to_string())
        .at(folder.display(), None)
        .because(error)
}
