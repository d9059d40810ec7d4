//! The HTTP around the verbs: who asks, what goes wrong, and in which form it is answered.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use time::macros::format_description;

use super::answer::{Answer, forbidden, status, unauthorized};
use super::faults::{Action, strike};
use super::objects::{self, Target};
use super::{Request, Shared, discovery};
use crate::loopback::{Broken, Loopback};

/// The largest body in bytes; `MaxRequestBodyBytes`.
const MAX_BODY: usize = 3 << 20;

/// Serves until it is dropped.
pub(super) fn serve(shared: Arc<Shared>) -> Loopback {
    Loopback::start(move |request| handle(Arc::clone(&shared), request))
}

async fn handle(
    shared: Arc<Shared>,
    request: http::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Broken> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let path = parts.uri.path().to_owned();
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let user = match user(&shared, &parts.headers) {
        Ok(user) => user,
        Err(answer) => return Ok(respond(&shared, &answer)),
    };
    if let Some(document) = discovery::document(&path) {
        return Ok(respond(&shared, &Answer::new(200, document)));
    }
    let Some(mut asked) = parse(&parts.method, &path) else {
        let code = if parts.method == Method::PATCH {
            405
        } else {
            404
        };
        return Ok(plain(&shared, code, "404 page not found", None));
    };
    asked.user.clone_from(&user);
    asked.selector = query.get("labelSelector").cloned().unwrap_or_default();
    let form = accepted(&parts.headers);
    asked.metadata_only = form == Some(Form::Metadata);
    if asked.name.is_empty() && asked.verb == "create" {
        asked.name = name_in(&body);
    }
    let action = {
        let mut log = shared.log();
        log.requests.push(asked.clone());
        strike(&mut log.faults, &asked)
    };
    match &action {
        Some(Action::Status(code, reason, message)) => {
            return Ok(respond(
                &shared,
                &status(*code, reason, message, &Value::Null),
            ));
        }
        Some(Action::Plain(code, text, after)) => {
            return Ok(plain(&shared, *code, text, *after));
        }
        Some(Action::Reset) => return Err(Broken),
        // It may ask this server itself, which needs the thread that answers.
        Some(Action::Call(hook)) => {
            let hook = Arc::clone(hook);
            let called = tokio::task::spawn_blocking(move || hook()).await;
            called.map_err(|_| Broken)?;
        }
        _ => {}
    }
    let Some(form) = form else {
        let message = "only the following media types are accepted: application/json";
        return Ok(respond(
            &shared,
            &status(406, "NotAcceptable", message, &Value::Null),
        ));
    };
    if !body.is_empty() && !is_json(&parts.headers) {
        let message = "the body of the request was in an unknown format - accepted media types \
             include: application/json";
        let answer = status(415, "UnsupportedMediaType", message, &Value::Null);
        return Ok(respond(&shared, &answer));
    }
    let mut answer = carry_out(&shared, &asked, &query, &body);
    match action {
        Some(Action::ResetAfterCommit) => return Err(Broken),
        Some(Action::FailAfterCommit(code, reason, message)) => {
            answer = status(code, reason, message, &Value::Null);
        }
        Some(Action::Garble) => answer.body["data"] = Value::Object(serde_json::Map::default()),
        _ => {}
    }
    if form == Form::Metadata && answer.code < 300 {
        answer.body = objects::only_metadata(&answer.body);
    }
    Ok(respond(&shared, &answer))
}

