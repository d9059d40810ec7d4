//! A cluster's manifest: the `Cluster` document in `{store}/{cluster}/config`.

use serde_yaml::Value;

use super::{invalid, references};
use crate::merge::document::{Document, Fault, Path};
use crate::store::Result;

/// The versions of the kOps API in which a cluster may be stored. The legacy group
/// `kops/v1alpha2` reads as the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiVersion {
    /// `kops.k8s.io/v1alpha2`, in which kOps stores clusters.
    V1Alpha2,
    /// `kops.k8s.io/v1alpha3`, which kOps reads too.
    V1Alpha3,
}

/// A parsed manifest, with the text it came from.
#[derive(Clone, Debug)]
pub struct ClusterManifest {
    document: Document,
    part: usize,
    version: ApiVersion,
    name: String,
}

impl ClusterManifest {
    /// Finds and checks the `Cluster` in a text. `label` names the text in errors, as a path or
    /// URL.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::store::ErrorKind::Invalid), with line and column, when the
    /// text is empty, no YAML, or holds no cluster, two of them, or one of an unknown version.
    pub fn parse(text: &str, label: &str) -> Result<Self> {
        let document = Document::parse(text).map_err(|fault| {
            invalid(label, fault).hint("correct the YAML there; kOps can't read it either")
        })?;
        let clusters: Vec<usize> = document
            .values()
            .enumerate()
            .filter(|(_, value)| text_at(value, "kind") == Some("Cluster"))
            .map(|(part, _)| part)
            .collect();
        let part = match clusters.as_slice() {
            [part] => *part,
            [] => return Err(no_cluster(&document, label)),
            [_, second, ..] => {
                let fault = fault(
                    &document,
                    *second,
                    &["kind"],
                    "a second Cluster in one file",
                );
                return Err(invalid(label, fault).hint("keep one; kOps reads the first only"));
            }
        };
        Self::check(document, part, label)
    }

    fn check(document: Document, part: usize, label: &str) -> Result<Self> {
        let broken =
            |path: &[&str], message: &str| invalid(label, fault(&document, part, path, message));
        let at = |path: &[&str]| {
            document
                .get(part, &Path::keys(path))
                .and_then(Value::as_str)
        };
        let version = match at(&["apiVersion"]) {
            Some("kops.k8s.io/v1alpha2" | "kops/v1alpha2") => ApiVersion::V1Alpha2,
            Some("kops.k8s.io/v1alpha3") => ApiVersion::V1Alpha3,
            Some(other) => {
                let message = format!("a Cluster of the unknown apiVersion '{other}'");
                return Err(broken(&["apiVersion"], &message)
                    .hint("kOps stores clusters as kops.k8s.io/v1alpha2"));
            }
            None => return Err(broken(&[], "the Cluster has no apiVersion")),
        };
        let Some(name) = at(&["metadata", "name"]).filter(|name| !name.is_empty()) else {
            return Err(broken(&["metadata"], "the Cluster has no metadata.name"));
        };
        let spec = document.get(part, &Path::keys(&["spec"]));
        if !spec.is_some_and(Value::is_mapping) {
            return Err(broken(&["spec"], "the Cluster has no spec"));
        }
        let name = name.to_owned();
        Ok(Self {
            document,
            part,
            version,
            name,
        })
    }

    /// The cluster's name, `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of its API.
    #[must_use]
    pub fn version(&self) -> ApiVersion {
        self.version
    }

    /// Where all but the manifests themselves is read from and written to, when the manifest
    /// says so. kOps fills it in with `{state store}/{name}` when it is missing or empty.
    #[must_use]
    pub fn config_base(&self) -> Option<&str> {
        self.document
            .get(
                self.part,
                &Path::keys(references::config_base(self.version)),
            )?
            .as_str()
            .filter(|base| !base.is_empty())
    }

    /// The `Cluster` as data.
    #[must_use]
    pub fn value(&self) -> &Value {
        static NULL: Value = Value::Null;
        self.document.values().nth(self.part).unwrap_or(&NULL)
    }

    /// The line in the file at which a field stands.
    pub(super) fn line(&self, path: &Path) -> usize {
        self.document.key_position(self.part, path).0
    }

    pub(super) fn into_document(self) -> (Document, usize) {
        (self.document, self.part)
    }
}

fn text_at<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.as_mapping()?.get(key)?.as_str()
}

fn fault(document: &Document, part: usize, path: &[&str], message: &str) -> Fault {
    let (line, column) = document.position(part, &Path::keys(path));
    Fault {
        line,
        column,
        message: message.to_owned(),
    }
}

