//! From what the API server answers to an [`Error`] that says what to do.

use std::error::Error as StdError;
use std::fmt::Write;
use std::time::Duration;

use kube::client::AuthError;
use kube::core::Status;

use super::rbac;
use crate::store::{Error, ErrorKind};

/// How many bytes of an answer that makes no sense are shown.
const SHOWN: usize = 120;

/// One call to the API server, as errors name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// The verb of our own operation.
    pub operation: &'static str,
    /// The verb that a Role must allow.
    pub verb: &'static str,
    /// The resource that it must allow it on: `secrets` or `leases`.
    pub resource: &'static str,
    /// The key relative to the store; none for calls on the whole namespace.
    pub key: Option<&'a str>,
}

/// Where a call goes, as errors name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub store: &'a str,
    pub server: &'a str,
    pub namespace: &'a str,
}

/// What came back instead of success.
#[derive(Debug)]
pub(super) enum Failure {
    /// The API server says no, or not now.
    Status {
        code: u16,
        status: Box<Status>,
        retry_after: Option<Duration>,
    },
    /// There was no whole answer; the request may have been carried out.
    Transport(String),
    /// An answer that no API server gives.
    Nonsense { code: u16, shown: String },
    /// Nobody to ask as.
    Credentials(String),
}

impl Failure {
    /// What the client reports when there is no answer.
    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Service(_) | kube::Error::HyperError(_) => Self::Transport(chain(error)),
            // What a program printed may be a token.
            kube::Error::Auth(AuthError::AuthExecRun { cmd, out }) => {
                let said = String::from_utf8_lossy(&out.stderr);
                Self::Credentials(format!(
                    "the program that gives credentials failed ({}): {cmd}: {}",
                    out.status,
                    said.trim()
                ))
            }
            kube::Error::Auth(AuthError::AuthExecParse(_)) => {
                let message = "what the program printed that gives credentials are none";
                Self::Credentials(message.to_owned())
            }
            _ => Self::Credentials(chain(error)),
        }
    }

    /// What an answer other than success says.
    pub(super) fn answered(code: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        match serde_json::from_slice::<Status>(body) {
            Ok(status) if !status.message.is_empty() || !status.reason.is_empty() => {
                let seconds = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
                let told = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                Self::Status {
                    code,
                    status: Box::new(status),
                    retry_after: retry_after.or(told),
                }
            }
            // Fair queuing and proxies in front of it answer in plain text.
            _ if matches!(code, 401 | 403 | 429) || code >= 500 => Self::Status {
                code,
                status: Box::new(Status {
                    status: None,
                    code,
                    message: shown(body),
                    metadata: None,
                    reason: String::new(),
                    details: None,
                }),
                retry_after,
            },
            _ => Self::nonsense(code, body),
        }
    }

    pub(super) fn nonsense(code: u16, body: &[u8]) -> Self {
        Self::Nonsense {
            code,
            shown: shown(body),
        }
    }

    /// The HTTP status; none where there was no answer.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } | Self::Nonsense { code, .. } => Some(*code),
            Self::Transport(_) | Self::Credentials(_) => None,
        }
    }

    /// How long the server asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the request may have been carried out all the same.
    pub(super) fn is_uncertain(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Nonsense { .. } => true,
            Self::Status { code, .. } => *code >= 500,
            Self::Credentials(_) => false,
        }
    }

    fn kind(&self, call: &Call<'_>, place: &Place<'_>) -> ErrorKind {
        let denied = || ErrorKind::PermissionDenied {
            action: Some(format!("{} {}", call.verb, call.resource)),
            resource: Some(format!("namespace {}", place.namespace)),
        };
        let (code, status) = match self {
            Self::Transport(_) => return ErrorKind::Unavailable,
            Self::Nonsense { .. } => return ErrorKind::Corrupt,
            Self::Credentials(_) => return denied(),
            Self::Status { code, status, .. } => (*code, status),
        };
        let says = |words: &str| status.message.contains(words);
        match code {
            401 | 403 => denied(),
            404 => ErrorKind::NotFound,
            409 if status.reason == "AlreadyExists" => ErrorKind::AlreadyExists,
            409 => ErrorKind::PreconditionFailed { found: None },
            413 => ErrorKind::Unsupported,
            400 | 422 => ErrorKind::Invalid,
            429 => ErrorKind::Throttled,
            500 if says("request is too large") => ErrorKind::Unsupported,
            500 if says("database space exceeded") => ErrorKind::Other,
            500.. => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Transport(words) | Self::Credentials(words) => words.clone(),
            Self::Nonsense { code, shown } => {
                format!("the answer {code} makes no sense; it begins with {shown}")
            }
            Self::Status { code, status, .. } => {
                let mut words = status.message.clone();
                if words.is_empty() {
                    words = format!("the API server answered {code} and nothing else");
                }
                if !status.reason.is_empty() {
                    // Writing to a String cannot fail.
                    let _ = write!(words, " ({})", status.reason);
                }
                words
            }
        }
    }

    pub(super) fn into_error(self, call: &Call<'_>, place: &Place<'_>) -> Error {
        let words = self.words();
        let kind = self.kind(call, place);
        let is_namespace = kind == ErrorKind::NotFound && self.is_about("namespaces");
        let message = match &kind {
            ErrorKind::NotFound if is_namespace => {
                format!("no such namespace '{}': {words}", place.namespace)
            }
            ErrorKind::NotFound => "no such object".to_owned(),
            ErrorKind::Unavailable if matches!(self, Self::Transport(_)) => {
                format!("no answer from {}: {words}", place.server)
            }
            _ => words,
        };
        let error = Error::new(kind, call.operation, message)
            .at(place.store, call.key.filter(|_| !is_namespace));
        match self.hint(call, place, is_namespace) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn is_about(&self, kind: &str) -> bool {
        let Self::Status { status, .. } = self else {
            return false;
        };
        let details = status.details.as_ref();
        details.is_some_and(|details| details.kind == kind)
    }

    fn hint(&self, call: &Call<'_>, place: &Place<'_>, is_namespace: bool) -> Option<String> {
        let namespace = place.namespace;
        if is_namespace {
            return Some(format!("make it: kubectl create namespace {namespace}"));
        }
        let (code, status) = match self {
            Self::Transport(_) => return None,
            Self::Nonsense { .. } => {
                return Some(format!(
                    "is {} a Kubernetes API server? Check the kubeconfig, and what stands between \
                     (a proxy, a login page)",
                    place.server
                ));
            }
            Self::Credentials(_) => return Some(NO_CREDENTIALS.to_owned()),
            Self::Status { code, status, .. } => (*code, status),
        };
        let says = |words: &str| status.message.contains(words);
        match code {
            401 => Some(NO_CREDENTIALS.to_owned()),
            403 if says("because it is being terminated") => Some(format!(
                "the namespace {namespace} is being deleted, and takes nothing new"
            )),
            403 if says("exceeded quota") => Some(format!(
                "a quota of the namespace is used up: kubectl -n {namespace} describe resourcequota"
            )),
            403 if status.message.is_empty() || says("cannot ") => {
                Some(rbac::hint(call.verb, call.resource, namespace))
            }
            500 if says("database space exceeded") => Some(
                "etcd is full: nothing can be written to this cluster until it has room \
                 (compact and defragment it, or raise its quota)"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

const NO_CREDENTIALS: &str = "the API server doesn't know who asks: log in again, or check the \
     user of the context (kubectl auth whoami)";

/// An error with all that lie beneath it, each said once.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {words}");
        }
        next = source.source();
    }
    text
}

fn shown(body: &[u8]) -> String {
    let start = &body[..body.len().min(SHOWN)];
    let text = String::from_utf8_lossy(start);
    format!("{:?}", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, body: &str) -> Error {
        let call = Call {
            operation: "write",
            verb: "create",
            resource: "secrets",
            key: Some("c/config"),
        };
        let place = Place {
            store: "k8s:///ns/state",
            server: "https://k.example",
            namespace: "ns",
        };
        Failure::answered(code, None, body.as_bytes()).into_error(&call, &place)
    }

    #[test]
    fn each_answer_has_its_kind_its_words_and_what_to_do() {
        let status = |reason: &str, message: &str| {
            format!(r#"{{"kind":"Status","reason":"{reason}","message":"{message}"}}"#)
        };
        let rbac = "User ann cannot create resource secrets in API group in the namespace ns";
        for (code, body, kind, words, hint) in [
            (
                401,
                status("Unauthorized", "Unauthorized"),
                "permission_denied",
                "Unauthorized",
                "log in",
            ),
            (
                403,
                status("Forbidden", rbac),
                "permission_denied",
                "ann cannot",
                "verbs: [create]",
            ),
            (
                403,
                status("Forbidden", "exceeded quota: q"),
                "permission_denied",
                "quota",
                "resourcequota",
            ),
            (409, status("AlreadyExists", "x"), "already_exists", "x", ""),
            (409, status("Conflict", "x"), "precondition_failed", "x", ""),
            (
                413,
                status("RequestEntityTooLarge", "x"),
                "unsupported",
                "x",
                "",
            ),
            (
                422,
                status("Invalid", "Too long"),
                "invalid",
                "Too long (Invalid)",
                "",
            ),
            (
                429,
                "Too many requests, please try again later.".into(),
                "throttled",
                "Too many",
                "",
            ),
            (
                500,
                status("InternalError", "etcdserver: mvcc: database space exceeded"),
                "other",
                "space",
                "etcd is full",
            ),
            (503, "<html>".into(), "unavailable", "<html>", ""),
            (
                404,
                "404 page not found".into(),
                "corrupt",
                "page not found",
                "API server?",
            ),
        ] {
            let error = error(code, &body);
            assert_eq!(error.kind().name(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
            let told = error.hint_text().unwrap_or_default();
            assert!(told.contains(hint), "{error}: {told}");
        }
    }

    #[test]
    fn a_missing_namespace_is_not_a_missing_key() {
        let missing = r#"{"kind":"Status","reason":"NotFound","message":"namespaces \"ns\" not found","details":{"name":"ns","kind":"namespaces"}}"#;
        let error = error(404, missing);
        assert_eq!(*error.kind(), ErrorKind::NotFound);
        assert!(!error.is_missing_key());
        assert!(error.hint_text().unwrap().contains("create namespace ns"));
    }
}
