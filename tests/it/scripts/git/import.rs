//! `import_git`.

use super::{Shop, trees};
use crate::support::{clusters, sample};

const CONFIG: &str = "blue.k8s.example.com/config";
const GROUP: &str = "blue.k8s.example.com/instancegroup/nodes";
const TOKEN: &str = "blue.k8s.example.com/secrets/admin";

/// Changes a line of a file of a desk.
fn edit(shop: &Shop, file: &str, from: &str, to: &str) {
    let text = shop.desk.read(file);
    assert!(text.contains(from), "{from:?} is not in {file}: {text}");
    shop.desk.write(file, text.replacen(from, to, 1));
}

/// Makes an instance group larger in git.
fn grow(shop: &Shop) {
    let group = format!("repo/store/{GROUP}");
    edit(shop, &group, "maxSize: ", "maxSize: 1");
}

/// A desk with an export of the sample, committed.
fn exported() -> Shop {
    let shop = Shop::new(&sample());
    shop.export_all().with(0);
    shop
}

#[test]
fn a_store_comes_back_byte_for_byte() {
    for tree in trees() {
        let shop = Shop::new(&tree);
        shop.export_all().with(0);
        // As another machine has it.
        let repo = shop.desk.arg("repo");
        shop.git(&["clone", "--quiet", &repo, &shop.desk.arg("clone")]);
        let from = [
            "run",
            "import_git",
            "--from",
            "clone/store",
            "--state",
            "new",
            "--yes",
        ];
        let mut args = from.to_vec();
        args.extend(["--identity", "key"]);
        shop.run(&args).with(0);
        let new = shop.desk.tree("new");
        for (key, bytes) in &tree {
            let is_left_out = key.ends_with("_command.json");
            assert!(is_left_out || new.get(key) == Some(bytes), "{key}");
        }
        assert!(
            new.keys().all(|key| tree.contains_key(key)),
            "{:?}",
            new.keys()
        );
        shop.run(&args).with(0).says("Nothing to import");
    }
}

#[test]
fn an_instance_group_that_was_encrypted_comes_back() {
    let mut tree = sample();
    let group = tree.get_mut(GROUP).expect("the group");
    group
        .extend(b"  additionalUserData:\n  - name: x.sh\n    content: \"password: hunter2abcd\"\n");
    let shop = Shop::new(&tree);
    shop.export_all().with(0);
    assert!(shop.desk.path(&format!("repo/store/{GROUP}.age")).exists());
    let args = [
        "run",
        "import_git",
        "--from",
        "repo/store",
        "--state",
        "new",
        "--yes",
        "--identity",
        "key",
    ];
    shop.run(&args).with(0);
    assert!(shop.desk.tree("new").get(GROUP) == tree.get(GROUP));
}

#[test]
fn addons_with_conflict_markers_are_refused() {
    let mut tree = sample();
    let addons = "blue.k8s.example.com/clusteraddons/default";
    tree.insert(addons.to_owned(), b"kind: ConfigMap\n".to_vec());
    let shop = Shop::new(&tree);
    shop.export_all().with(0);
    let before = shop.desk.tree("store");
    let marked = "<<<<<<< HEAD\nkind: A\n=======\nkind: B\n>>>>>>> x\n";
    shop.desk.write(&format!("repo/store/{addons}"), marked);
    shop.import("store", &["--yes"]).with(3).says(addons);
    assert!(shop.desk.tree("store") == before);
}

#[test]
fn edits_in_git_are_shown_and_imported() {
    let shop = exported();
    grow(&shop);
    let new = shop
        .desk
        .read(&format!("repo/store/{GROUP}"))
        .replace("name: nodes", "name: more");
    let added = GROUP.replace("nodes", "more");
    shop.desk.write(&format!("repo/store/{added}"), &new);
    shop.desk
        .write("repo/store/blue.k8s.example.com/README", "not for kOps");
    shop.desk
        .write("repo/store/blue.k8s.example.com/.git/config", "nor this");
    let before = shop.desk.tree("store");

    let dry = shop.import("store", &["--dry-run"]).with(0);
    dry.says("~ spec.maxSize: ");
    dry.says(&format!("+ {added}"));
    shop.import("store", &[]).with(3).says("--yes");
    assert!(shop.desk.tree("store") == before);

    shop.import("store", &["--yes"])
        .with(0)
        .says("encrypted files are skipped");
    let mut expected = before;
    expected.insert(added, new.into_bytes());
    let group = shop.desk.read(&format!("repo/store/{GROUP}"));
    expected.insert(GROUP.to_owned(), group.into_bytes());
    assert!(shop.desk.tree("store") == expected);
    shop.import("store", &["--yes"])
        .with(0)
        .says("Nothing to import");
    shop.commit_all();
    shop.export_all().with(0);
}

