//! A plan as a person looks at it: by store and cluster, object by object, with what it comes to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::AddAssign;

use serde::Serialize;

use super::{Expects, Plan, PlannedChange, Step};
use crate::config::layout::{Class, classify};
use crate::store::is_reserved;

/// The folders that kOps makes in a cluster's, which are never clusters themselves.
const FOLDERS: [&str; 10] = [
    ".well-known",
    "addons",
    "backups",
    "clusteraddons",
    "igconfig",
    "instancegroup",
    "manifests",
    "openid",
    "pki",
    "secrets",
];

/// What a plan does, by store and cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The stores that are changed, in the plan's order.
    pub stores: Vec<StoreSummary>,
    /// What all of it comes to.
    pub totals: Totals,
}

/// What a plan does to one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSummary {
    /// Which of the plan's stores.
    pub store: usize,
    /// Its clusters, and what is in none, in the order in which they are first changed.
    pub groups: Vec<Group>,
    /// What it comes to.
    pub totals: Totals,
}

/// What a plan does to one cluster of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The cluster; `None` for what is in none.
    pub cluster: Option<String>,
    /// Its objects, in the order in which they are first changed.
    pub objects: Vec<ObjectSummary>,
    /// What it comes to.
    pub totals: Totals,
}

/// What a plan does to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSummary {
    /// The key, relative to the store.
    pub key: String,
    /// The key, relative to the cluster.
    pub name: String,
    /// It is a secret as a whole.
    pub is_secret: bool,
    /// What all steps on it come to.
    pub net: Effect,
    /// The steps on it, in order.
    pub steps: Vec<usize>,
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is written where there was none.
    Create,
    /// It gets other bytes.
    Change,
    /// It is deleted.
    Delete,
    /// Another object is copied to where there was none.
    Copy,
    /// Another object is copied over it.
    Replace,
    /// In the end it is as it was.
    Nothing,
}

impl Effect {
    /// The sign before an object's name.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Change => "~",
            Self::Delete => "-",
            Self::Copy => "→",
            Self::Replace => "~→",
            Self::Nothing => "=",
        }
    }

    fn of(existed: bool, change: &PlannedChange) -> Self {
        match (existed, change) {
            (false, PlannedChange::Write { .. }) => Self::Create,
            (true, PlannedChange::Write { .. }) => Self::Change,
            (false, PlannedChange::Copy { .. }) => Self::Copy,
            (true, PlannedChange::Copy { .. }) => Self::Replace,
            (true, PlannedChange::Delete) => Self::Delete,
            (false, PlannedChange::Delete) => Self::Nothing,
        }
    }
}

/// How many objects change in which way, each counted once, and how many bytes that takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Objects that are new.
    pub created: u64,
    /// Objects with other bytes.
    pub changed: u64,
    /// Objects that are gone.
    pub deleted: u64,
    /// Objects that are copied to where there was none.
    pub copied: u64,
    /// Objects over which another one is copied.
    pub replaced: u64,
    /// Objects that are in the end as they were.
    pub untouched: u64,
    /// Bytes of what is created and changed.
    pub bytes_written: u64,
    /// Bytes of what is copied.
    pub bytes_copied: u64,
    /// Bytes of what is deleted, as far as their number is known.
    pub bytes_deleted: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        let pairs = [
            (&mut self.created, other.created),
            (&mut self.changed, other.changed),
            (&mut self.deleted, other.deleted),
            (&mut self.copied, other.copied),
            (&mut self.replaced, other.replaced),
            (&mut self.untouched, other.untouched),
            (&mut self.bytes_written, other.bytes_written),
            (&mut self.bytes_copied, other.bytes_copied),
            (&mut self.bytes_deleted, other.bytes_deleted),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Totals {
    fn of(net: Effect, first: &Step, last: &Step) -> Self {
        let (count, bytes) = match last.change {
            PlannedChange::Write { size, .. } | PlannedChange::Copy { size, .. } => (1, size),
            PlannedChange::Delete => (1, first.size_before.unwrap_or(0)),
        };
        let mut totals = Self::default();
        let (counter, sum) = match net {
            Effect::Create => (&mut totals.created, &mut totals.bytes_written),
            Effect::Change => (&mut totals.changed, &mut totals.bytes_written),
            Effect::Delete => (&mut totals.deleted, &mut totals.bytes_deleted),
            Effect::Copy => (&mut totals.copied, &mut totals.bytes_copied),
            Effect::Replace => (&mut totals.replaced, &mut totals.bytes_copied),
            Effect::Nothing => {
                totals.untouched = count;
                return totals;
            }
        };
        (*counter, *sum) = (count, bytes);
        totals
    }
}

impl Summary {
    /// The summary of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let clusters = Clusters::of(plan);
        let mut stores: Vec<StoreSummary> = Vec::new();
        let mut totals = Totals::default();
        for steps in by_object(plan) {
            let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
                continue;
            };
            let (first, last) = (&plan.steps[*first], &plan.steps[*last]);
            let (cluster, name) = clusters.locate(plan, first.store, &first.key);
            let net = net(plan, &steps);
            let sum = Totals::of(net, first, last);
            let at = position_or_push(
                &mut stores,
                |known| known.store == first.store,
                || StoreSummary {
                    store: first.store,
                    groups: Vec::new(),
                    totals: Totals::default(),
                },
            );
            let store = &mut stores[at];
            let at = position_or_push(
                &mut store.groups,
                |known| known.cluster == cluster,
                || Group {
                    cluster: cluster.clone(),
                    objects: Vec::new(),
                    totals: Totals::default(),
                },
            );
            let group = &mut store.groups[at];
            group.objects.push(ObjectSummary {
                key: first.key.clone(),
                is_secret: is_secret(&name),
                name: if cluster.is_some() {
                    name
                } else {
                    first.key.clone()
                },
                net,
                steps,
            });
            group.totals += sum;
            store.totals += sum;
            totals += sum;
        }
        stores.sort_by_key(|store| store.store);
        for store in &mut stores {
            // What stands in no cluster comes last.
            store.groups.sort_by(|a, b| {
                let order = |group: &Group| (group.cluster.is_none(), group.cluster.clone());
                order(a).cmp(&order(b))
            });
            for group in &mut store.groups {
                group.objects.sort_by(|a, b| a.key.cmp(&b.key));
            }
        }
        Self { stores, totals }
    }
}

