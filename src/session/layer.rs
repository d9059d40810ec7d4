//! The changes of a rehearsal, over all of its stores, and what they were computed from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::opened::Reached;
use super::watched::Sightings;
use crate::store::{Meta, Place, Store, Tag, is_reserved};

/// The bytes of a written object.
#[derive(Clone)]
pub(super) enum Content {
    /// At hand.
    Bytes(Bytes),
    /// Still in the store that they are copied from, in the version `from`.
    Reference {
        store: Arc<dyn Store>,
        from: Box<Meta>,
    },
}

/// What a run did to one object.
#[derive(Clone)]
pub(super) enum Change {
    Deleted,
    Written {
        meta: Box<Meta>,
        content: Content,
        /// The step that did it; `None` for objects of kstate's own.
        step: Option<usize>,
    },
}

/// One change in the order of their completion.
#[derive(Clone)]
pub(super) struct Recorded {
    /// How many steps were complete when it began.
    pub(super) after: usize,
    /// Where the object is.
    pub(super) object: Reached,
    /// What it was before.
    pub(super) before: Before,
    pub(super) deed: Deed,
}

/// The steps that are made, with the tags of what they left.
pub(super) type Made = HashMap<usize, Option<String>>;

impl Recorded {
    /// The steps whose outcome it needs.
    fn builds_on(&self) -> Vec<usize> {
        let copied = match &self.deed {
            Deed::Copy { step, .. } => *step,
            _ => None,
        };
        self.before.step.into_iter().chain(copied).collect()
    }

    /// The same once others are made, and those that are left have these numbers.
    fn behind(mut self, made: &Made, numbers: &[Option<usize>]) -> Self {
        self.after = numbers.iter().take(self.after).flatten().count();
        let number = |step: usize| numbers.get(step).copied().flatten();
        if let Some(step) = self.before.step {
            self.before.step = number(step);
            if let Some(tag) = made.get(&step) {
                self.before.tag = tag.clone().map(Tag);
            }
        }
        if let Deed::Copy { step, version, .. } = &mut self.deed
            && let Some(on) = *step
        {
            *step = number(on);
            if let Some(tag) = made.get(&on) {
                *version = tag.clone().map(Tag);
            }
        }
        self
    }
}

/// What a step found.
#[derive(Clone, Default)]
pub(super) struct Before {
    pub(super) size: Option<u64>,
    /// The tag in the store beneath; `None` when it was absent or this run's own.
    pub(super) tag: Option<Tag>,
    /// The step that had written it.
    pub(super) step: Option<usize>,
    /// Its bytes, when they are kept to be shown.
    pub(super) text: Option<Bytes>,
}

/// What a step did.
#[derive(Clone)]
pub(super) enum Deed {
    Write {
        meta: Box<Meta>,
        bytes: Bytes,
    },
    Copy {
        from: Reached,
        version: Option<Tag>,
        step: Option<usize>,
        size: u64,
    },
    Delete,
}

/// Changes by full key, for one bucket or file system.
pub(super) type Changes = BTreeMap<String, Change>;

/// All changes of a run, by the root of the [`Place`](crate::store::Place) that they are in, so
/// that two stores opened at different folders of one bucket see each other's.
#[derive(Default)]
pub(super) struct Layer {
    state: Mutex<State>,
    /// What the run saw beneath; only kept for a plan.
    pub(super) sightings: Option<Sightings>,
}

#[derive(Default)]
pub(super) struct State {
    roots: HashMap<String, Changes>,
    steps: Vec<Recorded>,
    tags: u64,
}

impl Layer {
    /// A layer that also remembers what it was computed from.
    pub(super) fn for_plan() -> Self {
        Self {
            sightings: Some(Sightings::default()),
            ..Self::default()
        }
    }

