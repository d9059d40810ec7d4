//! From a rehearsal to a plan.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::{
    CopyOf, Expects, Observed, Origin, Plan, PlannedChange, PlannedLock, PlannedStore, SeenListing,
    SeenObject, Step,
};
use crate::session::layer::{Before, Deed, Layer, Recorded};
use crate::session::lock::TakenLock;
use crate::session::opened::{Opened, Reached};
use crate::session::watched::{Listed, Seen, Sightings};
use crate::store::{Algorithm, Checksum, Place};

/// The plan of what a layer recorded.
pub(in crate::session) fn build(
    origin: Origin,
    layer: &Layer,
    opened: &Opened,
    locks: Vec<TakenLock>,
) -> Plan {
    let mut builder = Builder {
        opened,
        used: HashMap::new(),
        stores: Vec::new(),
        contents: BTreeMap::new(),
    };
    let steps = layer.steps();
    let steps = steps.into_iter().filter_map(|step| builder.step(step));
    let steps: Vec<_> = steps.collect();
    let seen = layer.sightings.as_ref().map(Sightings::all);
    let observed = builder.observed(seen.unwrap_or_default());
    let locks = locks.into_iter().filter_map(|lock| {
        let (store, _) = builder.locate(&lock.reached())?;
        Some(PlannedLock::of(lock, store))
    });
    let locks = locks.collect();
    Plan {
        origin,
        stores: builder.stores,
        steps,
        locks,
        observed,
        contents: builder.contents,
    }
}

struct Builder<'a> {
    opened: &'a Opened,
    /// The plan's numbers of the stores that the run opened.
    used: HashMap<usize, usize>,
    stores: Vec<PlannedStore>,
    contents: BTreeMap<String, Bytes>,
}

impl Builder<'_> {
    /// The plan's number of the store in which a place lies, and where it lies there. Everything
    /// that a run touched lies in a store that it opened.
    fn locate(&mut self, reached: &Reached) -> Option<(usize, String)> {
        let (index, below) = self.opened.locate(reached)?;
        if let Some(number) = self.used.get(&index) {
            return Some((*number, below));
        }
        let number = self.stores.len();
        self.stores.push(self.opened.get(index)?);
        self.used.insert(index, number);
        Some((number, below))
    }

    fn keep(&mut self, bytes: Bytes) -> String {
        let sum = Checksum::of(Algorithm::Sha256, &bytes).hex();
        self.contents.entry(sum.clone()).or_insert(bytes);
        sum
    }

    fn step(&mut self, step: Recorded) -> Option<Step> {
        let (store, key) = self.locate(&step.object)?;
        let Before {
            size,
            tag,
            step: by,
            text,
        } = step.before;
        let expects = match (tag, by, size) {
            (Some(tag), _, _) => Expects::Tag(tag.0),
            (None, Some(by), Some(_)) => Expects::Step(by),
            (None, _, _) => Expects::Absent,
        };
        Some(Step {
            after: step.after,
            store,
            key,
            expects,
            size_before: size,
            before: text.map(|text| self.keep(text)),
            change: self.change(step.deed)?,
        })
    }

    fn change(&mut self, deed: Deed) -> Option<PlannedChange> {
        Some(match deed {
            Deed::Write { meta, bytes } => PlannedChange::Write {
                size: bytes.len() as u64,
                content: self.keep(bytes),
                content_type: meta.content_type,
                user: meta.user,
            },
            Deed::Copy {
                from,
                version,
                step,
                size,
            } => {
                let (store, key) = self.locate(&from)?;
                let version = match (step, version) {
                    (Some(step), _) => CopyOf::Step(step),
                    (None, version) => CopyOf::Tag(version?.0),
                };
                PlannedChange::Copy {
                    store,
                    key,
                    version,
                    size,
                }
            }
            Deed::Delete => PlannedChange::Delete,
        })
    }

    fn observed(&mut self, seen: Seen) -> Observed {
        let mut observed = Observed::default();
        for (place, sighting) in seen.objects {
            let reached = Reached {
                place,
                through: Some(sighting.through),
            };
            if let Some((store, key)) = self.locate(&reached) {
                observed.objects.push(SeenObject {
                    store,
                    key,
                    version: sighting.version,
                });
            }
        }
        for listed in seen.listings {
            if let Some(listing) = self.listing(listed) {
                observed.listings.push(listing);
            }
        }
        observed
    }

    fn listing(&mut self, listed: Listed) -> Option<SeenListing> {
        let (store, folder) = self.locate(&listed.store)?;
        // Names in the listing are relative to the store it was made in, here to the one opened.
        let here = Place {
            root: String::new(),
            prefix: folder,
        };
        let full = |name: String| here.full_key(&name);
        Some(SeenListing {
            store,
            below: full(listed.below),
            one_level: listed.one_level,
            after: listed.after.map(full),
            until: listed.until.map(full),
            others: listed.others.into_iter().map(full).collect(),
        })
    }
}
