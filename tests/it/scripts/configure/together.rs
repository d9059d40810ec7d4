//! Several that change one cluster at once.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{bucket, double_with, is_write};
use super::{BLUE, configuring, desk};
use crate::azure_double;
use crate::gs_double;
use crate::k8s_double::K8sDouble;
use crate::s3_double::S3Double;
use crate::support::{Desk, Ended, Tree, sample};
use crate::vault_double;

const BUCKET: &str = "old-state-store";

const CONFIG: &str = "blue.k8s.example.com/config";

/// Runs on S3, where somebody else does this right before the run writes for the first time; gives
/// what the bucket holds then.
fn beaten(
    them: impl Fn(&S3Double) + Send + Sync + 'static,
    cluster: &str,
    args: &[&str],
) -> (Ended, Tree) {
    let desk = Desk::new();
    let double = Arc::new(double_with(&sample()));
    let (seen, done) = (Arc::downgrade(&double), AtomicBool::new(false));
    double.before_requests(move |_, request| {
        if is_write(&request.op) && request.op == "PutObject" && !done.swap(true, Ordering::SeqCst)
        {
            them(&seen.upgrade().expect("the double"));
        }
        None
    });
    let mut run = configuring(&desk, &format!("s3://{BUCKET}"), cluster, args);
    run.envs(double.env());
    let ended = Ended::of(run);
    (ended, bucket(&double, BUCKET))
}

/// [`beaten`] by a change of the config; gives the config.
fn raced(
    theirs: impl Fn(&str) -> String + Send + Sync + 'static,
    args: &[&str],
) -> (Ended, String) {
    let them = move |double: &S3Double| {
        let text = double.get(BUCKET, CONFIG).expect("the config");
        let text = theirs(std::str::from_utf8(&text).expect("UTF-8"));
        double.put(BUCKET, CONFIG, text);
    };
    let (ended, tree) = beaten(them, BLUE, args);
    (ended, text_of(&tree, CONFIG))
}

