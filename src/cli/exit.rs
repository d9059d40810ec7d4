//! How a command ends: exit codes, and the failures that people read.

use std::fmt::Write as _;
use std::io::Write as _;

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
    /// As timeout(1) has it.
    pub(super) const TIMED_OUT: u8 = 124;
    pub(super) const INTERRUPTED: u8 = 130;
}

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::USAGE, message)
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::REFUSED, message)
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

    /// Tells the person, and gives the exit code.
    pub(super) fn report(self) -> u8 {
        let mut text = String::new();
        if !self.message.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "error: {}", self.message);
            if let Some(hint) = &self.hint {
                let _ = writeln!(text, "\nhint: {hint}");
            }
        }
        // Nobody is left to tell when standard error is gone.
        let _ = std::io::stderr().write_all(text.as_bytes());
        self.code
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
            message,
            hint: error.hint_text().map(str::to_owned),
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
