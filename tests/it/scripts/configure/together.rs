//! Several that change one cluster at once.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{bucket, double_with, is_write};
use super::{BLUE, configuring, desk};
use crate::s3_double::S3Double;
use crate::support::{Desk, Ended, sample};

const BUCKET: &str = "old-state-store";

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

/// Lets 64 processes each add a label, 16 at a time; gives the config then.
pub(crate) fn labels(start: impl Fn(&str) -> Command) {
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
pub(crate) fn assert_all_labels(config: &str) {
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
