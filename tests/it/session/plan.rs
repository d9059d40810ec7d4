//! What a plan is, and that making one writes nothing.

use std::os::unix::fs::PermissionsExt;

use super::{on, script};
use crate::s3_double::{Action, S3Double};
use crate::scripts::{bucket, double_with, is_write};
use crate::support::{Desk, sample};

/// A double on which any write request is an error, and ends the test when one came.
fn forbid_writes(double: &S3Double) {
    double.before_requests(|_, request| {
        is_write(&request.op).then(|| Action::Status(500, "WriteInAPlan"))
    });
}

#[test]
fn planning_a_move_sends_no_write_and_apply_does_what_the_move_would() {
    let (desk, original) = (Desk::new(), sample());
    let double = double_with(&original);
    forbid_writes(&double);
    let plan = desk.arg("plan");
    let args = [
        "plan",
        "move_bucket",
        "--from",
        "s3://old-state-store",
        "--to",
        "s3://new-state-store",
        "--all-clusters",
        "-o",
        &plan,
    ];
    on(&desk, &double, &args).with(6);
    let writes = double
        .requests()
        .into_iter()
        .filter(|request| is_write(&request.op));
    assert_eq!(writes.count(), 0);
    assert!(bucket(&double, "new-state-store").is_empty());
    let mode = std::fs::metadata(&plan)
        .expect("the plan")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    double.clear_faults();
    on(&desk, &double, &["apply", &plan, "--yes"]).with(0);
    let moved = bucket(&double, "new-state-store");
    crate::scripts::assert_moved(&original, &moved, "s3://new-state-store");
    assert_eq!(bucket(&double, "old-state-store"), original);
}

#[test]
fn a_script_sees_its_own_writes_in_a_plan() {
    let desk = Desk::new();
    desk.write("state/a/one", "1");
    desk.write("state/b/two", "2");
    let state = desk.arg("state");
    let text = format!(
        r#"
        local s = kstate.store.open("{state}")
        local old = s:stat("b/two")
        s:write("a/new", "n")
        s:write("b/two", "22")
        s:delete("a/one")
        assert(s:read("a/new") == "n" and s:read("b/two") == "22" and not s:exists("a/one"))
        local keys = {{}}
        for object in s:walk() do keys[#keys + 1] = object.key end
        assert(table.concat(keys, " ") == "a/new b/two", table.concat(keys, " "))
        local new = s:stat("b/two")
        assert(new.tag ~= old.tag and new.size == 2)
        assert(s:write("b/two", "x", {{ if_match = old.tag }}) == nil)
        assert(s:write("b/two", "x", {{ if_absent = true }}) == nil)
        assert(s:write("b/two", "222", {{ if_match = new.tag }}))
        local other = kstate.store.open("{state}"):at("b")
        assert(other:read("two") == "222")
        assert(#other:diff(s:at("a")) == 2)
        "#
    );
    let script = script(&desk, &text);
    let plan = desk.arg("plan");
    desk.run(&["plan", "-o", &plan, &script]).with(6);
    assert_eq!(desk.read("state/a/one"), "1");
    assert_eq!(desk.read("state/b/two"), "2");
    assert_eq!(desk.tree_size("state"), 2);
    desk.run(&["apply", &plan, "--yes"]).with(0);
    assert_eq!(desk.read("state/a/new"), "n");
    assert_eq!(desk.read("state/b/two"), "222");
    assert_eq!(desk.tree_size("state"), 2);
}

#[test]
fn a_plan_of_the_bytes_that_are_there_has_nothing_to_do() {
    let desk = Desk::new();
    desk.write("state/a", "same");
    let text = format!(
        "kstate.store.open(\"{}\"):write('a', 'same')",
        desk.arg("state")
    );
    let script = script(&desk, &text);
    let file = format!("-o{}", desk.arg("plan"));
    desk.run(&["plan", &script, &file])
        .with(0)
        .says("nothing to do");
    desk.run(&["plan", "show", &desk.arg("plan")]).with(0);
    desk.write("state/a", "other");
    desk.run(&["plan", &script, &file]).with(6);
}

#[test]
fn a_plan_without_changes_says_so() {
    let desk = Desk::new();
    desk.write("state/a", "1");
    let text = format!(
        r#"assert(kstate.store.open("{}"):read("a"))"#,
        desk.arg("state")
    );
    let script = script(&desk, &text);
    let plan = desk.arg("plan");
    desk.run(&["plan", &script, "-o", &plan]).with(0);
    desk.run(&["apply", &plan, "--yes"])
        .with(0)
        .says("nothing to do");
}

#[test]
fn a_script_that_fails_leaves_no_plan() {
    let desk = Desk::new();
    let plan = desk.arg("plan");
    for (text, code) in [("error('no')", 1), ("return false", 1), ("return 3", 3)] {
        let script = script(&desk, text);
        desk.run(&["plan", &script, "-o", &plan]).with(code);
        assert!(!desk.path("plan").exists());
    }
    desk.run(&["plan", &script(&desk, "")])
        .with(2)
        .says("-o FILE");
}

#[test]
fn large_copies_stay_references() {
    const SIZE: u64 = 200 << 20;
    let desk = Desk::new();
    let double = double_with(&sample());
    double.put_synthetic("old-state-store", "big", SIZE, 7);
    // What was uploaded in parts has no checksum that could be compared.
    let text = r#"
        local from, to = kstate.store.open("s3://old-state-store"), kstate.store.open("s3://new-state-store")
        assert(from:copy("big", to, "copy"))
        assert(to:stat("copy").size == from:stat("big").size)
        from:sync(to, { include = { "big" }, verify = "content" })
        assert(#from:diff(to, { include = { "big" }, verify = "content" }) == 0)
    "#;
    let script = script(&desk, text);
    let plan = desk.arg("plan");
    on(&desk, &double, &["plan", &script, "-o", &plan]).with(6);
    assert_eq!(double.count("GetObject"), 0, "no bytes are pulled in");
    assert!(std::fs::metadata(&plan).expect("the plan").len() < 100_000);
}

/// The same where nothing publishes checksums.
#[test]
fn files_are_not_read_to_be_copied_in_a_plan() {
    use std::os::unix::fs::OpenOptionsExt;
    const SIZE: u64 = 8 << 30;
    let desk = Desk::new();
    std::fs::create_dir(desk.path("from")).expect("a folder");
    let huge = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(desk.path("from/huge"))
        .expect("a file");
    huge.set_len(SIZE).expect("a sparse file");
    let text = format!(
        r#"
        local from, to = kstate.store.open("{}"), kstate.store.open("{}")
        assert(from:sync(to).copied == 1)
        assert(#from:diff(to) == 0)
        "#,
        desk.arg("from"),
        desk.arg("to")
    );
    let started = std::time::Instant::now();
    let args = ["plan", &script(&desk, &text), "-o", &desk.arg("plan")];
    desk.run(&args).with(6);
    // Reading 8 GiB four times takes far longer on any machine.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}
