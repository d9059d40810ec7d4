//! What is known of runs afterwards.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use super::{history, newest, script};
use crate::support::Desk;

fn write_one(desk: &Desk, key: &str) {
    let text = format!(
        "kstate.store.open(\"{}\"):write('{key}', '1')",
        desk.arg("state")
    );
    desk.run(&["run", &script(desk, &text)]).with(0);
}

#[test]
fn runs_are_listed_the_newest_first() {
    let desk = Desk::new();
    assert!(history(&desk).is_empty());
    for key in ["a", "b", "c"] {
        write_one(&desk, key);
    }
    let runs = history(&desk);
    assert_eq!(runs.len(), 3);
    let started: Vec<_> = runs
        .iter()
        .map(|run| run["started"].as_str().expect("a time"))
        .collect();
    assert!(started.is_sorted_by(|a, b| a >= b), "{started:?}");
    let shown = desk.run(&["history", "show", &newest(&desk)]).with(0);
    shown.says("/state/c");
    assert_eq!(runs[0]["created"], 1);
    assert_eq!(runs[0]["state"], "done");
}

#[test]
fn a_journal_is_for_its_owner_alone() {
    let desk = Desk::new();
    desk.write("state/a", "old");
    write_one(&desk, "a");
    let folder = desk.path(".local/state/kstate/journal").join(newest(&desk));
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).expect("the journal") {
        let path = entry.expect("an entry").path();
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), wanted, "{}", path.display());
    }
}

#[test]
fn a_run_says_what_it_changed_and_how_to_undo_it() {
    let desk = Desk::new();
    for key in ["a", "b"] {
        desk.write(&format!("state/{key}"), "old");
    }
    let text = format!(
        "local s = kstate.store.open(\"{}\")
         for _, k in ipairs {{ 'x', 'y', 'z' }} do s:write(k, k) end
         s:write('a', 'new')
         s:delete('b')
         s:delete('never')",
        desk.arg("state")
    );
    let ended = desk.run(&["run", &script(&desk, &text)]).with(0);
    let id = newest(&desk);
    ended.says(&format!(
        "3 created, 1 changed, 1 deleted; undo with: kstate undo {id}"
    ));
}

#[test]
fn a_run_that_changes_nothing_leaves_no_journal() {
    let desk = Desk::new();
    desk.run(&[
        "run",
        &script(&desk, "kstate.store.open('memfs://x'):write('a', '1')"),
    ])
    .with(0);
    let ended = desk.run(&["run", &script(&desk, "return")]).with(0);
    assert_eq!(ended.stderr, "");
    assert!(history(&desk).is_empty());
}

#[test]
fn secrets_on_the_command_line_are_not_kept() {
    let desk = Desk::new();
    let text = format!(
        "kstate.store.open(\"{}\"):write('a', '1')",
        desk.arg("state")
    );
    let script = script(&desk, &text);
    desk.run(&["run", &script, "--password=s3cr3t", "--api-token", "s3cr3t"])
        .with(0);
    let plan = desk.arg("plan");
    desk.run(&["plan", &script, "--password", "s3cr3t", "-o", &plan]);
    assert!(!desk.read("plan").contains("s3cr3t"));
    let all = desk.tree(".local/state/kstate/journal");
    assert!(!all.is_empty());
    for (name, bytes) in all {
        assert!(
            !String::from_utf8_lossy(&bytes).contains("s3cr3t"),
            "{name}"
        );
    }
}

#[test]
fn behind_a_run_journals_are_pruned_once_an_hour() {
    let desk = Desk::new();
    let journals = desk.path(".local/state/kstate/journal");
    let aged = |path: &std::path::Path, hours: u64| {
        let file = std::fs::File::options().append(true).open(path);
        let then = SystemTime::now() - Duration::from_hours(hours);
        file.and_then(|file| file.set_modified(then))
            .expect("it is there");
    };
    write_one(&desk, "a");
    let old = newest(&desk);
    aged(&journals.join(&old).join("end.json"), 91 * 24);
    write_one(&desk, "b");
    assert_eq!(history(&desk).len(), 2, "that was done within the hour");
    aged(&journals.join(".pruned"), 2);
    write_one(&desk, "c");
    let runs = history(&desk);
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run["id"] != *old));
}

#[test]
fn journals_are_pruned_by_age_and_size() {
    let desk = Desk::new();
    for key in ["a", "b", "c"] {
        write_one(&desk, key);
    }
    let keep = newest(&desk);
    desk.run(&["history", "prune"]).with(0);
    assert_eq!(history(&desk).len(), 3, "nothing is old or large");
    let one = desk.tree(".local/state/kstate/journal");
    let size: usize = one
        .iter()
        .filter(|(name, _)| name.starts_with(&keep))
        .map(|(_, b)| b.len())
        .sum();
    desk.run(&[
        "history",
        "prune",
        "--larger-than",
        &(size + 10).to_string(),
    ])
    .with(0);
    assert_eq!(history(&desk).len(), 1);
    assert_eq!(newest(&desk), keep);
    desk.run(&["history", "prune", "--larger-than", "1"])
        .with(0);
    assert_eq!(
        newest(&desk),
        keep,
        "the newest run stays however large it is"
    );
    desk.run(&["history", "prune", "--older-than", "0s"])
        .with(0);
    assert!(history(&desk).is_empty());
}

#[test]
fn without_a_journal_nothing_is_kept() {
    let desk = Desk::new();
    let text = format!(
        "kstate.store.open(\"{}\"):write('a', '1')",
        desk.arg("state")
    );
    let ended = desk
        .run(&["--no-journal", "run", &script(&desk, &text)])
        .with(0);
    assert!(!ended.stderr.contains("undo"), "{}", ended.stderr);
    assert!(history(&desk).is_empty());
}

#[test]
fn a_journal_that_cannot_be_written_stops_the_first_write() {
    let desk = Desk::new();
    desk.write("file", "in the way");
    let text = format!(
        "kstate.store.open(\"{}\"):write('a', '1')",
        desk.arg("state")
    );
    let mut run = desk.kstate(&["run", &script(&desk, &text)]);
    run.env("XDG_STATE_HOME", desk.path("file"));
    let ended = crate::support::Ended::of(run);
    ended.with(1).says("--no-journal");
    assert_eq!(desk.tree_size("state"), 0);
}

#[test]
fn without_a_home_only_a_run_that_changes_something_is_warned() {
    let desk = Desk::new();
    desk.write("state/a", "1");
    let homeless = |args: &[&str]| {
        let mut run = desk.kstate(args);
        run.env_remove("HOME");
        crate::support::Ended::of(run).with(0)
    };
    assert_eq!(homeless(&["ls", &desk.arg("state")]).stderr, "");
    homeless(&["rm", &desk.arg("state/a")]).says("set HOME or XDG_STATE_HOME");
    desk.write("state/a", "1");
    let mut run = desk.kstate(&["--require-undo", "rm", &desk.arg("state/a")]);
    run.env_remove("HOME");
    crate::support::Ended::of(run).with(3);
    assert!(desk.path("state/a").exists());
}
