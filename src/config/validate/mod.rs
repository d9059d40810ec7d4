//! Whether kOps would take a manifest, as far as that can be told without the cloud.
//!
//! After kOps's `pkg/apis/kops/validation`, and what is beyond it there: kOps drops fields that it
//! doesn't know without a word, and learns of overlapping subnets from the cloud. Only what is
//! sure is an error; a warning may be meant so.

mod addons;
mod change;
mod cidr;
mod cluster;
mod etcd;
mod forms;
mod group;
mod labels;
mod network;
mod place;
mod report;
mod shape;
mod subnets;

pub use addons::addons;
pub use change::change;
pub use report::{Finding, Object, Severity};

use report::{Report, at};

use super::fields::{Kind, known_version};

/// What is wrong with one object by itself: its fields, their types, and what a `Cluster` or an
/// `InstanceGroup` must say. `kind` is what the object should be by its place.
#[must_use]
pub fn object(object: Object<'_>, kind: Kind) -> Vec<Finding> {
    let mut report = Report::new(object);
    if shape::check(&mut report, kind) {
        match kind {
            Kind::Cluster => cluster::check(&mut report),
            Kind::InstanceGroup => group::check(&mut report),
            Kind::Keyset | Kind::SshCredential => {}
        }
    }
    report.finish()
}

/// What is wrong with a cluster: with its manifest, with each of its instance groups, and with
/// how they fit together. The findings come file by file.
#[must_use]
pub fn cluster(cluster: Object<'_>, groups: &[Object<'_>]) -> Vec<Finding> {
    let mut report = Report::new(cluster);
    let is_known = shape::check(&mut report, Kind::Cluster);
    if is_known {
        cluster::check(&mut report);
        etcd::check_groups(&mut report, groups);
        group::check_roles(&mut report, groups);
    }
    let mut findings = report.finish();
    let surroundings = is_known.then(|| group::Surroundings::new(cluster));
    for object in groups {
        let mut report = Report::new(*object);
        if shape::check(&mut report, Kind::InstanceGroup) {
            group::check(&mut report);
            if let Some(surroundings) = &surroundings {
                surroundings.check(&mut report);
            }
        }
        findings.extend(report.finish());
    }
    findings
}

/// Whether an object is of the only version whose fields are known here.
fn is_v1alpha2(object: Object<'_>) -> bool {
    let version = object.text(&["apiVersion"]);
    version.is_some_and(|version| known_version(version).is_ok())
}

/// What `metadata.name` must be.
fn check_name(report: &mut Report<'_>) {
    let path = at(&["metadata", "name"]);
    let object = report.object;
    let Some(name) = object.text(&["metadata", "name"]) else {
        if object.lacks(&["metadata", "name"]) {
            report.error(&path, "metadata.name is missing");
        }
        return;
    };
    if let Err(wrong) = forms::dns_name(name) {
        report.error(
            &path,
            format!("metadata.name '{name}' is no DNS name: it {wrong}"),
        );
    }
    if let Some(place) = object.name
        && place != name
    {
        report.error_with(
            &path,
            format!("metadata.name is '{name}', but kOps looks for '{place}' here"),
            "kOps can't rename; put the name back, or move the file".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests;
