//! What the script prints without asking anybody.

use super::{ALICE, BOB, expected, script};
use crate::support::Desk;

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// By the names of their files.
const DOCUMENTS: [(&str, &[&str]); 14] = [
    ("default", &["state", "--principal", ALICE]),
    (
        "named",
        &["state", "--principal", ALICE, "--id", "123", "--sid", "abc"],
    ),
    (
        "locate",
        &["state", "--principal", ALICE, "--access", "locate"],
    ),
    ("list", &["state", "--principal", ALICE, "--access", "list"]),
    ("read", &["state", "--principal", ALICE, "--access", "read"]),
    (
        "write",
        &["state", "--principal", ALICE, "--access", "write", "--acl"],
    ),
    (
        "without",
        &[
            "state",
            "--principal",
            ALICE,
            "--access",
            "write",
            "--without",
            "s3:GetEncryptionConfiguration",
        ],
    ),
    ("full", &["state", "--principal", ALICE, "--access", "full"]),
    (
        "cluster",
        &[
            "s3://state/prod/",
            "--principal",
            BOB,
            "--principal",
            "111122223333",
            "--principal",
            ALICE,
            "--principal",
            ALICE,
            "--access",
            "read",
            "--cluster",
            "a.example.com",
            "--etcd-backups",
        ],
    ),
    (
        "organisation",
        &[
            "state",
            "--principal",
            "*",
            "--org",
            "o-a1b2c3d4e5",
            "--access",
            "list",
        ],
    ),
    (
        "china",
        &[
            "state",
            "--principal",
            "111122223333",
            "--partition",
            "aws-cn",
            "--access",
            "read",
        ],
    ),
    (
        "identity",
        &[
            "state",
            "--side",
            "identity",
            "--access",
            "write",
            "--kms-key",
            KEY,
            "--cluster",
            "a",
        ],
    ),
    (
        "china_key",
        &[
            "state",
            "--side",
            "key",
            "--principal",
            "111122223333",
            "--partition",
            "aws-cn",
            "--access",
            "write",
            "--kms-key",
            "arn:aws-cn:kms:cn-north-1:111122223333:key/k-1",
        ],
    ),
    (
        "key",
        &[
            "state",
            "--side",
            "key",
            "--principal",
            ALICE,
            "--access",
            "read",
            "--kms-key",
            KEY,
        ],
    ),
];

#[test]
fn each_document_is_as_it_was_and_the_same_every_time() {
    let desk = Desk::new();
    let bless = std::env::var_os("KSTATE_BLESS").is_some();
    for (name, arguments) in DOCUMENTS {
        let printed = script(&desk, arguments).with(0).stdout;
        let file = expected().join(format!("{name}.json"));
        if bless {
            std::fs::write(&file, &printed).expect("a file");
        }
        let wanted = std::fs::read_to_string(&file).expect("a golden file");
        assert_eq!(printed, wanted, "{name}");
        assert_eq!(script(&desk, arguments).stdout, wanted, "{name}");
    }
    let read = |name: &str| std::fs::read(expected().join(name)).expect("a golden file");
    assert!(read("default.json") == read("locate.json"));
    assert_eq!(
        std::fs::read_dir(expected()).expect("the folder").count(),
        DOCUMENTS.len()
    );
}