/// Says what the text is instead of a cluster.
fn no_cluster(document: &Document, label: &str) -> crate::store::Error {
    let Some((part, value)) = document.values().enumerate().find(|(_, v)| !v.is_null()) else {
        return invalid(label, fault(document, 0, &[], "the file is empty")).hint(
            "bring back an earlier version, from the bucket's versions or a backup; \
             kOps says \"Object 'Kind' is missing in 'null'\" of it",
        );
    };
    let message = match text_at(value, "kind") {
        Some(kind) if kind.eq_ignore_ascii_case("Cluster") => {
            format!("kind is '{kind}', which kOps doesn't know: write Cluster")
        }
        Some(kind) => format!("holds a {kind}, not a Cluster"),
        None => "holds no Cluster: it has no 'kind'".to_owned(),
    };
    invalid(label, fault(document, part, &["kind"], &message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::location::Location;
    use crate::config::references::Class;

    const V2: &str = "\
# Ours.
apiVersion: kops.k8s.io/v1alpha2
kind: Cluster
metadata:
  name: c.example.com
spec:
  additionalPolicies:
    node: |
      [{\"Effect\": \"Allow\",
        \"Resource\": \"arn:aws:s3:::old/x\"}]
  addons:
  - manifest: s3://old/addons/x.yaml
  channel: stable
  configBase: s3://old/c.example.com
  configStore: unused
  etcdClusters:
  - name: main
    backups:
      backupStore: s3://old/c.example.com/backups/etcd/main
  - name: events
  keyStore: s3://old/c.example.com/pki
  kubernetesVersion: 1.30.0
  serviceAccountIssuerDiscovery:
    discoveryStore: s3://oidc/c
";

    #[test]
    fn knows_name_base_and_references() {
        let manifest = ClusterManifest::parse(V2, "config").expect("a cluster");
        assert_eq!(manifest.name(), "c.example.com");
        assert_eq!(manifest.config_base(), Some("s3://old/c.example.com"));
        let found: Vec<_> = manifest
            .references()
            .into_iter()
            .map(|found| (found.path, found.line, found.class))
            .collect();
        let expected = [
            ("spec.addons[0].manifest", 12, Class::Keep),
            ("spec.configBase", 14, Class::Moves),
            ("spec.etcdClusters[0].backups.backupStore", 19, Class::Moves),
            ("spec.keyStore", 21, Class::Moves),
            (
                "spec.serviceAccountIssuerDiscovery.discoveryStore",
                24,
                Class::Keep,
            ),
        ];
        let expected = expected.map(|(path, line, class)| (path.to_owned(), line, class));
        assert_eq!(found, expected);
        let mentions = manifest.mentions(&Location::parse("s3://old"));
        assert_eq!(mentions.len(), 1);
        assert_eq!(mentions[0].path, "spec.additionalPolicies.node");
        assert!(mentions[0].value.contains("arn:aws:s3:::old/x"));
    }

    #[test]
    fn reads_other_versions_and_files_with_several_documents() {
        for (text, base) in [
            (
                "apiVersion: kops/v1alpha2\nkind: Cluster\nmetadata: {name: c}\nspec: {configBase: ''}\n",
                None,
            ),
            (
                "apiVersion: kops.k8s.io/v1alpha3\nkind: Cluster\nmetadata: {name: c}\nspec: {configStore: {base: /srv/c}}\n",
                Some("/srv/c"),
            ),
            (
                "---\nkind: InstanceGroup\n---\napiVersion: kops.k8s.io/v1alpha2\nkind: Cluster\nmetadata: {name: c}\nspec: {configBase: s3://b/c}\n",
                Some("s3://b/c"),
            ),
        ] {
            let manifest = ClusterManifest::parse(text, "config").expect("a cluster");
            assert_eq!((manifest.name(), manifest.config_base()), ("c", base));
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let head = "apiVersion: kops.k8s.io/v1alpha2\nkind: Cluster\n";
        for (text, words) in [
            (
                String::new(),
                "s3://b/c/config: line 1, column 1: the file is empty",
            ),
            ("# nothing\n---\n".to_owned(), "the file is empty"),
            ("a: 1\nb: [\n".to_owned(), "line 3"),
            ("a: 1\n".to_owned(), "has no 'kind'"),
            ("just text\n".to_owned(), "has no 'kind'"),
            (
                "a: 1\nkind: Keyset\n".to_owned(),
                "line 2, column 7: holds a Keyset, not a Cluster",
            ),
            (
                "kind: cluster\n".to_owned(),
                "kind is 'cluster', which kOps doesn't know: write Cluster",
            ),
            (
                format!("{head}---\n{head}"),
                "line 5, column 7: a second Cluster",
            ),
            (head.to_owned(), "no metadata.name"),
            (format!("{head}metadata: {{name: c}}\n"), "no spec"),
            (
                head.replace("alpha2", "alpha9"),
                "line 1, column 13: a Cluster of the unknown apiVersion",
            ),
        ] {
            let error = ClusterManifest::parse(&text, "s3://b/c/config").expect_err(&text);
            assert!(error.to_string().contains(words), "{error} / {words}");
        }
    }
}
