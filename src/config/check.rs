//! What is wrong with the files of a cluster, and what of it was so before a change: an old fault
//! must not stand in the way of another change.

use std::collections::HashMap;

use serde::Serialize;

use super::fields::{self, Kind};
use super::validate::{self, Finding, Object, Severity};
use crate::merge::document::{Document, Path};

/// The text of a cluster's file.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its place, which ends in `CLUSTER/config`, `CLUSTER/instancegroup/NAME` or
    /// `CLUSTER/clusteraddons/default`.
    pub label: &'a str,
    /// The text.
    pub text: &'a str,
}

/// A finding, and whether it was there before the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// The same was wrong before.
    pub known: bool,
}

impl Found {
    /// Whether a change must not be written for it.
    #[must_use]
    pub fn stops(&self) -> bool {
        self.finding.severity == Severity::Error && !self.known
    }
}

/// What a file should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds<'a> {
    /// An object of kOps, with the name that its place asks for.
    Object(Kind, &'a str),
    /// Add-ons: Kubernetes objects of any kind.
    Addons,
}

/// What a file should hold, by its key; `None` when it is none of those that people write.
#[must_use]
pub fn holds(key: &str) -> Option<Holds<'_>> {
    let (folder, name) = key.rsplit_once('/')?;
    let above = folder.rsplit('/').next().unwrap_or(folder);
    match (above, name) {
        ("instancegroup", name) => Some(Holds::Object(Kind::InstanceGroup, name)),
        ("clusteraddons", "default") => Some(Holds::Addons),
        (cluster, "config") => Some(Holds::Object(Kind::Cluster, cluster)),
        _ => None,
    }
}

/// Which document of a text is the object of a kind; the first when none says so.
#[must_use]
pub fn part_of(document: &Document, kind: Kind) -> usize {
    let is_it = |value: &serde_yaml::Value| {
        value.get("kind").and_then(serde_yaml::Value::as_str) == Some(kind.name())
    };
    document.values().position(is_it).unwrap_or(0)
}

/// What is wrong with a cluster, its instance groups and its add-ons. With `force_unknown`, fields that kOps
/// doesn't have are none of it.
#[must_use]
pub fn cluster(files: &[File<'_>], before: &[File<'_>], force_unknown: bool) -> Vec<Found> {
    compared(files, before, force_unknown, whole)
}

/// What is wrong with one file by itself.
#[must_use]
pub fn single(file: File<'_>, before: Option<File<'_>>, force_unknown: bool) -> Vec<Found> {
    compared(&[file], before.as_slice(), force_unknown, |files| {
        let objects = files.iter().filter_map(Parsed::object);
        let mut findings: Vec<Finding> = objects
            .flat_map(|(kind, object)| validate::object(object, kind))
            .collect();
        findings.extend(files.iter().flat_map(Parsed::addons));
        findings
    })
}

/// A file and the document in it, or what is wrong with its YAML.
struct Parsed<'a> {
    file: File<'a>,
    holds: Holds<'a>,
    document: Result<Document, Finding>,
}

impl<'a> Parsed<'a> {
    fn new(file: File<'a>) -> Option<Self> {
        let holds = holds(file.label)?;
        let document = Document::parse(file.text).map_err(|fault| Finding {
            severity: Severity::Error,
            file: file.label.to_owned(),
            line: fault.line,
            column: fault.column,
            path: Path::default(),
            message: fault.message,
            hint: None,
        });
        Some(Self {
            file,
            holds,
            document,
        })
    }

    fn object(&self) -> Option<(Kind, Object<'_>)> {
        let document = self.document.as_ref().ok()?;
        let Holds::Object(kind, name) = self.holds else {
            return None;
        };
        let object = Object {
            file: self.file.label,
            name: Some(name),
            document,
            part: part_of(document, kind),
        };
        Some((kind, object))
    }

    /// What is wrong with it when it holds add-ons.
    fn addons(&self) -> Vec<Finding> {
        match (self.holds, &self.document) {
            (Holds::Addons, Ok(document)) => validate::addons(self.file.label, document),
            _ => Vec::new(),
        }
    }
}

