//! `kstate history`

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::print_json;
use super::undo::settings;
use crate::session::journal::{self, Run, Told};
use crate::text::{count, human_size};
use crate::units;

/// Lists the runs that changed something, the newest first.
#[derive(Args)]
pub(super) struct History {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Show what a run changed
    Show {
        /// The run; the beginning of its name is enough
        id: String,
    },
    /// Delete old journals: what their runs did can't be undone any more
    Prune {
        /// Those of runs that ended longer ago than this, such as 30d
        #[arg(long, value_name = "TIME", value_parser = units::duration)]
        older_than: Option<Duration>,
        /// The oldest ones, until all that are left take no more than this
        #[arg(long, value_name = "SIZE", value_parser = units::size)]
        larger_than: Option<u64>,
    },
}

impl History {
    pub(super) fn run(self, context: &Context) -> Result<u8, Failure> {
        let folder = settings(context)?.folder;
        match self.command {
            None => list(&journal::runs(&folder)?, context),
            Some(Command::Show { id }) => show(&journal::find(&folder, &id)?, context),
            Some(Command::Prune {
                older_than,
                larger_than,
            }) => {
                let by_default = older_than.is_none() && larger_than.is_none();
                let (keep, max_size) = context.retention();
                let age = older_than.or(by_default.then_some(keep));
                let size = larger_than.or(by_default.then_some(max_size));
                let pruned = journal::prune(&folder, age, size)?;
                if context.json {
                    let ids: Vec<_> = pruned.iter().map(|run| &run.about.id).collect();
                    print_json(&json!({ "pruned": ids }))?;
                } else {
                    let runs = count(pruned.len() as u64, "run");
                    tracing::info!("the journals of {runs} are deleted");
                }
                Ok(Exit::DONE)
            }
        }
    }
}

fn list(runs: &[Run], context: &Context) -> Result<u8, Failure> {
    if context.json {
        let list = runs.iter().map(|run| summary(run, runs));
        print_json(&Value::Array(list.collect::<Result<_, _>>()?))?;
        return Ok(Exit::DONE);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for run in runs {
        let about = &run.about;
        let state = match state(run, runs) {
            "done" => String::new(),
            state => format!(" ({state})"),
        };
        writeln!(
            out,
            "{}  {}  {}{state}  {}",
            about.id,
            about.started.split('.').next().unwrap_or_default(),
            run.changes()?,
            about.work.command
        )?;
    }
    out.flush()?;
    Ok(Exit::DONE)
}

/// What became of a run, in a word or two.
fn state(run: &Run, runs: &[Run]) -> &'static str {
    match &run.end {
        _ if is_undone(run, runs) => "undone",
        Some(end) if end.complete => "done",
        Some(_) => "failed",
        None if run.is_alive() => "going on",
        None => "interrupted",
    }
}

/// Whether it was taken back, and that was not.
fn is_undone(run: &Run, runs: &[Run]) -> bool {
    let undoes_it = |other: &&Run| other.about.work.undoes.as_ref() == Some(&run.about.id);
    let mut undos = runs.iter().filter(undoes_it);
    undos.any(|undo| undo.is_complete() && !is_undone(undo, runs))
}

fn summary(run: &Run, runs: &[Run]) -> Result<Value, Failure> {
    let about = &run.about;
    let changes = run.changes()?;
    Ok(json!({
        "id": about.id,
        "started": about.started,
        "ended": run.end.as_ref().map(|end| &end.ended),
        "state": state(run, runs),
        "who": about.who,
        "pid": about.pid,
        "kstate": about.kstate,
        "command": about.work.command,
        "plan": about.work.plan,
        "undoes": about.work.undoes,
        "created": changes.created,
        "changed": changes.changed,
        "deleted": changes.deleted,
    }))
}

fn show(run: &Run, context: &Context) -> Result<u8, Failure> {
    let told = run.tell()?;
    let all = journal::runs(run.folder.parent().unwrap_or(&run.folder))?;
    if context.json {
        let mut shown = summary(run, &all)?;
        let changes = told.iter().map(change_json).collect::<Vec<_>>();
        shown["changes"] = Value::Array(changes);
        print_json(&shown)?;
        return Ok(Exit::DONE);
    }
    let about = &run.about;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "run      {} ({})", about.id, state(run, &all))?;
    writeln!(out, "command  {}", about.work.command)?;
    writeln!(out, "by       {}, process {}", about.who, about.pid)?;
    writeln!(out, "started  {}", about.started)?;
    if let Some(end) = &run.end {
        writeln!(out, "ended    {}", end.ended)?;
    }
    writeln!(out, "journal  {}\n", run.folder.display())?;
    for change in &told {
        let Told {
            sign,
            store,
            key,
            before,
            note,
        } = change;
        let was = before.map_or(String::new(), |size| format!(" (was {})", human_size(size)));
        let note = note.map_or(String::new(), |note| format!("  {note}"));
        writeln!(out, "{sign} {store}/{key}{was}{note}")?;
    }
    out.flush()?;
    Ok(Exit::DONE)
}

fn change_json(change: &Told) -> Value {
    json!({
        "change": change.word(),
        "store": change.store,
        "key": change.key,
        "size_before": change.before,
        "note": change.note,
    })
}
