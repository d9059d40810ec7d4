//! Whether everything that a plan was computed from is still so.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::plan::{Observed, SeenListing};
use super::watched::{UNTAGGED, is_input, version_of};
use crate::store::{Entry, ErrorKind, Key, ListOptions, Place, Result, Store};

/// How many objects are looked at at once.
const AT_ONCE: usize = 32;

/// Something that is no longer as a plan saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stale {
    /// The store's printable URL.
    pub store: String,
    /// The object, or the folder.
    pub key: String,
    /// What became of it.
    pub how: How,
}

/// What became of something that a plan saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It has other bytes, or was written again.
    Changed,
    /// It is gone.
    Gone,
    /// It was not there.
    New,
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Changed => "was changed",
            Self::Gone => "is gone",
            Self::New => "is new",
        })
    }
}

/// Versions of objects; `None` for what must not be there.
pub(super) type Versions = BTreeMap<Place, Option<String>>;

/// What a plan expects to find.
pub(super) struct Expected<'a> {
    pub(super) stores: &'a [Arc<dyn Store>],
    pub(super) observed: &'a Observed,
    /// What steps that are done already made of it.
    pub(super) done: Versions,
}

/// Finds everything that is not as expected.
///
/// # Errors
/// Those of the stores: what can't be looked at can't be relied on.
pub(super) async fn check(expected: &Expected<'_>) -> Result<Vec<Stale>> {
    let mut versions = Versions::new();
    let mut of_store = BTreeMap::new();
    for seen in &expected.observed.objects {
        let Some(store) = expected.stores.get(seen.store) else {
            continue;
        };
        let place = Place::of(&**store, &seen.key);
        of_store.insert(place.clone(), (Arc::clone(store), seen.key.clone()));
        versions.insert(place, seen.version.clone());
    }
    for (place, version) in &expected.done {
        if let Some(known) = versions.get_mut(place) {
            known.clone_from(version);
        } else {
            versions.insert(place.clone(), version.clone());
        }
    }
    let mut stale = BTreeSet::new();
    let mut settled = HashSet::new();
    for listing in &expected.observed.listings {
        if let Some(store) = expected.stores.get(listing.store) {
            let check = Relisted {
                store,
                listing,
                versions: &versions,
                done: &expected.done,
            };
            check.run(&mut stale, &mut settled).await?;
        }
    }
    let mut open = Vec::new();
    for (place, (store, key)) in of_store {
        if !settled.contains(&place) {
            let version = versions.get(&place).cloned().flatten();
            open.push(async move { look(&*store, &key, version.as_deref()).await });
        }
    }
    let looked: Vec<_> = stream::iter(open)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    stale.extend(looked.into_iter().flatten());
    Ok(stale.into_iter().collect())
}

fn how(expected: Option<&str>, found: Option<&str>) -> Option<How> {
    match (expected, found) {
        (None, None) => None,
        (Some(expected), Some(found)) => (expected != found).then_some(How::Changed),
        (Some(_), None) => Some(How::Gone),
        (None, Some(_)) => Some(How::New),
    }
}

async fn look(store: &dyn Store, name: &str, expected: Option<&str>) -> Result<Option<Stale>> {
    let untagged = expected.is_some_and(|version| version.starts_with(UNTAGGED));
    let found = store.find(&Key::parse(name)?).await?.map(|mut meta| {
        if untagged {
            meta.tag = None;
        }
        version_of(&meta)
    });
    Ok(how(expected, found.as_deref()).map(|how| Stale {
        store: store.url().to_owned(),
        key: name.to_owned(),
        how,
    }))
}

struct Relisted<'a> {
    store: &'a Arc<dyn Store>,
    listing: &'a SeenListing,
    versions: &'a Versions,
    done: &'a Versions,
}