fn text_of(tree: &Tree, key: &str) -> String {
    String::from_utf8(tree[key].clone()).expect("UTF-8")
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
fn what_is_wrong_only_together_is_said() {
    let theirs = |text: &str| text.replace("name: eu-west-1a", "name: renamed");
    let (ended, text) = raced(theirs, &["--node-size", "m7i.large"]);
    let ended = ended.with(4);
    ended.says("eu-west-1a");
    ended.says("together it is wrong");
    assert!(text.contains("name: renamed"), "{text}");
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
fn a_range_that_somebody_else_took_meanwhile_is_chosen_anew() {
    let subnets = "  subnets:\n";
    let theirs = |zone: &str| {
        format!(
            "{subnets}  - cidr: 172.20.0.0/19\n    name: {zone}\n    type: Private\n    zone: {zone}\n"
        )
    };
    // For another zone: ours has the next range.
    let other = theirs("eu-west-1c");
    let (ended, text) = raced(
        move |text| text.replace(subnets, &other),
        &["--zones", "eu-west-1b"],
    );
    ended.with(0).says("all of it is done anew");
    let ours = "  - cidr: 172.20.64.0/19\n    name: eu-west-1b\n";
    assert!(
        text.contains(ours) && text.contains("type: Private"),
        "{text}"
    );
    // For the same zone: there is nothing to do any more.
    let same = theirs("eu-west-1b").replace("0.0/19", "128.0/19");
    let (ended, text) = raced(
        move |text| text.replace(subnets, &same),
        &["--zones", "eu-west-1b"],
    );
    ended.with(0).says("Nothing to do");
    assert!(text.matches("zone: eu-west-1b").count() == 1, "{text}");
    // What was typed is no matter of trying again.
    let both = |text: &str| {
        text.replace("channel: stable", "channel: beta")
            .replace("    zone: eu-west-1a\n", "    zone: eu-west-1a\n  - cidr: 172.20.0.0/19\n    name: eu-west-1b\n    type: Private\n    zone: eu-west-1b\n")
    };
    let args = ["--zones", "eu-west-1b", "--set", "spec.channel=alpha"];
    let (ended, _) = raced(both, &args);
    ended
        .with(4)
        .says(r#"spec.channel was "stable"; you want "alpha""#);
}

#[test]
fn a_group_that_somebody_else_made_meanwhile_is_changed_as_one_that_was_there() {
    let key = "blue.k8s.example.com/instancegroup/gpu";
    let theirs = "apiVersion: kops.k8s.io/v1alpha2\nkind: InstanceGroup\nmetadata:\n  labels:\n    kops.k8s.io/cluster: blue.k8s.example.com\n  name: gpu\nspec:\n  machineType: g4dn.xlarge\n  maxSize: 1 # theirs\n  minSize: 1\n  role: Node\n  subnets:\n  - eu-west-1a\n";
    let them = move |double: &S3Double| {
        double.put(BUCKET, key, theirs);
    };
    let set = "spec.machineType=g5.xlarge";
    let args = ["--instance-group", "gpu", "--role", "Node", "--set", set];
    let (ended, tree) = beaten(them, BLUE, &args);
    ended.with(0);
    assert_eq!(
        text_of(&tree, key),
        theirs.replace("g4dn.xlarge", "g5.xlarge")
    );
}

#[test]
fn a_config_that_somebody_else_deleted_meanwhile_stays_away() {
    for args in [
        &["--set", "spec.channel=alpha"][..],
        &["--zones", "eu-west-1b", "--kubernetes-version", "1.33.1"],
    ] {
        let them = |double: &S3Double| double.remove(BUCKET, CONFIG);
        let (ended, tree) = beaten(them, BLUE, args);
        let ended = ended.with(4);
        ended.says("blue.k8s.example.com/config: it was deleted meanwhile by somebody else");
        ended.says("kstate undo");
        assert!(!ended.stderr.contains("apiVersion"), "{}", ended.stderr);
        assert!(!tree.contains_key(CONFIG));
    }
}

#[test]
fn of_7_that_each_add_a_zone_each_has_a_range_of_its_own() {
    let (desk, store) = desk();
    let zones = 'b'..='h';
    let children: Vec<_> = zones
        .clone()
        .map(|zone| {
            let zone = format!("eu-west-1{zone}");
            let mut run = configuring(&desk, &store, BLUE, &["--zones", &zone]);
            run.stdout(Stdio::piped()).stderr(Stdio::piped());
            run.spawn().expect("the binary runs")
        })
        .collect();
    for child in children {
        Ended::from(child.wait_with_output().expect("an end")).with(0);
    }
    let config = desk.read(&format!("store/{CONFIG}"));
    for zone in zones {
        assert_eq!(
            config.matches(&format!("zone: eu-west-1{zone}\n")).count(),
            1
        );
    }
    let ranges: BTreeSet<_> = config
        .lines()
        .filter(|line| line.contains("cidr: "))
        .collect();
    assert_eq!(ranges.len(), 8, "{config}");
}

/// How many change a cluster at once.
const AT_ONCE: usize = 16;

/// Lets processes each add a label, 16 at a time.
pub(crate) fn labels(processes: usize, start: impl Fn(&str) -> Command) {
    for round in 0..processes / AT_ONCE {
        let children = (0..AT_ONCE).map(|n| {
            let set = format!("spec.cloudLabels.k{0}=v{0}", round * AT_ONCE + n);
            let mut run = start(&set);
            run.stdout(Stdio::piped()).stderr(Stdio::piped());
            run.spawn().expect("the binary runs")
        });
        let children: Vec<_> = children.collect();
        for child in children {
            Ended::from(child.wait_with_output().expect("an end")).with(0);
        }
    }
}

#[track_caller]
pub(crate) fn assert_all_labels(processes: usize, config: &str) {
    for n in 0..processes {
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
    labels(64, |set| configuring(&desk, &store, BLUE, &["--set", set]));
    assert_all_labels(64, &desk.read(&format!("store/{BLUE}/config")));
}

#[test]
fn of_64_that_add_a_label_on_s3_none_is_lost() {
    let desk = Desk::new();
    let double: S3Double = double_with(&sample());
    labels(64, |set| {
        let mut run = configuring(&desk, &format!("s3://{BUCKET}"), BLUE, &["--set", set]);
        run.envs(double.env());
        run
    });
    let tree = bucket(&double, BUCKET);
    let config = &tree[&format!("{BLUE}/config")];
    assert_all_labels(64, std::str::from_utf8(config).expect("UTF-8"));
}

/// [`labels`] on a store to which the sample is copied first.
fn labels_are_kept(desk: &Desk, url: &str, env: &[(&str, String)]) {
    let with_env = |mut run: Command| {
        run.envs(env.iter().map(|(name, value)| (name, value)));
        run
    };
    let run = |args: &[&str]| Ended::of(with_env(desk.kstate(args))).with(0);
    run(&["sync", "examples/state", url]);
    labels(AT_ONCE, |set| {
        with_env(configuring(desk, url, BLUE, &["--set", set]))
    });
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    assert_all_labels(
        AT_ONCE,
        &run(&["cat", &format!("{place}/{CONFIG}?{options}")]).stdout,
    );
}

#[test]
fn of_16_that_add_a_label_none_is_lost_on_other_stores_that_compare() {
    let desk = Desk::new();
    let gs = gs_double::start();
    gs.service().checks_token = false;
    let env = [("STORAGE_EMULATOR_HOST", gs.endpoint())];
    labels_are_kept(&desk, "gs://bucket/state", &env);

    let azure = azure_double::start();
    let url = "azureblob://first/container/state";
    let key = ("AZURE_STORAGE_KEY", azure_double::key_of("first"));
    labels_are_kept(
        &desk,
        &format!("{url}?endpoint={}", azure.endpoint()),
        &[key],
    );

    let k8s = K8sDouble::builder().namespace("state").start();
    desk.write("kubeconfig", k8s.kubeconfig("admin"));
    let env = [("KUBECONFIG", desk.arg("kubeconfig"))];
    labels_are_kept(&desk, "k8s:///state/kops", &env);

    let vault = vault_double::start();
    let host = vault.endpoint().replace("http://", "");
    let token = ("VAULT_TOKEN", vault_double::TOKEN.to_owned());
    labels_are_kept(
        &desk,
        &format!("vault://{host}/secret/state?tls=false"),
        &[token],
    );
}
