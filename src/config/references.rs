//! The places in a cluster's manifest where a location may stand.

use serde::Serialize;
use serde_yaml::Value;

use super::location::Location;
use super::manifest::{ApiVersion, ClusterManifest};
use crate::merge::document::{Path, Step};

/// What a move does with a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Is rewritten when it names something under the place that moves.
    Moves,
    /// Is never rewritten: clients outside the cluster rely on it, or it names something that a
    /// move doesn't carry. It is reported.
    Keep,
    /// Free text (a policy, a hook, user data) that merely mentions the place. Only a person can
    /// tell what it means there.
    Mentions,
}

/// A place in a manifest where a location stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// The field, such as `spec.etcdClusters[0].backups.backupStore`.
    pub path: String,
    /// What stands there; of a free text only the first line that mentions the place.
    pub value: String,
    /// The line in the file, counting from 1.
    pub line: usize,
    /// What a move does with it.
    pub class: Class,
}

/// The field for the base location, by API version.
pub(super) fn config_base(version: ApiVersion) -> &'static [&'static str] {
    match version {
        ApiVersion::V1Alpha2 => &["spec", "configBase"],
        ApiVersion::V1Alpha3 => &["spec", "configStore", "base"],
    }
}

/// Fields by their path, with `[]` for any index. `url_only` fields hold a location only when
/// they look like a URL. In v1alpha2 `spec.configStore` is an unused string: not listed.
struct Field {
    path: &'static str,
    class: Class,
    url_only: bool,
}

const fn field(path: &'static str, class: Class) -> Field {
    Field {
        path,
        class,
        url_only: false,
    }
}

const V1ALPHA2: &[Field] = &[
    field("spec.configBase", Class::Moves),
    field("spec.keyStore", Class::Moves),
    field("spec.secretStore", Class::Moves),
];

const V1ALPHA3: &[Field] = &[
    field("spec.configStore.base", Class::Moves),
    field("spec.configStore.keypairs", Class::Moves),
    field("spec.configStore.secrets", Class::Moves),
];

const BOTH: &[Field] = &[
    field("spec.etcdClusters[].backups.backupStore", Class::Moves),
    // Changing the issuer invalidates every token and every trust in it.
    field(
        "spec.serviceAccountIssuerDiscovery.discoveryStore",
        Class::Keep,
    ),
    field(
        "spec.serviceAccountIssuerDiscovery.discoveryService.url",
        Class::Keep,
    ),
    field("spec.kubeAPIServer.serviceAccountIssuer", Class::Keep),
    field("spec.kubeAPIServer.serviceAccountJWKSURI", Class::Keep),
    field("spec.addons[].manifest", Class::Keep),
    field("spec.assets.fileRepository", Class::Keep),
    Field {
        path: "spec.channel",
        class: Class::Keep,
        url_only: true,
    },
    Field {
        path: "spec.kubernetesVersion",
        class: Class::Keep,
        url_only: true,
    },
];

fn known(version: ApiVersion, path: &Path) -> Option<&'static Field> {
    let path = pattern(path);
    let own = match version {
        ApiVersion::V1Alpha2 => V1ALPHA2,
        ApiVersion::V1Alpha3 => V1ALPHA3,
    };
    own.iter().chain(BOTH).find(|field| field.path == path)
}

/// A path with `[]` in place of every index.
fn pattern(path: &Path) -> String {
    let mut pattern = String::new();
    for step in &path.0 {
        match step {
            Step::Index(_) => pattern.push_str("[]"),
            Step::Key(key) if pattern.is_empty() => pattern.push_str(key),
            Step::Key(key) => {
                pattern.push('.');
                pattern.push_str(key);
            }
        }
    }
    pattern
}

impl ClusterManifest {
    /// Every field that holds a location, in the order of the file.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        self.located()
            .into_iter()
            .map(|(path, value, class)| self.reference(&path, value, class))
            .collect()
    }

    /// Every other text in the manifest that mentions `place`'s bucket or folder.
    #[must_use]
    pub fn mentions(&self, place: &Location) -> Vec<Reference> {
        let mut found = Vec::new();
        self.each_string(&mut |path, value| {
            if known(self.version(), path).is_none() && place.is_mentioned_in(value) {
                let line = value.lines().find(|line| place.is_mentioned_in(line));
                found.push((
                    path.clone(),
                    super::mask::mask(line.unwrap_or(value).trim()),
                ));
            }
        });
        found
            .into_iter()
            .map(|(path, line)| self.reference(&path, &line, Class::Mentions))
            .collect()
    }

    /// Path, value and class of the fields that hold a location.
    pub(super) fn located(&self) -> Vec<(Path, &str, Class)> {
        let mut found = Vec::new();
        self.each_string(&mut |path, value| {
            let Some(field) = known(self.version(), path) else {
                return;
            };
            if !value.is_empty() && (!field.url_only || value.contains("://")) {
                found.push((path.clone(), value, field.class));
            }
        });
        found
    }

    fn reference(&self, path: &Path, value: &str, class: Class) -> Reference {
        Reference {
            path: path.to_string(),
            value: value.to_owned(),
            line: self.line(path),
            class,
        }
    }

    fn each_string<'a>(&'a self, visit: &mut dyn FnMut(&Path, &'a str)) {
        walk(self.value(), &mut Path::default(), visit);
    }
}

fn walk<'a>(value: &'a Value, path: &mut Path, visit: &mut dyn FnMut(&Path, &'a str)) {
    match value {
        Value::String(text) => visit(path, text),
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                path.0.push(Step::Index(index));
                walk(item, path, visit);
                path.0.pop();
            }
        }
        Value::Mapping(entries) => {
            for (key, item) in entries {
                let Some(key) = key.as_str() else { continue };
                path.0.push(Step::Key(key.to_owned()));
                walk(item, path, visit);
                path.0.pop();
            }
        }
        Value::Tagged(tagged) => walk(&tagged.value, path, visit),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
