//! A realistic plan, in all three forms.

use super::view::View;
use super::{html, json, text};
use crate::session::plan::Plan;
use crate::session::plan::difference::Detail;
use crate::session::plan::testing::Draft;

/// What must never be printed.
const MARKERS: [&str; 9] = [
    "bWFya2VyLWtleQ",
    "bWFya2VyLXRva2Vu",
    "marker-env",
    "marker-addon",
    "marker-args",
    "marker-flag",
    "marker-meta",
    "bWFya2VyLXNlY3JldA",
    "marker-user-data",
];

fn sample(key: &str) -> String {
    let mut sample = crate::fixture::sample().into_iter();
    let (_, bytes) = sample.find(|(found, _)| found == key).expect(key);
    String::from_utf8(bytes).expect("a text")
}

/// A plan with something of everything in it: edits of two clusters, a move, secrets, names that
/// want to be something else.
fn plan() -> Plan {
    let mut draft = Draft::over(&["s3://example-state-store", "s3://new-state-store/kops"]);
    draft.0.origin.script = "scripts/resize and move.lua".to_owned();
    draft.0.origin.args = [
        "--cluster",
        "blue.k8s.example.com",
        "--token",
        "marker-args",
        "--db-password=marker-flag",
        "--note",
        "it's <b>big</b>",
    ]
    .map(str::to_owned)
    .to_vec();
    draft.0.stores[1].options = [("profile", "new-account"), ("region", "eu-central-1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    draft.list_locked(0, "blue.k8s.example.com", "blue.k8s.example.com");
    edits(&mut draft);
    secrets(&mut draft);
    hostile(&mut draft);
    moved(&mut draft);
    draft.0
}

fn edits(draft: &mut Draft) {
    let blue = |key: &str| format!("blue.k8s.example.com/{key}");
    let config = sample(&blue("config"));
    let zone = "  - cidr: 172.20.64.0/19\n    name: eu-west-1b\n    type: Public\n    zone: eu-west-1b\n  topology:";
    let edited = config
        .replace("1.33.0", "1.34.2")
        .replace("  topology:", zone)
        .replace(
            "  - 192.0.2.0/24\n  subnets",
            "  - 198.51.100.0/24\n  subnets",
        )
        .replace("#team-shop", "#team-web");
    let nodes = sample(&blue("instancegroup/nodes"));
    let resized = nodes
        .replace("maxSize: 3", "maxSize: 12")
        .replace("m7i.xlarge", "m7i.2xlarge");
    let user_data = format!(
        "{nodes}  additionalUserData:\n  - name: setup.sh\n    content: |\n      #!/bin/sh\n      export API_TOKEN=marker-user-data\n      sysctl -w vm.swappiness=1\n"
    );
    draft
        .edit(0, &blue("config"), &config, &edited)
        .edit(0, &blue("instancegroup/nodes"), &nodes, &resized)
        .write(0, &blue("instancegroup/batch"), None, user_data.as_bytes())
        .edit(0, &blue("kops-version.txt"), "1.33.0", "1.34.1")
        .edit(0, &blue("clusteraddons/default"), "kind: Secret\nmetadata:\n  name: hook\ndata:\n  url: bWFya2VyLXNlY3JldA==\n---\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  mode: fast\n", "kind: Secret\nmetadata:\n  name: hook\ndata:\n  url: bWFya2VyLXNlY3JldDI=\n---\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  mode: safe\n")
        .write(0, &blue("addons/logo.png"), Some(b"\x89PNG\0old"), b"\x89PNG\0new one")
        .labelled("image/png", &[("owner", "web"), ("upload-token", "marker-meta")])
        .edit(0, &blue("instancegroup/nodes"), &nodes, &resized.replace("12", "9"))
        .write(0, &blue("addons/scratch.yaml"), None, b"a: 1\n")
        .delete(0, &blue("addons/scratch.yaml"), None)
        .delete(0, &blue("igconfig/node/old/nodeupconfig.yaml"), Some(b"role: Node\n"));
}

fn secrets(draft: &mut Draft) {
    let blue = |key: &str| format!("blue.k8s.example.com/{key}");
    draft
        .write(
            0,
            &blue("pki/private/service-account/keyset.yaml"),
            Some(b"privateMaterial: bWFya2VyLWtleQ==\n"),
            b"privateMaterial: bWFya2VyLWtleQ2=\nmore: 1\n",
        )
        .write(
            0,
            &blue("secrets/admin"),
            None,
            b"{\"Data\":\"bWFya2VyLXRva2Vu\"}",
        )
        .edit(
            0,
            &blue("manifests/etcd/main-control-plane-eu-west-1a.yaml"),
            "env: marker-env\n",
            "env: marker-env2\n",
        )
        .edit(
            0,
            &blue("addons/kops-controller.addons.k8s.io/k8s-1.16.yaml"),
            "x: marker-addon\n",
            "x: marker-addon2\n",
        );
}

fn hostile(draft: &mut Draft) {
    draft
        .write(
            0,
            "odd/<script>alert(1)</script>\"'&.yaml",
            None,
            b"x: <img src=x onerror=alert(1)>\n",
        )
        .edit(
            0,
            "odd/a\u{202e}lmth.gifnoc",
            "</pre><script>old\n",
            "\u{1b}[2J\u{202e}</pre><script>new\n",
        )
        .write(0, "odd/line\nbreak\u{200b}", None, b"y");
}

fn moved(draft: &mut Draft) {
    let config = sample("green.k8s.example.com/config");
    draft.read(0, "green.k8s.example.com/config");
    for (key, bytes) in crate::fixture::sample() {
        if key.starts_with("green.k8s.example.com/") && !key.ends_with("/config") {
            let over = key.ends_with("kops-version.txt").then_some(&b"1.32"[..]);
            draft.copy((0, &key), (1, &key), over, bytes.len() as u64);
        }
    }
    draft.write(1, "green.k8s.example.com/config", None, config.as_bytes());
}

fn rendered(detail: Detail) -> [String; 3] {
    let plan = plan();
    let view = View::new(&plan, detail, "resize.plan");
    [
        text::render(&view, false),
        json::render(&view),
        html::render(&view),
    ]
}

/// Compares an expected output with the file it is kept in, or writes it when `KSTATE_BLESS` is
/// set.
#[expect(
    clippy::disallowed_methods,
    reason = "the files are part of the sources"
)]
fn is_as_kept(name: &str, text: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/plan/expected");
    let path = folder.join(name);
    if std::env::var_os("KSTATE_BLESS").is_some() {
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(&path, text).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{name} differs: run `KSTATE_BLESS=1 cargo test plan`, then read what changed"
    );
}

