//! A backend's failure as a store's error.

use crate::lua::error::ScriptError;
use crate::store::{Error, ErrorKind, Tag};

/// The error of an operation, from what was raised in the backend of this name. What was made with
/// a kind keeps it; all else names the backend, its file and the line.
pub(super) fn to_store(error: &ScriptError, backend: &str, operation: &'static str) -> Error {
    let denied = || ErrorKind::PermissionDenied {
        action: None,
        resource: None,
    };
    let found = error.detail("found").and_then(|found| found.as_str());
    let kind = match error.kind() {
        "not_found" => ErrorKind::NotFound,
        "already_exists" => ErrorKind::AlreadyExists,
        "precondition_failed" => ErrorKind::PreconditionFailed {
            found: found.map(|tag| Tag(tag.to_owned())),
        },
        "permission_denied" => denied(),
        "unsupported" => ErrorKind::Unsupported,
        "invalid_key" => ErrorKind::InvalidKey,
        "throttled" => ErrorKind::Throttled,
        "unavailable" => ErrorKind::Unavailable,
        "corrupt" => ErrorKind::Corrupt,
        "locked" => ErrorKind::Locked,
        "lock_lost" => ErrorKind::LockLost,
        "invalid" => ErrorKind::Invalid,
        _ if error.is_retryable() => ErrorKind::Unavailable,
        "timeout" => ErrorKind::TimedOut,
        _ => ErrorKind::Other,
    };
    let made = match kind {
        // The other side's words, or the store's that is wrapped.
        ErrorKind::Corrupt | ErrorKind::TimedOut | ErrorKind::Other | ErrorKind::Invalid
            if error.url().is_none() =>
        {
            let at = place(error).unwrap_or_default();
            Error::new(
                kind,
                operation,
                format!("the backend '{backend}' failed: {at}{error}"),
            )
        }
        kind if error.is_own_refusal() && matches!(kind, ErrorKind::PermissionDenied { .. }) => {
            Error::denied(operation, error.to_string())
        }
        kind => Error::new(kind, operation, error.to_string()),
    };
    match error.hint_text() {
        Some(hint) => made.hint(hint),
        None => made,
    }
}

/// Where it was raised, unless the message begins with that.
fn place(error: &ScriptError) -> Option<String> {
    let is_told = crate::lua::traceback::position(error.message()).is_some();
    let first = error.traceback()?.lines().next()?;
    let (file, line) = crate::lua::traceback::position(first)?;
    (!is_told).then(|| format!("{file}:{line}: "))
}
