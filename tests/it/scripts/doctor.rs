//! What `doctor` says of stores and clusters.

use serde_json::Value;

use super::upkeep::{BLUE, at, desk, json_of, run};
use super::{bucket, double_with, is_write};
use crate::support::{Desk, Ended, sample};

/// The findings of one severity: what they are about, and what they say.
fn found(ended: &Ended, severity: &str) -> Vec<String> {
    let said = json_of(ended);
    let findings = said["findings"].as_array().expect("a list").iter();
    let those = findings.filter(|found| found["severity"] == severity);
    let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    those
        .map(|found| format!("{}: {}", text(&found["place"]), text(&found["message"])))
        .collect()
}

fn remove(desk: &Desk, name: &str) {
    std::fs::remove_file(desk.path(&at(name))).expect(name);
}

/// That the doctor finds this in a cluster that was spoilt so, and no error before.
#[track_caller]
fn assert_found(spoil: fn(&Desk), severity: &str, says: &str) {
    let desk = desk();
    let before = run(&desk, "doctor", &["--json", "--cluster", BLUE]).with(0);
    assert!(found(&before, "error").is_empty(), "{}", before.stdout);
    spoil(&desk);
    let code = i32::from(severity == "error");
    let ended = run(&desk, "doctor", &["--json", "--cluster", BLUE]).with(code);
    let all = found(&ended, severity);
    assert!(all.iter().any(|one| one.contains(says)), "{says}\n{all:#?}");
    assert!(
        !desk.path("state/.kstate").exists(),
        "what was probed is gone"
    );
}

#[test]
fn the_doctor_finds_what_is_wrong_with_the_files_of_a_cluster() {
    assert_found(
        |desk| std::fs::remove_dir_all(desk.path(&at("instancegroup"))).expect("groups"),
        "error",
        "no instance group",
    );
    assert_found(
        |desk| {
            let config = desk.read(&at("config")).replace("channel:", "chanel:");
            desk.write(&at("config"), config);
        },
        "error",
        "chanel",
    );
    assert_found(
        |desk| desk.write(&at("notes.txt"), "x"),
        "warning",
        "doesn't know these files: notes.txt",
    );
    assert_found(
        |desk| remove(desk, "cluster-completed.spec"),
        "warning",
        "cluster-completed.spec is missing, though",
    );
    assert_found(
        |desk| {
            let tree = desk.tree(&format!("state/{BLUE}"));
            for key in tree.keys() {
                let by_hand = ["config", "instancegroup/", "clusteraddons/"];
                if !by_hand.iter().any(|part| key.starts_with(part)) {
                    remove(desk, key);
                }
            }
        },
        "warning",
        "never ran",
    );
    assert_found(
        |desk| {
            let completed = desk.path(&at("cluster-completed.spec"));
            let file = std::fs::File::options().write(true).open(completed);
            let old = std::time::SystemTime::UNIX_EPOCH;
            file.expect("a file").set_modified(old).expect("a time");
        },
        "warning",
        "edited after the last `kops update cluster`: config, instancegroup/",
    );
    assert_found(
        |desk| desk.write(&at("addons/limit-range.addons.k8s.io/v1.5.0.yaml"), "x"),
        "warning",
        "are not those of its checksums: addons/limit-range",
    );
    assert_found(
        |desk| desk.write("state/gone/pki/x", ""),
        "warning",
        "folders without a config: gone",
    );
    assert_found(
        |_| {},
        "warning",
        "names another place: s3://example-state-store",
    );
}

#[test]
fn the_doctor_finds_keys_and_secrets_that_are_gone_or_broken() {
    assert_found(
        |desk| remove(desk, "pki/private/kubernetes-ca/keyset.yaml"),
        "error",
        "its certificate authority, is missing",
    );
    assert_found(
        |desk| {
            remove(desk, "cluster-completed.spec");
            std::fs::remove_dir_all(desk.path(&at("pki"))).expect("keys");
        },
        "error",
        "etcd-manager-ca-main/keyset.yaml, a certificate authority, is missing",
    );
    assert_found(
        |desk| desk.write(&at("pki/private/kubernetes-ca/keyset.yaml"), ""),
        "error",
        "kubernetes-ca/keyset.yaml has no keys",
    );
    assert_found(
        |desk| {
            let key = at("pki/private/service-account/keyset.yaml");
            let lines = desk.read(&key);
            let lines = lines
                .lines()
                .filter(|line| !line.contains("privateMaterial"));
            desk.write(&key, lines.collect::<Vec<_>>().join("\n"));
        },
        "error",
        "service-account/keyset.yaml has no private key",
    );
    assert_found(
        |desk| std::fs::remove_dir_all(desk.path(&at("secrets"))).expect("secrets"),
        "error",
        "there are no secrets",
    );
    assert_found(
        |desk| {
            for (new, old) in [("kubernetes-ca", "ca"), ("service-account", "master")] {
                let place = |name: &str| desk.path(&at(&format!("pki/private/{name}")));
                std::fs::rename(place(new), place(old)).expect("a keyset");
            }
        },
        "info",
        "kubernetes-ca is under the name that it had before",
    );
}

