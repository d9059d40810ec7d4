//! Listing: the metadata of all objects that may lie below a folder, put into the order of their
//! keys. The API server lists by name, and names are hashes, so nothing is known before the end.

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use serde::Deserialize;
use time::OffsetDateTime;

use super::K8sStore;
use super::call::{About, Answer, Refused, Resource};
use super::layout::{Head, KEY, Role, Version};
use crate::store::{Entry, Error, ErrorKind, Key, ListOptions, Listing, Result};

/// How often a listing may take longer than the API server remembers where it began.
const RESTARTS: usize = 5;

/// What a whole listing gave.
pub(super) struct Found<T> {
    pub items: Vec<T>,
    /// When it began, by the API server's clock.
    pub date: Option<OffsetDateTime>,
}

/// One page of a listing.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    #[serde(default)]
    metadata: PageMeta,
    // Go writes an empty list as null.
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMeta {
    #[serde(rename = "continue")]
    token: Option<String>,
}

impl K8sStore {
    /// What is kept of the metadata of all Secrets that a selector chooses.
    pub(super) async fn all<T>(
        &self,
        about: About<'_>,
        selector: &str,
        keep: impl Fn(ObjectMeta) -> Option<T>,
    ) -> Result<Found<T>> {
        let keep = |object: PartialObjectMeta| keep(object.metadata);
        self.pages(about, Resource::Secrets, selector, keep).await
    }

    /// What is kept of all objects that a selector chooses, page after page as of one moment.
    pub(super) async fn pages<P: for<'a> Deserialize<'a>, T>(
        &self,
        about: About<'_>,
        resource: Resource,
        selector: &str,
        keep: impl Fn(P) -> Option<T>,
    ) -> Result<Found<T>> {
        let mut restarts = 0;
        'whole: loop {
            let mut found = Found {
                items: Vec::new(),
                date: None,
            };
            let mut token: Option<String> = None;
            loop {
                let page = self.page(about, resource, selector, token.as_deref());
                let Answer { value: page, date } = match page.await {
                    Ok(answer) => answer,
                    Err(refused) if is_expired(&refused) && restarts < RESTARTS => {
                        tracing::debug!(error = %refused.error, "listing once more from the start");
                        restarts += 1;
                        continue 'whole;
                    }
                    Err(refused) => return Err(refused.error),
                };
                let Page::<P> { metadata, items } = page;
                found.date = found.date.or(date);
                found
                    .items
                    .extend(items.into_iter().flatten().filter_map(&keep));
                match metadata.token.filter(|token| !token.is_empty()) {
                    None => return Ok(found),
                    next if next == token => return Err(self.contradiction(about)),
                    next => token = next,
                }
            }
        }
    }

    fn contradiction(&self, about: About<'_>) -> Error {
        let message = "the API server's listing names the same next page again";
        Error::new(ErrorKind::Corrupt, about.operation, message).at(&self.folder.url, about.key)
    }

    async fn entries(&self, options: &ListOptions) -> Result<Vec<Entry>> {
        let about = About {
            operation: "list",
            key: None,
        };
        let folder = match &*self.folder.full(&options.below) {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let strip = match &*self.folder.prefix {
            "" => 0,
            prefix => prefix.len() + 1,
        };
        let after = options.start_after.as_deref();
        let selector = Role::Object.selector(folder.trim_end_matches('/'));
        let found = self.all(about, &selector, |object| {
            let full = object.annotations.as_ref()?.get(KEY)?;
            let below = full.strip_prefix(&folder)?;
            let name = &full[strip..];
            if below.is_empty() || after.is_some_and(|after| name <= after) {
                return None;
            }
            if options.one_level
                && let Some((next, _)) = below.split_once('/')
            {
                let folder = &folder[strip.min(folder.len())..];
                return Some(Entry::Prefix(format!("{folder}{next}/")));
            }
            Some(entry(name, &object))
        });
        let mut entries = found.await?.items;
        // Of two with one name the object counts, not a copy of its Secret.
        let is_foreign = |entry: &Entry| matches!(entry, Entry::Foreign { .. });
        entries.sort_by(|a, b| (a.name(), is_foreign(a)).cmp(&(b.name(), is_foreign(b))));
        entries.dedup_by(|b, a| a.name() == b.name());
        Ok(entries)
    }
}

fn is_expired(refused: &Refused) -> bool {
    refused.code == Some(410)
}

fn entry(name: &str, object: &ObjectMeta) -> Entry {
    let head = Head::parse(object);
    let key = Key::parse(name).map_err(|bad| bad.reason.to_owned());
    match key.and_then(|key| Ok((key, head?))) {
        Ok((key, mut head)) => {
            head.user.clear();
            Entry::Object(head.meta(key, Version::of(object).as_ref()))
        }
        Err(reason) => Entry::Foreign {
            name: name.to_owned(),
            size: None,
            reason,
        },
    }
}

pub(super) fn listing(store: K8sStore, options: ListOptions) -> Listing {
    let entries = async move {
        match store.entries(&options).await {
            Ok(entries) => entries.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    };
    stream::once(entries).flat_map(stream::iter).boxed()
}
