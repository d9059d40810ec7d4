//! The object store of `OpenStack` in this process, with the two services that make tokens for it,
//! after their documents (Object Storage API v1, Identity API v3, and Swift's `TempAuth`, SLO, bulk
//! and copy middleware). What they don't know is refused.

mod bulk;
mod identity;
mod large;
mod listing;
mod objects;

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use serde_json::json;

use crate::http_double::{self, Double, decoded, query};
pub(crate) use large::Segment;

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one way in which services differ"
)]
pub(crate) struct Swift {
    /// Containers by account: `AUTH_p1` in region One, `two/AUTH_p1` in region Two.
    pub(crate) accounts: BTreeMap<String, BTreeMap<String, Container>>,
    /// The accounts that tokens are for.
    tokens: HashMap<String, Vec<String>>,
    /// How many tokens were made.
    pub(crate) signed_in: usize,
    /// The most names in a page.
    pub(crate) page_size: usize,
    pub(crate) max_file_size: usize,
    pub(crate) max_segments: usize,
    /// How many objects one request deletes; none where it can't.
    pub(crate) max_deletes: Option<usize>,
    pub(crate) has_large_objects: bool,
    /// Whether anybody may ask what the service can do.
    pub(crate) tells_info: bool,
    /// Whether what isn't asked of all replicas is of the version before.
    pub(crate) lags: bool,
    /// How many writes to what exists come to nothing, as if something newer were there.
    pub(crate) behind: usize,
    /// How bulk deletes call what they don't delete, instead of by its path.
    pub(crate) misnames: bool,
    /// What bulk deletes must not delete.
    pub(crate) protected: Option<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Container {
    pub(crate) objects: BTreeMap<String, Object>,
    /// What was replaced, by name.
    before: BTreeMap<String, Object>,
}

#[derive(Clone, Default)]
pub(crate) struct Object {
    /// Of a large object, its manifest.
    pub(crate) bytes: Bytes,
    pub(crate) content_type: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// What a large object is made of.
    pub(crate) segments: Option<Vec<Segment>>,
    /// Microseconds since 1970.
    pub(crate) timestamp: u64,
}

/// A refusal: status, words.
type Refusal = (u16, String);
type Outcome = Result<Response<Bytes>, Refusal>;

/// A service whose accounts all have the containers `container` and `other`.
pub(crate) fn start() -> Double<Swift> {
    let containers: BTreeMap<_, _> = ["container", "other"]
        .map(|name| (name.to_owned(), Container::default()))
        .into();
    Double::start(Swift {
        accounts: identity::ACCOUNTS
            .map(|account| (account.to_owned(), containers.clone()))
            .into(),
        tokens: HashMap::new(),
        signed_in: 0,
        page_size: 10_000,
        max_file_size: 5 << 30,
        max_segments: 1000,
        max_deletes: Some(10_000),
        has_large_objects: true,
        tells_info: true,
        lags: false,
        behind: 0,
        misnames: false,
        protected: None,
    })
}

impl http_double::Service for Swift {
    fn answer(&mut self, request: &Parts, body: &Bytes) -> Response<Bytes> {
        let path = request.uri.path();
        if path.starts_with("/v3") {
            return self.keystone(request, body);
        }
        if path == "/auth/v1.0" {
            return self.temp_auth(request);
        }
        let outcome = match path {
            "/info" | "/two/info" => self.info(request),
            _ => self.route(request, body),
        };
        outcome.unwrap_or_else(|(status, message)| {
            let response = Response::builder()
                .status(status)
                .header("content-type", "text/html; charset=UTF-8")
                .header("x-trans-id", "tx-of-the-double");
            let page = format!("<html><h1>Refused</h1><p>{message}</p></html>");
            response.body(page.into()).expect("a response")
        })
    }
}

impl Swift {
    fn info(&self, request: &Parts) -> Outcome {
        if !self.tells_info || request.headers.contains_key("x-auth-token") {
            return refuse(403, "Access was denied to this resource.");
        }
        let mut info = json!({ "swift": {
            "version": "2.30.1", "max_file_size": self.max_file_size,
            "container_listing_limit": 10_000,
        }});
        if self.has_large_objects {
            info["slo"] = json!({ "max_manifest_segments": self.max_segments,
                "min_segment_size": 1 });
        }
        if let Some(most) = self.max_deletes {
            info["bulk_delete"] = json!({ "max_deletes_per_request": most });
        }
        Ok(answer(200, info.to_string().into()))
    }

