//! How lists are merged: by a rule per path, like the list types of Kubernetes' strategic merge
//! patch. kOps has no such rules of its own.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use serde_yaml::Value;

use super::pointer::key_text;

/// How two lists become one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The new list stands for the old one.
    #[default]
    Replace,
    /// The new elements follow the old ones.
    Append,
    /// The old list stays; of the new elements those follow that are not yet there.
    Union,
    /// Elements are mappings, known by the scalars of these fields: those in both lists are
    /// merged, new ones follow. Where an element lacks a field or two are known alike, in either
    /// list, nothing can be matched and the new list stands for the old one.
    Keyed(Vec<String>),
}

impl Strategy {
    /// [`Strategy::Keyed`] by one field.
    #[must_use]
    pub fn keyed(field: &str) -> Self {
        Self::Keyed(vec![field.to_owned()])
    }

    /// What the elements of a list are known by, in the list's order.
    pub(super) fn identities<'a>(&self, list: &'a [Value]) -> Option<Vec<Identity<'a>>> {
        let Self::Keyed(fields) = self else {
            return None;
        };
        unique(list.iter().map(|element| {
            let Value::Mapping(element) = element else {
                return None;
            };
            let parts = fields.iter().map(|field| {
                let part = element.get(field)?;
                (is_scalar(part) && !part.is_null()).then_some(Element(part))
            });
            parts.collect::<Option<Vec<_>>>().map(Identity)
        }))
    }
}

/// What one element of a list is known by.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity<'a>(Vec<Element<'a>>);

impl Identity<'_> {
    /// How a path names the element.
    pub(super) fn text(&self) -> String {
        let parts: Vec<_> = self.0.iter().map(|part| key_text(part.0)).collect();
        parts.join("/")
    }
}

/// The scalars of a list as what its elements are known by, when there is nothing else in the
/// list and nothing twice.
pub(super) fn scalars(list: &[Value]) -> Option<Vec<Identity<'_>>> {
    unique(
        list.iter()
            .map(|element| is_scalar(element).then(|| Identity(vec![Element(element)]))),
    )
}

fn unique<'a>(identities: impl Iterator<Item = Option<Identity<'a>>>) -> Option<Vec<Identity<'a>>> {
    let identities: Vec<_> = identities.collect::<Option<_>>()?;
    let set: HashSet<_> = identities.iter().collect();
    (set.len() == identities.len()).then_some(identities)
}

fn is_scalar(value: &Value) -> bool {
    use Value::{Bool, Null, Number, String};
    matches!(value, Null | Bool(_) | Number(_) | String(_))
}

/// A value as the key of a hash table. `Value` itself hashes all floats alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a>(pub(super) &'a Value);

impl Hash for Element<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Value::Number(number) if number.is_f64() => {
                let float = number.as_f64().filter(|float| !float.is_nan());
                // -0.0 + 0.0 is 0.0.
                float.map(|float| (float + 0.0).to_bits()).hash(state);
            }
            Value::Sequence(list) => {
                list.len().hash(state);
                for element in list {
                    Element(element).hash(state);
                }
            }
            Value::Mapping(mapping) => {
                let sum = mapping.iter().fold(0u64, |sum, (key, value)| {
                    let mut hasher = DefaultHasher::new();
                    (Element(key), Element(value)).hash(&mut hasher);
                    sum.wrapping_add(hasher.finish())
                });
                sum.hash(state);
            }
            other => other.hash(state),
        }
    }
}

/// A [`Strategy`] for each list of a document, by its path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    default: Strategy,
    rules: Vec<(Pattern, Strategy)>,
}

/// The lists of kOps's API whose elements have a natural key: kOps refuses two alike, or the
/// cloud does, or Kubernetes merges them so. All others are replaced: tolerations, affinities and
/// `externalLoadBalancers` have no such key.
const KOPS: &[(&str, &[&str])] = &[
    ("spec.addons", &["manifest"]),
    ("spec.api.loadBalancer.subnets", &["name"]),
    ("spec.authentication.aws.identityMappings", &["arn"]),
    ("spec.etcdClusters", &["name"]),
    ("spec.etcdClusters[].etcdMembers", &["name"]),
    ("spec.etcdClusters[].manager.env", &["name"]),
    (
        "spec.iam.serviceAccountExternalPermissions",
        &["namespace", "name"],
    ),
    ("spec.kubeAPIServer.env", &["name"]),
    ("spec.networking.amazonvpc.env", &["name"]),
    // A cluster's subnets; those of an instance group are names, which can't be matched by one.
    ("spec.subnets", &["name"]),
    ("spec.subnets[].additionalRoutes", &["cidr"]),
    // Clusters and instance groups.
    ("spec.fileAssets", &["name"]),
    ("spec.hooks", &["name"]),
    // Instance groups.
    ("spec.additionalUserData", &["name"]),
    ("spec.guestAccelerators", &["acceleratorType"]),
    ("spec.volumeMounts", &["path"]),
    ("spec.volumes", &["device"]),
    // Keysets.
    ("spec.keys", &["id"]),
];

