//! Add-ons that are given with the cluster.

use super::{BLUE, configure, configuring, desk};
use crate::support::{Ended, sample};

const MAP: &str = "# ours\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";

#[test]
fn they_replace_those_that_are_there() {
    let (desk, store) = desk();
    desk.write("a.yaml", MAP);
    desk.write("b.yaml", MAP.replace("name: a", "name: b"));
    let key = format!("{BLUE}/clusteraddons/default");
    let (a, b) = (desk.arg("a.yaml"), desk.arg("b.yaml"));
    let ended = configure(&desk, &store, BLUE, &["--addons", &a, "--addons", &b]).with(0);
    ended.says("-kind: Namespace\n");
    let both = format!("{MAP}---\n{}", MAP.replace("name: a", "name: b"));
    assert_eq!(desk.read(&format!("store/{key}")), both);
    let mut left = desk.tree("store");
    left.insert(key.clone(), sample()[&key].clone());
    assert_eq!(left, sample(), "nothing else changed");

    let mut piped = configuring(&desk, &store, BLUE, &["--addons", "-"]);
    piped.stdin(std::fs::File::open(desk.path("b.yaml")).expect("the file"));
    Ended::of(piped).with(0);
    assert_eq!(desk.read(&format!("store/{key}")), desk.read("b.yaml"));
    configure(&desk, &store, BLUE, &["--addons", &b])
        .with(0)
        .says("Nothing to do");
}

#[test]
fn a_new_cluster_has_them() {
    let (desk, store) = desk();
    desk.write("a.yaml", MAP);
    let addons = desk.arg("a.yaml");
    let new = [
        "--zones",
        "eu-west-1a",
        "--kubernetes-version",
        "1.33.1",
        "--addons",
        &addons,
    ];
    configure(&desk, &store, "n.example.com", &new).with(0);
    assert_eq!(desk.read("store/n.example.com/clusteraddons/default"), MAP);
}

#[test]
fn what_kops_would_not_apply_is_refused() {
    let (desk, store) = desk();
    let two = |separator: &str| format!("{MAP}{separator}\n{MAP}");
    for (flag, text, words) in [
        (
            "-f",
            MAP.to_owned(),
            "a ConfigMap, which is no part of a cluster's manifests",
        ),
        (
            "-f",
            MAP.to_owned(),
            "objects of Kubernetes are add-ons: --addons",
        ),
        ("--addons", "kind: [".to_owned(), "is no YAML"),
        (
            "--addons",
            "just: text\n".to_owned(),
            "no object of Kubernetes",
        ),
        (
            "--addons",
            "apiVersion: kops.k8s.io/v1alpha2\nkind: InstanceGroup\n".to_owned(),
            "give it with -f",
        ),
        ("--addons", two("--- "), "in a way that kOps doesn't see"),
        (
            "--addons",
            two("--- # second"),
            "in a way that kOps doesn't see",
        ),
    ] {
        desk.write("x.yaml", text);
        let ended = configure(&desk, &store, BLUE, &[flag, &desk.arg("x.yaml")]);
        ended.with(3).says(words);
    }
    assert_eq!(desk.tree("store"), sample());
}
