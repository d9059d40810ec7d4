//! `kstate lock`

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use time::OffsetDateTime;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::{print_json, timestamp};
use super::rm::confirm;
use crate::session::lock::{LockState, Record, State, Status};
use crate::units::human_duration;

/// The locks that runs of kstate take on a store, so that one at a time changes it.
#[derive(Args)]
pub(super) struct Lock {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show who holds the locks of a store, and what a lock there is worth
    Status {
        /// The store; default: the state store
        store: Option<String>,
    },
    /// Take a lock away whose holder is gone
    ///
    /// A holder that still lives notices it at its next renewal, and stops.
    Break {
        /// The store
        store: String,
        /// The lock's name, as `kstate lock status` shows it
        name: String,
    },
}

impl Lock {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        match self.command {
            Command::Status { store } => status(context, store.as_deref()).await,
            Command::Break { store, name } => break_lock(context, &store, &name).await,
        }
    }
}

async fn status(context: &Context, store: Option<&str>) -> Result<u8, Failure> {
    let store = context.store(store)?;
    let status = context.session.lock_status(&store).await?;
    if context.json {
        print_json(&json!({
            "home": status.home,
            "strength": status.judgement.as_ref().map(|known| known.strength),
            "why": status.judgement.as_ref().map(|known| &known.why),
            "locks": status.locks.iter().map(lock_json).collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::DONE);
    }
    let mut out = std::io::stdout().lock();
    for lock in &status.locks {
        writeln!(out, "{}", describe(lock))?;
    }
    if status.locks.is_empty() {
        writeln!(out, "no locks on {}", status.home)?;
    }
    writeln!(out, "{}", worth(&status))?;
    Ok(Exit::DONE)
}

fn worth(status: &Status) -> String {
    match &status.judgement {
        Some(known) => format!("a lock there is {}: {}", known.strength, known.why),
        None => "what a lock there is worth is found out when the first one is taken".to_owned(),
    }
}

async fn break_lock(context: &Context, store: &str, name: &str) -> Result<u8, Failure> {
    let store = context.store(Some(store))?;
    let status = context.session.lock_status(&store).await?;
    let (locks, others): (Vec<_>, Vec<_>) =
        status.locks.into_iter().partition(|lock| lock.name == name);
    if locks.is_empty() {
        let near = crate::text::did_you_mean(name, others.iter().map(|lock| lock.name.as_str()));
        let message = format!("there is no lock '{name}' on {}{near}", status.home);
        return Err(Failure::new(Exit::FAILED, message)
            .hint(format!("kstate lock status {} shows all", status.home)));
    }
    for lock in &locks {
        tracing::warn!("{}", describe(lock));
    }
    let question = format!("Break the lock '{name}' on {}?", status.home);
    confirm(context, question).await?;
    context.session.break_locks(&store, &locks).await?;
    if !context.dry_run() {
        tracing::info!("the lock '{name}' on {} is broken", status.home);
    }
    Ok(Exit::DONE)
}

/// A lock for people, on one line.
fn describe(lock: &LockState) -> String {
    let name = &lock.name;
    let record = match &lock.found.record {
        Ok(record) => record,
        Err(reason) => return format!("{name}: {} can't be read: {reason}", lock.found.key),
    };
    let verb = match record.state {
        State::Held => "held by",
        State::Asking => "asked for by",
    };
    let since = timestamp(record.acquired.into()).unwrap_or_default();
    let mut text = format!(
        "{name}: {verb} {} since {since} ({}), renewed {} ago, {}, fencing {}",
        record.holder,
        human_duration(age(record.acquired)),
        human_duration(age(record.renewed)),
        record.strength,
        record.fencing
    );
    if let Some(why) = lock.expired {
        text.push_str("; expired: ");
        text.push_str(why);
    }
    text
}

/// How long ago, in whole seconds.
fn age(time: OffsetDateTime) -> Duration {
    let age = OffsetDateTime::now_utc() - time;
    Duration::from_secs(u64::try_from(age.whole_seconds()).unwrap_or_default())
}

fn lock_json(lock: &LockState) -> serde_json::Value {
    let mut object = json!({
        "name": lock.name,
        "key": lock.found.key.as_str(),
        "expired": lock.expired.is_some(),
    });
    let fields = match &lock.found.record {
        Ok(record) => record_json(record),
        Err(reason) => json!({ "unreadable": reason }),
    };
    for (name, value) in fields.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    if let Some(why) = lock.expired {
        object["expired_because"] = why.into();
    }
    object
}

fn record_json(record: &Record) -> serde_json::Value {
    let Record { holder, .. } = record;
    json!({
        "user": holder.user,
        "host": holder.host,
        "pid": holder.pid,
        "run": holder.run,
        "state": record.state,
        "strength": record.strength,
        "fencing": record.fencing,
        "ttl_seconds": record.ttl,
        "acquired": timestamp(record.acquired.into()),
        "renewed": timestamp(record.renewed.into()),
        "age_seconds": age(record.acquired).as_secs(),
    })
}
