//! Headers and [`Meta`], and the names that Azure's metadata can't have.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::request::Builder;
use percent_encoding::percent_decode_str;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::store::mark::MARK;
use crate::store::rest::encoded;
use crate::store::{Algorithm, Checksum, Key, Meta, Tag};

const PREFIX: &str = "x-ms-meta-";

/// The metadata by which folders are told.
pub(super) const FOLDER: &str = "hdi_isfolder";

/// What begins the name of metadata whose own name is no identifier, or whose value no header:
/// then the rest of the name is the real one in hex, and the value is percent-encoded.
const ESCAPE: &str = "kstate_";

/// Adds the user metadata to a request. Azure takes only identifiers as names:
/// <https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>.
pub(super) fn with_user(mut request: Builder, user: &BTreeMap<String, String>) -> Builder {
    for (name, value) in user {
        let (name, value) = if is_plain(name, value) {
            (name.clone(), value.clone())
        } else {
            (format!("{ESCAPE}{}", hex(name)), encoded(value))
        };
        request = request.header(format!("{PREFIX}{name}"), value);
    }
    request
}

fn is_plain(name: &str, value: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|first| first.is_ascii_lowercase() || first == b'_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.starts_with(ESCAPE)
        // The service signs a value without blanks at its ends, and one for several between.
        && value.trim() == value
        && !value.contains("  ")
        && !value.is_empty()
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn unhex(text: &str) -> Option<String> {
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    String::from_utf8(pairs.collect::<Option<_>>()?).ok()
}

/// The user metadata of an answer, the mark included.
pub(super) fn user_of(headers: &HeaderMap) -> BTreeMap<String, String> {
    let pairs = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(PREFIX)?;
        let value = value.to_str().ok()?;
        let escaped = name
            .strip_prefix(ESCAPE)
            .and_then(unhex)
            .filter(|name| !name.is_empty());
        Some(match escaped {
            Some(name) => (
                name,
                percent_decode_str(value).decode_utf8().ok()?.into_owned(),
            ),
            None => (name.to_owned(), value.to_owned()),
        })
    });
    pairs.collect()
}

/// Whether headers are those of a folder, which Data Lake and its tools show as empty blobs:
/// <https://learn.microsoft.com/azure/storage/blobs/storage-blobs-list#list-blobs-hierarchically>.
pub(super) fn is_folder(headers: &HeaderMap) -> bool {
    let folder = headers.get(format!("{PREFIX}{FOLDER}"));
    folder.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// An `ETag` as we keep it: without quotes.
pub(super) fn tag(etag: &str) -> Option<Tag> {
    let bare = etag.trim_matches('"');
    (!bare.is_empty()).then(|| Tag(bare.to_owned()))
}

/// The tag as `If-Match` has it.
pub(super) fn quoted(tag: &Tag) -> String {
    format!("\"{}\"", tag.0)
}

pub(super) fn md5(text: &str) -> Option<Checksum> {
    let value = BASE64_STANDARD.decode(text).ok()?;
    (value.len() == 16).then_some(Checksum {
        algorithm: Algorithm::Md5,
        value,
    })
}

pub(super) fn modified(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc2822).ok().map(Into::into)
}

/// The metadata in the headers of an answer about a whole object of this size.
pub(super) fn of_headers(key: &Key, size: u64, headers: &HeaderMap) -> Meta {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Of a part, `Content-MD5` is the part's.
    let whole = text("x-ms-blob-content-md5");
    let whole = whole.or_else(|| text("content-md5").filter(|_| text("content-range").is_none()));
    let mut user = user_of(headers);
    user.remove(MARK);
    Meta {
        modified: text("last-modified").and_then(modified),
        tag: text("etag").and_then(tag),
        checksum: whole.and_then(md5),
        content_type: text("content-type").map(str::to_owned),
        user,
        ..Meta::new(key.clone(), size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metadata_comes_back_as_it_was() {
        let pairs = [
            ("plain_1", "a value"),
            ("with-hyphen", "x"),
            ("Upper", "x"),
            ("kstate_61", "x"),
            ("umlaut", "ü \u{1}"),
            ("spaces", " x "),
            ("between", "x  y"),
            ("empty", ""),
            ("1st", "x"),
        ];
        let user: BTreeMap<String, String> = pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let request = with_user(http::Request::put("http://h/"), &user);
        let request = request.body(()).expect("only legal headers");
        assert_eq!(user_of(request.headers()), user);
        assert!(request.headers().contains_key("x-ms-meta-plain_1"));
    }
}
