//! From what the service tells about an object to [`Meta`].

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::store::{Algorithm, Checksum, Key, Meta, Tag};

/// What the names of user metadata begin with.
pub(super) const USER: &str = "x-oss-meta-";

/// An `ETag` as we keep it: without quotes.
pub(super) fn tag(etag: &str) -> Option<Tag> {
    let bare = etag.trim().trim_matches('"');
    (!bare.is_empty()).then(|| Tag(bare.to_owned()))
}

/// The tag as conditions have it.
pub(super) fn quoted(tag: &Tag) -> String {
    format!("\"{}\"", tag.0)
}

/// The checksum in hex that an `ETag` of an object written in one request is:
/// <https://www.alibabacloud.com/help/en/oss/developer-reference/putobject>.
pub(super) fn md5_in(tag: &Tag) -> Option<Checksum> {
    let digits = tag.0.as_bytes();
    if digits.len() != 2 * Algorithm::Md5.length() {
        return None;
    }
    let pairs = digits.chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    Some(Checksum {
        algorithm: Algorithm::Md5,
        value: pairs.collect::<Option<_>>()?,
    })
}

/// The CRC-64 of the whole object, which the service writes as a decimal number.
pub(super) fn crc(headers: &HeaderMap) -> Option<Checksum> {
    let text = headers.get("x-oss-hash-crc64ecma")?.to_str().ok()?;
    Some(Checksum {
        algorithm: Algorithm::Crc64Ecma,
        value: text.parse::<u64>().ok()?.to_be_bytes().to_vec(),
    })
}

/// The MD5 of what was written in one request. An answer with a part of it may tell the part's.
fn md5(headers: &HeaderMap) -> Option<Checksum> {
    if headers.contains_key("content-range") {
        return None;
    }
    let text = headers.get("content-md5")?.to_str().ok()?;
    let value = BASE64_STANDARD.decode(text).ok()?;
    let algorithm = Algorithm::Md5;
    (value.len() == algorithm.length()).then_some(Checksum { algorithm, value })
}

/// The metadata in the headers of an answer, with the mark of the write among it:
/// <https://www.alibabacloud.com/help/en/oss/developer-reference/headobject>.
pub(super) fn of_headers(key: &Key, size: u64, headers: &HeaderMap) -> Meta {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let user = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(USER)?;
        let value = String::from_utf8(value.as_bytes().to_vec()).ok()?;
        Some((name.to_owned(), value))
    });
    let modified = text("last-modified");
    let modified = modified.and_then(|text| OffsetDateTime::parse(text, &Rfc2822).ok());
    // `null` is the version of what was written while none were kept.
    let version = text("x-oss-version-id").filter(|id| *id != "null");
    Meta {
        modified: modified.map(SystemTime::from),
        tag: text("etag").and_then(tag),
        checksum: md5(headers).or_else(|| crc(headers)),
        content_type: text("content-type").map(str::to_owned),
        user: user.collect(),
        version: version.map(str::to_owned),
        ..Meta::new(key.clone(), size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_an_md5_is_one() {
        let md5 = "900150983CD24FB0D6963F7D28E17F72";
        let sum = |text: &str| md5_in(&Tag(text.to_owned())).map(|sum| sum.hex());
        assert_eq!(sum(md5), Some(md5.to_ascii_lowercase()));
        assert_eq!(sum(&format!("{md5}-2")), None);
        assert_eq!(sum(&"é".repeat(16)), None);
        assert_eq!(tag(&format!("\"{md5}\"")), Some(Tag(md5.to_owned())));
        assert_eq!(tag("\"\""), None);
    }
}
