//! Tests of the script contract: flags, arguments, help, exit codes, modules, errors on a
//! terminal.

use super::testing::{Bench, fails, with};
use super::{ScriptError, Source};

const SCRIPT: &str = r#"
return {
  summary = "Moves things.",
  args = { { name = "what", doc = "what to move" } },
  flags = {
    { name = "from", doc = "the old place", required = true, value = "URL" },
    { name = "concurrency", type = "integer", default = 16 },
    { name = "verify", choices = { "checksum", "content" }, default = "checksum" },
    { name = "cluster", type = "list" },
    { name = "wait", type = "duration", env = "WAIT" },
    { name = "part", type = "size", default = "8MiB" },
    { name = "yes", type = "boolean", short = "y" },
  },
  main = function(ctx)
    print(kstate.json.encode({ ctx.flags, ctx.args, ctx.dry_run }))
  end,
}
"#;

fn run(args: &[&str]) -> (Result<u8, ScriptError>, String) {
    let bench = Bench::new();
    let exit = bench.run_with(SCRIPT, args).map(|exit| exit.0);
    (exit, bench.printed.text())
}

#[test]
fn flags_arrive_with_their_types() {
    let (exit, printed) = run(&[
        "--from",
        "a",
        "--cluster=x",
        "--cluster",
        "y",
        "-y",
        "--wait",
        "1m",
        "thing",
    ]);
    assert_eq!(exit.unwrap(), 0);
    assert_eq!(
        printed,
        "[{\"cluster\":[\"x\",\"y\"],\"concurrency\":16,\"from\":\"a\",\"part\":8388608,\
         \"verify\":\"checksum\",\"wait\":60.0,\"yes\":true},{\"what\":\"thing\"},false]\n"
    );
}

#[test]
fn mistakes_are_found_before_main_runs() {
    for (args, said) in [
        (&[][..], "--from <URL>"),
        (&["--form", "x"], "a similar argument exists: '--from'"),
        (
            &["--from", "a", "--concurrency", "many"],
            "'many' is no whole number",
        ),
        (
            &["--from", "a", "--verify", "content-ish"],
            "[possible values: checksum, content]",
        ),
        (&["--from", "a", "--wait", "soon"], "'soon' is no duration"),
        (&["--from", "a", "one", "two"], "unexpected argument 'two'"),
    ] {
        let (exit, printed) = run(args);
        let error = exit.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{args:?}");
        assert!(error.message().contains(said), "{args:?}: {error}");
        assert_eq!(printed, "");
    }
}

#[test]
fn help_is_generated() {
    let (exit, printed) = run(&["--help"]);
    assert_eq!(exit.unwrap(), 0);
    for part in [
        "Moves things.",
        "--from <URL>",
        "the old place",
        "[WHAT]",
        "-y, --yes",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

#[test]
fn a_flag_takes_its_value_from_the_environment_and_help_hides_it() {
    let mut bench = Bench::new();
    bench.set_env([("WAIT", "77s")]);
    bench.run_with(SCRIPT, &["--from", "a"]).unwrap();
    assert!(bench.printed.text().contains("\"wait\":77.0"));
    bench.run_with(SCRIPT, &["--help"]).unwrap();
    let text = bench.printed.text();
    assert!(
        text.contains("[env: WAIT]") && !text.contains("77s"),
        "{text}"
    );
}

#[test]
fn a_declaration_with_a_typo_is_refused() {
    for (text, said) in [
        (
            "return { sumary = 'x', main = print }",
            "did you mean 'summary'?",
        ),
        (
            "return { flags = { { name = 'a', typ = 'size' } }, main = print }",
            "did you mean 'type'?",
        ),
        (
            "return { flags = { { name = 'a', type = 'sise' } }, main = print }",
            "did you mean 'size'?",
        ),
        (
            "return { flags = { { name = 'A b' } }, main = print }",
            "can't be the name of a flag",
        ),
        (
            "return { flags = { { name = 'a', type = 'integer', default = 'x' } }, main = print }",
            "the default of the flag 'a': 'x' is no whole number",
        ),
        ("return { summary = 'x' }", "without a 'main' function"),
        ("return 'done'", "returned a string"),
        ("return 256", "exit code 256"),
    ] {
        let error = fails(text);
        assert!(error.message().contains(said), "{text}: {error}");
    }
}

#[test]
fn what_a_script_returns_is_its_exit_code() {
    for (text, code) in [
        ("", 0),
        ("return true", 0),
        ("return false", 1),
        ("return 3", 3),
        ("return { main = function() return false end }", 1),
        ("return { main = function() return 4 end }", 4),
        ("return { main = function() kstate.exit(5) end }", 5),
    ] {
        assert_eq!(Bench::new().run(text).unwrap().0, code, "{text}");
    }
}

#[test]
fn plain_scripts_have_arg() {
    let bench = Bench::new();
    bench
        .run_with(
            "assert(arg[0] == 'test.lua' and arg[1] == '--x' and #arg == 1)",
            &["--x"],
        )
        .unwrap();
}

#[test]
fn a_dry_run_is_seen_and_writes_nothing() {
    let mut bench = Bench::new();
    bench.set_dry_run();
    bench
        .run(
            "local s = kstate.store.open('memfs://dry')
             s:write('a', '1')
             assert(s:read('a') == '1' and kstate.dry_run)
             return { main = function(ctx) assert(ctx.dry_run) end }",
        )
        .unwrap();
}

/// A script in a folder of its own, with other files in it.
fn in_folder(files: &[(&str, &str)], script: &str) -> Result<u8, ScriptError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join("root").join(name);
        put(&path, text);
    }
    put(&folder.path().join("outside.lua"), "return 'outside'");
    let path = folder.path().join("root/main.lua");
    put(&path, script);
    std::os::unix::fs::symlink("../outside.lua", folder.path().join("root/link.lua")).unwrap();
    let source = Source::read(&path).unwrap();
    with(Bench::new().host(), async |runtime| {
        runtime.run_script(&source, &[]).await.map(|exit| exit.0)
    })
}

