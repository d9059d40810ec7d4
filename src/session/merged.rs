//! A listing beneath and a run's own changes, as one listing.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use futures::stream::Peekable;
use futures::{StreamExt, stream};

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

/// What the layer makes of a name at one level.
enum Level {
    Object(Box<Meta>),
    Gone,
    /// A folder, and whether the layer has objects in it; else it only deleted some.
    Folder(bool),
}

/// As [`merge`], for a listing of one level. `is_empty` says whether a folder beneath in which the
/// layer deleted something has anything left.
pub(super) fn next_level<F>(
    base: Listing,
    own: Own,
    options: &ListOptions,
    is_empty: impl Fn(&str) -> F + Send + 'static,
) -> Listing
where
    F: Future<Output = Result<bool>> + Send,
{
    let own = levels(own, options).into_iter().peekable();
    let state = (base.peekable(), own, is_empty);
    stream::unfold(state, |(mut base, mut own, is_empty)| async move {
        loop {
            let next = std::pin::Pin::new(&mut base).peek().await;
            let order = match (next, own.peek()) {
                (None, None) => return None,
                (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(Ok(entry)), Some((name, _))) => entry.name().cmp(name),
            };
            if order == Ordering::Less {
                return base
                    .next()
                    .await
                    .map(|entry| (entry, (base, own, is_empty)));
            }
            let beneath = match order {
                Ordering::Equal => base.next().await,
                _ => None,
            };
            let entry = match own.next() {
                Some((_, Level::Object(meta))) => Some(Ok(Entry::Object(*meta))),
                Some((name, Level::Folder(true))) => Some(Ok(Entry::Prefix(name))),
                Some((name, Level::Folder(false))) if beneath.is_some() => {
                    match is_empty(&name).await {
                        Ok(true) => None,
                        Ok(false) => beneath,
                        Err(error) => Some(Err(error)),
                    }
                }
                _ => None,
            };
            if let Some(entry) = entry {
                return Some((entry, (base, own, is_empty)));
            }
        }
    })
    .boxed()
}

/// The layer's changes at the next level of a folder.
fn levels(own: Own, options: &ListOptions) -> BTreeMap<String, Level> {
    let strip = match options.below.len() {
        0 => 0,
        length => length + 1,
    };
    let mut levels = BTreeMap::new();
    for (name, meta) in own {
        let slash = name.get(strip..).and_then(|rest| rest.find('/'));
        if let Some(end) = slash {
            let folder = name[..=strip + end].to_owned();
            let known = levels.entry(folder).or_insert(Level::Folder(false));
            if meta.is_some() {
                *known = Level::Folder(true);
            }
        } else {
            let level = meta.map_or(Level::Gone, |meta| Level::Object(Box::new(meta)));
            levels.insert(name, level);
        }
    }
    // A folder at which a listing stopped is skipped whole.
    if let Some(folder) = options
        .start_after
        .as_ref()
        .filter(|after| after.ends_with('/'))
    {
        levels.remove(folder);
    }
    levels
}
