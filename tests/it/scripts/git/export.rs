//! `export_git`.

use super::{Shop, assert_holds_none, secrets, trees};
use crate::scripts::{double_with, is_write};
use crate::support::{Ended, clusters, sample};

/// Whether a file is the export's own, and stands for no object.
fn is_own(file: &str) -> bool {
    ["kstate-export.json", ".gitattributes"].contains(&file)
}

const CONFIG: &str = "blue.k8s.example.com/config";
const TOKEN: &str = "blue.k8s.example.com/secrets/admin";

#[test]
fn the_same_state_gives_the_same_bytes_and_no_secret() {
    for tree in trees() {
        let shop = Shop::new(&tree);
        shop.git(&["init", "--quiet", &shop.desk.arg("other")]);
        shop.export(&[]).with(0);
        shop.export_to("other/deep/er", &["--commit"]).with(0);
        let (one, two) = (
            shop.desk.tree("repo/store"),
            shop.desk.tree("other/deep/er"),
        );
        assert!(one == two, "two exports differ");
        assert_holds_none(&one, &secrets(&tree));
        for (file, bytes) in &one {
            assert!(is_own(file) || tree[file] == *bytes, "{file}");
        }
        for name in clusters(&tree) {
            assert!(one.contains_key(&format!("{name}/config")), "{name}");
        }
        let manifest = shop.desk.read("repo/store/kstate-export.json");
        for (key, reason) in [
            ("/secrets/admin", "a secret"),
            ("/pki/private/kubernetes-ca/keyset.yaml", "a secret"),
            ("/backups/", "backups"),
        ] {
            let line = manifest
                .lines()
                .find(|line| line.contains(&format!("{key}\"")));
            let line = line.unwrap_or_else(|| panic!("{key} is not in the manifest"));
            assert!(line.contains("left_out") && line.contains(reason), "{line}");
        }
        assert!(shop.desk.tree("store") == tree, "the store changed");
    }
}

#[test]
fn git_leaves_the_line_ends_alone() {
    let mut tree = sample();
    tree.insert(CONFIG.to_owned(), {
        let text = String::from_utf8(tree[CONFIG].clone()).expect("UTF-8");
        text.replace('\n', "\r\n").into_bytes()
    });
    for wanted in ["true", "input"] {
        let shop = Shop::new(&tree);
        shop.repo(&["config", "core.autocrlf", wanted]);
        shop.export(&["--commit"]).with(0);
        let before = shop.desk.tree("repo/store");
        std::fs::remove_dir_all(shop.desk.path("repo/store")).expect("removed");
        shop.repo(&["checkout", "--quiet", "--", "store"]);
        assert!(shop.desk.tree("repo/store") == before, "{wanted}");
        shop.export(&["--commit"])
            .with(0)
            .says("Nothing to commit.");
    }
    // Somebody's own attributes stay, when they do the same.
    let shop = Shop::new(&sample());
    for (text, code) in [("*.md text\n", 3), ("*.md text\n* -text\n", 0)] {
        shop.desk.write("repo/store/.gitattributes", text);
        shop.commit_all();
        shop.export(&["--commit"]).with(code);
        assert_eq!(shop.desk.read("repo/store/.gitattributes"), text);
    }
}

#[test]
fn a_commit_that_cant_be_signed_ends_at_once() {
    let shop = Shop::new(&sample());
    shop.export(&["--commit", "--message", " "])
        .with(3)
        .says("--message is empty");
    for (name, value) in [("commit.gpgsign", "true"), ("gpg.program", "false")] {
        shop.repo(&["config", name, value]);
    }
    let ended = shop.export(&["--commit"]).with(1);
    ended.says("gpgsign");
    assert!(!ended.stderr.contains("called from"), "{ended:?}");
    shop.repo(&["config", "commit.gpgsign", "false"]);
    shop.export(&["--commit"]).with(0).says("Committed as ");
}

#[test]
fn the_script_of_the_source_tree_runs_git_when_it_may() {
    let shop = Shop::new(&sample());
    let to = shop.desk.arg("repo/store");
    let store = shop.desk.arg("store");
    let script = [
        "export_git",
        "--state",
        &store,
        "--to",
        &to,
        "--all-clusters",
    ];
    let run = |args: &[&str]| {
        let mut command = shop.command(&[&["run"], args, &script].concat());
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        Ended::of(command)
    };
    run(&[])
        .with(3)
        .says("before the script's name: --allow-process git");
    run(&["--allow-process", "git"]).with(0);
}

