//! Where nobody types.

use std::io::Write;
use std::process::Stdio;

use crate::support::{Desk, Ended};

fn piped(desk: &Desk, args: &[&str], input: &str) -> Ended {
    let mut command = desk.kstate(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may end before it has read all.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends").into()
}

#[test]
fn statements_are_run_up_to_the_first_that_fails() {
    let desk = Desk::new();
    let input = "#!/usr/bin/env kstate\nlocal n = 2\nfor i = 1, n do\n  print(i)\nend\nn * 21\n'raw'\n\nerror('stop here')\nprint('never')\n";
    for args in [&[][..], &["repl"]] {
        let ended = piped(&desk, args, input).with(1);
        assert_eq!(ended.stdout, "1\n2\n42\nraw\n");
        ended.says("stdin:9");
        ended.says("9 | error('stop here')");
    }
    piped(&desk, &[], "x = 1\nx = = 2\n")
        .with(1)
        .says("stdin:2");
    piped(&desk, &[], "for i = 1, 2 do\n")
        .with(1)
        .says("'end' expected");
    piped(&desk, &[], "kstate.exit(7)\nprint('never')\n").with(7);
    piped(&desk, &[], "return 1").with(0).says("1");
    piped(&desk, &[], ":help json.decode\n:plan\n")
        .with(3)
        .says("json.decode(text)");
    assert_eq!(
        piped(&desk, &["--json"], "{ 1, a }\n'x'\n").with(0).stdout,
        "[1]\n\"x\"\n"
    );
}

#[test]
fn a_script_runs_as_one_and_anything_else_line_by_line() {
    let desk = Desk::new();
    for (input, code, stdout) in [
        ("x = 1\nx\n", 0, "1\n"),
        (
            "x = ('a')\n  :rep(2)\n  :upper()\nx\n  .. 'b'\n",
            0,
            "AAb\n",
        ),
        ("f = print\nf\n(1)\n1 +\n2\n", 0, "1\n3\n"),
        (
            "local code = 5\nreturn { summary = 'x', flags = {}, main = function() print('ran') return code end }\n",
            5,
            "ran\n",
        ),
        (
            "#!/usr/bin/env kstate\nlocal j = kstate.json\nj.encode({})\nprint(1)\n",
            0,
            "1\n",
        ),
        ("local j = kstate.json\nj.encode({ 1 })\n", 0, "[1]\n"),
        (
            "local x <close> = setmetatable({}, { __close = function() print('closed') end })\nprint('works')\n",
            0,
            "works\nclosed\n",
        ),
    ] {
        let ended = piped(&desk, &[], input).with(code);
        assert_eq!(ended.stdout, stdout, "{input}");
    }
}

#[test]
fn nothing_at_all_shows_what_there_is() {
    let desk = Desk::new();
    let ended = desk.run(&[]).with(2);
    ended.says("Usage: kstate");
    assert_eq!(ended.stdout, "");
    piped(&desk, &["repl"], "").with(0);
}

#[test]
fn a_piece_of_code_is_run_and_writes_at_once() {
    let desk = Desk::new();
    let state = desk.arg("state");
    assert_eq!(desk.run(&["-e", "return 1"]).with(0).stdout, "1\n");
    assert_eq!(desk.run(&["-e", "1 + 1, 'a b'"]).with(0).stdout, "2\ta b\n");
    assert_eq!(
        desk.run(&["--json", "-e", "{ a = { 1 } }"]).with(0).stdout,
        "{\"a\":[1]}\n"
    );
    assert_eq!(desk.run(&["-e", "local x = 1"]).with(0).stdout, "");
    desk.run(&["-e", "x."]).with(1).says("-e:1");
    desk.run(&["-e", "kstate.exit(4)"]).with(4);
    desk.run(&["-e", "1", "ls"]).with(2).says("-e stands alone");
    let write = format!("store.open('{state}'):write('a', 'text')");
    let dry = desk.run(&["--dry-run", "-e", &write]).with(0);
    dry.says("a");
    assert!(!desk.path("state/a").exists());
    let written = desk.run(&["-e", &write]).with(0);
    assert_eq!(desk.read("state/a"), "text");
    written.says("kstate undo");
}
