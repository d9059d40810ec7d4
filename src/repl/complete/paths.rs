//! Names in stores.

use std::sync::mpsc;
use std::time::Duration;

use futures::StreamExt;
use mlua::AnyUserData;

use super::{Candidate, Completion, matching};
use crate::lua::Host;
use crate::repl::Evaluator;
use crate::store::registry::{KINDS, is_ours};
use crate::store::{Entry, ListOptions, Store, StoreUrl, is_reserved};

/// How long somebody who pressed Tab waits.
const DEADLINE: Duration = Duration::from_secs(1);

/// More names than this are not asked for.
const MOST: usize = 1000;

impl Evaluator {
    /// The place of a store that begins so.
    pub(super) fn complete_store(&self, typed: &str, start: usize) -> Completion {
        let host = self.runtime().host();
        let Some(end) = typed.rfind(['/', ':']).map(|at| at + 1) else {
            let kinds = KINDS.into_iter().flat_map(|kind| kind.schemes);
            let kinds = kinds.map(|scheme| Candidate::plain(format!("{scheme}://")));
            let names = kinds.chain([Candidate::plain("state")]).collect();
            let files = names_at(&host, ".", typed);
            return Completion {
                start,
                candidates: matching(names, typed).into_iter().chain(files).collect(),
            };
        };
        let (folder, name) = typed.split_at(end);
        let has_place = match folder.split_once("://") {
            Some((_, rest)) => rest.contains('/'),
            None => true,
        };
        let candidates = if has_place {
            names_at(&host, folder, name)
        } else {
            Vec::new()
        };
        Completion {
            start: start + end,
            candidates,
        }
    }

    /// A key of a store that begins so.
    pub(super) fn complete_key(
        &self,
        store: &AnyUserData,
        typed: &str,
        start: usize,
    ) -> Completion {
        let end = typed.rfind('/').map_or(0, |at| at + 1);
        let (folder, name) = typed.split_at(end);
        let url = self.runtime().url_of(store);
        Completion {
            start: start + end,
            candidates: url.map_or_else(Vec::new, |url| {
                names_in(
                    &self.runtime().host(),
                    url,
                    folder.trim_end_matches('/'),
                    name,
                )
            }),
        }
    }
}

fn names_at(host: &Host, folder: &str, begin: &str) -> Vec<Candidate> {
    match (host.resolve)(folder) {
        Ok(url) => names_in(host, url, "", begin),
        Err(_) => Vec::new(),
    }
}

/// The names in a folder of a store that begin so; none where they can't be had in time, or only by
/// running somebody's code: a backend in Lua may do anything when it is opened.
fn names_in(host: &Host, url: StoreUrl, below: &str, begin: &str) -> Vec<Candidate> {
    if !is_ours(&url.scheme) {
        return Vec::new();
    }
    let (send, receive) = mpsc::sync_channel(1);
    let session = std::sync::Arc::clone(&host.session);
    let (below, begin) = (below.to_owned(), begin.to_owned());
    let task = host.io.spawn(async move {
        // Opening may prepare clients, which belong to this runtime.
        let names = match session.peek(&url) {
            Ok(store) => list(&*store, &below, &begin).await,
            Err(_) => Vec::new(),
        };
        // Nobody waits any more after the deadline.
        let _ = send.send(names);
    });
    let names = receive.recv_timeout(DEADLINE).unwrap_or_default();
    task.abort();
    names
}

async fn list(store: &dyn Store, below: &str, begin: &str) -> Vec<Candidate> {
    let folder = match below {
        "" => String::new(),
        below => format!("{below}/"),
    };
    let mut names = Vec::new();
    let mut listing = store.list(ListOptions {
        below: below.to_owned(),
        one_level: true,
        start_after: just_before(begin).map(|name| format!("{folder}{name}")),
    });
    while let Some(Ok(entry)) = listing.next().await {
        let name = entry.name().strip_prefix(&folder).unwrap_or_default();
        if !name.starts_with(begin) && name > begin {
            break;
        }
        if names.len() == MOST {
            // Nothing is put in that the names which were not asked for may not begin with.
            names.push(Candidate {
                text: begin.to_owned(),
                shown: "… more".to_owned(),
            });
            break;
        }
        let is_object = !matches!(entry, Entry::Foreign { .. });
        if name.starts_with(begin) && is_object && !is_reserved(entry.name()) {
            names.push(Candidate::plain(name));
        }
    }
    names
}

/// A name before all that begin so, and after most others.
fn just_before(begin: &str) -> Option<String> {
    let last = begin.chars().last()?;
    let before = char::from_u32(u32::from(last).checked_sub(1)?)?;
    let kept = &begin[..begin.len() - last.len_utf8()];
    // A name can't hold these, and a listing may begin after any.
    (before > ' ' && before != '/').then(|| format!("{kept}{before}\u{10ffff}"))
}
