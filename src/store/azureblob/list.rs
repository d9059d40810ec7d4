//! Listing: `List Blobs`. It can't start in the middle, so what comes before is skipped.

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::AzureStore;
use super::meta::{md5, modified, tag};
use crate::store::Result;
use crate::store::pages::{Ask, Found, Page, Pages, contradiction};
use crate::store::rest::Failure;
use crate::store::rest::query;

/// <https://learn.microsoft.com/rest/api/storageservices/list-blobs>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    blobs: Blobs,
    next_marker: String,
}

#[derive(Deserialize)]
struct Blobs {
    #[serde(rename = "$value", default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
enum Item {
    Blob(Blob),
    BlobPrefix(Prefix),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Blob {
    name: Name,
    #[serde(default)]
    properties: Properties,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Prefix {
    name: Name,
}

/// A name with characters that XML can't hold is percent-encoded.
#[derive(Deserialize)]
struct Name {
    #[serde(rename = "@Encoded", default)]
    encoded: Option<String>,
    #[serde(rename = "$text", default)]
    text: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Properties {
    #[serde(rename = "Last-Modified")]
    last_modified: String,
    #[serde(rename = "Etag")]
    etag: String,
    #[serde(rename = "Content-Length")]
    content_length: String,
    #[serde(rename = "Content-Type")]
    content_type: String,
    #[serde(rename = "Content-MD5")]
    content_md5: String,
    #[serde(rename = "ResourceType")]
    resource_type: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "hdi_isfolder")]
    is_folder: String,
}

impl Blob {
    /// Folders are listed among the objects where they are real (Data Lake), and where a tool
    /// has made a blob of one.
    fn is_folder(&self) -> bool {
        self.properties.resource_type == "directory"
            || self.metadata.is_folder.eq_ignore_ascii_case("true")
    }
}

#[async_trait]
impl Pages for AzureStore {
    async fn page(&self, ask: Ask<'_>) -> Result<Page> {
        let limit = self.account.tuning.page.map(|limit| limit.to_string());
        let query = query([
            ("restype", Some("container")),
            ("comp", Some("list")),
            (
                "prefix",
                Some(ask.prefix).filter(|prefix| !prefix.is_empty()),
            ),
            ("delimiter", ask.one_level.then_some("/")),
            ("marker", ask.token),
            ("include", Some("metadata")),
            ("maxresults", limit.as_deref()),
        ]);
        let url = format!("{}{query}", self.container_url());
        let call = self.call("list", super::READ, None);
        let attempt = |_| async {
            let request = call.built(Request::get(&url), Bytes::new())?;
            let body = match self.account.call(request).await {
                Ok(answer) => answer.bytes().await,
                Err(failure) => Err(failure),
            };
            let listed = body.and_then(|body| parsed(&body));
            listed.map_err(|failure| failure.into_error(&call))
        };
        let listed = self.account.tuning.retry.run(attempt).await?;
        let mut page = Page {
            objects: Vec::new(),
            folders: Vec::new(),
            next: Some(listed.next_marker).filter(|marker| !marker.is_empty()),
        };
        for item in listed.blobs.items {
            match item {
                Item::BlobPrefix(folder) => page.folders.push(self.decoded(folder.name)?),
                Item::Blob(blob) if blob.is_folder() => {}
                Item::Blob(blob) => page.objects.push(self.found(blob)?),
            }
        }
        Ok(page)
    }
}

impl AzureStore {
    fn found(&self, blob: Blob) -> Result<Found> {
        let Properties {
            content_type,
            content_length,
            ..
        } = &blob.properties;
        Ok(Found {
            size: content_length.parse().ok(),
            modified: modified(&blob.properties.last_modified),
            tag: tag(&blob.properties.etag),
            checksum: md5(&blob.properties.content_md5),
            content_type: Some(content_type.clone()).filter(|kind| !kind.is_empty()),
            name: self.decoded(blob.name)?,
        })
    }

    fn decoded(&self, name: Name) -> Result<String> {
        if name.encoded.as_deref() != Some("true") {
            return Ok(name.text);
        }
        let decoded = percent_decode_str(&name.text).decode_utf8();
        let decoded =
            decoded.map_err(|_| contradiction(&self.folder.url, "a name is not UTF-8"))?;
        Ok(decoded.into_owned())
    }
}

fn parsed(body: &[u8]) -> Result<Listed, Failure> {
    let text = String::from_utf8_lossy(body);
    quick_xml::de::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| Failure::nonsense(error.to_string()))
}
