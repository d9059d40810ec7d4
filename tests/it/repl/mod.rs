//! `kstate repl` at a terminal, `kstate -e` and Lua on standard input.

mod ending;
mod piped;
mod screen;
mod staging;
mod stores;
mod terminal;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::support::Desk;
use terminal::Person;

#[test]
fn what_a_first_session_looks_like() {
    let desk = Desk::new();
    let mut person = Person::at(&desk, &[]);
    person.enter("local n = 20");
    person.enter("n + 1, _");
    person.press("for i = 1, 2 do\r");
    person.press("  print(i * n)\r");
    person.enter("end");
    person.enter("{ name = 'c', token = 'abc', zones = { 'a', 'b' } }");
    person.enter("n.x.y");
    person.enter("stroe.open('x')");
    person.enter("_err");
    let screen = person.screen();
    let (greeting, rest) = screen.split_once('\n').expect("lines");
    assert!(
        greeting.contains("changes are staged until :commit"),
        "{greeting}"
    );
    insta::assert_snapshot!(rest, @r#"
    kstate> local n = 20
    kstate> n + 1, _
    21      nil
    kstate> for i = 1, 2 do
      print(i * n)
    end
    20
    40
    kstate> { name = 'c', token = 'abc', zones = { 'a', 'b' } }
    { name = "c", token = <hidden>, zones = { "a", "b" } }
    kstate> n.x.y
    error: attempt to index a number value (global 'n')
      --> in[5]:1
       |
     1 | n.x.y
       | ^^^^^
    called from:
      in[5]:1: in main chunk
    kstate> stroe.open('x')
    error: attempt to index a nil value (global 'stroe')
      --> in[6]:1
       |
     1 | stroe.open('x')
       | ^^^^^^^^^^^^^^^
    called from:
      in[6]:1: in main chunk

    hint: did you mean 'store'?
    kstate> _err
    "in[6]:1: attempt to index a nil value (global 'stroe')"
    kstate>
    "#);
    person.press("\u{4}");
    assert_eq!(person.ends(), Some(0));
}

#[test]
fn what_is_typed_ahead_of_the_prompt_is_not_lost() {
    let desk = Desk::new();
    let mut person = Person::at(&desk, &[]);
    person.press("1 + 1\rkstate.task.sleep('1ms')\r3 .. 'rd'\r");
    person.sees("3rd");
}

#[test]
fn ctrl_c_drops_what_is_typed_and_stops_what_runs() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let desk = Desk::new();
    let allowed = format!("127.0.0.1:{port}");
    let mut person = Person::at(&desk, &["repl", "--allow-http", &allowed]);
    person.press("this is not finished (");
    person.typing("kstate> this is not finished (");
    person.press("\u{3}");
    person.prompt();
    for busy in [
        "print('begun') while true do end".to_owned(),
        "print('begun') pcall(function() while true do end end)".to_owned(),
        "print('begun') table.sort({ 1, 2, 3 }, function() while true do end end)".to_owned(),
        format!("print('begun') http.request('http://127.0.0.1:{port}/')"),
        "print('begun') task.sleep('1h')".to_owned(),
    ] {
        person.press(&busy);
        person.press("\r");
        person.sees("\nbegun");
        person.press("\u{3}");
        let shown = person.prompt();
        assert!(
            shown.contains(&"error: interrupted".to_owned()),
            "{busy}: {shown:?}"
        );
    }
    assert_eq!(person.enter("1 + 1")[0], "2");
    person.press("\u{4}");
    assert_eq!(person.ends(), Some(0));
}

#[test]
fn tab_completes_and_a_smaller_terminal_wraps() {
    let desk = Desk::new();
    desk.write("state/c.example.com/config", "x");
    desk.write("state/c.example.com/cluster-completed.spec", "x");
    desk.write("state/d.example.com/config", "x");
    let state = desk.arg("state");
    let mut person = Person::at(&desk, &["repl"]);
    person.press("local s = store.o\t");
    person.typing("kstate> local s = store.open");
    person.press(&format!("('{state}/c\t"));
    person.sees("c.example.com/");
    person.enter("')");
    person.press("s:read('con\t");
    person.sees("s:read('config");
    assert_eq!(person.enter("')")[0], "\"x\"");
    person.press("s:l\t\t");
    person.sees("list(prefix?, options?)");
    person.press("\u{3}");
    person.prompt();
    person.resize(&desk, 40);
    person.press("return '0123456789012345678901234567890123456789'");
    person.sees("56789'");
    assert!(
        person
            .screen()
            .contains("kstate> return '012345678901234567890123\n456789"),
        "{}",
        person.screen()
    );
    person.enter("");
}

