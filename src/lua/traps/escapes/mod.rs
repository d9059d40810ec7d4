//! Ways out of the sandbox that people have found elsewhere: each ends in a clear denial, or in
//! nothing.

mod files;
mod language;
mod limits;

use crate::lua::Source;
use crate::lua::testing::{Bench, with};

/// A name, a script that must fail, and words of the error.
type Denied = (&'static str, &'static str, &'static str);

/// A name, and a script that finds out that it reached nothing.
type Futile = (&'static str, &'static str);

/// Attempts that must raise an error with these words.
#[track_caller]
fn denied(attempts: &[Denied]) {
    for (name, script, words) in attempts {
        let bench = Bench::new();
        let mut host = bench.host();
        host.memory_limit = 256 << 20;
        let source = Source::new("test.lua", *script);
        let ended = with(host, async |runtime| runtime.run_script(&source, &[]).await);
        let Err(error) = ended else {
            panic!("{name}: it succeeds");
        };
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}

/// Attempts that reach nothing: the script itself says so.
#[track_caller]
fn futile(attempts: &[Futile]) {
    for (name, script) in attempts {
        if let Err(error) = Bench::new().run(script) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn secrets_of_the_environment() {
    let mut bench = Bench::new();
    bench.set_env([
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("aws_secret_access_key", "hunter2"),
        ("DB", "postgres://me:hunter2@db/x"),
    ]);
    for name in [
        "AWS_SECRET_ACCESS_KEY",
        "aws_secret_access_key",
        "Aws_Secret_Access_Key",
        "AWS_SECRET_ACCESS_KEY\\0",
        " AWS_SECRET_ACCESS_KEY",
        "DB",
    ] {
        let error = bench
            .run(&format!("print(kstate.env.get('{name}', 'x'))"))
            .expect_err(name);
        assert_eq!(
            (error.kind(), error.exit_code()),
            ("permission_denied", 3),
            "{name}"
        );
        assert!(!format!("{error} {:?}", error.hint_text()).contains("hunter2"));
    }
    assert_eq!(bench.printed.text(), "");
}

#[test]
fn programs_and_hosts_without_a_grant() {
    for (name, script) in [
        ("a program", "kstate.process.run('sh', { '-c', 'id' })"),
        ("a program by its path", "kstate.process.run('/bin/sh')"),
        (
            "with a PATH of its own",
            "kstate.process.run('sh', {}, { env = { PATH = '/tmp' } })",
        ),
        (
            "said to change nothing",
            "kstate.process.run('sh', {}, { read_only = true })",
        ),
        ("a host", "kstate.http.request('https://example.com')"),
        ("this machine", "kstate.http.request('http://127.0.0.1/')"),
        (
            "the metadata service",
            "kstate.http.request('http://169.254.169.254/latest/meta-data/')",
        ),
    ] {
        let error = Bench::new().run(script).expect_err(name);
        assert_eq!(
            (error.kind(), error.exit_code()),
            ("permission_denied", 3),
            "{name}: {error}"
        );
    }
    for (name, script) in [
        ("a program with a slash", "kstate.process.run('./sh')"),
        ("a program with a newline", "kstate.process.run('sh\\n')"),
        (
            "a program with a way up",
            "kstate.process.run('/bin/../bin/sh')",
        ),
        ("no program", "kstate.process.run('')"),
        (
            "a host with a user",
            "kstate.http.request('https://example.com@evil.test')",
        ),
        ("a file", "kstate.http.request('file:///etc/passwd')"),
    ] {
        let error = Bench::new().run(script).expect_err(name);
        assert_eq!(error.kind(), "invalid", "{name}: {error}");
    }
}

#[test]
fn errors_carry_no_handles_and_no_secrets() {
    futile(&[
        (
            "fields of an error are plain",
            "local _, e = pcall(function() kstate.store.open('memfs://x'):read('..') end)
             for _, field in ipairs({ 'kind', 'op', 'url', 'key', 'message', 'hint' }) do
               assert(type(e[field]) == 'string' or e[field] == nil, field)
             end
             assert(e.cause == nil or type(e.cause.kind) == 'string')",
        ),
        (
            "an error in a handler is one of ours too",
            "local ok, e = xpcall(kstate.json.decode, function(e) return e end, '{')
             assert(not ok and e.kind == 'invalid' and getmetatable(e) == false)",
        ),
        (
            "a closed variable sees it too",
            "local seen
             pcall(function()
               local g <close> = setmetatable({}, { __close = function(_, e) seen = e end })
               kstate.json.decode('{')
             end)
             assert(seen.kind == 'invalid')",
        ),
    ]);
    let bench = Bench::new();
    let shown = with(bench.host(), async |runtime| {
        let source = Source::new(
            "test.lua",
            "error('cannot log in to https://me:hunter2@host: password=hunter2')",
        );
        let error = runtime.run_script(&source, &[]).await.unwrap_err();
        runtime.render(&error)
    });
    let message = shown.lines().next().unwrap();
    assert!(
        message.contains("cannot log in") && !message.contains("hunter2"),
        "{message}"
    );
}
