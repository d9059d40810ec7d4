//! A plan is only good for what it was computed from: one test for each way in which that can
//! change.

use super::script;
use crate::support::{Desk, Ended};

/// Plans a script over a small store, lets the world change, and applies.
fn applied_after(body: &str, change: impl FnOnce(&Desk)) -> (Desk, Ended) {
    let desk = Desk::new();
    for (key, text) in [
        ("a/one", "1"),
        ("a/two", "2"),
        ("b/three", "3"),
        ("target", "old"),
    ] {
        desk.write(&format!("state/{key}"), text);
    }
    let text = format!(
        "local s = kstate.store.open(\"{}\")\n{body}",
        desk.arg("state")
    );
    let script = script(&desk, &text);
    let plan = desk.arg("plan");
    desk.run(&["plan", &script, "-o", &plan]).with(6);
    change(&desk);
    let before = desk.tree("state");
    let ended = desk.run(&["apply", &plan, "--yes"]);
    if ended.code == Some(4) {
        assert_eq!(
            desk.tree("state"),
            before,
            "nothing is written when it is refused"
        );
    }
    (desk, ended)
}

#[track_caller]
fn refused(body: &str, change: impl FnOnce(&Desk), words: &str) {
    let (_, ended) = applied_after(body, change);
    ended.with(4).says(words);
}

const READS_ONE: &str = "s:write('new', s:read('a/one'))";

#[test]
fn an_object_that_was_read_and_changed() {
    refused(
        READS_ONE,
        |desk| desk.write("state/a/one", "9"),
        "a/one was changed",
    );
}

#[test]
fn an_object_that_was_read_and_written_again_with_the_same_bytes() {
    refused(
        READS_ONE,
        |desk| {
            std::fs::remove_file(desk.path("state/a/one")).expect("removed");
            desk.write("state/a/one", "1");
        },
        "a/one was changed",
    );
}

#[test]
fn an_object_that_was_read_and_is_gone() {
    refused(
        READS_ONE,
        |desk| {
            std::fs::remove_file(desk.path("state/a/one")).expect("removed");
        },
        "a/one is gone",
    );
}

#[test]
fn an_object_that_was_missing_and_came() {
    let body = "assert(not s:read('a/none')); s:write('new', 'x')";
    refused(body, |desk| desk.write("state/a/none", ""), "a/none is new");
    let body = "assert(not s:exists('a/none')); s:write('new', 'x')";
    refused(body, |desk| desk.write("state/a/none", ""), "a/none is new");
}

#[test]
fn an_object_that_was_looked_at() {
    let body = "s:write('new', tostring(s:stat('a/one').size))";
    refused(
        body,
        |desk| desk.write("state/a/one", "longer"),
        "a/one was changed",
    );
}

const LISTS: &str = "local n = 0 for _ in s:walk('a') do n = n + 1 end s:write('new', tostring(n))";

#[test]
fn a_listing_with_a_new_object() {
    refused(
        LISTS,
        |desk| desk.write("state/a/more", ""),
        "a/more is new",
    );
    refused(
        LISTS,
        |desk| desk.write("state/a/deep/er", ""),
        "a/deep/er is new",
    );
}

#[test]
fn a_listing_that_lost_an_object() {
    refused(
        LISTS,
        |desk| {
            std::fs::remove_file(desk.path("state/a/two")).expect("removed");
        },
        "a/two is gone",
    );
}

#[test]
fn a_listing_with_a_changed_object() {
    refused(
        LISTS,
        |desk| desk.write("state/a/two", "22"),
        "a/two was changed",
    );
}

#[test]
fn a_folder_that_came_to_a_listing_of_one_level() {
    let body = "for e in s:list() do s:write('last', e.key or e.prefix) end";
    refused(body, |desk| desk.write("state/c/new", ""), "c/ is new");
    refused(
        body,
        |desk| {
            std::fs::remove_dir_all(desk.path("state/b")).expect("removed");
        },
        "b/ is gone",
    );
}

#[test]
fn a_target_that_came_changed_or_went() {
    refused(
        "s:write('new', 'x')",
        |desk| desk.write("state/new", "theirs"),
        "new is new",
    );
    refused(
        "s:write('target', 'x')",
        |desk| desk.write("state/target", "theirs"),
        "target was changed",
    );
    refused(
        "s:write('target', 'x')",
        |desk| {
            std::fs::remove_file(desk.path("state/target")).expect("removed");
        },
        "target is gone",
    );
    refused(
        "s:delete('target')",
        |desk| desk.write("state/target", "theirs"),
        "target was changed",
    );
}

#[test]
fn a_source_of_a_copy_that_changed() {
    let body = "s:copy('a/one', s, 'copy')";
    refused(
        body,
        |desk| desk.write("state/a/one", "9"),
        "a/one was changed",
    );
}

#[test]
fn a_store_that_is_another_one_now() {
    let desk = Desk::new();
    desk.write("one/a", "1");
    std::os::unix::fs::symlink(desk.path("one"), desk.path("link")).expect("a link");
    let text = format!(
        "kstate.store.open(\"{}\"):write('b', '2')",
        desk.arg("link")
    );
    let script = script(&desk, &text);
    let plan = desk.arg("plan");
    desk.run(&["plan", &script, "-o", &plan]).with(6);
    std::fs::create_dir(desk.path("two")).expect("a folder");
    std::fs::remove_file(desk.path("link")).expect("removed");
    std::os::unix::fs::symlink(desk.path("two"), desk.path("link")).expect("a link");
    let ended = desk.run(&["apply", &plan, "--yes"]);
    assert_ne!(ended.code, Some(0));
    assert_eq!((desk.tree_size("one"), desk.tree_size("two")), (1, 0));
}

#[test]
fn what_the_plan_did_not_look_at_may_change() {
    let (desk, ended) = applied_after(READS_ONE, |desk| {
        desk.write("state/a/two", "changed");
        desk.write("state/a/more", "new");
        desk.write("state/.kstate/locks/other", "{}");
    });
    ended.with(0);
    assert_eq!(desk.read("state/new"), "1");
}

#[test]
fn objects_of_kstate_itself_are_no_inputs_wherever_they_lie() {
    let body = "local n = 0 for _ in s:walk() do n = n + 1 end s:write('n', tostring(n))";
    let (_, ended) = applied_after(body, |desk| {
        desk.write("state/.kstate/locks/other", "{}");
        desk.write("state/a/.kstate/locks/other", "{}");
    });
    ended.with(0);
}

#[test]
fn a_level_that_was_listed_after_a_write_is_an_input_and_no_more() {
    let body = "s:write('new', '1') s:delete('b/three') \
        local n = {} for e in s:list() do n[#n + 1] = e.prefix or e.key end \
        s:write('names', table.concat(n, ' '))";
    let deeper = |desk: &Desk| desk.write("state/a/deep/er", "x");
    let (desk, ended) = applied_after(body, deeper);
    ended.with(0);
    assert_eq!(desk.read("state/names"), "a/ new target");
    refused(body, |desk| desk.write("state/c/x", "x"), "c/ is new");
    refused(body, |desk| desk.write("state/b/x", "x"), "b/x is new");
}

#[test]
fn json_lists_what_changed() {
    let (desk, _) = applied_after(READS_ONE, |desk| desk.write("state/a/one", "9"));
    let ended = desk
        .run(&["apply", &desk.arg("plan"), "--yes", "--json"])
        .with(4);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(told["stale"][0]["key"], "a/one");
}
