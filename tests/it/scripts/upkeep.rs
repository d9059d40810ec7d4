//! The scripts that look after a state store: `backup`, `restore`, `inventory` and
//! `prune_backups`.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::double_with;
use crate::support::{Desk, Ended, Tree, sample};

pub(super) const BLUE: &str = "blue.k8s.example.com";
const GREEN: &str = "green.k8s.example.com";

/// A desk with the sample store as the state store.
pub(super) fn desk() -> Desk {
    let desk = Desk::new();
    desk.write_tree("state", &sample());
    desk
}

pub(super) fn run(desk: &Desk, script: &str, args: &[&str]) -> Ended {
    let state = desk.arg("state");
    desk.run(&[&["--state", &state, "run", script], args].concat())
}

pub(super) fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).expect("JSON")
}

pub(super) fn at(name: &str) -> String {
    format!("state/{BLUE}/{name}")
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
        &[&back[..], &["--replace", "nosuch"]].concat(),
    )
    .with(3)
    .says("nosuch");
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
    let check = ["--from", &to];
    run(&desk, "check_backups", &check)
        .with(1)
        .says("tree/secrets/admin");
    let manifest = desk.read(&format!("{copy}/backup.json"));
    desk.write(&format!("{copy}/backup.json"), &manifest[..200]);
    for script in [("restore", 3), ("check_backups", 1)] {
        let args = if script.0 == "restore" {
            &back[..]
        } else {
            &check[..]
        };
        let ended = run(&desk, script.0, args).with(script.1);
        ended.says(&name);
        ended.says("backup.json is damaged");
    }
    std::fs::remove_file(desk.path(&format!("{copy}/backup.json"))).expect("a manifest");
    run(&desk, "restore", &back)
        .with(3)
        .says("no complete backup");
}

/// A desk whose blue cluster has its files in five places, and a stale copy of them in its folder.
fn scattered() -> Desk {
    let desk = desk();
    let of_blue = |part: &str| -> Tree {
        let prefix = format!("{BLUE}/{part}");
        let all = sample().into_iter();
        all.filter_map(|(key, bytes)| Some((key.strip_prefix(&prefix)?.to_owned(), bytes)))
            .collect()
    };
    let elsewhere = |key: &str| {
        key == "config"
            || ["pki/", "secrets/", "backups/etcd/main/"]
                .iter()
                .any(|part| key.starts_with(part))
    };
    desk.write_tree("far/base", &without(of_blue(""), elsewhere));
    desk.write_tree("far/keys", &of_blue("pki/"));
    desk.write_tree("far/secrets", &of_blue("secrets/"));
    desk.write_tree("far/etcd", &of_blue("backups/etcd/main/"));
    let far = desk.arg("far");
    let config = desk
        .read(&at("config"))
        .replace(
            "\nspec:\n",
            &format!("\nspec:\n  configBase: {far}/base\n  keyStore: {far}/keys\n  secretStore: {far}/secrets\n"),
        )
        .replace(
            "    name: main\n",
            &format!("    backups:\n      backupStore: {far}/etcd\n    name: main\n"),
        );
    desk.write(&at("config"), config);
    desk
}

