//! The address ranges of a cluster.

use super::cidr::Cidr;
use super::cluster::{cloud_of, short};
use super::report::{Report, at, element};
use super::subnets;
use crate::merge::document::Path;

/// The ranges that the subnets are held against.
pub(super) struct Ranges {
    /// Of the network in the cloud, the additional ones too.
    pub(super) network: Vec<Cidr>,
    pub(super) pods: Option<Cidr>,
    pub(super) services: Option<Cidr>,
}

pub(super) fn check(report: &mut Report<'_>) {
    let network = networks(report);
    let non_masquerade = single(report, "nonMasqueradeCIDR");
    non_masquerade_rules(report, non_masquerade, &network);
    let pods = single(report, "podCIDR");
    if let (Some(pods), Some(outer)) = (pods, non_masquerade)
        && !outer.contains(pods)
    {
        report.error(
            &at(&["spec", "podCIDR"]),
            format!("spec.podCIDR {pods} does not lie in spec.nonMasqueradeCIDR {outer}"),
        );
    }
    let services = single(report, "serviceClusterIPRange");
    for list in ["sshAccess", "kubernetesApiAccess", "nodePortAccess"] {
        access(report, list);
    }
    let ranges = Ranges {
        network,
        pods,
        services,
    };
    subnets::check(report, &ranges);
}

fn networks(report: &mut Report<'_>) -> Vec<Cidr> {
    let object = report.object;
    let cloud = cloud_of(object);
    let path = at(&["spec", "networkCIDR"]);
    let is_shared = object.has(&["spec", "networkID"]);
    let is_required = cloud == Some("azure") || (cloud == Some("aws") && !is_shared);
    let is_missing = object.lacks(&["spec", "networkCIDR"]);
    match object.text(&["spec", "networkCIDR"]) {
        None if is_required && is_missing => report.error(&path, "spec.networkCIDR is missing"),
        Some(_) if cloud == Some("gce") => {
            report.error(&path, "spec.networkCIDR can't be set on gce");
        }
        _ => {}
    }
    let mut found: Vec<Cidr> = single(report, "networkCIDR").into_iter().collect();
    let list = at(&["spec", "additionalNetworkCIDRs"]);
    let additional = object.list(&["spec", "additionalNetworkCIDRs"]);
    if !additional.is_empty() && cloud.is_some_and(|cloud| cloud != "aws") {
        report.error(&list, "spec.additionalNetworkCIDRs are for aws only");
    }
    for (index, text) in additional.iter().enumerate() {
        if let Some(text) = text.as_str() {
            found.extend(range(report, &element(&list, index, ""), text));
        }
    }
    found
}

fn non_masquerade_rules(report: &mut Report<'_>, range: Option<Cidr>, network: &[Cidr]) {
    let object = report.object;
    let path = at(&["spec", "nonMasqueradeCIDR"]);
    let cloud = cloud_of(object);
    if cloud.is_some_and(|cloud| cloud != "gce")
        && object.lacks(&["spec", "nonMasqueradeCIDR"])
        && !object.has(&["spec", "networking", "gce"])
    {
        report.error_with(
            &path,
            "spec.nonMasqueradeCIDR is missing",
            "kOps itself writes 100.64.0.0/10".to_owned(),
        );
    }
    let Some(range) = range else { return };
    if range.is_v6() && range.to_string() != "::/0" {
        report.error(
            &path,
            "spec.nonMasqueradeCIDR must be ::/0 in an IPv6 cluster",
        );
    }
    let pods_have_addresses_of_the_network = object.has(&["spec", "networking", "amazonvpc"])
        || object.has(&["spec", "networking", "lyftvpc"])
        || object.text(&["spec", "networking", "cilium", "ipam"]) == Some("eni");
    if pods_have_addresses_of_the_network {
        return;
    }
    if let Some(other) = network.iter().find(|other| other.overlaps(range)) {
        report.error(
            &path,
            format!("spec.nonMasqueradeCIDR {range} overlaps with the network {other}"),
        );
    }
}

/// Who may reach something: ranges, and on AWS also prefix lists.
fn access(report: &mut Report<'_>, name: &str) {
    let object = report.object;
    let list = at(&["spec", name]);
    let cloud = cloud_of(object);
    for (index, text) in object.list(&["spec", name]).iter().enumerate() {
        let Some(text) = text.as_str() else { continue };
        let path = element(&list, index, "");
        if !text.starts_with("pl-") {
            range(report, &path, text);
        } else if cloud.is_some_and(|cloud| cloud != "aws") {
            report.error(
                &path,
                format!("{path} is a prefix list, which only aws has"),
            );
        }
    }
}

fn single(report: &mut Report<'_>, name: &str) -> Option<Cidr> {
    let text = report.object.text(&["spec", name])?;
    range(report, &at(&["spec", name]), text)
}

/// The range that stands at a path, with an error where it is none.
pub(super) fn range(report: &mut Report<'_>, path: &Path, text: &str) -> Option<Cidr> {
    let Some((range, has_host_bits)) = Cidr::parse(text) else {
        let hint = match text.parse() {
            Ok(std::net::IpAddr::V4(address)) => format!("for one address write {address}/32"),
            Ok(std::net::IpAddr::V6(address)) => format!("for one address write {address}/128"),
            Err(_) => "write it like 10.0.0.0/16".to_owned(),
        };
        let message = format!("{path} '{}' is no address range", short(text));
        report.error_with(path, message, hint);
        return None;
    };
    if has_host_bits {
        report.error_with(
            path,
            format!("{path} {} names an address inside its range", short(text)),
            format!("write {range}"),
        );
    }
    Some(range)
}
