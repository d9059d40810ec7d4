//! Moving a cluster's manifest: the same text, with the new place where the old one stood.

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::location::Location;
use super::manifest::ClusterManifest;
use super::references::{Class, config_base};
use crate::merge::document::Path;
use crate::store::{Error, ErrorKind, Result};

/// One field that a rewrite changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The field, such as `spec.configBase`.
    pub path: String,
    /// Its line in the new text, counting from 1.
    pub line: usize,
    /// What stood there; `None` when the field was added.
    pub before: Option<String>,
    /// What stands there now.
    pub after: String,
}

/// A rewritten manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rewritten {
    /// The whole file.
    pub text: String,
    /// What changed, in the order of the fields; empty when everything was in place already.
    pub changes: Vec<Change>,
}

impl ClusterManifest {
    /// Rewrites a cluster's manifest for its move from `old` to `new`, the folders that hold
    /// the cluster (`{store}/{name}`, or what its `configBase` says).
    ///
    /// `configBase` is set in any case, and added when it was missing. The stores of keys,
    /// secrets and backups are set when they are explicit and under `old`, to the same place
    /// under `new`. All else stays byte for byte: other documents, comments, order, quoting.
    /// The issuer and its discovery store are never changed, because tokens depend on them.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); [`ErrorKind::Unsupported`] when the text can't be changed
    /// without changing more than that, such as a value that other places refer to by an anchor.
    pub fn rewrite(text: &str, label: &str, old: &Location, new: &Location) -> Result<Rewritten> {
        let manifest = Self::parse(text, label)?;
        let planned = plan(&manifest, old, new);
        let (mut document, part) = manifest.into_document();
        for (path, _, after) in &planned {
            document.set(part, path, after.as_str()).map_err(|fault| {
                Error::new(ErrorKind::Unsupported, "rewrite", fault.to_string())
                    .at(label, None)
                    .hint("write the value out in the manifest, then try again")
            })?;
        }
        let changes: Vec<Change> = planned
            .into_iter()
            .map(|(path, before, after)| Change {
                line: document.key_position(part, &path).0,
                path: path.to_string(),
                before,
                after,
            })
            .collect();
        let text_after = document.text().to_owned();
        check_lines(text, &text_after, &changes, label)?;
        Ok(Rewritten {
            text: text_after,
            changes,
        })
    }
}

type Planned = (Path, Option<String>, String);

fn plan(manifest: &ClusterManifest, old: &Location, new: &Location) -> Vec<Planned> {
    let base = Path::keys(config_base(manifest.version()));
    let mut planned = Vec::new();
    if manifest.config_base().is_none() {
        planned.push((base.clone(), None, new.to_string()));
    }
    for (path, value, class) in manifest.located() {
        let way = old.below(&Location::parse(value));
        let after = match way {
            Some(way) if class == Class::Moves => new.join(&way).to_string(),
            _ if path == base => new.to_string(),
            _ => continue,
        };
        if value != after {
            planned.push((path, Some(value.to_owned()), after));
        }
    }
    planned
}

