//! One request, and where its redirects lead.

use std::error::Error as _;
use std::future::poll_fn;
use std::pin::Pin;

use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use url::Url;

use crate::config::permissions::HostRule;
use crate::lua::error::ScriptError;
use crate::lua::host::Profile;
use crate::session::permissions::Grants;
use crate::text::human_size;

/// One request of perhaps several.
pub(super) struct Hop {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) fn parse(url: &str) -> Result<Url, ScriptError> {
    let invalid = |what: &str| {
        ScriptError::invalid(format!("the URL can't work: {what}"))
            .hint("write it as https://HOST/PATH")
    };
    let url = Url::parse(url).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("it is neither http:// nor https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            invalid("credentials don't belong in it").hint("use a header such as authorization")
        );
    }
    Ok(url)
}

/// Names the service alone: paths and queries may be secrets.
pub(super) fn at(url: &Url, error: ScriptError) -> ScriptError {
    let origin = url.origin().ascii_serialization();
    error.at(Some("ask".to_owned()), Some(origin), None)
}

/// What a call asks for.
pub(super) struct Asked {
    pub(super) hop: Hop,
    pub(super) grants: Grants,
    /// Of the VM that asks.
    pub(super) profile: Profile,
    pub(super) follow: usize,
    pub(super) limit: u64,
}

impl Asked {
    /// Whether a place may be asked.
    pub(super) fn permit(&self, url: &Url, is_redirect: bool) -> Result<(), ScriptError> {
        let Some(host) = url.host() else {
            return Err(ScriptError::invalid("the URL names no host"));
        };
        let host = HostRule::exactly(host.to_owned(), url.port());
        if self.grants.allows_http(&host) {
            return Ok(());
        }
        let message = if is_redirect {
            format!("it redirects to {host}, which this run may not ask")
        } else {
            "this run may not ask this host".to_owned()
        };
        let wanted = self.profile.granted_by("allow-http", &host.to_string());
        Err(ScriptError::denied(message).hint(wanted))
    }

    /// Asks, and follows where that leads.
    pub(super) async fn answer(
        mut self,
        connector: &Connector,
    ) -> Result<Response<Bytes>, ScriptError> {
        loop {
            let answer = send(connector, &self.hop, self.limit).await;
            let answer = answer.map_err(|error| at(&self.hop.url, error))?;
            let Some(next) = redirect(&answer).filter(|_| self.follow > 0) else {
                return Ok(answer);
            };
            let from = self.hop.url.clone();
            let next = from.join(next).map_err(|error| {
                at(
                    &from,
                    ScriptError::new("other", format!("it redirects to no URL: {error}")),
                )
            })?;
            let next = parse(next.as_str()).map_err(|error| at(&from, error))?;
            if from.scheme() == "https" && next.scheme() == "http" {
                let error = ScriptError::denied("it redirects from https to http");
                return Err(at(
                    &from,
                    error.hint("ask the other URL directly when that is meant"),
                ));
            }
            self.permit(&next, true).map_err(|error| at(&from, error))?;
            self.follow -= 1;
            self.hop.turn(answer.status(), next);
        }
    }
}

impl Hop {
    /// The request that a redirect makes of this one, as browsers do it.
    fn turn(&mut self, status: StatusCode, next: Url) {
        let keeps_method = matches!(
            status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        if !keeps_method && self.method != Method::HEAD {
            let was_post = self.method == Method::POST || status == StatusCode::SEE_OTHER;
            if was_post {
                self.method = Method::GET;
                self.body = Bytes::new();
                self.headers.remove(header::CONTENT_TYPE);
            }
        }
        if self.url.origin() != next.origin() {
            let public = [
                header::ACCEPT,
                header::ACCEPT_LANGUAGE,
                header::CONTENT_TYPE,
                header::USER_AGENT,
            ];
            let headers = std::mem::take(&mut self.headers);
            let kept = public.into_iter().filter_map(|name| {
                let value = headers.get(&name)?.clone();
                Some((name, value))
            });
            self.headers = kept.collect();
        }
        self.url = next;
    }
}

fn redirect(answer: &Response<Bytes>) -> Option<&str> {
    let status = answer.status();
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = answer.headers().get(header::LOCATION)?;
    location.to_str().ok().filter(|_| is_redirect)
}

async fn send(
    connector: &Connector,
    hop: &Hop,
    limit: u64,
) -> Result<Response<Bytes>, ScriptError> {
    let invalid = |error: &dyn std::fmt::Display| ScriptError::invalid(error.to_string());
    let mut url = hop.url.clone();
    url.set_fragment(None);
    let request = Request::builder()
        .method(hop.method.clone())
        .uri(url.as_str())
        .body(SdkBody::from(hop.body.clone()))
        .map(|mut request| {
            *request.headers_mut() = hop.headers.clone();
            request
        })
        .map_err(|error| invalid(&error))?;
    let request = request.try_into().map_err(|error| invalid(&error))?;
    let answer = connector
        .call(request)
        .await
        .map_err(|error| unreachable(&error))?;
    let answer = answer.try_into_http1x().map_err(|error| invalid(&error))?;
    let (parts, body) = answer.into_parts();
    let body = collect(body, limit).await?;
    Ok(Response::from_parts(parts, body))
}

/// What came back instead of an answer: the words of the innermost cause, which say the most.
fn unreachable(error: &ConnectorError) -> ScriptError {
    let mut cause = error.source();
    let mut message = error.to_string();
    while let Some(next) = cause {
        message = next.to_string();
        cause = next.source();
    }
    let kind = if error.is_timeout() {
        "timeout"
    } else {
        "unavailable"
    };
    ScriptError::new(kind, message).retryable(true)
}

async fn collect(mut body: SdkBody, limit: u64) -> Result<Bytes, ScriptError> {
    let too_large = || {
        let message = format!("the answer has more than {}", human_size(limit));
        ScriptError::new("unsupported", message).hint("raise the option 'limit'")
    };
    if body.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            let message = format!("the answer ended early: {error}");
            ScriptError::new("unavailable", message).retryable(true)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if (bytes.len() + data.len()) as u64 > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}
