//! The run: makes the target's tree like the source's.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::{JoinError, JoinSet};

use super::check::look_ahead;
use super::compare::{Verdict, judge, settle};
use super::copy::{Lane, Trouble, changed_or_failed};
use super::walk::{Foreign, Join, Scope, Step, check_folder};
use super::{Evidence, Method, Observer, Outcome, Report, SyncOptions};
use crate::store::{Error, ErrorKind, Key, Meta, Place, Precondition, Result, Store};
use crate::text::{count, human_size};

/// So many refusals in a row before anything succeeded end a run.
const DENIED: u64 = 3;

/// Makes the target's tree like the source's, in one pass. The source is only read. An object
/// that fails, changes meanwhile or meets somebody else's write in the target is in the report
/// and doesn't stop the others; see [`Report::into_result`].
///
/// # Errors
/// What stops the whole run: a listing that fails, keys that the target can't hold (nothing was
/// copied then), a store that refuses or fails everything, a deletion that looks like a mistake.
pub async fn sync(
    source: &Arc<dyn Store>,
    target: &Arc<dyn Store>,
    options: SyncOptions,
    observer: Arc<dyn Observer>,
) -> Result<Report, super::Error> {
    let mut run = Run::new(source, target, options, observer);
    let outcome = run.once().await;
    run.finish(outcome)
}

pub(super) struct Run {
    pub(super) lane: Arc<Lane>,
    pub(super) options: SyncOptions,
    pub(super) report: Report,
    started: Instant,
    jobs: JoinSet<Done>,
    /// Everything ahead was checked in this pass, so copying may begin.
    checked: bool,
    /// What goes first is there.
    first_done: bool,
    stopping: bool,
    failed_in_a_row: u64,
}

/// An object that is in the source, with what the target has under its key.
struct Work {
    from: Meta,
    existing: Option<Meta>,
}

enum Done {
    Outcome(Key, Outcome),
    Differs(Box<Work>),
}

