//! The suite that every backend passes, as a library: `kstate backend test URL` runs it against
//! a place of the user's choice, and each backend's own tests run it against theirs.
//!
//! What a backend doesn't claim in its [`Capabilities`](super::Capabilities) isn't asked of it,
//! except that it must say so: a precondition that can't be checked is refused, never ignored.

mod bodies;
mod claims;
mod conditions;
mod copies;
mod keys;
mod listing;
mod objects;
mod races;
mod scene;

#[cfg(test)]
pub(super) mod broken;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;

pub use claims::{CLAIMS, Claim, Proof, Said};
use scene::{Scene, Stop, Verdict};

use super::{Entry, Error, ErrorKind, ListOptions, Result, Store, is_reserved};
use crate::text::{without_long_words, wrapped};

/// How much the suite asks of a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The size of the larger bodies in bytes, where the store takes as much.
    pub large_size: u64,
    /// How many keys the longest listing has; more than the backend gives in one page.
    pub many: usize,
    /// How many writers create the same object at once.
    pub racers: usize,
    /// How many writers increment the same counter at once.
    pub swappers: usize,
    /// How long one check may take before it counts as failed.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            large_size: 20 << 20,
            many: 2345,
            racers: 32,
            swappers: 16,
            patience: Duration::from_mins(5),
        }
    }
}

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store behaves.
    Passed,
    /// It doesn't; says what it did.
    Failed(String),
    /// It doesn't claim to, and says so when asked.
    NotClaimed(String),
}

/// One behaviour and whether the store shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The behaviour, as a sentence.
    pub name: &'static str,
    /// Whether the store shows it.
    pub outcome: Outcome,
}

/// What the suite found out about a store. Its `Display` is a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The store's URL.
    pub store: String,
    /// The checks in the order in which they ran.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether no check failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The checks that failed, with what the store did.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.checks.iter().filter_map(|check| match &check.outcome {
            Outcome::Failed(why) => Some((check.name, why.as_str())),
            Outcome::Passed | Outcome::NotClaimed(_) => None,
        })
    }

    fn count(&self, wanted: fn(&Outcome) -> bool) -> usize {
        let outcomes = self.checks.iter().map(|check| &check.outcome);
        outcomes.filter(|outcome| wanted(outcome)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, outcome } in &self.checks {
            match outcome {
                Outcome::Passed => writeln!(f, "ok           {name}")?,
                Outcome::Failed(_) => writeln!(f, "FAILED       {name}")?,
                Outcome::NotClaimed(why) => {
                    let text = wrapped(&format!("{name}: {why}"), 13);
                    writeln!(f, "not claimed  {text}")?;
                }
            }
        }
        for (name, why) in self.failures() {
            writeln!(f, "\nFAILED: {name}\n    {}", wrapped(why, 4))?;
        }
        if self.failures().next().is_some() {
            writeln!(f)?;
        }
        write!(
            f,
            "{}: {} ok, {} failed, {} not claimed",
            self.store,
            self.count(|outcome| matches!(outcome, Outcome::Passed)),
            self.count(|outcome| matches!(outcome, Outcome::Failed(_))),
            self.count(|outcome| matches!(outcome, Outcome::NotClaimed(_))),
        )
    }
}

/// A behaviour and how to check it.
type Named = (&'static str, fn(Scene) -> BoxFuture<'static, Verdict>);

const EMPTY: &str = "the place is empty before, so that nothing of value can be lost";
const EMPTIED: &str = "the place is empty again afterwards";

/// As [`run_telling`], without a word.
pub async fn run(store: Arc<dyn Store>, options: Options) -> Report {
    run_telling(store, options, |_| ()).await
}

