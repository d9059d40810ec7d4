//! From what the service tells about an object to [`Meta`].

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use crate::store::mark::MARK;
use crate::store::{Algorithm, Checksum, Key, Meta, Tag};

/// An object in the JSON API:
/// <https://docs.cloud.google.com/storage/docs/json_api/v1/objects#resource>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resource {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub size: Option<String>,
    #[serde(default)]
    pub generation: String,
    #[serde(default)]
    pub updated: Option<String>,
    #[serde(default)]
    pub md5_hash: Option<String>,
    #[serde(default)]
    pub crc32c: Option<String>,
    #[serde(default)]
    pub content_type: Option<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// The fields of [`Resource`] that a listing asks for.
pub(super) const LISTED: &str = "nextPageToken,prefixes,\
    items(name,size,generation,updated,md5Hash,crc32c,contentType)";

impl Resource {
    pub(super) fn size(&self) -> Option<u64> {
        self.size.as_ref()?.parse().ok()
    }

    pub(super) fn tag(&self) -> Option<Tag> {
        tag(&self.generation)
    }

    pub(super) fn modified(&self) -> Option<SystemTime> {
        let time = OffsetDateTime::parse(self.updated.as_ref()?, &Rfc3339).ok()?;
        Some(time.into())
    }

    /// The MD5, which an object made of several doesn't have, or the CRC.
    pub(super) fn checksum(&self) -> Option<Checksum> {
        let md5 = self.md5_hash.as_deref();
        let md5 = md5.and_then(|text| checksum(Algorithm::Md5, text));
        md5.or_else(|| self.crc())
    }

    pub(super) fn crc(&self) -> Option<Checksum> {
        checksum(Algorithm::Crc32c, self.crc32c.as_deref()?)
    }

    /// `None` when it has no size.
    pub(super) fn into_meta(self, key: &Key) -> Option<Meta> {
        Some(Meta {
            modified: self.modified(),
            tag: self.tag(),
            checksum: self.checksum(),
            user: without_mark(self.metadata.clone()),
            content_type: self.content_type.clone(),
            ..Meta::new(key.clone(), self.size()?)
        })
    }
}

fn tag(generation: &str) -> Option<Tag> {
    (!generation.is_empty()).then(|| Tag(generation.to_owned()))
}

fn without_mark(mut user: BTreeMap<String, String>) -> BTreeMap<String, String> {
    user.remove(MARK);
    user
}

fn checksum(algorithm: Algorithm, text: &str) -> Option<Checksum> {
    let value = BASE64_STANDARD.decode(text).ok()?;
    (value.len() == algorithm.length()).then_some(Checksum { algorithm, value })
}

/// The metadata in the headers of an answer with the bytes:
/// <https://docs.cloud.google.com/storage/docs/xml-api/reference-headers>.
pub(super) fn of_headers(key: &Key, size: u64, headers: &HeaderMap) -> Meta {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let hashes = headers.get_all("x-goog-hash").iter();
    let hashes = hashes.filter_map(|value| value.to_str().ok());
    let hashes: Vec<(&str, &str)> = hashes
        .flat_map(|value| value.split(','))
        .filter_map(|hash| hash.trim().split_once('='))
        .collect();
    let hash = |wanted: &str, algorithm| {
        let (_, value) = hashes.iter().find(|(name, _)| *name == wanted)?;
        checksum(algorithm, value)
    };
    let user = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("x-goog-meta-")?;
        let value = String::from_utf8(value.as_bytes().to_vec()).ok()?;
        Some((name.to_owned(), value))
    });
    let modified = text("last-modified");
    let modified = modified.and_then(|text| OffsetDateTime::parse(text, &Rfc2822).ok());
    Meta {
        modified: modified.map(SystemTime::from),
        tag: text("x-goog-generation").and_then(tag),
        checksum: hash("md5", Algorithm::Md5).or_else(|| hash("crc32c", Algorithm::Crc32c)),
        content_type: text("content-type").map(str::to_owned),
        user: without_mark(user.collect()),
        ..Meta::new(key.clone(), size)
    }
}
