//! Entries of new clusters.

use super::{BLUE, configure, desk};
use crate::support::{Desk, sample};

/// The manifest of a new cluster in one zone.
fn new_config(more: &[&str]) -> String {
    let (desk, store) = desk();
    let new = ["--zones", "eu-west-1a", "--kubernetes-version", "1.33.1"];
    configure(&desk, &store, "n.example.com", &[&new, more].concat()).with(0);
    desk.read("store/n.example.com/config")
}

#[test]
fn a_new_cluster_has_what_kops_gives_it() {
    let desk = Desk::new();
    desk.write("store/.keep", "");
    let args = [
        "--zones",
        "us-test-1a,us-test-1b,us-test-1c",
        "--control-plane-count",
        "3",
        "--node-count",
        "4",
        "--kubernetes-version",
        "1.33.1",
        "--topology",
        "private",
        "--node-size",
        "m5.large",
    ];
    let name = "new.example.com";
    configure(&desk, &desk.arg("store"), name, &args)
        .with(0)
        .says("kops update cluster new.example.com --yes");
    let mut tree = desk.tree(&format!("store/{name}"));
    let groups: Vec<_> = tree
        .keys()
        .filter_map(|key| key.strip_prefix("instancegroup/"))
        .collect();
    let zones = ["us-test-1a", "us-test-1b", "us-test-1c"];
    let expected: Vec<_> = ["control-plane", "nodes"]
        .iter()
        .flat_map(|role| zones.map(|zone| format!("{role}-{zone}")))
        .collect();
    assert_eq!(groups, expected);
    let mut text = |key: &str| String::from_utf8(tree.remove(key).expect(key)).expect("UTF-8");
    let config = text("config");
    // As `kops create cluster` splits the network (tests/integration/create_cluster).
    for part in [
        "  - cidr: 172.20.64.0/18\n    name: us-test-1a\n    type: Private\n    zone: us-test-1a\n",
        "  - cidr: 172.20.16.0/21\n    name: utility-us-test-1c\n    type: Utility\n    zone: us-test-1c\n",
        "    - encryptedVolume: true\n      instanceGroup: control-plane-us-test-1b\n      name: b\n",
        "  cloudProvider: aws\n",
        "  kubelet:\n    anonymousAuth: false\n",
        "  nonMasqueradeCIDR: 100.64.0.0/10\n",
        &format!("  configBase: {}/{name}\n", desk.arg("store")),
    ] {
        assert!(config.contains(part), "{part} is not in\n{config}");
    }
    assert!(
        text("instancegroup/nodes-us-test-1a")
            .contains("  machineType: m5.large\n  maxSize: 2\n  minSize: 2\n")
    );
    assert!(text("instancegroup/nodes-us-test-1b").contains("  maxSize: 1\n"));
    assert!(
        text("instancegroup/control-plane-us-test-1a")
            .contains("  maxSize: 1\n  minSize: 1\n  role: Master\n")
    );

    // What was made is nothing to do, and has no fault.
    configure(
        &desk,
        &desk.arg("store"),
        name,
        &["--set", "spec.channel=stable"],
    )
    .with(0)
    .says("Nothing to do");
    let script = format!(
        "for _, found in ipairs(kstate.config.validate(kstate.store.open({:?}), {name:?})) do print(found.text) end",
        desk.arg("store")
    );
    desk.write("validate.lua", script);
    assert_eq!(
        desk.run(&["run", &desk.arg("validate.lua")]).with(0).stdout,
        ""
    );
}

#[test]
fn files_come_before_the_defaults() {
    let (desk, store) = desk();
    let file = "\
spec:
  api: {dns: {}}
  kubernetesVersion: 1.33.1
  kubelet: {maxPods: 50}
  networkCIDR: 10.1.0.0/16
  networking: {calico: {}}
---
kind: InstanceGroup
metadata: {name: nodes-eu-west-1a}
spec: {machineType: m7i.large}
";
    desk.write("new.yaml", file);
    let args = [
        "-f",
        &desk.arg("new.yaml"),
        "--zones",
        "eu-west-1a,eu-west-1b",
    ];
    configure(&desk, &store, "n.example.com", &args).with(0);
    let config = desk.read("store/n.example.com/config");
    for part in [
        "  api:\n    dns: {}\n",
        "  kubernetesVersion: \"1.33.1\"\n",
        "  kubelet:\n    anonymousAuth: false\n    maxPods: 50\n",
        "  networking:\n    calico: {}\n",
        "  - cidr: 10.1.128.0/17\n    name: eu-west-1b\n",
    ] {
        assert!(config.contains(part), "{part} is not in\n{config}");
    }
    assert!(!config.contains("kubeProxy"), "{config}");
    let nodes = desk.read("store/n.example.com/instancegroup/nodes-eu-west-1a");
    assert!(
        nodes.contains("  machineType: m7i.large\n  maxSize: 1\n"),
        "{nodes}"
    );
}

