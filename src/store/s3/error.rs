//! From what the SDK reports to an [`Error`] that says what to do.

use std::error::Error as StdError;
use std::fmt::Write;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::codes::{by_code, by_status, denied, is_wrong_region};
use crate::store::{Error, ErrorKind};

/// How many bytes of an answer that makes no sense are shown.
const SHOWN: usize = 120;

/// One call to the service, as errors name it.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// The verb of our own operation.
    pub operation: &'static str,
    /// The IAM action that the call needs.
    pub action: &'static str,
    /// The store's printable URL.
    pub store: &'a str,
    /// The service as people know it: its endpoint, or AWS.
    pub service: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The key in the bucket; none for calls on the bucket itself.
    pub full_key: Option<&'a str>,
    /// The key relative to the store.
    pub key: Option<&'a str>,
}

/// What came back instead of success, without the SDK's type parameters.
#[derive(Debug)]
pub(super) struct Failure {
    source: Source,
    status: Option<u16>,
    code: String,
    message: String,
    request_id: Option<String>,
    /// The region that the service says the bucket is in.
    pub region: Option<String>,
    /// The first bytes of the answer.
    body: Option<String>,
    /// It failed before there was a request, for this reason.
    own: Option<Box<Error>>,
}

#[derive(Debug, PartialEq, Eq)]
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
    Construction,
}

impl Failure {
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + 'static,
    {
        let raw = error.raw_response();
        let header = |name: &str| {
            raw.and_then(|raw| raw.headers().get(name))
                .map(str::to_owned)
        };
        let body = raw.and_then(|raw| raw.body().bytes());
        let meta = error.meta();
        let mut failure = Self {
            source: source_of(error, body.is_some()),
            status: raw.map(|raw| raw.status().as_u16()),
            code: meta.code().unwrap_or_default().to_owned(),
            message: meta.message().unwrap_or_default().to_owned(),
            request_id: header("x-amz-request-id"),
            region: header("x-amz-bucket-region"),
            body: body.filter(|body| !body.is_empty()).map(shown),
            own: None,
        };
        if failure.code.is_empty() && failure.status.is_some_and(|status| status < 300) {
            failure.source = Source::Nonsense;
        }
        if failure.source != Source::Service {
            failure.message = chain(error);
        }
        failure
    }

    /// What an answer says of one of the objects that a request was about.
    pub(super) fn told(code: &str, message: &str) -> Self {
        Self {
            source: Source::Service,
            status: None,
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: None,
            region: None,
            body: None,
            own: None,
        }
    }

    /// An error that came up before there was a request.
    pub(super) fn ours(error: Error) -> Self {
        Self {
            source: Source::Construction,
            own: Some(Box::new(error)),
            ..Self::told("", "")
        }
    }

