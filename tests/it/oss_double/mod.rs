//! Alibaba Cloud OSS in this process, after its API reference: V4 signatures, digests, versions,
//! pages and the sizes of parts are held to strictly, and what isn't understood is refused. It
//! also is the metadata service of a machine in Alibaba Cloud, and hands out roles.

mod auth;
mod listing;
mod machine;
mod objects;
mod state;
mod upload;
mod xml;

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};

use url::form_urlencoded;

use crate::http_double::{self, Double, decoded};
pub(crate) use machine::{IDENTITY, ROLE};
pub(crate) use state::{Bucket, Object, Versioning};
use upload::Upload;

/// The region that signatures must be for.
pub(crate) const REGION: &str = "cn-hangzhou";
/// A key that lasts, and its secret.
pub(crate) const KEY: (&str, &str) = ("key-of-the-double", "secret-of-the-double");

pub(crate) struct Oss {
    pub(crate) buckets: BTreeMap<String, Bucket>,
    uploads: HashMap<String, Upload>,
    /// Numbers requests, uploads and versions.
    count: u64,
    /// The most entries of a page, however many are asked for.
    pub(crate) page_size: usize,
    /// The largest object that `CopyObject` takes.
    pub(crate) largest_copy: usize,
    /// Whether the caller may not know whether a bucket keeps versions.
    pub(crate) hides_versioning: bool,
    /// Whether copies between buckets are refused.
    pub(crate) refuses_copies: bool,
    /// Objects whose deletion is refused.
    pub(crate) undeletable: Option<String>,
    /// The host that this bucket's requests should have gone to instead.
    pub(crate) moved_to: Option<String>,
}

/// An answer that is no success.
pub(crate) struct Refusal {
    status: u16,
    code: &'static str,
    /// The number of the error in Alibaba's documents.
    ec: &'static str,
    message: String,
    endpoint: Option<String>,
}

type Outcome<T = Response<Bytes>> = Result<T, Refusal>;

/// A request to a bucket.
struct Asked<'a> {
    request: &'a Parts,
    bucket: &'a str,
    /// Empty for the bucket itself.
    name: &'a str,
    body: &'a Bytes,
    query: BTreeMap<String, String>,
}

/// A service with the buckets `bucket` and `other`, which keep no versions.
pub(crate) fn start() -> Double<Oss> {
    Double::start(Oss {
        buckets: ["bucket", "other"]
            .map(|name| (name.to_owned(), Bucket::default()))
            .into(),
        uploads: HashMap::new(),
        count: 0,
        page_size: 1000,
        largest_copy: 1 << 30,
        hides_versioning: false,
        refuses_copies: false,
        undeletable: None,
        moved_to: None,
    })
}

impl http_double::Service for Oss {
    fn answer(&mut self, request: &Parts, body: &Bytes) -> Response<Bytes> {
        let path = request.uri.path();
        if path.starts_with("/latest/") {
            return machine::answer(request, path);
        }
        if path == "/" {
            return machine::security_token(request);
        }
        self.count += 1;
        let id = format!("{:024X}", self.count);
        let (bucket, name) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
        let name = decoded(name);
        let asked = Asked {
            request,
            bucket,
            name: &name,
            body,
            // As of a form: a plus sign is a blank.
            query: form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
        };
        let outcome = self.check(&asked).and_then(|()| self.route(&asked));
        let mut response = outcome.unwrap_or_else(|refusal| refusal.response(request, &id));
        let headers = response.headers_mut();
        headers.insert("x-oss-request-id", id.parse().expect("a header"));
        headers.insert("server", "AliyunOSS".parse().expect("a header"));
        response
    }
}

impl Oss {
    fn check(&mut self, asked: &Asked<'_>) -> Outcome<()> {
        auth::check(asked)?;
        let request = asked.request;
        let has_body = matches!(request.method, Method::PUT | Method::POST);
        let is_told = ["content-length", "transfer-encoding"]
            .iter()
            .any(|name| request.headers.contains_key(*name));
        if has_body && !is_told {
            let message = "You must provide the Content-Length HTTP header.";
            return refuse(411, "MissingContentLength", "", message);
        }
        if let Some(endpoint) = &self.moved_to {
            return Err(Refusal {
                status: 403,
                code: "AccessDenied",
                ec: "0003-00001403",
                message: "The bucket you are attempting to access must be addressed using the \
                    specified endpoint."
                    .to_owned(),
                endpoint: Some(endpoint.clone()),
            });
        }
        if !self.buckets.contains_key(asked.bucket) {
            let message = "The specified bucket does not exist.";
            return refuse(404, "NoSuchBucket", "0015-00000101", message);
        }
        if asked.name.len() > 1023 || asked.name.starts_with(['/', '\\']) {
            let message = "The specified object is not valid.";
            return refuse(400, "InvalidObjectName", "0016-00000005", message);
        }
        Ok(())
    }

