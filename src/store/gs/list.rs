//! Listing: `objects.list`.

use async_trait::async_trait;
use http::Request;
use serde::Deserialize;

use super::GsStore;
use super::meta::{LISTED, Resource};
use crate::store::Result;
use crate::store::pages::{Ask, Found, Page, Pages, contradiction};
use crate::store::rest::query;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Answered {
    items: Vec<Resource>,
    prefixes: Vec<String>,
    next_page_token: Option<String>,
}

#[async_trait]
impl Pages for GsStore {
    async fn page(&self, ask: Ask<'_>) -> Result<Page> {
        let limit = self.account.tuning.page.map(|limit| limit.to_string());
        let query = query([
            (
                "prefix",
                Some(ask.prefix).filter(|prefix| !prefix.is_empty()),
            ),
            ("delimiter", ask.one_level.then_some("/")),
            ("startOffset", ask.start_after),
            ("pageToken", ask.token),
            ("maxResults", limit.as_deref()),
            ("fields", Some(LISTED)),
        ]);
        let url = format!("{}/o{query}", self.bucket_url());
        let call = self
            .site
            .call(&self.folder, "list", "storage.objects.list", None);
        let answered: Answered = self.ask_json(call, || Request::get(&url)).await?;
        let objects = answered.items.into_iter().map(|object| {
            if object.name.is_empty() {
                let what = "it holds an object without a name";
                return Err(contradiction(&self.folder.url, what));
            }
            Ok(Found {
                size: object.size(),
                modified: object.modified(),
                tag: object.tag(),
                checksum: object.checksum(),
                content_type: object.content_type.clone(),
                name: object.name,
            })
        });
        Ok(Page {
            objects: objects.collect::<Result<_>>()?,
            folders: answered.prefixes,
            next: answered.next_page_token.filter(|token| !token.is_empty()),
        })
    }
}
