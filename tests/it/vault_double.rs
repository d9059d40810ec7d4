//! A KV engine of Vault's, version 2, in this process, after its API documentation
//! (<https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>): tokens, namespaces,
//! check-and-set, versions and both ways to delete are held to strictly.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use serde_json::{Map, Value as Json, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::http_double::{self, Double, decoded, query};

/// What requests must carry.
pub(crate) const TOKEN: &str = "hvs.token-of-the-double";

/// How many versions are kept by default.
const MAX_VERSIONS: usize = 10;

/// The most that Vault's own storage takes, encoded.
const MAX_ENTRY: usize = 1 << 20;

/// The engine is mounted at `secret`.
#[derive(Default)]
pub(crate) struct Vault {
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// What `x-vault-namespace` must be; none when there are no namespaces.
    pub(crate) namespace: Option<String>,
    /// Writes without `cas` are refused.
    pub(crate) cas_required: bool,
    /// Lists deleted secrets too, as versions before 1.21 do.
    pub(crate) is_old: bool,
}

#[derive(Default)]
pub(crate) struct Secret {
    /// The newest version's number.
    pub(crate) current: u64,
    pub(crate) versions: BTreeMap<u64, Version>,
}

pub(crate) struct Version {
    pub(crate) data: Map<String, Json>,
    created: String,
    pub(crate) deleted: String,
}

/// A status, with Vault's words or none.
type Refusal = (u16, Vec<String>);
type Outcome = Result<(u16, Json), Refusal>;

pub(crate) fn start() -> Double<Vault> {
    Double::start(Vault::default())
}

impl http_double::Service for Vault {
    fn answer(&mut self, request: &Parts, body: &Bytes) -> Response<Bytes> {
        let (status, body) = match self.route(request, body) {
            Ok((204, _)) => (204, Bytes::new()),
            Ok((status, data)) => (status, json!({ "data": data }).to_string().into()),
            Err((status, errors)) => (status, json!({ "errors": errors }).to_string().into()),
        };
        let response = Response::builder().status(status);
        response.body(body).expect("a response")
    }
}

impl Vault {
    fn route(&mut self, request: &Parts, body: &Bytes) -> Outcome {
        let header = |name: &str| {
            request
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        if header("x-vault-token") != Some(TOKEN) {
            return refuse(403, "permission denied");
        }
        let path = decoded(request.uri.path());
        let Some(path) = path.strip_prefix("/v1/") else {
            return refuse(404, "no such page");
        };
        let known = self.namespace.as_deref();
        let rest = path.strip_prefix("secret/");
        let (Some(rest), true) = (rest, header("x-vault-namespace") == known) else {
            return refuse(
                404,
                &format!("no handler for route \"{path}\". route entry not found."),
            );
        };
        let asked = query(request);
        let names = asked
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let is_list = names.eq([("list", "true"), ("exclude_deleted", "true")]);
        if !asked.is_empty() && !is_list {
            return refuse(400, "unknown parameters");
        }
        match (&request.method, rest.split_once('/')) {
            (&Method::GET, Some(("metadata", folder))) if is_list => self.list(folder),
            (_, Some((_, path))) if is_list || path.is_empty() || path.ends_with('/') => {
                refuse(405, "unsupported operation")
            }
            (&Method::GET, Some(("data", path))) => self.read(path),
            (&Method::POST, Some(("data", path))) => self.write(path, body),
            (&Method::POST, Some(("delete", path))) => self.delete(path, body),
            _ => refuse(405, "unsupported operation"),
        }
    }

    fn read(&self, path: &str) -> Outcome {
        let secret = self.secrets.get(path).ok_or((404, Vec::new()))?;
        let number = secret.current;
        let version = secret.versions.get(&number).ok_or((404, Vec::new()))?;
        let is_deleted = !version.deleted.is_empty();
        let data = if is_deleted {
            Json::Null
        } else {
            Json::from(version.data.clone())
        };
        let metadata = version.metadata(number);
        Ok((
            if is_deleted { 404 } else { 200 },
            json!({ "data": data, "metadata": metadata }),
        ))
    }

    fn write(&mut self, path: &str, body: &Bytes) -> Outcome {
        let mut fields = object(body, &["data", "options"])?;
        let Some(Json::Object(data)) = fields.remove("data") else {
            return refuse(400, "no data provided");
        };
        let cas = match fields.remove("options") {
            None => None,
            Some(Json::Object(options)) if options.keys().eq(["cas"]) => match &options["cas"] {
                Json::Number(number) => number.as_u64(),
                _ => return refuse(400, "error parsing check-and-set parameter"),
            },
            Some(_) => return refuse(400, "unknown options"),
        };
        if body.len() > MAX_ENTRY {
            return refuse(500, "put failed due to value being too large");
        }
        let current = self.secrets.get(path).map_or(0, |secret| secret.current);
        match cas {
            Some(cas) if cas != current => {
                let words = "check-and-set parameter did not match the current version";
                return refuse(400, words);
            }
            None if self.cas_required => {
                return refuse(400, "check-and-set parameter required for this call");
            }
            _ => {}
        }
        let version = Version {
            data,
            created: now(),
            deleted: String::new(),
        };
        let secret = self.secrets.entry(path.to_owned()).or_default();
        secret.current += 1;
        let told = version.metadata(secret.current);
        secret.versions.insert(secret.current, version);
        while secret.versions.len() > MAX_VERSIONS {
            secret.versions.pop_first();
        }
        Ok((200, told))
    }

    fn delete(&mut self, path: &str, body: &Bytes) -> Outcome {
        let fields = object(body, &["versions"])?;
        let numbers = fields.get("versions").and_then(Json::as_array);
        let numbers: Option<Vec<u64>> =
            numbers.and_then(|numbers| numbers.iter().map(Json::as_u64).collect());
        let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) else {
            return refuse(400, "No version number provided");
        };
        if let Some(secret) = self.secrets.get_mut(path) {
            for number in numbers {
                if let Some(version) = secret.versions.get_mut(&number) {
                    version.deleted = now();
                }
            }
        }
        Ok((204, Json::Null))
    }

