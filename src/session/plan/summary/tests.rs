use super::super::testing::Draft;
use super::*;

/// Cluster, name in it, and whether it is a secret, of an object that is written.
fn located(url: &str, key: &str, read: &[&str]) -> (Option<String>, String, bool) {
    let mut draft = Draft::over(&[url]);
    for key in read {
        draft.read(0, key);
    }
    draft.write(0, key, None, b"x");
    let mut summary = Summary::of(&draft.0);
    let mut group = summary.stores.remove(0).groups.remove(0);
    let object = group.objects.remove(0);
    (group.cluster, object.name, object.is_secret)
}

#[test]
fn an_object_is_shown_with_its_cluster() {
    for (url, key, read, cluster, name) in [
        (
            "s3://b",
            "c.example.com/config",
            &[][..],
            "c.example.com",
            "config",
        ),
        ("s3://b", "c.example.com/x/y", &[], "c.example.com", "x/y"),
        (
            "s3://b/state",
            "minimal/instancegroup/nodes",
            &[],
            "minimal",
            "instancegroup/nodes",
        ),
        (
            "s3://b",
            "odd_name/notes/x",
            &["odd_name/config"],
            "odd_name",
            "notes/x",
        ),
        (
            "s3://b/env",
            "prod/c.example.com/x",
            &["prod/c.example.com/config"],
            "prod/c.example.com",
            "x",
        ),
        (
            "s3://b/c.example.com",
            "instancegroup/nodes",
            &[],
            "c.example.com",
            "instancegroup/nodes",
        ),
        ("s3://b/odd_name", "notes", &["config"], "odd_name", "notes"),
        (
            "s3://b/c.example.com/pki/private",
            "ca/keyset.yaml",
            &[],
            "c.example.com",
            "pki/private/ca/keyset.yaml",
        ),
        (
            "s3://b",
            "c.example.com/addons/a.addons.k8s.io/v1.yaml",
            &[],
            "c.example.com",
            "addons/a.addons.k8s.io/v1.yaml",
        ),
        (
            "s3://b/c.example.com",
            "addons/a.addons.k8s.io/v1.yaml",
            &[],
            "c.example.com",
            "addons/a.addons.k8s.io/v1.yaml",
        ),
        (
            "s3://b/c.example.com/instancegroup",
            "config",
            &[],
            "c.example.com",
            "instancegroup/config",
        ),
    ] {
        let (found, in_it, _) = located(url, key, read);
        assert_eq!(
            (found.as_deref(), in_it.as_str()),
            (Some(cluster), name),
            "{url} {key}"
        );
    }
}

#[test]
fn what_is_in_no_cluster_is_shown_with_the_store() {
    for (url, key) in [
        ("s3://b", "notes"),
        ("s3://b", "x/y"),
        ("s3://b/deep", ".kstate/x"),
        ("s3://b", ".git/x"),
    ] {
        let (cluster, name, _) = located(url, key, &[]);
        assert_eq!((cluster, name.as_str()), (None, key), "{url}");
    }
}

#[test]
fn a_missing_config_makes_no_cluster() {
    let mut draft = Draft::over(&["s3://b"]);
    draft.write(0, "odd_name/notes/x", None, b"x");
    draft.0.observed.objects.push(super::super::SeenObject {
        store: 0,
        key: "odd_name/config".to_owned(),
        version: None,
    });
    assert_eq!(Summary::of(&draft.0).stores[0].groups[0].cluster, None);
}

#[test]
fn files_that_carry_credentials_are_secrets_wherever_the_store_begins() {
    for (url, key) in [
        ("s3://b", "c.example.com/pki/private/ca/keyset.yaml"),
        ("s3://b", "minimal/secrets/admin"),
        ("s3://b/minimal", "secrets/admin"),
        ("s3://b/minimal/secrets", "admin"),
        ("s3://b/c.example.com/secrets", "admin"),
        ("s3://b/c.example.com/manifests/etcd", "main.yaml"),
        ("s3://b", "c/manifests/channels/kops-channels.yaml"),
        (
            "s3://b",
            "c/addons/kops-controller.addons.k8s.io/k8s-1.16.yaml",
        ),
        ("s3://b", "team.a/c/secrets/admin"),
        ("s3://b", "c/igconfig/node/nodes/nodeupscript.sh"),
    ] {
        assert!(located(url, key, &[]).2, "{url} {key}");
    }
    for (url, key) in [
        ("file:///srv/secrets", "c.example.com/config"),
        ("s3://b/backups", "c.example.com/instancegroup/nodes"),
        ("s3://b", "c/addons/coredns.addons.k8s.io/k8s-1.12.yaml"),
    ] {
        assert!(!located(url, key, &[]).2, "{url} {key}");
    }
}

#[test]
fn steps_on_one_object_count_once_as_what_they_come_to() {
    let nets = |draft: &Draft| -> Vec<(String, Effect, usize)> {
        let summary = Summary::of(&draft.0);
        let objects = summary
            .stores
            .iter()
            .flat_map(|store| &store.groups)
            .flat_map(|group| &group.objects);
        objects
            .map(|object| (object.key.clone(), object.net, object.steps.len()))
            .collect()
    };
    let mut draft = Draft::over(&["s3://b", "s3://b/c"]);
    draft
        .write(0, "c/fleeting", None, b"1")
        .write(0, "c/new", None, b"1")
        .delete(0, "c/fleeting", None)
        .write(1, "new", None, b"123")
        .edit(0, "c/there-and-back", "old", "new")
        .edit(0, "c/there-and-back", "old", "old")
        .edit(0, "c/gone", "old", "new")
        .delete(0, "c/gone", None)
        .delete(0, "c/anew", Some(b"12345"))
        .write(0, "c/anew", None, b"12")
        .copy((0, "x"), (0, "c/copied"), None, 7)
        .copy((0, "x"), (0, "c/over"), Some(b"1"), 9);
    let expected = [
        ("c/anew", Effect::Change, 2),
        ("c/copied", Effect::Copy, 1),
        ("c/fleeting", Effect::Nothing, 2),
        ("c/gone", Effect::Delete, 2),
        ("c/new", Effect::Create, 2),
        ("c/over", Effect::Replace, 1),
        ("c/there-and-back", Effect::Nothing, 2),
    ];
    let expected = expected.map(|(key, net, steps)| (key.to_owned(), net, steps));
    assert_eq!(nets(&draft), expected);
    let totals = Totals {
        created: 1,
        changed: 1,
        deleted: 1,
        copied: 1,
        replaced: 1,
        untouched: 2,
        bytes_written: 3 + 2,
        bytes_copied: 7 + 9,
        bytes_deleted: 3,
    };
    assert_eq!(Summary::of(&draft.0).totals, totals);
}

#[test]
fn stores_keep_their_order_and_clusters_are_sorted() {
    let mut draft = Draft::over(&["s3://one", "s3://two"]);
    draft
        .write(1, "b.example.com/config", None, b"x")
        .write(0, "top", None, b"x")
        .write(1, "top", None, b"x")
        .write(1, "a.example.com/config", None, b"x")
        .write(1, "b.example.com/addons/x", None, b"x");
    let summary = Summary::of(&draft.0);
    let groups: Vec<_> = summary
        .stores
        .iter()
        .map(|store| {
            let groups = store
                .groups
                .iter()
                .map(|group| (group.cluster.as_deref(), group.totals.created));
            (store.store, groups.collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        groups,
        [
            (0, vec![(None, 1)]),
            (
                1,
                vec![
                    (Some("a.example.com"), 1),
                    (Some("b.example.com"), 2),
                    (None, 1)
                ]
            ),
        ]
    );
}
