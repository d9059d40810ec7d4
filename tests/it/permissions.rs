//! What a run may do, by flags and by named sets, from the command line.

use std::os::unix::fs::symlink;

use super::support::{Desk, Ended};

fn with_flags(desk: &Desk, flags: &[&str], command: &[&str]) -> Ended {
    desk.run(&[flags, command].concat())
}

#[test]
fn a_read_only_run_writes_nowhere() {
    let desk = Desk::new();
    desk.write("from/a", "1");
    desk.write("to/a", "old");
    desk.write("script.lua", "kstate.store.open(arg[1]):write('a', 'new')");
    let (from, to, script) = (desk.arg("from"), desk.arg("to"), desk.arg("script.lua"));
    let from_a = desk.arg("from/a");
    let to_a = desk.arg("to/a");
    for command in [
        vec!["cp", &from_a, &to_a],
        vec!["sync", &from, &to],
        vec!["rm", "--yes", &to_a],
        vec!["rm", "-r", "--yes", &to],
        vec!["run", &script, &to],
        vec!["--dry-run", "cp", &from_a, &to_a],
    ] {
        let ended = with_flags(&desk, &["--read-only"], &command).with(3);
        ended.says("may write nowhere");
        ended.says("without --read-only");
        assert_eq!(desk.read("to/a"), "old");
    }
    // A flag of kstate's own may stand behind the command too.
    desk.run(&["cp", "--read-only", &from_a, &to_a]).with(3);
    desk.run(&["--read-only", "cat", &from_a]).with(0);
}

#[test]
fn only_granted_places_are_written() {
    let desk = Desk::new();
    desk.write("from/a", "1");
    desk.write("pro/keep", "");
    desk.write("prod/a", "old");
    let (pro, prod) = (desk.arg("pro"), desk.arg("prod"));
    let flags = ["--allow-write", pro.as_str()];
    let from = desk.arg("from/a");
    for target in ["pro/a", "pro/x/a", "pro//b", "prod/../pro/c"] {
        with_flags(&desk, &flags, &["cp", &from, &desk.arg(target)]).with(0);
    }
    let url = format!("file://{pro}/d");
    with_flags(&desk, &flags, &["cp", &from, &url]).with(0);
    for target in [
        "prod/a",
        "pro/../prod/a",
        "pro2/a",
        "pro/missing/../../prod/a",
    ] {
        let ended = with_flags(&desk, &flags, &["cp", &from, &desk.arg(target)]);
        let ended = ended.with(3);
        ended.says("--allow-write ");
    }
    assert_eq!(desk.read("prod/a"), "old");
    let ended = with_flags(&desk, &flags, &["cp", &from, &desk.arg("prod/a")]).with(3);
    ended.says(&format!(
        "cannot write {prod}/a: this run may write only to {pro}"
    ));
    ended.says(&format!(
        "--allow-write {prod}, or in a set of permissions (-P NAME)"
    ));

    let both = ["--allow-write", &pro, "--allow-write", &prod];
    with_flags(&desk, &both, &["sync", &desk.arg("from"), &prod]).with(0);
    assert_eq!(desk.read("prod/a"), "1");
    let ended = with_flags(&desk, &flags, &["rm", "-r", "--yes", &prod]).with(3);
    ended.says("cannot delete");
}

#[test]
fn a_link_is_granted_as_what_it_points_to() {
    let desk = Desk::new();
    desk.write("real/keep", "");
    desk.write("other/keep", "");
    desk.write("from", "1");
    symlink("real", desk.path("link")).expect("a link");
    symlink("../other", desk.path("real/out")).expect("a link");
    symlink("../other/keep", desk.path("real/out-file")).expect("a link");
    let (from, link, real) = (desk.arg("from"), desk.arg("link"), desk.arg("real"));
    for (granted, target, code) in [
        (&link, "real/a", 0),
        (&link, "link/b", 0),
        (&real, "link/c", 0),
        (&real, "link/../other/x", 3),
        (&real, "real/out/x", 3),
    ] {
        let flags = ["--allow-write", granted.as_str()];
        with_flags(&desk, &flags, &["cp", &from, &desk.arg(target)]).with(code);
    }
    // A link in a granted folder is replaced, never followed.
    let flags = ["--allow-write", real.as_str()];
    with_flags(&desk, &flags, &["cp", &from, &desk.arg("real/out-file")]).with(0);
    assert_eq!(desk.read("other/keep"), "");
    assert_eq!(desk.tree_size("other"), 1);
}

#[test]
fn a_named_set_adds_up_with_the_flags() {
    let desk = Desk::new();
    let prod = desk.arg("prod");
    desk.write(
        ".config/kstate/config.yaml",
        format!(
            "stores:\n  prod: {{url: {prod}}}\npermissions:\n  nightly:\n    allow_write: ['prod:team']\n    allow_env: [A_TOKEN]\n  look: {{read_only: true}}\n  none: {{allow_write: []}}\n"
        ),
    );
    desk.write(
        "script.lua",
        "local s = kstate.store.open(arg[1]) s:write('a', kstate.env.get('A_TOKEN'))",
    );
    let script = desk.arg("script.lua");
    let run = |flags: &[&str], store: &str| {
        let mut command = desk.kstate(&[&["run"], flags, &[&script, store]].concat());
        command.env("A_TOKEN", "t");
        Ended::of(command)
    };
    run(&["-P", "nightly"], "prod:team").with(0);
    assert_eq!(desk.read("prod/team/a"), "t");
    run(&["-P", "nightly"], &prod).with(3);
    run(&["-P", "nightly", "--allow-write", "prod"], &prod).with(0);
    run(&["-P", "nightly", "-P", "look"], "prod:team")
        .with(3)
        .says("without -P look");
    run(&["-P", "none", "--allow-env", "A_TOKEN"], "prod:team").with(3);
    run(&["--allow-write", "prod:team"], "prod:team")
        .with(3)
        .says("--allow-env A_TOKEN");
    run(&["-P", "nigthly"], "prod:team")
        .with(2)
        .says("did you mean 'nightly'?");
    run(&["--allow-http", "https://x"], "prod:team").with(2);
    run(&["--allow-write", "prd:x"], "prod:team").with(2);
}

