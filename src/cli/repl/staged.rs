//! Changes that wait to be made.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::keeper::Keeper;
use crate::cli::apply::told;
use crate::cli::context::{Context, work};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::cli::plan::staged as shown;
use crate::lua::Runtime;
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

    /// Whether changes wait to be made.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Waiting)
    }

    /// What happens to writes, in a few words.
    fn explanation(&self) -> &'static str {
        match self {
            Self::Waiting => "changes are staged until :commit",
            Self::Rehearsed => "nothing is written (--dry-run)",
            Self::Direct | Self::OfScript => "changes are made at once",
        }
    }

    /// What somebody should know who is at the prompt for the first time.
    pub(super) fn greeting(&self) -> String {
        if matches!(self, Self::OfScript) {
            return "a prompt in the middle of the script: Ctrl-D goes on with it; what is written is \
                    the script's\n"
                .to_owned();
        }
        let (version, writes) = (env!("CARGO_PKG_VERSION"), self.explanation());
        format!("kstate {version}; {writes}; :help tells more, Ctrl-D leaves\n")
    }

    pub(super) fn prompt(&self, context: &Context) -> String {
        match (self, context.session.staged()) {
            (Self::OfScript, _) => "debug> ".to_owned(),
            (Self::Direct, _) => "kstate (direct)> ".to_owned(),
            (Self::Waiting | Self::Rehearsed, 0) => "kstate> ".to_owned(),
            (Self::Waiting | Self::Rehearsed, staged) => format!("kstate ({staged} staged)> "),
        }
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

    /// Forgets all changes, or those of one object.
    pub(super) fn forget(&self, context: &Context, name: &str) -> Result<String, Failure> {
        self.check()?;
        let session = &context.session;
        let dropped = if name.is_empty() {
            let all = session.staged();
            session.forget();
            all
        } else {
            session.unstage(name)
        };
        if dropped == 0 && !name.is_empty() {
            let message = format!("nothing is staged for '{name}'");
            return Err(Failure::usage(message).hint(":plan shows what is"));
        }
        let changes = count(dropped as u64, "change");
        Ok(format!("{changes} dropped\n"))
    }

    /// Makes the staged changes. What can't be made stays staged.
    pub(super) async fn commit(
        &self,
        keeper: &Keeper,
        runtime: &Runtime,
        ask: &mut dyn FnMut(&str) -> bool,
    ) -> Result<String, Failure> {
        self.check()?;
        if matches!(self, Self::Rehearsed) {
            return Err(Failure::refused(
                "nothing is written in a dry run (--dry-run)",
            ));
        }
        let mut plan = plan(keeper.context());
        if plan.is_empty() {
            return Ok("nothing is staged\n".to_owned());
        }
        loop {
            let stale = attempt(keeper, runtime, plan.clone()).await?;
            if stale.is_empty() {
                return Ok(String::new());
            }
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

/// Makes the changes of a plan. Gives what is no longer as it was seen: then nothing was written.
async fn attempt(keeper: &Keeper, runtime: &Runtime, plan: Plan) -> Result<Vec<Stale>, Failure> {
    let context = Arc::clone(keeper.context());
    keeper.begin(&plan)?;
    let prepared = {
        let context = Arc::clone(&context);
        until_stopped(runtime, async move { prepare(&context, plan).await }).await
    };
    let apply = match prepared {
        Ok(apply) => Arc::new(apply),
        Err(failure) => {
            keeper.end();
            return Err(unwritten(failure));
        }
    };
    let result = {
        let (context, apply) = (Arc::clone(&context), Arc::clone(&apply));
        until_stopped(runtime, async move {
            let applied = apply.run(CONCURRENCY, LOCK_WAIT, Arc::new(()));
            match context.concluding(apply.session(), applied).await? {
                Applied::Not(stale) => Ok(stale),
                Applied::Done(outcome) => {
                    told(&outcome, &[], apply.session().journal_id(), &context)?;
                    Ok(Vec::new())
                }
            }
        })
        .await
    };
    let made = apply.done();
    let failure = match result {
        Ok(stale) if stale.is_empty() => {
            context.session.forget();
            keeper.end();
            return Ok(stale);
        }
        Ok(stale) => {
            keeper.end();
            return Ok(stale);
        }
        Err(failure) => failure,
    };
    // Only the journal can tell what was just being written.
    let is_cut = failure.code() == Exit::INTERRUPTED && apply.session().journal_id().is_some();
    if is_cut && keeper.has_file() {
        context.session.forget();
        let path = keeper.end_with_file().unwrap_or_default();
        return Err(failure.and_hint(format!("go on with: kstate apply {}", path.display())));
    }
    keeper.end();
    if made.is_empty() {
        return Err(unwritten(failure));
    }
    context.session.forget_made(&made);
    let left = count(context.session.staged() as u64, "change");
    Err(failure.hint(format!(
        "{left} still staged: :plan shows what, :commit tries again, :drop KEY forgets one object's"
    )))
}

fn unwritten(failure: Failure) -> Failure {
    failure.and_hint("nothing was written, and all is still staged; :drop KEY forgets one object's")
}

async fn prepare(context: &Context, plan: Plan) -> Result<Apply, Failure> {
    let settings = context.journal.clone().map(|settings| journal::Settings {
        keep: context.wants_journal,
        ..settings
    });
    let work = Work {
        plan: Some(plan.origin.id.clone()),
        ..work()
    };
    let direct = context.session.directly();
    Ok(Apply::prepare(&direct, settings.as_ref(), plan, work).await?)
}

/// Does something on the threads for I/O until it ends or is stopped.
async fn until_stopped<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let mut task = runtime.host().io.spawn(work);
    let waiting = async { Ok((&mut task).await) };
    match runtime.stoppable(waiting).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Failure::new(
            Exit::FAILED,
            format!("a bug in kstate: {panic}"),
        )),
        Err(_) => {
            task.abort();
            // Its locks are given back, and its journal is closed.
            let _ = task.await;
            Err(Failure::new(Exit::INTERRUPTED, "interrupted"))
        }
    }
}

pub(super) fn plan(context: &Context) -> Plan {
    let session = &context.session;
    session.plan(session.origin("repl", "", Vec::new()))
}

fn text(plan: &Plan, full: bool) -> String {
    if plan.is_empty() {
        return "nothing is staged\n".to_owned();
    }
    shown(plan, full, output::color(&io::stdout()))
}