#[test]
fn what_cannot_be_is_explained() {
    let desk = Desk::new();
    let long = "x".repeat(64);
    let principal = |arn: &'static str| vec!["state", "--principal", arn];
    let bucket = |name| vec![name, "--principal", ALICE];
    let more = |flags: &[&'static str]| [&["state", "--principal", ALICE], flags].concat();
    let cases = [
        (principal("alice"), "'alice' is no ARN"),
        (principal("ec2.amazonaws.com"), "is no ARN"),
        (principal("*"), "everybody in the world"),
        (principal("arn:aws:iam::111122223333:role/*"), "wildcard"),
        (
            principal("arn:aws:iam::111122223333:group/g"),
            "name its users",
        ),
        (
            principal("arn:aws:iam::111122223333:instance-profile/p"),
            "name the role in it",
        ),
        (principal("arn:aws:s3:::bucket"), "the ARN of no principal"),
        (
            principal("arn:aws:iam:eu:111122223333:root"),
            "has a region",
        ),
        (
            principal("arn:gcp:iam::111122223333:root"),
            "the partition 'gcp'",
        ),
        (
            principal("arn:aws:iam::111122223333:role/kops/"),
            "no principal",
        ),
        (
            principal("arn:aws:iam::111122223333:user/a,arn:aws:iam::111122223333:user/b"),
            "is more than one",
        ),
        (vec!["state"], "nobody is to be let in"),
        (
            more(&["--principal", "arn:aws-cn:iam::111122223333:root"]),
            "not in the partition aws",
        ),
        (bucket("State"), "small letters"),
        (bucket("st"), "2 characters"),
        (bucket(&long), "64 characters"),
        (bucket("192.168.0.1"), "IP address"),
        (bucket("a..b"), "two dots"),
        (bucket("state-s3alias"), "access point"),
        (bucket("gs://state"), "no bucket of S3"),
        (bucket("s3://state/a*"), "stands for more than itself"),
        (bucket("s3://state/a/../b"), "no folder of a bucket"),
        (bucket("arn:aws:s3:::state"), "is an ARN"),
        (more(&["--cluster", "a/b"]), "no name of a cluster"),
        (more(&["--cluster", "a?"]), "stands for more than itself"),
        (more(&["--org", "x-1"]), "no organisation's id"),
        (more(&["--sid", "a b"]), "can't be a Sid"),
        (more(&["--acl"]), "writes nothing"),
        (more(&["--kms-key", "alias/x"]), "no KMS key's ARN"),
        (more(&["--side", "key"]), "no KMS key is needed"),
        (more(&["--check", "--apply"]), "--check changes nothing"),
        (more(&["--replace"]), "is of --merge and --apply"),
        (more(&["--without", "s3:GetBucketLoc"]), "never needs that"),
        (
            more(&["--without", "s3:GetBucketLocation"]),
            "leaves out all",
        ),
        (
            more(&["--without", "s3:GetBucketLocation", "--check"]),
            "leaves out all",
        ),
    ];
    for (arguments, why) in cases {
        let ended = script(&desk, &arguments).with(3);
        assert!(ended.stdout.is_empty(), "{arguments:?}");
        ended.says(why);
    }
    script(&desk, &more(&["--access", "admin"]))
        .with(2)
        .says("possible values");
}

#[test]
fn an_account_id_without_twelve_digits_is_warned_of() {
    let desk = Desk::new();
    for typed in ["123", "arn:aws:iam::123:user/foo", "arn:aws:iam:::user/foo"] {
        let ended = script(&desk, &["state", "--principal", typed]).with(0);
        ended.says("have 12 digits");
        assert!(ended.stdout.contains("\"Version\""));
    }
    let ended = script(&desk, &["state", "--principal", ALICE]).with(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_policy_that_s3_would_not_take_is_refused() {
    let desk = Desk::new();
    let roles: Vec<_> = (0..500)
        .map(|n| format!("arn:aws:iam::111122223333:role/nodes-of-{n}"))
        .collect();
    let mut arguments = vec!["state"];
    arguments.extend(roles.iter().flat_map(|role| ["--principal", role]));
    let ended = script(&desk, &arguments).with(3);
    ended.says("S3 takes 20480");
    ended.says("--org");
}

#[test]
fn an_identitys_policy_is_measured_by_iams_limits_and_has_no_key_without_need() {
    let desk = Desk::new();
    let identity = |bucket: &str, access: &str| {
        let side = ["--side", "identity", "--kms-key", KEY];
        script(&desk, &[&[bucket, "--access", access], &side[..]].concat()).with(0)
    };
    let ended = identity("state", "locate");
    assert_eq!(ended.stderr, "");
    let policy: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(policy["Statement"].as_array().map(Vec::len), Some(1));
    let long = format!("s3://state/{}", "x".repeat(700));
    let ended = identity(&long, "full");
    ended.says("an inline policy of a user may have 2048");
    assert!(!ended.stderr.contains("6144"), "{}", ended.stderr);
}
