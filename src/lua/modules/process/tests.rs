use std::time::{Duration, Instant};

use crate::config::permissions::Program;
use crate::lua::ScriptError;
use crate::lua::testing::Bench;
use crate::session::permissions::{Grants, Origin};

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.set_env([
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/home/u"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ]);
    let programs = ["sh", "cat", "env", "nothing-of-this-name", "/bin/cat"];
    let programs = programs.map(|name| Program::parse(name).unwrap());
    let mut grants = Grants::default();
    grants.add_script(&Origin::Flag, &[], &programs, &[]);
    bench.grant(grants);
    bench
}

#[track_caller]
fn passes(text: &str) {
    if let Err(error) = bench().run(text) {
        panic!("{error}");
    }
}

#[track_caller]
fn fails(text: &str) -> ScriptError {
    bench().run(text).expect_err(text)
}

#[test]
fn a_program_gets_its_arguments_as_they_are_and_what_it_prints_comes_back() {
    passes(
        r#"
        local r = kstate.process.run("sh", { "-c", 'printf "%s|" "$@"; echo oops >&2; exit 3', "x", "a b", "$HOME;", 7 })
        assert(r.stdout == "a b|$HOME;|7|" and r.stderr == "oops\n" and r.code == 3)
        assert(kstate.process.run("cat", {}, { stdin = "a\0b" }).stdout == "a\0b")
        assert(kstate.process.run("/bin/cat").stdout == "")
        assert(kstate.process.run("sh", { "-c", "kill -9 $$" }).code == 137)
        assert(kstate.process.run("sh", { "-c", "pwd" }, { cwd = "/usr" }).stdout == "/usr\n")
        -- It need not read what it is given.
        assert(kstate.process.run("sh", { "-c", "exit 0" }, { stdin = ("x"):rep(1 << 20) }).code == 0)
        "#,
    );
}

#[test]
fn the_environment_has_no_credentials_in_it() {
    passes(
        r#"
        local r = kstate.process.run("env", {}, { env = { MORE = "m" } })
        local lines = {}
        for line in r.stdout:gmatch("[^\n]+") do lines[#lines + 1] = line end
        table.sort(lines)
        assert(table.concat(lines, " ") == "HOME=/home/u MORE=m PATH=/usr/bin:/bin", r.stdout)
        "#,
    );
}

#[test]
fn what_takes_too_long_or_prints_too_much_is_killed_with_all_it_started() {
    let started = Instant::now();
    let error = fails(
        r#"kstate.process.run("sh", { "-c", "sleep 600 & sleep 600" }, { timeout = "50ms" })"#,
    );
    assert_eq!(error.kind(), "timeout");
    let error = fails(r#"kstate.process.run("sh", { "-c", "yes & wait" }, { limit = "1KiB" })"#);
    assert_eq!(error.kind(), "unsupported");
    let error = fails(
        r#"kstate.task.timeout("50ms", kstate.process.run, "sh", { "-c", "sleep 600 | cat" })"#,
    );
    assert_eq!(error.kind(), "timeout");
    assert!(started.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_cancelled_call_leaves_no_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    fails(&format!(
        r#"kstate.process.run("sh", {{ "-c", "sleep 600 & echo $! > {}; yes" }}, {{ limit = "1KiB" }})"#,
        pid.display()
    ));
    #[expect(clippy::disallowed_methods, reason = "the test's own file")]
    let text = std::fs::read_to_string(pid).unwrap();
    let pid = rustix::process::Pid::from_raw(text.trim().parse().unwrap()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    // A killed process may stay as a zombie until init collects it; it runs no more.
    let runs = || {
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        #[expect(
            clippy::disallowed_methods,
            reason = "what the kernel says of a process"
        )]
        let stat = std::fs::read_to_string(stat).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    while runs() {
        assert!(Instant::now() < deadline, "{text}");
        std::thread::yield_now();
    }
}

#[test]
fn what_was_not_granted_or_is_not_there_is_told() {
    for (text, kind, words) in [
        (
            "kstate.process.run('ls')",
            "permission_denied",
            "--allow-process ls",
        ),
        (
            "kstate.process.run('/bin/sh')",
            "permission_denied",
            "--allow-process /bin/sh",
        ),
        (
            "kstate.process.run('nothing-of-this-name')",
            "not_found",
            "in PATH (/usr/bin:/bin)",
        ),
        (
            "kstate.process.run('./sh')",
            "invalid",
            "can't be a program",
        ),
        ("kstate.process.run('sh', { {} })", "invalid", "argument 1"),
        ("kstate.process.run('sh', { 'a\\0b' })", "invalid", "NUL"),
        (
            "kstate.process.run('sh', {}, { env = { ['A=B'] = 'c' } })",
            "invalid",
            "'A'",
        ),
        (
            "kstate.process.run('sh', {}, { env = { A = 1 } })",
            "invalid",
            "no text",
        ),
        (
            "kstate.process.run('sh', {}, { cwd = '/nothing/here' })",
            "not_found",
            "no folder",
        ),
    ] {
        let error = fails(text);
        let all = format!("{error} {}", error.hint_text().unwrap_or_default());
        assert!(
            error.kind() == kind && all.contains(words),
            "{text}: {error:?} {all}"
        );
    }
}

#[test]
fn a_rehearsal_runs_only_what_changes_nothing() {
    let mut bench = bench();
    bench.set_dry_run();
    let error = bench.run("kstate.process.run('cat')").unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), ("refused", 3));
    bench
        .run("assert(kstate.process.run('cat', {}, { read_only = true }).code == 0)")
        .unwrap();
}
