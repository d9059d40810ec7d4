//! What is not done, and what is said then.

use super::{BLUE, configure, desk};
use crate::support::sample;

/// Arguments, and what is said about them.
type Refused<'a> = (&'a [&'a str], &'a [&'a str]);

#[track_caller]
fn refuses(cluster: &str, cases: &[Refused<'_>]) {
    let (desk, store) = desk();
    for (args, words) in cases {
        let ended = configure(&desk, &store, cluster, args).with(3);
        for words in *words {
            ended.says(words);
        }
        assert!(!ended.stderr.contains("called from"), "{}", ended.stderr);
    }
    assert_eq!(desk.tree("store"), sample());
}

#[test]
fn a_field_or_value_that_can_not_be_is_refused_with_what_was_meant() {
    refuses(
        BLUE,
        &[
            (
                &["--set", "spec.kubernetesVersio=1"],
                &[
                    "has no field spec.kubernetesVersio",
                    "did you mean spec.kubernetesVersion?",
                ],
            ),
            (
                &["--set", "spec.kubelet.maxPods=many"],
                &["must be an integer, not 'many'"],
            ),
            (&["--set", "spec.channel"], &["has no '='"]),
            (
                &["--set", "spec.subnets[name=b].zone=x"],
                &["no element has name=b; there is eu-west-1a"],
            ),
            (&["--node-count=-1"], &["-1 is no number of nodes"]),
            (&["--zones", ""], &["--zones has no value"]),
            (&["--node-size", ""], &["--node-size has no value"]),
            (&["--channel", ""], &["--channel has no value"]),
            (&["-f", "/nowhere/patch.yaml"], &["no file /nowhere"]),
        ],
    );
}

#[test]
fn what_an_existing_cluster_can_not_become_is_refused() {
    refuses(
        BLUE,
        &[
            (
                &["--instance-group", "node", "--set", "spec.maxSize=1"],
                &["no instance group node", "control-plane-eu-west-1a, nodes"],
            ),
            (
                &["--instance-group", "nodes", "--role", "Bastion"],
                &["nodes is there, with the role Node"],
            ),
            (
                &["--instance-group", "nodes", "--subnet", "eu-west-1b"],
                &["nodes is there, in other subnets"],
            ),
            (&["--control-plane-count", "3"], &["has 1 instances"]),
            (&["--topology", "private"], &["for new clusters"]),
            (&["--cloud", "gce"], &["another cloud"]),
            (
                &["--networking", "cilium-etcd"],
                &["for new clusters", "name: cilium"],
            ),
        ],
    );
}

#[test]
fn a_new_cluster_without_what_it_needs_is_refused() {
    refuses(
        "bleu.k8s.example.com",
        &[
            (
                &["--set", "spec.channel=alpha"],
                &["no cluster bleu.k8s.example.com", BLUE],
            ),
            (&["--zones", "eu-west-1a"], &["--kubernetes-version"]),
            (
                &["--zones", "fsn1", "--kubernetes-version", "1.33.1"],
                &["--cloud"],
            ),
            (
                &["--zones", "fsn1", "--cloud", "hetzner"],
                &[
                    "known to kops alone",
                    "--cloud hetzner … --dry-run -o yaml",
                    "-f",
                ],
            ),
        ],
    );
    let (desk, _) = desk();
    let nowhere = configure(&desk, "/nowhere", BLUE, &["--set", "spec.channel=alpha"]).with(3);
    nowhere.says("cannot list /nowhere: there is no such folder");
}

#[test]
fn a_result_that_would_be_wrong_is_refused_with_its_place() {
    let (desk, store) = desk();
    let ended = configure(
        &desk,
        &store,
        BLUE,
        &["--set", "spec.subnets[0].cidr=10.0.0.0/19"],
    );
    ended
        .with(3)
        .says(&format!("{BLUE}/config: line 51, column 11: "));
    let ended = configure(
        &desk,
        &store,
        BLUE,
        &["--instance-group", "nodes", "--set", "spec.minSize=9"],
    );
    ended
        .with(3)
        .says(&format!("{BLUE}/instancegroup/nodes: line "));
    assert_eq!(desk.tree("store"), sample());
}

#[test]
fn a_fault_that_was_there_before_stands_in_nobodys_way() {
    let (desk, store) = desk();
    let key = format!("store/{BLUE}/config");
    let odd = desk
        .read(&key)
        .replace("  channel: stable", "  chanel: stable\n  channel: stable");
    desk.write(&key, &odd);
    let args = ["--set", "spec.channel=alpha"];
    configure(&desk, &store, BLUE, &args)
        .with(0)
        .says("1 finding in the files");
    assert_eq!(
        desk.read(&key),
        odd.replace("  channel: stable", "  channel: alpha")
    );
}

#[test]
fn any_channel_that_kops_may_know_is_one() {
    for channel in ["alpha", "https://example.com/our-channel", "s3://b/channel"] {
        let lines = super::changed_by(BLUE, &["--channel", channel]);
        assert_eq!(lines[1], format!("config +  channel: {channel}"));
    }
}

#[test]
fn a_stray_file_among_the_groups_is_named() {
    for (stray, why) in [
        (&b"\xff\xfe\0binary"[..], "it is no UTF-8 text"),
        (b"kind: [", "is no YAML"),
        (b"just notes\n", "there is no InstanceGroup in it"),
        (b"", "there is no InstanceGroup in it"),
    ] {
        let (desk, store) = desk();
        desk.write(&format!("store/{BLUE}/instancegroup/.nodes.swp"), stray);
        let ended = configure(&desk, &store, BLUE, &["--set", "spec.channel=alpha"]).with(3);
        ended.says("/instancegroup/.nodes.swp is no instance group: ");
        ended.says(why);
        ended.says("move it away");
        assert!(!ended.stderr.contains("called from"), "{}", ended.stderr);
    }
}

#[test]
fn a_machine_type_is_no_change_of_a_group_that_mixes_them() {
    let (desk, store) = desk();
    let key = format!("store/{BLUE}/instancegroup/nodes");
    let mixed =
        desk.read(&key) + "  mixedInstancesPolicy:\n    instances: [m7i.large, m7a.large]\n";
    desk.write(&key, &mixed);
    let ended = configure(&desk, &store, BLUE, &["--node-size", "m8i.large"]).with(3);
    ended.says("nodes mixes its machines");
    ended.says("--instance-group nodes --set 'spec.mixedInstancesPolicy.instances=m8i.large,…'");
    assert_eq!(desk.read(&key), mixed);
    let forced = [
        "--instance-group",
        "nodes",
        "--set",
        "spec.machineType=m8i.large",
    ];
    configure(&desk, &store, BLUE, &forced).with(0);
}
