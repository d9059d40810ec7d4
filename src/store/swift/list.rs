//! Listing a container: <https://docs.openstack.org/api-ref/object-store/#show-container-details-and-list-objects>.

use async_trait::async_trait;
use http::response::Parts;
use http::{HeaderMap, Request, StatusCode};
use serde::Deserialize;
use time::PrimitiveDateTime;
use time::format_description::well_known::Iso8601;

use super::manifest::SEGMENTS;
use super::{READ, SwiftStore, meta};
use crate::store::pages::{Ask, Found, Page, Pages, contradiction};
use crate::store::rest::{Failure, query};
use crate::store::{Checksum, Result, Tag};

/// An object, or a folder.
#[derive(Deserialize)]
pub(super) struct Item {
    name: Option<String>,
    subdir: Option<String>,
    bytes: Option<u64>,
    hash: Option<String>,
    /// The tag of a large object; its hash is its manifest's.
    slo_etag: Option<String>,
    last_modified: Option<String>,
    content_type: Option<String>,
}

impl Item {
    /// The name by which the listing goes on.
    pub(super) fn name(&self) -> &str {
        let name = self.name.as_ref().or(self.subdir.as_ref());
        name.map_or("", String::as_str)
    }

    pub(super) fn modified(&self) -> Option<time::OffsetDateTime> {
        let time = self.last_modified.as_ref()?;
        let time = PrimitiveDateTime::parse(time, &Iso8601::DEFAULT).ok()?;
        Some(time.assume_utc())
    }

    fn into_found(self) -> Found {
        let modified = self.modified();
        let (tag, checksum): (Option<Tag>, Option<Checksum>) = match (&self.slo_etag, &self.hash) {
            (Some(etag), _) => (meta::tag(etag), None),
            (None, Some(hash)) => (meta::tag(hash), Checksum::md5_of_hex(hash)),
            (None, None) => (None, None),
        };
        Found {
            name: self.name.unwrap_or_default(),
            size: self.bytes,
            modified: modified.map(Into::into),
            tag,
            checksum,
            content_type: self.content_type,
        }
    }
}

#[async_trait]
impl Pages for SwiftStore {
    async fn page(&self, ask: Ask<'_>) -> Result<Page> {
        let marker = ask.token.or(ask.start_after);
        let listed = self.listed("list", ask.prefix, ask.one_level, marker).await;
        let (_, items) = listed?;
        // A short page need not be the last: only one with nothing is.
        let next = items.last().map(|item| item.name().to_owned());
        let mut page = Page {
            objects: Vec::with_capacity(items.len()),
            folders: Vec::new(),
            next,
        };
        for mut item in items {
            if item.name().starts_with(SEGMENTS) {
                continue;
            }
            match item.subdir.take() {
                Some(folder) => page.folders.push(folder),
                None => page.objects.push(item.into_found()),
            }
        }
        Ok(page)
    }
}

impl SwiftStore {
    /// One page of the container's names behind `marker`, as the service has them.
    pub(super) async fn listed(
        &self,
        operation: &'static str,
        prefix: &str,
        one_level: bool,
        marker: Option<&str>,
    ) -> Result<(HeaderMap, Vec<Item>)> {
        let limit = self.account.tuning.page.map(|limit| limit.to_string());
        let query = query([
            ("format", Some("json")),
            ("prefix", Some(prefix).filter(|prefix| !prefix.is_empty())),
            ("delimiter", one_level.then_some("/")),
            ("marker", marker),
            ("limit", limit.as_deref()),
        ]);
        let path = format!("{}{query}", self.container_path());
        let call = self.call(operation, READ, None);
        let answer = self.ask(call, || Request::get(&path)).await?;
        let is_empty = answer.status() == StatusCode::NO_CONTENT;
        let (Parts { headers, .. }, body) = answer.into_parts();
        if is_empty {
            return Ok((headers, Vec::new()));
        }
        let items: Vec<Item> = serde_json::from_slice(&body)
            .map_err(|error| Failure::nonsense(error.to_string()).into_error(&call))?;
        if items.iter().any(|item| item.name().is_empty()) {
            let what = "it holds something without a name";
            return Err(contradiction(&self.folder.url, what));
        }
        Ok((headers, items))
    }
}