#[test]
fn cilium_with_etcd_of_its_own_has_a_cluster_for_it() {
    let config = new_config(&["--networking", "cilium-etcd"]);
    assert!(
        config.contains("    name: events\n")
            && config.contains("    name: cilium\n")
            && config.contains("      etcdManaged: true\n"),
        "{config}"
    );
}

#[test]
fn what_is_left_of_a_cluster_is_no_place_for_a_new_one() {
    let (desk, store) = desk();
    std::fs::remove_file(desk.path(&format!("store/{BLUE}/config"))).expect("removed");
    let before = desk.tree("store");
    let new = ["--zones", "eu-west-1a", "--kubernetes-version", "1.33.1"];
    configure(&desk, &store, BLUE, &new)
        .with(3)
        .says("has no config, but");
    assert_eq!(desk.tree("store"), before);
}

#[test]
fn a_cluster_in_two_regions_is_refused() {
    let (desk, store) = desk();
    let new = [
        "--zones",
        "eu-west-1a,us-east-1a",
        "--kubernetes-version",
        "1.33.1",
    ];
    configure(&desk, &store, "n.example.com", &new)
        .with(3)
        .says("two regions");
    configure(&desk, &store, BLUE, &["--zones", "us-east-1a"])
        .with(3)
        .says("is not in the cluster's region");
    configure(&desk, &store, "../x", &new)
        .with(3)
        .says("no name");
}

#[test]
fn with_names_in_public_dns_the_api_needs_no_load_balancer() {
    let config = new_config(&["--dns", "public"]);
    assert!(config.contains("  api:\n    dns: {}\n"), "{config}");
}

#[test]
fn a_creation_that_was_interrupted_goes_on() {
    let desk = Desk::new();
    desk.write("store/.keep", "");
    let (store, name) = (desk.arg("store"), "new.example.com");
    let args = ["--zones", "us-test-1a", "--kubernetes-version", "1.33.1"];
    configure(&desk, &store, name, &args).with(0);
    std::fs::remove_file(desk.path("store/new.example.com/config")).expect("the config");
    let nodes = format!("store/{name}/instancegroup/nodes-us-test-1a");
    let before = desk
        .read(&nodes)
        .replace("maxSize: 1", "maxSize: 1 # by hand");
    desk.write(&nodes, &before);
    configure(&desk, &store, name, &args).with(0);
    assert_eq!(desk.read(&nodes), before);
    desk.read("store/new.example.com/config");
}

#[test]
fn a_cluster_is_made_of_the_manifests_in_a_file() {
    let (desk, store) = desk();
    let tree = sample();
    let files = [
        "config",
        "instancegroup/control-plane-eu-west-1a",
        "instancegroup/nodes",
    ];
    let texts = files.map(|file| {
        let bytes = tree[&format!("{BLUE}/{file}")].clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.replace(BLUE, "red.k8s.example.com")
    });
    desk.write("red.yaml", texts.join("---\n"));
    let name = "red.k8s.example.com";
    configure(
        &desk,
        &store,
        name,
        &["-f", &desk.arg("red.yaml"), "--channel", "alpha"],
    )
    .with(0);
    let config = desk.read(&format!("store/{name}/config"));
    assert!(
        config.contains("  channel: alpha\n") && config.contains("    name: events\n"),
        "{config}"
    );
    assert_eq!(desk.tree(&format!("store/{name}/instancegroup")).len(), 2);
    let other = configure(&desk, &store, BLUE, &["-f", &desk.arg("red.yaml")]);
    other
        .with(3)
        .says("is about the cluster red.k8s.example.com");
}

#[test]
fn a_new_cluster_in_googles_cloud() {
    let desk = Desk::new();
    desk.write("store/.keep", "");
    let args = [
        "--zones",
        "us-test1-a,us-test1-b",
        "--kubernetes-version",
        "1.33.1",
        "--project",
        "p",
        "--networking",
        "calico",
    ];
    configure(&desk, &desk.arg("store"), "g.example.com", &args).with(0);
    let config = desk.read("store/g.example.com/config");
    assert!(config.contains("  subnets:\n  - cidr: 10.0.16.0/20\n    name: us-test1\n    region: us-test1\n    type: Public\n"), "{config}");
    assert!(
        config.contains("  cloudProvider: gce\n")
            && !config.contains("networkCIDR")
            && !config.contains("encryptedVolume"),
        "{config}"
    );
    let nodes = desk.read("store/g.example.com/instancegroup/nodes-us-test1-b");
    assert!(
        nodes.contains("  subnets:\n  - us-test1\n  zones:\n  - us-test1-b\n"),
        "{nodes}"
    );
}
