//! What a run did: exact counts, and samples of what needs attention.

use serde::Serialize;

use super::{Method, Outcome, Route};
use crate::store::{Error, ErrorKind, Key};

/// How many notes a [`Sample`] keeps.
pub(super) const KEPT: usize = 1000;

/// Something to say about one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The key, relative to the store.
    pub key: String,
    /// What is to be said, in one line.
    pub reason: String,
    /// The name of the error's kind, where it was an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// What to do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// An exact count with the first thousand notes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// How many there are in all.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Note>,
}

impl Sample {
    /// Adds one.
    pub fn add(&mut self, key: impl Into<String>, reason: impl Into<String>) {
        self.push(Note {
            key: key.into(),
            reason: reason.into(),
            kind: None,
            hint: None,
        });
    }

    pub(super) fn add_error(&mut self, key: &str, error: &Error) {
        self.push(Note {
            key: key.to_owned(),
            reason: error.to_string(),
            kind: Some(error.kind().name()),
            hint: error.hint_text().map(str::to_owned),
        });
    }

    fn push(&mut self, note: Note) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(note);
        }
    }

    /// The first keys, for a message.
    #[must_use]
    pub fn keys(&self, most: usize) -> String {
        let shown: Vec<&str> = self.first.iter().take(most).map(|n| &*n.key).collect();
        let more = self.count.saturating_sub(shown.len() as u64);
        match more {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }
}

/// How many objects were found the same by which [`Method`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// By checksums.
    pub checksum: u64,
    /// By reading the bytes.
    pub content: u64,
    /// By the size and the word of the service that copied it.
    pub size: u64,
}

impl Verified {
    pub(super) fn add(&mut self, method: Method) {
        match method {
            Method::Checksum => self.checksum += 1,
            Method::Content => self.content += 1,
            Method::Size => self.size += 1,
        }
    }

    /// By any method.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.checksum + self.content + self.size
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How many passes were made over the source.
    pub passes: u32,
    /// How many objects of the source took part (in the last pass).
    pub objects: u64,
    /// How many objects were copied.
    pub copied: u64,
    /// How many of these the service copied by itself.
    pub server_side: u64,
    /// How many of these passed through this process.
    pub streamed: u64,
    /// The bytes of the objects copied.
    pub bytes: u64,
    /// How many objects were the same on both sides (in the last pass).
    pub unchanged: u64,
    /// How many objects were deleted in the target.
    pub deleted: u64,
    /// How many copied objects have user metadata that the target can't keep.
    pub metadata_dropped: u64,
    /// How the copied objects (in [`verify_trees`](super::verify_trees) all objects) were verified.
    pub verified: Verified,
    /// What only the target has (in the last pass).
    pub extraneous: Sample,
    /// What was left out, with the reason.
    pub skipped: Sample,
    /// What the target can't hold; with any of these nothing is copied.
    pub refused: Sample,
    /// What changed in the source meanwhile and is left to another pass.
    pub changed: Sample,
    /// What somebody else wrote in the target meanwhile.
    pub conflicts: Sample,
    /// What failed.
    pub failures: Sample,
    /// How many of these failed because a service couldn't be reached.
    #[serde(skip)]
    pub outages: u64,
    /// What a verification found different or missing.
    pub differences: Sample,
    /// How long it took.
    pub seconds: f64,
    /// The first keys copied in the last pass.
    #[serde(skip)]
    pub(super) recent: Vec<String>,
}