fn position_or_push<T>(
    all: &mut Vec<T>,
    is_it: impl Fn(&T) -> bool,
    new: impl FnOnce() -> T,
) -> usize {
    all.iter().position(is_it).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    })
}

/// What one step does, seen alone.
#[must_use]
pub fn effect(step: &Step) -> Effect {
    Effect::of(step.expects != Expects::Absent, &step.change)
}

/// What steps on one object come to.
fn net(plan: &Plan, steps: &[usize]) -> Effect {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Effect::Nothing;
    };
    let (first, last) = (&plan.steps[*first], &plan.steps[*last]);
    match &last.change {
        PlannedChange::Write { content, .. }
            if steps.len() > 1 && first.before.as_ref() == Some(content) =>
        {
            Effect::Nothing
        }
        change => Effect::of(first.expects != Expects::Absent, change),
    }
}

/// The steps on each object, objects in the order in which they are first changed.
fn by_object(plan: &Plan) -> Vec<Vec<usize>> {
    let mut places = HashMap::new();
    let mut objects: Vec<Vec<usize>> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let Some(object) = plan.full_key(step.store, &step.key) else {
            continue;
        };
        let place = *places.entry(object).or_insert(objects.len());
        if place == objects.len() {
            objects.push(Vec::new());
        }
        objects[place].push(at);
    }
    objects
}

/// The folders of clusters that a plan tells of: those whose `config` it reads or writes.
struct Clusters<'a>(BTreeMap<&'a str, HashSet<String>>);

impl<'a> Clusters<'a> {
    fn of(plan: &'a Plan) -> Self {
        let mut folders: BTreeMap<_, HashSet<String>> = BTreeMap::new();
        let seen = plan
            .observed
            .objects
            .iter()
            .filter(|seen| seen.version.is_some());
        let keys = plan.steps.iter().map(|step| (step.store, &step.key));
        for (store, key) in keys.chain(seen.map(|seen| (seen.store, &seen.key))) {
            if let Some((root, full)) = plan.full_key(store, key)
                && let Some(folder) = full.strip_suffix("/config")
                && !FOLDERS.contains(&last_segment(folder))
            {
                folders.entry(root).or_default().insert(folder.to_owned());
            }
        }
        Self(folders)
    }

    /// The cluster that an object belongs to, and its key in it; without a cluster, its key from
    /// the top of the bucket.
    fn locate(&self, plan: &Plan, store: usize, key: &str) -> (Option<String>, String) {
        let Some((root, full)) = plan.full_key(store, key) else {
            return (None, key.to_owned());
        };
        let prefix = &full[..full.len() - key.len()];
        let known = self.0.get(root);
        let is_known = |folder: &str| known.is_some_and(|known| known.contains(folder));
        let splits = || {
            full.match_indices('/')
                .map(|(at, _)| (&full[..at], &full[at + 1..]))
        };
        let found = splits()
            .find(|(folder, _)| is_known(folder))
            .or_else(|| splits().find(|(folder, rest)| looks_like_one(folder, rest, prefix)))
            .or_else(|| {
                let at = prefix.len() + key.find('/')?;
                is_dns_name(last_segment(&full[..at])).then(|| (&full[..at], &full[at + 1..]))
            });
        let Some((folder, rest)) = found else {
            return (None, full);
        };
        let cluster = folder.strip_prefix(prefix).unwrap_or(last_segment(folder));
        (Some(cluster.to_owned()), rest.to_owned())
    }
}

/// Whether a folder is a cluster's by what lies at `rest` below it. Above the store's own top
/// only a name that is a cluster's counts.
fn looks_like_one(folder: &str, rest: &str, prefix: &str) -> bool {
    let name = last_segment(folder);
    let is_first_below = folder
        .strip_prefix(prefix)
        .is_some_and(|below| !below.contains('/'));
    classify(rest).class != Class::Unknown
        && !FOLDERS.contains(&name)
        && !is_reserved(name)
        && (is_first_below || is_dns_name(name))
}

/// Whether a name is like a cluster's: `blue.k8s.example.com`.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.bytes().all(is_letter)
    };
    name.contains('.') && name.split('.').all(is_label)
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a file is a secret as a whole. Any part of the way may be the cluster's folder.
fn is_secret(key: &str) -> bool {
    let starts = key.match_indices('/').map(|(at, _)| at + 1);
    std::iter::once(0)
        .chain(starts)
        .any(|at| classify(&key[at..]).secret)
}

#[cfg(test)]
mod tests;
