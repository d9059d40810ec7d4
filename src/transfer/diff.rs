//! How two trees differ.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use serde::Serialize;
use tokio::task::JoinSet;

use super::compare::{Verdict, judge, settle};
use super::walk::{Foreign, Join, Scope, Step, check_folder};
use super::{CONCURRENCY, Evidence, Filter, Method};
use crate::store::{Error, ErrorKind, Key, Meta, Result, Store};

/// What is compared and how.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// Only this folder, on both sides; empty for all.
    pub below: String,
    /// Which keys, relative to `below`, take part.
    pub filter: Filter,
    /// How many objects are read at once.
    pub concurrency: usize,
    /// What it takes to call two objects the same.
    pub evidence: Evidence,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            below: String::new(),
            filter: Filter::default(),
            concurrency: CONCURRENCY,
            evidence: Evidence::Checksum,
        }
    }
}

/// How an object differs between two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Only the second tree has it.
    Added,
    /// Only the first tree has it.
    Removed,
    /// Both have it, with different bytes.
    Changed,
}

/// One object that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The key, relative to the stores.
    pub key: String,
    /// How it differs.
    pub kind: Kind,
    /// Its length in bytes in the first tree.
    pub size_a: Option<u64>,
    /// Its length in bytes in the second tree.
    pub size_b: Option<u64>,
}

/// The differences of two trees, in byte order of the keys. Names that are no keys are left
/// out. An error about one object doesn't end the stream, one of a listing does.
pub fn diff(
    a: &Arc<dyn Store>,
    b: &Arc<dyn Store>,
    options: &CompareOptions,
) -> BoxStream<'static, Result<Difference>> {
    pairs(a, b, options)
        .filter_map(async |found| match found {
            Ok(Found::Pair(pair)) => difference(pair).transpose(),
            Ok(Found::Foreign(_)) => None,
            Err(error) => Some(Err(error)),
        })
        .boxed()
}

fn difference(pair: Pair) -> Result<Option<Difference>> {
    let kind = match (&pair.source, &pair.target) {
        (Some(_), None) => Kind::Removed,
        (None, _) => Kind::Added,
        (Some(_), Some(_)) => Kind::Changed,
    };
    if pair.same?.is_some() {
        return Ok(None);
    }
    Ok(Some(Difference {
        key: pair.key.to_string(),
        kind,
        size_a: pair.source,
        size_b: pair.target,
    }))
}

/// Two objects under one key, compared.
pub(super) struct Pair {
    pub(super) key: Key,
    /// The sizes.
    pub(super) source: Option<u64>,
    pub(super) target: Option<u64>,
    /// How they are the same, if they are.
    pub(super) same: Result<Option<Method>>,
}

pub(super) enum Found {
    Pair(Pair),
    Foreign(Foreign),
}

/// All keys of two trees in byte order, compared; several at once when bytes must be read.
pub(super) fn pairs(
    source: &Arc<dyn Store>,
    target: &Arc<dyn Store>,
    options: &CompareOptions,
) -> BoxStream<'static, Result<Found>> {
    if let Err(error) = check_folder(&options.below) {
        return stream::once(async { Err(error) }).boxed();
    }
    let scope = Scope::new(&options.below, &options.filter);
    let join = Join::open(source, target, &scope);
    let (source, target) = (Arc::clone(source), Arc::clone(target));
    let evidence = options.evidence;
    stream::try_unfold(join, async |mut join| {
        Ok(join.next().await?.map(|step| (step, join)))
    })
    .map(move |step| look(Arc::clone(&source), Arc::clone(&target), step, evidence))
    .buffered(options.concurrency.max(1))
    .boxed()
}

async fn look(
    source: Arc<dyn Store>,
    target: Arc<dyn Store>,
    step: Result<Step>,
    evidence: Evidence,
) -> Result<Found> {
    let one = |key, source, target| {
        Found::Pair(Pair {
            key,
            source,
            target,
            same: Ok(None),
        })
    };
    match step? {
        Step::ForeignSource(foreign) | Step::ForeignTarget(foreign) => Ok(Found::Foreign(foreign)),
        Step::Source(meta) => Ok(one(meta.key, Some(meta.size), None)),
        Step::Target(meta) => Ok(one(meta.key, None, Some(meta.size))),
        Step::Both(from, to) => Ok(Found::Pair(Pair {
            key: from.key.clone(),
            source: Some(from.size),
            target: Some(to.size),
            same: compare((source, from), (target, to), evidence).await,
        })),
    }
}

async fn compare(
    source: (Arc<dyn Store>, Meta),
    target: (Arc<dyn Store>, Meta),
    evidence: Evidence,
) -> Result<Option<Method>> {
    match judge(&source.1, &target.1, evidence) {
        Verdict::Same => return Ok(Some(Method::Checksum)),
        Verdict::Different => return Ok(None),
        Verdict::Unknown => {}
    }
    // A set of one: the task ends with this future, and hashing uses all processors.
    let mut worker = JoinSet::new();
    worker.spawn(async move {
        settle((&*source.0, &source.1), (&*target.0, &target.1), evidence).await
    });
    match worker.join_next().await {
        Some(Ok(same)) => same,
        _ => Err(Error::new(ErrorKind::Other, "compare", "a worker died")),
    }
}
