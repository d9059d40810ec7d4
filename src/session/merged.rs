//! A listing beneath and a run's own changes, as one listing.

use futures::stream::Peekable;
use futures::{Stream, StreamExt, stream};

use super::layer::{Change, Changes};
use crate::store::{Entry, ErrorKind, Key, ListOptions, Listing, Meta, Place, Result};

/// A folder or bucket that isn't there yet has no objects but those of the layer.
pub(super) fn tolerate_missing(listing: Listing) -> Listing {
    listing
        .filter(|entry| {
            let missing = matches!(entry, Err(error) if *error.kind() == ErrorKind::NotFound);
            std::future::ready(!missing)
        })
        .boxed()
}

pub(super) type Own = std::collections::VecDeque<(String, Option<Meta>)>;

/// The layer's changes as a listing: a name with its metadata, or `None` where it was deleted.
pub(super) fn own_entries(place: &Place, changes: Changes, after: Option<&str>) -> Own {
    let strip = if place.prefix.is_empty() {
        0
    } else {
        place.prefix.len() + 1
    };
    changes
        .into_iter()
        .map(|(full, change)| (full[strip..].to_owned(), change))
        .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after))
        .filter_map(|(name, change)| match change {
            Change::Deleted => Some((name, None)),
            Change::Written { mut meta, .. } => {
                // The change may have been made through a store at another folder.
                meta.key = Key::parse(&name).ok()?;
                Some((name, Some(*meta)))
            }
        })
        .collect()
}

/// Merges the listing beneath with the layer's changes, which win.
pub(super) fn merge(base: Peekable<Listing>, own: Own) -> Listing {
    stream::unfold((base, own), |(mut base, mut own)| async move {
        loop {
            let next = std::pin::Pin::new(&mut base).peek().await;
            let base_first = match (next, own.front()) {
                (None, None) => return None,
                (Some(Err(_)), _) | (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(Ok(entry)), Some((name, _))) => entry.name() < name.as_str(),
            };
            if base_first {
                return base.next().await.map(|entry| (entry, (base, own)));
            }
            let same = matches!((next, own.front()),
                (Some(Ok(entry)), Some((name, _))) if entry.name() == name);
            if same {
                base.next().await;
            }
            if let Some((_, Some(meta))) = own.pop_front() {
                return Some((Ok(Entry::Object(meta)), (base, own)));
            }
        }
    })
    .boxed()
}

/// Folds a recursive listing to the next level.
pub(super) fn one_level(
    listing: impl Stream<Item = Result<Entry>> + Send + 'static,
    options: ListOptions,
) -> Listing {
    let strip = if options.below.is_empty() {
        0
    } else {
        options.below.len() + 1
    };
    // The listing begins behind any other name; a folder is skipped whole.
    let after = options.start_after;
    let mut last = after.filter(|name| name.ends_with('/')).unwrap_or_default();
    listing
        .filter_map(move |entry| {
            let folded = entry.map(|entry| fold(entry, strip, &mut last)).transpose();
            std::future::ready(folded)
        })
        .boxed()
}

fn fold(entry: Entry, strip: usize, last: &mut String) -> Option<Entry> {
    if last.ends_with('/') && entry.name().starts_with(last.as_str()) {
        return None;
    }
    let folder = entry
        .name()
        .get(strip..)
        .and_then(|rest| rest.find('/'))
        .map(|end| entry.name()[..=strip + end].to_owned());
    if folder.as_deref().unwrap_or(entry.name()) <= last.as_str() {
        return None;
    }
    match folder {
        Some(folder) => {
            last.clone_from(&folder);
            Some(Entry::Prefix(folder))
        }
        None => Some(entry),
    }
}
