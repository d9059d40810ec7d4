//! What became of a job: for people, for programs, and for Prometheus.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::json;

use super::{Job, Progress};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::timestamp;
use crate::cli::run::ScriptRun;
use crate::config::mask::{mask, mask_args};
use crate::named_file;
use crate::session::Action;
use crate::session::journal::Changes;
use crate::units::human_duration;

/// How a run ended: the script's exit code, or why there is none.
pub(super) type Ended = Result<u8, Failure>;

/// What became of a run. Secrets are hidden in it.
#[derive(Serialize)]
pub(super) struct Report {
    kstate: &'static str,
    script: String,
    args: Vec<String>,
    lock: Option<String>,
    shard: Option<String>,
    dry_run: bool,
    started: Option<String>,
    ended: Option<String>,
    seconds: f64,
    attempts: u32,
    pub(super) exit_code: u8,
    /// Of a rehearsal, those that there would have been.
    changes: Changes,
    /// What `kstate undo` takes it back by.
    journal: Option<String>,
    error: Option<serde_json::Value>,
    #[serde(skip)]
    began: Began,
}

struct Began {
    at: SystemTime,
    clock: Instant,
}

impl Report {
    /// The report of a run that begins now.
    pub(super) fn begin(job: &Job, script: &ScriptRun) -> Self {
        let mut words = script.script.iter().cloned();
        let at = SystemTime::now();
        Self {
            kstate: env!("CARGO_PKG_VERSION"),
            script: words.next().unwrap_or_default(),
            args: mask_args(words),
            lock: job.lock.clone(),
            shard: None,
            dry_run: false,
            started: timestamp(at),
            ended: None,
            seconds: 0.0,
            attempts: 0,
            exit_code: Exit::FAILED,
            changes: Changes::default(),
            journal: None,
            error: None,
            began: Began {
                at,
                clock: Instant::now(),
            },
        }
    }

    pub(super) fn end(&mut self, context: &Context, progress: &Progress, ended: &Ended) {
        let session = &context.session;
        self.shard = progress.shard.as_ref().map(ToString::to_string);
        self.attempts = progress.attempts;
        self.dry_run = context.dry_run();
        self.changes = if self.dry_run {
            would_change(context)
        } else {
            session.changes()
        };
        self.journal = session.journal_id().map(str::to_owned);
        self.ended = timestamp(SystemTime::now());
        self.seconds = round(self.began.clock.elapsed());
        self.exit_code = match ended {
            Ok(code) => *code,
            Err(failure) => failure.code(),
        };
        self.error = ended.as_ref().err().map(|failure| {
            json!({
                "kind": failure.kind(),
                "message": mask(failure.message()),
                "hint": failure.hint_text(),
            })
        });
    }

    /// The one line at the end of the log.
    pub(super) fn log(&self) {
        let Changes {
            created,
            changed,
            deleted,
            written,
        } = self.changes;
        let (exit_code, seconds) = (self.exit_code, self.seconds);
        let (attempts, script) = (self.attempts, &self.script);
        tracing::info!(
            script,
            exit_code,
            seconds,
            attempts,
            created,
            changed,
            deleted,
            written,
            journal = self.journal.as_deref().unwrap_or_default(),
            "{}",
            self.summary()
        );
    }

