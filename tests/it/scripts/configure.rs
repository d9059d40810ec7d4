//! `configure_cluster`: just what is given changes.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{bucket, double_with, is_write};
use crate::s3_double::S3Double;
use crate::support::{Desk, Ended, Tree, changed_lines, sample, ten_clusters};

const SCRIPT: &str = "scripts/configure_cluster.lua";
const BLUE: &str = "blue.k8s.example.com";
const BUCKET: &str = "old-state-store";

fn configuring(desk: &Desk, store: &str, cluster: &str, more: &[&str]) -> Command {
    let mut args = vec!["run", SCRIPT, cluster, "--state", store, "--yes"];
    args.extend(more);
    desk.kstate(&args)
}

fn configure(desk: &Desk, store: &str, cluster: &str, more: &[&str]) -> Ended {
    Ended::of(configuring(desk, store, cluster, more))
}

/// A desk with the sample store, and the store's path.
fn desk() -> (Desk, String) {
    let desk = Desk::new();
    desk.write_tree("store", &sample());
    let store = desk.arg("store");
    (desk, store)
}

/// The lines that differ between two trees, with the file's name before them.
fn changes(before: &Tree, after: &Tree) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let none = Vec::new();
    let of = |tree: &Tree, key| tree.get(key).unwrap_or(&none).clone();
    let lines = keys
        .into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .flat_map(|key| {
            let lines = changed_lines(&of(before, key), &of(after, key));
            let name = key.rsplit('/').next().expect("a name").to_owned();
            lines.into_iter().map(move |line| format!("{name} {line}"))
        });
    lines.collect()
}

/// What a run changes in the sample store.
#[track_caller]
fn changed_by(cluster: &str, more: &[&str]) -> Vec<String> {
    let (desk, store) = desk();
    configure(&desk, &store, cluster, more).with(0);
    changes(&sample(), &desk.tree("store"))
}

#[test]
fn one_option_changes_its_line_and_nothing_else() {
    let lines = changed_by(BLUE, &["--set", "spec.channel=alpha"]);
    assert_eq!(
        lines,
        ["config -  channel: stable", "config +  channel: alpha"]
    );
    let lines = changed_by(BLUE, &["--set", "spec.cloudLabels.owner=ops"]);
    assert_eq!(
        lines,
        [
            r#"config -    owner: "shop"      # what the bill is split by"#,
            r#"config +    owner: "ops"      # what the bill is split by"#
        ]
    );
    let lines = changed_by(BLUE, &["--kubernetes-version", "1.34"]);
    assert_eq!(
        lines,
        [
            "config -  kubernetesVersion: 1.33.0",
            "config +  kubernetesVersion: \"1.34\""
        ]
    );
}

#[test]
fn the_embedded_script_has_its_modules() {
    let (desk, store) = desk();
    let args = ["run", "configure_cluster", BLUE, "--state", &store, "--yes"];
    let mut run = desk.kstate(&args);
    run.args(["--zones", "eu-west-1b"]);
    run.current_dir(desk.path("."));
    Ended::of(run).with(0);
    assert_eq!(changes(&sample(), &desk.tree("store")).len(), 4);
}

#[test]
fn what_is_so_already_is_nothing_to_do() {
    let (desk, store) = desk();
    let args = [
        "--set",
        "spec.channel=stable",
        "--unset",
        "spec.project",
        "--zones",
        "eu-west-1a",
    ];
    configure(&desk, &store, BLUE, &args)
        .with(0)
        .says("Nothing to do");
    assert_eq!(desk.tree("store"), sample());
}

#[test]
fn the_difference_is_shown_and_nothing_is_written_unless_somebody_says_yes() {
    let (desk, store) = desk();
    let args = [
        "run",
        SCRIPT,
        BLUE,
        "--state",
        &store,
        "--set",
        "spec.channel=alpha",
    ];
    let ended = desk.run(&args).with(3);
    ended.says("-  channel: stable\n+  channel: alpha\n");
    ended.says("pass --yes");
    assert_eq!(desk.tree("store"), sample());
}

