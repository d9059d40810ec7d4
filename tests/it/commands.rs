//! The everyday commands and the exit codes, as a user meets them.

use crate::support::{Desk, sample};

const MOVE: &str = "move_bucket";

/// A desk with the sample store in `state`, and `ex` as its name.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write_tree("state", &sample());
    let config = format!("stores:\n  ex:\n    url: {}\n", desk.arg("state"));
    desk.write(".config/kstate/config.yaml", config);
    desk
}

#[test]
fn a_named_store_is_good_wherever_a_url_is() {
    let desk = desk();
    let listed = desk.run(&["ls", "ex"]).with(0).stdout;
    for args in [
        &["--state", "ex", "ls"][..],
        &["--state", "ex", "ls", "state:"],
        &["ls", &desk.arg("state")],
    ] {
        assert_eq!(desk.run(args).with(0).stdout, listed, "{args:?}");
    }
    assert!(listed.lines().count() > 1);
}

#[test]
fn a_confusing_state_store_is_warned_of_where_it_is_used() {
    let desk = Desk::new();
    desk.write(".kops/config", "kops_state_store: s3://good\n");
    desk.write(".kops.yaml", "other: 1\n");
    desk.run(&["ls"])
        .with(2)
        .says("kops_state_store: s3://good");
    let ended = desk.run(&["--state", "s3:b", "ls"]).with(1);
    ended.says("write s3://b");
}

#[test]
fn json_may_stand_before_or_after_the_name_of_the_script() {
    let desk = desk();
    let to = desk.arg("new");
    let what = [
        MOVE,
        "--from",
        "ex",
        "--to",
        &to,
        "--all-clusters",
        "--dry-run",
    ];
    for args in [
        [&["run"][..], &what, &["--json"]].concat(),
        [&["--json", "run"][..], &what].concat(),
    ] {
        let out = desk.run(&args).with(0).stdout;
        let values: Vec<serde_json::Value> = out
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        assert!(values[0]["moved"].is_array(), "{out}");
        assert_eq!(values[1]["dry_run"], true);
    }
    assert!(!desk.path("new").exists());
}

#[test]
fn a_dry_run_does_not_speak_as_if_it_had_been_done() {
    let desk = desk();
    let to = desk.arg("new");
    let args = ["run", MOVE, "--from", "ex", "--to", &to, "--all-clusters"];
    let ended = desk.run(&[&args[..], &["--dry-run"]].concat()).with(0);
    ended.says("would be copied");
    assert!(!ended.stdout.contains("What comes next"));
}

#[test]
fn a_cluster_named_twice_is_moved_once() {
    let desk = desk();
    let to = desk.arg("new");
    let name = crate::support::clusters(&sample()).remove(0);
    let twice = ["--cluster", &name, "--cluster", &name, "--yes"];
    let args = ["run", MOVE, "--from", "ex", "--to", &to];
    desk.run(&[&args[..], &twice].concat()).with(0);
}

#[test]
fn a_refusal_shows_no_code() {
    let desk = desk();
    let to = desk.arg("new");
    let args = ["run", MOVE, "--from", "ex", "--to", &to, "--all-clusters"];
    let ended = desk.run(&args).with(3);
    ended.says("--yes");
    assert!(!ended.stderr.contains("-->"), "{}", ended.stderr);
}

#[test]
fn standard_output_is_no_target_of_a_copy() {
    let desk = desk();
    let object = format!("{}/a", desk.arg("state"));
    desk.write("state/a", "x");
    for source in [object.as_str(), "-"] {
        let mut command = desk.kstate(&["cp", source, "-"]);
        let ended = command.current_dir(desk.path("")).output().expect("a run");
        assert_eq!(ended.status.code(), Some(2));
        assert!(!desk.path("-").exists());
    }
}

#[test]
fn an_empty_source_deletes_nothing() {
    let desk = desk();
    std::fs::create_dir(desk.path("empty")).expect("a folder");
    let args = ["sync", &desk.arg("empty"), "ex", "--delete", "--yes"];
    desk.run(&args).with(2).says("--allow-empty-source");
    assert_eq!(desk.tree("state"), sample());
}

#[test]
fn a_tree_is_deleted_when_somebody_says_so() {
    let desk = desk();
    desk.run(&["rm", "-r", "ex"]).with(3).says("--yes");
    desk.run(&["rm", "-r", "ex", "--dry-run"]).with(0);
    assert_eq!(desk.tree("state"), sample());
    desk.run(&["rm", "-r", "ex", "--yes"]).with(0);
    assert!(desk.tree("state").is_empty());
}

#[test]
fn what_exists_is_a_conflict_and_what_is_missing_a_failure() {
    let desk = desk();
    desk.write("one", "1");
    desk.write("two", "2");
    let (one, two) = (desk.arg("one"), desk.arg("two"));
    desk.run(&["cp", "-n", &one, &two]).with(4);
    assert_eq!(desk.read("two"), "2");
    desk.run(&["cat", &desk.arg("three")]).with(1);
    desk.run(&["cat"]).with(2);
}

#[test]
fn a_difference_shows_no_secret() {
    let desk = desk();
    let mut tree = sample();
    for (key, bytes) in &mut tree {
        if key.contains("/secrets/") {
            *bytes = br#"{"Data":"U0VLUklU"}"#.to_vec();
        } else if key.contains("/pki/private/") {
            let text = String::from_utf8(bytes.clone()).expect("UTF-8");
            let text = text.replace("privateMaterial: ", "privateMaterial: U0VLUklU");
            *bytes = text.into_bytes();
        }
    }
    desk.write_tree("other", &tree);
    let other = desk.arg("other");
    for more in [&[][..], &["--json"]] {
        let ended = desk.run(&[&["diff", "ex", &other], more].concat()).with(1);
        ended.says("pki/private/kubernetes-ca/keyset.yaml");
        assert!(!ended.stdout.contains("U0VLUklU"), "{}", ended.stdout);
    }
    desk.run(&["diff", "ex", &other, "--show-secrets"])
        .with(1)
        .says("U0VLUklU");
    desk.run(&["diff", "ex", &desk.arg("state")]).with(0);
}

#[test]
fn a_secret_is_one_from_wherever_it_is_looked_at() {
    let desk = Desk::new();
    for (side, text) in [("a", "U0VLUklU"), ("b", "dG9rZW4")] {
        desk.write(&format!("{side}/c/secrets/odd"), text);
        desk.write(&format!("{side}/c/pki/private/ca/1.key"), text);
    }
    for folder in [
        "",
        "/c",
        "/c/secrets",
        "/c/pki/private",
        "/c/pki/private/ca",
    ] {
        let [a, b] = ["a", "b"].map(|side| format!("{}{folder}", desk.arg(side)));
        let ended = desk.run(&["diff", &a, &b]).with(1);
        assert!(!ended.stdout.contains("U0VLUklU"), "{}", ended.stdout);
    }
    let [a, b] = ["a", "b"].map(|side| desk.arg(&format!("{side}/c/secrets/odd")));
    let ended = desk.run(&["diff", "--object", &a, &b]).with(1);
    assert!(!ended.stdout.contains("U0VLUklU"), "{}", ended.stdout);
}
