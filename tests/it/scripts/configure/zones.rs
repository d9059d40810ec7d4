//! Zones that are added to a cluster.

use super::{BLUE, changed_by, configure, desk};

#[test]
fn zones_without_a_subnet_get_one() {
    let lines = changed_by(BLUE, &["--zones", "eu-west-1b,eu-west-1a,eu-west-1c"]);
    assert_eq!(
        lines,
        [
            "config +  - cidr: 172.20.0.0/19",
            "config +    name: eu-west-1b",
            "config +    type: Public",
            "config +    zone: eu-west-1b",
            "config +  - cidr: 172.20.64.0/19",
            "config +    name: eu-west-1c",
            "config +    type: Public",
            "config +    zone: eu-west-1c",
        ]
    );
}

#[test]
fn a_network_without_room_gets_it_from_an_additional_range() {
    let (desk, store) = desk();
    let key = format!("store/{BLUE}/config");
    let full = desk.read(&key).replace("172.20.32.0/19", "172.20.0.0/16");
    desk.write(&key, &full);
    let ended = configure(&desk, &store, BLUE, &["--zones", "eu-west-1b"]).with(3);
    ended.says("take all of the network 172.20.0.0/16");
    ended.says("--set spec.additionalNetworkCIDRs+=RANGE");
    let more = ["--set", "spec.additionalNetworkCIDRs+=172.21.0.0/17"];
    configure(&desk, &store, BLUE, &more).with(0);
    configure(&desk, &store, BLUE, &["--zones", "eu-west-1b"])
        .with(0)
        .says("--instance-group nodes-eu-west-1b --role Node --subnet eu-west-1b");
    let config = desk.read(&key);
    assert!(
        config.contains("  - cidr: 172.21.0.0/17\n    name: eu-west-1b\n"),
        "{config}"
    );
}

#[test]
fn a_network_that_is_not_known_has_no_range_to_take() {
    let (desk, store) = desk();
    let key = format!("store/{BLUE}/config");
    let shared = desk.read(&key).replace(
        "  networkCIDR: 172.20.0.0/16\n",
        "  networkID: vpc-0123456789abcdef0\n",
    );
    desk.write(&key, &shared);
    let ended = configure(&desk, &store, BLUE, &["--zones", "eu-west-1b"]).with(3);
    ended.says("has no networkCIDR");
    ended.says("{name: eu-west-1b, zone: eu-west-1b, type: Public, cidr: RANGE}");
}