#[test]
fn a_cluster_in_several_places_is_backed_up_whole() {
    let desk = scattered();
    let (to, before) = (desk.arg("copies"), desk.tree("far"));
    let backup = ["--to", &to, "--cluster", BLUE];
    run(&desk, "backup", &backup).with(0);
    std::fs::remove_dir_all(desk.path("far")).expect("places");
    let back = ["--from", &to, "--cluster", BLUE];
    // A person sees where it goes.
    run(&desk, "restore", &back)
        .with(3)
        .says(&desk.arg("far/keys"));
    run(&desk, "restore", &[&back[..], &["--yes"]].concat()).with(0);
    assert_eq!(desk.tree("far"), before);

    // The manifest alone is not believed.
    let manifest = format!("copies/{BLUE}/{}/backup.json", copies(&desk, BLUE)[0]);
    let written = desk.read(&manifest);
    let other = written.replace(&desk.arg("far/keys"), &desk.arg("evil"));
    desk.write(&manifest, other);
    run(&desk, "restore", &[&back[..], &["--yes"]].concat())
        .with(3)
        .says("its config says");
    desk.write(&manifest, written);

    // Never a success without the keys; only etcd's part may be missing, and that is told.
    let etcd = desk.tree("far/etcd");
    std::fs::remove_dir_all(desk.path("far/etcd")).expect("a place");
    run(&desk, "backup", &backup)
        .with(5)
        .says("the backupStore of etcd main");
    run(&desk, "restore", &[&back[..], &["--dry-run"]].concat())
        .with(0)
        .says("4 objects to restore");
    desk.write_tree("far/etcd", &etcd);
    std::fs::remove_dir_all(desk.path("far/keys")).expect("a place");
    run(&desk, "backup", &backup).with(1).says("its keyStore");
    std::fs::create_dir(desk.path("far/keys")).expect("a folder");
    run(&desk, "backup", &backup)
        .with(1)
        .says("nothing is there");
    // A folder that is a copy is taken as it is when somebody says so.
    std::fs::remove_dir_all(desk.path("far")).expect("places");
    run(&desk, "backup", &backup).with(1).says("--base here");
}

/// A backend around another store, in which one object can't be read the first time.
const FLAKY: &str = r#"
return kstate.backend{
  scheme = "flaky",
  summary = "Fails once",
  wraps = "store",
  options = { { name = "store", type = "store", required = true, doc = "the store" } },
  capabilities = {},
  open = function(config)
    return { store = config.options.store }
  end,
  stat = function(self, key)
    return self.store:stat(key)
  end,
  read = function(self, key)
    if key:find("^blue.*/secrets/admin$") and not self.store:exists("asked") then
      self.store:write("asked", "")
      error(kstate.error{ kind = "unavailable", message = "503" })
    end
    return self.store:read(key, { meta = true })
  end,
  write = function(self, key, body)
    return self.store:write(key, body:read())
  end,
  delete = function(self, key)
    self.store:delete(key)
  end,
  list = function(self, folder)
    return self.store:walk(folder)
  end,
}
"#;

#[test]
fn what_a_service_didn_t_answer_is_asked_once_more() {
    let desk = desk();
    desk.write("flaky.lua", FLAKY);
    let (backend, to) = (desk.arg("flaky.lua"), desk.arg("copies"));
    let from = format!("flaky://x?store={}", desk.arg("state"));
    let args = [
        "--backend",
        &backend,
        "run",
        "backup",
        "--from",
        &from,
        "--to",
        &to,
    ];
    let ended = desk.run(&args).with(0);
    ended.says("once more: blue.k8s.example.com");
    ended.says("2 clusters backed up");
    assert!(desk.path("state/asked").exists());
}

#[test]
fn an_empty_store_is_no_successful_backup() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("state")).expect("a folder");
    let to = desk.arg("copies");
    run(&desk, "backup", &["--to", &to])
        .with(1)
        .says("there is no cluster in");
    run(&desk, "backup", &["--to", &to, "--allow-empty"]).with(0);
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
    // One that is being written, one that was interrupted, and what is none of ours.
    let now = Command::new("date")
        .args(["-u", "-d", "2 hours ago", "+%Y-%m-%dT%H%M%SZ"])
        .output();
    let now = String::from_utf8(now.expect("a date").stdout).expect("UTF-8");
    let young = format!("copies/{BLUE}/{}/tree/config", now.trim());
    desk.write(&young, "half");
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
    assert_eq!(copies(&desk, BLUE).len(), 6, "nothing new, nothing deleted");
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
    assert!(
        desk.path(&young).exists(),
        "another run may be at work there"
    );
}

