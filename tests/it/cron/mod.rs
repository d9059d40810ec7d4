//! `kstate run` with nobody watching.

mod examples;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use kstate::session::Mode;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::lock::{at_once, open, session, signal};
use crate::support::{Desk, Ended, clusters, sample};

/// A desk with a script, and the arguments that run it behind some flags.
fn desk(script: &str) -> Desk {
    let desk = Desk::new();
    desk.write("job.lua", script);
    desk.write("state/changed", "old");
    desk.write("state/deleted", "old");
    desk
}

fn run(desk: &Desk, flags: &[&str], args: &[&str]) -> Ended {
    let (script, state) = (desk.arg("job.lua"), desk.arg("state"));
    desk.run(&[&["--state", &state, "run"], flags, &[&script], args].concat())
}

fn report(desk: &Desk) -> Value {
    serde_json::from_str(&desk.read("report.json")).expect("JSON")
}

const CHANGES: &str = "
local state = kstate.store.open('state')
state:write('created', '1')
state:write('changed', '2')
state:delete('deleted')
print('changed')
";

#[tokio::test(flavor = "multi_thread")]
async fn one_run_of_a_job_at_a_time() {
    let desk = desk(CHANGES);
    let (report_file, metrics) = (desk.arg("report.json"), desk.arg("job.prom"));
    let flags = [
        "--lock",
        "nightly",
        "--report",
        &report_file,
        "--metrics-file",
        &metrics,
    ];
    let session = session(&desk, None, Mode::Direct);
    let store = open(&session, &desk.arg("state"));
    let guard = session.lock(&store, "job-nightly", &at_once()).await;
    let guard = guard.expect("free");
    let ended = run(&desk, &flags, &[]).with(7);
    ended.says("the job 'nightly' runs already");
    ended.says(&format!("pid {}", std::process::id()));
    ended.says("job-nightly");
    assert!(!desk.path("state/created").exists());
    assert_eq!(report(&desk)["exit_code"], 7);
    assert_eq!(report(&desk)["error"]["kind"], "locked");
    assert!(!desk.path("job.prom").exists(), "that is the other run's");
    // Another job has another lock, and this one may lie elsewhere.
    run(&desk, &["--lock", "hourly"], &[]).with(0);
    let elsewhere = desk.arg("locks");
    run(
        &desk,
        &["--lock", "nightly", "--lock-store", &elsewhere],
        &[],
    )
    .with(0);
    guard.release().await;
    run(&desk, &flags, &[]).with(0);
    assert!(!desk.path("state/.kstate").exists(), "given back");
    // A script's own lock is none of the job's.
    desk.write(
        "job.lua",
        "kstate.store.open('state'):lock('store', function() end)",
    );
    run(&desk, &["--lock", "store"], &[]).with(0);
}

