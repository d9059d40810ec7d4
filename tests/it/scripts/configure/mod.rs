//! `configure_cluster`: just what is given changes.

mod addons;
mod create;
mod refused;
pub(crate) mod together;
mod values;
mod zones;

use std::process::Command;

use crate::support::{Desk, Ended, Tree, changed_lines, sample, ten_clusters};

const SCRIPT: &str = "scripts/configure_cluster.lua";
pub(crate) const BLUE: &str = "blue.k8s.example.com";

pub(crate) fn configuring(desk: &Desk, store: &str, cluster: &str, more: &[&str]) -> Command {
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
fn a_file_may_come_from_standard_input() {
    let (desk, store) = desk();
    desk.write("patch.yaml", "spec:\n  channel: alpha\n");
    let mut run = configuring(&desk, &store, BLUE, &["-f", "-"]);
    run.stdin(std::fs::File::open(desk.path("patch.yaml")).expect("the patch"));
    Ended::of(run).with(0);
    assert_eq!(
        changes(&sample(), &desk.tree("store")),
        ["config -  channel: stable", "config +  channel: alpha"]
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

#[test]
fn null_in_a_file_removes_a_key_also_in_a_list() {
    let (desk, store) = desk();
    desk.write(
        "p.yaml",
        "spec:\n  subnets:\n  - name: eu-west-1a\n    type: null\n",
    );
    configure(&desk, &store, BLUE, &["-f", &desk.arg("p.yaml")]).with(0);
    let config = desk.read(&format!("store/{BLUE}/config"));
    assert!(!config.contains("null"), "{config}");
    desk.write("empty.yaml", "just text\n");
    configure(&desk, &store, BLUE, &["-f", &desk.arg("empty.yaml")])
        .with(3)
        .says("no manifest");
}

#[test]
fn keys_in_quotes_lose_them() {
    let (desk, store) = desk();
    let set = r#"spec.nodeLabels+="example.com/team"=a"#;
    let group = ["--instance-group", "nodes", "--set", set];
    configure(&desk, &store, BLUE, &group).with(0);
    let nodes = desk.read(&format!("store/{BLUE}/instancegroup/nodes"));
    assert!(nodes.contains("    example.com/team: a\n"), "{nodes}");
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
