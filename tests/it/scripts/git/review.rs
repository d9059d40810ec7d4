//! `review_copy`.

use super::{Shop, assert_holds_none, mode, secrets, trees};
use crate::s3_double::S3Double;
use crate::scripts::{double_with, is_write};
use crate::support::{Ended, changed_lines, clusters, sample};

fn review(shop: &Shop, double: &S3Double, name: &str, more: &[&str]) -> Ended {
    let mut args = vec![
        "run",
        "review_copy",
        "--state",
        "s3://old-state-store",
        "--to",
        "copy",
    ];
    args.extend(["--cluster", name]);
    args.extend(more);
    let mut command = shop.command(&args);
    command.envs(double.env());
    Ended::of(command)
}

#[test]
fn a_copy_in_the_store_itself_is_refused() {
    let shop = Shop::new(&sample());
    let before = shop.desk.tree("store");
    let args = [
        "run",
        "review_copy",
        "--state",
        "store",
        "--to",
        "store/review",
        "--cluster",
        "blue.k8s.example.com",
    ];
    shop.run(&args).with(3).says("not apart");
    assert!(shop.desk.tree("store") == before);
}

#[test]
fn the_copy_leads_nowhere_and_production_is_only_read() {
    for tree in trees() {
        let shop = Shop::new(&tree);
        let double = double_with(&tree);
        for action in ["PutObject", "DeleteObject"] {
            double.deny("main", action, "old-state-store", "");
        }
        for name in clusters(&tree) {
            let ended = review(&shop, &double, &name, &[]).with(0);
            ended.says(&format!("get cluster {name}"));
            let copy = shop.desk.tree(&format!("copy/{name}"));
            let config = String::from_utf8(copy["config"].clone()).expect("UTF-8");
            assert!(!config.contains("old-state-store"), "{config}");
            let changed = changed_lines(&tree[&format!("{name}/config")], &copy["config"]);
            let changed: Vec<_> = changed.iter().map(|line| line.replace('"', "")).collect();
            let place = shop.desk.arg(&format!("copy/{name}"));
            assert!(
                changed
                    .iter()
                    .any(|line| *line == format!("+  configBase: {place}")),
                "{changed:?}"
            );
            assert!(copy.keys().any(|key| key.starts_with("instancegroup/")));
            for gone in ["pki/private/", "secrets/", "backups/", "manifests/etcd/"] {
                assert!(!copy.keys().any(|key| key.starts_with(gone)), "{gone}");
            }
            for (key, bytes) in &copy {
                assert!(
                    key == "config" || tree[&format!("{name}/{key}")] == *bytes,
                    "{key}"
                );
            }
            assert_holds_none(&copy, &secrets(&tree));
        }
        let writes: Vec<_> = double
            .requests()
            .into_iter()
            .filter(|request| is_write(&request.op))
            .collect();
        assert!(writes.is_empty(), "{writes:?}");
    }
}

#[test]
fn secrets_come_on_demand_and_are_the_users_alone() {
    let shop = Shop::new(&sample());
    let double = double_with(&sample());
    let name = clusters(&sample()).remove(0);
    review(&shop, &double, &name, &["--with-secrets"]).with(0);
    let copy = shop.desk.tree(&format!("copy/{name}"));
    for (key, bytes) in sample() {
        let Some(key) = key.strip_prefix(&format!("{name}/")) else {
            continue;
        };
        if key.starts_with("backups/") {
            assert!(!copy.contains_key(key), "{key}");
        } else if key != "config" {
            assert!(copy[key] == bytes, "{key}");
        }
    }
    for key in copy.keys() {
        assert_eq!(
            mode(&shop.desk.path(&format!("copy/{name}/{key}"))),
            0o600,
            "{key}"
        );
    }
    for folder in [
        "pki/private",
        "pki/private/kubernetes-ca",
        "secrets",
        "manifests",
        "manifests/etcd",
    ] {
        assert_eq!(
            mode(&shop.desk.path(&format!("copy/{name}/{folder}"))),
            0o700,
            "{folder}"
        );
    }
    // A copy is never written over.
    review(&shop, &double, &name, &[])
        .with(3)
        .says("is there already");
    // Nor mixed with what is left of one.
    std::fs::remove_file(shop.desk.path(&format!("copy/{name}/config"))).expect("removed");
    review(&shop, &double, &name, &[])
        .with(3)
        .says("is there already");
}