#[test]
fn the_report_and_the_metrics_tell_what_became_of_a_run() {
    let desk = desk(CHANGES);
    let (report_file, metrics) = (desk.arg("report.json"), desk.arg("job.prom"));
    let flags = [
        "--lock",
        "nightly",
        "--report",
        &report_file,
        "--metrics-file",
        &metrics,
    ];
    let ended = run(&desk, &flags, &["--password", "hunter2"]).with(0);
    let said = report(&desk);
    let journal = said["journal"].as_str().expect("a journal").to_owned();
    let last = ended.stderr.lines().last().expect("a line").to_owned();
    assert!(last.starts_with("nightly: done after "), "{last}");
    let undo = format!(", 1 created, 1 changed, 1 deleted; undo with: kstate undo {journal}");
    assert!(last.ends_with(&undo), "{last}");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let changes = json!({ "created": 1, "changed": 1, "deleted": 1 });
    for (field, value) in [
        ("script", desk.arg("job.lua").into()),
        ("args", json!(["--password", "<hidden>"])),
        ("lock", "nightly".into()),
        ("shard", Value::Null),
        ("attempts", 1.into()),
        ("exit_code", 0.into()),
        ("changes", changes),
        ("error", Value::Null),
    ] {
        assert_eq!(said[field], value, "{field}");
    }
    assert!(said["started"].as_str() <= said["ended"].as_str());
    for file in ["report.json", "job.prom"] {
        let mode = std::fs::metadata(desk.path(file))
            .expect("a file")
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o644, "{file}");
    }
    let labels = format!("script=\"{}\",lock=\"nightly\"", desk.arg("job.lua"));
    let value = |name: &str, more: &str| -> Option<f64> {
        let start = format!("kstate_job_{name}{{{labels}{more}}} ");
        let text = desk.read("job.prom");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.map(|value| value.parse().expect("a number"))
    };
    assert_eq!(value("exit_code", ""), Some(0.0));
    assert_eq!(value("success", ""), Some(1.0));
    assert_eq!(value("changes", ",action=\"deleted\""), Some(1.0));
    let success = value("last_success_timestamp_seconds", "");
    assert!(success.is_some());

    // A run that fails leaves standing when the last one succeeded.
    desk.write("job.lua", "error('no\\nluck')");
    run(&desk, &flags, &[]).with(1);
    assert_eq!(value("exit_code", ""), Some(1.0));
    assert_eq!(value("last_success_timestamp_seconds", ""), success);
    let error = &report(&desk)["error"];
    assert!(
        error["message"].as_str().expect("text").contains("no"),
        "{error}"
    );
    let left = desk
        .tree("")
        .into_keys()
        .filter(|name| name.contains(".prom.") || name.contains(".json."));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
    for line in desk
        .read("job.prom")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        assert!(
            name.ends_with('}') && value.parse::<f64>().is_ok(),
            "{line}"
        );
    }
}

#[test]
fn what_can_t_be_written_is_told_before_the_script_runs() {
    let desk = desk(CHANGES);
    let file = desk.arg("missing/report.json");
    run(&desk, &["--report", &file], &[])
        .with(2)
        .says("no such folder");
    assert!(!desk.path("state/created").exists());
    // What goes wrong later makes the run a failure.
    desk.write("folder/x", "");
    let folder = desk.arg("folder");
    run(&desk, &["--metrics-file", &folder], &[])
        .with(1)
        .says("is not a file");
}

#[test]
fn a_dry_run_reports_what_there_would_have_been() {
    let desk = desk(CHANGES);
    let file = desk.arg("report.json");
    run(&desk, &["--lock", "x", "--report", &file, "--dry-run"], &[]).with(0);
    let said = report(&desk);
    assert_eq!(said["dry_run"], true);
    assert_eq!(
        said["changes"],
        json!({ "created": 1, "changed": 1, "deleted": 1 })
    );
    assert_eq!(desk.read("state/changed"), "old");
}

#[test]
fn a_quiet_run_says_nothing_unless_it_fails() {
    let desk = desk("print('a result')\nkstate.log.warn('odd')\nreturn tonumber(arg[1])");
    for flags in [&["--quiet"][..], &["-q", "--lock", "job"]] {
        let ended = run(&desk, flags, &["0"]).with(0);
        assert_eq!((&*ended.stdout, &*ended.stderr), ("", ""));
        let ended = run(&desk, flags, &["1"]).with(1);
        assert_eq!(ended.stdout, "a result\n");
    }
    // What programs asked for is no noise.
    let ended = run(&desk, &["--quiet", "--json"], &["0"]).with(0);
    assert_eq!((&*ended.stdout, &*ended.stderr), ("a result\n", ""));
}

/// Fails so often with this kind, then succeeds; counts in a file.
const FAILS: &str = "
local state = kstate.store.open('state')
local count = tonumber(state:read('count') or '0') + 1
state:write('count', tostring(count))
if count <= tonumber(arg[2]) then
  error(kstate.error{ kind = arg[1], message = 'the service says ' .. arg[1] })
end
";

