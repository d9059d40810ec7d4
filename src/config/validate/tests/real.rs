//! Whole files: real ones, and broken ones.

use super::*;

#[test]
fn a_broken_file_is_not_gone_through_for_ever() {
    let packages = format!("{CLUSTER}  packages: [{}]\n", "1, ".repeat(200));
    let found = findings(&packages, MASTER, NODES);
    assert_eq!(found.len(), 101);
    assert!(found[100].message.contains("only the first 100"));
}

/// The clusters of a store, each with its objects, and the findings in them.
fn clusters(objects: &[(String, Vec<u8>)]) -> Vec<(String, Vec<Finding>)> {
    let read = |key: &str| {
        let (_, bytes) = objects.iter().find(|(found, _)| found == key)?;
        Some(document(std::str::from_utf8(bytes).ok()?))
    };
    let folders = objects.iter().filter_map(|(key, _)| {
        let folder = key.strip_suffix("/config")?;
        (!folder.contains('/')).then_some(folder)
    });
    let mut all = Vec::new();
    for folder in folders {
        let prefix = format!("{folder}/instancegroup/");
        let groups: Vec<(&str, Document)> = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, _)| (key.as_str(), read(key).expect("YAML")))
            .collect();
        let groups: Vec<Object<'_>> = groups
            .iter()
            .map(|(key, document)| Object {
                file: key,
                name: key.strip_prefix(&prefix),
                document,
                part: 0,
            })
            .collect();
        for key in ["config", "cluster-completed.spec"] {
            let file = format!("{folder}/{key}");
            let Some(document) = read(&file) else {
                continue;
            };
            let object = Object {
                file: &file,
                name: Some(folder),
                document: &document,
                part: 0,
            };
            all.push((file.clone(), super::cluster(object, &groups)));
        }
    }
    all
}

#[test]
fn real_clusters_have_no_errors() {
    let mut count = 0;
    let real = crate::fixture::objects().unwrap_or_default();
    for objects in [real, crate::fixture::sample()] {
        // The completed manifest of the sample is an excerpt.
        let is_sample = objects.iter().any(|(key, _)| key.starts_with("blue."));
        let found = clusters(&objects).into_iter();
        for (file, findings) in found.filter(|(file, _)| !is_sample || file.ends_with("/config")) {
            let found: Vec<String> = findings.iter().map(Finding::to_string).collect();
            assert_eq!(found, Vec::<String>::new(), "{file}");
            count += 1;
        }
        for (key, bytes) in &objects {
            let is_addons = key.ends_with("/clusteraddons/default");
            if !is_addons && !key.ends_with("/keyset.yaml") {
                continue;
            }
            let text = document(std::str::from_utf8(bytes).expect("UTF-8"));
            if is_addons {
                assert_eq!(super::addons(key, &text), [], "{key}");
                continue;
            }
            let object = Object {
                file: key,
                name: None,
                document: &text,
                part: 0,
            };
            assert_eq!(super::object(object, Kind::Keyset), [], "{key}");
        }
    }
    assert!(count >= 2, "the sample alone has two clusters");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]

    #[test]
    fn any_document_is_gone_through(
        line in 0_usize..22,
        text in "( |spec|subnets|name|cidr|etcdClusters|etcdMembers|: |- |\\{|\\}|\\[|\\]|, |1|10.0.0.0/8|no|~|'|\n  ){0,12}",
    ) {
        let mut lines: Vec<&str> = CLUSTER.lines().collect();
        lines[line] = &text;
        if let Ok(text) = Document::parse(&lines.join("\n")) {
            let object = Object { file: "c", name: Some("c.example.com"), document: &text, part: 0 };
            let (master, old) = (document(MASTER), document(CLUSTER));
            let group = Object { document: &master, ..object };
            let old = Object { document: &old, ..object };
            let found = super::cluster(object, &[group]);
            proptest::prop_assert!(found.iter().all(|finding| finding.line > 0));
            let _ = (super::change(old, object), super::change(object, old));
        }
    }
}