/// Makes sure that no more lines changed than the fields account for: one each, and for a field
/// that was added its parent's line and the last line of a text without a final newline.
fn check_lines(before: &str, after: &str, changes: &[Change], label: &str) -> Result<()> {
    let diff = TextDiff::from_lines(before, after);
    let count = |tag| {
        diff.iter_all_changes()
            .filter(|line| line.tag() == tag)
            .count()
    };
    let added = changes
        .iter()
        .filter(|change| change.before.is_none())
        .count();
    let within = count(ChangeTag::Delete) <= changes.len()
        && count(ChangeTag::Insert) <= changes.len() + 2 * added;
    if within {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "rewrite",
        "other lines would change than those of the fields that must",
    )
    .at(label, None)
    .hint("put each of the fields on a line of its own in the manifest, then try again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(text: &str, old: &str, new: &str) -> Result<Rewritten> {
        let (old, new) = (Location::parse(old), Location::parse(new));
        ClusterManifest::rewrite(text, "config", &old, &new)
    }

    fn rewritten(text: &str, old: &str, new: &str) -> String {
        rewrite(text, old, new).map_or_else(|error| format!("refused: {error}"), |new| new.text)
    }

    const HEAD: &str = "apiVersion: kops.k8s.io/v1alpha2\nkind: Cluster\nmetadata:\n  name: c\n";
    const ALPHA3: &str = "apiVersion: kops.k8s.io/v1alpha3\nkind: Cluster\nmetadata:\n  name: c\n";

    #[test]
    fn moves_what_lies_under_the_old_place_and_keeps_the_rest() {
        let text = format!(
            "{HEAD}spec:\n  # the base\n  configBase: \"s3://old/c/\" # keep me\n  etcdClusters:\n  - name: main\n    \
             backups: {{backupStore: s3://old/c/backups/etcd/main}}\n  - name: events\n    backups:\n      \
             backupStore: s3://other/events\n  keyStore: s3://old/shared-pki\n  secretStore: 's3://old/c/secrets'\n  \
             serviceAccountIssuerDiscovery:\n    discoveryStore: s3://old/c/oidc\n"
        );
        let expected = text
            .replace("\"s3://old/c/\"", "\"s3://new/x/c\"")
            .replace("s3://old/c/backups", "s3://new/x/c/backups")
            .replace("s3://old/c/secrets", "s3://new/x/c/secrets");
        let new = rewrite(&text, "s3://old/c", "s3://new/x/c/").expect("rewritten");
        assert_eq!(new.text, expected);
        let paths: Vec<_> = new
            .changes
            .iter()
            .map(|c| (c.path.as_str(), c.line))
            .collect();
        assert_eq!(
            paths,
            [
                ("spec.configBase", 7),
                ("spec.etcdClusters[0].backups.backupStore", 10),
                ("spec.secretStore", 15),
            ]
        );
        let again = rewrite(&new.text, "s3://old/c", "s3://new/x/c").expect("rewritten");
        assert_eq!((again.text, again.changes), (new.text, vec![]));
    }

    #[test]
    fn a_path_and_its_file_url_are_one_place() {
        for old in ["/srv/s/c", "file:///srv/s/c"] {
            let text =
                format!("{HEAD}spec:\n  configBase: file:///srv/s/c\n  keyStore: /srv/s/c/pki\n");
            let expected = format!("{HEAD}spec:\n  configBase: /new/c\n  keyStore: /new/c/pki\n");
            assert_eq!(rewritten(&text, old, "file:///new/c"), expected);
        }
    }

    #[test]
    fn a_similar_name_is_not_under_the_old_place() {
        let text = format!("{HEAD}spec:\n  configBase: s3://b/pro\n  keyStore: s3://b/prod/pki\n");
        let expected = text.replace("s3://b/pro\n", "s3://n/pro\n");
        assert_eq!(rewritten(&text, "s3://b/pro", "s3://n/pro"), expected);
    }

    #[test]
    fn adds_a_base_where_kops_would_write_it() {
        for (spec, expected) in [
            (
                "spec:\n  channel: stable\n  topology: {}\n",
                "spec:\n  channel: stable\n  configBase: s3://n/c\n  topology: {}\n",
            ),
            (
                "spec:\n  configBase: \"\"\n",
                "spec:\n  configBase: \"s3://n/c\"\n",
            ),
            ("spec:\n  configBase:\n", "spec:\n  configBase: s3://n/c\n"),
            (
                "spec:\r\n  api: {}",
                "spec:\r\n  api: {}\r\n  configBase: s3://n/c",
            ),
            (
                "spec: {channel: stable}\n",
                "spec: {channel: stable, configBase: s3://n/c}\n",
            ),
        ] {
            let text = format!("{HEAD}{spec}");
            assert_eq!(
                rewritten(&text, "s3://b/c", "s3://n/c"),
                format!("{HEAD}{expected}")
            );
        }
    }

    #[test]
    fn in_v1alpha3_the_base_has_another_place() {
        for (spec, expected) in [
            (
                "spec:\n  channel: stable\n",
                "spec:\n  channel: stable\n  configStore:\n    base: s3://n/c\n",
            ),
            (
                "spec:\n  configStore: {}\n",
                "spec:\n  configStore:\n    base: s3://n/c\n",
            ),
            (
                "spec:\n  configStore:\n    keypairs: s3://b/c/k\n    secrets: s3://z/s\n",
                "spec:\n  configStore:\n    base: s3://n/c\n    keypairs: s3://n/c/k\n    secrets: s3://z/s\n",
            ),
        ] {
            let text = format!("{ALPHA3}{spec}");
            assert_eq!(
                rewritten(&text, "s3://b/c", "s3://n/c"),
                format!("{ALPHA3}{expected}")
            );
        }
    }

    #[test]
    fn other_documents_stay() {
        let other = "apiVersion: v1\nkind: ConfigMap\ndata: {configBase: s3://b/c} # theirs\n";
        let text = format!("---\n{other}---\n{HEAD}spec:\n  configBase: s3://b/c\n");
        let expected = format!("---\n{other}---\n{HEAD}spec:\n  configBase: s3://n/c\n");
        assert_eq!(rewritten(&text, "s3://b/c", "s3://n/c"), expected);
    }

    #[test]
    fn refuses_when_an_anchor_ties_the_value_to_others() {
        let text = format!("{HEAD}spec:\n  configBase: &b s3://b/c\n  cloudLabels: {{base: *b}}\n");
        let text = rewritten(&text, "s3://b/c", "s3://n/c");
        assert!(
            text.starts_with("refused: cannot rewrite config: line 6"),
            "{text}"
        );
    }

    #[test]
    fn over_the_real_manifests_one_line_changes() {
        for (key, bytes) in crate::fixture::objects().unwrap_or_default() {
            let Some(cluster) = key.strip_suffix("/config") else {
                continue;
            };
            let text = String::from_utf8(bytes).expect("UTF-8");
            let old = format!("s3://old-state-store/{cluster}");
            let new = format!("/srv/new/{cluster}");
            let expected = text.replace(
                &format!("configBase: {old}\n"),
                &format!("configBase: {new}\n"),
            );
            assert_ne!(text, expected);
            assert_eq!(rewritten(&text, &old, &new), expected, "{key}");
        }
    }

    #[test]
    fn in_the_sample_one_line_changes_and_comments_stay() {
        let configs = crate::fixture::sample()
            .into_iter()
            .filter_map(|(key, bytes)| Some((key.strip_suffix("/config")?.to_owned(), bytes)));
        let mut seen = 0;
        for (cluster, bytes) in configs {
            let text = String::from_utf8(bytes).expect("UTF-8");
            let new = rewrite(
                &text,
                &format!("/x/{cluster}"),
                &format!("s3://n/{cluster}"),
            );
            let new = new.expect("rewritten").text;
            let line = |line: &&str| !line.contains("configBase");
            let (before, after): (Vec<_>, Vec<_>) = (
                text.lines().filter(line).collect(),
                new.lines().filter(line).collect(),
            );
            assert_eq!(before, after);
            assert!(new.contains(&format!("s3://n/{cluster}")));
            seen += 1;
        }
        assert_eq!(seen, 2);
    }
}