#[test]
fn newer_state_is_not_overwritten() {
    for (key, identity) in [(CONFIG, false), (GROUP, false), (TOKEN, true)] {
        let shop = exported();
        let newer = shop.desk.read(&format!("store/{key}")) + "\n# newer\n";
        shop.desk.write(&format!("store/{key}"), &newer);
        let other = "blue.k8s.example.com/clusteraddons/default";
        shop.desk
            .write(&format!("repo/store/{other}"), "kind: ConfigMap\n");
        let before = shop.desk.tree("store");
        let mut args = vec!["--yes"];
        args.extend(
            identity
                .then_some(["--identity", "key"])
                .into_iter()
                .flatten(),
        );
        let ended = shop.import("store", &args).with(4);
        ended.says(key);
        assert!(shop.desk.tree("store") == before, "{key}");

        args.extend(["--newer", "keep"]);
        shop.import("store", &args).with(0);
        assert_eq!(shop.desk.read(&format!("store/{key}")), newer);
        assert_eq!(
            shop.desk.read(&format!("store/{other}")),
            "kind: ConfigMap\n"
        );

        args.extend(["--newer", "overwrite"]);
        args.retain(|arg| *arg != "keep");
        args.remove(
            args.iter()
                .position(|arg| *arg == "--newer")
                .expect("the first"),
        );
        shop.import("store", &args).with(0);
        assert!(shop.desk.tree("store")[key] == sample()[key], "{key}");
    }
}

#[test]
fn what_both_changed_is_a_conflict() {
    let shop = exported();
    grow(&shop);
    edit(&shop, &format!("store/{GROUP}"), "maxSize: ", "maxSize: 2");
    let before = shop.desk.tree("store");
    for newer in ["refuse", "keep"] {
        shop.import("store", &["--yes", "--newer", newer])
            .with(4)
            .says(GROUP);
        assert!(shop.desk.tree("store") == before);
    }
    // The same change on both sides is none.
    shop.desk.write(
        &format!("store/{GROUP}"),
        shop.desk.read(&format!("repo/store/{GROUP}")),
    );
    shop.import("store", &["--yes"])
        .with(0)
        .says("Nothing to import");
}

#[test]
fn what_was_deleted_in_the_store_is_not_made_again() {
    let shop = exported();
    std::fs::remove_file(shop.desk.path(&format!("store/{GROUP}"))).expect("removed");
    shop.import("store", &["--yes"]).with(4).says(GROUP);
    assert!(!shop.desk.path(&format!("store/{GROUP}")).exists());
}

#[test]
fn deletions_only_when_asked_for_and_never_of_a_cluster() {
    let shop = exported();
    std::fs::remove_file(shop.desk.path(&format!("repo/store/{GROUP}"))).expect("removed");
    std::fs::remove_file(shop.desk.path(&format!("repo/store/{TOKEN}.age"))).expect("removed");
    shop.import("store", &["--yes"]).with(0).says("--delete");
    assert!(shop.desk.path(&format!("store/{GROUP}")).exists());
    shop.import("store", &["--yes", "--delete", "--identity", "key"])
        .with(0);
    for key in [GROUP, TOKEN] {
        assert!(!shop.desk.path(&format!("store/{key}")).exists(), "{key}");
    }
    let keys = shop
        .desk
        .path("repo/store/blue.k8s.example.com/pki/private/service-account");
    let kept = std::fs::read_dir(&keys)
        .expect("keys")
        .next()
        .expect("one")
        .expect("one")
        .path();
    let bytes = std::fs::read(&kept).expect("it");
    std::fs::remove_file(&kept).expect("removed");
    shop.import("store", &["--yes", "--delete", "--identity", "key"])
        .with(3)
        .says("deletes no keys");
    std::fs::write(&kept, bytes).expect("put back");
    std::fs::remove_file(shop.desk.path(&format!("repo/store/{CONFIG}"))).expect("removed");
    let before = shop.desk.tree("store");
    shop.import("store", &["--yes", "--delete"])
        .with(3)
        .says("kops delete cluster");
    assert!(shop.desk.tree("store") == before);
}

#[test]
fn what_kops_could_not_read_is_refused() {
    for (file, text, words) in [
        (CONFIG, "kind: Cluster\nspec: [\n", "line"),
        (
            CONFIG,
            "apiVersion: kops.k8s.io/v1alpha2\nkind: Cluster\nmetadata:\n  name: other\nspec: {}\n",
            "'other'",
        ),
        (
            GROUP,
            "apiVersion: kops.k8s.io/v1alpha2\nkind: InstanceGroup\nmetadata:\n  name: other\n",
            "kOps looks for 'nodes' here",
        ),
        (
            "blue.k8s.example.com/instancegroup/nodes~",
            "kind: InstanceGroup\n",
            "apiVersion is missing",
        ),
    ] {
        let shop = exported();
        shop.desk.write(&format!("repo/store/{file}"), text);
        let before = shop.desk.tree("store");
        shop.import("store", &["--yes"]).with(3).says(words);
        assert!(shop.desk.tree("store") == before, "{file}");
    }
}

