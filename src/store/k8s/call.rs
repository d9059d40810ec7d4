//! Calls: one request and its answer, tried again while that makes sense.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, Method, Request};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::client::Body;
use kube::core::PartialObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::K8sStore;
use super::error::{Call, Failure, Place};
use super::layout::Version;
use crate::store::{Error, ErrorKind, Result};

const JSON: &str = "application/json";

/// Objects without what is in them:
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches>.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Where the objects of a namespace are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource {
    Secrets,
    Leases,
}

impl Resource {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Leases => "leases",
        }
    }

    fn path(self, namespace: &str) -> String {
        let root = match self {
            Self::Secrets => "/api/v1",
            Self::Leases => "/apis/coordination.k8s.io/v1",
        };
        format!("{root}/namespaces/{namespace}/{}", self.name())
    }
}

/// What comes with an operation into its errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    /// Our own verb.
    pub operation: &'static str,
    pub key: Option<&'a str>,
}

/// An answer, and when the server gave it by its own clock.
pub(super) struct Answer<T> {
    pub value: T,
    pub date: Option<OffsetDateTime>,
}

/// How a call ended that didn't succeed.
pub(super) struct Refused {
    pub error: Error,
    /// The HTTP status, where there was an answer.
    pub code: Option<u16>,
    /// An earlier attempt, or this one, may have been carried out all the same.
    pub uncertain: bool,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl Refused {
    /// An error after which nobody knows whether what was asked for was done.
    pub(super) fn maybe_done(error: Error) -> Self {
        Self {
            error,
            code: None,
            uncertain: true,
        }
    }

    pub(super) fn is(&self, kind: &ErrorKind) -> bool {
        self.error.kind() == kind
    }

    /// Whether it was refused for what is there, or isn't.
    pub(super) fn is_conflict(&self) -> bool {
        self.error.is_conflict() || self.is(&ErrorKind::NotFound) && self.error.is_missing_key()
    }
}

struct Ask {
    method: Method,
    path: String,
    accept: &'static str,
    body: Bytes,
}

impl K8sStore {
    /// Reads one object.
    pub(super) async fn get_one<T: DeserializeOwned>(
        &self,
        about: About<'_>,
        resource: Resource,
        name: &str,
    ) -> Result<Option<T>> {
        let ask = self.ask(Method::GET, resource, Some(name));
        missing_is_none(self.run(about, "get", resource, ask).await)
    }

    /// Reads a Secret's metadata alone.
    pub(super) async fn look(&self, about: About<'_>, name: &str) -> Result<Option<ObjectMeta>> {
        let ask = Ask {
            accept: METADATA,
            ..self.ask(Method::GET, Resource::Secrets, Some(name))
        };
        let found = self.run::<PartialObjectMeta>(about, "get", Resource::Secrets, ask);
        Ok(missing_is_none(found.await)?.map(|object| object.metadata))
    }

    /// Creates an object that isn't there.
    pub(super) async fn create<T: Serialize + DeserializeOwned>(
        &self,
        about: About<'_>,
        resource: Resource,
        object: &T,
    ) -> Result<T, Refused> {
        let ask = Ask {
            body: json(object),
            ..self.ask(Method::POST, resource, None)
        };
        let answer = self.run(about, "create", resource, ask).await?;
        Ok(answer.value)
    }

    /// Replaces the version of an object that it names itself.
    pub(super) async fn replace<T: Serialize + DeserializeOwned>(
        &self,
        about: About<'_>,
        resource: Resource,
        name: &str,
        object: &T,
    ) -> Result<T, Refused> {
        let ask = Ask {
            body: json(object),
            ..self.ask(Method::PUT, resource, Some(name))
        };
        let answer = self.run(about, "update", resource, ask).await?;
        Ok(answer.value)
    }

    /// Deletes a Secret, if it is this version.
    pub(super) async fn remove(
        &self,
        about: About<'_>,
        name: &str,
        version: &Version,
    ) -> Result<(), Refused> {
        let options = DeleteOptions {
            api_version: Some("v1".to_owned()),
            kind: Some("DeleteOptions".to_owned()),
            preconditions: Some(Preconditions {
                resource_version: Some(version.resource.clone()),
                uid: Some(version.uid.clone()),
            }),
            ..DeleteOptions::default()
        };
        let ask = Ask {
            body: json(&options),
            ..self.ask(Method::DELETE, Resource::Secrets, Some(name))
        };
        self.run::<serde::de::IgnoredAny>(about, "delete", Resource::Secrets, ask)
            .await
            .map(drop)
    }

