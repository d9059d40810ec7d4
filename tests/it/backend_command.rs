//! `kstate backend`, from the command line.

use serde_json::Value as Json;

use super::support::Desk;

const SHELF: &str = "examples/backends/shelf.lua";

/// Small, since what is tested is the command.
const QUICK: [&str; 4] = ["--large=1MiB", "--many=40", "--racers=8", "--json"];

#[test]
fn a_test_tells_of_every_claim_whether_it_holds_and_leaves_nothing() {
    let desk = Desk::new();
    desk.write("state/c/config", "kind: Cluster\n");
    let args = ["backend", "test", &desk.arg("state"), "--many=40"];
    let told = desk.run(&args).with(0);
    told.says("testing below");
    assert!(told.stdout.contains("create only what is absent"));
    assert!(told.stdout.contains("not claimed  content type"));
    assert!(told.stdout.contains(" 0 failed, "), "{}", told.stdout);
    let left: Vec<_> = desk.tree("state").into_keys().collect();
    assert_eq!(left, ["c/config"]);
    assert!(!desk.path("state/.kstate").exists());
    // Nothing of it can be taken back, and nothing of it is kept.
    let history = desk.run(&["history", "--json"]).with(0);
    assert_eq!(history.stdout.trim(), "[]");

    let args = [
        &["backend", "test", "shelf://x", "--backend", SHELF],
        &QUICK[..],
    ]
    .concat();
    let report: Json = serde_json::from_str(&desk.run(&args).with(0).stdout).expect("JSON");
    assert_eq!(report["passed"], true);
    let swap = &report["capabilities"][1];
    assert_eq!(swap["capability"], "if_match");
    assert_eq!(
        (&swap["claimed"], &swap["found"]),
        (&true.into(), &"holds".into())
    );
}

#[test]
fn a_store_that_lies_is_found_out() {
    let desk = Desk::new();
    let text = std::fs::read_to_string(SHELF).expect("the example");
    let lying = text.replace("if options.if_absent and object then", "if false then");
    desk.write("shelf.lua", lying);
    let file = desk.arg("shelf.lua");
    let args = [
        &["backend", "test", "shelf://x", "--backend", &file],
        &QUICK[..],
    ]
    .concat();
    let told = desk.run(&args).with(1);
    let report: Json = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(report["passed"], false);
    let create = &report["capabilities"][0];
    assert_eq!(
        (&create["claimed"], &create["found"]),
        (&true.into(), &"broken".into())
    );
    assert!(
        create["why"]
            .as_str()
            .is_some_and(|why| why.contains("if-absent"))
    );
    let told = desk.run(&args[..args.len() - 1]).with(1);
    assert!(told.stdout.contains("BROKEN"), "{}", told.stdout);
    assert!(told.stdout.contains("FAILED       if-absent leaves"));
}

#[test]
fn a_mistake_is_told_once_with_its_line_and_what_to_do() {
    let desk = Desk::new();
    let text = std::fs::read_to_string(SHELF).expect("the example");
    let backwards = "table.sort(items, function(a, b) return a.key > b.key end)
        return { items = items }";
    let unsorted = text
        .replace("sorted = false,", "")
        .replace("return { items = items }", backwards);
    let unkept = text.replace("content_type = options.content_type,", "");
    for (name, text, failed, words) in [
        (
            "unsorted.lua",
            unsorted,
            1,
            &["unsorted.lua:", "sorted = false", "checks were left out"][..],
        ),
        (
            "unkept.lua",
            unkept,
            1,
            &["the content type: nothing instead of 'text/plain'"],
        ),
    ] {
        desk.write(name, text);
        let file = desk.arg(name);
        let args = [
            "--backend",
            &file,
            "backend",
            "test",
            "shelf://x",
            "--many=40",
        ];
        let told = desk.run(&args).with(1);
        let count = told.stdout.matches("\nFAILED: ").count();
        assert_eq!(count, failed, "{}", told.stdout);
        let plain = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in words {
            assert!(plain.contains(words), "{words}: {}", told.stdout);
        }
        assert!(!plain.contains("listings md5 BROKEN"), "{}", told.stdout);
        let wide = told
            .stdout
            .lines()
            .find(|line| line.chars().count() > 80 && line.trim_start().contains(' '));
        assert_eq!(wide, None);
    }
}

