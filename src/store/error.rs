//! What can go wrong with a store, said so that the reader knows what to do next.

use std::fmt;
use std::sync::Arc;

use super::{InvalidKey, Key, Tag};

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The closed set of reasons for which a store operation fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object does not exist; without a key in the [`Error`], the bucket or folder itself.
    NotFound,
    /// A write with [`Precondition::IfAbsent`](super::Precondition) met an existing object.
    AlreadyExists,
    /// A conditional operation met another version of the object than the one it was told of.
    PreconditionFailed {
        /// The version that is there; `None` when the object is gone or the service didn't say.
        found: Option<Tag>,
    },
    /// The other side knows who asks and refuses, or doesn't know who asks.
    PermissionDenied {
        /// The refused action in the service's own words, such as `s3:PutObject`.
        action: Option<String>,
        /// What it was refused on, such as an ARN or a path.
        resource: Option<String>,
    },
    /// The store cannot do this at all; trying again is pointless.
    Unsupported,
    /// The key cannot be a name in this store.
    InvalidKey,
    /// The service asks to be called less often.
    Throttled,
    /// The service can't be reached or can't answer now.
    Unavailable,
    /// What arrived is not what was sent, or the service contradicts itself.
    Corrupt,
    /// What answers took longer than it may, and was stopped; what it did is not known.
    TimedOut,
    /// Somebody else holds the lock.
    Locked,
    /// The run had the lock, and has it no more.
    LockLost,
    /// A setting, URL or argument that can't work.
    Invalid,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// The kind's name as scripts and `--json` see it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PreconditionFailed { .. } => "precondition_failed",
            Self::PermissionDenied { .. } => "permission_denied",
            Self::Unsupported => "unsupported",
            Self::InvalidKey => "invalid_key",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::TimedOut => "timeout",
            Self::Locked => "locked",
            Self::LockLost => "lock_lost",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }

    /// Whether it may pass.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable)
    }
}

type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// A failed store operation: what was attempted, where, what the other side said, what to do.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    store: String,
    key: Option<String>,
    operation: &'static str,
    message: String,
    hint: Option<String>,
    cause: Option<Cause>,
    is_own_refusal: bool,
}

impl Error {
    /// An error of `kind` in `operation` (a verb: `read`, `write`, `list` …) with what the
    /// other side said. Add the place with [`at`](Self::at).
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            store: String::new(),
            key: None,
            operation,
            message: message.into(),
            hint: None,
            cause: None,
            is_own_refusal: false,
        }))
    }

    /// What kstate itself doesn't let the run do, whatever the other side would say.
    #[must_use]
    pub fn denied(operation: &'static str, message: impl Into<String>) -> Self {
        let kind = ErrorKind::PermissionDenied {
            action: None,
            resource: None,
        };
        let mut error = Self::new(kind, operation, message);
        error.0.is_own_refusal = true;
        error
    }

    /// A missing object.
    #[must_use]
    pub fn not_found(operation: &'static str, store: &str, key: &Key) -> Self {
        Self::new(ErrorKind::NotFound, operation, "no such object").at(store, Some(key.as_str()))
    }

    /// Names the store (as its printable URL) and, where there is one, the key.
    #[must_use]
    pub fn at(mut self, store: impl fmt::Display, key: Option<&str>) -> Self {
        self.0.store = store.to_string();
        self.0.key = key.map(str::to_owned);
        self
    }

    /// Says what the reader should do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps the error beneath.
    #[must_use]
    pub fn because(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// The reason.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The store's printable URL; empty when the error came up before there was one.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.0.store
    }

    /// The key, relative to the store.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// The verb that failed.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What the other side said.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do now.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the key (not the whole bucket or folder) is what is missing.
    #[must_use]
    pub fn is_missing_key(&self) -> bool {
        self.0.kind == ErrorKind::NotFound && self.0.key.is_some()
    }

    /// Whether a precondition was not met: somebody else was there first.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::AlreadyExists | ErrorKind::PreconditionFailed { .. }
        )
    }

    /// Whether kstate itself refused, see [`denied`](Self::denied), and nobody else was asked.
    #[must_use]
    pub fn is_own_refusal(&self) -> bool {
        self.0.is_own_refusal
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            store,
            key,
            operation,
            message,
            ..
        } = &*self.0;
        write!(f, "cannot {operation}")?;
        if !store.is_empty() {
            match key {
                Some(key) => write!(f, " {}/{key}", store.trim_end_matches('/'))?,
                None => write!(f, " {store}")?,
            }
        }
        write!(f, ": {message}")
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.0.kind)?;
        match &self.0.cause {
            Some(cause) => write!(f, " (cause: {cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<InvalidKey> for Error {
    fn from(invalid: InvalidKey) -> Self {
        Self::new(
            ErrorKind::InvalidKey,
            "use the key",
            format!("{:?}: {}", invalid.key, invalid.reason),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_operation_place_and_words_on_one_line() {
        let error = Error::new(ErrorKind::Unavailable, "read", "connection refused")
            .at("s3://bucket/state/", Some("c/config"));
        assert_eq!(
            error.to_string(),
            "cannot read s3://bucket/state/c/config: connection refused"
        );
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_key() {
        let bucket =
            Error::new(ErrorKind::NotFound, "list", "no such bucket").at("s3://bucket", None);
        assert!(!bucket.is_missing_key());
        let key = Key::parse("a").expect("a literal key");
        assert!(Error::not_found("read", "s3://bucket", &key).is_missing_key());
    }
}