    /// Whether the service answered with one of these codes.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code.as_str())
    }

    pub(super) fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether the request may have been carried out all the same.
    pub(super) fn is_uncertain(&self) -> bool {
        match self.source {
            Source::Transport | Source::Nonsense => true,
            // A proxy may answer 503, without a code, for a service that did its work.
            Source::Service if self.code.is_empty() && self.status == Some(503) => true,
            Source::Service => self.kind() == ErrorKind::Unavailable && self.status != Some(409),
            Source::Credentials | Source::Construction => false,
        }
    }

    /// Whether the service doesn't do what the request asks for beyond plain S3.
    pub(super) fn is_refused_feature(&self) -> bool {
        self.status == Some(501)
            || self.is(&["NotImplemented", "InvalidArgument", "InvalidRequest"])
    }

    fn kind(&self) -> ErrorKind {
        match self.source {
            Source::Transport => return ErrorKind::Unavailable,
            Source::Nonsense => return ErrorKind::Corrupt,
            Source::Construction => return ErrorKind::Invalid,
            Source::Credentials => return denied(),
            Source::Service => {}
        }
        by_code(&self.code)
            .or_else(|| self.refuses_condition().then_some(ErrorKind::Unsupported))
            .or_else(|| self.status.and_then(by_status))
            .unwrap_or(ErrorKind::Other)
    }

    /// Whether a 400 is about a conditional header.
    fn refuses_condition(&self) -> bool {
        self.status == Some(400)
            && ["If-None-Match", "If-Match"]
                .iter()
                .any(|header| self.message.contains(header))
    }

    fn words(&self) -> String {
        let mut words = match (&*self.message, &*self.code) {
            ("", "") => String::new(),
            ("", code) => code.to_owned(),
            (message, "") => message.to_owned(),
            (message, code) => format!("{message} ({code})"),
        };
        if words.is_empty() {
            words = match self.status {
                Some(status) => format!("the service answered {status} and nothing else"),
                None => "the service gave no reason".to_owned(),
            };
        }
        // Writing to a String cannot fail.
        if self.code.is_empty()
            && let Some(body) = &self.body
        {
            let _ = write!(words, "; the answer begins with {body}");
        }
        if let Some(id) = &self.request_id {
            let _ = write!(words, " [request {id}]");
        }
        words
    }

    pub(super) fn into_error(self, call: &Call<'_>) -> Error {
        if let Some(own) = self.own {
            return *own;
        }
        let words = self.words();
        let (kind, message) = match self.kind() {
            ErrorKind::NotFound if self.code == "NoSuchBucket" || call.key.is_none() => (
                ErrorKind::NotFound,
                format!("no such bucket '{}': {words}", call.bucket),
            ),
            ErrorKind::NotFound => (ErrorKind::NotFound, format!("no such object: {words}")),
            ErrorKind::PermissionDenied { .. } if self.source == Source::Service => (
                ErrorKind::PermissionDenied {
                    action: Some(call.action.to_owned()),
                    resource: Some(call.resource()),
                },
                words,
            ),
            ErrorKind::Unavailable if self.source == Source::Transport => (
                ErrorKind::Unavailable,
                format!("no answer from {}: {words}", call.service),
            ),
            kind => (kind, words),
        };
        let is_bucket =
            kind == ErrorKind::NotFound && (self.code == "NoSuchBucket" || call.key.is_none());
        let error = Error::new(kind, call.operation, message)
            .at(call.store, call.key.filter(|_| !is_bucket));
        match self.hint(call, is_bucket) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn hint(&self, call: &Call<'_>, is_bucket: bool) -> Option<String> {
        if is_bucket {
            return Some(format!(
                "check the bucket's name, and that it is at {}",
                call.service
            ));
        }
        if self.source == Source::Nonsense {
            return Some(format!(
                "is {} an S3 service? Check the endpoint, and what stands between (a proxy, a login page)",
                call.service
            ));
        }
        if self.source == Source::Credentials {
            return Some(NO_CREDENTIALS.to_owned());
        }
        if is_wrong_region(self.status, &self.code) {
            return Some(match &self.region {
                Some(region) => {
                    format!("the bucket is in {region}: put ?region={region} on its URL")
                }
                None => "the bucket is in another region: name it with ?region= on its URL".into(),
            });
        }
        let hint = match self.code.as_str() {
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
                "the session is over: sign in again (such as `aws sso login`), then run it again"
            }
            "RequestTimeTooSkewed" => "this machine's clock is wrong: set it, then run it again",
            "SignatureDoesNotMatch" => {
                "the secret key doesn't belong to the key id, or a proxy changes requests"
            }
            "InvalidAccessKeyId" => {
                "the service doesn't know the key id: check which credentials are used"
            }
            "InvalidToken" => "the session token doesn't belong to the key id",
            _ if matches!(self.kind(), ErrorKind::PermissionDenied { .. }) => {
                return Some(format!(
                    "allow {} on {} to whoever runs this, or name other credentials (?profile=NAME)",
                    call.action,
                    call.resource()
                ));
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

const NO_CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile \
    (AWS_PROFILE, or ?profile=NAME on the URL); with single sign-on run `aws sso login` first";

impl Call<'_> {
    fn resource(&self) -> String {
        match self.full_key {
            Some(key) => format!("arn:aws:s3:::{}/{key}", self.bucket),
            None => format!("arn:aws:s3:::{}", self.bucket),
        }
    }
}

fn source_of<E>(error: &SdkError<E, HttpResponse>, has_body: bool) -> Source
where
    E: StdError + 'static,
{
    match error {
        SdkError::ServiceError(_) => Source::Service,
        SdkError::ResponseError(_) if has_body => Source::Nonsense,
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_)
            if find::<CredentialsError>(error).is_some_and(|error| !is_outage(error)) =>
        {
            Source::Credentials
        }
        SdkError::ConstructionFailure(_) => Source::Construction,
        SdkError::DispatchFailure(failure) if failure.is_user() => Source::Construction,
        _ => Source::Transport,
    }
}

/// Whether credentials are missing only because the service that gives them can't be reached.
fn is_outage(error: &CredentialsError) -> bool {
    matches!(error, CredentialsError::ProviderTimedOut(_))
        || find::<aws_smithy_runtime_api::client::result::ConnectorError>(error).is_some()
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The messages of an error and all beneath it; each says more than the one before.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(error) = next {
        let message = error.to_string();
        // It blames itself for what a server that is no S3 answers.
        let message = message.replace(" This is likely a bug in the SDK.", "");
        if !text.ends_with(&message) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&message);
        }
        next = error.source();
    }
    text
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, code: &str, message: &str) -> Failure {
        Failure {
            source: Source::Service,
            status: Some(status),
            code: code.into(),
            message: message.into(),
            request_id: Some("R1".into()),
            region: None,
            body: None,
            own: None,
        }
    }

    const CALL: Call<'static> = Call {
        operation: "write",
        action: "s3:PutObject",
        store: "s3://b/x",
        service: "AWS",
        bucket: "b",
        full_key: Some("x/k"),
        key: Some("k"),
    };

    #[test]
    fn a_refusal_names_action_and_resource() {
        let error = failure(403, "AccessDenied", "Access Denied").into_error(&CALL);
        assert_eq!(
            *error.kind(),
            ErrorKind::PermissionDenied {
                action: Some("s3:PutObject".into()),
                resource: Some("arn:aws:s3:::b/x/k".into()),
            }
        );
        assert_eq!(
            error.to_string(),
            "cannot write s3://b/x/k: Access Denied (AccessDenied) [request R1]"
        );
        assert!(
            error
                .hint_text()
                .is_some_and(|hint| hint.contains("s3:PutObject"))
        );
    }

    #[test]
    fn a_missing_bucket_has_no_key() {
        let bucket = failure(404, "NoSuchBucket", "").into_error(&CALL);
        assert!(!bucket.is_missing_key());
        assert_eq!(*bucket.kind(), ErrorKind::NotFound);
        assert!(
            failure(404, "NoSuchKey", "")
                .into_error(&CALL)
                .is_missing_key()
        );
        assert!(failure(404, "", "").into_error(&CALL).is_missing_key());
    }

    #[test]
    fn codes_decide_before_the_status() {
        for (status, code, kind) in [
            (200, "InternalError", "unavailable"),
            (200, "SlowDown", "throttled"),
            (400, "RequestTimeout", "unavailable"),
            (409, "ConditionalRequestConflict", "unavailable"),
            (503, "", "throttled"),
            (502, "", "unavailable"),
            (412, "", "precondition_failed"),
            (400, "ExpiredToken", "permission_denied"),
            (400, "BadDigest", "corrupt"),
            (418, "Teapot", "other"),
        ] {
            assert_eq!(
                failure(status, code, "m").kind().name(),
                kind,
                "{status} {code}"
            );
        }
    }

    #[test]
    fn only_a_400_that_names_the_header_means_unsupported() {
        let kind = |status, message| failure(status, "InvalidArgument", message).kind();
        assert_eq!(
            kind(400, "A header you provided: If-None-Match"),
            ErrorKind::Unsupported
        );
        assert_eq!(kind(400, "bad content length"), ErrorKind::Other);
    }

    #[test]
    fn hints_name_the_right_region() {
        let mut redirect = failure(301, "PermanentRedirect", "elsewhere");
        redirect.region = Some("eu-west-1".into());
        let error = redirect.into_error(&CALL);
        assert!(
            error
                .hint_text()
                .is_some_and(|hint| hint.contains("?region=eu-west-1"))
        );
    }

    #[test]
    fn a_race_is_certain_not_to_have_written() {
        assert!(!failure(409, "ConditionalRequestConflict", "").is_uncertain());
        assert!(!failure(503, "SlowDown", "").is_uncertain());
        assert!(failure(503, "", "").is_uncertain());
        assert!(failure(500, "InternalError", "").is_uncertain());
    }
}
