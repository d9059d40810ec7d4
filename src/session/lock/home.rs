//! Where the locks of a store lie: at its top, or beside the cluster when it was opened inside
//! one, since nothing of ours may lie below a cluster.

use std::sync::Arc;

use futures::TryStreamExt;

use crate::store::registry::Registry;
use crate::store::{ErrorKind, Key, ListOptions, Result, Store, StoreUrl};

/// How far up a cluster is looked for, as for half-written files.
const LEVELS: usize = 8;

/// The home of a store that was opened at this URL.
pub(super) async fn find(registry: &Registry, opened: &StoreUrl) -> Result<Arc<dyn Store>> {
    let top = registry.open(opened)?;
    let mut folder = StoreUrl {
        options: opened.options.clone(),
        // Of a relative path this is the whole.
        ..StoreUrl::parse(top.url())?
    };
    let mut home = Arc::clone(&top);
    let mut here = top;
    for level in 0..=LEVELS {
        let Some((parent, _)) = folder.split_object() else {
            break;
        };
        let above = registry.open(&parent)?;
        if is_cluster(&here, level > 0).await? {
            home = Arc::clone(&above);
        }
        (folder, here) = (parent, above);
    }
    Ok(home)
}

/// Whether a folder is a cluster's. Far above the store a file named `config` alone may be
/// anything.
async fn is_cluster(folder: &Arc<dyn Store>, needs_more: bool) -> Result<bool> {
    let unknown = |kind: &ErrorKind| {
        matches!(
            kind,
            ErrorKind::NotFound | ErrorKind::PermissionDenied { .. }
        )
    };
    match folder.stat(&Key::parse("config")?).await {
        Ok(_) if !needs_more => return Ok(true),
        Ok(_) => {}
        Err(error) if unknown(error.kind()) => return Ok(false),
        Err(error) => return Err(error),
    }
    let mut groups = folder.list(ListOptions::recursive("instancegroup"));
    match groups.try_next().await {
        Ok(first) => Ok(first.is_some()),
        Err(error) if unknown(error.kind()) => Ok(false),
        Err(error) => Err(error),
    }
}