#[test]
fn what_can_not_be_done_is_refused_with_what_was_meant() {
    let (desk, store) = desk();
    for (cluster, args, words) in [
        (
            BLUE,
            &["--set", "spec.kubernetesVersio=1"][..],
            &[
                "has no field spec.kubernetesVersio",
                "did you mean spec.kubernetesVersion?",
            ][..],
        ),
        (
            BLUE,
            &["--set", "spec.kubelet.maxPods=many"],
            &["must be an integer, not 'many'"],
        ),
        (BLUE, &["--set", "spec.channel"], &["has no '='"]),
        (
            BLUE,
            &["--set", "spec.subnets[name=b].zone=x"],
            &["no element has name=b; there is eu-west-1a"],
        ),
        (
            BLUE,
            &["--instance-group", "node", "--set", "spec.maxSize=1"],
            &["no instance group node", "control-plane-eu-west-1a, nodes"],
        ),
        (BLUE, &["--control-plane-count", "3"], &["has 1 instances"]),
        (BLUE, &["--topology", "private"], &["for new clusters"]),
        (BLUE, &["-f", "/nowhere/patch.yaml"], &["/nowhere"]),
        (
            "bleu.k8s.example.com",
            &["--set", "spec.channel=alpha"],
            &["no cluster bleu.k8s.example.com", BLUE],
        ),
        (
            "new.k8s.example.com",
            &["--zones", "eu-west-1a"],
            &["--kubernetes-version"],
        ),
        (
            "new.k8s.example.com",
            &["--zones", "fsn1", "--kubernetes-version", "1.33.1"],
            &["--cloud"],
        ),
    ] {
        let ended = configure(&desk, &store, cluster, args);
        assert!(matches!(ended.code, Some(1 | 3)), "{args:?}: {ended:?}");
        for words in words {
            ended.says(words);
        }
    }
    assert_eq!(desk.tree("store"), sample());
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
fn unknown_fields_are_written_when_they_are_forced() {
    let lines = changed_by(BLUE, &["--set", "spec.brandNew=true", "--force-unknown"]);
    assert_eq!(lines, ["config +  brandNew: true"]);
}

#[test]
fn shortcuts_change_the_groups_that_they_are_about() {
    let lines = changed_by(
        BLUE,
        &[
            "--node-count",
            "7",
            "--control-plane-size",
            "m7g.large",
            "--cloud-labels",
            "team=a",
            "--ssh-access",
            "10.0.0.0/8,::1/128",
        ],
    );
    let has = |line: &str| {
        assert!(
            lines.iter().any(|other| other == line),
            "{line}: {lines:#?}"
        );
    };
    has("nodes +  maxSize: 7");
    has("nodes +  minSize: 7");
    has("control-plane-eu-west-1a +  machineType: m7g.large");
    has("config +    team: a");
    has("config +  - 10.0.0.0/8");
    assert!(
        !lines
            .iter()
            .any(|line| line.starts_with("config -    owner"))
    );
}

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
fn set_is_about_the_instance_groups_that_are_named() {
    let args = [
        "--instance-group",
        "nodes",
        "--set",
        "spec.maxSize=12",
        "--set",
        "spec.taints+=gpu=yes:NoSchedule",
    ];
    let lines = changed_by(BLUE, &args);
    assert!(
        lines.iter().all(|line| line.starts_with("nodes ")),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"nodes +  maxSize: 12".to_owned()),
        "{lines:?}"
    );

    let args = [
        "--instance-group",
        "gpu",
        "--role",
        "Node",
        "--subnet",
        "eu-west-1a",
        "--set",
        "spec.machineType=g5.xlarge",
    ];
    let (desk, store) = desk();
    configure(&desk, &store, BLUE, &args).with(0);
    let text = desk.read(&format!("store/{BLUE}/instancegroup/gpu"));
    for line in [
        "  name: gpu\n",
        "    kops.k8s.io/cluster: blue.k8s.example.com\n",
        "  machineType: g5.xlarge\n",
        "  role: Node\n",
        "  subnets:\n  - eu-west-1a\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_file_changes_what_it_names() {
    let (desk, store) = desk();
    let patch = "\
spec:
  channel: alpha
  cloudLabels:
    cost-center: null
---
apiVersion: kops.k8s.io/v1alpha2
kind: InstanceGroup
metadata:
  name: nodes
spec:
  maxSize: 20
";
    desk.write("patch.yaml", patch);
    configure(&desk, &store, BLUE, &["-f", &desk.arg("patch.yaml")]).with(0);
    let lines = changes(&sample(), &desk.tree("store"));
    assert_eq!(lines.len(), 5, "{lines:?}");
    for line in [
        "config +  channel: alpha",
        "config -    cost-center: \"0042\"",
        "nodes +  maxSize: 20",
    ] {
        assert!(lines.iter().any(|other| other == line), "{line}: {lines:?}");
    }
    desk.write(
        "patch.yaml",
        "spec:\n  kubernetesVersion: 1.30\n  chanel: x\n",
    );
    let ended = configure(&desk, &store, BLUE, &["-f", &desk.arg("patch.yaml")]).with(3);
    ended.says("patch.yaml: line 2, column 22: spec.kubernetesVersion must be a string");
    ended.says("patch.yaml: line 3, column 3: Cluster has no field spec.chanel (did you mean spec.channel?)");
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

#[test]
fn real_manifests_change_in_one_line() {
    let Some(tree) = ten_clusters() else { return };
    let desk = Desk::new();
    desk.write_tree("store", &tree);
    for cluster in crate::support::clusters(&tree) {
        let before = desk.tree("store");
        configure(
            &desk,
            &desk.arg("store"),
            &cluster,
            &["--set", "spec.channel=alpha"],
        )
        .with(0);
        let lines = changes(&before, &desk.tree("store"));
        assert_eq!(
            lines,
            ["config -  channel: stable", "config +  channel: alpha"],
            "{cluster}"
        );
    }
}

/// Runs on S3, where somebody else writes the config right before the run does.
fn raced(
    theirs: impl Fn(&str) -> String + Send + Sync + 'static,
    args: &[&str],
) -> (Ended, String) {
    let desk = Desk::new();
    let double = Arc::new(double_with(&sample()));
    let (seen, done) = (Arc::downgrade(&double), AtomicBool::new(false));
    let key = format!("{BLUE}/config");
    double.before_requests(move |_, request| {
        if is_write(&request.op) && request.op == "PutObject" && !done.swap(true, Ordering::SeqCst)
        {
            let double = seen.upgrade().expect("the double");
            let key = format!("{BLUE}/config");
            let text = String::from_utf8(double.get(BUCKET, &key).expect("it").to_vec());
            double.put(BUCKET, &key, theirs(&text.expect("UTF-8")));
        }
        None
    });
    let mut run = configuring(&desk, &format!("s3://{BUCKET}"), BLUE, args);
    run.envs(double.env());
    let ended = Ended::of(run);
    let text = double.get(BUCKET, &key).expect("the config");
    (ended, String::from_utf8(text.to_vec()).expect("UTF-8"))
}

#[test]
fn what_somebody_else_wrote_meanwhile_is_merged() {
    let theirs = |text: &str| {
        text.replace(
            "- 192.0.2.0/24  # the office",
            "- 192.0.2.0/24  # the new office",
        )
    };
    let (ended, text) = raced(theirs, &["--set", "spec.channel=alpha"]);
    ended
        .with(0)
        .says("with what somebody else changed meanwhile");
    assert!(
        text.contains("# the new office") && text.contains("channel: alpha"),
        "{text}"
    );
}

#[test]
fn a_contradiction_is_shown_with_both_sides() {
    let theirs = |text: &str| text.replace("channel: stable", "channel: beta");
    let (ended, text) = raced(theirs, &["--set", "spec.channel=alpha"]);
    ended
        .with(4)
        .says(r#"spec.channel was "stable"; you want "alpha", and the store has "beta" now"#);
    assert!(text.contains("channel: beta"), "{text}");
}

#[test]
fn a_plan_of_it_is_applied() {
    let (desk, store) = desk();
    let plan = desk.arg("plan");
    let args = [
        "plan",
        SCRIPT,
        BLUE,
        "--state",
        &store,
        "--set",
        "spec.channel=alpha",
        "-o",
        &plan,
    ];
    desk.run(&args).with(6).says("1 change planned");
    assert_eq!(desk.tree("store"), sample());
    desk.run(&["apply", &plan, "--yes"]).with(0);
    let lines = changes(&sample(), &desk.tree("store"));
    assert_eq!(
        lines,
        ["config -  channel: stable", "config +  channel: alpha"]
    );
}

#[test]
fn the_result_as_json() {
    let (desk, store) = desk();
    let ended = configure(
        &desk,
        &store,
        BLUE,
        &["--set", "spec.channel=alpha", "--json"],
    )
    .with(0);
    let result: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(result["written"][0]["key"], format!("{BLUE}/config"));
    assert_eq!(
        result["written"][0]["paths"],
        serde_json::json!(["spec.channel"])
    );
}

/// Lets 64 processes each add a label, 16 at a time; gives the config then.
fn labels(start: impl Fn(&str) -> Command) {
    for round in 0..4 {
        let children = (0..16).map(|n| {
            let set = format!("spec.cloudLabels.k{0}=v{0}", round * 16 + n);
            let mut run = start(&set);
            run.stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped());
            run.spawn().expect("the binary runs")
        });
        let children: Vec<_> = children.collect();
        for child in children {
            Ended::from(child.wait_with_output().expect("an end")).with(0);
        }
    }
}

#[track_caller]
fn assert_all_labels(config: &str) {
    for n in 0..64 {
        assert!(
            config.contains(&format!("    k{n}: v{n}\n")),
            "k{n} is lost:\n{config}"
        );
    }
    assert!(config.contains("# what the bill is split by") && config.contains("# the office"));
}

#[test]
fn of_64_that_add_a_label_to_a_folder_none_is_lost() {
    let (desk, store) = desk();
    labels(|set| configuring(&desk, &store, BLUE, &["--set", set]));
    assert_all_labels(&desk.read(&format!("store/{BLUE}/config")));
}

#[test]
fn of_64_that_add_a_label_on_s3_none_is_lost() {
    let desk = Desk::new();
    let double: S3Double = double_with(&sample());
    labels(|set| {
        let mut run = configuring(&desk, &format!("s3://{BUCKET}"), BLUE, &["--set", set]);
        run.envs(double.env());
        run
    });
    let tree = bucket(&double, BUCKET);
    let config = &tree[&format!("{BLUE}/config")];
    assert_all_labels(std::str::from_utf8(config).expect("UTF-8"));
}
