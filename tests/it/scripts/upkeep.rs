//! The scripts that look after a state store: `doctor`, `backup`, `restore`, `inventory` and
//! `prune_backups`.

use serde_json::{Value, json};

use super::{bucket, double_with, is_write};
use crate::support::{Desk, Ended, Tree, sample};

const BLUE: &str = "blue.k8s.example.com";
const GREEN: &str = "green.k8s.example.com";

/// A desk with the sample store as the state store.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write_tree("state", &sample());
    desk
}

fn run(desk: &Desk, script: &str, args: &[&str]) -> Ended {
    let state = desk.arg("state");
    desk.run(&[&["--state", &state, "run", script], args].concat())
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// The names of a cluster's copies, the oldest first.
fn copies(desk: &Desk, cluster: &str) -> Vec<String> {
    let folder = std::fs::read_dir(desk.path("copies").join(cluster));
    let names = folder.into_iter().flatten().flatten();
    let mut names: Vec<_> = names
        .map(|entry| entry.file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn without(tree: Tree, wanted: impl Fn(&str) -> bool) -> Tree {
    tree.into_iter().filter(|(key, _)| !wanted(key)).collect()
}

// backup and restore --------------------------------------------------------------------------

#[test]
fn a_cluster_comes_back_from_its_backup() {
    let desk = desk();
    let to = desk.arg("copies");
    run(&desk, "backup", &["--to", &to])
        .with(0)
        .says("2 clusters backed up");
    std::fs::remove_dir_all(desk.path("state").join(BLUE)).expect("a cluster");
    let back = ["--from", &to, "--cluster", BLUE];
    // Nothing without a yes, and nothing in a rehearsal.
    run(&desk, "restore", &back).with(3).says("--yes");
    let dry = run(&desk, "restore", &[&back[..], &["--dry-run"]].concat()).with(0);
    dry.says("39 changes");
    assert!(!desk.path("state").join(BLUE).exists());
    run(&desk, "restore", &[&back[..], &["--yes"]].concat()).with(0);
    let restored = without(desk.tree("state"), |key| key.starts_with(".kstate/"));
    assert_eq!(restored, sample());
    run(&desk, "restore", &[&back[..], &["--yes"]].concat())
        .with(0)
        .says("0 objects to restore");
}

#[test]
fn a_restore_is_planned_and_writes_markers_first_and_config_last() {
    let desk = desk();
    let to = desk.arg("copies");
    run(&desk, "backup", &["--to", &to]).with(0);
    std::fs::remove_dir_all(desk.path("state").join(BLUE)).expect("a cluster");
    let back = ["--from", &to, "--cluster", BLUE];
    let dry = run(&desk, "restore", &[&back[..], &["--dry-run"]].concat()).with(0);
    let written: Vec<_> = dry
        .stdout
        .lines()
        .filter(|line| line.contains(") + "))
        .collect();
    assert!(
        written[0].contains("control/etcd-cluster-created"),
        "{written:?}"
    );
    assert!(
        written[38].contains("blue.k8s.example.com/config"),
        "{written:?}"
    );
    let (state, plan) = (desk.arg("state"), desk.arg("p"));
    let make = ["--state", &state, "plan", "restore", "-o", &plan];
    desk.run(&[&make[..], &back].concat()).with(6);
    desk.run(&["apply", &plan, "--yes"]).with(0);
    assert_eq!(
        without(desk.tree("state"), |key| key.starts_with(".kstate/")),
        sample()
    );
}

#[test]
fn what_is_newer_is_never_overwritten_unless_it_is_named() {
    let desk = desk();
    let to = desk.arg("copies");
    run(&desk, "backup", &["--to", &to, "--cluster", BLUE]).with(0);
    let group = format!("state/{BLUE}/instancegroup/nodes");
    let before = desk.read(&group);
    desk.write(&group, format!("{before}# newer\n"));
    std::fs::remove_file(desk.path(&format!("state/{BLUE}/kops-version.txt"))).expect("a file");
    let back = ["--from", &to, "--cluster", BLUE, "--yes", "--json"];
    let ended = run(&desk, "restore", &back).with(4);
    let result = &json_of(&ended)["restored"][0];
    assert_eq!(result["restored"], json!(["kops-version.txt"]));
    assert_eq!(result["newer"], json!(["instancegroup/nodes"]));
    assert!(desk.read(&group).ends_with("# newer\n"));
    run(
        &desk,
        "restore",
        &[&back[..], &["--replace", "instancegroup/nodes"]].concat(),
    )
    .with(0);
    assert_eq!(desk.read(&group), before);
}

#[test]
fn a_damaged_backup_is_not_restored_and_an_unfinished_one_not_seen() {
    let desk = desk();
    let to = desk.arg("copies");
    run(&desk, "backup", &["--to", &to, "--cluster", BLUE]).with(0);
    let name = copies(&desk, BLUE).remove(0);
    let copy = format!("copies/{BLUE}/{name}");
    desk.write(&format!("{copy}/tree/secrets/admin"), "other bytes");
    let back = ["--from", &to, "--cluster", BLUE, "--yes"];
    let ended = run(&desk, "restore", &back).with(1);
    ended.says("is damaged");
    ended.says("tree/secrets/admin");
    std::fs::remove_file(desk.path(&format!("{copy}/backup.json"))).expect("a manifest");
    run(&desk, "restore", &back)
        .with(3)
        .says("no complete backup");
}

#[test]
fn a_restore_to_another_place_names_that_place() {
    let desk = desk();
    let (to, other) = (desk.arg("copies"), desk.arg("other"));
    run(&desk, "backup", &["--to", &to, "--cluster", BLUE]).with(0);
    let back = ["--from", &to, "--cluster", BLUE, "--yes"];
    // The state store is another one by now.
    desk.run(&[&["--state", &other, "run", "restore"], &back[..]].concat())
        .with(3)
        .says("--to");
    run(&desk, "restore", &[&back[..], &["--to", &other]].concat()).with(0);
    let base = format!("{other}/{BLUE}");
    assert!(desk.read(&format!("other/{BLUE}/config")).contains(&base));
}

#[test]
fn old_backups_go_and_only_behind_a_new_one() {
    let desk = desk();
    let to = desk.arg("copies");
    let backup = ["--to", &to, "--cluster", BLUE];
    run(&desk, "backup", &backup).with(0);
    let first = copies(&desk, BLUE).remove(0);
    for old in [
        "2020-01-01T000000Z",
        "2020-01-02T000000Z",
        "2020-01-03T000000Z",
    ] {
        let from = desk.tree(&format!("copies/{BLUE}/{first}"));
        desk.write_tree(&format!("copies/{BLUE}/{old}"), &from);
    }
    // One that was interrupted, and what is none of ours.
    desk.write(
        &format!("copies/{BLUE}/2020-01-04T000000Z/tree/config"),
        "half",
    );
    desk.write(&format!("copies/{BLUE}/by-hand/note"), "kept");
    std::fs::remove_dir_all(desk.path(&format!("copies/{BLUE}/{first}"))).expect("a copy");
    let keep = [
        &backup[..],
        &["--keep", "30d", "--keep-last", "2", "--json"],
    ]
    .concat();
    let broken = format!("state/{BLUE}/config");
    let config = desk.read(&broken);
    desk.write(&broken, "no manifest: [");
    run(&desk, "backup", &keep).with(1);
    assert_eq!(copies(&desk, BLUE).len(), 5, "nothing new, nothing deleted");
    desk.write(&broken, config);
    let ended = run(&desk, "backup", &keep).with(0);
    let deleted = &json_of(&ended)["done"][0]["deleted"];
    let gone = [
        "2020-01-04T000000Z",
        "2020-01-02T000000Z",
        "2020-01-01T000000Z",
    ];
    assert_eq!(*deleted, json!(gone));
    assert!(desk.path(&format!("copies/{BLUE}/by-hand/note")).exists());
}

#[test]
fn one_cluster_that_fails_doesn_t_keep_the_others_from_their_backup() {
    let desk = desk();
    desk.write(&format!("state/{GREEN}/config"), "no manifest: [");
    let ended = run(&desk, "backup", &["--to", &desk.arg("copies"), "--json"]).with(5);
    let said = json_of(&ended);
    assert_eq!(said["done"][0]["cluster"], BLUE);
    assert_eq!(said["failed"][0]["cluster"], GREEN);
    let inside = desk.arg("state/backups");
    run(&desk, "backup", &["--to", &inside])
        .with(3)
        .says("lost with it");
}

#[test]
fn a_backup_is_encrypted_by_a_store_that_encrypts() {
    let desk = desk();
    let key = age::x25519::Identity::generate();
    let secret = age::secrecy::ExposeSecret::expose_secret(&key.to_string()).to_owned();
    desk.write("key.txt", secret);
    desk.write(
        ".config/kstate/config.yaml",
        format!(
            "stores:\n  sealed:\n    url: crypt://sealed\n    store: {}\n    recipients: {}\n    identity: {}\n",
            desk.arg("copies"), key.to_public(), desk.arg("key.txt")
        ),
    );
    run(&desk, "backup", &["--to", "sealed", "--cluster", BLUE]).with(0);
    let secrets = desk.tree("copies");
    let admin = secrets
        .iter()
        .find(|(key, _)| key.ends_with("/secrets/admin"));
    assert!(admin.expect("a secret").1.starts_with(b"kstate-crypt/1 "));
    std::fs::remove_dir_all(desk.path("state").join(BLUE)).expect("a cluster");
    run(
        &desk,
        "restore",
        &["--from", "sealed", "--cluster", BLUE, "--yes"],
    )
    .with(0);
    assert_eq!(
        without(desk.tree("state"), |key| key.starts_with(".kstate/")),
        sample()
    );
}

// doctor ----------------------------------------------------------------------------------------

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

fn at(name: &str) -> String {
    format!("state/{BLUE}/{name}")
}

fn remove(desk: &Desk, name: &str) {
    std::fs::remove_file(desk.path(&at(name))).expect(name);
}

#[test]
fn the_doctor_finds_what_is_wrong_with_a_cluster() {
    let check = |spoil: fn(&Desk), severity: &str, says: &str| {
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
    };
    check(
        |desk| remove(desk, "backups/etcd/main/control/etcd-cluster-created"),
        "error",
        "etcd main has no control/etcd-cluster-created",
    );
    check(
        |desk| remove(desk, "pki/private/kubernetes-ca/keyset.yaml"),
        "error",
        "its certificate authority, is missing",
    );
    check(
        |desk| std::fs::remove_dir_all(desk.path(&at("instancegroup"))).expect("groups"),
        "error",
        "no instance group",
    );
    check(
        |desk| {
            let config = desk.read(&at("config")).replace("channel:", "chanel:");
            desk.write(&at("config"), config);
        },
        "error",
        "chanel",
    );
    check(
        |desk| desk.write(&at("notes.txt"), "x"),
        "warning",
        "doesn't know these files: notes.txt",
    );
    check(
        |desk| {
            desk.write(
                &at("backups/etcd/main/control/T-000000/_command.json"),
                "{}",
            );
        },
        "warning",
        "a command that waits",
    );
    check(
        |desk| remove(desk, "cluster-completed.spec"),
        "warning",
        "never ran",
    );
    check(
        |desk| desk.write("state/gone/pki/x", ""),
        "warning",
        "folders without a config: gone",
    );
    check(|_| {}, "warning", "was last backed up");
    check(
        |_| {},
        "warning",
        "names another place: s3://example-state-store",
    );
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
    assert!(bucket_says(&ended, "info").contains("a lock there is atomic"));
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
    assert!(bucket_says(&doctor(&[]), "warning").contains("s3:PutObject"));
}

// inventory and prune_backups ---------------------------------------------------------------------

#[test]
fn the_inventory_is_of_all_named_stores() {
    let desk = desk();
    desk.write_tree("other", &without(sample(), |key| key.starts_with(BLUE)));
    let (state, other) = (desk.arg("state"), desk.arg("other"));
    let config = format!("stores:\n  prod:\n    url: {state}\n  test:\n    url: {other}\n");
    desk.write(".config/kstate/config.yaml", &config);
    let ended = desk.run(&["run", "inventory", "--json"]).with(0);
    let said = json_of(&ended);
    let rows = said["clusters"].as_array().expect("a list");
    let places: Vec<_> = rows
        .iter()
        .map(|row| (&row["store"], &row["cluster"]))
        .collect();
    let (prod, test) = (json!("prod"), json!("test"));
    let (blue, green) = (json!(BLUE), json!(GREEN));
    assert_eq!(places, [(&prod, &blue), (&prod, &green), (&test, &green)]);
    assert_eq!(rows[0]["kubernetes"], "1.33.0");
    assert_eq!(rows[0]["kops"], "1.34.0");
    assert_eq!(rows[0]["objects"], 39);
    assert_eq!(rows[0]["backup"], 1_780_286_400);
    let table = desk.run(&["run", "inventory"]).with(0).stdout;
    assert_eq!(table.lines().count(), 4, "{table}");
    let metrics = desk
        .run(&["run", "inventory", "--prometheus"])
        .with(0)
        .stdout;
    let line = format!(
        "kstate_cluster_backup_timestamp_seconds{{store=\"test\",cluster=\"{GREEN}\"}} 1780286400"
    );
    assert!(metrics.lines().any(|found| found == line), "{metrics}");

    // One that can't be read doesn't hide the others.
    desk.write(&format!("other/{BLUE}/config"), "no manifest: [");
    let ended = desk.run(&["run", "inventory", "--json"]).with(5);
    assert_eq!(
        json_of(&ended)["clusters"].as_array().map(Vec::len),
        Some(3)
    );
    let gone = desk.arg("gone");
    run(&desk, "inventory", &["--store", &gone, "--store", "prod"])
        .with(5)
        .says("gone");
}

#[test]
fn old_backups_of_etcd_go_but_never_the_markers_or_the_last_ones() {
    let desk = desk();
    let main = format!("state/{BLUE}/backups/etcd/main");
    for (month, number) in [(1, 1), (2, 2), (3, 3)] {
        for file in ["_etcd_backup.meta", "etcd.backup.gz"] {
            desk.write(
                &format!("{main}/2020-0{month}-01T04:00:00Z-00000{number}/{file}"),
                "old",
            );
        }
    }
    let before = desk.tree("state");
    let prune = ["--older-than", "30d", "--keep-last", "2"];
    run(&desk, "prune_backups", &prune).with(3);
    run(
        &desk,
        "prune_backups",
        &[&prune[..], &["--dry-run"]].concat(),
    )
    .with(0)
    .says("2 backups would be deleted");
    assert_eq!(desk.tree("state"), before);
    let ended = run(
        &desk,
        "prune_backups",
        &[&prune[..], &["--yes", "--json"]].concat(),
    )
    .with(0);
    assert_eq!(json_of(&ended)["deleted"], 2);
    let gone = |key: &str| key.contains("-000001/") || key.contains("-000002/");
    assert_eq!(desk.tree("state"), without(before, gone));
    run(&desk, "prune_backups", &["--keep-last", "0"]).with(3);
}