    /// One page of a listing; of Secrets the metadata alone.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        about: About<'_>,
        resource: Resource,
        selector: &str,
        token: Option<&str>,
    ) -> Result<Answer<T>, Refused> {
        let plain = self.ask(Method::GET, resource, None);
        let limit = self.tuning().page.to_string();
        let ask = Ask {
            path: url::form_urlencoded::Serializer::new(format!("{}?", plain.path))
                .append_pair("labelSelector", selector)
                .append_pair("limit", &limit)
                .extend_pairs(token.map(|token| ("continue", token)))
                .finish(),
            accept: match resource {
                Resource::Secrets => METADATA_LIST,
                Resource::Leases => JSON,
            },
            ..plain
        };
        self.run(about, "list", resource, ask).await
    }

    fn ask(&self, method: Method, resource: Resource, name: Option<&str>) -> Ask {
        let mut path = resource.path(&self.shared.namespace);
        if let Some(name) = name {
            path.push('/');
            path.push_str(name);
        }
        Ask {
            method,
            path,
            accept: JSON,
            body: Bytes::new(),
        }
    }

    async fn run<T: DeserializeOwned>(
        &self,
        about: About<'_>,
        verb: &'static str,
        resource: Resource,
        ask: Ask,
    ) -> Result<Answer<T>, Refused> {
        let uncertain = AtomicBool::new(false);
        let code = AtomicU16::new(0);
        let call = Call {
            operation: about.operation,
            verb,
            resource: resource.name(),
            key: about.key,
        };
        let place = Place {
            store: &self.folder.url,
            server: &self.shared.account.server,
            namespace: &self.shared.namespace,
        };
        let policy = &self.tuning().retry;
        let attempt = |_| async {
            let failure = match self.once(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            code.store(failure.code().unwrap_or(0), Ordering::Relaxed);
            uncertain.fetch_or(failure.is_uncertain(), Ordering::Relaxed);
            let asked = failure.retry_after();
            let error = failure.into_error(&call, &place);
            if error.is_retryable()
                && let Some(pause) = asked
            {
                tokio::time::sleep(pause.min(policy.longest_pause)).await;
            }
            Err(error)
        };
        policy.run(attempt).await.map_err(|error| Refused {
            error,
            code: Some(code.load(Ordering::Relaxed)).filter(|code| *code > 0),
            uncertain: uncertain.load(Ordering::Relaxed),
        })
    }

    /// One request, and once more as somebody who has just logged in.
    async fn once<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Answer<T>, Failure> {
        let account = &self.shared.account;
        match self.send(ask).await {
            Err(failure) if failure.code() == Some(401) && account.log_in_again().await => {
                self.send(ask).await
            }
            result => result,
        }
    }

    async fn send<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Answer<T>, Failure> {
        let client = self.shared.account.client().await?;
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&ask.path)
            .header(ACCEPT, ask.accept);
        if !ask.body.is_empty() {
            request = request.header(CONTENT_TYPE, JSON);
        }
        let request = request
            .body(Body::from(ask.body.clone()))
            .map_err(|error| Failure::Credentials(error.to_string()))?;
        let sent = client.send(request).await;
        let answer = sent.map_err(|error| Failure::of(&error))?;
        let code = answer.status().as_u16();
        let is_success = answer.status().is_success();
        let retry_after = seconds(answer.headers());
        let date = date(answer.headers());
        let body = answer.into_body().collect_bytes().await;
        let body = body.map_err(|error| Failure::Transport(error.to_string()))?;
        if !is_success {
            return Err(Failure::answered(code, retry_after, &body));
        }
        match serde_json::from_slice(&body) {
            Ok(value) => Ok(Answer { value, date }),
            Err(_) => Err(Failure::nonsense(code, &body)),
        }
    }
}

fn missing_is_none<T>(result: Result<Answer<T>, Refused>) -> Result<Option<T>> {
    match result {
        Ok(answer) => Ok(Some(answer.value)),
        Err(refused) if refused.is(&ErrorKind::NotFound) && refused.error.is_missing_key() => {
            Ok(None)
        }
        Err(refused) => Err(refused.error),
    }
}

fn json(object: &impl Serialize) -> Bytes {
    // Nothing in these types can't be JSON.
    serde_json::to_vec(object).unwrap_or_default().into()
}

fn seconds(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(text.trim().parse().ok()?))
}

fn date(headers: &HeaderMap) -> Option<OffsetDateTime> {
    let text = headers.get(DATE)?.to_str().ok()?;
    OffsetDateTime::parse(text, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let mut headers = HeaderMap::new();
        let text = "Sun, 06 Nov 1994 08:49:37 GMT";
        headers.insert(DATE, http::HeaderValue::from_static(text));
        assert_eq!(date(&headers).unwrap().unix_timestamp(), 784_111_777);
    }
}
