//! What a new version of a cluster or an instance group must obey.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};

use super::notes::markers;
use super::target::{Target, What};
use crate::config::check::{self, File, Holds, holds};
use crate::config::entry::Entry;
use crate::config::fields::{Field, Kind, Problem, misfits};
use crate::config::validate::{self, Finding, Object, Severity};
use crate::merge::document::{Document, Fault, Path};
use crate::store::{self, ErrorKind, Key, ListOptions, Result};

/// How many of a cluster's objects are read at once.
const AT_ONCE: usize = 16;

/// As many fields that kOps doesn't know are passed over.
const UNKNOWN: usize = 1000;

/// What a text is held against: the object as it was, and what it has to fit.
pub(super) struct Rules {
    file: String,
    what: What,
    /// How many lines of the old text look like conflict markers.
    markers: usize,
    old: Option<Document>,
    /// The old text of add-ons.
    addons: Option<String>,
    others: Vec<Other>,
    force_unknown: bool,
    /// What was wrong before.
    before: HashSet<(String, String)>,
}

/// Another object of the same cluster.
struct Other {
    file: String,
    name: String,
    kind: Kind,
    document: Document,
}

impl Rules {
    /// The rules for a change of a text. A file that is just a file must be YAML if it was.
    pub(super) async fn load(target: &Target, old: &str, force_unknown: bool) -> Result<Self> {
        let mut rules = Self {
            file: target.url(),
            what: target.what.clone(),
            markers: markers(old).len(),
            old: Document::parse(old).ok().filter(|old| match target.what {
                What::File => is_data(old),
                _ => true,
            }),
            addons: (holds(&target.url()) == Some(Holds::Addons)).then(|| old.to_owned()),
            others: others(target).await?,
            force_unknown,
            before: HashSet::new(),
        };
        let mut before: Vec<Finding> = Vec::new();
        for other in &rules.others {
            before.extend(validate::object(other.object(), other.kind));
        }
        if let Some(old) = &rules.old {
            before.extend(rules.findings(old));
        }
        rules.before = before.iter().map(identity).collect();
        Ok(rules)
    }

    /// What is to be said of a new text. What was wrong before is no error of whoever changes
    /// something else.
    pub(super) fn check(&self, text: &str) -> Vec<Finding> {
        let lines = markers(text);
        if lines.len() > self.markers {
            let left = lines.into_iter().map(|line| {
                let message = "a conflict marker is left".to_owned();
                self.fault(Fault {
                    line,
                    column: 1,
                    message,
                })
            });
            return left.collect();
        }
        if let Some(before) = &self.addons {
            return self.addons(text, before);
        }
        let is_file = self.what == What::File;
        let new = match Document::parse(text) {
            Ok(new) if !is_file => new,
            Err(fault) if !is_file || self.old.is_some() => {
                let mut finding = self.fault(fault);
                finding.hint = is_file
                    .then(|| format!("kstate cp - {} writes a text that is no YAML", self.file));
                return vec![finding];
            }
            _ => return Vec::new(),
        };
        let mut findings = self.findings(&new);
        findings.retain(|finding| {
            let may_be_old = finding.file == self.file && finding.severity == Severity::Error;
            may_be_old || !self.before.contains(&identity(finding))
        });
        for finding in &mut findings {
            if self.before.contains(&identity(finding)) {
                excuse(finding);
            }
        }
        if let Some(old) = &self.old {
            findings.extend(validate::change(self.object(old), self.object(&new)));
        }
        findings
    }

    /// What is wrong with a text of add-ons.
    fn addons(&self, text: &str, before: &str) -> Vec<Finding> {
        let label = &self.file;
        let before = File {
            label,
            text: before,
        };
        let found = check::single(File { label, text }, Some(before), self.force_unknown);
        let findings = found.into_iter().map(|mut found| {
            if found.known {
                excuse(&mut found.finding);
            }
            found.finding
        });
        findings.collect()
    }

    /// All that is wrong with a version and with what it has to fit.
    fn findings(&self, document: &Document) -> Vec<Finding> {
        let object = self.object(document);
        let cluster = self.others.iter().find(|other| other.kind == Kind::Cluster);
        let cluster = cluster.map(Other::object);
        let groups = self
            .others
            .iter()
            .filter(|other| other.kind == Kind::InstanceGroup);
        let mut groups: Vec<_> = groups.map(Other::object).collect();
        let mut findings = match (&self.what, cluster) {
            (What::File, _) => Vec::new(),
            (What::Cluster(_), _) => validate::cluster(object, &groups),
            (What::Group { .. }, None) => validate::object(object, Kind::InstanceGroup),
            (What::Group { .. }, Some(cluster)) => {
                groups.push(object);
                validate::cluster(cluster, &groups)
            }
        };
        if self.force_unknown {
            let unknown = self.unknown(object);
            let ours = findings
                .iter_mut()
                .filter(|finding| finding.file == self.file);
            for finding in ours.filter(|finding| unknown.contains(&finding.path.to_string())) {
                finding.severity = Severity::Warning;
            }
        }
        findings
    }

