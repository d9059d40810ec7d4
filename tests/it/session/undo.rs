//! Taking runs back.

use super::{history, newest, on, script};
use crate::s3_double::{Personality, S3Double};
use crate::scripts::{MOVE, bucket, double_with};
use crate::support::{Desk, Ended, sample};

#[test]
fn a_move_is_taken_back_and_that_too() {
    let (desk, original) = (Desk::new(), sample());
    let double = double_with(&original);
    let args = [
        "run",
        MOVE,
        "--from",
        "s3://old-state-store",
        "--to",
        "s3://new-state-store",
        "--all-clusters",
        "--yes",
    ];
    on(&desk, &double, &args)
        .with(0)
        .says("undo with: kstate undo ");
    let moved = bucket(&double, "new-state-store");
    on(&desk, &double, &["undo", &newest(&desk)]).with(0);
    assert!(bucket(&double, "new-state-store").is_empty());
    assert_eq!(bucket(&double, "old-state-store"), original);
    assert_eq!(history(&desk)[1]["state"], "undone");
    on(&desk, &double, &["undo", &newest(&desk)]).with(0);
    assert_eq!(bucket(&double, "new-state-store"), moved);
}

const EDIT: &str = r#"
    local s = kstate.store.open(STATE)
    s:write("changed", "new")
    s:write("created", "new")
    s:delete("deleted")
    s:write("twice", "1")
    s:write("twice", "2")
    s:write("gone", "1")
    s:delete("gone")
"#;

fn edit(desk: &Desk) -> String {
    for key in ["changed", "deleted", "twice"] {
        desk.write(&format!("state/{key}"), "old");
    }
    let text = EDIT.replace("STATE", &format!("\"{}\"", desk.arg("state")));
    desk.run(&["run", &script(desk, &text)]).with(0);
    newest(desk)
}

#[test]
fn everything_is_put_back() {
    let desk = Desk::new();
    let id = edit(&desk);
    desk.run(&["undo", &id[..4]]).with(0);
    let tree = desk.tree("state");
    let names: Vec<_> = tree.keys().map(String::as_str).collect();
    assert_eq!(names, ["changed", "deleted", "twice"]);
    assert!(tree.values().all(|bytes| bytes == b"old"));
    desk.run(&["undo", &id]).with(0);
    assert_eq!(desk.tree("state"), tree);
}

#[test]
fn what_somebody_changed_since_is_reported_and_the_rest_undone() {
    let desk = Desk::new();
    let id = edit(&desk);
    desk.write("state/changed", "theirs");
    let ended = desk.run(&["undo", &id]).with(4);
    ended.says("/state/changed");
    assert_eq!(desk.read("state/changed"), "theirs");
    assert_eq!(desk.read("state/deleted"), "old");
    assert_eq!(desk.read("state/twice"), "old");
    assert!(!desk.path("state/created").exists());
}

#[test]
fn an_object_that_came_back_since_is_not_overwritten() {
    let desk = Desk::new();
    let id = edit(&desk);
    desk.write("state/deleted", "theirs");
    std::fs::remove_file(desk.path("state/created")).expect("removed");
    desk.run(&["undo", &id]).with(4);
    assert_eq!(desk.read("state/deleted"), "theirs");
    assert!(!desk.path("state/created").exists());
    assert_eq!(desk.read("state/twice"), "old");
}

#[test]
fn commands_are_taken_back_like_scripts() {
    let desk = Desk::new();
    for n in 0..30 {
        desk.write(&format!("state/many/{n}"), format!("{n}"));
    }
    let before = desk.tree("state");
    desk.run(&["rm", "-r", "--yes", &desk.arg("state/many")])
        .with(0)
        .says("undo with");
    assert_eq!(desk.tree_size("state"), 0);
    desk.run(&["undo", &newest(&desk)]).with(0);
    assert_eq!(desk.tree("state"), before);
    desk.run(&["sync", &desk.arg("state"), &desk.arg("copy")])
        .with(0)
        .says("30 created");
    assert_eq!(desk.tree("copy"), before);
    desk.run(&["undo", &newest(&desk)]).with(0);
    assert_eq!(desk.tree_size("copy"), 0);
}

