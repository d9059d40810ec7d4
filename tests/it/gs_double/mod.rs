//! Google Cloud Storage in this process, after its reference (JSON API v1, XML reads, resumable
//! uploads): generations, preconditions, checksums and pages are held to strictly, and who asks
//! must have the token that its metadata server hands out.

mod listing;
mod objects;
mod upload;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use serde_json::json;

use crate::http_double::{self, Double, decoded, query};
use upload::Session;

/// What requests must carry.
pub(crate) const TOKEN: &str = "token-of-the-double";

pub(crate) struct Gs {
    pub(crate) buckets: BTreeMap<String, BTreeMap<String, Object>>,
    sessions: HashMap<String, Session>,
    generation: u64,
    pub(crate) page_size: usize,
    /// The most bytes that one call of rewrite copies.
    pub(crate) rewrite_size: usize,
    /// Whether the token is asked for; an emulator does not.
    pub(crate) checks_token: bool,
    /// Between which buckets a rewrite is refused.
    pub(crate) refuses_rewrites: bool,
    /// Resumable uploads keep only so many bytes of each chunk.
    pub(crate) keeps_of_chunk: usize,
}

#[derive(Clone, Default)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) generation: u64,
    pub(crate) content_type: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Made of several, so that it has no MD5.
    pub(crate) is_composite: bool,
}

/// A refusal: status, reason, words.
type Refusal = (u16, &'static str, String);
type Outcome = Result<Response<Bytes>, Refusal>;

/// A service with the buckets `bucket` and `other`.
pub(crate) fn start() -> Double<Gs> {
    Double::start(Gs {
        buckets: ["bucket", "other"]
            .map(|name| (name.to_owned(), BTreeMap::new()))
            .into(),
        sessions: HashMap::new(),
        generation: 1_700_000_000_000_000,
        page_size: 1000,
        rewrite_size: usize::MAX,
        checks_token: true,
        refuses_rewrites: false,
        keeps_of_chunk: usize::MAX,
    })
}

impl http_double::Service for Gs {
    fn answer(&mut self, request: &Parts, body: &Bytes) -> Response<Bytes> {
        let path = request.uri.path().to_owned();
        if path.starts_with("/computeMetadata/") {
            return metadata_server(request);
        }
        let is_json = ["/storage/v1/", "/upload/", "/download/"];
        let is_xml = !is_json.iter().any(|start| path.starts_with(start));
        let is_known = request
            .headers
            .get("authorization")
            .is_some_and(|value| value == &format!("Bearer {TOKEN}"));
        let outcome = if self.checks_token && !is_known {
            refuse(401, "authError", "Invalid Credentials")
        } else {
            self.route(request, body, &path)
        };
        outcome.unwrap_or_else(|(status, reason, message)| {
            let text = if is_xml {
                format!(
                    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{reason}</Code>\
                     <Message>{message}</Message></Error>"
                )
            } else {
                let error = json!({"code": status, "message": message, "errors": [
                    {"domain": "global", "reason": reason, "message": message}]});
                json!({ "error": error }).to_string()
            };
            let response = Response::builder().status(status);
            response.body(text.into()).expect("a response")
        })
    }
}

impl Gs {
    fn route(&mut self, request: &Parts, body: &Bytes, path: &str) -> Outcome {
        let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let names: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (&request.method, &names[..]) {
            (&Method::GET, ["storage", "v1", "b", bucket, "o"]) => self.list(request, bucket),
            (&Method::GET, ["storage", "v1", "b", bucket, "o", name]) => {
                self.get_resource(request, bucket, name)
            }
            (&Method::GET, ["download", "storage", "v1", "b", bucket, "o", name]) => {
                self.download_media(request, bucket, name)
            }
            (&Method::DELETE, ["storage", "v1", "b", bucket, "o", name]) => {
                self.delete(request, bucket, name)
            }
            (
                &Method::POST,
                [
                    "storage",
                    "v1",
                    "b",
                    from,
                    "o",
                    name,
                    "rewriteTo",
                    "b",
                    to,
                    "o",
                    target,
                ],
            ) => self.rewrite(request, (from, name), (to, target)),
            (&Method::POST, ["upload", "storage", "v1", "b", bucket, "o"]) => {
                self.upload(request, body, bucket)
            }
            (&Method::PUT, ["upload", "session", id]) => self.resume(request, body, id),
            (&Method::DELETE, ["upload", "session", id]) => {
                self.sessions.remove(*id);
                Ok(answer(499, Bytes::new()))
            }
            (&Method::GET, [bucket, ..]) if request.uri.query().is_none() => {
                let (_, name) = path[1..].split_once('/').unwrap_or_default();
                self.download(request, bucket, &decoded(name))
            }
            _ => refuse(404, "notFound", "Not Found"),
        }
    }

    fn bucket(&mut self, name: &str) -> Result<&mut BTreeMap<String, Object>, Refusal> {
        let missing = || {
            (
                404,
                "notFound",
                "The specified bucket does not exist.".to_owned(),
            )
        };
        self.buckets.get_mut(name).ok_or_else(missing)
    }

    /// Stores an object, which gets a generation of its own.
    pub(crate) fn put(&mut self, bucket: &str, name: &str, object: Object) -> u64 {
        self.generation += 7;
        let generation = self.generation;
        let objects = self.buckets.get_mut(bucket).expect("a bucket");
        objects.insert(
            name.to_owned(),
            Object {
                generation,
                ..object
            },
        );
        generation
    }

    pub(crate) fn unfinished_uploads(&self) -> usize {
        self.sessions
            .values()
            .filter(|session| session.is_open())
            .count()
    }
}

fn metadata_server(request: &Parts) -> Response<Bytes> {
    let is_client = request.headers.get("metadata-flavor");
    if is_client.is_none_or(|flavor| flavor != "Google") {
        return answer(403, Bytes::new());
    }
    let token = json!({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"});
    answer(200, token.to_string().into())
}

fn answer(status: u16, body: Bytes) -> Response<Bytes> {
    let response = Response::builder().status(status);
    response.body(body).expect("a response")
}

fn refuse<T>(status: u16, reason: &'static str, message: &str) -> Result<T, Refusal> {
    Err((status, reason, message.to_owned()))
}

/// The parameters of a request, which may have no others.
fn parameters(request: &Parts, known: &[&str]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut pairs: BTreeMap<String, String> = query(request).into_iter().collect();
    // How the answer looks, and that it has no ACLs, is as it is anyway.
    for (name, value) in [
        ("alt", "json"),
        ("prettyPrint", "false"),
        ("projection", "noAcl"),
    ] {
        if pairs.get(name).is_some_and(|given| given == value) {
            pairs.remove(name);
        }
    }
    match pairs.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => refuse(
            400,
            "invalidParameter",
            &format!("unknown parameter {name}"),
        ),
        None => Ok(pairs),
    }
}

/// Whether a condition on the generation holds; 0 is no object.
fn check_generation(wanted: Option<&String>, there: Option<&Object>) -> Result<(), Refusal> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let Ok(wanted) = wanted.parse::<u64>() else {
        return refuse(400, "invalid", "the generation is no number");
    };
    if there.map_or(0, |object| object.generation) == wanted {
        return Ok(());
    }
    let message = "At least one of the pre-conditions you specified did not hold.";
    refuse(412, "conditionNotMet", message)
}
