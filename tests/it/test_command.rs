//! `kstate test`: files of tests.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{Desk, Ended};

const SUITE: &str = r#"
local kstate = kstate
local count = 0

local test = {}

function test.gets_an_empty_store(store)
  assert(#store:walk():collect() == 0)
  store:write("left", "behind")
  kstate.store.open("memfs://shared"):write("left", "behind")
  count = count + 1
  assert(count == 1)
end

function test.shares_nothing(store)
  kstate.task.sleep("1ms")
  assert(store:read("left") == nil)
  assert(kstate.store.open("memfs://shared"):read("left") == nil)
  assert(count == 0)
end

function test.differs()
  print("about to fail <&\27>")
  kstate.test.equal({ name = "a", sizes = { 1, 2 } }, { name = "a", sizes = { 1, 3 } })
end

function test.asserts()
  assert(1 + 1 == 3, "the sum is wrong")
end

return test
"#;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("scripts/sum_test.lua", SUITE);
    desk.write("scripts/sum.lua", "error('is no test')");
    desk
}

#[test]
fn each_test_has_its_own_store_and_failures_are_told() {
    let ended = desk().run_here(&["test"]).with(1);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert!(
        lines[0].starts_with("ok    scripts/sum_test.lua gets_an_empty_store ("),
        "{ended:?}"
    );
    assert!(
        lines[1].starts_with("ok    scripts/sum_test.lua shares_nothing ("),
        "{ended:?}"
    );
    ended.says("FAIL  scripts/sum_test.lua differs\n      the values differ:\n");
    ended.says("expected { name = \"a\", sizes = { 1, 3 } }");
    ended.says("got { name = \"a\", sizes = { 1, 2 } }");
    ended.says("scripts/sum_test.lua:24");
    ended.says("it printed:\n      | about to fail");
    ended.says("the sum is wrong");
    ended.says("4 tests: 2 passed, 2 failed");
}

#[test]
fn results_are_for_programs_too() {
    let desk = desk();
    let args = [
        "--json",
        "test",
        "--filter",
        "differs",
        "--junit",
        "out/report.xml",
    ];
    let json = desk.run_here(&args).with(1).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["passed"], &json["failed"]), (&0.into(), &1.into()));
    let case = &json["tests"][0];
    assert_eq!(
        (&case["line"], &case["failure"]["line"]),
        (&22.into(), &24.into())
    );

    let xml = desk.read("out/report.xml");
    assert!(
        xml.contains(r#"<testsuite name="scripts/sum_test.lua" tests="1" failures="1""#),
        "{xml}"
    );
    assert!(
        xml.contains(r#"<testcase classname="scripts/sum_test.lua" name="differs""#),
        "{xml}"
    );
    assert!(
        xml.contains("<failure message=\"the values differ:&#10;"),
        "{xml}"
    );
    assert!(xml.contains("about to fail &lt;&amp;\u{fffd}&gt;"), "{xml}");
    let mut reader = quick_xml::Reader::from_str(&xml);
    while !matches!(
        reader.read_event().expect("XML"),
        quick_xml::events::Event::Eof
    ) {}

    desk.run_here(&["test", "--filter", "shares"])
        .with(0)
        .says("1 test: 1 passed, 0 failed");
    desk.run_here(&["test", "--filter", "nothing such"]).with(2);
}

#[test]
fn a_test_writes_nothing_but_memory_unless_it_may() {
    let desk = Desk::new();
    let text = "return { writes = function() kstate.store.open('real'):write('x', 'y') end }";
    desk.write("writes_test.lua", text);
    desk.run_here(&["test"]).with(1).says("--allow-write");
    assert!(!desk.path("real").exists());
    desk.run_here(&["--allow-write", "real", "test"]).with(0);
    assert_eq!(desk.read("real/x"), "y");
}

#[test]
fn what_is_no_file_of_tests_is_told() {
    let desk = Desk::new();
    desk.run_here(&["test"])
        .with(2)
        .says("no file ends in _test.lua");
    desk.write("a_test.lua", "return { 1 }");
    desk.write("b_test.lua", "return {");
    desk.write(
        "c_test.lua",
        "return { endless = function() while true do end end }",
    );
    desk.write("d_test.lua", b"return {} -- \xff");
    desk.write("e_test.lua", "return { works = function() end }");
    std::os::unix::fs::symlink("nowhere", desk.path("dangling_test.lua")).expect("a link");
    let ended = desk.run_here(&["test", "--timeout", "100ms"]).with(1);
    ended.says("FAIL  dangling_test.lua the file\n      cannot read the script");
    ended.says("FAIL  d_test.lua the file\n      d_test.lua is not UTF-8 text");
    ended.says("ok    e_test.lua works");
    ended.says("FAIL  a_test.lua the file\n      a file of tests returns a table of functions");
    ended.says("FAIL  b_test.lua the file");
    ended.says("FAIL  c_test.lua endless");
    ended.says("6 tests: 1 passed, 5 failed");
    desk.write("f.lua", "return {}");
    desk.run_here(&["test", "f.lua"])
        .with(2)
        .says("there are no tests in f.lua");
}

#[test]
fn an_interrupt_leaves_a_report() {
    let desk = Desk::new();
    desk.write(
        "x_test.lua",
        "return { ends = function() end,\n\
         waits = function() print('so far') kstate.log.warn('begun') kstate.task.sleep('1h') end }",
    );
    let mut command = desk.kstate(&["test", "--junit", "report.xml"]);
    command
        .current_dir(desk.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut testing = command.spawn().expect("the binary runs");
    let mut lines = BufReader::new(testing.stderr.take().expect("a pipe")).lines();
    let line = lines.next().expect("a line").expect("UTF-8");
    assert!(line.contains("begun"), "{line}");
    let id = rustix::process::Pid::from_child(&testing);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("a signal");
    let ended: Ended = testing.wait_with_output().expect("an end").into();
    let ended = ended.with(130);
    ended.says("ok    x_test.lua ends");
    ended.says("FAIL  x_test.lua waits\n      interrupted\n      it printed:\n      | so far");
    ended.says("2 tests: 1 passed, 1 failed");
    let xml = desk.read("report.xml");
    assert!(xml.contains(r#"<failure message="interrupted">"#), "{xml}");
    assert!(xml.ends_with("</testsuites>\n"), "{xml}");
}
