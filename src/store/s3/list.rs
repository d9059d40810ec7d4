//! Listing: `ListObjectsV2` page by page, the next one fetched while this one is consumed.

use std::borrow::Cow;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use futures::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;

use super::error::Failure;
use super::{S3Store, md5_in, tag_of, time_of};
use crate::store::{Entry, Error, ErrorKind, Key, ListOptions, Listing, Meta, Result};

/// A listing under way.
struct Walk {
    store: S3Store,
    options: ListOptions,
    /// What all names in the bucket begin with.
    prefix: String,
    /// How many bytes of a name are the store's own prefix.
    strip: usize,
    token: Option<String>,
    /// The last name that was given out.
    last: Option<String>,
}

pub(super) fn listing(store: S3Store, options: ListOptions) -> Listing {
    let below = store.full(&options.below);
    let walk = Walk {
        prefix: if below.is_empty() {
            below
        } else {
            format!("{below}/")
        },
        strip: if store.prefix.is_empty() {
            0
        } else {
            store.prefix.len() + 1
        },
        store,
        options,
        token: None,
        last: None,
    };
    stream::once(async { pages(walk) }).flatten().boxed()
}

/// One page waits while the next is on its way; when the reader goes away, so does the task.
fn pages(walk: Walk) -> Listing {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(walk.run(sender));
    stream::unfold(receiver, |mut receiver| async {
        let page: Vec<Result<Entry>> = receiver.recv().await?;
        Some((stream::iter(page), receiver))
    })
    .flatten()
    .boxed()
}

impl Walk {
    async fn run(mut self, sender: mpsc::Sender<Vec<Result<Entry>>>) {
        loop {
            let page = tokio::select! {
                page = self.page() => page,
                () = sender.closed() => return,
            };
            let (items, ends) = match page {
                Ok(entries) => (entries.into_iter().map(Ok).collect(), self.token.is_none()),
                Err(error) => (vec![Err(error)], true),
            };
            if sender.send(items).await.is_err() || ends {
                return;
            }
        }
    }

    async fn page(&mut self) -> Result<Vec<Entry>> {
        // Found first, so that its own retries aren't multiplied by ours.
        self.store.client("list").await?;
        let policy = &self.store.shared.account.tuning().retry;
        let page = policy.run(|_| self.ask()).await?;
        let next = page.next_continuation_token().map(str::to_owned);
        match (page.is_truncated().unwrap_or(false), next) {
            (true, None) => return Err(self.corrupt("it is cut short and names no next page")),
            (true, next) if next == self.token => {
                return Err(self.corrupt("it names the same next page again"));
            }
            (true, next) => self.token = next,
            (false, _) => self.token = None,
        }
        self.entries(&page)
    }

    async fn ask(&self) -> Result<ListObjectsV2Output> {
        let shared = &self.store.shared;
        let client = self.store.client("list").await?;
        let start_after = self
            .options
            .start_after
            .as_ref()
            .filter(|_| self.token.is_none())
            .map(|name| self.store.full(sayable(name)));
        let request = client
            .list_objects_v2()
            .bucket(&shared.bucket_name)
            .encoding_type(EncodingType::Url)
            .set_prefix((!self.prefix.is_empty()).then(|| self.prefix.clone()))
            .set_delimiter(self.options.one_level.then(|| "/".to_owned()))
            .set_start_after(start_after)
            .set_continuation_token(self.token.clone());
        request.send().await.map_err(|error| {
            Failure::of(&error).into_error(&self.store.call("list", "s3:ListBucket", None))
        })
    }

    fn entries(&mut self, page: &ListObjectsV2Output) -> Result<Vec<Entry>> {
        let encoded = page.encoding_type() == Some(&EncodingType::Url);
        let mut entries = Vec::with_capacity(page.contents().len() + page.common_prefixes().len());
        for object in page.contents() {
            let Some(name) = object.key() else {
                return Err(self.corrupt("it holds an object without a key"));
            };
            let name = self.relative(&decoded(name, encoded)?)?;
            let size = object.size().and_then(|size| u64::try_from(size).ok());
            entries.push(match Key::parse(&name) {
                Ok(key) => {
                    let Some(size) = size else {
                        return Err(self.corrupt(&format!("'{name}' has no size")));
                    };
                    let tag = object.e_tag().and_then(tag_of);
                    Entry::Object(Meta {
                        modified: object.last_modified().and_then(time_of),
                        checksum: tag.as_ref().and_then(|tag| md5_in(tag, None)),
                        tag,
                        ..Meta::new(key, size)
                    })
                }
                Err(bad) => Entry::Foreign {
                    name,
                    size,
                    reason: bad.reason.to_owned(),
                },
            });
        }
        for prefix in page.common_prefixes() {
            let Some(name) = prefix.prefix() else {
                return Err(self.corrupt("it holds a folder without a name"));
            };
            let name = self.relative(&decoded(name, encoded)?)?;
            entries.push(Entry::Prefix(name));
        }
        self.ordered(entries)
    }

    /// Objects and folders come in two lists, each in byte order: one order is made of them, and
    /// it must go on where the last page ended.
    fn ordered(&mut self, mut entries: Vec<Entry>) -> Result<Vec<Entry>> {
        if self.options.one_level {
            entries.sort_by(|a, b| a.name().cmp(b.name()));
        }
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            let name = entry.name();
            let is_folder = matches!(entry, Entry::Prefix(_));
            if self.is_before_start(name, is_folder) {
                continue;
            }
            match &self.last {
                Some(last) if is_folder && last == name => continue,
                Some(last) if last.as_str() >= name => {
                    return Err(self.corrupt(&format!("'{name}' comes after '{last}'")));
                }
                _ => {}
            }
            self.last = Some(name.to_owned());
            kept.push(entry);
        }
        Ok(kept)
    }

    /// Whether a name comes before the first one asked for. A folder in which a listing starts
    /// may be told again.
    fn is_before_start(&self, name: &str, is_folder: bool) -> bool {
        self.options.start_after.as_ref().is_some_and(|start| {
            let holds_start = is_folder && name.len() < start.len() && start.starts_with(name);
            name <= start.as_str() && !holds_start
        })
    }

    fn relative(&self, name: &str) -> Result<String> {
        if !name.starts_with(&self.prefix) {
            return Err(self.corrupt(&format!("'{name}' doesn't begin with '{}'", self.prefix)));
        }
        Ok(name[self.strip..].to_owned())
    }

    fn corrupt(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            "list",
            format!("the service's listing contradicts itself: {what}"),
        )
        .at(&self.store.url, None)
        .hint("nothing can be said about what is missing, so nothing was assumed")
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
