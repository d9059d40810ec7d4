//! Applies and undos that are run once more, or only rehearsed.

use super::{history, newest, script};
use crate::support::Desk;

fn edited() -> (Desk, String) {
    let desk = Desk::new();
    for key in ["a", "b", "c"] {
        desk.write(&format!("state/{key}"), "old");
    }
    let text = format!(
        "local s = kstate.store.open(\"{}\")\n\
         for _, k in ipairs({{\"a\", \"b\", \"c\"}}) do s:write(k, \"new\") end",
        desk.arg("state")
    );
    desk.run(&["run", &script(&desk, &text)]).with(0);
    let id = newest(&desk);
    (desk, id)
}

/// What is left of a journal when its run is killed in the middle.
fn interrupt(desk: &Desk, id: &str, lines: usize) {
    let folder = format!(".local/state/kstate/journal/{id}");
    let log = desk.read(&format!("{folder}/log.jsonl"));
    let kept: String = log.split_inclusive('\n').take(lines).collect();
    desk.write(&format!("{folder}/log.jsonl"), kept);
    std::fs::remove_file(desk.path(&format!("{folder}/end.json"))).expect("removed");
}

#[test]
fn a_run_that_was_taken_back_is_left_alone() {
    let (desk, id) = edited();
    desk.run(&["undo", &id]).with(0);
    desk.run(&["undo", &id])
        .with(0)
        .says("was taken back already: nothing to do");
    assert_eq!(history(&desk).len(), 2);
}

#[test]
fn an_undo_of_an_undo_can_be_followed_by_an_undo() {
    let (desk, id) = edited();
    desk.run(&["undo", &id]).with(0);
    desk.run(&["undo", &newest(&desk)]).with(0);
    assert_eq!(desk.read("state/a"), "new");
    assert_eq!(history(&desk)[2]["state"], "done");
    desk.run(&["undo", &id]).with(0);
    assert_eq!(desk.read("state/a"), "old");
}

#[test]
fn a_rehearsed_undo_tells_what_would_come_of_it_and_writes_nothing() {
    let (desk, id) = edited();
    desk.write("state/b", "theirs");
    let before = (desk.tree("state"), desk.tree(".local"));
    let ended = desk.run(&["undo", &id, "--dry-run"]).with(4);
    ended.says("2 objects would be put back");
    ended.says("state/b");
    assert_eq!((desk.tree("state"), desk.tree(".local")), before);
}

#[test]
fn a_rehearsed_apply_knows_what_was_done_before() {
    let desk = Desk::new();
    let text = format!(
        "local s = kstate.store.open(\"{}\")\n\
         s:write(\"a\", \"1\") s:write(\"b\", \"2\")",
        desk.arg("state")
    );
    desk.write("state/other", "x");
    let plan = desk.arg("plan");
    desk.run(&["plan", &script(&desk, &text), "-o", &plan])
        .with(6);
    desk.run(&["apply", &plan, "--yes"]).with(0);
    let id = newest(&desk);
    std::fs::remove_file(desk.path("state/b")).expect("removed");
    // The store, and what was begun and ended of the first step.
    interrupt(&desk, &id, 3);
    let before = (desk.tree("state"), desk.tree(".local"));
    let ended = desk.run(&["apply", &plan, "--yes", "--dry-run"]).with(6);
    ended.says("1 step of the plan is done already");
    ended.says("1 change would be made; nothing was written");
    assert_eq!(ended.stdout, "", "and no more than that");
    assert_eq!((desk.tree("state"), desk.tree(".local")), before);
    desk.run(&["apply", &plan, "--yes"]).with(0);
    assert_eq!(desk.read("state/b"), "2");
    assert_eq!(history(&desk).len(), 1);
    assert_eq!(history(&desk)[0]["state"], "done");
}

#[test]
fn a_plan_is_applied_once() {
    let (desk, _) = edited();
    let text = format!(
        "kstate.store.open(\"{}\"):write(\"d\", \"1\")",
        desk.arg("state")
    );
    let plan = desk.arg("plan");
    desk.run(&["plan", &script(&desk, &text), "-o", &plan])
        .with(6);
    desk.run(&["apply", &plan, "--yes"]).with(0);
    desk.run(&["apply", &plan, "--yes"])
        .with(0)
        .says("all of the plan is done already");
    let applied = newest(&desk);
    desk.run(&["undo", &applied]).with(0);
    desk.run(&["apply", &plan, "--yes"]).with(0);
    assert_eq!(desk.read("state/d"), "1");
}

#[test]
fn a_script_that_refused_or_failed_is_not_done() {
    let desk = Desk::new();
    desk.write("state/x", "1");
    let text = format!(
        "kstate.store.open(\"{}\"):write(\"d\", \"1\") kstate.exit(3)",
        desk.arg("state")
    );
    desk.run(&["run", &script(&desk, &text)]).with(3);
    assert_ne!(history(&desk)[0]["state"], "done");
}