    /// Names of one level.
    fn list(&self, folder: &str) -> Outcome {
        if !folder.is_empty() && !folder.ends_with('/') {
            return refuse(405, "a folder ends in a slash");
        }
        let secrets = self.secrets.iter();
        let listed = secrets.filter(|(_, secret)| self.is_old || !secret.is_deleted());
        let below = listed.filter_map(|(path, _)| path.strip_prefix(folder));
        let names = below.map(|name| match name.split_once('/') {
            Some((next, _)) => format!("{next}/"),
            None => name.to_owned(),
        });
        let names: BTreeSet<String> = names.collect();
        if names.is_empty() {
            return Err((404, Vec::new()));
        }
        Ok((200, json!({ "keys": names })))
    }

    /// What a secret's newest version holds, deleted or not.
    pub(crate) fn newest(&self, path: &str) -> &Version {
        let secret = &self.secrets[path];
        &secret.versions[&secret.current]
    }

    /// Writes a secret as somebody else would.
    pub(crate) fn put(&mut self, path: &str, data: &Json) {
        let body = json!({ "data": data }).to_string();
        let written = self.write(path, &body.into());
        written.expect("a secret");
    }
}

impl Secret {
    fn is_deleted(&self) -> bool {
        let newest = self.versions.get(&self.current);
        newest.is_none_or(|version| !version.deleted.is_empty())
    }
}

impl Version {
    fn metadata(&self, number: u64) -> Json {
        json!({
            "version": number,
            "created_time": self.created,
            "deletion_time": self.deleted,
            "destroyed": false,
            "custom_metadata": null,
        })
    }
}

fn object(body: &Bytes, known: &[&str]) -> Result<Map<String, Json>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Json::Object(fields)) if fields.keys().all(|name| known.contains(&name.as_str())) => {
            Ok(fields)
        }
        _ => Err((400, vec!["error parsing JSON".to_owned()])),
    }
}

fn now() -> String {
    let now = OffsetDateTime::now_utc().format(&Rfc3339);
    now.expect("a time of this century")
}

fn refuse<T>(status: u16, words: &str) -> Result<T, Refusal> {
    Err((status, vec![words.to_owned()]))
}
