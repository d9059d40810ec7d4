//! A bucket's own policy: merged, written, planned and taken back.

use serde_json::{Value, json};

use super::{ALICE, BOB, SCRIPT, on};
use crate::s3_double::{Action, Fault, S3Double};
use crate::session::{self, newest};
use crate::support::Desk;

const SETTINGS: &str = "s3-bucket://state/policy.json";

fn double() -> S3Double {
    S3Double::builder().bucket("state").start()
}

fn policy_of(double: &S3Double) -> Value {
    serde_json::from_str(&double.policy("state").expect("a policy")).expect("JSON")
}

fn sids(policy: &Value) -> Vec<&str> {
    let statements = policy["Statement"].as_array().expect("statements");
    let sids = statements.iter();
    sids.map(|one| one["Sid"].as_str().unwrap_or_default())
        .collect()
}

/// A policy that somebody else made.
fn theirs() -> Value {
    json!({
        "Version": "2008-10-17",
        "Id": "theirs",
        "Statement": [
            {
                "Sid": "OnlyTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::state/*", "arn:aws:s3:::state"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}, "NumericLessThan": {"s3:TlsVersion": 1.2}},
            },
            {
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam::999999999999:root"]},
                "NotAction": "s3:Delete*",
                "Resource": "arn:aws:s3:::state",
            },
        ],
    })
}

fn write_theirs(desk: &Desk, double: &S3Double) -> Value {
    desk.write("theirs.json", theirs().to_string());
    let file = desk.arg("theirs.json");
    session::on(desk, double, &["cp", &file, SETTINGS]).with(0);
    policy_of(double)
}

#[test]
fn a_policy_is_written_where_there_was_none_and_undo_removes_it() {
    let (desk, double) = (Desk::new(), double());
    let arguments = ["state", "--principal", ALICE, "--access", "read", "--apply"];
    on(&desk, &double, &arguments).with(0);
    assert_eq!(
        sids(&policy_of(&double)),
        [
            "KopsStateStore",
            "KopsStateStoreList",
            "KopsStateStoreObjects"
        ]
    );
    session::on(&desk, &double, &["undo", &newest(&desk)]).with(0);
    assert_eq!(double.policy("state"), None);
}

#[test]
fn merging_keeps_what_is_not_ours_and_changes_nothing_twice() {
    let (desk, double) = (Desk::new(), double());
    let before = write_theirs(&desk, &double);
    let arguments = [
        "state",
        "--principal",
        ALICE,
        "--principal",
        BOB,
        "--access",
        "write",
        "--cluster",
        "a",
    ];
    let merge = [&arguments[..], &["--merge"]].concat();
    let printed = on(&desk, &double, &merge).with(0).stdout;
    assert_eq!(policy_of(&double), before, "--merge only prints");
    let apply = [&arguments[..], &["--apply"]].concat();
    on(&desk, &double, &apply).with(0);
    let after = policy_of(&double);
    for field in ["Version", "Id"] {
        assert_eq!(after[field], before[field]);
    }
    for index in [0, 1] {
        assert_eq!(after["Statement"][index], before["Statement"][index]);
    }
    assert_eq!(
        sids(&after)[2..],
        [
            "KopsStateStoreA",
            "KopsStateStoreAList",
            "KopsStateStoreAObjects"
        ]
    );
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(sids(&printed), sids(&after));

    double.reset_counts();
    on(&desk, &double, &apply).with(0).says("says this already");
    assert_eq!(double.count("PutBucketPolicy"), 0);

    // Another level replaces ours where they stand, and removes what is needed no more.
    let less = ["state", "--principal", ALICE, "--cluster", "a", "--apply"];
    let ended = on(&desk, &double, &less).with(0);
    ended.says(BOB);
    ended.says("another --sid");
    assert_eq!(
        sids(&policy_of(&double)),
        ["OnlyTls", "", "KopsStateStoreA"]
    );
    let other = ["state", "--principal", BOB, "--sid", "Other", "--apply"];
    let ended = on(&desk, &double, &other).with(0);
    assert!(!ended.stderr.contains("lose"), "{}", ended.stderr);
    assert_eq!(
        sids(&policy_of(&double)),
        ["OnlyTls", "", "KopsStateStoreA", "Other"]
    );
    session::on(&desk, &double, &["undo", &newest(&desk)]).with(0);
    assert_eq!(
        sids(&policy_of(&double)),
        ["OnlyTls", "", "KopsStateStoreA"]
    );
}

