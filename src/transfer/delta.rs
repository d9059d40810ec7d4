//! Passes over a source that changes meanwhile, until source and target agree.

use std::sync::Arc;

use super::sync::Run;
use super::{Observer, Report, SyncOptions};
use crate::store::{Error, ErrorKind, Result, Store};

/// How a [`delta_sync`] goes.
#[derive(Clone, Debug)]
pub struct DeltaOptions {
    /// What each pass does. `first` counts until it is all there, `delete` comes after the last.
    pub sync: SyncOptions,
    /// How many passes at most.
    pub passes: u32,
}

impl Default for DeltaOptions {
    fn default() -> Self {
        Self {
            sync: SyncOptions::default(),
            passes: 10,
        }
    }
}

/// Repeats [`sync`](super::sync()) until a pass finds nothing to do. Ends early, with the
/// trouble in the report, when an object fails or somebody else writes in the target: another
/// pass would overwrite theirs.
///
/// # Errors
/// As [`sync`](super::sync()), and when the source still changes after the last pass.
pub async fn delta_sync(
    source: &Arc<dyn Store>,
    target: &Arc<dyn Store>,
    options: DeltaOptions,
    observer: Arc<dyn Observer>,
) -> Result<Report, super::Error> {
    let mut run = Run::new(source, target, options.sync, observer);
    let outcome = passes(&mut run, options.passes.max(1)).await;
    run.finish(outcome)
}

async fn passes(run: &mut Run, most: u32) -> Result<()> {
    for _ in 0..most {
        let earlier = std::mem::take(&mut run.report);
        let outcome = run.pass().await;
        let report = std::mem::take(&mut run.report);
        let settled = report.copied == 0 && report.changed.count == 0;
        let troubled = report.failures.count + report.conflicts.count > 0;
        run.report = report.after(&earlier);
        outcome?;
        if troubled {
            return Ok(());
        }
        if settled {
            return run.sweep().await;
        }
    }
    Err(keeps_changing(run, most))
}

fn keeps_changing(run: &Run, passes: u32) -> Error {
    let report = &run.report;
    let changed = report.changed.first.iter().map(|note| &note.key);
    let keys: Vec<&str> = changed
        .chain(&report.recent)
        .map(String::as_str)
        .take(10)
        .collect();
    let message = format!(
        "the source still changes after {passes} passes: {}",
        keys.join(", ")
    );
    Error::new(ErrorKind::Other, "copy", message)
        .at(run.lane.source.url(), None)
        .hint("find out who writes these objects, or hold them back, and run it again")
}
