//! What a bucket's policy says to each action that is needed.

use serde_json::{Value, json};

use super::{ALICE, BOB, on};
use crate::s3_double::S3Double;
use crate::session;
use crate::support::Desk;

/// What `--check` says to each action, after the policy of these statements was written.
fn verdicts(statements: &Value, flags: &[&str]) -> Vec<(String, String, String)> {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("state").start());
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    desk.write("policy.json", policy.to_string());
    let file = desk.arg("policy.json");
    let write = ["cp", &*file, "s3-bucket://state/policy.json"];
    session::on(&desk, &double, &write).with(0);
    let arguments = [&["state", "--check", "--json"], flags].concat();
    let ended = on(&desk, &double, &arguments);
    let said: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        ended.code,
        Some(i32::from(said["allowed"] != true)),
        "{said}"
    );
    let checks = said["checks"].as_array().expect("checks").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    checks
        .map(|one| {
            (
                text(&one["verdict"]),
                text(&one["action"]),
                text(&one["by"]),
            )
        })
        .collect()
}

fn allow(principal: &Value, action: &Value, resource: &str) -> Value {
    json!({
        "Sid": "A",
        "Effect": "Allow",
        "Principal": principal,
        "Action": action,
        "Resource": resource,
    })
}

fn with(mut statement: Value, fields: &[(&str, Value)]) -> Value {
    for (name, value) in fields {
        statement[name] = value.clone();
    }
    statement
}

/// The same statement about everybody but, everything but, or all but.
fn without(mut statement: Value, name: &str) -> Value {
    let value = statement[name].take();
    let fields = statement.as_object_mut().expect("a statement");
    fields.remove(name);
    fields.insert(format!("Not{name}"), value);
    statement
}

const BUCKET: &str = "arn:aws:s3:::state";
const OTHERS: &str = "arn:aws:s3:::state/*";
const LOCATION: &str = "s3:GetBucketLocation";

/// Lets somebody find the bucket, as a statement `A`.
fn let_in(principal: &str) -> Value {
    allow(&json!({"AWS": principal}), &json!(LOCATION), BUCKET)
}

/// Forbids it to Alice, as a statement `D`, but for these fields.
fn deny(fields: &[(&str, Value)]) -> Value {
    let deny = [("Sid", json!("D")), ("Effect", json!("Deny"))];
    with(with(let_in(ALICE), &deny), fields)
}

/// Checks what is said of finding the bucket, as Alice.
#[track_caller]
fn assert_said(statements: &Value, verdict: &str, by: &str) {
    assert_said_to(ALICE, statements, verdict, by);
}

#[track_caller]
fn assert_said_to(principal: &str, statements: &Value, verdict: &str, by: &str) {
    let said = verdicts(statements, &["--principal", principal]);
    let [(found, action, why)] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(
        (found.as_str(), action.as_str()),
        (verdict, LOCATION),
        "{statements}: {why}"
    );
    assert!(why.starts_with(by), "{statements}: {why}");
}

#[test]
fn an_action_is_allowed_by_a_statement_that_is_about_all_of_it() {
    let alice = json!({"AWS": ALICE});
    let by = |action: Value, resource| json!([allow(&alice, &action, resource)]);
    for (statements, verdict) in [
        (json!([let_in(ALICE)]), "allowed"),
        (json!([let_in("111122223333")]), "allowed"),
        (
            json!([allow(&json!("*"), &json!(LOCATION), BUCKET)]),
            "allowed",
        ),
        (by(json!("s3:getb*ocatio?"), BUCKET), "allowed"),
        (by(json!(["s3:Put*", "s3:List*"]), BUCKET), "not allowed"),
        (by(json!("s3:*"), OTHERS), "not allowed"),
        (json!([let_in(BOB)]), "not allowed"),
    ] {
        let by = if verdict == "allowed" {
            "A"
        } else {
            "no statement"
        };
        assert_said(&statements, verdict, by);
    }
    let vpc = json!({"StringEquals": {"aws:SourceVpce": "vpce-1"}});
    let sometimes = with(let_in(ALICE), &[("Condition", vpc)]);
    assert_said(
        &json!([sometimes]),
        "unsure",
        "A (its condition) may allow it",
    );
}

#[test]
fn an_explicit_deny_wins() {
    let yes = let_in(ALICE);
    let everybody = [("Principal", json!("*")), ("Action", json!("s3:*"))];
    let bob = [("Principal", json!({"AWS": BOB}))];
    let tls = json!({"Bool": {"aws:SecureTransport": "false"}});
    let vpc = json!({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}});
    for (statements, verdict, by) in [
        (json!([yes, deny(&[])]), "denied", "D"),
        (json!([deny(&everybody), yes]), "denied", "D"),
        (json!([yes, deny(&bob)]), "allowed", "A"),
        (json!([yes, deny(&[("Condition", tls)])]), "allowed", "A"),
        (
            json!([yes, deny(&[("Condition", vpc)])]),
            "unsure",
            "D (its condition) may deny it",
        ),
        (
            json!([yes, without(deny(&[]), "Action")]),
            "unsure",
            "D (NotAction) may deny it",
        ),
        (
            json!([yes, without(deny(&[]), "Principal")]),
            "unsure",
            "D (NotPrincipal) may deny it",
        ),
        (json!([yes, without(deny(&bob), "Action")]), "allowed", "A"),
    ] {
        assert_said(&statements, verdict, by);
    }
}

