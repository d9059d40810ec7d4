//! The folder of the drafts: one for each, which goes when nobody goes on with it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::macros::format_description;

use super::draft::cannot;
use crate::cli::exit::{Exit, Failure};
use crate::session::journal;
use crate::store::registry::Env;

/// How long a draft stays that nobody goes on with: 30 days.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// Where drafts lie: below the user's state, which outlives a session and a restart.
pub(super) fn home(env: &Env) -> Result<PathBuf, Failure> {
    let state = journal::Settings::folder(env).map(|journal| journal.with_file_name("edit"));
    let session = || Some(PathBuf::from(env.get("XDG_RUNTIME_DIR")?).join("kstate/edit"));
    state.or_else(session).ok_or_else(|| {
        Failure::new(
            Exit::FAILED,
            "there is no folder for the text that is edited",
        )
        .hint("set HOME or XDG_STATE_HOME")
    })
}

/// Makes a folder for a draft that only the user sees, and removes those of forgotten drafts.
pub(super) fn make(env: &Env) -> Result<PathBuf, Failure> {
    let home = home(env)?;
    let stamp = format_description!("[year][month][day]T[hour][minute][second]");
    let stamp = OffsetDateTime::now_utc().format(&stamp).unwrap_or_default();
    let folder = home.join(format!("{stamp}-{:08x}", fastrand::u32(..)));
    private_folder(&home, true).map_err(|error| cannot("make", &home, &error))?;
    match prune(&home) {
        Ok(0) => {}
        Ok(number) => tracing::info!(
            "{number} of the texts that were kept in {} are removed: nobody went on with them for 30 days",
            home.display()
        ),
        Err(error) => tracing::warn!("old texts stay in {}: {error}", home.display()),
    }
    private_folder(&folder, false).map_err(|error| cannot("make", &folder, &error))?;
    Ok(folder)
}

/// Takes a draft's folder for as long as the file is open. `None` where a folder can't be taken,
/// and nobody else takes it then.
pub(super) fn take(folder: &Path) -> Result<Option<File>, Failure> {
    match lock(folder) {
        Ok(held) => Ok(Some(held)),
        Err(TryLockError::WouldBlock) => {
            let message = format!("the text in {} is being edited", folder.display());
            Err(Failure::new(Exit::CONFLICT, message).hint("end the other kstate edit first"))
        }
        Err(TryLockError::Error(error)) => {
            tracing::debug!("{} is not locked: {error}", folder.display());
            Ok(None)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the drafts' own folder")]
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    fs::remove_dir_all(folder)
}

/// Removes the drafts that nobody has touched for long, and tells how many. One whose folder is
/// taken, or can't be, stays.
#[expect(clippy::disallowed_methods, reason = "the drafts' own folder")]
fn prune(home: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(home)? {
        let folder = entry?.path();
        let age = touched(&folder).map(|at| SystemTime::now().duration_since(at));
        let is_old = matches!(age, Ok(Ok(age)) if age > KEEP);
        if is_old && let Ok(_held) = lock(&folder) {
            remove(&folder)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// When a folder, or a file in it, was changed last.
#[expect(clippy::disallowed_methods, reason = "the drafts' own folder")]
fn touched(folder: &Path) -> io::Result<SystemTime> {
    let mut last = fs::metadata(folder)?.modified()?;
    for entry in fs::read_dir(folder)? {
        last = last.max(entry?.metadata()?.modified()?);
    }
    Ok(last)
}

#[expect(clippy::disallowed_methods, reason = "the drafts' own folder")]
fn lock(folder: &Path) -> Result<File, TryLockError> {
    let file = File::open(folder).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

fn private_folder(folder: &Path, with_parents: bool) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(with_parents).mode(0o700).create(folder)
}