#[test]
fn it_is_planned_and_applied_and_no_rehearsal_writes() {
    let (desk, double) = (Desk::new(), double());
    let before = write_theirs(&desk, &double);
    let arguments = ["state", "--principal", ALICE, "--access", "list", "--apply"];
    double.reset_counts();
    let dry = [&arguments[..], &["--dry-run"]].concat();
    on(&desk, &double, &dry).with(0).says(SETTINGS);
    let file = desk.arg("plan");
    let plan = [&["plan", SCRIPT], &arguments[..], &["-o", &file]].concat();
    session::on(&desk, &double, &plan).with(6);
    let shown = session::on(&desk, &double, &["plan", "show", &file, "--full"]).with(6);
    shown.says("policy.json");
    shown.says("s3:ListBucket");
    let readonly = [&["--read-only", "run", SCRIPT], &arguments[..]].concat();
    session::on(&desk, &double, &readonly)
        .with(3)
        .says("--read-only");
    let elsewhere = [
        &["--allow-write", "s3://state", "run", SCRIPT],
        &arguments[..],
    ]
    .concat();
    session::on(&desk, &double, &elsewhere)
        .with(3)
        .says("--allow-write s3-bucket://state");
    assert_eq!(policy_of(&double), before);
    assert_eq!(double.count("PutBucketPolicy"), 0);

    session::on(&desk, &double, &["--yes", "apply", &file]).with(0);
    assert_eq!(sids(&policy_of(&double)).len(), 5);
    // What the plan was computed from is no more.
    session::on(&desk, &double, &["undo", &newest(&desk)]).with(0);
    assert_eq!(policy_of(&double), before);
    let more = ["state", "--principal", BOB, "--sid", "Other", "--apply"];
    on(&desk, &double, &more).with(0);
    session::on(&desk, &double, &["--yes", "apply", &file]).with(4);
    assert_eq!(sids(&policy_of(&double)), ["OnlyTls", "", "Other"]);
}

#[test]
fn undo_leaves_alone_what_somebody_else_wrote_since() {
    let (desk, double) = (Desk::new(), double());
    let arguments = ["state", "--principal", ALICE, "--apply"];
    on(&desk, &double, &arguments).with(0);
    let run = newest(&desk);
    let theirs = write_theirs(&desk, &double);
    session::on(&desk, &double, &["undo", &run]).with(4);
    assert_eq!(policy_of(&double), theirs);
}

#[test]
fn what_goes_wrong_with_the_service_is_explained() {
    let (desk, double) = (Desk::new(), double());
    let arguments = ["state", "--principal", ALICE, "--apply"];
    // A lost answer: the same policy once more is the same policy.
    double.fault(Fault::on("PutBucketPolicy").then(Action::ResetBeforeResponse));
    on(&desk, &double, &arguments).with(0);
    assert_eq!(double.count("PutBucketPolicy"), 2);

    let other = ["state", "--principal", "123", "--apply"];
    let ended = on(&desk, &double, &other).with(1);
    ended.says("have 12 digits");
    ended.says("Invalid principal in policy");

    double.fault(Fault::on("GetBucketPolicy").then(Action::Status(405, "MethodNotAllowed")));
    let ended = on(&desk, &double, &arguments).with(1);
    ended.says("only its own account may read and write its policy");
    double.deny("main", "PutBucketPolicy", "state", "");
    let more = ["state", "--principal", BOB, "--apply"];
    let ended = on(&desk, &double, &more).with(1);
    ended.says("allow s3:PutBucketPolicy on arn:aws:s3:::state");
    let absent = ["absent", "--principal", BOB, "--apply"];
    on(&desk, &double, &absent)
        .with(1)
        .says("no such bucket 'absent'");
    let write = ["cp", "README.md", "s3-bucket://state/encryption.json"];
    session::on(&desk, &double, &write)
        .with(2)
        .says("only read");
}

#[test]
fn a_bucket_with_a_key_of_its_own_asks_for_the_keys_policy() {
    let (desk, double) = (Desk::new(), double());
    let key = "arn:aws:kms:us-east-1:111122223333:key/k-1";
    let arguments = ["state", "--principal", ALICE, "--access", "read", "--merge"];
    assert_eq!(on(&desk, &double, &arguments).with(0).stderr, "");
    double.encrypt_with("state", key);
    let ended = on(&desk, &double, &arguments).with(0);
    ended.says(&format!("encrypted with {key}"));
    ended.says("--side key");
    let known = [&arguments[..], &["--kms-key", key]].concat();
    assert_eq!(on(&desk, &double, &known).with(0).stderr, "");
    let shown = session::on(
        &desk,
        &double,
        &["cat", "s3-bucket://state/encryption.json"],
    );
    shown.with(0).says("\"KMSMasterKeyID\"");
}
