//! Ranges and subnets.

use super::*;

#[test]
fn address_ranges_fit_together() {
    in_cluster(
        "
        networkCIDR: 10.0.0.0/16 | | error: spec.networkCIDR is missing
        networkCIDR: 10.0.0.0/16 | networkCIDR: 10.0.0.0 | error: spec.networkCIDR '10.0.0.0' is no address range; for one address write 10.0.0.0/32
        networkCIDR: 10.0.0.0/16 | networkCIDR: 10.0.0.1/16 | error: spec.networkCIDR 10.0.0.1/16 names an address inside its range; write 10.0.0.0/16
        cloudProvider: aws | cloudProvider: gce | error: spec.networkCIDR can't be set on gce
        cloudProvider: aws | cloudProvider: hetzner\\n  additionalNetworkCIDRs: [10.1.0.0/16] | error: spec.additionalNetworkCIDRs are for aws only
        assets: | additionalNetworkCIDRs: [x]\\n  assets: | error: spec.additionalNetworkCIDRs[0] 'x' is no address range; write it like
        nonMasqueradeCIDR: 100.64.0.0/10 | | error: spec.nonMasqueradeCIDR is missing
        100.64.0.0/10 | 10.0.0.0/8 | error: spec.nonMasqueradeCIDR 10.0.0.0/8 overlaps with the network 10.0.0.0/16
        100.64.0.0/10 | fd00::/8 | error: spec.nonMasqueradeCIDR must be ::/0 in an IPv6 cluster
        assets: | podCIDR: 10.9.0.0/16\\n  assets: | error: spec.podCIDR 10.9.0.0/16 does not lie in spec.nonMasqueradeCIDR 100.64.0.0/10
        assets: | serviceClusterIPRange: x\\n  assets: | error: spec.serviceClusterIPRange 'x' is no address range
        [1.2.3.4/32 | [1.2.3.4 | error: spec.sshAccess[0] '1.2.3.4' is no address range
        assets: | kubernetesApiAccess: [fe80::1]\\n  assets: | error: spec.kubernetesApiAccess[0] 'fe80::1' is no address range; for one address write fe80::1/128
        assets: | nodePortAccess: [1.2.3.4/8]\\n  assets: | error: spec.nodePortAccess[0] 1.2.3.4/8 names an address inside its range; write 1.0.0.0/8
        cloudProvider: aws | cloudProvider: hetzner | error: spec.sshAccess[1] is a prefix list, which only aws has
        ",
    );
    let shared = CLUSTER.replace("networkCIDR: 10.0.0.0/16", "networkID: vpc-1");
    assert_eq!(findings(&shared, MASTER, NODES), []);
    let within = CLUSTER
        .replace("{cilium: {}}", "{amazonvpc: {}}")
        .replace("100.64.0.0/10", "10.0.0.0/8");
    assert_eq!(findings(&within, MASTER, NODES), []);
}

#[test]
fn subnets_are_named_placed_and_apart() {
    in_cluster(
        "
        name: b, type | type | error: spec.subnets[1] has no name
        name: b, type | name: a, type | error: two subnets are named 'a'; the other is spec.subnets[0]
        type: Private, | | warning: spec.subnets[1].type is missing
        type: Private, | type: Hidden, | error: spec.subnets[1].type can't be 'Hidden'; kOps knows Public
        cidr: 10.0.2.0/24 | cidr: 10.0.2.0/240 | error: spec.subnets[1].cidr '10.0.2.0/240' is no address range
        cidr: 10.0.2.0/24 | cidr: 10.0.2.1/24 | error: spec.subnets[1].cidr 10.0.2.1/24 names an address inside its range
        cidr: 10.0.2.0/24 | cidr: 10.1.2.0/24 | error: spec.subnets[1].cidr 10.1.2.0/24 does not lie in the network 10.0.0.0/16
        cidr: 10.0.2.0/24 | cidr: 10.0.0.0/20 | error: spec.subnets[0].cidr 10.0.1.0/24 overlaps with 10.0.0.0/20; that is spec.subnets[1]
        cidr: 10.0.2.0/24 | cidr: 10.0.1.0/24 | error: spec.subnets[1].cidr 10.0.1.0/24 overlaps with 10.0.1.0/24; that is spec.subnets[0]
        assets: | podCIDR: 10.0.2.0/26\\n  assets: | error: spec.subnets[1].cidr 10.0.2.0/24 overlaps with spec.podCIDR 10.0.2.0/26
        assets: | serviceClusterIPRange: 10.0.0.0/17\\n  assets: | error: spec.subnets[0].cidr 10.0.1.0/24 overlaps with spec.serviceClusterIPRange 10.0.0.0/17
        cidr: 10.0.2.0/24 | ipv6CIDR: x | error: spec.subnets[1].ipv6CIDR 'x' is no address range
        cloudProvider: aws | cloudProvider: gce | error: spec.subnets[0].region is missing; gce needs it
        zone: eu-1b | zone: eu-1b, id: subnet-1 | error: some subnets have an id and others have none
        ",
    );
    let none = &CLUSTER[..CLUSTER.find("  subnets:").expect("subnets")];
    let found = findings(none, MASTER, NODES);
    assert_eq!(
        said(&found[0]),
        "error: spec.subnets is empty; the cluster needs at least one"
    );
    let additional = CLUSTER
        .replace("cidr: 10.0.2.0/24", "cidr: 10.1.2.0/24, ipv6CIDR: /64#1")
        .replace(
            "assets:",
            "additionalNetworkCIDRs: [10.1.0.0/16]\n  assets:",
        );
    assert_eq!(findings(&additional, MASTER, NODES), []);
    let gce = CLUSTER
        .replace("cloudProvider: aws", "cloudProvider: gce")
        .replace("zone: eu-1a", "region: eu")
        .replace("zone: eu-1b", "region: us, ipv6CIDR: /64#1");
    let found: Vec<String> = findings(&gce, MASTER, NODES).iter().map(said).collect();
    for words in [
        "spec.subnets[1].region differs",
        "spec.subnets[1].ipv6CIDR is for aws only",
    ] {
        assert!(found.iter().any(|said| said.contains(words)), "{found:?}");
    }
    let same = CLUSTER
        .replace("cidr: 10.0.2.0/24", "cidr: 10.0.1.0/24, id: s-1")
        .replace("zone: eu-1a", "zone: eu-1a, id: s-1");
    let found = findings(&same, MASTER, NODES);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].severity, Severity::Warning);
}
