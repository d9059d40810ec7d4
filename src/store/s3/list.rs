//! Listing: `ListObjectsV2`.

use std::borrow::Cow;

use async_trait::async_trait;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, Object};
use percent_encoding::percent_decode_str;

use super::error::Failure;
use super::{S3Store, md5_in, tag_of, time_of};
use crate::store::pages::{Ask, Found, Page, Pages, contradiction};
use crate::store::{Error, ErrorKind, Result};

#[async_trait]
impl Pages for S3Store {
    async fn page(&self, ask: Ask<'_>) -> Result<Page> {
        // Found first, so that its own retries aren't multiplied by ours.
        self.client("list").await?;
        let policy = &self.shared.account.tuning().retry;
        let page = policy.run(|_| self.ask_page(ask)).await?;
        let next = page.next_continuation_token().map(str::to_owned);
        let is_truncated = page.is_truncated().unwrap_or(false);
        if is_truncated && next.is_none() {
            let what = "it is cut short and names no next page";
            return Err(contradiction(&self.folder.url, what));
        }
        let encoded = page.encoding_type() == Some(&EncodingType::Url);
        let objects = page.contents().iter();
        let folders = page.common_prefixes().iter().map(|folder| {
            let what = "it holds a folder without a name";
            let name = folder.prefix();
            let name = name.ok_or_else(|| contradiction(&self.folder.url, what))?;
            Ok(decoded(name, encoded)?.into_owned())
        });
        Ok(Page {
            objects: objects
                .map(|object| self.found(object, encoded))
                .collect::<Result<_>>()?,
            folders: folders.collect::<Result<_>>()?,
            next: next.filter(|_| is_truncated),
        })
    }
}

impl S3Store {
    async fn ask_page(&self, ask: Ask<'_>) -> Result<ListObjectsV2Output> {
        let client = self.client("list").await?;
        let start_after = ask.start_after.filter(|_| ask.token.is_none());
        let request = client
            .list_objects_v2()
            .bucket(&self.shared.bucket_name)
            .encoding_type(EncodingType::Url)
            .set_prefix((!ask.prefix.is_empty()).then(|| ask.prefix.to_owned()))
            .set_delimiter(ask.one_level.then(|| "/".to_owned()))
            .set_start_after(start_after.map(|name| sayable(name).to_owned()))
            .set_continuation_token(ask.token.map(str::to_owned));
        request.send().await.map_err(|error| {
            Failure::of(&error).into_error(&self.call("list", "s3:ListBucket", None))
        })
    }

    fn found(&self, object: &Object, encoded: bool) -> Result<Found> {
        let what = "it holds an object without a key";
        let name = object.key();
        let name = name.ok_or_else(|| contradiction(&self.folder.url, what))?;
        let tag = object.e_tag().and_then(tag_of);
        Ok(Found {
            name: decoded(name, encoded)?.into_owned(),
            size: object.size().and_then(|size| u64::try_from(size).ok()),
            modified: object.last_modified().and_then(time_of),
            checksum: tag.as_ref().and_then(|tag| md5_in(tag, None)),
            tag,
            content_type: None,
        })
    }
}

/// The part of a name that XML can hold: services repeat it in the answer, and Ceph doesn't
/// encode it there. Starting earlier only means to skip more.
fn sayable(name: &str) -> &str {
    let unsayable = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    name.find(unsayable).map_or(name, |end| &name[..end])
}

/// A name as the service encodes it on request: a plus sign is a space, as in botocore.
fn decoded(name: &str, encoded: bool) -> Result<Cow<'_, str>> {
    if !encoded || !name.contains(['%', '+']) {
        return Ok(name.into());
    }
    let spaced = name.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(name) => Ok(name.into_owned().into()),
        Err(_) => Err(Error::new(
            ErrorKind::Corrupt,
            "list",
            format!("the name '{name}' is not UTF-8"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_start_before_what_xml_cant_hold() {
        assert_eq!(sayable("a&b"), "a&b");
        assert_eq!(sayable("é\u{1}b"), "é");
    }

    #[test]
    fn names_are_decoded_only_when_they_are_encoded() {
        let text = |name, encoded| decoded(name, encoded).unwrap().into_owned();
        assert_eq!(text("a+b%2Bc%C3%BC", true), "a b+cü");
        assert_eq!(text("a+b%2Bc", false), "a+b%2Bc");
        assert!(decoded("%FF", true).is_err());
    }
}
