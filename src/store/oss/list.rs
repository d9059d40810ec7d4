//! Listing: `ListObjectsV2`.

use std::time::SystemTime;

use async_trait::async_trait;
use http::Request;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::OssStore;
use super::meta::{md5_in, tag};
use crate::store::Result;
use crate::store::pages::{Ask, Found, Page, Pages, contradiction};
use crate::store::rest::query;

/// The most entries of a page; unasked there are 100.
const LARGEST_PAGE: u32 = 1000;

/// <https://www.alibabacloud.com/help/en/oss/developer-reference/listobjectsv2>
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Listed {
    encoding_type: String,
    is_truncated: bool,
    next_continuation_token: String,
    contents: Vec<Object>,
    common_prefixes: Vec<Folder>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Object {
    key: String,
    size: Option<u64>,
    last_modified: String,
    #[serde(rename = "ETag")]
    etag: String,
    r#type: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Folder {
    prefix: String,
}

#[async_trait]
impl Pages for OssStore {
    async fn page(&self, ask: Ask<'_>) -> Result<Page> {
        let limit = self.account.tuning.page.unwrap_or(LARGEST_PAGE).to_string();
        let query = query([
            ("list-type", Some("2")),
            ("encoding-type", Some("url")),
            (
                "prefix",
                Some(ask.prefix).filter(|prefix| !prefix.is_empty()),
            ),
            ("delimiter", ask.one_level.then_some("/")),
            (
                "start-after",
                ask.start_after.filter(|_| ask.token.is_none()),
            ),
            ("continuation-token", ask.token),
            ("max-keys", Some(&limit)),
        ]);
        let call = self.call("list", "oss:ListObjects", None);
        let listed: Listed = self
            .ask_xml(call, "ListBucketResult", || {
                Request::get(format!("/{query}"))
            })
            .await?;
        let is_encoded = listed.encoding_type == "url";
        let decoded = |text: String, what: &str| {
            let name = if is_encoded {
                percent_decode_str(&text).decode_utf8().ok().map(Into::into)
            } else {
                Some(text)
            };
            name.filter(|name: &String| !name.is_empty())
                .ok_or_else(|| contradiction(&self.folder.url, what))
        };
        let objects = listed.contents.into_iter().map(|object| {
            let tag = tag(&object.etag);
            // Others have an `ETag` that looks like an MD5 and is none.
            let simple = tag.as_ref().filter(|_| object.r#type == "Normal");
            Ok(Found {
                size: object.size,
                modified: modified(&object.last_modified),
                checksum: simple.and_then(md5_in),
                tag,
                content_type: None,
                name: decoded(object.key, "it holds an object without a readable name")?,
            })
        });
        let folders = listed.common_prefixes.into_iter();
        let what = "it holds a folder without a readable name";
        let unnamed = "it is cut short and names no next page";
        let next = Some(listed.next_continuation_token).filter(|_| listed.is_truncated);
        Ok(Page {
            objects: objects.collect::<Result<_>>()?,
            folders: folders
                .map(|folder| decoded(folder.prefix, what))
                .collect::<Result<_>>()?,
            next: next.map(|token| decoded(token, unnamed)).transpose()?,
        })
    }
}

fn modified(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(Into::into)
}
