//! How a command ends: exit codes, and the failures that people read.

use std::fmt::Write as _;
use std::io::Write as _;

use super::output::LogFormat;
use crate::store::{Error, ErrorKind};

/// The exit codes of every command.
pub(super) struct Exit;

impl Exit {
    pub(super) const DONE: u8 = 0;
    pub(super) const FAILED: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const REFUSED: u8 = 3;
    pub(super) const CONFLICT: u8 = 4;
    pub(super) const PARTLY: u8 = 5;
    /// A plan has something to do.
    pub(super) const CHANGES: u8 = 6;
    /// Another run has the lock of this job.
    pub(super) const RUNNING: u8 = 7;
    /// As timeout(1) has it.
    pub(super) const TIMED_OUT: u8 = 124;
    /// As a shell has it, of a program that SIGHUP ended.
    pub(super) const HUNG_UP: u8 = 129;
    pub(super) const INTERRUPTED: u8 = 130;
    /// As a shell has it, of a program that SIGTERM ended.
    pub(super) const TERMINATED: u8 = 143;
}

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    kind: String,
    message: String,
    hint: Option<String>,
    /// Whether all that failed was a service that couldn't be reached.
    pub(super) may_pass: bool,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            kind: "other".to_owned(),
            message: message.into(),
            hint: None,
            may_pass: false,
        }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::USAGE, message).of_kind("usage")
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::REFUSED, message)
    }

    /// The same with another exit code.
    pub(super) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// The same of one of the kinds that errors in scripts have.
    pub(super) fn of_kind(self, kind: &str) -> Self {
        let kind = kind.to_owned();
        Self { kind, ..self }
    }

    pub(super) fn code(&self) -> u8 {
        self.code
    }

    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with one more thing to do about it.
    pub(super) fn and_hint(self, more: impl Into<String>) -> Self {
        let more = more.into();
        let hint = self.hint.as_ref();
        let hint = hint.map_or_else(|| more.clone(), |hint| format!("{hint}\n{more}"));
        self.hint(hint)
    }

    /// An end that needs no words: the reader of our output went away, or everything was said.
    pub(super) fn silent(code: u8) -> Self {
        Self::new(code, "")
    }

    /// Tells the person, or the log that programs read, and gives the exit code.
    pub(super) fn report(self, format: LogFormat) -> u8 {
        let Self {
            code,
            kind,
            message,
            hint,
            ..
        } = self;
        if message.is_empty() {
            return code;
        }
        if format == LogFormat::Json {
            let hint = hint.unwrap_or_default();
            tracing::error!(kind, exit_code = code, hint, "{message}");
            return code;
        }
        let mut text = format!("error: {message}\n");
        if let Some(hint) = &hint {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\nhint: {hint}");
        }
        // Nobody is left to tell when standard error is gone.
        let _ = std::io::stderr().write_all(text.as_bytes());
        code
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            _ if error.is_own_refusal() => Exit::REFUSED,
            ErrorKind::AlreadyExists
            | ErrorKind::PreconditionFailed { .. }
            | ErrorKind::Locked
            | ErrorKind::LockLost => Exit::CONFLICT,
            ErrorKind::Invalid | ErrorKind::InvalidKey => Exit::USAGE,
            _ => Exit::FAILED,
        };
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            let text = next.to_string();
            if !message.contains(&text) {
                let _ = write!(message, "\n  because: {text}");
            }
            cause = next.source();
        }
        Self {
            code,
            kind: error.kind().name().to_owned(),
            message,
            hint: error.hint_text().map(str::to_owned),
            may_pass: *error.kind() == ErrorKind::Unavailable,
        }
    }
}

impl From<std::io::Error> for Failure {
    /// Only standard output is written with plain I/O here; a reader that went away (`| head`)
    /// has what it wanted.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::silent(Exit::DONE);
        }
        Self::new(
            Exit::FAILED,
            format!("cannot write to standard output: {error}"),
        )
    }
}