#[test]
fn only_an_unavailable_service_is_tried_again() {
    for (kind, fails, retries, code, attempts) in [
        ("unavailable", "2", "2", 0, 3),
        ("unavailable", "2", "1", 1, 2),
        ("throttled", "1", "5", 1, 1),
        ("precondition_failed", "1", "5", 4, 1),
    ] {
        let desk = desk(FAILS);
        let file = desk.arg("report.json");
        let flags = [
            "--retries",
            retries,
            "--retry-wait",
            "1ms",
            "--report",
            &file,
        ];
        let ended = run(&desk, &flags, &[kind, fails]).with(code);
        assert_eq!(report(&desk)["attempts"], attempts, "{kind}");
        assert_eq!(ended.stderr.contains("attempts left"), attempts > 1);
        assert_eq!(desk.read("state/count"), attempts.to_string());
    }
    // The time is for all attempts together.
    let desk = desk(FAILS);
    let flags = ["--retries", "5", "--retry-wait", "1h", "--timeout", "20s"];
    run(&desk, &flags, &["unavailable", "9"]).with(1);
    assert_eq!(desk.read("state/count"), "1");
}

#[test]
fn the_lock_is_kept_while_an_attempt_is_awaited() {
    let desk = desk(FAILS);
    let (state, script) = (desk.arg("state"), desk.arg("job.lua"));
    let mut command = desk.kstate(&["--state", &state, "run", "--lock", "job", "--retries", "2"]);
    command.args(["--retry-wait", "1h", &script, "unavailable", "9"]);
    command.stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let pause = said.find(|line| line.as_ref().is_ok_and(|line| line.contains("again in")));
    assert!(pause.is_some());
    let metrics = desk.arg("refused.prom");
    let flags = ["--lock", "job", "--metrics-file", &metrics];
    run(&desk, &flags, &["unavailable", "0"])
        .with(7)
        .says("runs already");
    assert!(!desk.path("refused.prom").exists());
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(!desk.path("state/.kstate").exists());
}

#[test]
fn a_script_that_ends_with_7_is_no_refused_run() {
    let desk = desk("return 7");
    let metrics = desk.arg("job.prom");
    run(&desk, &["--metrics-file", &metrics], &[]).with(7);
    assert!(desk.read("job.prom").contains("kstate_job_exit_code"));
}

#[test]
fn a_report_tells_the_hint_apart() {
    let desk = desk("error(kstate.error{ kind = 'other', message = 'no', hint = 'do this' })");
    let file = desk.arg("report.json");
    let ended = run(&desk, &["--report", &file], &[]).with(1);
    ended.says("\nhint: do this\n");
    let error = &report(&desk)["error"];
    assert_eq!(error["hint"], "do this");
    assert!(!error["message"].as_str().expect("text").contains("hint: "));
}

#[test]
fn a_mistake_in_the_command_line_is_json_too() {
    let desk = Desk::new();
    for args in [
        &["--log-format", "json", "bogus"][..],
        &["run", "--log-format=json", "--retries", "x", "s.lua"],
        &["--log-format=json", "run"],
    ] {
        let ended = desk.run(args).with(2);
        let line: Value = serde_json::from_str(&ended.stderr).expect("one line of JSON");
        assert_eq!(
            (&line["level"], &line["kind"]),
            (&"error".into(), &"usage".into())
        );
    }
}

#[test]
fn a_run_that_takes_too_long_ends_with_124_and_is_reported() {
    let desk = desk("kstate.task.sleep('1h')");
    let file = desk.arg("report.json");
    let flags = ["--timeout", "50ms", "--lock", "job", "--report", &file];
    run(&desk, &flags, &[]).with(124);
    assert_eq!(report(&desk)["exit_code"], 124);
    assert_eq!(report(&desk)["error"]["kind"], "timeout");
    assert!(
        !desk.path("state/.kstate").exists(),
        "the lock is given back"
    );
}

