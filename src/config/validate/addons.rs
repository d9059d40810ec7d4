//! The rules of a cluster's add-ons: Kubernetes objects of any kind, one a document.
//!
//! After kOps's `pkg/kubemanifest`, which splits and reads them, and `kubectl apply`, by whose
//! rules they get into the cluster. What a kind asks for beyond that is not known here.

use std::collections::HashMap;

use serde_yaml::Value;

use super::cluster::short;
use super::report::{Finding, Object, Report, Severity, at, text};
use crate::merge::document::{Document, Path};

/// What tells an object from all others: apiVersion, kind, namespace, name.
type Identity<'a> = [&'a str; 4];

/// What is wrong with a file of add-ons.
#[must_use]
pub fn addons(file: &str, document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen: HashMap<Identity<'_>, usize> = HashMap::new();
    for (part, value) in document.values().enumerate() {
        let mut report = Report::new(Object {
            file,
            name: None,
            document,
            part,
        });
        check(&mut report, value);
        if let Some(identity) = identity(value) {
            let (line, _) = document.position(part, &Path::default());
            if let Some(first) = seen.insert(identity, line) {
                let [_, kind, _, name] = identity.map(short);
                let message = format!("the {kind} '{name}' is here twice");
                let hint = format!("the other begins at line {first}; the last one counts");
                report.error_with(&at(&["metadata", "name"]), message, hint);
            }
        }
        findings.extend(report.finish());
    }
    let joined = joined(document.text()).into_iter();
    findings.extend(joined.map(|line| Finding {
        severity: Severity::Error,
        file: file.to_owned(),
        line,
        column: 1,
        path: Path::default(),
        message: "kOps sees no new document here and drops what follows".to_owned(),
        hint: Some("write --- with nothing behind it".to_owned()),
    }));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

fn check(report: &mut Report<'_>, value: &Value) {
    let Some(fields) = value.as_mapping() else {
        if !value.is_null() {
            report.error(&Path::default(), "is no Kubernetes object, but a value");
        }
        return;
    };
    if fields.is_empty() {
        return;
    }
    let needed = ["apiVersion", "kind"].into_iter();
    for field in needed.filter(|field| text(value, field).is_none()) {
        let what = match value.get(field) {
            None | Some(Value::Null) => "is missing",
            Some(_) => "must be a text",
        };
        report.error(&at(&[field]), format!("{field} {what}"));
    }
    let (Some(version), Some(kind)) = (text(value, "apiVersion"), text(value, "kind")) else {
        return;
    };
    let group = version.split('/').next().unwrap_or_default();
    // The configuration of a component, such as kube-scheduler's, is applied by kOps itself.
    let has_no_name = group.ends_with(".config.k8s.io") || kind.ends_with("List");
    if report.object.text(&["metadata", "name"]).is_none() && !has_no_name {
        let message = format!("the {} has no metadata.name", short(kind));
        report.error(&at(&["metadata", "name"]), message);
    }
}

fn identity(value: &Value) -> Option<Identity<'_>> {
    let metadata = value.get("metadata")?;
    let namespace = text(metadata, "namespace").unwrap_or("default");
    let (version, kind) = (text(value, "apiVersion")?, text(value, "kind")?);
    Some([version, kind, namespace, text(metadata, "name")?])
}

/// The lines that begin a document in YAML, but not for kOps, which splits at `---` alone and
/// reads the first document of each part.
fn joined(text: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    let mut has_content = false;
    let mut marker = None;
    for (index, line) in text.lines().enumerate() {
        if line == "---" {
            (has_content, marker) = (false, None);
            continue;
        }
        let behind = line.strip_prefix("---");
        let behind = behind.filter(|rest| rest.starts_with([' ', '\t']));
        if behind.is_some() && has_content {
            marker = marker.or(Some(index + 1));
        }
        let bare = behind.unwrap_or(line).trim();
        if !bare.is_empty() && !bare.starts_with('#') {
            has_content = true;
            lines.extend(marker.take());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDONS: &str = "\
# Ours.
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  namespace: kube-system
---
# Nothing.
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: v1
kind: List
items: []
---
{}
---
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
";

    fn found(text: &str) -> Vec<String> {
        let document = Document::parse(text).expect(text);
        let findings = addons("c/clusteraddons/default", &document);
        let told = findings.iter().map(|found| {
            let hint = found.hint.as_deref().map(|hint| format!("; {hint}"));
            let hint = hint.unwrap_or_default();
            format!("{}:{}: {}{hint}", found.line, found.column, found.message)
        });
        told.collect()
    }

    #[test]
    fn an_object_of_any_kind_says_what_it_is() {
        assert_eq!(found(ADDONS), Vec::<String>::new());
        assert_eq!(found(""), Vec::<String>::new());
        assert_eq!(
            found(&format!("--- # ours\n{ADDONS}--- \n")),
            Vec::<String>::new()
        );
        for (from, to, told) in [
            (
                "apiVersion: v1\nkind: C",
                "kind: C",
                "2:1: apiVersion is missing",
            ),
            ("kind: ConfigMap\n", "kind: 1\n", "3:7: kind must be a text"),
            (
                "  name: a\n",
                "  nam: a\n",
                "5:3: the ConfigMap has no metadata.name",
            ),
            (
                "kind: List\n",
                "kind: Lis\n",
                "14:1: the Lis has no metadata.name",
            ),
            (
                "{}\n",
                "- a\n",
                "18:1: is no Kubernetes object, but a value",
            ),
            (
                "kube-system",
                "default",
                "12:18: the ConfigMap 'a' is here twice; the other begins at line 2; the last one counts",
            ),
            (
                "# Nothing.\n---\n",
                "kind: A\napiVersion: v1\nmetadata: {name: b}\n--- # next\n",
                "11:1: kOps sees no new document here and drops what follows; write --- with nothing behind it",
            ),
        ] {
            let text = ADDONS.replacen(from, to, 1);
            assert_eq!(found(&text), [told], "{from} => {to}");
        }
    }

    #[test]
    fn crlf_makes_no_difference() {
        assert_eq!(found(&ADDONS.replace('\n', "\r\n")), Vec::<String>::new());
    }
}
