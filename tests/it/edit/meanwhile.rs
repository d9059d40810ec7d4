//! What somebody else does while the editor is open.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::{IG, NODES, at_a_terminal, command, desk, edit, go_on, kept, rounds};
use crate::lock::command::held;

/// A script that somebody else's change is part of.
fn both(theirs: &str, ours: &str) -> String {
    format!("sed -i '{theirs}' '{NODES}'\nsed -i '{ours}' \"$1\"")
}

#[test]
fn another_change_is_merged() {
    let desk = desk();
    let before = desk.read(NODES);
    let script = both("s/maxSize: 3/maxSize: 5/", "s/Sized/Grown/");
    let ended = edit(&desk, &script, &IG).with(0);
    ended.says("merged with what somebody else changed");
    let expected = before
        .replace("maxSize: 3", "maxSize: 5")
        .replace("Sized", "Grown");
    assert_eq!(desk.read(NODES), expected);
    let script = both("s/maxSize: 5/maxSize: 6/", "s/Grown/Sized/");
    let ended = edit(&desk, &script, &[&IG[..], &["--json"]].concat()).with(0);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (&json["changed"], &json["merged"]),
        (&true.into(), &true.into())
    );
    let script = both("s/maxSize: 6/maxSize: 7/", "s/maxSize: 6/maxSize: 7/");
    edit(&desk, &script, &IG)
        .with(0)
        .says("somebody else made the same change");
}

#[test]
fn what_is_wrong_only_together_is_an_error_too() {
    let desk = desk();
    let base = desk.read(NODES).replace("minSize: 3", "minSize: 1");
    desk.write(NODES, base.replace("maxSize: 3", "maxSize: 9"));
    let script = format!(
        "case $round in
          1) sed -i 's/maxSize: 9/maxSize: 4/' '{NODES}'; sed -i 's/minSize: 1/minSize: 6/' \"$1\" ;;
          2) sed -i 's/minSize: 6/minSize: 3/' \"$1\" ;;
        esac"
    );
    let ended = edit(&desk, &script, &IG).with(0);
    ended.says("merged with what somebody else changed");
    let shown = desk.read("shown.2");
    assert!(shown.contains("maxSize: 4\n  minSize: 6\n"), "{shown}");
    assert!(
        shown.contains("spec.minSize 6 is more than spec.maxSize 4"),
        "{shown}"
    );
    assert!(desk.read(NODES).contains("maxSize: 4\n  minSize: 3\n"));
}

#[test]
fn what_both_changed_is_shown_and_kept_with_both_sides() {
    let desk = desk();
    let script = both("s/maxSize: 3/maxSize: 5/", "s/maxSize: 3/maxSize: 7/");
    let ended = edit(&desk, &script, &IG).with(4);
    ended.says("spec.maxSize: yours 7, in the store 5, before 3");
    assert_eq!(rounds(&desk), 1, "a program is not asked again");
    let theirs = desk.read(NODES);
    assert!(theirs.contains("maxSize: 5"));
    let (path, text) = kept(&desk).pop().expect("it is kept");
    let conflict = "<<<<<<< yours\n  maxSize: 7\n=======\n  maxSize: 5\n>>>>>>> in the store\n";
    assert!(text.contains(conflict), "{text}");
    // It goes on from what is there now. A marker that is left is an error.
    let from = [&IG[..], &["--from", &path]].concat();
    edit(&desk, "sed -i '/^[<>]/d' \"$1\"", &from).with(1);
    let (path, text) = kept(&desk).pop().expect("it is kept");
    assert!(text.contains("=======") && !text.contains("<<<"), "{text}");
    let from = [&IG[..], &["--from", &path]].concat();
    let ended = edit(
        &desk,
        "sed -i '/^====/d; /maxSize: 7/d' \"$1\"; sed -i 's/maxSize: 5/maxSize: 6/' \"$1\"",
        &from,
    )
    .with(0);
    assert!(!ended.stderr.contains("merged"), "{}", ended.stderr);
    assert_eq!(desk.read(NODES), theirs.replace("maxSize: 5", "maxSize: 6"));
    assert_eq!(kept(&desk), []);
}

