//! What `kstate run` does for a script that nobody watches: one lock, retries, a share of the work,
//! a report and metrics.

mod report;
mod retries;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::interrupts::Requests;
use super::run::{ScriptRun, here};
use crate::lua::{FileState, Host, Shard, Source};
use crate::session::lock::{Guard, LockOptions};
use crate::store::registry::Env;
use crate::units;
use report::{Ended, Report};
use retries::Retries;

/// What cron asks of a run.
#[derive(Args)]
pub(super) struct Job {
    /// Run only while no other run has this job's name; else exit with 7 and say who runs
    #[arg(long, value_name = "NAME")]
    lock: Option<String>,
    /// The store in which the job's lock is; default: the state store
    #[arg(long, value_name = "STORE", requires = "lock")]
    lock_store: Option<String>,
    /// Run the script again up to so many times when a service was unavailable
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// The pause before the first of them; it doubles each time, up to 10m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration)]
    retry_wait: Duration,
    /// Do one share of the work: INDEX/COUNT, or COUNT with the index in `JOB_COMPLETION_INDEX`
    #[arg(long, value_name = "INDEX/COUNT")]
    shard: Option<String>,
    /// Write what became of the run to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write what became of the run to this file, for Prometheus's textfile collector
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

/// How far a job came, for the report.
#[derive(Default)]
struct Progress {
    shard: Option<Arc<Shard>>,
    attempts: u32,
    /// The files that the modules of the last attempt came from.
    modules: Vec<FileState>,
}

impl Job {
    /// Whether anything is asked of the run that a person at a terminal wouldn't.
    pub(super) fn is_asked_for(&self) -> bool {
        self.lock.is_some()
            || self.retries > 0
            || self.shard.is_some()
            || self.report.is_some()
            || self.metrics_file.is_some()
    }

    /// Runs a script as a job, and tells what became of it; gives the files that its modules came
    /// from too.
    pub(super) fn run(
        &self,
        script: &ScriptRun,
        context: &Arc<Context>,
    ) -> (Vec<FileState>, Result<u8, Failure>) {
        if let Err(failure) = self.check_files() {
            return (Vec::new(), Err(failure));
        }
        let mut report = Report::begin(self, script);
        let mut progress = Progress::default();
        let ended = self.attempts(script, context, &mut progress);
        context.held.show_unless_done(&ended);
        if ended.is_ok()
            && let Some(shard) = &progress.shard
            && !shard.was_asked()
        {
            tracing::warn!(
                "the script doesn't divide its work, and did all of it in spite of --shard {shard}: \
                 it should take kstate.shard(…) of what it works on"
            );
        }
        report.end(context, &progress, &ended);
        let failure = ended.err();
        // The metrics are those of the run that has the lock.
        let is_refused = matches!(&failure, Some(failure) if failure.code() == Exit::RUNNING);
        let code = failure.map_or(report.exit_code, |failure| {
            failure.report(context.log_format)
        });
        let told = self.write(&report, is_refused);
        context.sum_up(|| report.log());
        let code = if told || code != Exit::DONE {
            code
        } else {
            Exit::FAILED
        };
        (progress.modules, Ok(code))
    }

    /// A mistake in these is found before anything is done.
    fn check_files(&self) -> Result<(), Failure> {
        for file in self.report.iter().chain(&self.metrics_file) {
            if file == Path::new("-") {
                let failure = Failure::usage("a report and metrics are written to files, not to -");
                return Err(failure.hint("name a file"));
            }
            let folder = file.parent().filter(|folder| *folder != Path::new(""));
            if folder.is_some_and(|folder| !folder.is_dir()) {
                let message = format!("cannot write {}: there is no such folder", file.display());
                return Err(Failure::usage(message).hint("make the folder, or name another file"));
            }
        }
        Ok(())
    }

    /// Writes the files; tells what can't be written.
    fn write(&self, report: &Report, is_refused: bool) -> bool {
        let mut all = true;
        let report_written = self
            .report
            .as_deref()
            .map(|file| (file, report.write(file)));
        let metrics_file = self.metrics_file.as_deref().filter(|_| !is_refused);
        let metrics_written = metrics_file.map(|file| (file, report.write_metrics(file)));
        for (file, written) in [report_written, metrics_written].into_iter().flatten() {
            if let Err(error) = written {
                tracing::error!("cannot write {}: {error}", file.display());
                all = false;
            }
        }
        all
    }

