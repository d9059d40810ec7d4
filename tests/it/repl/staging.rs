//! Changes at the prompt wait until they are committed.

use super::terminal::Person;
use crate::support::Desk;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write(
        "state/c.example.com/config",
        "spec:\n  kubernetesVersion: 1.33.0\n",
    );
    desk
}

fn person(desk: &Desk, args: &[&str]) -> Person {
    let mut person = Person::at(desk, &[&["repl"], args].concat());
    person.enter(&format!("s = store.open('{}')", desk.arg("state")));
    person
}

const CHANGE: &str =
    "s:write('c.example.com/config', (s:read('c.example.com/config'):gsub('1.33.0', '1.34.0')))";

#[test]
fn changes_wait_for_a_commit_which_can_be_undone() {
    let desk = desk();
    let before = desk.read("state/c.example.com/config");
    let mut person = person(&desk, &[]);
    assert_eq!(
        person.enter(CHANGE).last().expect("a prompt"),
        "kstate (1 staged)>"
    );
    assert_eq!(
        person
            .enter("s:write('new', 'text')")
            .last()
            .expect("a prompt"),
        "kstate (2 staged)>"
    );
    assert_eq!(person.enter("s:read('new')")[0], "\"text\"");
    assert_eq!(desk.read("state/c.example.com/config"), before);
    let shown = person.enter(":diff").join("\n");
    assert!(shown.contains("-  kubernetesVersion: 1.33.0\n"), "{shown}");
    let shown = person.enter(":plan").join("\n");
    assert!(
        shown.contains("1.33.0 → 1.34.0") && shown.contains("Do it with: :commit"),
        "{shown}"
    );
    let saved = desk.arg("saved.plan");
    person.enter(&format!(":plan {saved}"));
    desk.run(&["plan", "show", &saved])
        .with(6)
        .says("1.33.0 → 1.34.0");
    assert_eq!(person.enter(":drop"), ["2 changes dropped", "kstate>"]);
    assert_eq!(person.enter("s:read('new')")[0], "nil");
    person.enter(CHANGE);
    let shown = person.enter(":commit").join("\n");
    assert!(
        desk.read("state/c.example.com/config").contains("1.34.0"),
        "{shown}"
    );
    assert!(!desk.path("state/new").exists());
    let (_, id) = shown.split_once("kstate undo ").expect(&shown);
    let id = id.split_whitespace().next().expect("an id").to_owned();
    assert_eq!(
        person.enter("s:read('c.example.com/config'):match('1.34.0')")[0],
        "\"1.34.0\""
    );
    person.enter("s:delete('c.example.com/config')");
    let shown = person.enter(":commit").join("\n");
    assert!(!desk.path("state/c.example.com/config").exists(), "{shown}");
    assert_eq!(desk.tree(".local/state/kstate/staged").len(), 0);
    person.press("\u{4}");
    assert_eq!(person.ends(), Some(0));
    desk.run(&["undo", &id]).with(4);
}

#[test]
fn leaving_with_staged_changes_asks() {
    let desk = desk();
    let mut person = person(&desk, &[]);
    person.enter("s:write('new', 'text')");
    person.press("\u{4}");
    person.sees("1 staged change would be lost: (c)ommit, (d)rop or (s)tay?");
    person.press("\r");
    person.prompt();
    person.press(":quit\r");
    person.sees("or (s)tay?");
    person.press("d\r");
    assert_eq!(person.ends(), Some(0));
    assert!(!desk.path("state/new").exists());

    let mut person = super::staging::person(&desk, &[]);
    person.enter("s:write('new', 'text')");
    person.press("kstate.exit(3)\r");
    person.sees("or (s)tay?");
    person.press("c\r");
    assert_eq!(person.ends(), Some(3));
    assert_eq!(desk.read("state/new"), "text");

    let mut person = super::staging::person(&desk, &[]);
    person.enter("s:write('kept', 'text')");
    person.press("\u{4}");
    person.sees("or (s)tay?");
    person.press("\u{4}");
    person.sees("the staged changes are kept; do them with: kstate apply ");
    assert_eq!(person.ends(), Some(0));
    let (plan, _) = desk
        .tree(".local/state/kstate/staged")
        .pop_first()
        .expect("a plan");
    let plan = desk.arg(&format!(".local/state/kstate/staged/{plan}"));
    desk.run(&["apply", &plan, "--yes"]).with(0);
    assert_eq!(desk.read("state/kept"), "text");
}