#[test]
fn a_commit_says_what_changed_and_has_nothing_else() {
    let shop = Shop::new(&sample());
    shop.desk.write("repo/README", "ours");
    shop.repo(&["add", "README"]);
    shop.export(&["--commit", "--message", "The first"]).with(0);
    let (message, files) = shop.last_commit();
    assert!(
        message.starts_with("The first\n\nblue.k8s.example.com\n  + "),
        "{message}"
    );
    assert!(
        files.iter().all(|file| file.starts_with("store/")),
        "{files:?}"
    );
    assert_eq!(
        shop.repo(&["log", "-1", "--format=%an <%ae>"]).trim(),
        "kstate <kstate@localhost>"
    );

    let group = "blue.k8s.example.com/instancegroup/nodes";
    std::fs::remove_file(shop.desk.path(&format!("store/{group}"))).expect("removed");
    shop.desk
        .write("store/green.k8s.example.com/kops-version.txt", "1.99.0");
    shop.export(&["--commit"]).with(0);
    assert!(!shop.desk.path(&format!("repo/store/{group}")).exists());
    assert_eq!(
        shop.last_commit().0.trim(),
        "State store: 0 added, 1 changed, 1 removed\n\nblue.k8s.example.com\n  - instancegroup/nodes\n\n\
         green.k8s.example.com\n  ~ kops-version.txt"
    );
    // What was staged beside it still is, and nothing of kstate's stays.
    assert_eq!(shop.repo(&["status", "--porcelain"]), "A  README\n");
    assert!(!shop.desk.path("repo/store/.kstate").exists());
}

