//! Changes that wait to be made.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cli::apply::told;
use crate::cli::context::{Context, work};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::cli::plan::staged as shown;
use crate::lua::{Runtime, Stop};
use crate::session::journal::{self, Work};
use crate::session::plan::{Observed, Plan, file};
use crate::session::{Applied, Apply, Stale};
use crate::text::count;
use crate::transfer::CONCURRENCY;

/// How long a commit waits for the locks that were taken.
const LOCK_WAIT: Duration = Duration::from_mins(1);

/// What becomes of the changes at a prompt.
pub(super) enum Staged {
    /// They wait.
    Waiting,
    /// They are never made.
    Rehearsed,
    /// They are made at once.
    Direct,
    /// They are those of the script around the prompt.
    OfScript,
}

/// What a person who leaves wants with staged changes.
pub(super) enum Left {
    Commit,
    Drop,
    Stay,
    /// Nobody answers.
    Gone,
}

impl Left {
    pub(super) fn of(answer: &str) -> Self {
        match answer.trim() {
            "c" | "commit" => Self::Commit,
            "d" | "drop" => Self::Drop,
            _ => Self::Stay,
        }
    }
}

impl Staged {
    pub(super) fn new(direct: bool, is_dry_run: bool) -> Self {
        match (is_dry_run, direct) {
            (true, _) => Self::Rehearsed,
            (false, true) => Self::Direct,
            (false, false) => Self::Waiting,
        }
    }

    pub(super) fn of_script() -> Self {
        Self::OfScript
    }

    /// What happens to writes, in a few words.
    pub(super) fn explanation(&self) -> &'static str {
        match self {
            Self::Waiting => "changes are staged until :commit",
            Self::Rehearsed => "nothing is written (--dry-run)",
            Self::Direct | Self::OfScript => "changes are made at once",
        }
    }

    pub(super) fn prompt(&self, context: &Context) -> String {
        match (self, context.session.staged()) {
            (Self::OfScript, _) => "debug> ".to_owned(),
            (Self::Direct, _) => "kstate (direct)> ".to_owned(),
            (Self::Waiting | Self::Rehearsed, 0) => "kstate> ".to_owned(),
            (Self::Waiting | Self::Rehearsed, staged) => format!("kstate ({staged} staged)> "),
        }
    }

    /// What to ask somebody who leaves.
    pub(super) fn question(&self, context: &Context) -> Option<String> {
        let staged = context.session.staged();
        let asks = matches!(self, Self::Waiting) && staged > 0;
        asks.then(|| {
            let changes = count(staged as u64, "staged change");
            format!("{changes} would be lost: (c)ommit, (d)rop or (s)tay? ")
        })
    }

    fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Waiting | Self::Rehearsed => Ok(()),
            Self::Direct => Err(Failure::refused("changes are made at once here (--direct)")),
            Self::OfScript => Err(Failure::refused("changes are the script's own here")),
        }
    }

    pub(super) fn diff(&self, context: &Context) -> Result<String, Failure> {
        self.check()?;
        Ok(text(&plan(context), true))
    }

    /// Shows the plan, or saves it.
    pub(super) fn plan(&self, context: &Context, name: &str) -> Result<String, Failure> {
        self.check()?;
        let plan = plan(context);
        if name.is_empty() {
            return Ok(text(&plan, false));
        }
        file::save(&plan, Path::new(name), &file::Recipients::default())?;
        let changes = count(plan.steps.len() as u64, "change");
        Ok(format!(
            "{changes} saved; do them with: kstate apply {name}\n"
        ))
    }

    pub(super) fn drop_all(&self, context: &Context) -> Result<String, Failure> {
        self.check()?;
        let changes = count(context.session.staged() as u64, "change");
        context.session.forget();
        Ok(format!("{changes} dropped\n"))
    }

    /// Saves what would be lost, where nobody can be asked.
    pub(super) fn keep(&self, context: &Context) {
        if self.question(context).is_none() {
            return;
        }
        match kept(context, &plan(context)) {
            Ok(Some(path)) => {
                tracing::warn!(
                    "the staged changes are kept; do them with: kstate apply {}",
                    path.display()
                );
            }
            Ok(None) => {
                tracing::warn!("the staged changes are lost: there is no HOME to keep them in");
            }
            Err(failure) => tracing::warn!("the staged changes are lost: {}", failure.message()),
        }
    }

    /// Makes the staged changes. What can't be made is kept as a plan that `kstate apply` goes on
    /// with.
    pub(super) async fn commit(
        &self,
        context: &Arc<Context>,
        runtime: &Runtime,
        ask: &mut dyn FnMut(&str) -> bool,
    ) -> Result<String, Failure> {
        self.check()?;
        if matches!(self, Self::Rehearsed) {
            return Err(Failure::refused(
                "nothing is written in a dry run (--dry-run)",
            ));
        }
        let mut plan = plan(context);
        if plan.is_empty() {
            return Ok("nothing is staged\n".to_owned());
        }
        loop {
            match attempt(context, runtime, plan.clone()).await? {
                Committed::Done => {
                    context.session.forget();
                    return Ok(String::new());
                }
                Committed::Not(stale) => {
                    for Stale { store, key, how } in &stale {
                        tracing::warn!("{store}/{key} {how}");
                    }
                    let changed = count(stale.len() as u64, "object");
                    tracing::warn!(
                        "{changed} that you looked at changed since; what you write is still checked"
                    );
                    if !ask("Commit all the same?") {
                        return Err(Failure::new(
                            Exit::CONFLICT,
                            "nothing was written; the changes are still staged",
                        )
                        .hint(":drop them and look again"));
                    }
                    plan.observed = Observed::default();
                }
            }
        }
    }
}