/// Large bytes are kept in files of their own, and put back whole.
#[test]
fn large_objects_come_back() {
    let desk = Desk::new();
    let large: Vec<u8> = (0..3_000_000_u32)
        .map(|n| u8::try_from(n % 251).expect("a byte"))
        .collect();
    desk.write("state/large", &large);
    let text = format!(
        "kstate.store.open(\"{}\"):write('large', 'small')",
        desk.arg("state")
    );
    desk.run(&["run", &script(&desk, &text)]).with(0);
    desk.run(&["undo", &newest(&desk)]).with(0);
    assert!(std::fs::read(desk.path("state/large")).expect("it is there") == large);
}

#[test]
fn a_kept_object_that_was_tampered_with_is_not_put_back() {
    let desk = Desk::new();
    desk.write("state/large", vec![7; 100_000]);
    let text = format!(
        "kstate.store.open(\"{}\"):write('large', 'small')",
        desk.arg("state")
    );
    desk.run(&["run", &script(&desk, &text)]).with(0);
    let id = newest(&desk);
    let folder = desk
        .path(".local/state/kstate/journal")
        .join(&id)
        .join("objects");
    let file = std::fs::read_dir(folder)
        .expect("objects")
        .next()
        .expect("one")
        .expect("an entry");
    std::fs::write(file.path(), vec![8; 100_000]).expect("written");
    desk.run(&["undo", &id]).with(5);
    assert_eq!(desk.read("state/large"), "small");
}

#[test]
fn a_versioned_bucket_keeps_the_old_bytes_itself() {
    let desk = Desk::new();
    let double = S3Double::builder().bucket("bucket").start();
    double.enable_versioning("bucket");
    double.put("bucket", "changed", vec![1; 200_000]);
    double.put("bucket", "deleted", "old");
    let text = r#"
        local s = kstate.store.open("s3://bucket")
        s:write("changed", "new")
        s:delete("deleted")
    "#;
    on(&desk, &double, &["run", &script(&desk, text)]).with(0);
    let id = newest(&desk);
    let kept: usize = desk
        .tree(".local/state/kstate/journal")
        .values()
        .map(Vec::len)
        .sum();
    assert!(kept < 20_000, "{kept} bytes");
    on(&desk, &double, &["undo", &id]).with(0);
    assert_eq!(
        double.get("bucket", "changed").expect("it is there").len(),
        200_000
    );
    assert_eq!(double.get("bucket", "deleted").expect("it is there"), "old");
}

#[test]
fn what_undo_could_not_restore_is_said_and_refused_on_demand() {
    let desk = Desk::new();
    let huge = std::fs::File::create(desk.path("huge")).expect("a file");
    huge.set_len(300 << 20).expect("a sparse file");
    desk.write("state/other", "x");
    std::fs::rename(desk.path("huge"), desk.path("state/huge")).expect("renamed");
    let text = format!(
        "kstate.store.open(\"{}\"):delete('huge')",
        desk.arg("state")
    );
    let script = script(&desk, &text);
    desk.run(&["--require-undo", "run", &script])
        .with(1)
        .says("undo could not restore it");
    assert!(desk.path("state/huge").exists());
    desk.run(&["run", &script])
        .with(0)
        .says("undo could not restore it");
    desk.run(&["undo", &newest(&desk)]).with(5).says("huge");
}

#[test]
fn what_was_there_before_is_not_taken_for_a_write_of_the_run() {
    let desk = Desk::new();
    desk.write("state/a", "same");
    let text = format!(
        r#"local s = kstate.store.open("{}")
           local written, conflict = s:write("a", "same", {{ if_absent = true }})
           assert(not written and conflict)
           s:write("b", "1")"#,
        desk.arg("state")
    );
    desk.run(&["run", &script(&desk, &text)]).with(0);
    let id = newest(&desk);
    let told = desk.run(&["history", "show", &id]).with(0).stdout;
    assert!(!told.contains("state/a"), "{told}");
    // Interrupted after the first line, so that nothing says how it ended.
    let folder = format!(".local/state/kstate/journal/{id}");
    let log = desk.read(&format!("{folder}/log.jsonl"));
    assert!(!log.contains("\"key\":\"a\""), "{log}");
    desk.run(&["undo", &id]).with(0);
    assert_eq!(desk.read("state/a"), "same");
    assert!(!desk.path("state/b").exists());
}