#[expect(clippy::disallowed_methods, reason = "the files of a test")]
fn put(path: &std::path::Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn modules_come_from_the_scripts_folder_once() {
    let files = [
        ("one.lua", "kstate.task.sleep('1ms') return { name = ... }"),
        (
            "lib/two.lua",
            "return require('.three') .. require('one').name",
        ),
        ("lib/three.lua", "return 'three '"),
        ("pack/init.lua", "return require('.part')"),
        ("pack/part.lua", "return 'part'"),
    ];
    let script = r#"
        assert(require("one") == require("one"))
        assert(require("lib.two") == "three one")
        assert(require("pack") == "part")
        assert(require("kstate") == kstate)
        local both = kstate.task.map({ 1, 2 }, function() return require("lib.three") end)
        assert(both[2] == "three ")
    "#;
    assert_eq!(in_folder(&files, script).unwrap(), 0);
}

#[test]
fn modules_are_not_looked_for_elsewhere() {
    for (name, said) in [
        ("../outside", "can't be the name of a module"),
        ("/etc/passwd", "can't be the name of a module"),
        ("a/b", "can't be the name of a module"),
        ("", "can't be the name of a module"),
        ("link", "leads out of the script's folder"),
        ("missing.one", "there is no module 'missing.one'"),
    ] {
        let error = in_folder(&[], &format!("require('{name}')")).unwrap_err();
        assert!(error.message().contains(said), "{name}: {error}");
    }
}

#[test]
fn modules_that_require_each_other_are_named() {
    let files = [
        ("a.lua", "return require('b')"),
        ("b.lua", "return require('c')"),
        ("c.lua", "return require('a')"),
    ];
    let error = in_folder(&files, "require('a')").unwrap_err();
    assert!(error.message().ends_with("a → b → c → a"), "{error}");
    let error = in_folder(&files, "kstate.task.map({ 'a', 'c' }, require)").unwrap_err();
    assert!(error.message().contains("require each other"), "{error}");
}

#[test]
fn a_module_that_failed_can_be_tried_again() {
    let files = [("bad.lua", "error({ code = 1 })"), ("typo.lua", "x = 1")];
    let script = r#"
        for _ = 1, 2 do
          local ok, e = pcall(require, "bad")
          assert(not ok and e.code == 1)
        end
        local ok, e = pcall(require, "typo")
        assert(not ok and e.message:find("typo.lua:1") and e.hint:find("add `local`"))
    "#;
    assert_eq!(in_folder(&files, script).unwrap(), 0);
}

#[test]
fn an_error_on_a_terminal_shows_the_line_the_causes_and_the_hint() {
    let bench = Bench::new();
    let text = "local function copy()\n  error(kstate.error{ message = 'no', op = 'copy', \
                url = 's3://b', key = 'k', hint = 'ask', cause = 'deep' })\nend\ncopy()";
    let source = Source::new("x.lua", text);
    let shown = with(bench.host(), async |runtime| {
        let error = runtime.run_script(&source, &[]).await.unwrap_err();
        runtime.render(&error)
    });
    assert_eq!(
        shown,
        "error: cannot copy s3://b/k: no
  --> x.lua:2
   |
 2 |   error(kstate.error{ message = 'no', op = 'copy', url = 's3://b', key = 'k', hint = 'ask', cause = 'deep' })
   |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
caused by: deep
called from:
  x.lua:2: in local 'copy'
  x.lua:4: in main chunk

hint: ask
"
    );
    let source = Source::new("x.lua", "local t\nlocal n = t.x");
    let shown = with(bench.host(), async |runtime| {
        let error = runtime.run_script(&source, &[]).await.unwrap_err();
        runtime.render(&error)
    });
    assert!(
        shown.starts_with("error: attempt to index a nil value (local 't')\n  --> x.lua:2\n"),
        "{shown}"
    );
}

#[test]
fn a_long_path_that_lua_shortens_still_shows_the_line() {
    let name = format!("/{}/script.lua", "deep".repeat(30));
    let source = Source::new(&name, "local n = {}\nlocal m = n.x.y");
    let shown = with(Bench::new().host(), async |runtime| {
        let error = runtime.run_script(&source, &[]).await.unwrap_err();
        runtime.render(&error)
    });
    let expected = format!(
        "error: attempt to index a nil value (field 'x')\n  --> {name}:2\n   |\n 2 | local m = n.x.y\n"
    );
    assert!(shown.starts_with(&expected), "{shown}");
}
