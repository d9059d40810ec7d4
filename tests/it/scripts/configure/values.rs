//! Values that are what their field holds, and wrong all the same.

use super::{BLUE, configure, desk};
use crate::support::sample;

const GREEN: &str = "green.k8s.example.com";

#[test]
fn a_value_that_can_not_be_meant_is_refused_or_told() {
    let ig = ["--instance-group", "nodes", "--set"];
    for (args, code, told) in [
        (vec!["--set", "spec.kubelet.maxPods=010"], 3, "not '010'"),
        (
            vec!["--set", "spec.kubelet.maxPods=010"],
            3,
            "write 10; with a zero before it, it is 8 in YAML 1.1",
        ),
        (
            vec!["--set", "spec.cloudLabels.aws:x=y"],
            3,
            "AWS takes no label 'aws:x'",
        ),
        (
            vec!["--set", "spec.adminToken=x"],
            3,
            "cannot set spec.adminToken, as Cluster has no field spec.adminToken",
        ),
        (
            vec!["--kubernetes-version", "1.30.0"],
            0,
            "spec.kubernetesVersion goes back from 1.33.0 to 1.30.0",
        ),
        (vec!["--set", "spec.channel="], 0, "spec.channel is empty"),
        (
            [&ig[..], &["spec.minSize=-1"]].concat(),
            3,
            "spec.minSize is negative",
        ),
        (
            [&ig[..], &["spec.machineType="]].concat(),
            0,
            "spec.machineType is empty",
        ),
    ] {
        let (desk, store) = desk();
        configure(&desk, &store, BLUE, &args).with(code).says(told);
        assert_eq!(desk.tree("store") == sample(), code != 0, "{args:?}");
    }
}

#[test]
fn what_is_not_there_to_be_taken_away_is_told() {
    let (desk, store) = desk();
    let args = [
        "--unset",
        "spec.project",
        "--set",
        "spec.sshAccess-=1.1.1.1/32",
    ];
    let ended = configure(&desk, &store, BLUE, &args).with(0);
    ended.says("there is no spec.project; nothing to take away");
    ended.says("spec.sshAccess has no '1.1.1.1/32'; nothing to take away");
    ended.says("Nothing to do");
    assert_eq!(desk.tree("store"), sample());
}

#[test]
fn no_cluster_gets_into_the_tree_of_another() {
    let (desk, store) = desk();
    let green = format!("spec.configBase={store}/{GREEN}");
    let ended = configure(&desk, &store, BLUE, &["--set", &green]).with(3);
    ended.says("is the tree of the cluster green.k8s.example.com");
    ended.says("give it a place of its own");
    let new = [
        "--zones",
        "eu-west-1a",
        "--kubernetes-version",
        "1.33.1",
        "--set",
        &green,
    ];
    configure(&desk, &store, "red.k8s.example.com", &new)
        .with(3)
        .says("is the tree of the cluster green.k8s.example.com");
    assert_eq!(desk.tree("store"), sample());
    let own = format!("spec.configBase={store}/{BLUE}");
    configure(&desk, &store, BLUE, &["--set", &own]).with(0);
}

#[test]
fn a_file_of_another_version_or_kind_is_refused() {
    let (desk, store) = desk();
    for (text, told) in [
        (
            "apiVersion: kops.k8s.io/v1alpha3\nkind: Cluster\nspec:\n  channel: alpha\n",
            "line 1, column 13: it is of v1alpha3, whose fields have other names",
        ),
        (
            "kind: cluster\nspec:\n  channel: alpha\n",
            "write kind: Cluster",
        ),
    ] {
        desk.write("part.yaml", text);
        let args = ["-f", &desk.arg("part.yaml")];
        configure(&desk, &store, BLUE, &args).with(3).says(told);
        assert_eq!(desk.tree("store"), sample());
    }
}