#[test]
fn entries_are_remembered_whole_and_for_the_user_alone() {
    let desk = Desk::new();
    let mut person = Person::at(&desk, &["repl"]);
    person.press("function f()\r");
    person.press("  return 'a\\\\b'\r");
    person.enter("end");
    person.enter("  secret = 'hunter2'");
    person.enter(":type f");
    person.press(":quit\r");
    assert_eq!(person.ends(), Some(0));
    let file = ".local/state/kstate/repl_history";
    assert!(!desk.read(file).contains("hunter2"));
    let mode = std::fs::metadata(desk.path(file))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut person = Person::at(&desk, &["repl"]);
    person.press("\u{1b}[A\u{1b}[A\u{1b}[A");
    person.sees("return 'a\\\\b'");
    person.enter("");
    assert_eq!(person.enter("f()")[0], "\"a\\\\b\"");
}

#[test]
fn commands_help_with_what_is_typed() {
    let desk = Desk::new();
    desk.write(
        "tool.lua",
        "local answer = 42\nfunction twice(n) return 2 * n end\nprint(arg[1])\n",
    );
    desk.write("bad.lua", "local x = 1\nerror('broken')\n");
    desk.write("main.lua", "local early = 1\nreturn { summary = 'x', flags = {}, main = function(ctx) print('ran', early) end }\n");
    let tool = desk.arg("tool.lua");
    let mut person = Person::at(&desk, &["repl", "-i", &tool, "first"]);
    assert!(
        person.screen().starts_with("first\nkstate "),
        "{}",
        person.screen()
    );
    assert_eq!(person.enter("twice(answer)")[0], "84");
    for (line, shown) in [
        (":type 'abc'", "string of 3 bytes"),
        (":type store.open('memfs://x')", "kstate.Store"),
        (
            ":help store.open",
            "store.open(url, options?) -> kstate.Store",
        ),
        (":store memfs://a", "s = memfs://a"),
        (
            ":comit",
            "error: there is no command ':comit' (did you mean 'commit'?); :help lists them",
        ),
        (":commit", "nothing is staged"),
    ] {
        assert_eq!(person.enter(line)[0], shown, "{line}");
    }
    let shown = person.enter(":time 1 + 1");
    assert!(shown[0] == "2" && shown[1].ends_with('s'), "{shown:?}");
    let shown = person
        .enter(&format!(":load {}", desk.arg("bad.lua")))
        .join("\n");
    assert!(
        shown.contains("broken") && shown.contains("bad.lua:2"),
        "{shown}"
    );
    let shown = person.enter(&format!(":load {}", desk.arg("main.lua")));
    assert_eq!(shown[0], "ran     1");
    assert_eq!(person.enter("x, early")[0], "1       1");
    person.enter(":reset");
    assert_eq!(person.enter("x")[0], "nil");
    person.press("kstate.exit(9)\r");
    assert_eq!(person.ends(), Some(9));
}

#[test]
fn a_script_can_be_looked_into_while_it_runs() {
    let desk = Desk::new();
    desk.write(
        "script.lua",
        "local seen = { count = 1 }\nkstate.debug.repl{ seen = seen, n = 5 }\nprint('after', seen.count)\n",
    );
    let script = desk.arg("script.lua");
    let mut person = Person::at(&desk, &["run", &script]);
    let screen = person.screen();
    assert!(
        screen.starts_with("a prompt in the middle of the script: Ctrl-D goes on"),
        "{screen}"
    );
    assert_eq!(person.enter("n, seen")[0], "5       { count = 1 }");
    for _ in 0..2 {
        person.press("print('begun') while true do end\r");
        person.sees("\nbegun");
        person.press("\u{3}");
        person.prompt();
    }
    person.enter("seen.count = 2");
    person.press("\u{4}");
    person.sees("after   2");
    assert_eq!(person.ends(), Some(0));
    let ended = desk.run(&["run", &script]).with(0);
    ended.says("nobody can type here");
    ended.says("after\t1");
}
