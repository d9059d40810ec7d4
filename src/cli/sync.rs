//! `kstate sync`

use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures::TryStreamExt;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::print_json;
use super::progress::Progress;
use crate::session::lock::{LockOptions, STORE_LOCK};
use crate::store::ListOptions;
use crate::text;
use crate::transfer::{self, CONCURRENCY, Evidence, Filter, Report, Sample, SyncOptions};
use crate::units;

/// Copies what is missing or different from one tree to another, and verifies every copy.
///
/// What only the target has stays, unless --delete is given; then it is deleted after everything
/// else has succeeded. An object that somebody else writes in the target meanwhile is left alone
/// and reported (exit code 4).
#[derive(Args)]
pub(super) struct Sync {
    /// The tree to copy from
    source: String,
    /// The tree to make the same
    target: String,
    /// Delete what only the target has
    #[arg(long)]
    delete: bool,
    /// Delete nothing if it would be more objects than this
    #[arg(long, value_name = "N", requires = "delete")]
    max_delete: Option<u64>,
    /// With --delete: go on although the source is empty
    #[arg(long, requires = "delete")]
    allow_empty_source: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    manner: Manner,
}

/// Which keys take part.
#[derive(Args)]
pub(super) struct Selection {
    /// Only keys that match: `*` within a folder, `**` across; may be given again
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Not keys that match; wins over --include
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
}

impl Selection {
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        Ok(Filter::new(&self.include, &self.exclude)?)
    }
}

/// How objects are copied.
#[derive(Args)]
pub(super) struct Manner {
    /// How many objects are on their way at once
    #[arg(long, value_name = "N", default_value_t = CONCURRENCY)]
    concurrency: usize,
    /// How objects are compared and copies verified
    #[arg(long, value_enum, default_value_t = Verify::Checksum)]
    pub(super) verify: Verify,
    /// How long to wait for another run that writes to the target tree
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
    lock_wait: Duration,
}

/// What counts as proof that two objects are the same.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Verify {
    /// Checksums where both sides publish comparable ones, else the bytes
    Checksum,
    /// Always the bytes of both
    Content,
}

impl Verify {
    pub(super) fn evidence(self) -> Evidence {
        match self {
            Self::Checksum => Evidence::Checksum,
            Self::Content => Evidence::Content,
        }
    }
}

impl Manner {
    pub(super) fn lock(&self) -> LockOptions {
        LockOptions::of_command(self.lock_wait)
    }

    pub(super) fn options(&self, filter: Filter) -> SyncOptions {
        SyncOptions {
            filter,
            concurrency: self.concurrency.max(1),
            compare: self.verify.evidence(),
            verify: self.verify.evidence(),
            ..SyncOptions::default()
        }
    }
}

impl Sync {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let lock = self.manner.lock();
        let options = SyncOptions {
            delete: self.delete,
            max_delete: self.max_delete,
            allow_empty_source: self.allow_empty_source,
            ..self.manner.options(self.selection.filter()?)
        };
        copy_tree(context, &self.source, &self.target, options, lock).await
    }
}

/// Syncs two trees that are named on the command line, and reports.
pub(super) async fn copy_tree(
    context: &Context,
    source: &str,
    target: &str,
    options: SyncOptions,
    lock: LockOptions,
) -> Result<u8, Failure> {
    let source = context.store(Some(source))?;
    let target = context.store(Some(target))?;
    let (from, to) = (source.place(), target.place());
    if from.contains(&to) || to.contains(&from) {
        return Err(Failure::refused(format!(
            "{} and {} are the same place, or one lies inside the other",
            source.url(),
            target.url()
        )));
    }
    let observer = Progress::observer(!context.quiet && !context.json);
    // A mistyped source is told before anything is made in the target.
    source.list(ListOptions::default()).try_next().await?;
    let lock = context.session.lock(&target, STORE_LOCK, &lock).await?;
    let transfer = transfer::sync(&source, &target, options, observer);
    match lock.protect(transfer).await? {
        Ok(report) => show(&report, context),
        Err(error) => {
            show(&error.report, context)?;
            for note in &error.report.refused.first {
                tracing::error!("{:?}: {}", note.key, note.reason);
            }
            Err(error.cause.into())
        }
    }
}

fn show(report: &Report, context: &Context) -> Result<u8, Failure> {
    let code = match report {
        report if report.failures.count + report.changed.count > 0 => Exit::PARTLY,
        report if report.conflicts.count > 0 => Exit::CONFLICT,
        _ => Exit::DONE,
    };
    if context.json {
        print_json(&report.to_json())?;
        return Ok(code);
    }
    let mut parts = vec![format!(
        "{} copied ({}), {} unchanged",
        text::count(report.copied, "object"),
        text::human_size(report.bytes),
        report.unchanged
    )];
    if report.deleted > 0 {
        parts.push(format!("{} deleted", report.deleted));
    }
    for (sample, what) in [
        (&report.skipped, "skipped"),
        (&report.changed, "changed meanwhile"),
        (&report.conflicts, "left to somebody else's write"),
        (&report.failures, "failed"),
    ] {
        if sample.count > 0 {
            parts.push(format!("{} {what}", sample.count));
        }
        complain(sample, what);
    }
    writeln!(
        std::io::stdout().lock(),
        "{} in {:.1} s",
        parts.join(", "),
        report.seconds
    )?;
    Ok(code)
}

fn complain(sample: &Sample, what: &str) {
    const SHOWN: usize = 20;
    for note in sample.first.iter().take(SHOWN) {
        tracing::warn!("{what}: {}: {}", note.key, note.reason);
    }
    if sample.count > SHOWN as u64 {
        tracing::warn!("{what}: and {} more", sample.count - SHOWN as u64);
    }
}