    fn route(&mut self, request: &Parts, body: &Bytes) -> Outcome {
        let path = request.uri.path();
        let (region, rest) = match path.strip_prefix("/two/v1/") {
            Some(rest) => ("two/", rest),
            None => match path.strip_prefix("/v1/") {
                Some(rest) => ("", rest),
                None => return refuse(404, "The resource could not be found."),
            },
        };
        let mut names = rest.splitn(3, '/').map(decoded);
        let account = format!("{region}{}", names.next().unwrap_or_default());
        let token = request.headers.get("x-auth-token");
        let token = token.and_then(|token| token.to_str().ok());
        let Some(accounts) = token.and_then(|token| self.tokens.get(token)) else {
            return refuse(401, "This server could not verify that you are authorized.");
        };
        if !accounts.contains(&account) {
            return refuse(403, "Access was denied to this resource.");
        }
        let place = (&*account, names.next().unwrap_or_default(), names.next());
        match (&request.method, place) {
            (&Method::POST, (account, container, None)) if container.is_empty() => {
                self.bulk_delete(request, body, account)
            }
            (&Method::GET, (account, container, None)) => self.list(request, account, &container),
            (&Method::HEAD, (account, container, None)) => {
                parameters(request, &[])?;
                self.container(account, &container)?;
                Ok(answer(204, Bytes::new()))
            }
            (method, (account, container, Some(name))) if !name.is_empty() => match *method {
                Method::PUT => self.put_object(request, body, (account, &container, &name)),
                Method::GET | Method::HEAD => {
                    self.get_object(request, (account, &container, &name))
                }
                Method::DELETE => self.delete_object(request, (account, &container, &name)),
                _ => refuse(405, "The method is not allowed for this resource."),
            },
            _ => refuse(405, "The method is not allowed for this resource."),
        }
    }

    /// Forgets all tokens, as if their time had come.
    pub(crate) fn expire(&mut self) {
        self.tokens.clear();
    }

    fn container(&mut self, account: &str, name: &str) -> Result<&mut Container, Refusal> {
        let containers = self.accounts.get_mut(account).expect("an account");
        let container = containers.get_mut(name);
        container.ok_or_else(|| (404, "The resource could not be found.".to_owned()))
    }

    /// The objects of a container of the account `AUTH_p1`.
    pub(crate) fn objects(&mut self, container: &str) -> &mut BTreeMap<String, Object> {
        &mut self
            .container("AUTH_p1", container)
            .expect("a container")
            .objects
    }

    /// Stores an object, now.
    pub(crate) fn put(&mut self, (account, container, name): Place<'_>, mut object: Object) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("after 1970").as_micros();
        object.timestamp = u64::try_from(now).expect("not so late");
        let container = self.container(account, container).expect("a container");
        if let Some(before) = container.objects.insert(name.to_owned(), object) {
            container.before.insert(name.to_owned(), before);
        }
    }
}

/// Account, container, object.
type Place<'a> = (&'a str, &'a str, &'a str);

fn answer(status: u16, body: Bytes) -> Response<Bytes> {
    let response = Response::builder().status(status);
    response.body(body).expect("a response")
}

fn refuse<T>(status: u16, message: &str) -> Result<T, Refusal> {
    Err((status, message.to_owned()))
}

/// The parameters of a request, which may have no others.
fn parameters(request: &Parts, known: &[&str]) -> Result<BTreeMap<String, String>, Refusal> {
    let pairs: BTreeMap<String, String> = query(request).into_iter().collect();
    match pairs.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => refuse(400, &format!("unknown parameter {name}")),
        None => Ok(pairs),
    }
}

/// A header's text.
fn text<'a>(request: &'a Parts, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}