#[test]
fn the_doctor_looks_at_what_etcd_manager_keeps() {
    assert_found(
        |desk| remove(desk, "backups/etcd/main/control/etcd-cluster-created"),
        "error",
        "etcd main has no control/etcd-cluster-created",
    );
    assert_found(
        |desk| {
            desk.write(
                &at("backups/etcd/main/control/T-000000/_command.json"),
                "{}",
            );
        },
        "warning",
        "a command that waits",
    );
    assert_found(
        |desk| {
            remove(
                desk,
                "backups/etcd/main/2026-06-01T04:00:00Z-000012/_etcd_backup.meta",
            );
        },
        "warning",
        "backups of etcd main are not complete: 2026-06-01",
    );
    assert_found(|_| {}, "warning", "was last backed up");
}

#[test]
fn the_doctor_knows_how_a_bucket_is_set_up() {
    let (desk, double) = (Desk::new(), double_with(&sample()));
    let doctor = |args: &[&str]| {
        let store = ["run", "doctor", "--store", "s3://old-state-store", "--json"];
        let mut command = desk.kstate(&[&store[..], args].concat());
        command.envs(double.env());
        Ended::of(command)
    };
    let bucket_says = |ended: &Ended, severity: &str| {
        let all = found(ended, severity).into_iter();
        all.filter(|one| one.starts_with("s3://"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let ended = doctor(&["--no-probe"]).with(0);
    let odd = bucket_says(&ended, "warning");
    assert!(
        odd.contains("keeps no old versions") && odd.contains("public access is not blocked"),
        "{odd}"
    );
    let known = bucket_says(&ended, "info");
    assert!(
        known.contains("region us-east-1, encryption AES256, versioning off"),
        "{known}"
    );
    let writes: Vec<_> = double
        .requests()
        .into_iter()
        .filter(|request| is_write(&request.op))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
    doctor(&["--no-probe", "--strict"]).with(1);

    double.enable_versioning("old-state-store");
    double.block_public_access("old-state-store", true, false);
    assert!(bucket_says(&doctor(&[]).with(0), "warning").contains("partly blocked"));
    double.block_public_access("old-state-store", true, true);
    let ended = doctor(&[]).with(0);
    assert_eq!(bucket_says(&ended, "warning"), "");
    let known = bucket_says(&ended, "info");
    assert!(known.contains("a lock there is atomic"), "{known}");
    assert!(
        known.contains("permissions: list yes, read yes, write yes, delete yes"),
        "{known}"
    );
    assert!(known.contains("it says that it can: "), "{known}");
    assert_eq!(json_of(&ended)["honours"]["if_absent"], true);
    assert_eq!(
        bucket(&double, "old-state-store"),
        sample(),
        "nothing is left behind"
    );

    // Whoever may not ask is told what is missing, and the rest.
    double.deny("main", "GetBucketVersioning", "old-state-store", "");
    let ended = doctor(&["--no-probe"]).with(0);
    assert!(
        bucket_says(&ended, "info").contains("versioning isn't known"),
        "{}",
        ended.stdout
    );
    double.deny("main", "PutObject", "old-state-store", "");
    let ended = doctor(&[]);
    assert!(bucket_says(&ended, "warning").contains("s3:PutObject"));
    assert_eq!(json_of(&ended)["permissions"]["write"], "refused");
    // Who doesn't want to write is not told that it can't be done.
    let mut read_only = desk.kstate(&[
        "--read-only",
        "run",
        "doctor",
        "--store",
        "s3://old-state-store",
        "--json",
    ]);
    read_only.envs(double.env());
    assert_eq!(bucket_says(&Ended::of(read_only).with(0), "warning"), "");
    // What can't be listed is an error like others.
    double.deny("main", "ListBucket", "old-state-store", "");
    let ended = doctor(&["--no-probe"]).with(1);
    assert!(
        bucket_says(&ended, "error").contains("s3:ListBucket"),
        "{}",
        ended.stdout
    );
    assert_eq!(json_of(&ended)["permissions"]["list"], "refused");
}

#[test]
fn the_doctor_goes_on_where_there_is_nothing() {
    let desk = Desk::new();
    let ended = run(&desk, "doctor", &["--json"]).with(1);
    assert_eq!(json_of(&ended)["permissions"]["list"], "failed");
    assert!(!desk.path("state").exists(), "a probe makes no folder");
}

// inventory and prune_backups ---------------------------------------------------------------------