#[test]
fn what_breaks_the_rules_of_kops_is_refused() {
    for (file, from, to, words) in [
        (GROUP, "maxSize: ", "maxSize: x", "spec.maxSize"),
        (GROUP, "maxSize: ", "maxSise: ", "maxSise"),
        (
            CONFIG,
            "networkCIDR: ",
            "networkCIDR: 1.2.3.4/32 # ",
            "CIDR",
        ),
    ] {
        let shop = exported();
        edit(&shop, &format!("repo/store/{file}"), from, to);
        shop.import("store", &["--dry-run"]).with(3).says(words);
        shop.import("store", &["--yes"]).with(3).says(words);
        assert!(shop.desk.tree("store") == sample(), "{file}");
        let forced = shop.import("store", &["--yes", "--force-unknown"]);
        assert_eq!(forced.code == Some(0), words == "maxSise", "{forced:?}");
    }
    // An old fault doesn't stop another change, nor a restore.
    let mut tree = sample();
    let group = String::from_utf8(tree[GROUP].clone()).expect("UTF-8");
    tree.insert(
        GROUP.to_owned(),
        group.replacen("maxSize: ", "maxSise: ", 1).into_bytes(),
    );
    let shop = Shop::new(&tree);
    shop.export_all().with(0);
    shop.import("new", &["--yes"]).with(0);
    edit(
        &shop,
        &format!("repo/store/{GROUP}"),
        "minSize: ",
        "minSize: 1",
    );
    shop.import("store", &["--yes"]).with(0);
}

#[test]
fn what_kops_writes_stays_its_own() {
    let shop = exported();
    let version = "blue.k8s.example.com/kops-version.txt";
    let created = "blue.k8s.example.com/backups/etcd/main/control/etcd-cluster-created";
    for key in [version, created] {
        shop.desk.write(&format!("store/{key}"), "newer");
    }
    let ended = shop
        .import("store", &["--yes", "--newer", "overwrite"])
        .with(0);
    ended.says("--generated");
    ended.says("Nothing to import but");
    assert_eq!(shop.desk.read(&format!("store/{version}")), "newer");
    shop.import("store", &["--yes", "--newer", "overwrite", "--generated"])
        .with(0);
    assert!(shop.desk.tree("store") == sample());
}

#[test]
fn line_ends_that_git_changed_are_refused() {
    let windows = |shop: &Shop, file: &str| {
        let text = shop.desk.read(&format!("repo/store/{file}"));
        let text = text.replace('\n', "\r\n");
        shop.desk.write(&format!("repo/store/{file}"), text);
    };
    let shop = exported();
    windows(&shop, GROUP);
    shop.import("store", &["--yes"])
        .with(3)
        .says("core.autocrlf");
    // Also when the file was edited too.
    grow(&shop);
    shop.import("store", &["--yes"])
        .with(3)
        .says("core.autocrlf");
    assert!(shop.desk.tree("store") == sample());
    // An export puts right what nobody edited.
    let shop = exported();
    windows(&shop, CONFIG);
    shop.export_all().with(0);
    assert!(shop.desk.tree("repo/store")[CONFIG] == sample()[CONFIG]);
}

#[test]
fn json_is_the_result_and_the_plan_is_told_beside_it() {
    let shop = exported();
    grow(&shop);
    for (args, code, is_dry, is_done) in [
        (["--json", "--dry-run"], 0, true, false),
        (["--json", "--yes"], 0, false, true),
    ] {
        let ended = shop.import("store", &args).with(code);
        // Of a dry run kstate itself tells one line more.
        let line = ended.stdout.lines().next().unwrap_or_default();
        let result: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(result["dry_run"], is_dry, "{result}");
        assert_eq!(result["done"], is_done, "{result}");
        assert_eq!(result["write"][0], GROUP, "{result}");
        assert!(ended.stderr.contains("~ spec.maxSize: "), "{ended:?}");
    }
}