#[test]
fn explicit_stores_move_along_and_foreign_ones_are_refused() {
    let name = clusters(&sample()).remove(0);
    let with = |extra: &str| {
        let mut tree = sample();
        let key = format!("{name}/config");
        let text = String::from_utf8(tree[&key].clone()).expect("UTF-8");
        let text = text.replacen("\nspec:\n", &format!("\nspec:\n{extra}"), 1);
        tree.insert(key, text.into_bytes());
        tree
    };
    let below = format!(
        "  secretStore: s3://old-state-store/{name}/secrets\n  keyStore: s3://old-state-store/{name}/pki\n"
    );
    let shop = Shop::new(&with(&below));
    let double = double_with(&with(&below));
    review(&shop, &double, &name, &[]).with(0);
    let config = shop.desk.read(&format!("copy/{name}/config"));
    let place = shop.desk.arg(&format!("copy/{name}"));
    for line in [
        format!("  secretStore: {place}/secrets\n"),
        format!("  keyStore: {place}/pki\n"),
    ] {
        assert!(config.contains(&line), "{config}");
    }

    let published = format!(
        "  addons:\n  - manifest: s3://old-state-store/{name}/own.yaml\n  serviceAccountIssuerDiscovery:\n    \
         discoveryStore: s3://public/oidc\n"
    );
    let (shop, double) = (Shop::new(&with(&published)), double_with(&with(&published)));
    review(&shop, &double, &name, &[])
        .with(0)
        .says("--keep-discovery-store");
    let config = shop.desk.read(&format!("copy/{name}/config"));
    let place = shop.desk.arg(&format!("copy/{name}"));
    let lines = [
        format!("  - manifest: {place}/own.yaml\n"),
        format!("    discoveryStore: {place}/discovery\n"),
    ];
    assert!(lines.iter().all(|line| config.contains(line)), "{config}");
    assert!(!config.contains("s3://"), "{config}");
    std::fs::remove_dir_all(shop.desk.path("copy")).expect("removed");
    review(&shop, &double, &name, &["--keep-discovery-store"])
        .with(0)
        .says("s3://public/oidc");

    let foreign = "  keyStore: s3://elsewhere/pki\n";
    let (shop, double) = (Shop::new(&with(foreign)), double_with(&with(foreign)));
    review(&shop, &double, &name, &[])
        .with(3)
        .says("s3://elsewhere/pki");
    assert_eq!(shop.desk.tree_size("copy"), 0);
}

#[test]
fn what_it_refuses() {
    let shop = Shop::new(&sample());
    let double = double_with(&sample());
    for wrong in ["red.k8s.example.com", "../x"] {
        review(&shop, &double, wrong, &[]).with(3).says(wrong);
    }
    let name = clusters(&sample()).remove(0);
    let before = shop.desk.tree("store");
    for (to, words) in [
        ("store", "is there already"),
        ("s3://new-state-store", "no folder"),
    ] {
        let args = [
            "run",
            "review_copy",
            "--state",
            "store",
            "--cluster",
            &name,
            "--to",
            to,
        ];
        let mut command = shop.command(&args);
        command.envs(double.env());
        Ended::of(command).with(3).says(words);
    }
    assert!(shop.desk.tree("store") == before);
    review(&shop, &double, &name, &["--dry-run"])
        .with(0)
        .says("What would come next");
    assert_eq!(shop.desk.tree_size("copy"), 0);
}

#[test]
fn a_cluster_in_two_places_is_copied_from_both() {
    let name = clusters(&sample()).remove(0);
    let registry = ["config", "instancegroup/", "clusteraddons/"];
    let shop = Shop::new(&sample());
    let double = S3Double::builder()
        .bucket("old-state-store")
        .bucket("base")
        .start();
    for (key, bytes) in sample() {
        let Some(file) = key.strip_prefix(&format!("{name}/")) else {
            continue;
        };
        if !registry.iter().any(|part| file.starts_with(part)) {
            double.put("base", &format!("deep/{key}"), bytes);
            continue;
        }
        let mut text = String::from_utf8(bytes).expect("UTF-8");
        if file == "config" {
            let place = format!("\nspec:\n  configBase: s3://base/deep/{name}\n");
            text = text.replacen("\nspec:\n", &place, 1);
            assert!(text.contains("s3://base"), "{text}");
        }
        double.put("old-state-store", &key, text);
    }
    review(&shop, &double, &name, &["--with-secrets"]).with(0);
    let copy = shop.desk.tree(&format!("copy/{name}"));
    for (key, bytes) in sample() {
        let Some(file) = key.strip_prefix(&format!("{name}/")) else {
            continue;
        };
        let is_copied = file != "config" && !file.starts_with("backups/");
        assert!(!is_copied || copy.get(file) == Some(&bytes), "{file}");
    }
    assert!(!String::from_utf8_lossy(&copy["config"]).contains("s3://base"));
}