    fn unknown(&self, object: Object<'_>) -> HashSet<String> {
        let root = Path::default();
        let Some(value) = object.document.get(object.part, &root) else {
            return HashSet::new();
        };
        let misfits = misfits(Field::root(self.kind()), value, &root, UNKNOWN).into_iter();
        misfits
            .filter(|misfit| matches!(misfit.problem, Problem::Unknown))
            .map(|misfit| misfit.path.to_string())
            .collect()
    }

    fn kind(&self) -> Kind {
        match self.what {
            What::Cluster(_) => Kind::Cluster,
            _ => Kind::InstanceGroup,
        }
    }

    fn object<'a>(&'a self, document: &'a Document) -> Object<'a> {
        let name = match &self.what {
            What::Cluster(name) | What::Group { name, .. } => Some(name.as_str()),
            What::File => None,
        };
        Object {
            file: &self.file,
            name,
            document,
            part: part(document, self.kind()),
        }
    }

    fn fault(&self, fault: Fault) -> Finding {
        Finding {
            severity: Severity::Error,
            file: self.file.clone(),
            line: fault.line,
            column: fault.column,
            path: Path::default(),
            message: fault.message,
            hint: None,
        }
    }
}

/// Whether a text is YAML by intention: a mere word is, too, as are many sentences.
fn is_data(document: &Document) -> bool {
    let mut values = document.values();
    values.any(|value| value.is_mapping() || value.is_sequence())
}

/// What was wrong before is no error of whoever changes something else.
fn excuse(finding: &mut Finding) {
    finding.severity = Severity::Warning;
    finding.message.push_str(" (it was so before)");
}

/// What makes two findings the same in two versions of a text.
fn identity(finding: &Finding) -> (String, String) {
    let Finding { path, message, .. } = finding;
    (finding.file.clone(), format!("{path}: {message}"))
}

/// The document of a file that holds an object: kOps takes the first of its kind.
fn part(document: &Document, kind: Kind) -> usize {
    let is_it = |value: &serde_yaml::Value| {
        value.get("kind").and_then(serde_yaml::Value::as_str) == Some(kind.name())
    };
    document.values().position(is_it).unwrap_or_default()
}

impl Other {
    fn object(&self) -> Object<'_> {
        Object {
            file: &self.file,
            name: Some(&self.name),
            document: &self.document,
            part: part(&self.document, self.kind),
        }
    }
}

/// The other objects of a cluster. What is no YAML is passed over: it can't be fitted.
async fn others(target: &Target) -> Result<Vec<Other>> {
    let cluster = match &target.what {
        What::File => return Ok(Vec::new()),
        What::Cluster(name) => name,
        What::Group { cluster, .. } => cluster,
    };
    let config = Key::parse(&format!("{cluster}/config"))?;
    let mut keys = vec![(config, Kind::Cluster)];
    let groups = ListOptions {
        one_level: true,
        ..ListOptions::recursive(format!("{cluster}/instancegroup"))
    };
    let mut groups = target.store.list(groups);
    while let Some(entry) = groups.try_next().await? {
        if let store::Entry::Object(meta) = entry {
            keys.push((meta.key, Kind::InstanceGroup));
        }
    }
    keys.retain(|(key, _)| *key != target.key);
    let read = stream::iter(keys).map(|(key, kind)| async move {
        let entry = match Entry::load(&*target.store, &key).await {
            Err(error) if *error.kind() == ErrorKind::Invalid => return Ok(None),
            entry => entry?,
        };
        let name = match kind {
            Kind::Cluster => cluster.clone(),
            _ => key.name().to_owned(),
        };
        let document = Document::parse(&entry.text).ok();
        let file = target.url_of(&key);
        let other = document.filter(|_| entry.tag.is_some());
        Result::Ok(other.map(|document| Other {
            file,
            name,
            kind,
            document,
        }))
    });
    let others = read.buffered(AT_ONCE);
    others
        .try_filter_map(async |other| Ok(other))
        .try_collect()
        .await
}