    fn summary(&self) -> String {
        let mut text = self.lock.as_ref().unwrap_or(&self.script).clone();
        if let Some(shard) = &self.shard {
            // Writing to a String cannot fail.
            let _ = write!(text, " (share {shard})");
        }
        let how = match self.exit_code {
            Exit::DONE => "done".to_owned(),
            code => format!("ended with exit code {code}"),
        };
        let time = human_duration(Duration::from_secs_f64(self.seconds));
        let _ = write!(text, ": {how} after {time}");
        if self.attempts > 1 {
            let _ = write!(text, " and {} attempts", self.attempts);
        }
        if self.changes.is_empty() {
            text.push_str(", nothing changed");
        } else if self.dry_run {
            let _ = write!(text, ", it would have been: {}", self.changes);
        } else {
            let _ = write!(text, ", {}", self.changes);
        }
        if let Some(journal) = &self.journal {
            let _ = write!(text, "; undo with: kstate undo {journal}");
        }
        text
    }

    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        named_file::write_whole(file, 0o644, |mut file| file.write_all(text.as_bytes()))
    }

    /// Writes the metrics in the text format of Prometheus
    /// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
    pub(super) fn write_metrics(&self, file: &Path) -> io::Result<()> {
        let before = named_file::read(file).unwrap_or_default();
        let text = self.metrics(&String::from_utf8_lossy(&before));
        named_file::write_whole(file, 0o644, |mut file| file.write_all(text.as_bytes()))
    }

    /// `before` is what the run before this one wrote: it knows of the last success.
    fn metrics(&self, before: &str) -> String {
        let labels = self.labels();
        let began = self.began.at.duration_since(UNIX_EPOCH);
        let began = began.map(round).unwrap_or_default();
        let ended = began + self.seconds;
        let is_success = self.exit_code == Exit::DONE;
        let last = format!("{LAST_SUCCESS}{{{labels}}} ");
        let last = before
            .lines()
            .find_map(|line| line.strip_prefix(&last)?.parse().ok());
        let last = if is_success { Some(ended) } else { last };
        let mut text = String::new();
        let mut gauge = |name: &str, help: &str, value: f64| {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{{labels}}} {value}\n"
            );
        };
        gauge(
            "kstate_job_start_timestamp_seconds",
            "When the last run began.",
            began,
        );
        gauge(
            "kstate_job_end_timestamp_seconds",
            "When the last run ended.",
            ended,
        );
        gauge(
            "kstate_job_duration_seconds",
            "How long the last run took.",
            self.seconds,
        );
        gauge(
            "kstate_job_exit_code",
            "The exit code of the last run.",
            self.exit_code.into(),
        );
        gauge(
            "kstate_job_success",
            "Whether the last run did all it was to do.",
            f64::from(u8::from(is_success)),
        );
        if let Some(last) = last {
            gauge(
                LAST_SUCCESS,
                "When the last run that succeeded ended.",
                last,
            );
        }
        gauge(
            "kstate_job_attempts",
            "How often the last run began anew.",
            self.attempts.into(),
        );
        self.put_changes(&mut text, &labels);
        text
    }

    fn put_changes(&self, text: &mut String, labels: &str) {
        let name = "kstate_job_changes";
        let _ = write!(
            text,
            "# HELP {name} How many objects the last run changed.\n# TYPE {name} gauge\n"
        );
        let changes = self.changes;
        for (action, count) in [
            ("created", changes.created),
            ("changed", changes.changed),
            ("deleted", changes.deleted),
            ("written", changes.written),
        ] {
            let _ = writeln!(text, "{name}{{{labels},action=\"{action}\"}} {count}");
        }
    }

    fn labels(&self) -> String {
        let mut labels = format!("script=\"{}\"", escaped(&self.script));
        for (name, value) in [("lock", &self.lock), ("shard", &self.shard)] {
            if let Some(value) = value {
                let _ = write!(labels, ",{name}=\"{}\"", escaped(value));
            }
        }
        labels
    }
}

const LAST_SUCCESS: &str = "kstate_job_last_success_timestamp_seconds";

/// A label's value.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n")
}

/// To the millisecond, in seconds.
fn round(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

fn would_change(context: &Context) -> Changes {
    let mut changes = Changes::default();
    for operation in context.session.operations() {
        let counter = match operation.action {
            Action::Delete => &mut changes.deleted,
            Action::Overwrite
            | Action::Copy {
                overwrites: true, ..
            } => &mut changes.changed,
            Action::Create | Action::Copy { .. } => &mut changes.created,
        };
        *counter += 1;
    }
    changes
}
