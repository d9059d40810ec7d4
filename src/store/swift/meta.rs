//! From what Swift tells about an object to [`Meta`].

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::store::{Checksum, Key, Meta, Tag};

/// What the name of a header of user metadata begins with.
pub(super) const USER: &str = "x-object-meta-";

/// The metadata in an answer's headers:
/// <https://docs.openstack.org/api-ref/object-store/#get-object-content-and-metadata>.
pub(super) fn of_headers(key: &Key, size: u64, headers: &HeaderMap) -> Meta {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let tag = tag_in(headers);
    let user = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(USER)?;
        let value = String::from_utf8(value.as_bytes().to_vec()).ok()?;
        Some((name.to_owned(), value))
    });
    let changed = text("last-modified").and_then(|text| OffsetDateTime::parse(text, &Rfc2822).ok());
    Meta {
        modified: text("x-timestamp")
            .and_then(timestamp)
            .or(changed.map(SystemTime::from)),
        checksum: tag
            .as_ref()
            .filter(|_| !is_manifest(headers))
            .and_then(|Tag(tag)| Checksum::md5_of_hex(tag)),
        tag,
        content_type: text("content-type").map(str::to_owned),
        user: user.collect(),
        ..Meta::new(key.clone(), size)
    }
}

/// Whether the object is made of others, so that its tag is no checksum of its bytes.
fn is_manifest(headers: &HeaderMap) -> bool {
    is_large(headers) || headers.contains_key("x-object-manifest")
}

/// Whether the object is a static large one.
pub(super) fn is_large(headers: &HeaderMap) -> bool {
    let value = headers.get("x-static-large-object");
    value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// The tag in an answer's headers.
pub(super) fn tag_in(headers: &HeaderMap) -> Option<Tag> {
    headers.get("etag")?.to_str().ok().and_then(tag)
}

/// Large objects have it in quotes.
pub(super) fn tag(etag: &str) -> Option<Tag> {
    let bare = etag.trim_matches('"');
    (!bare.is_empty()).then(|| Tag(bare.to_owned()))
}

/// Seconds since 1970, with the parts behind a dot.
fn timestamp(text: &str) -> Option<SystemTime> {
    let seconds = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn the_tag_of_what_is_made_of_others_is_no_checksum() {
        let key = Key::parse("k").unwrap();
        for (header, is_sum) in [
            (("x-unknown", "x"), true),
            (("x-static-large-object", "True"), false),
            (("x-object-manifest", "c/p"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header.0, header.1.parse().unwrap());
            headers.insert("etag", format!("\"{MD5}\"").parse().unwrap());
            let meta = of_headers(&key, 3, &headers);
            assert_eq!(meta.tag, Some(Tag(MD5.into())));
            assert_eq!(meta.checksum.is_some(), is_sum, "{}", header.0);
        }
    }

    #[test]
    fn times_have_parts_of_seconds() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "last-modified",
            "Fri, 02 Jan 2026 03:04:06 GMT".parse().unwrap(),
        );
        let modified = |headers: &HeaderMap| {
            let modified = of_headers(&Key::parse("k").unwrap(), 0, headers).modified;
            modified
                .unwrap()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
        };
        assert_eq!(modified(&headers), Duration::from_secs(1_767_323_046));
        headers.insert("x-timestamp", "1767323045.50000".parse().unwrap());
        assert_eq!(modified(&headers), Duration::from_millis(1_767_323_045_500));
    }
}