    /// A panic elsewhere can't leave the maps half-changed: each change is one call.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, root: &str, full: &str) -> Option<Change> {
        self.lock().get(root, full).cloned()
    }

    /// The changes below a folder, as they are now.
    pub(super) fn below(&self, root: &str, folder: &str) -> Changes {
        let start = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let state = self.lock();
        let Some(changes) = state.roots.get(root) else {
            return Changes::new();
        };
        changes
            .range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded))
            .take_while(|(full, _)| full.starts_with(&start))
            .map(|(full, change)| (full.clone(), change.clone()))
            .collect()
    }

    /// Whether the run has changed anything below a folder, if only for a while.
    pub(super) fn has_changes(&self, root: &str, folder: &str) -> bool {
        let start = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let state = self.lock();
        state.roots.get(root).is_some_and(|changes| {
            let mut below =
                changes.range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded));
            below
                .next()
                .is_some_and(|(full, _)| full.starts_with(&start))
        })
    }

    /// How many steps are complete.
    pub(super) fn completed(&self) -> usize {
        self.lock().steps.len()
    }

    /// Forgets all changes, and what was seen. No tag is given twice.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        state.roots.clear();
        state.steps.clear();
        if let Some(sightings) = &self.sightings {
            sightings.clear();
        }
    }

    /// Takes steps out. Those that were `made` are in the stores now, under these tags, and what
    /// was seen before them holds no more. Those at the `dropped` places are forgotten, with all
    /// that builds on them.
    pub(super) fn settle(&self, made: &Made, mut dropped: HashSet<Place>) {
        let mut state = self.lock();
        let steps = std::mem::take(&mut state.steps);
        let is_lost = |step: &Recorded, dropped: &HashSet<Place>| {
            let builds_on =
                |on: &usize| !made.contains_key(on) && dropped.contains(&steps[*on].object.place);
            step.builds_on().iter().any(builds_on)
        };
        for (index, step) in steps.iter().enumerate() {
            if !made.contains_key(&index) && is_lost(step, &dropped) {
                dropped.insert(step.object.place.clone());
            }
        }
        let touched: HashSet<_> = steps.iter().map(|step| step.object.place.clone()).collect();
        let mut numbers = Vec::with_capacity(steps.len());
        for (index, step) in steps.into_iter().enumerate() {
            let stays = !made.contains_key(&index) && !dropped.contains(&step.object.place);
            numbers.push(stays.then_some(state.steps.len()));
            if stays {
                state.steps.push(step.behind(made, &numbers));
            }
        }
        let left: HashSet<_> = state
            .steps
            .iter()
            .map(|step| step.object.place.clone())
            .collect();
        for (root, changes) in &mut state.roots {
            changes.retain(|full, change| {
                if let Change::Written { step, .. } = change {
                    *step = step.and_then(|step| numbers.get(step).copied().flatten());
                }
                let place = Place {
                    root: root.clone(),
                    prefix: full.clone(),
                };
                left.contains(&place) || !touched.contains(&place)
            });
        }
        if let Some(sightings) = self.sightings.as_ref().filter(|_| !made.is_empty()) {
            sightings.clear();
        }
    }

    pub(super) fn steps(&self) -> Vec<Recorded> {
        self.lock().steps.clone()
    }
}

impl State {
    pub(super) fn get(&self, root: &str, full: &str) -> Option<&Change> {
        self.roots.get(root)?.get(full)
    }

    pub(super) fn next_tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(format!("dry-run-{}", self.tags))
    }

    /// Records a change; kstate's own objects, by their key in the store, are changed but no
    /// steps.
    pub(super) fn apply(&mut self, key: &str, mut change: Change, recorded: Recorded) {
        let own = is_reserved(key);
        if let Change::Written { step, .. } = &mut change {
            *step = (!own).then_some(self.steps.len());
        }
        let Place { root, prefix } = recorded.object.place.clone();
        self.roots.entry(root).or_default().insert(prefix, change);
        if !own {
            self.steps.push(recorded);
        }
    }
}