impl Lists {
    /// The same strategy for all lists.
    #[must_use]
    pub fn all(default: Strategy) -> Self {
        Self {
            default,
            rules: Vec::new(),
        }
    }

    /// The lists of kOps's API (v1alpha2) that have a key are merged by it, all others replaced.
    #[must_use]
    pub fn kops() -> Self {
        let rules = KOPS.iter().map(|(path, fields)| {
            let fields = fields.iter().map(|field| (*field).to_owned()).collect();
            (Pattern::new(path), Strategy::Keyed(fields))
        });
        Self {
            default: Strategy::Replace,
            rules: rules.collect(),
        }
    }

    /// The strategy of lists that no rule names.
    #[must_use]
    pub fn otherwise(mut self, default: Strategy) -> Self {
        self.default = default;
        self
    }

    /// Adds a rule, which wins over those before it.
    #[must_use]
    pub fn with(mut self, pattern: Pattern, strategy: Strategy) -> Self {
        self.rules.push((pattern, strategy));
        self
    }
}

/// The paths that a rule is for: `spec.subnets`, `spec.etcdClusters[].etcdMembers`; `*` is any
/// key, `[]` any element, nothing at all the document itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    AnyKey,
    Element,
}

/// Why a text is no [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no path of a list: write keys with dots between them and [] for the elements of a \
     list, as in spec.etcdClusters[].etcdMembers"
)]
pub struct PatternError(String);

impl Pattern {
    fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        for key in text.split('.').filter(|_| !text.is_empty()) {
            let name = key.trim_end_matches("[]");
            match name {
                "" => {}
                "*" => parts.push(Part::AnyKey),
                name => parts.push(Part::Key(name.to_owned())),
            }
            let elements = (key.len() - name.len()) / 2;
            parts.extend(std::iter::repeat_n(Part::Element, elements));
        }
        Self(parts)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let is_right = |(at, key): (usize, &str)| {
            let name = key.trim_end_matches("[]");
            !name.contains(['[', ']']) && (!name.is_empty() || at == 0 && !key.is_empty())
        };
        if text.is_empty() || text.split('.').enumerate().all(is_right) {
            Ok(Self::new(text))
        } else {
            Err(PatternError(text.to_owned()))
        }
    }
}

/// The rules for what stands at one path and below it.
#[derive(Clone)]
pub(super) struct Rules<'a> {
    default: &'a Strategy,
    open: Vec<(&'a [Part], &'a Strategy)>,
}

impl<'a> Rules<'a> {
    /// The rules for a document.
    pub(super) fn new(lists: &'a Lists) -> Self {
        let open = lists.rules.iter();
        Self {
            default: &lists.default,
            open: open
                .map(|(pattern, strategy)| (pattern.0.as_slice(), strategy))
                .collect(),
        }
    }

    /// Below a key.
    pub(super) fn key(&self, key: &Value) -> Self {
        let text = key_text(key);
        self.step(|part| match part {
            Part::Key(key) => *key == text,
            Part::AnyKey => true,
            Part::Element => false,
        })
    }

    /// Below any element of a list.
    pub(super) fn element(&self) -> Self {
        self.step(|part| *part == Part::Element)
    }