#[test]
fn the_file_that_names_the_state_store_counts_as_written() {
    let desk = Desk::new();
    desk.write(".kops.yaml", "kops_state_store: s3://old\n");
    desk.write(
        "script.lua",
        "print(kstate.config.set_state_store('s3://new'))",
    );
    let script = desk.arg("script.lua");
    for flags in [vec!["--read-only"], vec!["--allow-write", "s3://new"]] {
        let ended = with_flags(&desk, &flags, &["run", &script]).with(3);
        ended.says("cannot update");
    }
    with_flags(&desk, &["--read-only", "--dry-run"], &["run", &script]).with(3);
    assert_eq!(desk.read(".kops.yaml"), "kops_state_store: s3://old\n");
    let home = desk.arg("");
    with_flags(&desk, &["--allow-write", &home], &["run", &script]).with(0);
    assert_eq!(desk.read(".kops.yaml"), "kops_state_store: s3://new\n");
}

#[test]
fn the_same_bucket_on_another_endpoint_is_another_place() {
    let desk = Desk::new();
    desk.write("from", "1");
    let from = desk.arg("from");
    let run = |granted: &str, target: &str| {
        desk.run(&["--allow-write", granted, "cp", &from, target])
            .with(3)
    };
    // Refused before anything is asked of the network.
    let here = "?endpoint=http://127.0.0.1:1&region=r";
    run("s3://b", &format!("s3://b/x{here}")).says("was granted on another endpoint");
    run(&format!("s3://b{here}"), "s3://b/x?region=us-east-1")
        .says("was granted on another endpoint");
    run(
        "s3://b/pro?region=us-east-1",
        "s3://b/prod/x?region=us-east-1",
    )
    .says("--allow-write s3://b/prod,");
}

const DECLARES: &str = "return {
  summary = 'Tells a service', flags = {{ name = 'to' }},
  permissions = { http = { 'hooks.example.com' }, process = { 'kops' }, env = { 'HOOK_TOKEN' } },
  main = function() print('main ran') end,
}";

#[test]
fn a_declaration_must_be_covered_before_main_runs() {
    let desk = Desk::new();
    desk.write("hook.lua", DECLARES);
    let hook = desk.arg("hook.lua");
    let ended = desk.run(&["run", &hook]).with(3);
    ended.says("--allow-http hooks.example.com --allow-process kops --allow-env HOOK_TOKEN");
    ended.says("    allow_http: [\"hooks.example.com\"]");
    assert!(!ended.stdout.contains("main ran"));
    desk.run(&["run", &hook, "--help"])
        .with(0)
        .says("Tells a service");
    desk.run(&["run", &hook, "--nonsense"]).with(2);
    let flags = [
        "--allow-http",
        "hooks.example.com",
        "--allow-process",
        "kops",
        "--allow-env",
        "HOOK_TOKEN",
    ];
    desk.run(&[&["run"], &flags[..], &[&hook]].concat())
        .with(0)
        .says("main ran");
}

#[test]
fn permissions_are_explained_and_nothing_is_run() {
    let desk = Desk::new();
    desk.write("hook.lua", DECLARES);
    desk.write(
        "plain.lua",
        "print('ran') kstate.store.open(arg[1]):write('a', '1')",
    );
    desk.write(
        ".config/kstate/config.yaml",
        "permissions:\n  nightly: {allow_http: ['*.example.com']}\n",
    );
    let hook = desk.arg("hook.lua");
    let explain = |flags: &[&str], script: &str| {
        desk.run(&[&["run", "--explain-permissions"], flags, &[script]].concat())
    };
    let ended = explain(&["-P", "nightly", "--allow-process", "kops"], &hook).with(3);
    let lines: Vec<_> = ended
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "write every store default",
        "http *.example.com set 'nightly'",
        "process kops flag",
        "env nothing default",
        "The script declares more. To allow it: --allow-env HOOK_TOKEN",
    ] {
        assert!(
            lines.iter().any(|shown| shown == line),
            "{line}\n{}",
            ended.stdout
        );
    }
    assert!(!ended.stdout.contains("main ran"));

    let ended = desk
        .run(&[
            "--json",
            "--read-only",
            "run",
            "--explain-permissions",
            &hook,
        ])
        .with(3);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(json["read_only"]["flag"], true);
    assert_eq!(json["missing"]["http"][0], "hooks.example.com");
    assert_eq!(json["declared"]["env"][0], "HOOK_TOKEN");
    assert_eq!(json["shipped"], false);

    let plain = desk.arg("plain.lua");
    let ended = explain(&["--allow-write", &desk.arg("x")], &plain).with(0);
    ended.says("declares nothing");
    ended.says(&desk.arg("x"));
    assert!(!ended.stdout.contains("ran\n") && desk.tree_size("x") == 0);
    explain(&[], "move_bucket").with(0);
}
