//! Pages of a bucket's keys, in byte order, with common prefixes folded.

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object as Listed, ObjectStorageClass,
};
use s3s::{S3Request, S3Result, s3_error};

use super::faults::Action;
use super::log::Slot;
use super::server::Shared;
use super::state::{Bucket, Object};

/// An entry of a page.
pub(crate) enum Entry {
    Key(String, Arc<Object>),
    Prefix(String),
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Key(name, _) | Self::Prefix(name) => name,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    /// Only what comes after this.
    pub(crate) after: String,
    /// Whether `after` may be a common prefix that a page before has shown.
    pub(crate) skip_prefix: bool,
    pub(crate) limit: usize,
}

pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    pub(crate) truncated: bool,
}

/// The first page that `query` asks for.
pub(crate) fn page(bucket: &Bucket, query: &Query) -> Page {
    let mut entries = Vec::new();
    let mut from = if query.after < query.prefix {
        Bound::Included(query.prefix.clone())
    } else if query.skip_prefix && folded(query, &query.after).as_ref() == Some(&query.after) {
        Bound::Excluded(past(&query.after))
    } else {
        Bound::Excluded(query.after.clone())
    };
    while let Some((key, object)) = bucket.next(from.as_ref().map(String::as_str)) {
        if !key.starts_with(&query.prefix) {
            break;
        }
        if entries.len() == query.limit {
            return Page {
                entries,
                truncated: query.limit > 0,
            };
        }
        let entry = if let Some(prefix) = folded(query, &key) {
            from = Bound::Excluded(past(&prefix));
            Entry::Prefix(prefix)
        } else {
            from = Bound::Excluded(key.clone());
            Entry::Key(key, object)
        };
        entries.push(entry);
    }
    Page {
        entries,
        truncated: false,
    }
}

/// The common prefix that `key` disappears in.
fn folded(query: &Query, key: &str) -> Option<String> {
    let delimiter = query
        .delimiter
        .as_deref()
        .filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.strip_prefix(&query.prefix)?;
    let end = rest.find(delimiter)? + delimiter.len();
    Some(format!("{}{}", query.prefix, &rest[..end]))
}

/// A bound after every key below `prefix`.
fn past(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

/// A listing in either version of the API.
struct Listing {
    contents: Vec<Listed>,
    common_prefixes: Vec<CommonPrefix>,
    truncated: bool,
    last: Option<String>,
}

impl Listing {
    fn of(
        shared: &Shared,
        bucket: &str,
        query: &Query,
        url: bool,
        slot: Option<&Slot>,
    ) -> S3Result<Self> {
        let mut page = page(shared.state().bucket(bucket)?, query);
        let action = slot.and_then(|slot| slot.lock().ok()?.action.clone());
        let mut last = page.entries.last().map(|entry| entry.name().to_owned());
        match action {
            Some(Action::TruncatedList) => {
                page.entries.pop();
                page.truncated = false;
            }
            Some(Action::TokenlessList) => {
                page.truncated = true;
                last = None;
            }
            Some(Action::UnorderedList) => page.entries.reverse(),
            _ => {}
        }
        let mut listing = Self {
            contents: Vec::new(),
            common_prefixes: Vec::new(),
            truncated: page.truncated,
            last: last.filter(|_| page.truncated),
        };
        for entry in page.entries {
            match entry {
                Entry::Key(key, object) => {
                    listing.contents.push(listed(encoded(key, url), &object));
                }
                Entry::Prefix(prefix) => listing.common_prefixes.push(CommonPrefix {
                    prefix: Some(encoded(prefix, url)),
                }),
            }
        }
        Ok(listing)
    }
}

fn listed(key: String, object: &Object) -> Listed {
    let class = object.attributes.storage_class.clone();
    Listed {
        key: Some(key),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        size: i64::try_from(object.content.len()).ok(),
        last_modified: Some(object.modified.into()),
        storage_class: Some(ObjectStorageClass::from(
            class.unwrap_or_else(|| "STANDARD".to_owned()),
        )),
        ..Listed::default()
    }
}

/// `encoding-type=url` as S3 does it: a space becomes `+`, `/` stays.
pub(crate) fn encoded(text: String, url: bool) -> String {
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'*')
        .remove(b'/')
        .remove(b' ');
    if !url {
        return text;
    }
    utf8_percent_encode(&text, KEEP)
        .to_string()
        .replace(' ', "+")
}

pub(crate) fn is_url(encoding: Option<&EncodingType>) -> bool {
    encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL)
}

/// The size of a page: what was asked for, but no more than the double gives.
pub(crate) fn limit(shared: &Shared, asked: Option<i32>) -> S3Result<usize> {
    let asked = usize::try_from(asked.unwrap_or(1000))
        .map_err(|_| s3_error!(InvalidArgument, "a page has no negative size"))?;
    Ok(asked.min(shared.page_size))
}

pub(crate) fn list_v2(
    shared: &Shared,
    req: S3Request<ListObjectsV2Input>,
) -> S3Result<ListObjectsV2Output> {
    let slot = req.extensions.get::<Slot>().cloned();
    let input = req.input;
    let url = is_url(input.encoding_type.as_ref());
    let token = match input.continuation_token.as_deref() {
        Some(token) => Some(decode_token(token)?),
        None => None,
    };
    let query = Query {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        skip_prefix: token.is_some(),
        after: token
            .or_else(|| input.start_after.clone())
            .unwrap_or_default(),
        limit: limit(shared, input.max_keys)?,
    };
    let listing = Listing::of(shared, &input.bucket, &query, url, slot.as_ref())?;
    let count = listing.contents.len() + listing.common_prefixes.len();
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoded(query.prefix, url)),
        delimiter: input.delimiter.map(|text| encoded(text, url)),
        start_after: input.start_after.map(|text| encoded(text, url)),
        encoding_type: input.encoding_type,
        max_keys: Some(input.max_keys.unwrap_or(1000)),
        key_count: i32::try_from(count).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(listing.truncated),
        next_continuation_token: listing.last.map(|key| BASE64_URL_SAFE_NO_PAD.encode(key)),
        contents: Some(listing.contents),
        common_prefixes: Some(listing.common_prefixes),
        ..ListObjectsV2Output::default()
    })
}

fn decode_token(token: &str) -> S3Result<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "The continuation token provided is incorrect"
            )
        })
}

/// The first version of the API: `NextMarker` is given with a delimiter only.
pub(crate) fn list_v1(
    shared: &Shared,
    req: S3Request<ListObjectsInput>,
) -> S3Result<ListObjectsOutput> {
    let slot = req.extensions.get::<Slot>().cloned();
    let input = req.input;
    let url = is_url(input.encoding_type.as_ref());
    let query = Query {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        after: input.marker.clone().unwrap_or_default(),
        skip_prefix: true,
        limit: limit(shared, input.max_keys)?,
    };
    let listing = Listing::of(shared, &input.bucket, &query, url, slot.as_ref())?;
    let next = listing.last.filter(|_| input.delimiter.is_some());
    Ok(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoded(query.prefix, url)),
        marker: Some(encoded(query.after, url)),
        next_marker: next.map(|marker| encoded(marker, url)),
        delimiter: input.delimiter.map(|text| encoded(text, url)),
        encoding_type: input.encoding_type,
        max_keys: Some(input.max_keys.unwrap_or(1000)),
        is_truncated: Some(listing.truncated),
        contents: Some(listing.contents),
        common_prefixes: Some(listing.common_prefixes),
        ..ListObjectsOutput::default()
    })
}