    /// How the list here is merged.
    pub(super) fn strategy(&self) -> &'a Strategy {
        let rule = self.open.iter().rfind(|(rest, _)| rest.is_empty());
        rule.map_or(self.default, |(_, strategy)| strategy)
    }

    fn step(&self, fits: impl Fn(&Part) -> bool) -> Self {
        let open = self.open.iter().filter_map(|(rest, strategy)| {
            let (part, rest) = rest.split_first()?;
            fits(part).then_some((rest, *strategy))
        });
        Self {
            default: self.default,
            open: open.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy<'a>(lists: &'a Lists, path: &[&str]) -> &'a Strategy {
        let at = path
            .iter()
            .fold(Rules::new(lists), |rules, step| match *step {
                "[]" => rules.element(),
                key => rules.key(&key.into()),
            });
        at.strategy()
    }

    #[test]
    fn a_rule_holds_at_its_path_only() {
        let kops = Lists::kops();
        let name = Strategy::keyed("name");
        for (path, expected) in [
            (&["spec", "subnets"][..], &name),
            (&["spec", "etcdClusters", "[]", "etcdMembers"], &name),
            (&["spec", "etcdClusters", "etcdMembers"], &Strategy::Replace),
            (&["spec", "subnets", "[]", "name"], &Strategy::Replace),
            (&["subnets"], &Strategy::Replace),
            (&["spec", "sshAccess"], &Strategy::Replace),
            (&["spec", "volumeMounts"], &Strategy::keyed("path")),
        ] {
            assert_eq!(strategy(&kops, path), expected, "{path:?}");
        }
    }

    #[test]
    fn the_last_rule_wins() {
        let lists = Lists::kops()
            .otherwise(Strategy::Union)
            .with("spec.*".parse().unwrap(), Strategy::Append)
            .with("spec.hooks".parse().unwrap(), Strategy::Replace)
            .with("".parse().unwrap(), Strategy::keyed("id"))
            .with("[]".parse().unwrap(), Strategy::keyed("no"))
            .with("a[][].100".parse().unwrap(), Strategy::keyed("x"));
        for (path, expected) in [
            (&["spec", "subnets"][..], Strategy::Append),
            (&["spec", "hooks"], Strategy::Replace),
            (&["spec", "hooks", "[]"], Strategy::Union),
            (&[], Strategy::keyed("id")),
            (&["[]"], Strategy::keyed("no")),
            (&["a", "[]", "[]", "100"], Strategy::keyed("x")),
        ] {
            assert_eq!(strategy(&lists, path), &expected, "{path:?}");
        }
        let at = Rules::new(&lists).key(&"a".into()).element().element();
        assert_eq!(at.key(&100.into()).strategy(), &Strategy::keyed("x"));
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for text in [".", "a.", ".a", "a..b", "a[0]", "a[", "a[]b", "a.[]", "a]["] {
            let error = text.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is no path")));
        }
        for (path, _) in KOPS {
            assert_eq!(path.parse(), Ok(Pattern::new(path)));
        }
    }

    #[test]
    fn elements_are_known_by_all_their_fields_or_not_at_all() {
        let keyed = Strategy::Keyed(vec!["namespace".into(), "name".into()]);
        let list = |text| serde_yaml::from_str::<Vec<Value>>(text).unwrap();
        let right = list("[{namespace: a, name: b}, {name: b, namespace: c}]");
        let known = keyed.identities(&right).unwrap();
        assert_eq!(known[0].text(), "a/b");
        assert_eq!(known[1].text(), "c/b");
        for wrong in [
            "[{namespace: a}]",
            "[{namespace: a, name: null}]",
            "[{namespace: a, name: []}]",
            "[{namespace: a, name: b}, a]",
            "[!t {namespace: a, name: b}]",
            "[{namespace: a, name: b}, {namespace: a, name: b, x: 1}]",
        ] {
            assert!(keyed.identities(&list(wrong)).is_none(), "{wrong}");
        }
        assert!(scalars(&list("[a, 1, '1', null, true, 1.0]")).is_some());
        for wrong in ["[a, a]", "[[a]]", "[{a: 1}]", "[!x a]", "[0.0, -0.0]"] {
            assert!(scalars(&list(wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn equal_values_hash_alike_and_floats_do_not() {
        let hash = |text: &str| {
            let value: Value = serde_yaml::from_str(text).unwrap();
            let mut hasher = DefaultHasher::new();
            Element(&value).hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash("{a: 1, b: [0.0]}"), hash("{b: [-0.0], a: 1}"));
        assert_eq!(hash(".nan"), hash(".NaN"));
        assert_ne!(hash("[1.5]"), hash("[2.5]"));
        assert_ne!(hash("{a: 1.5}"), hash("{a: 2.5}"));
    }
}
