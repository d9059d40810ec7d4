//! What the target can't hold, found before anything is copied.

use std::sync::Arc;

use serde::Serialize;

use super::SyncOptions;
use super::report::Sample;
use super::walk::{Feed, Scope, split};
use crate::store::{Capabilities, Meta, Result, Store};
use crate::text::human_size;

/// Looks at source objects in byte order. Keeps only those that a later key may lie below.
struct Checker {
    target: Arc<dyn Store>,
    able: Capabilities,
    /// Each is a prefix of the next, so there are never more than a key has bytes.
    open: Vec<String>,
}

/// What lies ahead in the source.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ahead {
    /// How many objects take part.
    pub objects: u64,
    /// How many bytes they have together.
    pub bytes: u64,
    /// What the target can't hold, and why.
    pub refused: Sample,
}

impl Checker {
    fn new(target: &Arc<dyn Store>) -> Self {
        Self {
            target: Arc::clone(target),
            able: target.capabilities(),
            open: Vec::new(),
        }
    }

    /// Why the target can't hold this next object.
    fn refuses(&mut self, meta: &Meta) -> Option<String> {
        let beside = self.lies_below(meta.key.as_str());
        if let Some(file) = beside {
            return Some(format!("the target can't hold it beside '{file}'"));
        }
        if let Some(reason) = self.target.refuses(&meta.key) {
            return Some(reason);
        }
        let limit = self.able.max_size.filter(|limit| meta.size > *limit)?;
        Some(format!(
            "it has {}, and {} is the most that the target takes",
            human_size(meta.size),
            human_size(limit)
        ))
    }

    fn lies_below(&mut self, key: &str) -> Option<String> {
        if !self.able.hierarchical {
            return None;
        }
        while self.open.last().is_some_and(|open| !key.starts_with(open)) {
            self.open.pop();
        }
        let parent = self
            .open
            .iter()
            .find(|open| key.as_bytes().get(open.len()) == Some(&b'/'))
            .cloned();
        self.open.push(key.to_owned());
        parent
    }
}

/// Looks at all that [`sync`](super::sync) would copy into an empty target. Copies nothing.
///
/// # Errors
/// Those of the source's listing.
pub async fn precheck(
    source: &Arc<dyn Store>,
    target: &Arc<dyn Store>,
    options: &SyncOptions,
) -> Result<Ahead> {
    look_ahead(source, target, Scope::whole(options)).await
}

pub(super) async fn look_ahead(
    source: &Arc<dyn Store>,
    target: &Arc<dyn Store>,
    scope: Scope,
) -> Result<Ahead> {
    // Its limits may be the service's own.
    target.learn().await?;
    let mut checker = Checker::new(target);
    let mut ahead = Ahead::default();
    let mut feed = Feed::open(source, scope);
    while let Some(entry) = feed.next().await? {
        match split(entry) {
            Ok(meta) => {
                ahead.objects += 1;
                ahead.bytes += meta.size;
                if let Some(reason) = checker.refuses(&meta) {
                    ahead.refused.add(meta.key.as_str(), reason);
                }
            }
            Err(foreign) if foreign.is_folder_marker() => {}
            Err(foreign) => ahead.refused.add(foreign.name, foreign.reason),
        }
    }
    Ok(ahead)
}
