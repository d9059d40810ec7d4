//! The files of `examples/cron` and the commands of `docs/cron.md`: each command is run as it
//! stands, against the sample store, with nothing but its paths replaced.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::batch::v1::{CronJob, Job, JobSpec};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::{Desk, Ended, sample};

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A desk with all that the examples name.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write_tree("state", &sample());
    for folder in ["kstate/metrics", "node_exporter"] {
        std::fs::create_dir_all(desk.path(folder)).expect("a folder");
    }
    desk
}

/// A text with the paths of the examples replaced by those of a desk.
fn placed(desk: &Desk, text: &str) -> String {
    text.replace("s3://example-state-store", &desk.arg("state"))
        .replace("s3://example-state-backups", &desk.arg("copies"))
        .replace("/var/lib/kstate", &desk.arg("kstate"))
        .replace("/var/lib/node_exporter", &desk.arg("node_exporter"))
}

/// Runs a line as cron does.
fn shell(desk: &Desk, line: &str) -> Ended {
    let binary = Path::new(env!("CARGO_BIN_EXE_kstate"));
    let folder = binary.parent().expect("a folder").display();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &placed(desk, line)])
        .env_clear()
        .env("HOME", desk.path(""))
        .env("PATH", format!("{folder}:/usr/bin:/bin"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(desk.path(""));
    Ended::of(command)
}

#[test]
fn the_crontab_runs_as_it_stands() {
    let desk = desk();
    let text = example("examples/cron/crontab");
    let lines = text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let mut ran = 0;
    for line in lines {
        let mut rest = line;
        for column in 0..6 {
            let (word, after) = rest.split_once(char::is_whitespace).expect("a column");
            assert!(
                column == 5 || word.chars().all(|c| "0123456789*/,-".contains(c)),
                "{line}"
            );
            rest = after.trim_start();
        }
        assert!(
            !rest.contains('%'),
            "cron takes that for the end of the line: {line}"
        );
        let ended = shell(&desk, rest).with(0);
        assert_eq!(
            (&*ended.stdout, ended.stderr.contains("error")),
            ("", false),
            "{line}"
        );
        ran += 1;
    }
    assert_eq!(ran, 3);
    assert!(desk.read("kstate/backup.json").contains("\"exit_code\": 0"));
    for name in ["backup", "doctor", "inventory"] {
        let metrics = desk.read(&format!("node_exporter/kstate_{name}.prom"));
        assert!(metrics.starts_with("# HELP kstate_"), "{metrics}");
    }
}

#[test]
fn the_metrics_of_the_inventory_say_what_can_t_be_read() {
    let desk = desk();
    desk.write("state/broken.example.com/config", "no manifest: [");
    let text = example("examples/cron/crontab");
    let line = text.lines().find(|line| line.contains(" inventory "));
    let command = line.expect("a line").split_once("kstate  cd ");
    let command = format!("cd {}", command.expect("a command").1);
    // Nothing was backed up so far, which counts too.
    shell(&desk, &command).with(0);
    let metrics = desk.read("node_exporter/kstate_inventory.prom");
    assert!(metrics.contains("kstate_inventory_failed 2"), "{metrics}");
    assert!(metrics.contains("blue.k8s.example.com"), "{metrics}");
}

#[test]
fn the_units_are_what_systemd_takes_and_the_service_runs() {
    let desk = desk();
    let service = example("examples/cron/kstate-backup.service");
    let start = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let start = start.expect("a command").strip_prefix("/usr/local/bin/");
    shell(&desk, start.expect("an absolute path")).with(0);
    assert!(desk.path("kstate/metrics/backup.prom").exists());
    // systemd looks whether the program is there.
    let here = service.replace("/usr/local/bin/kstate", env!("CARGO_BIN_EXE_kstate"));
    desk.write("kstate-backup.service", here);
    desk.write(
        "kstate-backup.timer",
        example("examples/cron/kstate-backup.timer"),
    );
    for unit in ["kstate-backup.service", "kstate-backup.timer"] {
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no", &desk.arg(unit)])
            .output();
        // Not on every machine.
        let Ok(verified) = verified else { return };
        let said = String::from_utf8_lossy(&verified.stderr);
        let ours: Vec<_> = said
            .lines()
            .filter(|line| line.contains("kstate-backup"))
            .collect();
        assert!(ours.is_empty(), "{unit}: {said}");
    }
}

/// A manifest as Kubernetes understands it; a field that it doesn't know fails.
fn manifest<T: DeserializeOwned + Serialize>(name: &str) -> T {
    let written: serde_json::Value = serde_yaml::from_str(&example(name)).expect("YAML");
    let read: T = serde_json::from_value(written.clone()).expect("an object of this kind");
    assert_eq!(
        serde_json::to_value(&read).expect("JSON"),
        written,
        "{name}"
    );
    read
}

/// Runs the command of a job's container.
fn run(desk: &Desk, spec: &JobSpec, index: Option<i32>) -> Ended {
    let pod = spec.template.spec.as_ref().expect("a pod");
    let [container] = &pod.containers[..] else {
        panic!("one container");
    };
    let words = container.command.as_ref().expect("a command");
    assert_eq!(words[0], "kstate");
    // Kubernetes puts it in.
    let number = index.unwrap_or_default().to_string();
    let words: Vec<_> = words[1..]
        .iter()
        .map(|word| placed(desk, word).replace("$(JOB_COMPLETION_INDEX)", &number))
        .collect();
    let mut command = desk.kstate(&words.iter().map(String::as_str).collect::<Vec<_>>());
    if let Some(index) = index {
        command.env("JOB_COMPLETION_INDEX", index.to_string());
    }
    Ended::of(command)
}

#[test]
fn the_cronjob_is_one_and_its_command_runs() {
    let desk = desk();
    let job: CronJob = manifest("examples/cron/cronjob.yaml");
    let spec = job.spec;
    assert_eq!(spec.schedule.split(' ').count(), 5);
    assert_eq!(spec.concurrency_policy.as_deref(), Some("Forbid"));
    let ended = run(&desk, &spec.job_template.spec.expect("a job"), None).with(0);
    let last = ended.stderr.lines().last().expect("a log line");
    let last: serde_json::Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(last["exit_code"], 0);
    assert!(desk.path("kstate/report.json").exists());
}

#[test]
fn the_pods_of_the_indexed_job_back_up_each_cluster_once() {
    let desk = desk();
    let job: Job = manifest("examples/cron/indexed-job.yaml");
    let spec = job.spec.expect("a spec");
    assert_eq!(spec.completion_mode.as_deref(), Some("Indexed"));
    let policy = spec.pod_failure_policy.as_ref().expect("a policy");
    let codes = policy.rules[0].on_exit_codes.as_ref().expect("exit codes");
    assert_eq!(codes.values, [2, 3]);
    let completions = spec.completions.expect("completions");
    for index in 0..completions {
        run(&desk, &spec, Some(index)).with(0);
    }
    for cluster in crate::support::clusters(&sample()) {
        let copies = std::fs::read_dir(desk.path("copies").join(&cluster)).expect("a copy");
        assert_eq!(copies.count(), 1, "{cluster}");
    }
}

#[test]
fn the_commands_of_the_guide_run() {
    let desk = desk();
    let text = example("docs/cron.md");
    let mut blocks = text.split("```");
    let mut ran = 0;
    // Every second piece is a block.
    while let (Some(_), Some(block)) = (blocks.next(), blocks.next()) {
        let Some(commands) = block.strip_prefix("sh\n") else {
            continue;
        };
        for line in commands
            .replace("\\\n", "")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let ended = shell(&desk, line);
            assert_eq!(
                ended.code,
                Some(0),
                "{line}\n{}{}",
                ended.stdout,
                ended.stderr
            );
            ran += 1;
        }
    }
    assert!(ran >= 5, "{ran}");
}