/// What came of a commit.
enum Committed {
    Done,
    /// Nothing was written: this is no longer as it was seen.
    Not(Vec<Stale>),
}

async fn attempt(
    context: &Arc<Context>,
    runtime: &Runtime,
    plan: Plan,
) -> Result<Committed, Failure> {
    let path = kept(context, &plan)?;
    let io = runtime.host().io;
    let mut task = {
        let context = Arc::clone(context);
        io.spawn(async move { apply(&context, plan).await })
    };
    let waiting = async { Ok((&mut task).await) };
    let result = match runtime.stoppable(waiting).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Failure::new(
            Exit::FAILED,
            format!("a bug in kstate: {panic}"),
        )),
        Err(stopped) => {
            task.abort();
            // Its locks are given back, and its journal is closed.
            let _ = task.await;
            let is_ours = matches!(stopped.stop(), Some(Stop::Cancelled));
            let message = if is_ours { "interrupted" } else { "stopped" };
            Err(Failure::new(Exit::INTERRUPTED, message))
        }
    };
    match (&result, path) {
        (Ok(_), Some(path)) => remove(&path),
        // Some of it may be done: what is shown from now on is what there is.
        (Err(_), Some(path)) => {
            context.session.forget();
            return result.map_err(|failure| {
                failure.and_hint(format!("go on with: kstate apply {}", path.display()))
            });
        }
        (_, None) => {}
    }
    result
}

async fn apply(context: &Context, plan: Plan) -> Result<Committed, Failure> {
    let settings = context.journal.clone().map(|settings| journal::Settings {
        keep: context.wants_journal,
        ..settings
    });
    let work = Work {
        plan: Some(plan.origin.id.clone()),
        ..work()
    };
    let direct = context.session.directly();
    let apply = Apply::prepare(&direct, settings.as_ref(), plan, work).await?;
    let applied = apply.run(CONCURRENCY, LOCK_WAIT, Arc::new(()));
    match context.concluding(apply.session(), applied).await? {
        Applied::Not(stale) => Ok(Committed::Not(stale)),
        Applied::Done(outcome) => {
            told(&outcome, &[], apply.session().journal_id(), context)?;
            Ok(Committed::Done)
        }
    }
}

fn plan(context: &Context) -> Plan {
    let session = &context.session;
    session.plan(session.origin("repl", "", Vec::new()))
}

fn text(plan: &Plan, full: bool) -> String {
    if plan.is_empty() {
        return "nothing is staged\n".to_owned();
    }
    shown(plan, full, output::color(&io::stdout()))
}

/// Saves a plan among the user's state until it is done; `None` without a home folder.
fn kept(context: &Context, plan: &Plan) -> Result<Option<PathBuf>, Failure> {
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
        tracing::warn!(
            "{} is done and could not be removed: {error}",
            path.display()
        );
    }
}

/// Makes a folder that only the user sees, unless it is there.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)
}