fn carry_out(
    shared: &Shared,
    asked: &Request,
    query: &HashMap<String, String>,
    body: &[u8],
) -> Answer {
    let Request {
        verb,
        resource,
        namespace,
        name,
        user,
        ..
    } = asked;
    let rules = shared.users.values().find(|(named, _)| named == user);
    let may = match rules {
        Some((_, None)) => true,
        Some((_, Some(rules))) => rules.iter().any(|(v, r)| v == verb && r == resource),
        None => false,
    };
    if !may {
        let name = if *verb == "create" { "" } else { name };
        return forbidden(user, verb, resource, namespace, name);
    }
    if body.len() > MAX_BODY {
        let message = format!("Request entity too large: limit is {MAX_BODY}");
        return status(413, "RequestEntityTooLarge", &message, &Value::Null);
    }
    let target = Target {
        resource,
        namespace,
        name,
    };
    let mut state = shared.state();
    match *verb {
        "get" => objects::get(&state, target),
        "list" => objects::list(&mut state, target, query),
        "create" => objects::create(&mut state, target, body),
        "update" => objects::update(&mut state, target, body),
        _ => objects::delete(&mut state, target, body),
    }
}

/// Whose token it is; whoever has none is anonymous.
fn user(shared: &Shared, headers: &HeaderMap) -> Result<String, Answer> {
    let Some(header) = headers.get(http::header::AUTHORIZATION) else {
        let unsecured = shared.users.get("").map(|(user, _)| user.clone());
        return Ok(unsecured.unwrap_or_else(|| "system:anonymous".to_owned()));
    };
    let token = header
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("Bearer "));
    let known = token.and_then(|token| shared.users.get(token));
    known.map(|(user, _)| user.clone()).ok_or_else(unauthorized)
}

/// What a method and a path ask for.
fn parse(method: &Method, path: &str) -> Option<Request> {
    let rest = path
        .strip_prefix("/api/v1/namespaces/")
        .map(|rest| ("secrets", rest))
        .or_else(|| {
            let rest = path.strip_prefix("/apis/coordination.k8s.io/v1/namespaces/")?;
            Some(("leases", rest))
        });
    let (resource, rest) = rest?;
    let mut segments = rest.split('/');
    let (namespace, kind) = (segments.next()?, segments.next()?);
    let name = segments.next().unwrap_or_default();
    if kind != resource || segments.next().is_some() {
        return None;
    }
    let verb = match (method.as_str(), name) {
        ("GET", "") => "list",
        ("GET", _) => "get",
        ("POST", "") => "create",
        ("PUT", name) if !name.is_empty() => "update",
        ("DELETE", name) if !name.is_empty() => "delete",
        _ => return None,
    };
    Some(Request {
        verb,
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        user: String::new(),
        selector: String::new(),
        metadata_only: false,
    })
}

fn name_in(body: &[u8]) -> String {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// What isn't said to be anything else is JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE);
    kind.is_none_or(|kind| kind.as_bytes().starts_with(b"application/json"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    Metadata,
}

/// The first form asked for that there is.
fn accepted(headers: &HeaderMap) -> Option<Form> {
    let Some(accept) = headers.get(http::header::ACCEPT) else {
        return Some(Form::Whole);
    };
    accept.to_str().ok()?.split(',').find_map(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        let is_json = matches!(parts.next()?, "application/json" | "*/*" | "application/*");
        let form = parts.find_map(|part| part.strip_prefix("as="));
        match form {
            None if is_json => Some(Form::Whole),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") if is_json => {
                Some(Form::Metadata)
            }
            _ => None,
        }
    })
}

fn respond(shared: &Shared, answer: &Answer) -> Response<Full<Bytes>> {
    let body = answer.body.to_string();
    send(shared, answer.code, "application/json", body, None)
}

fn plain(shared: &Shared, code: u16, text: &str, after: Option<u32>) -> Response<Full<Bytes>> {
    send(
        shared,
        code,
        "text/plain; charset=utf-8",
        text.to_owned(),
        after,
    )
}

fn send(
    shared: &Shared,
    code: u16,
    kind: &str,
    body: String,
    after: Option<u32>,
) -> Response<Full<Bytes>> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = shared.state().now().format(&format).expect("a date");
    let mut response = Response::builder()
        .status(code)
        .header(http::header::CONTENT_TYPE, kind)
        .header(http::header::DATE, date);
    if let Some(seconds) = after {
        response = response.header(http::header::RETRY_AFTER, seconds);
    }
    response.body(Full::from(body)).expect("a response")
}
