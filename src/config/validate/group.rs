//! The rules of an `InstanceGroup`, and how it fits its cluster.

use std::collections::HashSet;

use serde_yaml::Value;

use super::cluster::{cloud_of, empty, one_of, short, sysctls};
use super::report::{Object, Report, at, element, text};
use super::{etcd, labels};
use crate::merge::document::{Path, Step};
use crate::text::did_you_mean;

/// The roles as v1alpha2 writes them. kOps writes `Master` and reads `ControlPlane` too; the last
/// three are new in 1.37.
const ROLES: [&str; 8] = [
    "Master",
    "ControlPlane",
    "Node",
    "Bastion",
    "APIServer",
    "Etcd",
    "Scheduler",
    "KubeControllerManager",
];

/// What can't be less than nothing.
const NUMBERS: [&str; 5] = [
    "minSize",
    "maxSize",
    "rootVolumeSize",
    "rootVolumeIops",
    "rootVolumeThroughput",
];

/// One role of an instance group.
pub(super) struct Role<'a>(&'a str);

impl Role<'_> {
    fn is_control_plane(&self) -> bool {
        matches!(self.0, "Master" | "ControlPlane")
    }

    pub(super) fn runs_etcd(&self) -> bool {
        self.is_control_plane() || self.0 == "Etcd"
    }
}

/// The roles of a group, which are separated by commas.
pub(super) fn roles(group: Object<'_>) -> Vec<Role<'_>> {
    let roles = group.text(&["spec", "role"]).unwrap_or_default().split(',');
    roles
        .map(str::trim)
        .filter(|role| !role.is_empty())
        .map(Role)
        .collect()
}

pub(super) fn name(group: Object<'_>) -> Option<&str> {
    group.text(&["metadata", "name"]).or(group.name)
}

pub(super) fn check(report: &mut Report<'_>) {
    let object = report.object;
    let path = at(&["spec", "role"]);
    if object.lacks(&["spec", "role"]) {
        report.error_with(
            &path,
            "spec.role is missing",
            format!("kOps knows {}", ROLES.join(", ")),
        );
    }
    for Role(role) in roles(object).into_iter().take(ROLES.len() + 1) {
        if !ROLES.contains(&role) {
            report.error_with(
                &path,
                format!(
                    "spec.role can't be '{}'{}",
                    short(role),
                    did_you_mean(short(role), ROLES)
                ),
                format!("kOps knows {}", ROLES.join(", ")),
            );
        }
    }
    let is_control_plane = roles(object).iter().any(Role::is_control_plane);
    if is_control_plane && object.lacks(&["spec", "subnets"]) {
        report.error(
            &at(&["spec", "subnets"]),
            "spec.subnets is empty; a control-plane group needs one",
        );
    }
    sizes(report, is_control_plane);
    empty(report, "machineType", "the default of the channel");
    empty(report, "image", "the default of the channel");
    labels::cloud(report);
    labels::nodes(report);
    one_of(
        report,
        &["spec", "updatePolicy"],
        &["automatic", "external"],
    );
    sysctls(report);
    volumes(report);
}

fn sizes(report: &mut Report<'_>, is_control_plane: bool) {
    let object = report.object;
    let size = |name: &str| object.get(&["spec", name]).and_then(Value::as_i64);
    for name in NUMBERS {
        if size(name).is_some_and(|size| size < 0) {
            report.error(&at(&["spec", name]), format!("spec.{name} is negative"));
        }
    }
    if size("rootVolumeSize") == Some(0) {
        let message = "spec.rootVolumeSize is 0; kOps takes its default";
        report.warning(&at(&["spec", "rootVolumeSize"]), message);
    }
    if size("maxSize") == Some(0) {
        let path = at(&["spec", "maxSize"]);
        if object.text(&["spec", "manager"]) == Some("Karpenter") {
            report.error(
                &path,
                "spec.maxSize must be above 0 where Karpenter manages the group",
            );
        } else {
            report.warning(&path, "spec.maxSize is 0: the group gets no instance");
        }
    }
    if is_control_plane {
        for name in ["minSize", "maxSize"] {
            if size(name).is_some_and(|size| size > 1) {
                report.error_with(
                    &at(&["spec", name]),
                    format!("spec.{name} can't be more than 1 in a control-plane group"),
                    "add another group for another instance".to_owned(),
                );
            }
        }
    }
    if let (Some(least), Some(most)) = (size("minSize"), size("maxSize"))
        && least > most
    {
        let message = format!("spec.minSize {least} is more than spec.maxSize {most}");
        report.error(&at(&["spec", "minSize"]), message);
    }
}

fn volumes(report: &mut Report<'_>) {
    for (list, needed) in [
        ("volumes", &["device"][..]),
        ("volumeMounts", &["device", "filesystem", "path"]),
    ] {
        let path = at(&["spec", list]);
        for (index, volume) in report.object.list(&["spec", list]).iter().enumerate() {
            for field in needed.iter().filter(|field| text(volume, field).is_none()) {
                let message = format!("{} has no {field}", element(&path, index, ""));
                report.error(&element(&path, index, field), message);
            }
            let size = volume.get("size").map_or(Some(0), Value::as_i64);
            if list == "volumes" && size.is_some_and(|size| size <= 0) {
                let message = format!("{} needs a size above 0", element(&path, index, ""));
                report.error(&element(&path, index, "size"), message);
            }
        }
    }
}

/// A cluster has a control plane, and something besides.
pub(super) fn check_roles(report: &mut Report<'_>, groups: &[Object<'_>]) {
    let top = Path::default();
    if groups.is_empty() {
        report.error(&top, "the cluster has no instance groups");
        return;
    }
    let is_control_plane = |group: &&Object<'_>| roles(**group).iter().any(Role::is_control_plane);
    match groups.iter().filter(is_control_plane).count() {
        0 => report.error(
            &top,
            "the cluster has no instance group with the role Master",
        ),
        count if count == groups.len() => {
            report.warning(
                &top,
                "the cluster has no instance group beside the control plane",
            );
        }
        _ => {}
    }
}

