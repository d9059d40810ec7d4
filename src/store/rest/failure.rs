//! From what a service answers to an [`Error`] that says what to do.

use std::fmt::Write;

use http::HeaderMap;

use super::Answer;
use crate::store::{Error, ErrorKind};

/// How many bytes of an answer that makes no sense are shown.
const SHOWN: usize = 120;

/// What one service calls things, and how it says no.
pub(in crate::store) struct Service {
    /// As people know it.
    pub name: &'static str,
    /// What it calls a bucket.
    pub bucket: &'static str,
    /// Reads an error's body and headers.
    pub read: fn(&[u8], &HeaderMap) -> Told,
    /// What an error code means, where the status alone doesn't tell.
    pub by_code: fn(&str) -> Option<ErrorKind>,
    /// The code that says that the bucket, not the object, is missing; none when a 404 may mean both.
    pub no_bucket: &'static [&'static str],
    /// What to do where there are no credentials.
    pub no_credentials: &'static str,
}

/// What an error's body says.
#[derive(Default)]
pub(in crate::store) struct Told {
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
}

/// One call to a service, as errors name it.
#[derive(Clone, Copy)]
pub(in crate::store) struct Call<'a> {
    pub service: &'static Service,
    /// The verb of our own operation.
    pub operation: &'static str,
    /// The permission that the call needs, in the service's words.
    pub action: &'static str,
    /// The store's printable URL.
    pub store: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// Where the service is: its host.
    pub host: &'a str,
    /// The key relative to the store; none for calls on the bucket itself.
    pub key: Option<&'a str>,
}

/// What came back instead of success.
#[derive(Debug)]
pub(in crate::store) struct Failure {
    source: Source,
    status: Option<u16>,
    code: String,
    message: String,
    request_id: Option<String>,
    /// The first bytes of an answer without a code.
    body: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The service answered.
    Service,
    /// There was no whole answer; the request may have been carried out.
    Transport,
    /// An answer that can't be understood.
    Nonsense,
    /// Nobody to sign as.
    Credentials,
    /// The request was never sent.
    Unsent,
}

impl Failure {
    fn new(source: Source, message: String) -> Self {
        Self {
            source,
            status: None,
            code: String::new(),
            message,
            request_id: None,
            body: None,
        }
    }

    /// There was no whole answer.
    pub(in crate::store) fn transport(message: String) -> Self {
        Self::new(Source::Transport, message)
    }

    /// An answer that can't be understood.
    pub(in crate::store) fn nonsense(message: String) -> Self {
        Self::new(Source::Nonsense, message)
    }

    /// The request can't be sent.
    pub(in crate::store) fn unsent(message: String) -> Self {
        Self::new(Source::Unsent, message)
    }

    /// Nobody to ask as, and why.
    pub(in crate::store) fn nobody(why: String) -> Self {
        Self::new(Source::Credentials, why)
    }

    /// What an answer to many requests at once says of one of them.
    pub(in crate::store) fn told(status: u16, told: Told) -> Self {
        Self {
            status: Some(status),
            code: told.code,
            message: told.message,
            request_id: told.request_id,
            ..Self::new(Source::Service, String::new())
        }
    }

    /// An answer that is no success.
    pub(in crate::store) async fn of(answer: Answer, service: &Service) -> Self {
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let body = answer.bytes().await.unwrap_or_default();
        let told = (service.read)(&body, &headers);
        let shown = told.code.is_empty() && told.message.is_empty() && !body.is_empty();
        Self {
            body: shown.then(|| {
                let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
                format!("{text:?}")
            }),
            ..Self::told(status, told)
        }
    }

