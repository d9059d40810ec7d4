//! Whether two trees are the same, object by object. Reads only.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;

use super::diff::{CompareOptions, Found, Pair, pairs};
use super::{Observer, Outcome, Report};
use crate::store::{Result, Store};

/// Compares all objects of the source with the target's. What differs or is missing in the
/// target is in the report's `differences`, what only the target has in `extraneous`.
///
/// # Errors
/// When a listing fails; then the report is of what was compared until then.
pub async fn verify_trees(
    source: &Arc<dyn Store>,
    target: &Arc<dyn Store>,
    options: &CompareOptions,
    observer: Arc<dyn Observer>,
) -> Result<Report, super::Error> {
    let started = Instant::now();
    let mut report = Report {
        passes: 1,
        ..Report::default()
    };
    observer.started();
    let mut found = pairs(source, target, options);
    let mut outcome = Ok(());
    while let Some(found) = found.next().await {
        match found {
            Ok(Found::Pair(pair)) => note(&mut report, &pair, &*observer),
            Ok(Found::Foreign(foreign)) => report.skipped.add(foreign.name, foreign.reason),
            Err(error) => outcome = Err(error),
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => Ok(report),
        Err(cause) => Err(super::Error {
            report: Box::new(report),
            cause,
        }),
    }
}

fn note(report: &mut Report, pair: &Pair, observer: &dyn Observer) {
    let key = pair.key.as_str();
    let Some(size) = pair.source else {
        return report.extraneous.add(key, "only the target has it");
    };
    report.objects += 1;
    observer.listed(report.objects);
    match (&pair.same, pair.target) {
        (Ok(Some(method)), _) => {
            report.verified.add(*method);
            let outcome = Outcome::Unchanged { method: *method };
            report.record(&pair.key, &outcome);
            observer.object_done(&pair.key, &outcome);
        }
        (Ok(None), None) => report.differences.add(key, "the target doesn't have it"),
        (Ok(None), Some(target)) if target != size => {
            let reason = format!("it has {size} bytes in the source, {target} in the target");
            report.differences.add(key, reason);
        }
        (Ok(None), Some(_)) => report.differences.add(key, "the bytes are different"),
        (Err(error), _) if error.is_conflict() || error.is_missing_key() => {
            report.changed.add_error(key, error);
        }
        (Err(error), _) => report.failures.add_error(key, error),
    }
}