#[test]
fn what_cannot_be_written_is_not_tested() {
    let desk = Desk::new();
    desk.write("file", "");
    let store = format!("{}/below", desk.arg("file"));
    desk.run(&["backend", "test", &store])
        .with(1)
        .says("cannot write");
    let dry = desk
        .run(&["backend", "test", "--dry-run", &desk.arg("new")])
        .with(0);
    dry.says("the test would write below");
    assert!(!desk.path("new").exists());
    // Nor is a folder that the test would make, which is a mistyped one.
    desk.run(&["backend", "test", &desk.arg("new")])
        .with(1)
        .says("there is no such folder");
    assert!(!desk.path("new").exists());
    desk.run(&["backend", "test", &desk.arg("new"), "--racers=0"])
        .with(2);
    std::fs::create_dir(desk.path("new")).expect("a folder");
    let bounded = [
        "backend",
        "test",
        &desk.arg("new"),
        "--allow-write",
        "memfs://other",
    ];
    desk.run(&bounded).with(3);
}

#[test]
fn all_kinds_are_listed_and_each_is_shown() {
    let desk = Desk::new();
    let list = desk
        .run(&["backend", "list", "--json", "--backend", SHELF])
        .with(0);
    let list: Vec<Json> = serde_json::from_str(&list.stdout).expect("JSON");
    let schemes: Vec<_> = list
        .iter()
        .flat_map(|kind| kind["schemes"].as_array().expect("a list"))
        .map(|scheme| scheme.as_str().expect("a text"))
        .collect();
    for wanted in [
        "file", "memfs", "s3", "do", "gs", "swift", "k8s", "crypt", "https", "shelf",
    ] {
        assert!(schemes.contains(&wanted), "{wanted}: {schemes:?}");
    }
    for scheme in &schemes {
        let args = ["backend", "show", scheme, "--backend", SHELF];
        let shown = desk.run(&args).with(0);
        assert!(
            shown.stdout.contains(&format!("{scheme}://")),
            "{}",
            shown.stdout
        );
        let args = ["backend", "show", scheme, "--backend", SHELF, "--json"];
        let shown: Json = serde_json::from_str(&desk.run(&args).with(0).stdout).expect("JSON");
        assert!(
            shown["summary"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
    let told = desk.run(&["backend", "list", "--backend", SHELF]).with(0);
    assert!(
        told.stdout.contains(&format!("({SHELF})")),
        "{}",
        told.stdout
    );
    let told = desk.run(&["backend", "show", "crytp"]).with(2);
    told.says("did you mean 'crypt'?");
    desk.run(&["ls", "gs://bucket?profile=x"])
        .with(2)
        .says("gs:// has no option 'profile'");
}

#[test]
fn the_role_is_of_the_namespace() {
    let desk = Desk::new();
    let role = desk
        .run(&["backend", "rbac", "k8s://ctx/clusters/x"])
        .with(0);
    assert!(
        role.stdout.contains("  namespace: clusters\n"),
        "{}",
        role.stdout
    );
    let state = ["--state", "k8s:///other", "backend", "rbac"];
    let role = desk.run(&state).with(0);
    assert!(
        role.stdout.contains("  namespace: other\n"),
        "{}",
        role.stdout
    );
    let role = desk.run(&["backend", "rbac"]).with(0);
    role.says("the namespace stands for yours");
    assert!(role.stdout.contains("kind: Role\n"), "{}", role.stdout);
    desk.run(&["backend", "rbac", "s3://b"]).with(2);
    desk.run(&["backend", "rbac", "k8s:///No Name"])
        .with(2)
        .says("can't be a namespace");
}
