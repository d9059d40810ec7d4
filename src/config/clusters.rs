//! The clusters of a store, and the trees that are theirs.

use futures::{Stream, StreamExt, TryStreamExt};

use super::check::{File, Holds, holds, part_of};
use super::entry::Entry;
use super::fields::Kind;
use super::location::Location;
use super::validate::{Finding, Severity};
use crate::merge::document::{Document, Path};
use crate::store::{self, ErrorKind, Key, ListOptions, Result, Store};

/// How many clusters are looked at at once.
const AT_ONCE: usize = 16;

const CONFIG_BASE: [&str; 2] = ["spec", "configBase"];

/// The names of a store's clusters, the folders that have a `config`, in byte order.
///
/// # Errors
/// Those of the store.
pub async fn names(store: &dyn Store) -> Result<Vec<String>> {
    let named = folders(store).map(|name| async {
        let name = name?;
        let config = Key::parse(&format!("{name}/config"))?;
        match store.stat(&config).await {
            Ok(_) => Ok(Some(name)),
            Err(error) if error.is_missing_key() => Ok(None),
            Err(error) => Err(error),
        }
    });
    let found = named.buffered(AT_ONCE);
    found
        .try_filter_map(async |name| Ok(name))
        .try_collect()
        .await
}

fn folders(store: &dyn Store) -> impl Stream<Item = Result<String>> {
    let options = ListOptions {
        one_level: true,
        ..ListOptions::default()
    };
    let folders = store.list(options).try_filter_map(async |entry| {
        Ok(match entry {
            store::Entry::Prefix(name) => Some(name.trim_end_matches('/').to_owned()),
            _ => None,
        })
    });
    folders
        .try_filter(|name| std::future::ready(!store::is_reserved(name) && !name.starts_with('.')))
}

/// Whether a text of a cluster's `config` puts the cluster into the tree of another one of the
/// store: kOps would use its keys, write over its state, and delete it with this one. Not looked
/// for when the place is the same as in the text before.
///
/// Who may not see the other clusters is told nothing of them.
///
/// # Errors
/// Those of the store.
pub async fn trespass(
    store: &dyn Store,
    file: File<'_>,
    before: Option<&str>,
) -> Result<Option<Finding>> {
    let Some(Holds::Object(Kind::Cluster, cluster)) = holds(file.label) else {
        return Ok(None);
    };
    let Ok(document) = Document::parse(file.text) else {
        return Ok(None);
    };
    // kOps takes the folder of the file when no place is given.
    let home = Location::parse(file.label.strip_suffix("/config").unwrap_or(file.label));
    let place = |document: &Document| config_base(document).unwrap_or_else(|| home.clone());
    let ours = place(&document);
    let old = before.and_then(|text| Document::parse(text).ok());
    if old.is_some_and(|old| place(&old) == ours) {
        return Ok(None);
    }
    let others = match others(store, cluster).await {
        Err(error) if is_closed(error.kind()) => return Ok(None),
        others => others?,
    };
    let met = others.iter().find_map(|(name, theirs)| {
        let how = match (theirs.below(&ours).as_deref(), ours.below(theirs)) {
            (Some(""), _) => "is",
            (Some(_), _) => "lies in",
            (None, Some(_)) => "holds",
            (None, None) => return None,
        };
        Some((name, how))
    });
    Ok(met.map(|(name, how)| {
        let path = Path::keys(&CONFIG_BASE);
        let (line, column) = document.position(part_of(&document, Kind::Cluster), &path);
        Finding {
            severity: Severity::Error,
            file: file.label.to_owned(),
            line,
            column,
            message: format!("spec.configBase {ours} {how} the tree of the cluster {name}"),
            path,
            hint: Some(format!(
                "kOps would use the keys of {name}, and delete them with this cluster; \
                 give it a place of its own, such as {home}"
            )),
        }
    }))
}

fn config_base(document: &Document) -> Option<Location> {
    let part = part_of(document, Kind::Cluster);
    let base = document.get(part, &Path::keys(&CONFIG_BASE))?.as_str()?;
    (!base.is_empty()).then(|| Location::parse(base))
}