#[test]
fn a_run_that_is_stopped_is_reported_and_gives_its_lock_back() {
    let desk = desk("print('at work')\nkstate.task.sleep('1h')");
    let (file, state, script) = (
        desk.arg("report.json"),
        desk.arg("state"),
        desk.arg("job.lua"),
    );
    let mut command = desk.kstate(&[
        "--state", &state, "run", "--lock", "job", "--report", &file, &script,
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert_eq!(said.next().expect("a line").expect("text"), "at work");
    assert!(desk.path("state/.kstate/locks/job-job").exists());
    signal(&child, Signal::TERM);
    let ended = Ended::from(child.wait_with_output().expect("it ends")).with(130);
    ended.says("ended with exit code 130");
    assert_eq!(report(&desk)["error"]["kind"], "cancelled");
    assert!(!desk.path("state/.kstate").exists());
}

#[test]
fn the_log_is_json_for_programs() {
    let desk = desk("kstate.log.warn('odd', { key = 'a' })\nerror('no luck')");
    let ended = run(&desk, &["--log-format", "json"], &[]).with(1);
    let lines = ended.stderr.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.map(|line| line.expect("JSON")).collect();
    let [odd, error, end] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(odd["level"], "warn");
    assert_eq!(odd["message"], "odd key=a");
    assert!(odd["at"].as_str().expect("a place").ends_with("job.lua:1"));
    assert_eq!(
        (&error["level"], &error["exit_code"]),
        (&json!("error"), &json!(1))
    );
    assert!(error["message"].as_str().expect("text").contains("no luck"));
    assert_eq!(end["level"], "info");
    assert_eq!((&end["exit_code"], &end["created"]), (&json!(1), &json!(0)));
    assert!(end["time"].as_str().expect("a time").ends_with('Z'));
    // It is for all commands.
    let ended = desk.run(&["--log-format", "json", "cat", "nothing:there"]);
    let line = ended.stderr.lines().last().expect("a line");
    serde_json::from_str::<Value>(line).expect("JSON");
}

#[test]
fn shares_together_are_all_of_the_work() {
    let desk = desk("print(table.concat(kstate.shard({ 'a', 'b', 'c', 'd', 'e' }), ' '))");
    let all = |ended: Ended| ended.with(0).stdout.trim_end().to_owned();
    assert_eq!(all(run(&desk, &[], &[])), "a b c d e");
    let mut seen = Vec::new();
    for index in ["0", "1", "2"] {
        let named = all(run(&desk, &["--shard", &format!("{index}/3")], &[]));
        let (script, state) = (desk.arg("job.lua"), desk.arg("state"));
        let mut by_index = desk.kstate(&["--state", &state, "run", "--shard", "3", &script]);
        by_index.env("JOB_COMPLETION_INDEX", index);
        assert_eq!(all(Ended::of(by_index)), named, "{index}");
        seen.extend(named.split_whitespace().map(str::to_owned));
    }
    seen.sort();
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    for wrong in ["3", "3/3", "x/2", "0/0", "1/2/3", ""] {
        run(&desk, &["--shard", wrong], &[])
            .with(2)
            .says("--shard can't be");
    }
    desk.write("job.lua", "print('all')");
    run(&desk, &["--shard", "0/2"], &[])
        .with(0)
        .says("doesn't divide its work");
}

#[test]
fn a_move_takes_its_share_of_the_clusters() {
    let desk = Desk::new();
    desk.write_tree("old", &sample());
    let (old, new) = (desk.arg("old"), desk.arg("new"));
    let mut there = Vec::new();
    for shard in ["0/2", "1/2"] {
        let job = [
            "run",
            "--shard",
            shard,
            "move_bucket",
            "--from",
            &old,
            "--to",
            &new,
        ];
        desk.run(&[&job[..], &["--all-clusters", "--yes"]].concat())
            .with(0);
        there.push(clusters(&desk.tree("new")).len());
    }
    assert_eq!(there, [1, 2]);
}