#[test]
fn a_person_is_shown_both_sides_in_the_editor() {
    let desk = desk();
    let script = format!(
        "case $round in
          1) sed -i 's/maxSize: 3/maxSize: 5/' '{NODES}'; sed -i 's/maxSize: 3/maxSize: 7/' \"$1\" ;;
          2) sed -i '/^[<>=]/d; /maxSize: 5/d' \"$1\" ;;
        esac"
    );
    let run = command(&desk, &script, &IG);
    let ended = at_a_terminal(&run).with(0);
    ended.says("is written");
    let shown = desk.read("shown.2");
    assert!(
        shown.starts_with("# kstate| Somebody else changed the same"),
        "{shown}"
    );
    assert!(
        shown.contains("spec.maxSize: yours 7, in the store 5"),
        "{shown}"
    );
    assert!(desk.read(NODES).contains("maxSize: 7\n  minSize"));
    assert_eq!(kept(&desk), []);
    // Who leaves it as it is gives up.
    let again = format!(
        "[ $round = 4 ] || {{ {} ; }}",
        both("s/maxSize: 7/maxSize: 8/", "s/maxSize: 7/maxSize: 9/").replace('\n', "; ")
    );
    let run = command(&desk, &again, &IG);
    at_a_terminal(&run).with(4).says("yours 9, in the store 8");
    assert_eq!((rounds(&desk), kept(&desk).len()), (4, 1));
}

#[test]
fn an_object_that_was_deleted_is_a_conflict_and_can_be_made_anew() {
    let desk = desk();
    let before = desk.read(NODES);
    let script = format!("rm '{NODES}'; sed -i 's/maxSize: 3/maxSize: 7/' \"$1\"");
    let ended = edit(&desk, &script, &[&IG[..], &["--json"]].concat()).with(4);
    ended.says("somebody else deleted ");
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (&json["changed"], &json["conflict"]),
        (&false.into(), &true.into())
    );
    assert!(!desk.path(NODES).exists());
    // Nothing is made anew by somebody who only looks.
    let ended = edit(&desk, "true", &go_on(&ended)).with(1);
    ended.says("a conflict marker is left");
    edit(&desk, "sed -i '/^[<>=]/d' \"$1\"", &go_on(&ended)).with(0);
    assert_eq!(desk.read(NODES), before.replace("maxSize: 3", "maxSize: 7"));
    assert_eq!(kept(&desk), []);
    // What was kept for another reason goes on, too, when the object is gone by then.
    let ended = edit(&desk, "echo '# x' >> \"$1\"; exit 1", &IG).with(1);
    std::fs::remove_file(desk.path(NODES)).expect("it is there");
    let ended = edit(&desk, "true", &go_on(&ended)).with(4);
    ended.says("somebody else deleted ");
    edit(&desk, "sed -i '/^[<>=]/d' \"$1\"", &go_on(&ended)).with(0);
    assert!(desk.read(NODES).ends_with("# x\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_is_taken_to_write_and_waited_for() {
    let desk = desk();
    let state = desk.arg("state");
    let guard = held(&desk, None, &state, "store").await;
    let before = desk.read(NODES);
    // Nobody need wait to look, nor to hear of a mistake.
    edit(&desk, "true", &[&IG[..], &["--lock-wait", "0s"]].concat()).with(0);
    let script = "sed -i 's/maxSize: 3/maxSize: 5/' \"$1\"";
    let ended = edit(&desk, script, &[&IG[..], &["--lock-wait", "0s"]].concat()).with(4);
    ended.says(&format!("pid {}", std::process::id()));
    assert_eq!(desk.read(NODES), before);
    let (path, text) = kept(&desk).pop().expect("it is kept");
    ended.says(&path);
    assert!(text.contains("maxSize: 5"));

    // What was kept needs no further change to be written.
    let mut run = command(&desk, "true", &[&IG[..], &["--from", &path]].concat());
    run.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = run.spawn().expect("the binary runs");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let line = said.next().expect("a line").expect("text");
    assert!(
        line.starts_with("waiting for the lock 'store' on "),
        "{line}"
    );
    guard.release().await;
    let more: Vec<_> = said.map_while(Result::ok).collect();
    assert!(child.wait().expect("it ends").success(), "{more:?}");
    assert!(desk.read(NODES).contains("maxSize: 5"));
    assert_eq!(kept(&desk), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_lock_can_stop_and_loses_nothing() {
    let desk = desk();
    let guard = held(&desk, None, &desk.arg("state"), "store").await;
    let mut run = command(&desk, "sed -i 's/maxSize: 3/maxSize: 5/' \"$1\"", &IG);
    run.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = run.spawn().expect("the binary runs");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let line = said.next().expect("a line").expect("text");
    assert!(line.starts_with("waiting for the lock"), "{line}");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let more: Vec<_> = said.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let (path, text) = kept(&desk).pop().expect("it is kept");
    assert!(more.iter().any(|line| line.contains(&path)), "{more:?}");
    assert!(text.contains("maxSize: 5"));
    guard.release().await;
}