#[test]
fn runs_in_one_second_have_a_folder_each() {
    let desk = desk();
    let (state, to) = (desk.arg("state"), desk.arg("copies"));
    let args = [
        "--state",
        &state,
        "run",
        "backup",
        "--to",
        &to,
        "--cluster",
        BLUE,
    ];
    let runs: Vec<_> = (0..3)
        .map(|_| {
            desk.kstate(&args)
                .stdout(Stdio::null())
                .spawn()
                .expect("a run")
        })
        .collect();
    for mut run in runs {
        assert!(run.wait().expect("an end").success());
    }
    let names = copies(&desk, BLUE);
    assert_eq!(names.len(), 3, "{names:?}");
    run(&desk, "check_backups", &["--from", &to, "--all"])
        .with(0)
        .says("3 backups checked");
}

#[test]
fn old_backups_that_can_t_be_deleted_stop_nothing() {
    let desk = desk();
    let double = double_with(&sample());
    let to = "s3://new-state-store/copies";
    let state = desk.arg("state");
    let backup = |more: &[&str]| {
        let args = ["--state", &state, "run", "backup", "--to", to, "--json"];
        let mut command = desk.kstate(&[&args[..], more].concat());
        command.envs(double.env());
        Ended::of(command)
    };
    for cluster in [BLUE, GREEN] {
        let old = format!("copies/{cluster}/2020-01-01T000000Z/backup.json");
        let text: &[u8] = b"{\"parts\": [], \"missing\": []}";
        double.put("new-state-store", &old, text.to_vec());
    }
    double.deny("main", "DeleteObject", "new-state-store", "copies/");
    let said = json_of(&backup(&["--keep", "30d", "--keep-last", "1"]).with(5));
    assert_eq!(said["done"].as_array().map(Vec::len), Some(2), "{said}");
    assert_eq!(said["failed"].as_array().map(Vec::len), Some(2), "{said}");
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

    // What was named goes before what is configured, and nothing is listed twice.
    let named = run(&desk, "inventory", &["--json"]).with(0);
    assert_eq!(
        json_of(&named)["clusters"].as_array().map(Vec::len),
        Some(2)
    );
    let twice = run(
        &desk,
        "inventory",
        &["--store", "prod", "--store", "prod", "--json"],
    );
    assert_eq!(
        json_of(&twice)["clusters"].as_array().map(Vec::len),
        Some(2)
    );

    // How old the copies are, when it knows where they are.
    let copies = desk.arg("copies");
    run(&desk, "backup", &["--to", &copies, "--cluster", BLUE]).with(0);
    let ended = run(&desk, "inventory", &["--backups", &copies, "--json"]).with(0);
    let said = json_of(&ended);
    let [blue, green] = [0, 1].map(|row| said["clusters"][row]["copy"].as_u64());
    assert!(blue.is_some() && green.is_none(), "{said}");

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
    // Never finished: an old one goes, and a new one is no reason to delete a good one.
    desk.write(
        &format!("{main}/2020-02-02T04:00:00Z-000022/etcd.backup.gz"),
        "half",
    );
    desk.write(
        &format!("{main}/2026-06-02T04:00:00Z-000013/etcd.backup.gz"),
        "half",
    );
    let before = desk.tree("state");
    let prune = ["--older-than", "30d", "--keep-last", "2"];
    run(&desk, "prune_backups", &prune).with(3);
    run(
        &desk,
        "prune_backups",
        &[&prune[..], &["--dry-run"]].concat(),
    )
    .with(0)
    .says("3 backups would be deleted");
    assert_eq!(desk.tree("state"), before);
    let ended = run(
        &desk,
        "prune_backups",
        &[&prune[..], &["--yes", "--json"]].concat(),
    )
    .with(0);
    assert_eq!(json_of(&ended)["deleted"], 3);
    let gone = |key: &str| {
        ["-000001/", "-000002/", "-000022/"]
            .iter()
            .any(|one| key.contains(one))
    };
    assert_eq!(desk.tree("state"), without(before, gone));
    run(&desk, "prune_backups", &["--keep-last", "0"]).with(3);
}
