//! `export_git`.

use kstate::store::{Algorithm, Checksum};

use super::{Shop, assert_holds_none, is_sealed, secrets, trees};
use crate::scripts::{double_with, is_write};
use crate::support::{Ended, clusters, sample};

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
            assert!(
                file == "kstate-export.json" || tree[file] == *bytes,
                "{file}"
            );
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
fn what_did_not_change_keeps_its_ciphertext() {
    for tree in trees() {
        let shop = Shop::new(&tree);
        shop.export_all().with(0).says("Committed as ");
        let before = shop.desk.tree("repo/store");
        assert_holds_none(&before, &secrets(&tree));
        let sealed: Vec<_> = before.keys().filter(|file| is_sealed(file)).collect();
        assert!(sealed.len() > 10, "{sealed:?}");
        // A short secret could be guessed from its plain hash.
        let manifest = shop.desk.read("repo/store/kstate-export.json");
        for file in sealed {
            let plain = &tree[file.strip_suffix(".age").expect("sealed")];
            let sum = Checksum::of(Algorithm::Sha256, plain).hex();
            assert!(!manifest.contains(&sum), "{file}");
        }

        shop.export_all().with(0).says("Nothing to commit.");
        assert!(shop.desk.tree("repo/store") == before);
        assert_eq!(shop.repo(&["rev-list", "--count", "HEAD"]).trim(), "1");

        let name = &clusters(&tree)[0];
        shop.desk.write(
            &format!("store/{name}/secrets/admin"),
            "{\"Data\":\"bmV3\"}",
        );
        shop.export_all().with(0);
        let (message, files) = shop.last_commit();
        let changed = format!("store/{name}/secrets/admin.age");
        assert_eq!(files, [changed, "store/kstate-export.json".to_owned()]);
        assert_eq!(
            message.trim(),
            format!("State store: 0 added, 1 changed, 0 removed\n\n{name}\n  ~ secrets/admin")
        );
    }
}

#[test]
fn other_recipients_get_it_anew() {
    let shop = Shop::new(&sample());
    shop.export_all().with(0);
    let before = shop.desk.tree("repo/store");
    let other = age::x25519::Identity::generate().to_public().to_string();
    let both = [
        "--encrypt-to",
        &shop.recipient,
        "--encrypt-to",
        &other,
        "--with-backups",
    ];
    shop.export(&both).with(0);
    for (file, bytes) in shop.desk.tree("repo/store") {
        let is_new = before[&file] != bytes;
        assert_eq!(
            is_new,
            is_sealed(&file) || file == "kstate-export.json",
            "{file}"
        );
    }
    // A flag that was forgotten doesn't take the secrets out.
    shop.export(&[]).with(3).says("--encrypt-to");
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
    one("red.k8s.example.com")
        .with(3)
        .says("red.k8s.example.com");

    std::fs::remove_dir_all(shop.desk.path("store/green.k8s.example.com")).expect("removed");
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
fn what_looks_like_a_secret_or_like_git_is_not_shown() {
    let mut tree = sample();
    let name = "blue.k8s.example.com";
    let addon = "apiVersion: v1\nkind: Secret\nstringData:\n  login: correct-horse\n";
    tree.insert(format!("{name}/clusteraddons/default"), addon.into());
    tree.insert(format!("{name}/notes.txt"), b"battery-staple".to_vec());
    tree.insert(format!("{name}/.git/config"), b"[core]".to_vec());
    tree.insert(".git/config".to_owned(), b"[core]".to_vec());
    let shop = Shop::new(&tree);
    shop.export(&["--commit"]).with(0);
    let hidden = ["correct-horse", "battery-staple"];
    assert_holds_none(&shop.desk.tree("repo/store"), &hidden);
    shop.export_all().with(0);
    let all = shop.desk.tree("repo/store");
    assert_holds_none(&all, &hidden);
    assert!(all.contains_key(&format!("{name}/notes.txt.age")));
    assert!(!all.keys().any(|file| file.contains(".git/")));
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
fn backups_are_never_in_the_clear() {
    let shop = Shop::new(&sample());
    shop.export(&["--with-backups"])
        .with(3)
        .says("--encrypt-to");
    assert_eq!(shop.desk.tree_size("repo/store"), 0);
}

#[test]
fn a_secret_key_given_as_a_recipient_is_not_repeated() {
    let shop = Shop::new(&sample());
    let key = shop.desk.read("key");
    let ended = shop.export(&["--encrypt-to", &key]).with(1);
    assert!(!format!("{ended:?}").contains(&key), "{ended:?}");
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