impl Report {
    /// Whether source and target agree on all that took part, as far as this run can tell.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        [
            &self.refused,
            &self.changed,
            &self.conflicts,
            &self.failures,
            &self.differences,
        ]
        .iter()
        .all(|sample| sample.count == 0)
    }

    /// Whether all that kept it from being complete may pass: a service couldn't be reached.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let others = [&self.conflicts, &self.refused, &self.differences];
        let is_only = self.outages == self.failures.count;
        self.outages > 0 && is_only && others.iter().all(|sample| sample.count == 0)
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // All keys are strings and all numbers finite, so this never fails.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The report when all went well, else an error that names the first trouble.
    pub fn into_result(self) -> Result<Self, super::Error> {
        let troubles = [
            ("failed", &self.failures),
            ("met somebody else's write in the target", &self.conflicts),
            ("changed in the source meanwhile", &self.changed),
            ("can't be held by the target", &self.refused),
            ("differ", &self.differences),
        ];
        let Some((what, sample)) = troubles.iter().find(|(_, sample)| sample.count > 0) else {
            return Ok(self);
        };
        let first = sample.first.first().map_or("", |note| &note.reason);
        let message = format!(
            "{} {what}: {}; the first: {first}",
            crate::text::count(sample.count, "object"),
            sample.keys(3)
        );
        let cause = Error::new(ErrorKind::Other, "finish the transfer", message)
            .hint("what is done stays done; run it again to do the rest");
        Err(super::Error {
            cause,
            report: Box::new(self),
        })
    }

    pub(super) fn record(&mut self, key: &Key, outcome: &Outcome) {
        let key = key.as_str();
        match outcome {
            Outcome::Unchanged { .. } => self.unchanged += 1,
            Outcome::Copied {
                route,
                method,
                size,
                metadata_dropped,
            } => {
                self.copied += 1;
                self.bytes += size;
                self.metadata_dropped += u64::from(*metadata_dropped);
                self.verified.add(*method);
                match route {
                    Route::Server => self.server_side += 1,
                    Route::Streamed => self.streamed += 1,
                }
                if self.recent.len() < 10 {
                    self.recent.push(key.to_owned());
                }
            }
            Outcome::Changed(error) => self.changed.add_error(key, error),
            Outcome::Conflict(error) => self.conflicts.add_error(key, error),
            Outcome::Failed(error) => {
                self.failures.add_error(key, error);
                self.outages += u64::from(*error.kind() == ErrorKind::Unavailable);
            }
            Outcome::Deleted => self.deleted += 1,
        }
    }

    /// Adds what earlier passes did; what describes the state is the last pass's.
    pub(super) fn after(self, earlier: &Self) -> Self {
        Self {
            passes: self.passes + earlier.passes,
            copied: self.copied + earlier.copied,
            server_side: self.server_side + earlier.server_side,
            streamed: self.streamed + earlier.streamed,
            bytes: self.bytes + earlier.bytes,
            deleted: self.deleted + earlier.deleted,
            metadata_dropped: self.metadata_dropped + earlier.metadata_dropped,
            verified: Verified {
                checksum: self.verified.checksum + earlier.verified.checksum,
                content: self.verified.content + earlier.verified.content,
                size: self.verified.size + earlier.verified.size,
            },
            seconds: self.seconds + earlier.seconds,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stay_bounded_and_counts_exact() {
        let mut sample = Sample::default();
        for number in 0..2500 {
            sample.add(format!("k{number}"), "r");
        }
        assert_eq!((sample.count, sample.first.len()), (2500, KEPT));
        assert_eq!(sample.keys(2), "k0, k1 and 2498 more");
    }

    #[test]
    fn only_a_service_that_is_away_may_pass() {
        let key = Key::parse("a").unwrap();
        let failed = |kind| Outcome::Failed(Error::new(kind, "write", "no"));
        let mut report = Report::default();
        assert!(!report.may_pass());
        report.record(&key, &failed(ErrorKind::Unavailable));
        assert!(report.may_pass());
        report.record(&key, &failed(ErrorKind::Throttled));
        assert!(!report.may_pass());
    }

    #[test]
    fn a_report_with_trouble_is_an_error_that_keeps_it() {
        let mut report = Report::default();
        assert!(report.clone().into_result().is_ok());
        report.copied = 7;
        report.failures.add("a", "no space");
        let error = report.into_result().unwrap_err();
        assert_eq!(error.report.copied, 7);
        assert!(error.to_string().contains("1 object failed: a"), "{error}");
    }
}
