//! `kstate undo`

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;

use super::apply::told;
use super::context::{Context, work};
use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::rm::confirm;
use crate::session::journal::{self, Work};
use crate::session::{self, Undone};
use crate::text::count;
use crate::transfer::CONCURRENCY;
use crate::units;

/// Takes a run back: every object that it changed becomes what it was.
///
/// What somebody else changed since is left alone and reported (exit code 4); the rest is put
/// back. An undo is a run too, and can be taken back. What was interrupted is finished by running
/// it again.
#[derive(Args)]
pub(super) struct Undo {
    /// The run, as `kstate history` names it; the beginning of its name is enough
    id: String,
    /// How many objects are put back at once
    #[arg(long, value_name = "N", default_value_t = CONCURRENCY)]
    concurrency: usize,
    /// How long to wait for the locks that the run held
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
    lock_wait: Duration,
}

impl Undo {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let settings = settings(context)?;
        let run = journal::find(&settings.folder, &self.id)?;
        let id = run.about.id.clone();
        let work = Work {
            undoes: Some(id.clone()),
            ..work()
        };
        let undo = session::Undo::prepare(&context.session, &settings, &run, work).await?;
        let before = undo.done_before_now();
        if before > 0 && before == undo.objects() {
            tracing::info!("run {id} was taken back already: nothing to do");
            return Ok(Exit::DONE);
        }
        let objects = count((undo.objects() - before) as u64, "object");
        if context.dry_run() {
            let undone = undo.rehearse().await?;
            let put_back = count(undone.outcome.done as u64, "object");
            tracing::info!("{put_back} would be put back; nothing was written");
            return finish(&undone, None, context);
        }
        // What undo does is conditional, and can be taken back itself: a script need not ask.
        if std::io::stdin().is_terminal() {
            let command = &run.about.work.command;
            let question = format!("Put back the {objects} that run {id} ({command}) changed?");
            confirm(context, question).await?;
        }
        let observer = Progress::observer(!context.quiet && !context.json);
        observer.ahead((undo.objects() - before) as u64, 0);
        let undone = undo.run(self.concurrency.max(1), self.lock_wait, observer);
        let undone = context.concluding(undo.session(), undone).await?;
        finish(&undone, undo.session().journal_id(), context)
    }
}

fn finish(undone: &Undone, journal: Option<&str>, context: &Context) -> Result<u8, Failure> {
    let Undone {
        outcome,
        unrestorable,
    } = undone;
    for object in unrestorable {
        tracing::error!("cannot restore {object}: it was too large to be kept");
    }
    let code = told(outcome, unrestorable, journal, context)?;
    if unrestorable.is_empty() {
        return Ok(code);
    }
    let lost = count(unrestorable.len() as u64, "object");
    Err(
        Failure::new(Exit::PARTLY, format!("{lost} could not be restored"))
            .hint("look for old versions in the store itself, or in a backup"),
    )
}

/// How journals are kept, for a command that reads them.
pub(super) fn settings(context: &Context) -> Result<journal::Settings, Failure> {
    if let Some(settings) = &context.journal {
        return Ok(settings.clone());
    }
    let folder = journal::Settings::folder(context.env());
    let folder = folder.ok_or_else(|| {
        Failure::new(Exit::FAILED, "there is no folder with journals")
            .hint("set HOME or XDG_STATE_HOME")
    })?;
    Ok(journal::Settings::new(folder))
}
