//! The rules of a `Cluster` by itself.

use serde_yaml::Value;

use super::report::{Object, Report, at, element};
use super::{etcd, forms, labels, network, place};

/// The clouds, as `spec.cloudProvider` names them.
const CLOUDS: [&str; 8] = [
    "aws",
    "azure",
    "digitalocean",
    "gce",
    "hetzner",
    "linode",
    "openstack",
    "scaleway",
];

/// The plugins below `spec.networking` of which there can be one. `cni` only says that the user
/// brings one.
const PLUGINS: [&str; 14] = [
    "kubenet",
    "external",
    "kopeio",
    "weave",
    "flannel",
    "calico",
    "canal",
    "kuberouter",
    "romana",
    "amazonvpc",
    "cilium",
    "lyftvpc",
    "gce",
    "kindnet",
];

pub(super) fn check(report: &mut Report<'_>) {
    full_name(report);
    kubernetes_version(report);
    empty(report, "channel", "stable");
    cloud(report);
    place::check(report);
    labels::cloud(report);
    if cloud_of(report.object) == Some("aws") {
        labels::aws(report);
    }
    api(report);
    plugins(report);
    one_of(
        report,
        &["spec", "topology", "dns", "type"],
        &["Public", "Private", "None"],
    );
    one_of(
        report,
        &["spec", "updatePolicy"],
        &["automatic", "external"],
    );
    discovery(report);
    sysctls(report);
    if report.object.has(&["spec", "assets", "containerProxy"])
        && report.object.has(&["spec", "assets", "containerRegistry"])
    {
        report.error(
            &at(&["spec", "assets", "containerProxy"]),
            "spec.assets.containerProxy and containerRegistry exclude each other",
        );
    }
    network::check(report);
    etcd::check(report);
}

fn full_name(report: &mut Report<'_>) {
    let object = report.object;
    let management = object.text(&["metadata", "annotations", "kops.kubernetes.io/management"]);
    let name = object.text(&["metadata", "name"]);
    if let Some(name) = name
        && !name.contains('.')
        && management != Some("imported")
    {
        report.error_with(
            &at(&["metadata", "name"]),
            format!("metadata.name '{name}' is not a full DNS name"),
            "kOps asks for one with a zone, such as name.example.com".to_owned(),
        );
    }
}

fn kubernetes_version(report: &mut Report<'_>) {
    let names = ["spec", "kubernetesVersion"];
    match report.object.text(&names) {
        None if report.object.lacks(&names) => {
            report.error(&at(&names), "spec.kubernetesVersion is missing");
        }
        Some(text) if !forms::is_kubernetes_version(text) => report.error_with(
            &at(&names),
            format!(
                "spec.kubernetesVersion '{}' is no version of Kubernetes",
                short(text)
            ),
            "write it like 1.33.1".to_owned(),
        ),
        _ => {}
    }
}

/// The cloud of a cluster. One on bare metal, which is experimental, names it in a label.
pub(super) fn cloud_of(object: Object<'_>) -> Option<&str> {
    let labels = object.get(&["metadata", "labels"]);
    let mut labels = labels.and_then(Value::as_mapping).into_iter().flatten();
    if labels.any(|(_, value)| value.as_str() == Some("metal")) {
        return Some("metal");
    }
    object.text(&["spec", "cloudProvider"])
}

fn cloud(report: &mut Report<'_>) {
    let path = at(&["spec", "cloudProvider"]);
    if cloud_of(report.object).is_none() && report.object.lacks(&["spec", "cloudProvider"]) {
        report.error_with(
            &path,
            "spec.cloudProvider is missing",
            format!("kOps knows {}", CLOUDS.join(", ")),
        );
    }
    one_of(report, &["spec", "cloudProvider"], &CLOUDS);
}

fn api(report: &mut Report<'_>) {
    let path = ["spec", "api", "dns"];
    if report.object.has(&path) && report.object.has(&["spec", "api", "loadBalancer"]) {
        let message = "spec.api has both dns and loadBalancer; kOps makes the load balancer";
        report.warning(&at(&path), message);
    }
}

/// A text that is as good as none, though somebody wrote it.
pub(super) fn empty(report: &mut Report<'_>, name: &str, default: &str) {
    let names = ["spec", name];
    if report.object.get(&names).and_then(Value::as_str) == Some("") {
        let message = format!("spec.{name} is empty; kOps takes {default}");
        report.warning(&at(&names), message);
    }
}

fn plugins(report: &mut Report<'_>) {
    let object = report.object;
    let taken: Vec<&str> = PLUGINS
        .into_iter()
        .filter(|plugin| object.has(&["spec", "networking", plugin]))
        .collect();
    if let [first, second, ..] = taken.as_slice() {
        report.error(
            &at(&["spec", "networking", second]),
            format!("spec.networking has both {first} and {second}; there can be one plugin"),
        );
    }
}

fn discovery(report: &mut Report<'_>) {
    const FIELD: &str = "serviceAccountIssuerDiscovery";
    let object = report.object;
    let store = object.text(&["spec", FIELD, "discoveryStore"]);
    let path = at(&["spec", FIELD, "discoveryStore"]);
    if store.is_some()
        && object
            .text(&["spec", FIELD, "discoveryService", "url"])
            .is_some()
    {
        report.error(
            &path,
            format!("{path} and discoveryService.url exclude each other"),
        );
    }
    let bucket = store.and_then(|store| store.strip_prefix("s3://"));
    let bucket = bucket.and_then(|rest| rest.split('/').next());
    if let Some(bucket) = bucket
        && bucket.contains('.')
    {
        report.error_with(
            &path,
            format!("the bucket '{bucket}' of {path} has a dot in its name"),
            "S3's certificate covers no such name; take a bucket without dots".to_owned(),
        );
    }
}

/// Kernel parameters of a cluster or an instance group.
pub(super) fn sysctls(report: &mut Report<'_>) {
    let list = at(&["spec", "sysctlParameters"]);
    for (index, parameter) in report
        .object
        .list(&["spec", "sysctlParameters"])
        .iter()
        .enumerate()
    {
        if parameter.as_str().is_some_and(|text| !text.contains('=')) {
            let path = element(&list, index, "");
            report.error(&path, format!("{path} must be like name=value"));
        }
    }
}

/// A text that must be one of a few words.
pub(super) fn one_of(report: &mut Report<'_>, names: &[&str], known: &[&str]) {
    if let Some(text) = report.object.text(names)
        && !known.contains(&text)
    {
        let path = at(names);
        let near = crate::text::did_you_mean(short(text), known.iter().copied());
        report.error_with(
            &path,
            format!("{path} can't be '{}'{near}", short(text)),
            format!("kOps knows {}", known.join(", ")),
        );
    }
}

/// The start of a text that may be long.
pub(super) fn short(text: &str) -> &str {
    let end = text.char_indices().nth(60).map_or(text.len(), |(at, _)| at);
    &text[..end]
}