#[test]
fn mistakes_are_told_in_one_error() {
    for (args, words) in [
        (&["--cluster", "../x"][..], "'../x' is no name of a cluster"),
        (&["--identity", "nothing"], "nothing"),
    ] {
        let shop = exported();
        let ended = shop.import("store", args).with(3);
        ended.says(words);
        assert!(!ended.stderr.contains("called from"), "{ended:?}");
    }
    for link in [CONFIG, GROUP, "blue.k8s.example.com/instancegroup/new"] {
        let shop = exported();
        let file = shop.desk.path(&format!("repo/store/{link}"));
        let _ = std::fs::remove_file(&file);
        std::os::unix::fs::symlink("/etc/hostname", &file).expect("a link");
        for ended in [
            shop.import("store", &["--yes"]),
            shop.export(&["--encrypt-to", &shop.recipient, "--with-backups"]),
        ] {
            ended.says("symbolic link");
            let ended = ended.with(3);
            assert!(!ended.stderr.contains("called from"), "{ended:?}");
        }
        assert!(shop.desk.tree("store") == sample(), "{link}");
    }
}

#[test]
fn secrets_are_in_no_output() {
    let shop = exported();
    shop.desk
        .write(&format!("store/{TOKEN}"), "{\"Data\":\"bmV3ZXItdG9rZW4=\"}");
    shop.export_all().with(0);
    shop.repo(&["checkout", "--quiet", "HEAD~", "--", "store"]);
    let args = ["--yes", "--identity", "key", "--newer", "overwrite"];
    let ended = shop.import("store", &args).with(0);
    ended.says(&format!("~ {TOKEN}"));
    let old = String::from_utf8(sample()[TOKEN].clone()).expect("JSON");
    let old = old
        .trim_start_matches("{\"Data\":\"")
        .trim_end_matches("\"}");
    for secret in [old, "bmV3ZXItdG9rZW4="] {
        assert!(!format!("{ended:?}").contains(secret), "{ended:?}");
    }
    assert!(shop.desk.tree("store") == sample());
    let other = age::x25519::Identity::generate();
    shop.desk.write(
        "other",
        age::secrecy::ExposeSecret::expose_secret(&other.to_string()),
    );
    shop.import("store", &["--identity", "other"])
        .says("no identity opens it");
}

#[test]
fn a_config_is_written_last() {
    let shop = exported();
    let name = clusters(&sample()).remove(0);
    let mut command = shop.command(&[
        "run",
        "import_git",
        "--from",
        "repo/store",
        "--state",
        "s3://bucket",
        "--yes",
        "--cluster",
        &name,
        "--identity",
        "key",
    ]);
    let double = crate::s3_double::S3Double::builder()
        .bucket("bucket")
        .start();
    command.envs(double.env());
    crate::support::Ended::of(command).with(0);
    let puts: Vec<_> = double
        .requests()
        .into_iter()
        .filter(|request| request.op == "PutObject")
        .collect();
    let puts: Vec<_> = puts
        .iter()
        .filter(|put| !put.key.contains(".kstate/"))
        .collect();
    assert_eq!(puts.last().expect("writes").key, format!("{name}/config"));
    assert!(puts.iter().all(|put| put.header("if-none-match").is_some()));
}

#[test]
fn a_folder_without_a_manifest() {
    let shop = Shop::new(&sample());
    shop.desk.write(&format!("repo/store/{CONFIG}"), "x");
    shop.import("store", &["--yes"])
        .with(3)
        .says("kstate-export.json");
    shop.desk
        .write("repo/store/kstate-export.json", "<<<<<<< HEAD\n");
    shop.import("store", &["--yes"])
        .with(3)
        .says("kstate-export.json");
    assert!(shop.desk.tree("store") == sample());
}

#[test]
fn a_plan_of_it_can_be_applied() {
    let shop = exported();
    grow(&shop);
    let args = ["import_git", "--from", "repo/store", "--state", "store"];
    let mut plan = vec!["plan", "-o", "plan"];
    plan.extend(args);
    shop.run(&plan).with(6).says("~ spec.maxSize: ");
    shop.run(&["apply", "plan", "--yes"]).with(0);
    let group = shop.desk.read(&format!("repo/store/{GROUP}"));
    assert_eq!(shop.desk.read(&format!("store/{GROUP}")), group);
}

/// Whoever can change the folder can name anything in the manifest.
#[test]
fn a_manifest_brings_nothing_of_git_or_kstate_into_a_store() {
    for name in [".git/config", ".kstate/locks/store", "../x", "a//b"] {
        let shop = exported();
        shop.desk
            .write(&format!("repo/store/blue.k8s.example.com/{name}"), "x");
        let manifest = shop.desk.read("repo/store/kstate-export.json");
        let line = format!("\"blue.k8s.example.com/{name}\": {{\"sha256\":\"00\"}},\n");
        let manifest = manifest.replacen('\n', &format!("\n{line}"), 1);
        shop.desk.write("repo/store/kstate-export.json", manifest);
        let ended = shop.import("store", &["--yes"]);
        assert_ne!(ended.code, Some(0), "{name}");
        assert!(shop.desk.tree("store") == sample(), "{name}");
    }
}