    fn attempts(
        &self,
        script: &ScriptRun,
        context: &Arc<Context>,
        progress: &mut Progress,
    ) -> Ended {
        let shard = self.shard.as_deref();
        let shard = shard
            .map(|text| shard_of(text, context.env()))
            .transpose()?;
        progress.shard = shard.map(Arc::new);
        let (name, source) = script.find(context)?;
        let mut host = script.host("run", &name, context)?;
        host.shard.clone_from(&progress.shard);
        let requests = Requests::hear(&host.io);
        let deadline = host.timeout.map(|timeout| Instant::now() + timeout);
        // A rehearsal shows its own writes: another attempt would find those of the first.
        let left = if context.dry_run() { 0 } else { self.retries };
        let retries = Retries::new(left, self.retry_wait, deadline, requests);
        here(self.repeat(script, context, &host, &source, retries, progress))
    }

    /// Attempts under the job's lock until one ends otherwise than by an unavailable service.
    async fn repeat(
        &self,
        script: &ScriptRun,
        context: &Arc<Context>,
        host: &Host,
        source: &Source,
        mut retries: Retries,
        progress: &mut Progress,
    ) -> Ended {
        let mut before: Option<Failure> = None;
        loop {
            let guard = match &self.lock {
                None => None,
                Some(name) => match (self.taken(name, context, host, &mut retries).await, before) {
                    (Ok(guard), _) => Some(guard),
                    // It was the service that kept this run from its work.
                    (Err(failure), Some(before)) if failure.code() == Exit::RUNNING => {
                        return Err(before.and_hint(failure.message()));
                    }
                    (Err(failure), _) => return Err(failure),
                },
            };
            let work = async {
                loop {
                    progress.attempts += 1;
                    let mut host = host.clone();
                    host.timeout = retries.timeout();
                    let (modules, ended) = script.attempt(host, source, &retries.requests).await;
                    progress.modules = modules;
                    match ended {
                        Err(failure) => retries.wait(failure).await?,
                        ended => return ended,
                    }
                }
            };
            let ended = match guard {
                Some(guard) => Box::pin(guard.protect(work)).await,
                None => Ok(work.await),
            };
            before = match ended {
                Ok(ended) => return ended,
                // The service was away for longer than the lock lives: it is taken again.
                Err(lost) => match retries.broken_off() {
                    Some(failure) => Some(failure),
                    None => return Err(lost.into()),
                },
            };
        }
    }

    /// Takes the job's lock.
    async fn taken(
        &self,
        name: &str,
        context: &Arc<Context>,
        host: &Host,
        retries: &mut Retries,
    ) -> Result<Guard, Failure> {
        loop {
            let taken = self.take(name, context, host, retries.requests.clone());
            match taken.await {
                Err(failure) => retries.wait(failure).await?,
                taken => return taken,
            }
        }
    }

    async fn take(
        &self,
        name: &str,
        context: &Arc<Context>,
        host: &Host,
        mut requests: Requests,
    ) -> Result<Guard, Failure> {
        let store = {
            // Opening may prepare a client, which belongs to the I/O runtime.
            let _io = host.io.enter();
            context.store(self.lock_store.as_deref())?
        };
        let session = Arc::clone(&context.session);
        // A name of its own: scripts take locks too, such as `store`.
        let lock = format!("job-{name}");
        let taking = host.io.spawn(async move {
            let options = LockOptions::default();
            session.lock(&store, &lock, &options).await
        });
        tokio::select! {
            failure = requests.wait() => Err(failure),
            taken = taking => match taken {
                Ok(Ok(guard)) => Ok(guard),
                Ok(Err(error)) => Err(refused(name, Failure::from(error))),
                Err(error) => Err(Failure::new(Exit::FAILED, error.to_string())),
            }
        }
    }
}

fn refused(job: &str, failure: Failure) -> Failure {
    if failure.kind() != "locked" {
        return failure;
    }
    let Some(hint) = failure.hint_text() else {
        return failure.with_code(Exit::RUNNING);
    };
    let message = format!("the job '{job}' runs already: {}", failure.message());
    Failure::new(Exit::RUNNING, message)
        .of_kind("locked")
        .hint(hint)
}

/// The share that a flag means.
fn shard_of(text: &str, env: &Env) -> Result<Shard, Failure> {
    const INDEX: &str = "JOB_COMPLETION_INDEX";
    let wrong = |why: String| {
        Failure::usage(format!("--shard can't be '{text}': {why}")).hint(format!(
            "write INDEX/COUNT, such as 0/10, or COUNT alone where {INDEX} is set"
        ))
    };
    let number = |text: &str| {
        let number = text.parse::<u64>();
        number.map_err(|_| wrong(format!("'{text}' is no number")))
    };
    let (index, count) = match text.split_once('/') {
        Some((index, count)) => (index, count),
        None => (
            env.get(INDEX)
                .ok_or_else(|| wrong(format!("{INDEX} is not set")))?,
            text,
        ),
    };
    Shard::new(number(index)?, number(count)?).map_err(wrong)
}
