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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Mode, Session};
    use crate::store::registry::Env;
    use crate::store::{Body, WriteOptions};

    async fn home_of(session: &Session, url: &str, folder: &str) -> String {
        let url = StoreUrl::parse(url).unwrap();
        let store = session.open(&url).unwrap().at(folder);
        session.lock_status(&store).await.unwrap().home
    }

    #[tokio::test]
    async fn locks_lie_at_the_top_of_a_store_and_never_below_a_cluster() {
        let session = Session::new(Env::default(), Mode::Direct);
        let store = session
            .open(&StoreUrl::parse("memfs://b").unwrap())
            .unwrap();
        for key in [
            "state/c.example.com/config",
            "state/c.example.com/instancegroup/nodes",
            // As anything may be called.
            "other/config",
            "config",
        ] {
            let (key, body) = (Key::parse(key).unwrap(), Body::from("x"));
            store
                .write(&key, body, WriteOptions::default())
                .await
                .unwrap();
        }
        for (url, folder, home) in [
            ("memfs://b", "", "memfs://b"),
            ("memfs://b", "state/c.example.com", "memfs://b"),
            ("memfs://b/state", "", "memfs://b/state"),
            ("memfs://b/state", "c.example.com/pki", "memfs://b/state"),
            ("memfs://b/state/c.example.com", "", "memfs://b/state"),
            ("memfs://b/state/c.example.com", "pki", "memfs://b/state"),
            (
                "memfs://b/state/c.example.com/pki/private",
                "",
                "memfs://b/state",
            ),
            ("memfs://b/other/deep/down", "", "memfs://b/other/deep/down"),
            ("memfs://b/not/there", "", "memfs://b/not/there"),
        ] {
            assert_eq!(home_of(&session, url, folder).await, home, "{url} {folder}");
        }
    }

    #[tokio::test]
    async fn a_cluster_in_a_folder_is_seen_from_relative_paths_and_through_the_overlay() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = folder.path().join("state/c.example.com");
        #[expect(clippy::disallowed_methods, reason = "tests look at files")]
        for file in ["config", "instancegroup/nodes"] {
            let file = cluster.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "x").unwrap();
        }
        let home = cluster.parent().unwrap().to_str().unwrap();
        for mode in [Mode::Direct, Mode::DryRun] {
            let session = Session::new(Env::default(), mode);
            for url in [cluster.join("pki"), cluster.clone()] {
                let url = url.to_str().unwrap();
                assert_eq!(home_of(&session, url, "").await, home, "{url}");
            }
        }
    }
}
