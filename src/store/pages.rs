//! A listing made of a service's pages: the next one is fetched while this one is consumed, names
//! become keys, and objects and folders come in one byte order.

use std::time::SystemTime;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::folder::Folder;
use super::{Checksum, Entry, Error, ErrorKind, Key, ListOptions, Listing, Meta, Result, Tag};

/// What one request of a listing asks for. Names are those in the bucket.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    /// What all names begin with: empty, or a folder with its slash.
    pub prefix: &'a str,
    /// Folders instead of what lies deeper.
    pub one_level: bool,
    /// Where the listing starts, behind this name. A service that can't may start earlier.
    pub start_after: Option<&'a str>,
    /// The page, as the one before named it; none for the first.
    pub token: Option<&'a str>,
}

/// One object of a page.
pub(super) struct Found {
    /// Its name in the bucket.
    pub name: String,
    pub size: Option<u64>,
    pub modified: Option<SystemTime>,
    pub tag: Option<Tag>,
    pub checksum: Option<Checksum>,
    pub content_type: Option<String>,
}

/// One page, as the service gave it.
pub(super) struct Page {
    pub objects: Vec<Found>,
    /// The names of folders in the bucket, with the slash at their ends.
    pub folders: Vec<String>,
    /// The name of the next page; none when this is the last.
    pub next: Option<String>,
}

/// A service that lists page by page, in byte order.
#[async_trait]
pub(super) trait Pages: Send + 'static {
    /// One page; passing troubles are met here.
    async fn page(&self, ask: Ask<'_>) -> Result<Page>;
}

/// A listing under way.
struct Walk<P> {
    pages: P,
    url: String,
    options: ListOptions,
    /// What all names in the bucket begin with.
    prefix: String,
    /// Where the listing starts, as named in the bucket.
    start_after: Option<String>,
    /// How many bytes of a name are the store's own prefix.
    strip: usize,
    token: Option<String>,
    /// The last name that was given out.
    last: Option<String>,
}

/// Lists what lies in a folder.
pub(super) fn listing(pages: impl Pages + Sync, folder: &Folder, options: ListOptions) -> Listing {
    let prefix = match folder.full(&options.below) {
        name if name.is_empty() => name,
        name => format!("{name}/"),
    };
    let start_after = options.start_after.as_deref();
    let walk = Walk {
        pages,
        url: folder.url.to_string(),
        prefix,
        start_after: start_after.map(|name| folder.full(name)),
        strip: match folder.prefix.len() {
            0 => 0,
            length => length + 1,
        },
        options,
        token: None,
        last: None,
    };
    stream::once(async { walk.into_listing() })
        .flatten()
        .boxed()
}

impl<P: Pages + Sync> Walk<P> {
    /// One page waits while the next is on its way; when the reader goes away, so does the task.
    fn into_listing(self) -> Listing {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(self.run(sender));
        stream::unfold(receiver, |mut receiver| async {
            let page: Vec<Result<Entry>> = receiver.recv().await?;
            Some((stream::iter(page), receiver))
        })
        .flatten()
        .boxed()
    }

    async fn run(mut self, sender: mpsc::Sender<Vec<Result<Entry>>>) {
        loop {
            let page = tokio::select! {
                page = self.next() => page,
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

    async fn next(&mut self) -> Result<Vec<Entry>> {
        let token = self.token.as_deref();
        let page = self
            .pages
            .page(Ask {
                prefix: &self.prefix,
                one_level: self.options.one_level,
                start_after: self.start_after.as_deref(),
                token,
            })
            .await?;
        if page.next.is_some() && page.next == self.token {
            return Err(self.corrupt("it names the same next page again"));
        }
        self.token = page.next;
        self.entries(page.objects, page.folders)
    }

    fn entries(&mut self, objects: Vec<Found>, folders: Vec<String>) -> Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity(objects.len() + folders.len());
        for found in objects {
            let name = self.relative(&found.name)?;
            entries.push(match Key::parse(&name) {
                Ok(key) => {
                    let Some(size) = found.size else {
                        return Err(self.corrupt(&format!("'{name}' has no size")));
                    };
                    Entry::Object(Meta {
                        modified: found.modified,
                        tag: found.tag,
                        checksum: found.checksum,
                        content_type: found.content_type,
                        ..Meta::new(key, size)
                    })
                }
                Err(bad) => Entry::Foreign {
                    name,
                    size: found.size,
                    reason: bad.reason.to_owned(),
                },
            });
        }
        for name in folders {
            entries.push(Entry::Prefix(self.relative(&name)?));
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
        contradiction(&self.url, what)
    }
}

/// A listing that can't be believed, of the store at `url`.
pub(super) fn contradiction(url: &str, what: &str) -> Error {
    let message = format!("the service's listing contradicts itself: {what}");
    Error::new(ErrorKind::Corrupt, "list", message)
        .at(url, None)
        .hint("nothing can be said about what is missing, so nothing was assumed")
}
