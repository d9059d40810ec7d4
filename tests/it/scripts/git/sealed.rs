//! What `export_git` encrypts, or leaves out.

use kstate::store::{Algorithm, Checksum};

use super::{Shop, assert_holds_none, is_sealed, secrets, trees};
use crate::support::{clusters, sample};

const TOKEN: &str = "blue.k8s.example.com/secrets/admin";

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
}

#[test]
fn a_forgotten_flag_takes_nothing_out_of_git() {
    let shop = Shop::new(&sample());
    shop.export_all().with(0);
    let before = shop.desk.tree("repo/store");
    shop.export(&["--commit"]).with(3).says("--encrypt-to");
    // Also when etcd-manager has made others since.
    let old = "store/blue.k8s.example.com/backups/etcd/main/2026-06-01T04:00:00Z-000012";
    let new = old.replace("000012", "000013");
    std::fs::rename(shop.desk.path(old), shop.desk.path(&new)).expect("renamed");
    let no_backups = ["--encrypt-to", &shop.recipient, "--commit"];
    shop.export(&no_backups).with(3).says("--with-backups");
    assert!(shop.desk.tree("repo/store") == before);
    let is_backup = |file: &&String| file.contains("/backups/") && is_sealed(file);
    for file in before.keys().filter(is_backup) {
        std::fs::remove_file(shop.desk.path(&format!("repo/store/{file}"))).expect("removed");
    }
    shop.export(&no_backups).with(0).says("Committed as ");
    let after = shop.desk.tree("repo/store");
    assert!(!after.keys().any(|file| is_backup(&file)));
    shop.export(&no_backups).with(0).says("Nothing to commit.");
}

/// A credential in a script has no name by which it could be told.
#[test]
fn free_text_is_encrypted_left_out_or_taken_on_demand() {
    let name = "blue.k8s.example.com";
    let spec = "spec:\n  fileAssets:\n  - name: motd\n    content: correct-horse\n";
    let group = format!("{name}/instancegroup/nodes");
    let config = format!("{name}/config");
    let mut tree = sample();
    for (key, spec) in [
        (
            &group,
            "spec:\n  additionalUserData:\n  - name: x.sh\n    content: 'join correct-horse'\n",
        ),
        (&config, spec),
    ] {
        let text = String::from_utf8(tree[key].clone()).expect("UTF-8");
        let text = text.replacen("spec:\n", spec, 1);
        tree.insert(key.clone(), text.into_bytes());
    }
    let shop = Shop::new(&tree);
    let left = shop.export(&[]).with(0);
    left.says(&format!(
        "{group} is left out: free text in spec.additionalUserData[0].content may hold a credential"
    ));
    left.says("spec.fileAssets[0].content");
    assert_holds_none(&shop.desk.tree("repo/store"), &["correct-horse"]);
    shop.export_all()
        .with(0)
        .says(&format!("{config} is encrypted: free text"));
    let sealed = shop.desk.tree("repo/store");
    assert_holds_none(&sealed, &["correct-horse"]);
    assert!(sealed.contains_key(&format!("{config}.age")));
    shop.export_to("repo/plain", &["--plain-user-data"]).with(0);
    assert!(shop.desk.tree("repo/plain").get(&group) == tree.get(&group));
    // The flag forgotten doesn't take the files out.
    shop.export_to("repo/plain", &[])
        .with(3)
        .says("--plain-user-data");
}

#[test]
fn without_a_keyset_the_same_state_gives_the_same_bytes_too() {
    let name = "green.k8s.example.com";
    let mut tree = sample();
    tree.retain(|key, _| key.starts_with(name) && !key.contains("/pki/private/"));
    tree.retain(|key, _| !key.contains("/secrets/") || key.ends_with("/admin"));
    let shop = Shop::new(&tree);
    shop.export_all().with(0);
    let before = shop.desk.tree("repo/store");
    shop.export_all().with(0).says("Nothing to commit.");
    assert!(shop.desk.tree("repo/store") == before);
    let token = format!("{name}/secrets/admin");
    let plain = Checksum::of(Algorithm::Sha256, &tree[&token]).hex();
    assert!(
        !shop
            .desk
            .read("repo/store/kstate-export.json")
            .contains(&plain)
    );
    // What is newer in the store is told from what is newer in git.
    shop.import("store", &["--identity", "key", "--yes"])
        .with(0);
    shop.desk
        .write(&format!("store/{token}"), "{\"Data\":\"bmV3\"}");
    shop.import("store", &["--identity", "key", "--yes"])
        .with(4);
    shop.export_all().with(0);
    let after = shop.desk.tree("repo/store");
    let changed = after
        .iter()
        .filter(|(file, bytes)| before.get(*file) != Some(bytes));
    let changed: Vec<_> = changed.map(|(file, _)| file.as_str()).collect();
    assert_eq!(changed, [&format!("{token}.age"), "kstate-export.json"]);
}

#[test]
fn a_secret_that_a_person_decrypted_into_the_folder_is_told() {
    let shop = Shop::new(&sample());
    for args in [&[][..], &["--encrypt-to", &shop.recipient]] {
        shop.export(args).with(0);
        shop.commit_all();
        let file = format!("repo/store/{TOKEN}");
        shop.desk.write(&file, "{}");
        let more = [args, &["--commit", "--allow-dirty"]].concat();
        shop.export(&more).with(3).says(TOKEN);
        // Whether it is committed or not.
        shop.commit_all();
        shop.export(&more).with(3).says(TOKEN);
        shop.import("store", &["--yes"]).with(3).says(TOKEN);
        std::fs::remove_file(shop.desk.path(&file)).expect("removed");
        shop.commit_all();
    }
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
    let ended = shop.export(&["--encrypt-to", &key]).with(3);
    assert!(!format!("{ended:?}").contains(&key), "{ended:?}");
}