impl Run {
    pub(super) fn new(
        source: &Arc<dyn Store>,
        target: &Arc<dyn Store>,
        options: SyncOptions,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            lane: Arc::new(Lane::new(source, target, options.verify, observer)),
            options,
            report: Report::default(),
            started: Instant::now(),
            jobs: JoinSet::new(),
            checked: false,
            first_done: false,
            stopping: false,
            failed_in_a_row: 0,
        }
    }

    async fn once(&mut self) -> Result<()> {
        self.pass().await?;
        self.sweep().await
    }

    pub(super) fn finish(mut self, outcome: Result<()>) -> Result<Report, super::Error> {
        self.report.seconds = self.started.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => Ok(self.report),
            Err(cause) => Err(super::Error {
                report: Box::new(self.report),
                cause,
            }),
        }
    }

    /// Goes over both trees once; what goes first is walked by itself until it is there.
    pub(super) async fn pass(&mut self) -> Result<()> {
        check_folder(&self.options.below)?;
        self.check_places()?;
        self.report.passes = 1;
        self.checked = false;
        self.lane.observer.started();
        let whole = Scope::whole(&self.options);
        if self.first_done {
            return self.walk(&whole).await;
        }
        let mut rest = whole.clone();
        for first in self.options.first.clone() {
            let mut scope = rest.clone();
            scope.all_of.push(first.clone());
            self.walk(&scope).await?;
            if !self.report.is_complete() {
                return Ok(());
            }
            rest.none_of.push(first);
        }
        self.first_done = true;
        self.walk(&rest).await
    }

    fn check_places(&self) -> Result<()> {
        let place = |store: &Arc<dyn Store>| {
            let place = store.place();
            let prefix = place.full_key(&self.options.below);
            Place { prefix, ..place }
        };
        let (source, target) = (place(&self.lane.source), place(&self.lane.target));
        if !source.contains(&target) && !target.contains(&source) {
            return Ok(());
        }
        let message = format!(
            "the target and the source {} are one place or one contains the other",
            self.lane.source.url()
        );
        Err(Error::new(ErrorKind::Invalid, "copy to", message)
            .at(self.lane.target.url(), None)
            .hint("choose a target outside the source"))
    }

    async fn walk(&mut self, scope: &Scope) -> Result<()> {
        let mut join = Join::open_to_write(&self.lane.source, &self.lane.target, scope);
        let walked = loop {
            match join.next().await {
                Ok(Some(step)) => {
                    if let Err(error) = self.step(step).await {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.stopping = walked.is_err();
        let drained = self.drain().await;
        walked.and(drained)
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Source(from) => {
                self.saw_source();
                self.check_ahead().await?;
                self.make_room().await?;
                self.copy(Work {
                    from,
                    existing: None,
                });
                Ok(())
            }
            Step::Both(from, existing) => {
                self.saw_source();
                self.both(from, existing).await
            }
            Step::Target(meta) => {
                let reason = "only the target has it";
                self.report.extraneous.add(meta.key.as_str(), reason);
                Ok(())
            }
            Step::ForeignSource(foreign) => self.foreign(foreign).await,
            Step::ForeignTarget(foreign) => {
                let reason = format!("left alone in the target: {}", foreign.reason);
                self.report.skipped.add(foreign.name, reason);
                Ok(())
            }
        }
    }

    fn saw_source(&mut self) {
        self.report.objects += 1;
        self.lane.observer.listed(self.report.objects);
    }

    async fn foreign(&mut self, foreign: Foreign) -> Result<()> {
        if foreign.is_folder_marker() {
            let reason = "a folder marker of a web console; it holds nothing";
            self.report.skipped.add(foreign.name, reason);
            return Ok(());
        }
        self.check_ahead().await?;
        self.report.skipped.add(foreign.name, foreign.reason);
        Ok(())
    }

    async fn both(&mut self, from: Meta, existing: Meta) -> Result<()> {
        let verdict = judge(&from, &existing, self.options.compare);
        if verdict == Verdict::Same {
            let method = Method::Checksum;
            return self.record(&from.key, &Outcome::Unchanged { method });
        }
        let by_proof = self.options.compare == Evidence::Checksum;
        if verdict == Verdict::Unknown && by_proof && self.lane.remembers(&from, &existing) {
            let method = Method::Content;
            return self.record(&from.key, &Outcome::Unchanged { method });
        }
        if verdict == Verdict::Different {
            self.check_ahead().await?;
        }
        self.make_room().await?;
        let existing = Some(existing);
        if verdict == Verdict::Different {
            self.copy(Work { from, existing });
        } else {
            self.compare(Work { from, existing });
        }
        Ok(())
    }

    /// Before the first copy of a pass: all that is ahead must fit into the target. A pass with
    /// nothing to copy makes no such second listing.
    async fn check_ahead(&mut self) -> Result<()> {
        if self.checked {
            return Ok(());
        }
        let scope = Scope::whole(&self.options);
        let ahead = look_ahead(&self.lane.source, &self.lane.target, scope).await?;
        self.checked = true;
        self.lane.observer.ahead(ahead.objects, ahead.bytes);
        self.check_capacity(ahead.bytes)?;
        let Some(first) = ahead.refused.first.first() else {
            return Ok(());
        };
        let message = format!(
            "it can't hold {}: {}; the first: {}",
            count(ahead.refused.count, "object"),
            ahead.refused.keys(5),
            first.reason
        );
        self.report.refused = ahead.refused;
        Err(Error::new(ErrorKind::InvalidKey, "copy to", message)
            .at(self.lane.target.url(), None)
            .hint("nothing was copied; rename these objects in the source or exclude them"))
    }

    fn check_capacity(&self, bytes: u64) -> Result<()> {
        let target = &self.lane.target;
        let Some(most) = target.capacity().filter(|most| bytes > *most) else {
            return Ok(());
        };
        let message = format!(
            "it can't hold {}: {} is the most that it takes in all",
            human_size(bytes),
            human_size(most)
        );
        Err(Error::new(ErrorKind::Unsupported, "copy to", message)
            .at(target.url(), None)
            .hint("nothing was copied; take another target, or exclude what is large"))
    }

    async fn make_room(&mut self) -> Result<()> {
        while let Some(done) = self.jobs.try_join_next() {
            self.take(done).await?;
        }
        while self.jobs.len() >= self.options.concurrency.max(1) {
            let Some(done) = self.jobs.join_next().await else {
                break;
            };
            self.take(done).await?;
        }
        Ok(())
    }

    /// Waits for what is on its way; what it finds out is recorded also when the run stops.
    async fn drain(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(done) = self.jobs.join_next().await {
            let taken = self.take(done).await;
            self.stopping |= taken.is_err();
            outcome = outcome.and(taken);
        }
        outcome
    }

    async fn take(&mut self, done: Result<Done, JoinError>) -> Result<()> {
        match done {
            Ok(Done::Outcome(key, outcome)) => self.record(&key, &outcome),
            Ok(Done::Differs(_)) if self.stopping => Ok(()),
            Ok(Done::Differs(work)) => {
                self.check_ahead().await?;
                self.copy(*work);
                Ok(())
            }
            Err(error) => {
                Err(
                    Error::new(ErrorKind::Other, "copy", format!("a worker died: {error}"))
                        .hint("this is a fault in kstate; please report it"),
                )
            }
        }
    }

    fn copy(&mut self, work: Work) {
        let lane = Arc::clone(&self.lane);
        self.jobs.spawn(async move {
            let outcome = transfer(&lane, &work).await;
            Done::Outcome(work.from.key, outcome)
        });
    }

    fn compare(&mut self, work: Work) {
        let lane = Arc::clone(&self.lane);
        let evidence = self.options.compare;
        self.jobs.spawn(async move {
            let Some(existing) = &work.existing else {
                return Done::Differs(Box::new(work));
            };
            let from = (&*lane.source, &work.from);
            let outcome = match settle(from, (&*lane.target, existing), evidence).await {
                Ok(None) => return Done::Differs(Box::new(work)),
                Ok(Some(method)) => {
                    lane.remember(&work.from, existing, method);
                    Outcome::Unchanged { method }
                }
                Err(error) => outcome_of(changed_or_failed(error)),
            };
            Done::Outcome(work.from.key, outcome)
        });
    }

    pub(super) fn record(&mut self, key: &Key, outcome: &Outcome) -> Result<()> {
        self.report.record(key, outcome);
        self.lane.observer.object_done(key, outcome);
        let Outcome::Failed(error) = outcome else {
            self.failed_in_a_row = 0;
            return Ok(());
        };
        self.failed_in_a_row += 1;
        if self.is_hopeless(error) {
            return Err(error.clone());
        }
        Ok(())
    }

    /// Whether a failure says that the others will fail too.
    fn is_hopeless(&self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::NotFound => !error.is_missing_key(),
            ErrorKind::PermissionDenied { .. } if error.is_own_refusal() => true,
            ErrorKind::PermissionDenied { .. } => {
                self.report.copied == 0 && self.failed_in_a_row >= DENIED
            }
            ErrorKind::Throttled | ErrorKind::Unavailable => {
                self.failed_in_a_row >= self.options.concurrency.max(8) as u64
            }
            _ => false,
        }
    }
}

async fn transfer(lane: &Lane, work: &Work) -> Outcome {
    let from = &work.from;
    lane.observer.object_started(&from.key, from.size);
    let precondition = match precondition(lane, work.existing.as_ref()).await {
        Ok(precondition) => precondition,
        Err(error) => return outcome_of(changed_or_failed(error)),
    };
    match lane.copy(from, &from.key, &precondition).await {
        Ok(copied) => Outcome::Copied {
            route: copied.route,
            method: copied.method,
            size: copied.meta.size,
            metadata_dropped: copied.metadata_dropped,
        },
        Err(Trouble::Conflict(error)) => theirs(lane, from, error).await,
        Err(trouble) => outcome_of(trouble),
    }
}

async fn precondition(lane: &Lane, existing: Option<&Meta>) -> Result<Precondition> {
    let Some(existing) = existing else {
        return Ok(Precondition::IfAbsent);
    };
    if existing.tag.is_some() || !lane.able.if_match {
        return Ok(existing
            .tag
            .clone()
            .map_or(Precondition::None, Precondition::IfMatch));
    }
    let now = lane.target.stat(&existing.key).await?;
    Ok(now.tag.map_or(Precondition::None, Precondition::IfMatch))
}

/// Somebody else was faster; when they wrote the same (or it was our own write, whose answer
/// was lost) all is well.
async fn theirs(lane: &Lane, from: &Meta, conflict: Error) -> Outcome {
    let same = async {
        let now = lane.target.stat(&from.key).await?;
        let evidence = Evidence::Checksum;
        if judge(from, &now, evidence) == Verdict::Same {
            return Ok(Some(Method::Checksum));
        }
        settle((&*lane.source, from), (&*lane.target, &now), evidence).await
    };
    let same: Result<Option<Method>> = same.await;
    match same {
        Ok(Some(method)) => Outcome::Unchanged { method },
        _ => Outcome::Conflict(
            conflict.hint("somebody else wrote it meanwhile; compare the two before running again"),
        ),
    }
}

fn outcome_of(trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Changed(error) => Outcome::Changed(error),
        Trouble::Conflict(error) => Outcome::Conflict(error),
        Trouble::Failed(error) => Outcome::Failed(error),
    }
}