#[test]
fn a_session_is_its_role() {
    let session = "arn:aws:sts::111122223333:assumed-role/nodes/i-1";
    let role = "arn:aws:iam::111122223333:role/nodes";
    let elsewhere = "arn:aws:iam::111122223333:role/kops/nodes";
    let other = "arn:aws:sts::111122223333:assumed-role/nodes/i-2";
    let forbid = |arn: &str| deny(&[("Principal", json!({"AWS": arn}))]);
    let yes = let_in("111122223333");
    for (whom, statements, verdict, by) in [
        (session, json!([let_in(role)]), "allowed", "A"),
        (session, json!([yes, forbid(role)]), "denied", "D"),
        // A session doesn't tell its role's path.
        (session, json!([let_in(elsewhere)]), "unsure", "A"),
        (session, json!([yes, forbid(elsewhere)]), "unsure", "D"),
        (session, json!([let_in(other)]), "not allowed", "no"),
        (role, json!([let_in(session)]), "unsure", "A"),
    ] {
        assert_said_to(whom, &statements, verdict, by);
    }
}

#[test]
fn what_cannot_be_known_is_never_called_allowed() {
    let yes = let_in(ALICE);
    let tls = |values: Value| {
        [(
            "Condition",
            json!({"Bool": {"aws:SecureTransport": values}}),
        )]
    };
    let canonical = [("Principal", json!({"CanonicalUser": "79a59df900b949e5"}))];
    for (denial, verdict) in [
        (deny(&tls(json!(["false", "true"]))), "denied"),
        (deny(&tls(json!(["false"]))), "allowed"),
        (deny(&tls(json!("${aws:SecureTransport}"))), "unsure"),
        (deny(&canonical), "unsure"),
    ] {
        let by = if verdict == "allowed" { "A" } else { "D" };
        assert_said(&json!([yes, denial]), verdict, by);
    }
    let read = allow(&json!({"AWS": ALICE}), &json!("s3:*"), OTHERS);
    let of_account = [
        ("Sid", json!("D")),
        ("Effect", json!("Deny")),
        (
            "Resource",
            json!("arn:aws:s3:::state/${aws:PrincipalAccount}/*"),
        ),
    ];
    let denial = with(read.clone(), &of_account);
    let flags = ["--principal", ALICE, "--access", "read"];
    let said = verdicts(&json!([read, denial]), &flags);
    let found = said.iter().find(|(_, action, _)| action == "s3:GetObject");
    assert_eq!(found.expect("the action").0, "unsure");
}

#[test]
fn a_cluster_is_judged_by_its_folder() {
    let alice = json!({"AWS": ALICE});
    let flags = ["--principal", ALICE, "--access", "read", "--cluster", "a"];
    let list = |prefix: &str| {
        with(
            allow(&alice, &json!("s3:ListBucket"), "arn:aws:s3:::state"),
            &[
                ("Sid", json!("L")),
                ("Condition", json!({"StringLike": {"s3:prefix": prefix}})),
            ],
        )
    };
    let get = |folder: &str| {
        let resource = format!("arn:aws:s3:::state/{folder}*");
        with(
            allow(&alice, &json!("s3:GetObject"), &resource),
            &[("Sid", json!("G"))],
        )
    };
    let secrets = with(
        get("a/pki/"),
        &[("Sid", json!("S")), ("Effect", json!("Deny"))],
    );
    let others = with(get("b/"), &[("Sid", json!("S")), ("Effect", json!("Deny"))]);
    for (statements, listing, reading) in [
        (json!([list("a/*"), get("a/")]), "allowed", "allowed"),
        (json!([list("*"), get("")]), "allowed", "allowed"),
        (
            json!([list("b/*"), get("b/")]),
            "not allowed",
            "not allowed",
        ),
        (json!([list("a/pki/*"), get("a/pki/")]), "unsure", "unsure"),
        (
            json!([list("a/*"), get("a/"), secrets]),
            "allowed",
            "unsure",
        ),
        (
            json!([list("a/*"), get("a/"), others]),
            "allowed",
            "allowed",
        ),
    ] {
        let said = verdicts(&statements, &flags);
        let of = |action: &str| {
            let found = said.iter().find(|(_, asked, _)| asked == action);
            found.map(|(verdict, ..)| verdict.clone()).expect(action)
        };
        assert_eq!(of("s3:ListBucket"), listing, "{statements}");
        assert_eq!(of("s3:GetObject"), reading, "{statements}");
        assert_eq!(of("s3:GetBucketLocation"), "not allowed");
    }
}

#[test]
fn what_the_script_applies_is_what_it_finds_allowed() {
    let (desk, double) = (Desk::new(), S3Double::builder().bucket("state").start());
    for flags in [
        &["--access", "full", "--principal", ALICE][..],
        &[
            "--access",
            "write",
            "--cluster",
            "a.b",
            "--etcd-backups",
            "--acl",
            "--principal",
            BOB,
        ],
        &[
            "--access",
            "list",
            "--principal",
            "*",
            "--org",
            "o-a1b2c3d4e5",
            "--sid",
            "Org",
        ],
    ] {
        let check = [&["state", "--check"], flags].concat();
        on(&desk, &double, &check).with(1);
        let apply = [&["state", "--apply"], flags].concat();
        on(&desk, &double, &apply).with(0);
        let ended = on(&desk, &double, &check).with(0);
        assert!(!ended.stdout.contains("not allowed"), "{}", ended.stdout);
    }
}
