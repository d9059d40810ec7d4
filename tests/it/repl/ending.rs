//! However the prompt ends, what is staged is kept.

use std::process::Command;

use super::terminal::{Person, signal as send};
use crate::support::Desk;

const KEPT: &str = "the staged changes are kept; do them with: kstate apply ";

fn person(desk: &Desk) -> Person {
    desk.write("state/old", "x");
    let mut person = Person::at(desk, &["repl"]);
    person.enter(&format!("s = store.open('{}')", desk.arg("state")));
    person.enter("s:write('new', 'text') and nil");
    person
}

/// The one plan that was kept does what was staged.
#[track_caller]
fn is_kept(desk: &Desk) {
    let staged = desk.tree(".local/state/kstate/staged");
    let names: Vec<_> = staged.keys().collect();
    let [name] = &names[..] else {
        panic!("{names:?}");
    };
    assert!(!desk.path("state/new").exists());
    let plan = desk.arg(&format!(".local/state/kstate/staged/{name}"));
    desk.run(&["apply", &plan, "--yes"]).with(0);
    assert_eq!(desk.read("state/new"), "text");
}

#[test]
fn a_request_to_end_keeps_what_is_staged() {
    for (signal, code) in [("TERM", 143), ("HUP", 129)] {
        let desk = Desk::new();
        let mut idle = person(&desk);
        send(&desk, signal);
        idle.sees(KEPT);
        assert_eq!(idle.ends(), Some(code));
        is_kept(&desk);
        let desk = Desk::new();
        let mut busy = person(&desk);
        busy.press("print('begun') while true do end\r");
        busy.sees("\nbegun");
        send(&desk, signal);
        busy.sees(KEPT);
        assert_eq!(busy.ends(), Some(code));
        is_kept(&desk);
    }
}

#[test]
fn a_terminal_that_is_closed_leaves_one_whole_plan() {
    let desk = Desk::new();
    let mut person = person(&desk);
    person.hang_up(&desk);
    is_kept(&desk);
}

#[test]
fn what_cannot_be_stopped_ends_with_what_is_staged_in_a_file() {
    let desk = Desk::new();
    let mut person = person(&desk);
    person.press("print('begun') return ('a'):rep(40):match(('a?'):rep(40)..('a'):rep(40))\r");
    person.sees("\nbegun");
    person.press("\u{3}");
    person.sees("^C");
    person.press("\u{3}");
    person.sees(KEPT);
    assert_eq!(person.ends(), Some(130));
    is_kept(&desk);
}

#[test]
fn a_script_that_exits_first_is_asked_for_its_changes() {
    let desk = Desk::new();
    desk.write("state/old", "x");
    let write = format!("store.open('{}'):write('new', 'text')\n", desk.arg("state"));
    desk.write(
        "exits.lua",
        format!(
            "{}kstate.exit(4)\n",
            write.replace("store.", "kstate.store.")
        ),
    );
    desk.write(
        "main.lua",
        "return { summary = 'x', flags = {}, main = function() return 5 end }\n",
    );
    let (exits, main) = (desk.arg("exits.lua"), desk.arg("main.lua"));
    let mut person = Person::typed(&desk, &desk.kstate(&["repl", "-i", &exits]));
    person.sees("or (s)tay?");
    person.press("c\r");
    assert_eq!(person.ends(), Some(4));
    assert_eq!(desk.read("state/new"), "text");
    let person = Person::at(&desk, &["repl", "-i", &main]);
    assert!(
        person.screen().starts_with("exit code 5\n"),
        "{}",
        person.screen()
    );
    desk.run(&["repl", "-i", &main]).with(5);
}

#[test]
fn without_a_terminal_for_its_output_there_is_no_prompt() {
    let desk = Desk::new();
    for args in ["", "repl", "repl --direct"] {
        let line = format!("{} {args} | cat", env!("CARGO_BIN_EXE_kstate"));
        let shown = Command::new("script")
            .args(["--quiet", "--command", &line, "/dev/null"])
            .env("HOME", desk.path(""))
            .stdin(std::process::Stdio::null())
            .output()
            .expect("script runs");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("standard output is no terminal"), "{shown}");
    }
}
