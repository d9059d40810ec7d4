//! Azure Blob Storage in this process, after its reference (version 2023-11-03): signatures of
//! all three kinds, preconditions, blocks, checksums and pages are held to strictly, and what
//! isn't understood is refused. Accounts are in the path, as with the emulator.

mod access;
mod blobs;
mod blocks;
mod copy;
mod listing;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, response};

pub(crate) use self::access::{key_of, sas};
pub(crate) use self::tokens::{CLIENT, SECRET, TENANT, TOKEN};
use crate::http_double::{self, Double, decoded, query};

/// The accounts, each with the containers `container` and `second`.
pub(crate) const ACCOUNTS: [&str; 2] = ["first", "other"];

const VERSION: &str = "2023-11-03";

/// 2026-01-02T03:04:05Z, when everything was written.
const LAST_MODIFIED: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

pub(crate) struct Azure {
    containers: BTreeMap<(String, String), Container>,
    /// The blocks that are in no blob yet.
    pending: BTreeMap<Place, BTreeMap<String, Bytes>>,
    etag: u64,
    pub(crate) page_size: usize,
    /// The largest blob that one call copies.
    pub(crate) largest_copy: usize,
    /// Copies from one account to another are refused.
    pub(crate) refuses_copies: bool,
    /// How the calls so far were signed.
    pub(crate) signed_by: BTreeSet<&'static str>,
}

pub(crate) type Container = BTreeMap<String, Blob>;

#[derive(Clone, Default)]
pub(crate) struct Blob {
    pub(crate) bytes: Bytes,
    pub(crate) etag: u64,
    pub(crate) content_type: String,
    /// In Base64, where whoever wrote it has said so.
    pub(crate) md5: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// An account, a container in it, and a blob there; the name is empty for the container itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    account: String,
    container: String,
    name: String,
}

/// A refusal: status, code, words.
type Refusal = (u16, &'static str, String);
type Outcome = Result<Response<Bytes>, Refusal>;

pub(crate) fn start() -> Double<Azure> {
    let containers = ACCOUNTS.iter().flat_map(|account| {
        ["container", "second"]
            .map(|name| (((*account).to_owned(), name.to_owned()), Container::new()))
    });
    Double::start(Azure {
        containers: containers.collect(),
        pending: BTreeMap::new(),
        etag: 0x8DC_0000_0000,
        page_size: 5000,
        largest_copy: 256 << 20,
        refuses_copies: false,
        signed_by: BTreeSet::new(),
    })
}

impl http_double::Service for Azure {
    fn answer(&mut self, request: &Parts, body: &Bytes) -> Response<Bytes> {
        if let Some(answer) = tokens::answer(request, body) {
            return answer;
        }
        let outcome = self.route(request, body);
        let mut answer = outcome.unwrap_or_else(|(status, code, message)| {
            let text = format!(
                "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code>\
                 <Message>{message}\nRequestId:R1\nTime:2026-01-02T03:04:05Z</Message></Error>"
            );
            let is_head = request.method == Method::HEAD;
            let body = if is_head { Bytes::new() } else { text.into() };
            let response = Response::builder()
                .status(status)
                .header("x-ms-error-code", code);
            response.body(body).expect("a response")
        });
        let headers = answer.headers_mut();
        headers.insert("x-ms-request-id", "R1".parse().expect("a header"));
        headers.insert("x-ms-version", VERSION.parse().expect("a header"));
        answer
    }
}

impl Azure {
    fn route(&mut self, request: &Parts, body: &Bytes) -> Outcome {
        let place = Place::of(request.uri.path())?;
        let grant = self.authorize(request, &place)?;
        let parameters = parameters(request)?;
        let text = |name: &str| parameters.get(name).map(String::as_str);
        let knows = |known: &[&str]| match parameters
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            Some(name) => refuse(
                400,
                "UnsupportedQueryParameter",
                &format!("unknown parameter {name}"),
            ),
            None => Ok(()),
        };
        let exists = self.container(&place)?.contains_key(&place.name);
        let call = Call {
            request,
            body,
            place: &place,
        };
        match (&request.method, text("comp")) {
            (&Method::GET, Some("list")) if place.name.is_empty() => {
                grant.allows("l")?;
                knows(&listing::PARAMETERS)?;
                self.list(&call, &parameters)
            }
            (_, _) if place.name.is_empty() => {
                refuse(400, "InvalidUri", "containers can only be listed here")
            }
            (&Method::GET | &Method::HEAD, None) => {
                grant.allows("r")?;
                knows(&[])?;
                self.get(&call)
            }
            (&Method::DELETE, None) => {
                grant.allows("d")?;
                knows(&[])?;
                self.delete(&call)
            }
            (&Method::PUT, comp) => {
                grant.allows(if exists { "w" } else { "cw" })?;
                check_name(&place.name)?;
                if text_of(request, "content-length").is_none() {
                    return refuse(411, "MissingContentLengthHeader", "no Content-Length");
                }
                let is_copy = request.headers.contains_key("x-ms-copy-source");
                match (comp, is_copy) {
                    (None, false) => {
                        knows(&[])?;
                        self.put_blob(&call)
                    }
                    (None, true) => {
                        knows(&[])?;
                        self.copy_blob(&call)
                    }
                    (Some("block"), is_copy) => {
                        knows(&["comp", "blockid"])?;
                        let id = text("blockid").unwrap_or_default();
                        if is_copy {
                            self.put_block_from_url(&call, id)
                        } else {
                            self.put_block(&call, id)
                        }
                    }
                    (Some("blocklist"), false) => {
                        knows(&["comp"])?;
                        self.put_block_list(&call)
                    }
                    _ => refuse(400, "InvalidQueryParameterValue", "no such comp"),
                }
            }
            _ => refuse(405, "UnsupportedHttpVerb", "no such operation"),
        }
    }

    fn container(&mut self, place: &Place) -> Result<&mut Container, Refusal> {
        let name = (place.account.clone(), place.container.clone());
        let missing = || {
            let message = "The specified container does not exist.";
            (404, "ContainerNotFound", message.to_owned())
        };
        self.containers.get_mut(&name).ok_or_else(missing)
    }

    /// The container of this name in the first account.
    pub(crate) fn of_first(&mut self, container: &str) -> &mut Container {
        let name = (ACCOUNTS[0].to_owned(), container.to_owned());
        self.containers.get_mut(&name).expect("a container")
    }

    /// Stores a blob, which gets an `ETag` of its own and takes all pending blocks away.
    fn put(&mut self, place: &Place, blob: Blob) -> Result<Blob, Refusal> {
        self.etag += 7;
        let blob = Blob {
            etag: self.etag,
            ..blob
        };
        self.pending.remove(place);
        self.container(place)?
            .insert(place.name.clone(), blob.clone());
        Ok(blob)
    }
}

