//! What can't be changed once it is there.
//!
//! kOps itself refuses little of it when a manifest is edited (`ValidateClusterUpdate`); the rest
//! fails when `kops update cluster` meets what runs. That a cluster runs can't be seen here, so
//! those are warnings. The locations (`configBase`, `keyStore`, `secretStore`, `backupStore`) may
//! change.

use std::collections::HashMap;

use serde_yaml::Value;

use super::cluster::{cloud_of, short};
use super::etcd::members_of;
use super::forms;
use super::is_v1alpha2;
use super::report::{Finding, Object, Report, Severity, at, element, text};
use crate::merge::document::{Path, Step};

/// The fields of an etcd member that can't change.
const FROZEN: [&str; 4] = ["instanceGroup", "volumeSize", "kmsKeyId", "encryptedVolume"];

/// Tokens that pods hold name their issuer; another one makes them void.
const ISSUER: [&[&str]; 3] = [
    &["spec", "serviceAccountIssuerDiscovery", "discoveryStore"],
    &[
        "spec",
        "serviceAccountIssuerDiscovery",
        "discoveryService",
        "url",
    ],
    &["spec", "kubeAPIServer", "serviceAccountIssuer"],
];

/// Where kOps reads and writes the cluster's keys, secrets and state.
const LOCATIONS: [&[&str]; 3] = [
    &["spec", "configBase"],
    &["spec", "keyStore"],
    &["spec", "secretStore"],
];

/// What a new version of a `Cluster` or an `InstanceGroup` changes that can't be changed. The
/// findings are places in the new version.
#[must_use]
pub fn change(old: Object<'_>, new: Object<'_>) -> Vec<Finding> {
    let mut report = Report::new(new);
    let kind = new.text(&["kind"]);
    if !is_v1alpha2(old) || !is_v1alpha2(new) || kind != old.text(&["kind"]) {
        return Vec::new();
    }
    name(&mut report, old);
    if kind == Some("Cluster") {
        etcd(&mut report, old);
        network(&mut report, old);
        kubernetes_version(&mut report, old);
        for path in LOCATIONS {
            if let (Some(before), Some(now)) = (old.text(path), new.text(path))
                && before.trim_end_matches('/') != now.trim_end_matches('/')
            {
                let path = at(path);
                let message = format!(
                    "{path} changes: kOps makes new keys and tokens there if it finds none"
                );
                report.warning(&path, message);
            }
        }
        for path in ISSUER {
            let before = old.text(path);
            if before.is_some() && before != new.text(path) {
                let path = at(path);
                let message =
                    format!("{path} changes: tokens and trust that name the old one break");
                report.warning(&path, message);
            }
        }
    }
    report.finish()
}

fn name(report: &mut Report<'_>, old: Object<'_>) {
    let path = ["metadata", "name"];
    if let (Some(before), Some(now)) = (old.text(&path), report.object.text(&path))
        && before != now
    {
        report.error_with(
            &at(&path),
            format!(
                "metadata.name can't change from '{}' to '{}'",
                short(before),
                short(now)
            ),
            "kOps can't rename: make a new one and delete the old".to_owned(),
        );
    }
}

fn kubernetes_version(report: &mut Report<'_>, old: Object<'_>) {
    let path = ["spec", "kubernetesVersion"];
    let (Some(before), Some(now)) = (old.text(&path), report.object.text(&path)) else {
        return;
    };
    let [from, to] = [before, now].map(forms::kubernetes_version);
    if from.is_some() && to.is_some() && to < from {
        let [from, to] = [from, to].map(|version| version.map(|[major, minor, _]| (major, minor)));
        let hint = "Kubernetes supports no way back to an older minor version";
        let hint = (to < from).then(|| hint.to_owned());
        let message = format!(
            "spec.kubernetesVersion goes back from {} to {}",
            short(before),
            short(now)
        );
        report.push(Severity::Warning, &at(&path), message, hint);
    }
}

fn by_name(list: &[Value]) -> HashMap<&str, (usize, &Value)> {
    let elements = list.iter().enumerate();
    elements
        .filter_map(|(index, value)| Some((text(value, "name")?, (index, value))))
        .collect()
}

fn etcd(report: &mut Report<'_>, old: Object<'_>) {
    let names = ["spec", "etcdClusters"];
    let list = at(&names);
    let before = old.list(&names);
    let now = by_name(report.object.list(&names));
    for cluster in before {
        let Some(name) = text(cluster, "name") else {
            continue;
        };
        match now.get(name) {
            None => report.error(
                &list,
                format!("the etcd cluster '{}' can't be removed", short(name)),
            ),
            Some((index, now)) => {
                let path = element(&list, *index, "etcdMembers");
                members(report, &path, cluster, now);
            }
        }
    }
}

fn members(report: &mut Report<'_>, list: &Path, before: &Value, now: &Value) {
    let before = by_name(members_of(before));
    for (index, member) in members_of(now).iter().enumerate() {
        let Some((_, before)) = text(member, "name").and_then(|name| before.get(name)) else {
            continue;
        };
        for field in FROZEN {
            if frozen(before, field) != frozen(member, field) {
                let path = list
                    .then(Step::Index(index))
                    .then(Step::Key(field.to_owned()));
                let message = format!("{path} can't change once the etcd cluster runs");
                report.warning(&path, message);
            }
        }
    }
}

/// A value as Go compares it: nothing is as good as false, 0 or an empty text.
fn frozen<'a>(member: &'a Value, field: &str) -> Option<&'a Value> {
    member.get(field).filter(|value| {
        let is_zero = value.is_null()
            || value.as_bool() == Some(false)
            || value.as_i64() == Some(0)
            || value.as_str() == Some("");
        !is_zero
    })
}

/// On AWS, networks and subnets that kOps made keep their range and zone.
fn network(report: &mut Report<'_>, old: Object<'_>) {
    let new = report.object;
    let is_aws = |object: Object<'_>| cloud_of(object) == Some("aws");
    if !is_aws(old) || !is_aws(new) {
        return;
    }
    let range = ["spec", "networkCIDR"];
    let before = old.text(&range);
    if before.is_some() && before != new.text(&range) && !new.has(&["spec", "networkID"]) {
        report.warning(
            &at(&range),
            "spec.networkCIDR can't change once the VPC is there",
        );
    }
    let list = at(&["spec", "subnets"]);
    let before = by_name(old.list(&["spec", "subnets"]));
    for (index, subnet) in new.list(&["spec", "subnets"]).iter().enumerate() {
        let Some((_, before)) = text(subnet, "name").and_then(|name| before.get(name)) else {
            continue;
        };
        if text(subnet, "id") != text(before, "id") {
            continue;
        }
        for field in ["cidr", "zone"] {
            if text(before, field).is_some() && text(before, field) != text(subnet, field) {
                let path = element(&list, index, field);
                report.warning(
                    &path,
                    format!("{path} can't change once the subnet is there"),
                );
            }
        }
    }
}