#[test]
fn a_plan_is_shown_as_text_as_data_and_as_a_page() {
    let [text, json, html] = rendered(Detail::default());
    is_as_kept("plan.txt", &text);
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    is_as_kept("plan.json", &format!("{value:#}\n"));
    is_as_kept("plan.html", &html);
}

#[test]
fn no_secret_is_in_any_form() {
    for full in [false, true] {
        for shown in rendered(Detail {
            full,
            show_secrets: false,
        }) {
            for marker in MARKERS {
                assert!(!shown.contains(marker), "{marker} is in\n{shown}");
            }
        }
    }
    for shown in rendered(Detail {
        full: true,
        show_secrets: true,
    }) {
        for marker in MARKERS {
            assert!(shown.contains(marker), "{marker} is not in\n{shown}");
        }
    }
}

#[test]
fn what_is_hidden_cant_be_guessed_from_a_hash() {
    let plan = plan();
    let holds_one = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        MARKERS.iter().any(|marker| text.contains(marker))
    };
    let contents = plan.contents.iter();
    let hashes = contents
        .filter(|(_, bytes)| holds_one(bytes))
        .map(|(hash, _)| &hash[..16]);
    let hashes: Vec<_> = hashes.collect();
    assert!(hashes.len() >= 9, "{hashes:?}");
    for shown in rendered(Detail::default()) {
        for hash in &hashes {
            assert!(!shown.contains(hash), "{hash} is in\n{shown}");
        }
        for key in [
            "pki/private/service-account/keyset.yaml",
            "clusteraddons/default",
        ] {
            assert!(!shown.contains(&format!("etag-of-blue.k8s.example.com/{key}")));
        }
    }
}

#[test]
fn names_and_texts_of_others_cant_forge_the_output() {
    for show_secrets in [false, true] {
        let [text, json, html] = rendered(Detail {
            full: true,
            show_secrets,
        });
        for shown in [&text, &json, &html] {
            let unseen = shown.chars().filter(|c| crate::text::is_unseen(*c));
            assert!(
                unseen.into_iter().all(|c| matches!(c, '\n' | '\t')),
                "{shown}"
            );
        }
        for tag in ["<script", "<img", "<b>", "onerror=alert(1)>"] {
            assert!(!html.contains(tag), "{tag}");
        }
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;.yaml"));
        assert!(text.contains("line\\nbreak\\u{200b}"));
        assert_eq!(json.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let text = value.to_string();
        assert!(
            text.contains("a\u{202e}lmth.gifnoc"),
            "the data is the real name"
        );
    }
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let [_, _, html] = rendered(Detail::default());
    for outside in [
        "src=",
        "href=",
        "url(",
        "@import",
        "<script",
        "<link",
        "<iframe",
        "javascript:",
    ] {
        // What a name says is text.
        let html = html.replace("onerror", "").replace("&lt;img src=x", "");
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("default-src 'none'"));
    for (open, close) in [
        ("<li>", "</li>"),
        ("<section", "</section>"),
        ("<details", "</details>"),
        ("<div", "</div>"),
        ("<pre>", "</pre>"),
        ("<td", "</td>"),
    ] {
        let count = |tag: &str| html.matches(tag).count();
        let extra = if open == "<li>" {
            html.matches("<li class").count()
        } else {
            0
        };
        assert_eq!(count(open) + extra, count(close), "{open}");
    }
}

#[test]
fn colours_are_for_terminals() {
    let plan = plan();
    let view = View::new(&plan, Detail::default(), "p");
    assert!(text::render(&view, true).contains("\u{1b}[32m+\u{1b}[0m"));
    assert!(!text::render(&view, false).contains('\u{1b}'));
}

#[test]
fn the_command_is_one_that_a_shell_reads_back() {
    let plan = plan();
    let view = View::new(&plan, Detail::default(), "my plan's file");
    assert_eq!(view.apply, r"kstate apply 'my plan'\''s file'");
    assert_eq!(
        View::new(&plan, Detail::default(), "-").apply,
        "kstate apply FILE"
    );
    assert_eq!(
        view.command(),
        r"'scripts/resize and move.lua' --cluster blue.k8s.example.com --token <hidden> --db-password=<hidden> --note 'it'\''s <b>big</b>'"
    );
}

#[test]
fn an_empty_plan_says_so() {
    let plan = Draft::over(&["s3://b"]).0;
    let view = View::new(&plan, Detail::default(), "p");
    assert!(text::render(&view, false).ends_with("In total: nothing to do\n"));
    assert!(html::render(&view).contains("nothing to do</li>"));
    assert!(json::render(&view).contains("\"stores\":[]"));
}