#[test]
fn what_somebody_else_changed_is_never_overwritten() {
    let desk = desk();
    desk.write("state/other", "1");
    let mut person = person(&desk, &[]);
    // It was looked at only.
    person.enter("s:read('other')");
    person.enter(CHANGE);
    desk.write("state/other", "22");
    person.press(":commit\r");
    person.sees("Commit all the same? [y/N]");
    person.press("n\r");
    person.prompt();
    assert!(desk.read("state/c.example.com/config").contains("1.33.0"));
    person.press(":commit\r");
    person.sees("Commit all the same? [y/N]");
    person.press("y\r");
    person.prompt();
    assert!(desk.read("state/c.example.com/config").contains("1.34.0"));
    // It is to be written.
    person.enter("s:write('other', 'mine')");
    desk.write("state/other", "theirs");
    person.press(":commit\r");
    person.sees("Commit all the same? [y/N]");
    person.press("y\r");
    let shown = person.prompt().join("\n");
    assert_eq!(desk.read("state/other"), "theirs", "{shown}");
    assert!(
        shown.contains("nothing was written, and all is still staged"),
        "{shown}"
    );
    assert_eq!(desk.tree(".local/state/kstate/staged").len(), 0);
}

#[test]
fn what_a_commit_leaves_stays_staged_and_one_object_blocks_no_others() {
    for has_home in [true, false] {
        let desk = desk();
        desk.write("state/theirs", "1");
        let mut command = desk.kstate(&["repl"]);
        if !has_home {
            command.env_remove("HOME");
        }
        let mut person = Person::running(&desk, &command);
        person.enter(&format!("s = store.open('{}')", desk.arg("state")));
        person.enter("s:write('first', '1') and nil");
        person.enter("s:write('theirs', 'mine') and nil");
        person.enter("s:write('first', '2') and nil");
        person.enter("s:write('last', '1') and nil");
        desk.write("state/theirs", "22");
        person.press(":commit\r");
        person.sees("Commit all the same? [y/N]");
        person.press("y\r");
        let shown = person.prompt().join("\n");
        assert!(shown.contains("1 done, 3 not"), "{shown}");
        assert!(shown.contains("3 changes still staged"), "{shown}");
        assert_eq!(desk.read("state/first"), "1");
        assert!(!desk.path("state/last").exists());
        assert_eq!(person.enter("s:read('first')")[0], "\"2\"");
        assert_eq!(
            person.enter(":drop theirs"),
            ["1 change dropped", "kstate (2 staged)>"]
        );
        let shown = person.enter(":commit").join("\n");
        assert_eq!(desk.read("state/first"), "2", "{shown}");
        assert_eq!(desk.read("state/last"), "1", "{shown}");
        assert_eq!(desk.read("state/theirs"), "22");
        assert_eq!(desk.tree(".local/state/kstate/staged").len(), 0);
    }
}

#[test]
fn direct_changes_are_made_at_once_and_dry_ones_never() {
    let desk = desk();
    let mut direct = person(&desk, &["--direct"]);
    assert_eq!(
        direct.enter("s:write('new', 'text') ~= nil"),
        ["true", "kstate (direct)>"]
    );
    assert_eq!(desk.read("state/new"), "text");
    let shown = direct.enter(":commit");
    assert!(shown[0].contains("made at once"), "{shown:?}");
    direct.press("\u{4}");
    direct.sees("kstate undo");
    assert_eq!(direct.ends(), Some(0));
    let mut dry = person(&desk, &["--dry-run"]);
    dry.enter("s:write('never', 'text')");
    let shown = dry.enter(":commit");
    assert!(shown[0].contains("--dry-run"), "{shown:?}");
}