#[test]
fn where_nothing_is_compared_runs_applies_and_undos_look_before_they_write() {
    let desk = Desk::new();
    let spaces = S3Double::builder()
        .personality(Personality::Spaces)
        .bucket("bucket");
    let double = spaces.start();
    double.put("bucket", "changed", "old");
    double.put("bucket", "deleted", "old");
    let before = bucket(&double, "bucket");
    let script = script(
        &desk,
        r#"local s = kstate.store.open("s3://bucket")
           s:write("changed", "new") s:write("created", "new") s:delete("deleted")"#,
    );
    on(&desk, &double, &["run", &script]).with(0);
    let after = bucket(&double, "bucket");
    assert_ne!(after, before);
    on(&desk, &double, &["undo", &newest(&desk)]).with(0);
    assert_eq!(bucket(&double, "bucket"), before);
    let plan = desk.arg("plan");
    on(&desk, &double, &["plan", &script, "-o", &plan]).with(6);
    on(&desk, &double, &["apply", &plan, "--yes"]).with(0);
    assert_eq!(bucket(&double, "bucket"), after);
    double.put("bucket", "changed", "theirs");
    on(&desk, &double, &["undo", &newest(&desk)]).with(4);
    let mut theirs = before.clone();
    theirs.insert("changed".to_owned(), b"theirs".to_vec());
    assert_eq!(bucket(&double, "bucket"), theirs);
}

/// As on a disk that is full: no file may grow beyond a limit, in blocks of 1 KiB.
fn limited(desk: &Desk, blocks: u32, args: &[&str]) -> Ended {
    let kstate = desk.kstate(args);
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\""])
        .arg(blocks.to_string())
        .arg(kstate.get_program())
        .args(kstate.get_args())
        .current_dir(kstate.get_current_dir().unwrap_or(&desk.path("")))
        .envs(
            kstate
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    Ended::of(shell)
}

#[test]
fn a_journal_on_a_full_disk_stops_the_run_and_can_be_taken_back() {
    let desk = Desk::new();
    for n in 0..40 {
        desk.write(&format!("state/{n:02}"), vec![b'x'; 20_000]);
    }
    let before = desk.tree("state");
    let text = format!(
        r#"local s = kstate.store.open("{}")
           for n = 0, 39 do s:write(("%02d"):format(n), "new") end"#,
        desk.arg("state")
    );
    let script = script(&desk, &text);
    let ended = limited(&desk, 300, &["run", &script]).with(1);
    ended.says("write the journal");
    let changed = desk.tree("state");
    let new = changed.values().filter(|bytes| *bytes == b"new").count();
    assert!((1..40).contains(&new), "{new}");
    desk.run(&["undo", &newest(&desk)]).with(0);
    assert_eq!(desk.tree("state"), before);
}

#[test]
fn an_unknown_run_is_named() {
    let desk = Desk::new();
    desk.run(&["undo", "123"])
        .with(1)
        .says("there is no run '123'");
    edit(&desk);
    desk.run(&["undo", ""]).with(1);
}

#[test]
fn metadata_comes_back_too() {
    let desk = Desk::new();
    let double = S3Double::builder().bucket("bucket").start();
    let text = r#"
        local s = kstate.store.open("s3://bucket")
        s:write("a", "1", { content_type = "text/x-a" })
    "#;
    on(&desk, &double, &["run", &script(&desk, text)]).with(0);
    on(
        &desk,
        &double,
        &[
            "run",
            &script(&desk, "kstate.store.open('s3://bucket'):write('a', '2')"),
        ],
    )
    .with(0);
    on(&desk, &double, &["undo", &newest(&desk)]).with(0);
    let stat = on(&desk, &double, &["stat", "s3://bucket/a", "--json"]).with(0);
    stat.says("text/x-a");
}
