//! `kstate backend test`: the suite that our own backends pass, against any store.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;

use clap::Args;
use futures::StreamExt;
use serde_json::{Value as Json, json};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print_json;
use crate::cli::progress::spinner;
use crate::session::Session;
use crate::store::contract::{CLAIMS, Check, Claim, Options, Outcome, Proof, Report, run_telling};
use crate::store::{Capabilities, ErrorKind, ListOptions, RESERVED, Store, probe};
use crate::units;

/// Tests whether a store does what kstate relies on.
#[derive(Args)]
pub(super) struct Test {
    /// The store or a folder in one; the state store by default
    store: Option<String>,
    /// The size of the largest objects
    #[arg(long, value_name = "SIZE", default_value = "20MiB", value_parser = units::size)]
    large: u64,
    /// How many objects the longest listing has
    #[arg(long, value_name = "COUNT", default_value_t = Options::default().many)]
    many: usize,
    /// How many write the same object at once
    #[arg(long, value_name = "COUNT", default_value = "32")]
    racers: NonZeroUsize,
}

impl Test {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let url = context.url(self.store.as_deref().unwrap_or("state"))?;
        // What comes and goes here is nothing to take back, so it has no journal.
        let session = Session::over(
            Arc::clone(context.session.registry()),
            context.session.mode(),
        );
        let session = session.granting(context.session.grants().clone());
        let folder = format!("{RESERVED}/test/{:016x}", fastrand::u64(..));
        let store = session.open(&url)?;
        let scratch = store.at(&folder);
        if context.dry_run() {
            tracing::info!("the test would write below {}", scratch.url());
            return Ok(Exit::DONE);
        }
        is_there(&*store).await?;
        tracing::info!("testing below {}", scratch.url());
        // Where nothing can be written nothing can be tested.
        probe::probe(&*scratch).await?;
        let unfinished = Unfinished(&*scratch);
        let spinner = spinner(!context.quiet && !context.json);
        let options = Options {
            large_size: self.large,
            many: self.many,
            racers: self.racers.get(),
            ..Options::default()
        };
        let report = run_telling(Arc::clone(&scratch), options, |check| {
            tracing::debug!("{check}");
            spinner.set_message(check);
        })
        .await;
        spinner.finish_and_clear();
        std::mem::forget(unfinished);
        tell(context, &scratch.capabilities(), &report)?;
        Ok(if report.passed() {
            Exit::DONE
        } else {
            Exit::FAILED
        })
    }
}

/// Refuses a folder that the test would make, for it would stay.
async fn is_there(store: &dyn Store) -> Result<(), Failure> {
    let next = ListOptions {
        one_level: true,
        ..ListOptions::default()
    };
    match store.list(next).next().await {
        Some(Err(error)) if *error.kind() == ErrorKind::NotFound => {
            let failure = Failure::new(Exit::FAILED, error.to_string());
            Err(failure.hint("check the name; what is tested must be there, since a test makes nothing that stays"))
        }
        _ => Ok(()),
    }
}

/// A test that is stopped before it has removed what it wrote.
struct Unfinished<'a>(&'a dyn Store);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        tracing::warn!(
            "the test didn't end; what it wrote is still in {}, and can be removed with kstate rm -r",
            self.0.url()
        );
    }
}

fn tell(context: &Context, can: &Capabilities, report: &Report) -> Result<(), Failure> {
    if context.json {
        let claims = CLAIMS.iter().map(|claim| claim_json(claim, can, report));
        return print_json(&json!({
            "store": report.store,
            "passed": report.passed(),
            "capabilities": claims.collect::<Vec<_>>(),
            "checks": report.checks.iter().map(check_json).collect::<Vec<_>>(),
        }));
    }
    let mut out = std::io::stdout().lock();
    let width = CLAIMS.iter().map(|claim| claim.name.len()).max();
    let width = width.unwrap_or_default();
    writeln!(out, "{:width$}  {:9}  found", "capability", "claimed")?;
    for claim in CLAIMS {
        let found = match report.proof(claim, can) {
            Proof::Holds => "holds",
            Proof::Broken(_) => "BROKEN",
            Proof::NotClaimed => "-",
            Proof::Untested => "not tested",
        };
        let said = (claim.said)(can).to_string();
        writeln!(out, "{:width$}  {said:9}  {found}", claim.name)?;
    }
    Ok(writeln!(out, "\n{report}")?)
}

fn claim_json(claim: &Claim, can: &Capabilities, report: &Report) -> Json {
    let (found, why) = match report.proof(claim, can) {
        Proof::Holds => ("holds", None),
        Proof::Broken(why) => ("broken", Some(why)),
        Proof::NotClaimed => ("not_claimed", None),
        Proof::Untested => ("untested", None),
    };
    let mut object = json!({
        "capability": claim.field,
        "claimed": (claim.said)(can).to_json(),
        "found": found,
    });
    if let Some(why) = why {
        object["why"] = why.into();
    }
    object
}

fn check_json(check: &Check) -> Json {
    let (outcome, why) = match &check.outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Failed(why) => ("failed", Some(why)),
        Outcome::NotClaimed(why) => ("not_claimed", Some(why)),
    };
    let mut object = json!({ "check": check.name, "outcome": outcome });
    if let Some(why) = why {
        object["why"] = why.as_str().into();
    }
    object
}
