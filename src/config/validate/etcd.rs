//! The etcd clusters of a cluster.

use std::collections::{HashMap, HashSet};

use serde_yaml::Value;

use super::cluster::short;
use super::forms;
use super::group::{self, Role};
use super::report::{Object, Report, at, element, text};
use crate::merge::document::{Path, Step};
use crate::text::did_you_mean;

const NAMES: [&str; 4] = ["main", "events", "cilium", "leases"];

pub(super) fn check(report: &mut Report<'_>) {
    let object = report.object;
    let list = at(&["spec", "etcdClusters"]);
    let clusters = object.list(&["spec", "etcdClusters"]);
    if clusters.is_empty() {
        if object.lacks(&["spec", "etcdClusters"]) {
            report.error(
                &list,
                "spec.etcdClusters is empty; the API server needs 'main'",
            );
        }
        return;
    }
    let mut names = HashSet::new();
    let version = text(&clusters[0], "version");
    for (index, cluster) in clusters.iter().enumerate() {
        let path = |field: &str| element(&list, index, field);
        match text(cluster, "name") {
            None => report.error(&path("name"), format!("{} has no name", path(""))),
            Some(name) if !names.insert(name) => {
                let message = format!("two etcd clusters are named '{}'", short(name));
                report.error(&path("name"), message);
            }
            Some(name) if !NAMES.contains(&name) => report.error_with(
                &path("name"),
                format!(
                    "kOps runs no etcd cluster '{}'{}",
                    short(name),
                    did_you_mean(short(name), NAMES)
                ),
                format!("it knows {}", NAMES.join(", ")),
            ),
            Some(_) => {}
        }
        if text(cluster, "provider").is_some_and(|provider| provider != "Manager") {
            let message = format!("{} can only be 'Manager'", path("provider"));
            report.error(&path("provider"), message);
        }
        if let Some(own) = text(cluster, "version") {
            let path = path("version");
            if !matches!(forms::version(own), Some([3, ..])) {
                report.error(
                    &path,
                    format!("{path} '{}' is no version 3 of etcd", short(own)),
                );
            } else if Some(own) != version {
                report.error(
                    &path,
                    format!("{path} differs from that of the first etcd cluster"),
                );
            }
        }
        members(report, cluster, &path("etcdMembers"));
    }
    if !names.contains("main") {
        report.error(
            &list,
            "there is no etcd cluster 'main'; the API server needs it",
        );
    }
    if !names.contains("events") {
        report.warning(
            &list,
            "there is no etcd cluster 'events', as kOps always makes one",
        );
    }
    if object.is_true(&["spec", "networking", "cilium", "etcdManaged"]) && !names.contains("cilium")
    {
        report.error(
            &at(&["spec", "networking", "cilium", "etcdManaged"]),
            "spec.networking.cilium.etcdManaged needs an etcd cluster 'cilium'",
        );
    }
}

fn members(report: &mut Report<'_>, cluster: &Value, list: &Path) {
    let members = members_of(cluster);
    if members.len().is_multiple_of(2) {
        report.error_with(
            list,
            format!("{list} has {} members", members.len()),
            "an odd number, one for each control-plane group, keeps a majority".to_owned(),
        );
    }
    let mut names = HashMap::new();
    for (index, member) in members.iter().enumerate() {
        let path = |field: &str| element(list, index, field);
        match text(member, "name") {
            None => report.error(&path("name"), format!("{} has no name", path(""))),
            Some(name) => {
                if names.insert(name, index).is_some() {
                    let message = format!("two members of {list} are named '{}'", short(name));
                    report.error(&path("name"), message);
                }
            }
        }
        if text(member, "instanceGroup").is_none() {
            report.error(
                &path("instanceGroup"),
                format!("{} has no instanceGroup", path("")),
            );
        }
    }
}

/// The members of an etcd cluster.
pub(super) fn members_of(cluster: &Value) -> &[Value] {
    let members = cluster.get("etcdMembers").and_then(Value::as_sequence);
    members.map_or(&[], Vec::as_slice)
}

/// The name of each etcd cluster, with the instance groups that its members run in.
pub(super) fn placement(cluster: Object<'_>) -> Vec<(&str, HashSet<&str>)> {
    let groups = |cluster| {
        members_of(cluster)
            .iter()
            .filter_map(|member| text(member, "instanceGroup"))
    };
    let clusters = cluster.list(&["spec", "etcdClusters"]).iter();
    clusters
        .map(|cluster| {
            (
                text(cluster, "name").unwrap_or_default(),
                groups(cluster).collect(),
            )
        })
        .collect()
}

/// Each member runs in a group that is there and is of the control plane.
pub(super) fn check_groups(report: &mut Report<'_>, groups: &[Object<'_>]) {
    if groups.is_empty() {
        return;
    }
    let groups: HashMap<&str, Object<'_>> = groups
        .iter()
        .filter_map(|group| Some((group::name(*group)?, *group)))
        .collect();
    let clusters = at(&["spec", "etcdClusters"]);
    for (index, cluster) in report
        .object
        .list(&["spec", "etcdClusters"])
        .iter()
        .enumerate()
    {
        let list = element(&clusters, index, "etcdMembers");
        for (index, member) in members_of(cluster).iter().enumerate() {
            let Some(name) = text(member, "instanceGroup") else {
                continue;
            };
            let path = list
                .then(Step::Index(index))
                .then(Step::Key("instanceGroup".to_owned()));
            match groups.get(name).map(|group| group::roles(*group)) {
                None => {
                    let near = did_you_mean(short(name), groups.keys().copied());
                    report.error(
                        &path,
                        format!("there is no instance group '{}'{near}", short(name)),
                    );
                }
                Some(roles) if !roles.is_empty() && !roles.iter().any(Role::runs_etcd) => {
                    let message =
                        format!("the instance group '{name}' is not of the control plane");
                    report.error(&path, message);
                }
                Some(_) => {}
            }
        }
    }
}
