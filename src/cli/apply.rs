//! `kstate apply`

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::context::{Context, work};
use super::exit::{Exit, Failure};
use super::output::{self, print_json};
use super::plan::{identities, shown};
use super::progress::Progress;
use super::rm::confirm;
use crate::session::journal::Work;
use crate::session::plan::file;
use crate::session::{self, Applied, Outcome, Stale, Unrestorable};
use crate::store::Error;
use crate::text::count;
use crate::transfer::CONCURRENCY;
use crate::units;

/// Does what a plan says, if everything that it was computed from is still the same.
///
/// Nothing is written when anything changed since (exit code 4, with the list). Each write is
/// conditional: what somebody else changes meanwhile is left alone. What was interrupted is
/// finished by running it again.
#[derive(Args)]
pub(super) struct Apply {
    /// The plan; `-` reads it from standard input
    file: PathBuf,
    #[arg(
        long,
        value_name = "FILE",
        help = "A file with the age identity that opens an encrypted plan; may be given again \
                [env: KSTATE_AGE_IDENTITY]"
    )]
    identity: Vec<PathBuf>,
    /// How many changes are made at once
    #[arg(long, value_name = "N", default_value_t = CONCURRENCY)]
    concurrency: usize,
    /// How long to wait for the locks that the script takes
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
    lock_wait: Duration,
}

impl Apply {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let plan = file::load(&self.file, &identities(self.identity, context))?;
        if plan.is_empty() {
            tracing::info!("the plan is empty: nothing to do");
            return Ok(Exit::DONE);
        }
        let work = Work {
            script_sha256: Some(plan.origin.script_sha256.clone()),
            plan: Some(plan.origin.id.clone()),
            ..work()
        };
        let journal = context.journal.as_ref();
        let apply = session::Apply::prepare(&context.session, journal, plan, work).await?;
        let (before, remaining) = (apply.done_before_now(), apply.remaining());
        if remaining == 0 {
            tracing::info!("all of the plan is done already: nothing to do");
            return Ok(Exit::DONE);
        }
        let asks = !context.yes && std::io::stdin().is_terminal();
        // Once more before it waits for a person or a lock: nothing is written in vain.
        if asks || context.dry_run() || !apply.plan().locks.is_empty() {
            let stale = apply.check().await?;
            if !stale.is_empty() {
                return refuse(&stale, context);
            }
        }
        if before > 0 {
            tracing::info!(
                "{} of the plan {} done already",
                count(before as u64, "step"),
                if before == 1 { "is" } else { "are" }
            );
        }
        if context.dry_run() {
            if context.json {
                print_json(&json!({ "dry_run": true, "done": before, "not_done": remaining }))?;
            }
            tracing::info!(
                "{} would be made; nothing was written",
                count(remaining as u64, "change")
            );
            return Ok(Exit::CHANGES);
        }
        if asks {
            let mut stderr = std::io::stderr();
            let color = output::color(&stderr);
            // Nobody is left to ask when standard error is gone.
            let _ = stderr
                .write_all(shown(apply.plan(), &self.file.to_string_lossy(), color).as_bytes());
        }
        confirm(context, question(&apply)).await?;
        let observer = Progress::observer(!context.quiet && !context.json);
        observer.ahead(remaining as u64, 0);
        let applied = apply.run(self.concurrency.max(1), self.lock_wait, observer);
        let outcome = match context.concluding(apply.session(), applied).await? {
            Applied::Not(stale) => return refuse(&stale, context),
            Applied::Done(outcome) => outcome,
        };
        told(&outcome, &[], apply.session().journal_id(), context)
    }
}

fn question(apply: &session::Apply) -> String {
    let plan = apply.plan();
    let written: BTreeSet<usize> = plan.steps.iter().map(|step| step.store).collect();
    let stores = written.iter().filter_map(|store| plan.stores.get(*store));
    let stores: Vec<_> = stores.map(|store| store.url.as_str()).collect();
    let changes = count(apply.remaining() as u64, "change");
    format!("Make {changes} in {}?", stores.join(", "))
}

fn refuse(stale: &[Stale], context: &Context) -> Result<u8, Failure> {
    if context.json {
        let list = stale.iter().map(|stale| {
            json!({ "store": stale.store, "key": stale.key, "what": stale.how.to_string() })
        });
        print_json(&json!({ "applied": false, "stale": list.collect::<Vec<_>>() }))?;
    }
    for Stale { store, key, how } in stale {
        tracing::error!("{store}/{key} {how}");
    }
    let message = format!(
        "the plan is out of date: {} of what it was computed from changed since; nothing was written",
        count(stale.len() as u64, "object")
    );
    Err(Failure::new(Exit::CONFLICT, message).hint("make a new plan"))
}

/// Tells how doing several things ended, and gives the exit code.
pub(super) fn told(
    outcome: &Outcome,
    unrestorable: &[Unrestorable],
    journal: Option<&str>,
    context: &Context,
) -> Result<u8, Failure> {
    let Outcome {
        done,
        conflicts,
        failures,
        not_tried,
    } = outcome;
    for error in conflicts.iter().chain(failures) {
        tracing::error!("{error}");
    }
    if context.json {
        let words = |errors: &[Error]| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        let lost = unrestorable.iter().map(ToString::to_string);
        print_json(&json!({
            "done": done,
            "conflicts": words(conflicts),
            "failures": words(failures),
            "not_tried": not_tried,
            "unrestorable": lost.collect::<Vec<_>>(),
            "journal": journal,
        }))?;
    }
    let left = conflicts.len() + failures.len() + not_tried;
    let (code, hint) = match (conflicts.is_empty(), failures.is_empty()) {
        (true, true) => return Ok(Exit::DONE),
        (false, _) => (
            Exit::CONFLICT,
            "what somebody else changed was left alone; look at it",
        ),
        (true, false) => (Exit::PARTLY, "run it again to go on"),
    };
    let message = format!("{done} done, {left} not");
    Err(Failure::new(code, message).hint(hint))
}