/// What the groups of a cluster are held against.
pub(super) struct Surroundings<'a> {
    cluster: Option<&'a str>,
    cloud: Option<&'a str>,
    subnets: HashSet<&'a str>,
    etcd: Vec<(&'a str, HashSet<&'a str>)>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(cluster: Object<'a>) -> Self {
        let subnets = cluster.list(&["spec", "subnets"]).iter();
        Self {
            cluster: cluster.text(&["metadata", "name"]),
            cloud: cloud_of(cluster),
            subnets: subnets.filter_map(|subnet| text(subnet, "name")).collect(),
            etcd: etcd::placement(cluster),
        }
    }

    /// The rules between a group and its cluster.
    pub(super) fn check(&self, report: &mut Report<'_>) {
        let group = report.object;
        if self.cloud == Some("aws") {
            labels::aws(report);
        }
        let list = at(&["spec", "subnets"]);
        for (index, subnet) in group.list(&["spec", "subnets"]).iter().enumerate() {
            let Some(subnet) = subnet.as_str() else {
                continue;
            };
            if !self.subnets.contains(subnet) {
                let near = did_you_mean(short(subnet), self.subnets.iter().copied());
                let message = format!("the cluster has no subnet '{}'{near}", short(subnet));
                report.error(&list.then(Step::Index(index)), message);
            }
        }
        let label = group.text(&["metadata", "labels", "kops.k8s.io/cluster"]);
        if label != self.cluster {
            let path = at(&["metadata", "labels", "kops.k8s.io/cluster"]);
            let message = match label {
                Some(label) => format!("the label kops.k8s.io/cluster names '{}'", short(label)),
                None => "the label kops.k8s.io/cluster is missing".to_owned(),
            };
            let hint = "kops replace goes by it".to_owned();
            report.push(super::Severity::Warning, &path, message, Some(hint));
        }
        let Some(name) = name(group).filter(|_| roles(group).iter().any(Role::is_control_plane))
        else {
            return;
        };
        for (etcd, groups) in &self.etcd {
            if !groups.contains(name) {
                let message =
                    format!("the etcd cluster '{etcd}' has no member in this control-plane group");
                report.error_with(
                    &at(&["spec", "role"]),
                    message,
                    "kOps asks for one in each; add it to spec.etcdClusters of the cluster"
                        .to_owned(),
                );
            }
        }
    }
}
