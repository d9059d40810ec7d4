//! Applying plans.

use age::secrecy::ExposeSecret;

use super::{history, newest, on, script};
use crate::s3_double::{Action, Fault, S3Double};
use crate::support::Desk;

#[test]
fn nobody_is_asked_where_nobody_is_and_nothing_done() {
    let desk = Desk::new();
    let text = format!(
        "kstate.store.open(\"{}\"):write('a', '1')",
        desk.arg("state")
    );
    let plan = desk.arg("plan");
    desk.run(&["plan", &script(&desk, &text), "-o", &plan])
        .with(6);
    desk.run(&["apply", &plan]).with(3).says("--yes");
    assert_eq!(desk.tree_size("state"), 0);
    desk.run(&["apply", &plan, "--yes", "--dry-run"]).with(6);
    assert_eq!(desk.tree_size("state"), 0);
    desk.run(&["apply", &plan, "--yes"])
        .with(0)
        .says("1 created, 0 changed, 0 deleted; undo with: kstate undo ");
    desk.run(&["apply", &plan, "--yes"])
        .with(0)
        .says("nothing to do");
}

/// What a script wrote after something else is not applied before it, and what it did at once is
/// not made to wait.
#[test]
fn barriers_of_the_script_hold() {
    let desk = Desk::new();
    let double = S3Double::builder().bucket("bucket").start();
    let text = r#"
        local s = kstate.store.open("s3://bucket")
        s:write("first", "1")
        local names = {}
        for i = 1, 40 do names[i] = "many/" .. i end
        kstate.task.map(names, function(name) s:write(name, name) end, { concurrency = 40 })
        s:write("last", "2")
        s:write("first", "3")
    "#;
    let plan = desk.arg("plan");
    on(&desk, &double, &["plan", &script(&desk, text), "-o", &plan]).with(6);
    double.reset_counts();
    on(&desk, &double, &["apply", &plan, "--yes"]).with(0);
    let puts: Vec<String> = double
        .requests()
        .into_iter()
        .filter(|request| request.op == "PutObject")
        .map(|request| request.key)
        .collect();
    assert_eq!(puts.len(), 43);
    assert_eq!(puts[0], "first");
    assert_eq!(puts[41..], ["last", "first"]);
    assert_eq!(double.get("bucket", "first").expect("it is there"), "3");
}

#[test]
fn each_write_is_conditional() {
    let desk = Desk::new();
    let double = S3Double::builder().bucket("bucket").start();
    double.put("bucket", "old", "1");
    let text = r#"
        local s = kstate.store.open("s3://bucket")
        s:write("new", "1")
        s:write("old", "2")
    "#;
    let plan = desk.arg("plan");
    on(&desk, &double, &["plan", &script(&desk, text), "-o", &plan]).with(6);
    on(&desk, &double, &["apply", &plan, "--yes"]).with(0);
    let requests = double.requests();
    let puts: Vec<_> = requests
        .iter()
        .filter(|put| put.op == "PutObject")
        .collect();
    assert_eq!(puts.len(), 2);
    for request in puts {
        let conditional =
            request.header("if-none-match").is_some() || request.header("if-match").is_some();
        assert!(conditional, "{request:?}");
    }
}

#[test]
fn what_somebody_else_writes_meanwhile_stays_and_the_rest_is_not_tried() {
    let desk = Desk::new();
    let double = S3Double::builder().bucket("bucket").start();
    let text = r#"
        local s = kstate.store.open("s3://bucket")
        s:write("one", "1")
        s:write("two", "2")
        s:write("three", "3")
    "#;
    let plan = desk.arg("plan");
    on(&desk, &double, &["plan", &script(&desk, text), "-o", &plan]).with(6);
    let theirs = Fault::on("PutObject")
        .key("two")
        .then(Action::Status(412, "PreconditionFailed"));
    double.fault(theirs.always());
    on(&desk, &double, &["apply", &plan, "--yes"])
        .with(4)
        .says("1 done, 2 not");
    assert!(double.get("bucket", "three").is_none());
    let run = &history(&desk)[0];
    assert_eq!(
        (run["created"].as_u64(), run["state"].as_str()),
        (Some(1), Some("failed"))
    );
    double.clear_faults();
    on(&desk, &double, &["apply", &plan, "--yes"]).with(0);
    assert_eq!(double.get("bucket", "three").expect("it is there"), "3");
    assert_eq!(history(&desk).len(), 1, "it goes on in the same journal");
    on(&desk, &double, &["undo", &newest(&desk)]).with(0);
    assert!(double.keys("bucket").is_empty());
}

#[test]
fn a_copy_of_what_the_script_wrote_and_changed_later_is_the_copy_it_made() {
    let desk = Desk::new();
    desk.write("state/source", "base");
    let text = format!(
        r#"
        local s = kstate.store.open("{}")
        s:copy("source", s, "of_base")
        s:write("source", "mine")
        s:copy("source", s, "of_mine")
        s:copy("of_base", s, "again")
        s:write("of_base", "other")
        s:delete("source")
        "#,
        desk.arg("state")
    );
    let plan = desk.arg("plan");
    desk.run(&["plan", &script(&desk, &text), "-o", &plan])
        .with(6);
    desk.run(&["apply", &plan, "--yes"]).with(0);
    let read = |key: &str| desk.read(&format!("state/{key}"));
    assert_eq!(
        (read("of_base"), read("of_mine"), read("again")),
        ("other".into(), "mine".into(), "base".into())
    );
    assert!(!desk.path("state/source").exists());
}

#[test]
fn content_types_and_metadata_are_applied_too() {
    let desk = Desk::new();
    let double = S3Double::builder().bucket("bucket").start();
    let text = r#"
        local s = kstate.store.open("s3://bucket")
        s:write("a", "1", { content_type = "text/x-a" })
    "#;
    let plan = desk.arg("plan");
    on(&desk, &double, &["plan", &script(&desk, text), "-o", &plan]).with(6);
    on(&desk, &double, &["apply", &plan, "--yes"]).with(0);
    let stat = on(&desk, &double, &["stat", "s3://bucket/a", "--json"]).with(0);
    stat.says("text/x-a");
}

#[test]
fn an_encrypted_plan_is_applied_with_its_identity() {
    let desk = Desk::new();
    let identity = age::x25519::Identity::generate();
    desk.write("identity", identity.to_string().expose_secret());
    let text = format!(
        "kstate.store.open(\"{}\"):write('a', '1')",
        desk.arg("state")
    );
    let plan = desk.arg("plan");
    let recipient = identity.to_public().to_string();
    let args = [
        "plan",
        &script(&desk, &text),
        "-o",
        &plan,
        "--encrypt-to",
        &recipient,
    ];
    desk.run(&args).with(6);
    assert!(
        std::fs::read(&plan)
            .expect("the plan")
            .starts_with(b"age-encryption.org/")
    );
    desk.run(&["apply", &plan, "--yes"]).with(1);
    desk.run(&["apply", &plan, "--yes", "--identity", &desk.arg("identity")])
        .with(0);
    assert_eq!(desk.read("state/a"), "1");
}