/// One call on a blob or a container.
struct Call<'a> {
    request: &'a Parts,
    body: &'a Bytes,
    place: &'a Place,
}

impl Call<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        text_of(self.request, name)
    }

    /// Refuses headers that mean something to the service, but for these.
    fn takes(&self, known: &[&str]) -> Result<(), Refusal> {
        const ALWAYS: [&str; 2] = ["x-ms-date", "x-ms-version"];
        const MEANT: [&str; 9] = [
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
            "range",
            "content-md5",
            "content-type",
            "content-encoding",
            "content-language",
        ];
        let names = self.request.headers.keys().map(http::HeaderName::as_str);
        let mut odd = names.filter(|name| {
            let is_meant = name.starts_with("x-ms-") || MEANT.contains(name);
            let is_metadata = name.starts_with("x-ms-meta-") && known.contains(&"x-ms-meta-");
            is_meant && !is_metadata && !ALWAYS.contains(name) && !known.contains(name)
        });
        match odd.next() {
            Some(name) => refuse(400, "UnsupportedHeader", &format!("unknown header {name}")),
            None => Ok(()),
        }
    }

    /// Whether the conditions hold for what is there.
    fn check(&self, there: Option<&Blob>) -> Result<(), Refusal> {
        let unmet = |code| refuse(412, code, "The condition using HTTP header(s) is not met.");
        if let Some(wanted) = self.text("if-match")
            && there.map(Blob::quoted).as_deref() != Some(wanted)
        {
            return unmet(if self.request.headers.contains_key("x-ms-copy-source") {
                "TargetConditionNotMet"
            } else {
                "ConditionNotMet"
            });
        }
        match (self.text("if-none-match"), there) {
            (None, _) | (Some("*"), None) => Ok(()),
            (Some("*"), Some(_)) => refuse(
                409,
                "BlobAlreadyExists",
                "The specified blob already exists.",
            ),
            (Some(_), _) => refuse(400, "InvalidHeaderValue", "only a star is known here"),
        }
    }

    /// Compares the body with its checksum, where there is one.
    fn check_sum(&self) -> Result<(), Refusal> {
        match self.text("content-md5") {
            Some(sum) if sum != md5(self.body) => {
                refuse(400, "Md5Mismatch", "The MD5 value is not that of the body.")
            }
            _ => Ok(()),
        }
    }
}

impl Place {
    /// `/account/container/name`, percent-encoded.
    fn of(path: &str) -> Result<Self, Refusal> {
        let mut parts = path.trim_start_matches('/').splitn(3, '/').map(decoded);
        let mut next = || parts.next().unwrap_or_default();
        let place = Self {
            account: next(),
            container: next(),
            name: next(),
        };
        if place.container.is_empty() {
            refuse(400, "InvalidUri", "no container")
        } else {
            Ok(place)
        }
    }
}

impl Blob {
    /// The `ETag` as listings have it.
    fn tag(&self) -> String {
        format!("0x{:X}", self.etag)
    }

    /// The `ETag` as headers have it.
    fn quoted(&self) -> String {
        format!("\"{}\"", self.tag())
    }
}

/// <https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata#blob-names>
fn check_name(name: &str) -> Result<(), Refusal> {
    let is_bad = name.chars().count() > 1024
        || name.split('/').count() > 254
        || name.split('/').any(|segment| segment.ends_with('.'))
        || name.chars().any(|c| c == '\\' || c.is_control());
    if is_bad {
        refuse(400, "InvalidResourceName", "no blob can have this name")
    } else {
        Ok(())
    }
}

/// The parameters of a request but for those of a shared access signature.
fn parameters(request: &Parts) -> Result<BTreeMap<String, String>, Refusal> {
    let mut known = BTreeMap::new();
    for (name, value) in query(request) {
        if !access::SIGNATURE.contains(&name.as_str()) && known.insert(name, value).is_some() {
            return refuse(400, "InvalidQueryParameterValue", "a parameter comes twice");
        }
    }
    Ok(known)
}

fn md5(bytes: &[u8]) -> String {
    use base64::Engine;
    use kstate::store::{Algorithm, Checksum};
    base64::prelude::BASE64_STANDARD.encode(Checksum::of(Algorithm::Md5, bytes).value)
}

fn text_of<'a>(request: &'a Parts, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

fn done(response: response::Builder) -> Response<Bytes> {
    response.body(Bytes::new()).expect("a response")
}

fn refuse<T>(status: u16, code: &'static str, message: &str) -> Result<T, Refusal> {
    Err((status, code, message.to_owned()))
}