/// The other clusters of a store, each with its trees: its folder there, and its `configBase`.
async fn others(store: &dyn Store, but: &str) -> Result<Vec<(String, Location)>> {
    let root = Location::parse(store.url());
    let folders = folders(store).try_filter(|name| std::future::ready(name != but));
    let trees = folders.map(|name| async {
        let name = name?;
        let config = Key::parse(&format!("{name}/config"))?;
        let entry = match Entry::load(store, &config).await {
            Err(error) if is_closed(error.kind()) => return Ok(Vec::new()),
            entry => entry?,
        };
        if entry.tag.is_none() {
            return Ok(Vec::new());
        }
        let base = Document::parse(&entry.text).ok();
        let base = base.as_ref().and_then(config_base);
        let trees = std::iter::once(root.join(&name)).chain(base);
        Result::Ok(trees.map(|tree| (name.clone(), tree)).collect())
    });
    trees.buffered(AT_ONCE).try_concat().await
}

/// Whether something can't be looked into, which is none of this cluster's faults.
fn is_closed(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied { .. } | ErrorKind::NotFound | ErrorKind::Invalid
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::{Mode, Session};
    use crate::store::registry::Env;
    use crate::store::{Body, StoreUrl, WriteOptions};

    async fn store() -> (Session, Arc<dyn Store>) {
        let session = Session::new(Env::default(), Mode::Direct);
        let url = StoreUrl::parse("memfs://trees").expect("a literal URL");
        let store = session.open(&url).expect("a store");
        for (key, text) in [
            (
                "apart.example.com/config",
                config("s3://b/apart.example.com/"),
            ),
            ("blue.example.com/config", config("")),
            ("broken.example.com/config", "a: [".to_owned()),
            (
                "green.example.com/config",
                config("memfs://trees/green.example.com"),
            ),
            (
                "none/instancegroup/nodes",
                "kind: InstanceGroup\n".to_owned(),
            ),
        ] {
            let key = Key::parse(key).expect("a literal key");
            let body = Body::from(text.into_bytes());
            let written = store.write(&key, body, WriteOptions::default()).await;
            written.expect("written");
        }
        (session, store)
    }

    fn config(base: &str) -> String {
        format!("kind: Cluster\nspec:\n  configBase: '{base}'\n")
    }

    #[tokio::test]
    async fn a_cluster_is_a_folder_with_a_config() {
        let (_session, store) = store().await;
        let names = names(&*store).await.expect("names");
        let expected = ["apart", "blue", "broken", "green"];
        assert_eq!(names, expected.map(|name| format!("{name}.example.com")));
    }

    #[tokio::test]
    async fn no_cluster_gets_into_the_tree_of_another() {
        let (_session, store) = store().await;
        let green = "memfs://trees/green.example.com";
        for (before, base, told) in [
            (None, "", None),
            (None, "memfs://trees/blue.example.com", None),
            (None, "memfs://elsewhere/green.example.com", None),
            (None, "memfs://trees/green.example.com2", None),
            (Some(green), "memfs://trees/green.example.com/", None),
            (
                None,
                green,
                Some("is the tree of the cluster green.example.com"),
            ),
            (Some("memfs://x/blue"), green, Some("is the tree of")),
            (
                Some(""),
                "memfs://trees/broken.example.com",
                Some("is the tree of"),
            ),
            (
                None,
                "memfs://trees/green.example.com/blue",
                Some("lies in the tree of"),
            ),
            (
                None,
                "s3://b/apart.example.com",
                Some("is the tree of the cluster apart."),
            ),
            (
                None,
                "s3://b",
                Some("holds the tree of the cluster apart.example.com"),
            ),
        ] {
            let text = config(base);
            let file = File {
                label: "memfs://trees/blue.example.com/config",
                text: &text,
            };
            let before = before.map(config);
            let found = trespass(&*store, file, before.as_deref()).await;
            let found = found.expect("looked at");
            match (found, told) {
                (None, None) => {}
                (Some(found), Some(told)) => {
                    assert!(found.message.contains(told), "{found} / {told}");
                    assert_eq!((found.line, found.severity), (3, Severity::Error));
                }
                (found, _) => panic!("{base}: {found:?}"),
            }
        }
    }
}
