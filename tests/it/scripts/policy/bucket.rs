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
    let ended = on(&desk, &double, &less).with(3);
    ended.says(BOB);
    ended.says("another --sid");
    assert_eq!(policy_of(&double), after);
    let less = [&less[..], &["--replace"]].concat();
    on(&desk, &double, &less).with(0).says(BOB);
    assert_eq!(
        sids(&policy_of(&double)),
        ["OnlyTls", "", "KopsStateStoreA"]
    );
    let other = ["state", "--principal", BOB, "--sid", "Other", "--apply"];
    let ended = on(&desk, &double, &other).with(0);
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
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
fn nothing_is_taken_away_unless_that_is_said() {
    let (desk, double) = (Desk::new(), double());
    let granted = |flags: &[&str]| {
        let apply = ["state", "--principal", ALICE, "--apply"];
        on(&desk, &double, &[&apply, flags].concat())
    };
    granted(&["--access", "list"]).with(0);
    // More of everything takes nothing away.
    granted(&["--access", "write"]).with(0);
    let before = policy_of(&double);
    let ended = granted(&["--access", "read"]).with(3);
    ended.says(&format!("{ALICE}: s3:PutObject on arn:aws:s3:::state/*"));
    ended.says("--replace");
    granted(&["--access", "write", "--org", "o-a1b2c3d4e5"])
        .with(3)
        .says("under another condition");
    granted(&["--access", "read", "--dry-run"]).with(3);
    let merge = ["state", "--principal", BOB, "--merge"];
    let ended = on(&desk, &double, &merge).with(3);
    assert_eq!(ended.stdout, "");
    assert_eq!(policy_of(&double), before);
    granted(&["--access", "read", "--replace"]).with(0);
    assert!(!policy_of(&double).to_string().contains("PutObject"));
}

#[test]
fn what_somebody_else_made_is_not_replaced_although_its_sid_is_ours() {
    let (desk, double) = (Desk::new(), double());
    for (field, value) in [
        ("Effect", json!("Deny")),
        ("NotAction", json!("s3:DeleteBucket")),
    ] {
        let mut statement = json!({
            "Sid": "KopsStateStore",
            "Effect": "Allow",
            "Principal": {"AWS": BOB},
            "Resource": "arn:aws:s3:::state",
        });
        if field == "Effect" {
            statement["Action"] = json!("s3:GetBucketLocation");
        }
        statement[field] = value;
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        double.force_policy("state", &policy);
        for verb in ["--merge", "--apply"] {
            let arguments = ["state", "--principal", ALICE, "--replace", verb];
            let ended = on(&desk, &double, &arguments).with(3);
            ended.says("somebody else made");
            ended.says("--sid");
            assert_eq!(ended.stdout, "");
        }
        assert_eq!(double.policy("state"), Some(policy));
    }
}

#[test]
fn every_folder_and_cluster_has_a_sid_of_its_own() {
    let (desk, double) = (Desk::new(), double());
    let places = [
        ("state", "--id=x"),
        ("s3://state/prod", "--id=x"),
        ("s3://state/dev", "--id=x"),
        ("s3://state/prod", "--cluster=a"),
        ("state", "--cluster=prod.a"),
        ("state", "--cluster=a-b.example.com"),
        ("state", "--cluster=a.b.example.com"),
        ("state", "--cluster=a.B.example.com"),
        ("state", "--cluster=1a"),
        ("state", "--cluster=list"),
        ("state", "--cluster=ü"),
    ];
    for (count, (place, cluster)) in places.into_iter().enumerate() {
        let arguments = [
            place,
            "--principal",
            ALICE,
            "--access",
            "list",
            cluster,
            "--apply",
        ];
        on(&desk, &double, &arguments).with(0);
        assert_eq!(sids(&policy_of(&double)).len(), 3 * (count + 1), "{place}");
    }
}

#[test]
fn a_policy_that_is_odd_is_refused_with_what_is_wrong() {
    let (desk, double) = (Desk::new(), double());
    let with = |field: &str, value: Value| {
        let mut statement = theirs()["Statement"][0].clone();
        statement[field] = value;
        json!({"Statement": [statement]})
    };
    for (policy, why) in [
        (json!({"Statement": null}), "no list of statements"),
        (json!({"Statement": [3]}), "its statement 1 is no object"),
        (
            with("Condition", Value::Null),
            "(OnlyTls) can't have the Condition null",
        ),
        (
            with("Condition", json!({"Bool": null})),
            "(OnlyTls) can't have the Condition",
        ),
        (
            with("Principal", json!({"AWS": null})),
            "(OnlyTls) can't have the Principal",
        ),
        (
            with("Effect", json!("deny")),
            "(OnlyTls) can't have the Effect",
        ),
    ] {
        double.force_policy("state", &policy.to_string());
        for verb in ["--check", "--apply"] {
            let arguments = ["state", "--principal", ALICE, verb];
            let ended = on(&desk, &double, &arguments).with(3);
            ended.says(why);
            ended.says("s3-bucket://state/policy.json");
        }
    }
}

#[test]
fn a_policy_that_fits_without_blanks_is_written_without_them() {
    let (desk, double) = (Desk::new(), double());
    let roles: Vec<_> = (0..100)
        .map(|n| format!("arn:aws:iam::111122223333:role/nodes-of-a-cluster-called-{n}"))
        .collect();
    let mut arguments = vec!["state", "--access", "read"];
    arguments.extend(roles.iter().flat_map(|role| ["--principal", role]));
    let merge = [&arguments[..], &["--merge"]].concat();
    let printed = on(&desk, &double, &merge).with(0);
    assert!(printed.stdout.len() > 20 << 10);
    printed.says("S3 takes 20480");
    let apply = [&arguments[..], &["--apply"]].concat();
    on(&desk, &double, &apply).with(0);
    assert_eq!(sids(&policy_of(&double)).len(), 3);
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

    let other = ["state", "--principal", "123", "--apply", "--replace"];
    let ended = on(&desk, &double, &other).with(1);
    ended.says("have 12 digits");
    ended.says("Invalid principal in policy");

    double.fault(Fault::on("GetBucketPolicy").then(Action::Status(405, "MethodNotAllowed")));
    let ended = on(&desk, &double, &arguments).with(1);
    ended.says("only its own account may read and write its policy");
    double.deny("main", "PutBucketPolicy", "state", "");
    let more = ["state", "--principal", BOB, "--apply", "--replace"];
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
    // Who only finds the bucket needs no key.
    let locate = ["state", "--principal", ALICE, "--merge"];
    assert_eq!(on(&desk, &double, &locate).with(0).stderr, "");
    let shown = session::on(
        &desk,
        &double,
        &["cat", "s3-bucket://state/encryption.json"],
    );
    shown.with(0).says("\"KMSMasterKeyID\"");
}