#[test]
fn hooks_of_the_repository_dont_run() {
    let shop = Shop::new(&sample());
    let hook = "repo/.git/hooks/pre-commit";
    shop.desk.write(
        hook,
        format!("#!/bin/sh\ntouch {}\nexit 1\n", shop.desk.arg("ran")),
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(shop.desk.path(hook), mode).expect("a mode");
    shop.export(&["--commit"]).with(0).says("Committed as ");
    assert!(!shop.desk.path("ran").exists());
}

#[test]
fn what_a_person_did_in_the_folder_is_not_lost() {
    let shop = Shop::new(&sample());
    shop.export(&["--commit"]).with(0);
    let file = format!("repo/store/{CONFIG}");
    let edited = shop.desk.read(&file) + "# by hand\n";
    shop.desk.write(&file, &edited);
    shop.desk.write(&format!("store/{TOKEN}"), "{}");
    shop.export(&["--commit"]).with(3).says(CONFIG);
    // Also when it is committed, since it isn't in the store.
    shop.commit_all();
    shop.export(&["--commit"]).with(3).says("import_git");
    assert_eq!(shop.desk.read(&file), edited);
    shop.export(&["--commit", "--allow-dirty"]).with(0);
    assert_ne!(shop.desk.read(&file), edited);

    shop.desk.write("repo/store/notes", "mine");
    shop.export(&["--commit"]).with(3).says("notes");
    shop.commit_all();
    shop.export(&["--commit"]).with(0);
    assert_eq!(shop.desk.read("repo/store/notes"), "mine");

    // An export that was not committed is no reason to stop.
    shop.desk.write(&format!("store/{CONFIG}"), &edited);
    shop.export(&[]).with(0);
    shop.export(&["--commit"]).with(0).says("Committed as ");
}

#[test]
fn one_cluster_leaves_the_others_alone() {
    let shop = Shop::new(&sample());
    shop.export(&["--commit"]).with(0);
    let before = shop.desk.tree("repo/store");
    for name in ["blue", "green"] {
        shop.desk.write(
            &format!("store/{name}.k8s.example.com/kops-version.txt"),
            "1.99.0",
        );
    }
    let to = shop.desk.arg("repo/store");
    let one = |name: &str| {
        let args = [
            "run",
            "export_git",
            "--state",
            "store",
            "--to",
            &to,
            "--cluster",
            name,
        ];
        shop.run(&args)
    };
    one("green.k8s.example.com").with(0);
    let after = shop.desk.tree("repo/store");
    let changed = |file: &str| before[file] != after[file];
    assert!(changed("green.k8s.example.com/kops-version.txt"));
    assert!(!changed("blue.k8s.example.com/kops-version.txt"));
    for wrong in ["red.k8s.example.com", "../x"] {
        one(wrong).with(3).says(wrong);
    }

    // A cluster that only lost its config is still one in git.
    shop.commit_all();
    let green = shop.desk.path("store/green.k8s.example.com");
    std::fs::remove_file(green.join("config")).expect("removed");
    shop.export(&[]).with(0).says("has no config");
    let files = shop.desk.tree("repo/store");
    let is_kept =
        |(file, bytes): (&String, &Vec<u8>)| !file.starts_with("green") || files[file] == *bytes;
    assert!(after.iter().all(is_kept));
    std::fs::remove_dir_all(green).expect("removed");
    shop.export(&[]).with(0);
    let left = shop.desk.tree("repo/store");
    assert!(!left.keys().any(|file| file.starts_with("green")));
    std::fs::remove_dir_all(shop.desk.path("store/blue.k8s.example.com")).expect("removed");
    shop.export(&[]).with(3).says("no cluster");
    assert!(shop.desk.tree("repo/store") == left);
}

#[test]
fn places_that_can_hold_no_export() {
    let shop = Shop::new(&sample());
    let before = shop.desk.tree("store");
    shop.git(&["init", "--quiet", &shop.desk.arg("store")]);
    shop.git(&["init", "--quiet", &shop.desk.arg("")]);
    for (to, words) in [
        ("store", "not apart"),
        ("store/git", "not apart"),
        ("", "not apart"),
        ("repo/.git/x", "git's or kstate's own"),
    ] {
        shop.export_to(to, &["--commit"]).with(3).says(words);
    }
    std::fs::remove_dir_all(shop.desk.path(".git")).expect("removed");
    shop.export_to("plain/folder", &[]).with(3).says("git init");
    std::fs::remove_dir_all(shop.desk.path("store/.git")).expect("removed");
    assert!(shop.desk.tree("store") == before, "the store changed");
    assert_eq!(shop.desk.tree_size("plain"), 0);
}

#[test]
fn ignored_files_are_told() {
    let shop = Shop::new(&sample());
    for pattern in ["*.age\n", "*.json\n"] {
        shop.desk.write("repo/.gitignore", pattern);
        shop.commit_all();
        shop.export_all().with(3).says(".gitignore");
        assert_eq!(shop.desk.tree_size("repo/store"), 0);
    }
}

#[test]
fn a_dry_run_writes_and_commits_nothing() {
    let shop = Shop::new(&sample());
    shop.export(&["--commit", "--dry-run"])
        .with(0)
        .says("added");
    assert_eq!(shop.desk.tree_size("repo/store"), 0);
    let plan = shop.desk.arg("plan");
    let args = [
        "plan",
        "-o",
        &plan,
        "export_git",
        "--state",
        "store",
        "--all-clusters",
        "--to",
        "repo/store",
    ];
    shop.run(&args).with(6);
    shop.run(&["apply", &plan, "--yes"]).with(0);
    let applied = shop.desk.tree("repo/store");
    shop.export(&["--commit"]).with(0).says("Committed as ");
    assert!(shop.desk.tree("repo/store") == applied);
}

#[test]
fn a_bucket_is_only_read() {
    let shop = Shop::new(&sample());
    shop.export(&[]).with(0);
    let double = double_with(&sample());
    for action in ["PutObject", "DeleteObject"] {
        double.deny("main", action, "old-state-store", "");
    }
    let from = [
        "run",
        "export_git",
        "--state",
        "s3://old-state-store",
        "--all-clusters",
    ];
    let mut command = shop.command(&from);
    command.args(["--to", "repo/other"]).envs(double.env());
    Ended::of(command).with(0);
    assert!(shop.desk.tree("repo/other") == shop.desk.tree("repo/store"));
    let requests = double.requests();
    assert!(!requests.iter().any(|request| is_write(&request.op)));
    // What is left out is not even read.
    let reads = requests.iter().filter(|request| request.op == "GetObject");
    let mut keys = reads.map(|request| request.key.as_str());
    assert!(!keys.any(|key| key.contains("/secrets/") || key.contains("/pki/private/")));
}

#[test]
fn an_export_that_was_interrupted_is_finished() {
    let shop = Shop::new(&sample());
    let args = ["--encrypt-to", &shop.recipient, "--with-backups"];
    shop.export(&args).with(0);
    let before = shop.desk.tree("repo/store");
    // The manifest is written last.
    for name in ["kstate-export.json", CONFIG] {
        std::fs::remove_file(shop.desk.path(&format!("repo/store/{name}"))).expect("removed");
    }
    shop.export_all().with(0).says("Committed as ");
    let after = shop.desk.tree("repo/store");
    assert!(before.keys().eq(after.keys()));
    shop.export_all().with(0).says("Nothing to commit.");
    // What somebody else put there is no leftover.
    let shop = Shop::new(&sample());
    shop.desk.write(&format!("repo/store/{TOKEN}.age"), "mine");
    shop.export(&args).with(3).says(TOKEN);
}