    fn route(&mut self, asked: &Asked<'_>) -> Outcome {
        let has = |name: &str| asked.query.contains_key(name);
        let copies = asked.header("x-oss-copy-source").is_some();
        match (asked.request.method.as_str(), asked.name.is_empty()) {
            ("GET", true) if has("list-type") => self.list(asked),
            ("GET", true) if has("versioning") => self.versioning(asked),
            ("POST", true) if has("delete") => self.delete_many(asked),
            ("PUT", false) if has("uploadId") && copies => self.copy_part(asked),
            ("PUT", false) if has("uploadId") => self.put_part(asked),
            ("PUT", false) if copies => self.copy(asked),
            ("PUT", false) => self.put(asked),
            ("POST", false) if has("uploads") => self.begin(asked),
            ("POST", false) if has("uploadId") => self.complete(asked),
            ("DELETE", false) if has("uploadId") => self.abort(asked),
            ("DELETE", false) => self.delete(asked),
            ("GET" | "HEAD", false) => self.get(asked),
            _ => refuse(501, "NotImplemented", "", "the double doesn't know this"),
        }
    }

    fn versioning(&mut self, asked: &Asked<'_>) -> Outcome {
        asked.only(&["versioning"], &[])?;
        if self.hides_versioning {
            let message = "You have no right to access this object because of bucket acl.";
            return refuse(403, "AccessDenied", "0003-00000001", message);
        }
        let status = match self.bucket(asked).versioning {
            Versioning::Never => "",
            Versioning::Enabled => "<Status>Enabled</Status>",
            Versioning::Suspended => "<Status>Suspended</Status>",
        };
        Ok(xml::answer("VersioningConfiguration", status))
    }

    fn bucket(&mut self, asked: &Asked<'_>) -> &mut Bucket {
        let bucket = self.buckets.get_mut(asked.bucket);
        bucket.expect("it was looked for")
    }

    fn next_id(&mut self) -> String {
        self.count += 1;
        format!("CAEQ{:016X}", self.count)
    }

    pub(crate) fn unfinished_uploads(&self) -> usize {
        self.uploads.len()
    }

    /// The bytes of an object of `bucket`.
    pub(crate) fn bytes(&self, name: &str) -> Option<Bytes> {
        let object = self.buckets["bucket"].current(name)?;
        Some(object.bytes.clone())
    }
}

impl Asked<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name)?.to_str().ok()
    }

    /// Refuses parameters and headers but these, and those of every request.
    fn only(&self, parameters: &[&str], headers: &[&str]) -> Outcome<()> {
        const COMMON: [&str; 14] = [
            "accept",
            "accept-encoding",
            "authorization",
            "connection",
            "content-length",
            "content-type",
            "date",
            "expect",
            "host",
            "transfer-encoding",
            "user-agent",
            "x-oss-content-sha256",
            "x-oss-date",
            "x-oss-security-token",
        ];
        let mut names = self.query.keys();
        if let Some(name) = names.find(|name| !parameters.contains(&name.as_str())) {
            return refuse(400, "InvalidArgument", "", format!("the parameter {name}"));
        }
        let is_known = |name: &str| {
            let is_user = name.starts_with("x-oss-meta-") && headers.contains(&"x-oss-meta-");
            is_user || COMMON.contains(&name) || headers.contains(&name)
        };
        let mut names = self.request.headers.keys();
        match names.find(|name| !is_known(name.as_str())) {
            Some(name) => refuse(400, "InvalidArgument", "", format!("the header {name}")),
            None => Ok(()),
        }
    }

    /// `Content-MD5` must be that of the body.
    fn check_digest(&self) -> Outcome<()> {
        let Some(given) = self.header("content-md5") else {
            return Ok(());
        };
        if given == objects::md5_base64(self.body) {
            return Ok(());
        }
        let message = "The Content-MD5 you specified did not match what we received.";
        refuse(400, "InvalidDigest", "0017-00000201", message)
    }

    /// Whether the caller forbids to overwrite.
    fn forbids(&self) -> Outcome<bool> {
        match self.header("x-oss-forbid-overwrite") {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => refuse(
                400,
                "InvalidArgument",
                "0017-00000279",
                "x-oss-forbid-overwrite is true or false",
            ),
        }
    }
}

fn refuse<T>(
    status: u16,
    code: &'static str,
    ec: &'static str,
    message: impl Into<String>,
) -> Outcome<T> {
    Err(Refusal {
        status,
        code,
        ec,
        message: message.into(),
        endpoint: None,
    })
}

impl Refusal {
    /// Errors go in the body, and for HEAD in a header.
    fn response(&self, request: &Parts, id: &str) -> Response<Bytes> {
        let Self {
            status,
            code,
            ec,
            message,
            endpoint,
        } = self;
        let endpoint = endpoint
            .as_deref()
            .map_or_else(String::new, |host| format!("<Endpoint>{host}</Endpoint>"));
        let error = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n  <Code>{code}</Code>\n  \
             <Message>{}</Message>\n  <RequestId>{id}</RequestId>\n  \
             <HostId>127.0.0.1</HostId>\n  {endpoint}<EC>{ec}</EC>\n</Error>\n",
            xml::escaped(message)
        );
        let response = Response::builder().status(*status).header("x-oss-ec", *ec);
        let response = if request.method == Method::HEAD {
            let error = BASE64_STANDARD.encode(error);
            response.header("x-oss-err", error).body(Bytes::new())
        } else {
            let response = response.header("content-type", "application/xml");
            response.body(error.into())
        };
        response.expect("a response")
    }
}