/// Runs all checks, one after the other, each in an empty store; `begins` is told of each one.
/// Whatever the place holds afterwards is deleted between the checks, so it must be a scratch place
/// that nobody else writes to: where it holds anything beforehand the suite touches nothing and
/// fails, and where something can't be deleted it makes no more checks. kstate's own objects
/// ([`RESERVED`](super::RESERVED)) don't count and stay.
pub async fn run_telling(
    store: Arc<dyn Store>,
    mut options: Options,
    mut begins: impl FnMut(&'static str),
) -> Report {
    let most = store.capabilities().max_size.unwrap_or(u64::MAX);
    options.large_size = options.large_size.min(most);
    let mut report = Report {
        store: store.url().to_owned(),
        checks: Vec::new(),
    };
    let empty = match store.learn().await {
        Ok(()) => scratch(&store).await,
        Err(error) => Err(error.into()),
    };
    report.checks.push(Check {
        name: EMPTY,
        outcome: outcome(empty),
    });
    if !report.passed() {
        return report;
    }
    let groups = [
        objects::CHECKS,
        bodies::CHECKS,
        conditions::CHECKS,
        races::CHECKS,
        keys::CHECKS,
        listing::CHECKS,
        copies::CHECKS,
    ];
    let scene = Scene {
        store: Arc::clone(&store),
        options,
    };
    let mut left = groups.into_iter().flatten();
    let mut emptied = Ok(());
    while emptied.is_ok()
        && let Some((name, check)) = left.next()
    {
        begins(name);
        let outcome = outcome(patiently(&scene, *check).await);
        report.checks.push(Check { name, outcome });
        emptied = clear(&store).await;
    }
    let emptied = match emptied {
        Ok(()) => scratch(&store).await,
        // One mistake would show in each of them, as if the store had all of these.
        Err(error) => Err(left_out(error, left.count())),
    };
    report.checks.push(Check {
        name: EMPTIED,
        outcome: outcome(emptied),
    });
    report
}

/// What ended the suite before its end.
fn left_out(error: Error, checks: usize) -> Stop {
    match Stop::from(error) {
        Stop::Failed(why) if checks > 0 => Stop::Failed(format!(
            "{why}\n{checks} checks were left out, each of which needs an empty place"
        )),
        stop => stop,
    }
}

/// A check in a task of its own: a backend that panics or hangs fails that check alone.
async fn patiently(scene: &Scene, check: fn(Scene) -> BoxFuture<'static, Verdict>) -> Verdict {
    let patience = scene.options.patience;
    let mut task = tokio::spawn(check(scene.clone()));
    let Ok(ended) = tokio::time::timeout(patience, &mut task).await else {
        task.abort();
        return Err(Stop::Failed(format!("no end after {patience:?}")));
    };
    ended?
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Ok(()) => Outcome::Passed,
        Err(Stop::Failed(why)) => Outcome::Failed(without_long_words(&why)),
        Err(Stop::NotClaimed(why)) => Outcome::NotClaimed(why),
    }
}

async fn entries(store: &Arc<dyn Store>) -> Result<Vec<Entry>> {
    let mut listing = store.list(ListOptions::default());
    let mut entries = Vec::new();
    while let Some(entry) = listing.next().await {
        match entry {
            Ok(entry) if is_reserved(entry.name()) => {}
            Ok(entry) => entries.push(entry),
            // A folder that was never made holds nothing.
            Err(error) if *error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

async fn scratch(store: &Arc<dyn Store>) -> Verdict {
    match entries(store).await?.first() {
        None => Ok(()),
        Some(first) => Err(Stop::Failed(format!(
            "it holds '{}': name an empty folder",
            first.name()
        ))),
    }
}

async fn clear(store: &Arc<dyn Store>) -> Result<()> {
    let mut keys = Vec::new();
    for entry in entries(store).await? {
        match entry {
            Entry::Object(meta) => keys.push(meta.key),
            Entry::Prefix(name) | Entry::Foreign { name, .. } => {
                let message = format!("'{name}' is there, and no check made it");
                return Err(Error::new(ErrorKind::Corrupt, "empty", message).at(store.url(), None));
            }
        }
    }
    store
        .delete_many(keys)
        .await
        .into_iter()
        .next()
        .map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_reads_as_a_table() {
        let check = |name, outcome| Check { name, outcome };
        let report = Report {
            store: "s3://b".into(),
            checks: vec![
                check("short", Outcome::Passed),
                check("a longer one", Outcome::NotClaimed("no such thing".into())),
                check("third", Outcome::Failed("it lied".into())),
            ],
        };
        assert_eq!(
            report.to_string(),
            "ok           short\n\
             not claimed  a longer one: no such thing\n\
             FAILED       third\n\
             \n\
             FAILED: third\n    it lied\n\
             \n\
             s3://b: 1 ok, 1 failed, 1 not claimed"
        );
        assert!(!report.passed());
    }
}
