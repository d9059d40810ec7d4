//! The subnets of a cluster.

use std::collections::HashMap;

use serde_yaml::Value;

use super::cidr::Cidr;
use super::cluster::{cloud_of, short};
use super::network::{Ranges, range};
use super::report::{Report, Severity, at, element, text};

const TYPES: [&str; 4] = ["Public", "Private", "DualStack", "Utility"];

pub(super) fn check(report: &mut Report<'_>, ranges: &Ranges) {
    let object = report.object;
    let list = at(&["spec", "subnets"]);
    let subnets = object.list(&["spec", "subnets"]);
    let cloud = cloud_of(object).unwrap_or_default();
    if subnets.is_empty() {
        let is_needed = ["aws", "azure", "gce", "openstack"].contains(&cloud);
        if is_needed && object.lacks(&["spec", "subnets"]) {
            report.error(
                &list,
                "spec.subnets is empty; the cluster needs at least one",
            );
        }
        return;
    }
    let mut names = HashMap::new();
    let mut placed = Vec::new();
    for (index, subnet) in subnets.iter().enumerate() {
        let path = |field: &str| element(&list, index, field);
        match text(subnet, "name") {
            None => report.error(&path("name"), format!("{} has no name", path(""))),
            Some(name) => {
                if let Some(first) = names.insert(name, index) {
                    let message = format!("two subnets are named '{}'", short(name));
                    let hint = format!("the other is {}", element(&list, first, ""));
                    report.error_with(&path("name"), message, hint);
                }
            }
        }
        kind(report, subnet, index);
        if let Some(cidr) = text(subnet, "cidr")
            && let Some(cidr) = range(report, &path("cidr"), cidr)
        {
            inside(report, index, cidr, ranges);
            placed.push((cidr, index));
        }
        if let Some(cidr) = text(subnet, "ipv6CIDR") {
            if !cloud.is_empty() && cloud != "aws" {
                report.error(
                    &path("ipv6CIDR"),
                    format!("{} is for aws only", path("ipv6CIDR")),
                );
            }
            // `/64#1` is the second such range of the network, whichever that is.
            if !cidr.starts_with('/')
                && let Some(cidr) = range(report, &path("ipv6CIDR"), cidr)
            {
                placed.push((cidr, index));
            }
        }
    }
    apart(report, subnets, placed);
    regions(report, subnets, cloud);
    let has_id = |subnet: &Value| text(subnet, "id").is_some();
    let odd = subnets
        .iter()
        .position(|subnet| has_id(subnet) != has_id(&subnets[0]));
    if let Some(index) = odd {
        report.error(
            &element(&list, index, "id"),
            "some subnets have an id and others have none; kOps takes all or none",
        );
    }
}

fn kind(report: &mut Report<'_>, subnet: &Value, index: usize) {
    let path = element(&at(&["spec", "subnets"]), index, "type");
    match text(subnet, "type") {
        None => report.push(
            Severity::Warning,
            &path,
            format!("{path} is missing; newer versions of kOps ask for one"),
            Some(format!("write {}", TYPES.join(", "))),
        ),
        Some(kind) if !TYPES.contains(&kind) => report.error_with(
            &path,
            format!("{path} can't be '{}'", short(kind)),
            format!("kOps knows {}", TYPES.join(", ")),
        ),
        Some(_) => {}
    }
}

fn inside(report: &mut Report<'_>, index: usize, cidr: Cidr, ranges: &Ranges) {
    let path = element(&at(&["spec", "subnets"]), index, "cidr");
    if !ranges.network.is_empty() && !ranges.network.iter().any(|outer| outer.contains(cidr)) {
        let networks: Vec<String> = ranges.network.iter().take(8).map(Cidr::to_string).collect();
        report.error(
            &path,
            format!(
                "{path} {cidr} does not lie in the network {}",
                networks.join(", ")
            ),
        );
    }
    let has_pods_in_network = report.object.has(&["spec", "networking", "amazonvpc"]);
    if let Some(pods) = ranges
        .pods
        .filter(|pods| pods.overlaps(cidr) && !has_pods_in_network)
    {
        report.error(
            &path,
            format!("{path} {cidr} overlaps with spec.podCIDR {pods}"),
        );
    }
    if let Some(services) = ranges.services.filter(|services| services.overlaps(cidr)) {
        let message = format!("{path} {cidr} overlaps with spec.serviceClusterIPRange {services}");
        report.error(&path, message);
    }
}

/// Subnets don't overlap. Of subnets that exist already that is the cloud's business: the same
/// one may stand here twice.
fn apart(report: &mut Report<'_>, subnets: &[Value], mut placed: Vec<(Cidr, usize)>) {
    placed.sort_by_key(|(cidr, index)| (cidr.start(), *index));
    let mut widest: Option<(Cidr, usize)> = None;
    for (cidr, index) in placed {
        let before = widest.filter(|(before, other)| before.overlaps(cidr) && *other != index);
        if let Some((before, other)) = before {
            let exists = |index: usize| text(&subnets[index], "id").is_some();
            let severity = if exists(index) && exists(other) {
                Severity::Warning
            } else {
                Severity::Error
            };
            let field = if cidr.is_v6() { "ipv6CIDR" } else { "cidr" };
            let list = at(&["spec", "subnets"]);
            let path = element(&list, index, field);
            let message = format!("{path} {cidr} overlaps with {before}");
            let hint = format!("that is {}", element(&list, other, ""));
            report.push(severity, &path, message, Some(hint));
        }
        if !widest.is_some_and(|(before, _)| before.contains(cidr)) {
            widest = Some((cidr, index));
        }
    }
}

fn regions(report: &mut Report<'_>, subnets: &[Value], cloud: &str) {
    if !["azure", "digitalocean", "gce"].contains(&cloud) {
        return;
    }
    let list = at(&["spec", "subnets"]);
    let first = subnets.iter().find_map(|subnet| text(subnet, "region"));
    for (index, subnet) in subnets.iter().enumerate() {
        let path = element(&list, index, "region");
        match text(subnet, "region") {
            None => report.error(&path, format!("{path} is missing; {cloud} needs it")),
            region if region != first => {
                report.error(
                    &path,
                    format!("{path} differs: a cluster lies in one region"),
                );
            }
            Some(_) => {}
        }
    }
}
