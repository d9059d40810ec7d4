//! Staged changes that outlive the prompt.

use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::staged::plan;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::interrupts::{Parting, end_now};
use crate::session::journal;
use crate::session::plan::{Plan, file};

/// Sees to it that no end of the process loses what is staged.
pub(super) struct Keeper {
    context: Arc<Context>,
    /// Whether changes wait to be made at all.
    has_staged: bool,
    state: Mutex<State>,
    /// The exit code of a prompt that is asked to end; 0 while nobody asks.
    asked: AtomicU8,
}

/// Where the staged changes are.
enum State {
    /// In this process.
    Staged,
    /// On their way into the stores, and in this file.
    Committing(Option<PathBuf>),
    /// In a file, which was told.
    Kept,
}

impl Keeper {
    pub(super) fn new(context: &Arc<Context>, has_staged: bool) -> Arc<Self> {
        Arc::new(Self {
            context: Arc::clone(context),
            has_staged,
            state: Mutex::new(State::Staged),
            asked: AtomicU8::new(Exit::DONE),
        })
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// A panic elsewhere can't leave it half-changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exit code with which the prompt is asked to end.
    pub(super) fn asked(&self) -> Option<u8> {
        Some(self.asked.load(Ordering::SeqCst)).filter(|code| *code != Exit::DONE)
    }

    /// How many changes would be lost.
    pub(super) fn staged(&self) -> usize {
        if self.has_staged {
            self.context.session.staged()
        } else {
            0
        }
    }

    /// Saves what would be lost, where nobody can be asked; once, whoever comes first. Whoever
    /// comes second waits, so that no file is left half-made.
    pub(super) fn keep(&self) {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Kept) {
            State::Kept => {}
            State::Committing(Some(path)) => tracing::warn!(
                "the commit was not finished; go on with: kstate apply {}",
                path.display()
            ),
            State::Committing(None) => tracing::warn!(
                "the commit was not finished, and what is left of it is lost: there is no HOME to keep it in"
            ),
            State::Staged if self.staged() == 0 => {}
            State::Staged => match save(&self.context, &plan(&self.context)) {
                Ok(Some(path)) => tracing::warn!(
                    "the staged changes are kept; do them with: kstate apply {}",
                    path.display()
                ),
                Ok(None) => {
                    tracing::warn!("the staged changes are lost: there is no HOME to keep them in");
                }
                Err(failure) => {
                    tracing::warn!("the staged changes are lost: {}", failure.message());
                }
            },
        }
    }

    /// Keeps a plan that is being committed until it is done.
    pub(super) fn begin(&self, plan: &Plan) -> Result<(), Failure> {
        let path = save(&self.context, plan)?;
        *self.state() = State::Committing(path);
        Ok(())
    }

    /// The commit is over: what is not done is staged again.
    pub(super) fn end(&self) {
        if let Some(path) = self.end_with_file() {
            remove(&path);
        }
    }

    /// The commit is over, and its plan stays in this file.
    pub(super) fn end_with_file(&self) -> Option<PathBuf> {
        match std::mem::replace(&mut *self.state(), State::Staged) {
            State::Committing(path) => path,
            _ => None,
        }
    }

    /// Ends the process at once, after the last that must be done.
    pub(super) fn end_process(&self, code: u8) -> ! {
        self.keep();
        self.context.conclude(true);
        end_now(self.asked().unwrap_or(code))
    }

    /// Whether a commit that is stopped could be gone on with.
    pub(super) fn has_file(&self) -> bool {
        matches!(&*self.state(), State::Committing(Some(_)))
    }
}

impl Parting for Keeper {
    fn ask(&self, code: u8) {
        self.asked.store(code, Ordering::SeqCst);
    }

    fn end(&self, code: u8) -> ! {
        // The cursor stands behind the prompt, or behind ^C. The terminal may be gone.
        let _ = io::stdout().write_all(b"\n");
        self.end_process(code)
    }
}

/// Saves a plan among the user's state; `None` without a home folder.
fn save(context: &Context, plan: &Plan) -> Result<Option<PathBuf>, Failure> {
    let Some(journals) = journal::Settings::folder(context.env()) else {
        return Ok(None);
    };
    let folder = journals.with_file_name("staged");
    private_folder(&folder).map_err(|error| {
        Failure::new(
            Exit::FAILED,
            format!("cannot make {}: {error}", folder.display()),
        )
    })?;
    let path = folder.join(format!("{}.plan", plan.origin.id));
    file::save(plan, &path, &file::Recipients::default())?;
    Ok(Some(path))
}

#[expect(clippy::disallowed_methods, reason = "the prompt's own file")]
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!("{} could not be removed: {error}", path.display());
    }
}

/// Makes a folder that only the user sees, unless it is there.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)
}
