//! Labels: those of what a cluster has in the cloud, and those of its nodes.

use serde_yaml::Value;

use super::cluster::short;
use super::forms;
use super::report::{Object, Report, at};
use crate::merge::document::{Path, Step};

/// What an instance group is called in the cloud. kOps takes it from a manifest, too, if it is so.
const GROUP: &str = "kops.k8s.io/instancegroup";

/// The labels that kOps itself sets.
const KEYS: [&str; 2] = ["Name", "KubernetesCluster"];

/// How those begin.
const PREFIXES: [&str; 3] = ["kubernetes.io/cluster/", "k8s.io/role/", "kops.k8s.io/"];

/// The `spec.cloudLabels` that kOps keeps for itself.
pub(super) fn cloud(report: &mut Report<'_>) {
    for (path, key) in keys(report.object, "cloudLabels") {
        if key == GROUP && report.object.text(&["kind"]) == Some("InstanceGroup") {
            let name = report.object.text(&["metadata", "name"]);
            if name
                != report
                    .object
                    .get(&["spec", "cloudLabels", key])
                    .and_then(Value::as_str)
            {
                let message = format!("the label {GROUP} must be the name of the instance group");
                report.error(&path, message);
            }
        } else if KEYS.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
            let message = format!("kOps sets the label '{}' itself", short(key));
            report.key_error(&path, message, None);
        }
    }
}

/// The `spec.cloudLabels` that AWS keeps for itself.
pub(super) fn aws(report: &mut Report<'_>) {
    for (path, key) in keys(report.object, "cloudLabels") {
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = format!("AWS takes no label '{}'", short(key));
            let hint = "it keeps what begins with 'aws:' for itself".to_owned();
            report.key_error(&path, message, Some(hint));
        }
    }
}

/// The `spec.nodeLabels` of an instance group.
pub(super) fn nodes(report: &mut Report<'_>) {
    for (path, key) in keys(report.object, "nodeLabels") {
        if key.matches('/').count() > 1 {
            let message = format!("the label '{}' has more than one '/'", short(key));
            report.key_error(&path, message, None);
        } else if !forms::is_label(key) {
            let message = format!("'{}' is no label of Kubernetes", short(key));
            let hint = "a kubelet with it doesn't start; take letters, digits, '-', '_' and '.', \
                        perhaps behind a domain and a '/'";
            report.push(
                super::Severity::Warning,
                &path,
                message,
                Some(hint.to_owned()),
            );
        }
    }
}

fn keys<'a>(object: Object<'a>, field: &str) -> Vec<(Path, &'a str)> {
    let map = at(&["spec", field]);
    let labels = object.get(&["spec", field]).and_then(Value::as_mapping);
    let keys = labels.into_iter().flatten();
    keys.filter_map(|(key, _)| {
        let key = key.as_str()?;
        Some((map.then(Step::Key(key.to_owned())), key))
    })
    .collect()
}