    /// The credentials can't be found, or are refused where tokens are made.
    pub(in crate::store) fn credentials(error: &reqsign_core::Error) -> Self {
        let source = if error.is_retryable() {
            Source::Transport
        } else {
            Source::Credentials
        };
        let mut words = error.to_string();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            let message = cause.to_string();
            if !words.ends_with(&message) {
                let _ = write!(words, ": {message}");
            }
            next = cause.source();
        }
        Self::new(source, words)
    }

    /// The status of the answer; none when there was none.
    pub(in crate::store) fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether the service answered with one of these codes.
    pub(in crate::store) fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code.as_str())
    }

    /// Whether the request may have been carried out all the same.
    pub(in crate::store) fn is_uncertain(&self) -> bool {
        match self.source {
            Source::Transport | Source::Nonsense => true,
            // A proxy may answer 503 for a service that did its work.
            Source::Service => matches!(self.status, Some(408 | 500 | 502..=504)),
            Source::Credentials | Source::Unsent => false,
        }
    }

    /// What it means.
    pub(in crate::store) fn kind(&self, service: &Service) -> ErrorKind {
        match self.source {
            Source::Transport => return ErrorKind::Unavailable,
            Source::Nonsense => return ErrorKind::Corrupt,
            Source::Unsent => return ErrorKind::Invalid,
            Source::Credentials => return denied(),
            Source::Service => {}
        }
        (service.by_code)(&self.code)
            .or_else(|| self.status.and_then(by_status))
            .unwrap_or(ErrorKind::Other)
    }

    /// What the other side said, with its code, status and request.
    pub(in crate::store) fn words(&self) -> String {
        let mut words = self.message.trim().to_owned();
        if words.is_empty()
            && let Some(body) = &self.body
        {
            let _ = write!(words, "the answer {body}");
        }
        match self.status {
            Some(status) if self.code.is_empty() => {
                let _ = write!(words, " (HTTP {status})");
            }
            _ if self.code.is_empty() => {}
            _ if words.is_empty() => words.clone_from(&self.code),
            _ => {
                let _ = write!(words, " ({})", self.code);
            }
        }
        if let Some(id) = &self.request_id {
            let _ = write!(words, " [request {id}]");
        }
        words.trim_start().to_owned()
    }

    /// The error of a call.
    pub(in crate::store) fn into_error(self, call: &Call<'_>) -> Error {
        let (service, words) = (call.service, self.words());
        let kind = self.kind(service);
        let is_bucket =
            kind == ErrorKind::NotFound && (call.key.is_none() || self.is(service.no_bucket));
        let (kind, message) = match kind {
            ErrorKind::NotFound if is_bucket => {
                let message = format!("no such {} '{}': {words}", service.bucket, call.bucket);
                (ErrorKind::NotFound, message)
            }
            ErrorKind::NotFound => (ErrorKind::NotFound, format!("no such object: {words}")),
            ErrorKind::PermissionDenied { .. } if self.source == Source::Service => {
                let kind = ErrorKind::PermissionDenied {
                    action: Some(call.action.to_owned()),
                    resource: Some(call.resource()),
                };
                (kind, words)
            }
            ErrorKind::Unavailable if self.source == Source::Transport => {
                let message = format!("no answer from {}: {words}", call.host);
                (ErrorKind::Unavailable, message)
            }
            kind => (kind, words),
        };
        let key = call.key.filter(|_| !is_bucket);
        let hint = self.hint(call, &kind, is_bucket);
        let error = Error::new(kind, call.operation, message).at(call.store, key);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn hint(&self, call: &Call<'_>, kind: &ErrorKind, is_bucket: bool) -> Option<String> {
        let Service { name, bucket, .. } = call.service;
        match self.source {
            _ if is_bucket => Some(format!(
                "check the {bucket}'s name, and that it is at {}",
                call.host
            )),
            Source::Nonsense => Some(format!(
                "is {} {name}? Check what stands between (a proxy, a login page)",
                call.host
            )),
            Source::Credentials => Some(call.service.no_credentials.to_owned()),
            _ if self.status == Some(401) => Some(format!(
                "{name} doesn't know who asks: {}",
                call.service.no_credentials
            )),
            _ if matches!(kind, ErrorKind::PermissionDenied { .. }) => Some(format!(
                "allow {} on {} to whoever runs this",
                call.action,
                call.resource()
            )),
            _ => None,
        }
    }
}

impl Call<'_> {
    fn resource(&self) -> String {
        match self.key {
            Some(key) => format!("{}/{key}", self.store),
            None => format!("the {} {}", self.service.bucket, self.bucket),
        }
    }
}

fn denied() -> ErrorKind {
    ErrorKind::PermissionDenied {
        action: None,
        resource: None,
    }
}

/// What a status means where the code says nothing.
pub(crate) fn by_status(status: u16) -> Option<ErrorKind> {
    Some(match status {
        401 | 403 | 407 => denied(),
        404 | 410 => ErrorKind::NotFound,
        405 | 501 => ErrorKind::Unsupported,
        408 | 500 | 502 | 504 => ErrorKind::Unavailable,
        412 => ErrorKind::PreconditionFailed { found: None },
        422 => ErrorKind::Corrupt,
        429 | 498 | 503 => ErrorKind::Throttled,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static SERVICE: Service = Service {
        name: "the service",
        bucket: "container",
        read: |_, _| Told::default(),
        by_code: |code| (code == "Slow").then_some(ErrorKind::Throttled),
        no_bucket: &["NoContainer"],
        no_credentials: "sign in",
    };

    const CALL: Call<'static> = Call {
        service: &SERVICE,
        operation: "write",
        action: "objects.create",
        store: "gs://b/x",
        bucket: "b",
        host: "storage.example.com",
        key: Some("k"),
    };

    fn failure(status: u16, code: &str, message: &str) -> Failure {
        let told = Told {
            code: code.into(),
            message: message.into(),
            request_id: Some("R1".into()),
        };
        Failure::told(status, told)
    }

    #[test]
    fn a_refusal_names_action_and_resource() {
        let error = failure(403, "forbidden", "Access denied").into_error(&CALL);
        assert_eq!(
            error.to_string(),
            "cannot write gs://b/x/k: Access denied (forbidden) [request R1]"
        );
        let hint = error.hint_text().unwrap_or_default();
        assert!(hint.contains("objects.create on gs://b/x/k"), "{hint}");
        let unknown = failure(401, "", "").into_error(&CALL);
        assert!(
            unknown
                .hint_text()
                .is_some_and(|hint| hint.contains("sign in"))
        );
    }

    #[test]
    fn a_missing_bucket_has_no_key() {
        let bucket = failure(404, "NoContainer", "").into_error(&CALL);
        assert!(!bucket.is_missing_key());
        assert!(bucket.to_string().contains("no such container 'b'"));
        assert!(failure(404, "", "").into_error(&CALL).is_missing_key());
    }

    #[test]
    fn codes_decide_before_the_status() {
        let kind = |status, code| failure(status, code, "").kind(&SERVICE).name();
        assert_eq!(kind(400, "Slow"), "throttled");
        assert_eq!(kind(502, ""), "unavailable");
        assert_eq!(kind(412, ""), "precondition_failed");
        assert_eq!(kind(418, ""), "other");
    }

    #[test]
    fn only_what_may_have_been_done_is_uncertain() {
        assert!(failure(500, "", "").is_uncertain());
        assert!(failure(503, "", "").is_uncertain());
        assert!(!failure(429, "", "").is_uncertain());
        assert!(Failure::transport("reset".into()).is_uncertain());
        assert!(!Failure::unsent("no URL".into()).is_uncertain());
    }
}