impl Relisted<'_> {
    async fn run(&self, stale: &mut BTreeSet<Stale>, settled: &mut HashSet<Place>) -> Result<()> {
        let (objects, others) = self.now().await?;
        let place = self.store.place();
        let expected = self.expected(&place);
        let mut found_wrong = |name: &str, how| {
            stale.insert(Stale {
                store: self.store.url().to_owned(),
                key: name.to_owned(),
                how,
            });
        };
        let names: BTreeSet<&String> = objects.keys().chain(expected.keys()).collect();
        for name in names {
            let (before, now) = (expected.get(name), objects.get(name));
            // A listing without tags can't tell: the object itself is looked at.
            let untold = before.is_some_and(|version| !version.starts_with(UNTAGGED))
                && now.is_some_and(|version| version.starts_with(UNTAGGED));
            if untold {
                continue;
            }
            settled.insert(Place::of(&**self.store, name));
            if let Some(how) = how(before.map(|v| &***v), now.map(String::as_str)) {
                found_wrong(name, how);
            }
        }
        let before: BTreeSet<&String> = self.listing.others.iter().collect();
        for name in others.iter().filter(|name| !before.contains(name)) {
            if !self.is_ours(&place, name) {
                found_wrong(name, How::New);
            }
        }
        for name in before.into_iter().filter(|name| !others.contains(*name)) {
            if !self.is_ours(&place, name) {
                found_wrong(name, How::Gone);
            }
        }
        Ok(())
    }

    /// What the listing gives now: versions of objects, and the names of all else.
    async fn now(&self) -> Result<(BTreeMap<String, String>, BTreeSet<String>)> {
        let options = ListOptions {
            below: self.listing.below.clone(),
            one_level: self.listing.one_level,
            start_after: self.listing.after.clone(),
        };
        let (mut objects, mut others) = (BTreeMap::new(), BTreeSet::new());
        let mut entries = self.store.list(options);
        while let Some(entry) = entries.next().await {
            let entry = match entry {
                // A folder that isn't there has nothing in it.
                Err(error) if *error.kind() == ErrorKind::NotFound => break,
                entry => entry?,
            };
            let name = entry.name();
            if self
                .listing
                .until
                .as_deref()
                .is_some_and(|until| name > until)
            {
                break;
            }
            if !is_input(name) {
                continue;
            }
            match &entry {
                Entry::Object(meta) => {
                    objects.insert(name.to_owned(), version_of(meta));
                }
                Entry::Prefix(_) | Entry::Foreign { .. } => {
                    others.insert(name.to_owned());
                }
            }
        }
        Ok((objects, others))
    }

    /// The objects that the listing must give.
    fn expected(&self, place: &Place) -> BTreeMap<String, &String> {
        let below = place.full_key(&self.listing.below);
        let start = if below.is_empty() {
            String::new()
        } else {
            format!("{below}/")
        };
        let strip = if place.prefix.is_empty() {
            0
        } else {
            place.prefix.len() + 1
        };
        let from = Place {
            root: place.root.clone(),
            prefix: start.clone(),
        };
        let mut expected = BTreeMap::new();
        for (Place { root, prefix: full }, version) in self.versions.range(from..) {
            if *root != place.root || !full.starts_with(&start) {
                break;
            }
            let (Some(version), Some(name)) = (version, full.get(strip..)) else {
                continue;
            };
            let deeper = full[start.len()..].contains('/');
            let outside = self
                .listing
                .after
                .as_deref()
                .is_some_and(|after| name <= after)
                || self
                    .listing
                    .until
                    .as_deref()
                    .is_some_and(|until| name > until);
            if outside || (deeper && self.listing.one_level) || !is_input(name) {
                continue;
            }
            expected.insert(name.to_owned(), version);
        }
        expected
    }

    /// Whether a folder came or went with what the plan itself did already.
    fn is_ours(&self, place: &Place, folder: &str) -> bool {
        let start = place.full_key(folder);
        let from = Place {
            root: place.root.clone(),
            prefix: start.clone(),
        };
        let next = self.done.range(from..).next();
        next.is_some_and(|(found, _)| found.root == place.root && found.prefix.starts_with(&start))
    }
}