fn whole(files: &[Parsed<'_>]) -> Vec<Finding> {
    let of = |wanted: Kind| {
        let objects = files.iter().filter_map(Parsed::object);
        objects.filter_map(move |(kind, object)| (kind == wanted).then_some(object))
    };
    let groups: Vec<_> = of(Kind::InstanceGroup).collect();
    let mut findings: Vec<Finding> = match of(Kind::Cluster).next() {
        Some(cluster) => validate::cluster(cluster, &groups),
        None => groups
            .into_iter()
            .flat_map(|group| validate::object(group, Kind::InstanceGroup))
            .collect(),
    };
    findings.extend(files.iter().flat_map(Parsed::addons));
    findings
}

fn compared(
    files: &[File<'_>],
    before: &[File<'_>],
    force_unknown: bool,
    find: impl Fn(&[Parsed<'_>]) -> Vec<Finding>,
) -> Vec<Found> {
    let [files, before] = [files, before].map(|files| {
        let parsed = files.iter().copied().filter_map(Parsed::new);
        parsed.collect::<Vec<_>>()
    });
    // Each old finding excuses one new one.
    let mut known: HashMap<String, usize> = HashMap::new();
    if !before.is_empty() {
        for finding in find(&before) {
            *known.entry(gist(&finding)).or_default() += 1;
        }
    }
    let broken = files.iter().filter_map(|file| file.document.as_ref().err());
    let mut all: Vec<Finding> = broken.cloned().collect();
    all.extend(find(&files));
    for file in &files {
        let Some(old) = before.iter().find(|old| old.file.label == file.file.label) else {
            continue;
        };
        if let (Some((_, old)), Some((_, new))) = (old.object(), file.object()) {
            all.extend(validate::change(old, new));
        }
    }
    all.into_iter()
        .filter(|finding| !(force_unknown && is_of_unknown_field(finding)))
        .map(|finding| {
            let left = known.get_mut(&gist(&finding));
            let left = left.filter(|left| **left > 0);
            Found {
                known: left.map(|left| *left -= 1).is_some(),
                finding,
            }
        })
        .collect()
}

fn is_of_unknown_field(finding: &Finding) -> bool {
    match holds(&finding.file) {
        Some(Holds::Object(kind, _)) => fields::field(kind, &finding.path).is_none(),
        _ => false,
    }
}

/// A finding without where it stands: lines and places in lists move when others change.
fn gist(finding: &Finding) -> String {
    let mut gist = format!("{}\n", finding.file);
    let mut in_brackets = false;
    for c in finding.message.chars() {
        in_brackets = (in_brackets || c == '[') && c != ']';
        if !(in_brackets && c.is_ascii_digit()) {
            gist.push(c);
        }
    }
    gist
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_fault_excuses_no_new_one_of_its_kind() {
        let old = GROUP.replace("  typo: 1\n", "  nodeLabels: [1]\n");
        let group = |taints: &str| format!("{GROUP}  volumes:\n{taints}");
        let wrong = "  - device: 7\n";
        let (before, now) = (group(wrong), group(&wrong.repeat(2)));
        let found = single(file(&now), Some(file(&before)), false);
        assert!(found.iter().any(Found::stops), "{found:?}");
        let found = single(file(&before), Some(file(&before)), false);
        assert!(!found.iter().any(Found::stops), "{found:?}");
        let found = single(file(&old), Some(file(&old)), false);
        assert!(!found.iter().any(Found::stops), "{found:?}");
    }

    const GROUP: &str = "apiVersion: kops.k8s.io/v1alpha2\nkind: InstanceGroup\nmetadata:\n  name: nodes\n  labels:\n    kops.k8s.io/cluster: c.example.com\nspec:\n  role: Node\n  typo: 1\n";

    fn file(text: &str) -> File<'_> {
        File {
            label: "c.example.com/instancegroup/nodes",
            text,
        }
    }

    #[test]
    fn an_old_fault_does_not_stop_a_change_and_a_new_one_does() {
        let alone = single(file(GROUP), None, false);
        assert!(alone.len() == 1 && alone[0].stops(), "{alone:?}");
        let changed = GROUP.replace("  role", "  # more\n  maxSize: x\n  role");
        let found = single(file(&changed), Some(file(GROUP)), false);
        let shown: Vec<_> = found
            .iter()
            .map(|found| {
                (
                    found.finding.path.to_string(),
                    found.finding.line,
                    found.stops(),
                )
            })
            .collect();
        let expected = [("spec.maxSize", 9, true), ("spec.typo", 11, false)];
        assert_eq!(
            shown,
            expected.map(|(path, line, stops)| (path.to_owned(), line, stops))
        );
        assert_eq!(single(file(GROUP), None, true), []);
    }

    #[test]
    fn what_is_no_yaml_is_found_with_its_place() {
        let found = single(file("kind: [\n"), Some(file(GROUP)), true);
        assert_eq!(found.len(), 1);
        assert!(found[0].stops() && found[0].finding.line > 0);
    }

    #[test]
    fn a_key_tells_what_its_file_holds() {
        for (key, expected) in [
            ("c/config", Some(Holds::Object(Kind::Cluster, "c"))),
            ("a/c/config", Some(Holds::Object(Kind::Cluster, "c"))),
            (
                "c/instancegroup/config",
                Some(Holds::Object(Kind::InstanceGroup, "config")),
            ),
            ("c/clusteraddons/default", Some(Holds::Addons)),
            ("c/clusteraddons/other", None),
            ("c/pki/x", None),
            ("config", None),
        ] {
            assert_eq!(holds(key), expected, "{key}");
        }
    }

    #[test]
    fn add_ons_are_checked_with_the_cluster_and_alone() {
        let text = |more: &str| format!("apiVersion: v1\nkind: A\nmetadata: {{}}\n{more}");
        let (old, new) = (text(""), text("---\n- 1\n"));
        let file = |text| File {
            label: "s3://b/c/clusteraddons/default",
            text,
        };
        let told = |found: Vec<Found>| {
            let told = found
                .iter()
                .map(|found| (found.finding.line, found.stops()));
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(single(file(&old), None, true)), [(3, true)]);
        let found = single(file(&new), Some(file(&old)), false);
        assert_eq!(told(found), [(3, false), (5, true)]);
        let found = cluster(&[file(&new)], &[file(&old)], false);
        assert_eq!(told(found), [(3, false), (5, true)]);
        assert_eq!(told(single(file("a: [\n"), None, false)).len(), 1);
    }
}
