use super::*;

fn texts(old: &str, new: &str, detail: Detail) -> TextDifference {
    let (old, new) = (Some(old.as_bytes()), Some(new.as_bytes()));
    match compare(old, new, false, detail) {
        Difference::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

/// The fields that change, one a line.
fn fields(old: &str, new: &str) -> Vec<String> {
    let shown = texts(old, new, Detail::default());
    let fields = shown.fields.first.into_iter();
    fields
        .map(
            |FieldChange {
                 document,
                 path,
                 change,
             }| {
                let document = document.map_or(String::new(), |name| format!("{name}: "));
                let words = match change {
                    FieldDifference::Added { value } => format!("+ {value}"),
                    FieldDifference::Removed { value } => format!("- {value}"),
                    FieldDifference::Changed { old, new } => format!("{old} -> {new}"),
                    FieldDifference::Hidden => "hidden".to_owned(),
                    FieldDifference::Reordered => "reordered".to_owned(),
                    FieldDifference::Text { lines } => format!("{:?}", signed(&lines)),
                };
                format!("{document}{path} {words}")
            },
        )
        .collect()
}

fn signed(lines: &Listed<Line>) -> Vec<String> {
    let lines = lines.first.iter();
    lines
        .map(|line| format!("{}{}", line.kind.sign(), line.text))
        .collect()
}

#[test]
fn yaml_is_compared_field_by_field() {
    let old = "\
spec:
  kubernetesVersion: '1.30'
  maxSize: 3
  gone: {a: 1, b: [x]}
  empty: {}
  nodeLabels:
    kops.k8s.io/role: node
  subnets:
  - name: a
    zone: eu-west-1a
  - name: b
    zone: eu-west-1b
  sshAccess: [192.0.2.0/24, 198.51.100.0/24]
";
    let new = "\
spec:
  kubernetesVersion: 1.30
  maxSize: 5
  empty: {x: null}
  nodeLabels:
    kops.k8s.io/role: worker
  subnets:
  - name: b
    zone: eu-west-1b
  - name: a
    zone: eu-west-1c
  - name: c
    zone: eu-west-1c
  sshAccess: [192.0.2.0/24, 203.0.113.0/24]
";
    assert_eq!(
        fields(old, new),
        [
            "spec.kubernetesVersion '1.30' -> 1.3",
            "spec.maxSize 3 -> 5",
            "spec.gone.a - 1",
            "spec.gone.b[] - x",
            "spec.empty - {}",
            "spec.empty.x + null",
            "spec.nodeLabels[\"kops.k8s.io/role\"] node -> worker",
            "spec.subnets[name=a].zone eu-west-1a -> eu-west-1c",
            "spec.subnets[name=c].name + c",
            "spec.subnets[name=c].zone + eu-west-1c",
            "spec.subnets reordered",
            "spec.sshAccess[] - 198.51.100.0/24",
            "spec.sshAccess[] + 203.0.113.0/24",
        ]
    );
}

#[test]
fn lists_without_names_are_compared_by_place() {
    assert_eq!(
        fields("a: [1, 1, 2]\n", "a: [1, 3, 2, 4]\n"),
        ["a[1] 1 -> 3", "a[3] + 4"]
    );
    assert_eq!(fields("a: [{x: 1}]\n", "a: [{x: 2}]\n"), ["a[0].x 1 -> 2"]);
    assert_eq!(fields("a: [x, y]\n", "a: [y, x]\n"), ["a reordered"]);
    assert_eq!(
        fields("a: [{name: n}, {name: n}]\n", "a: [{name: n}]\n"),
        ["a[1].name - n"]
    );
}

#[test]
fn documents_of_one_file_are_known_by_kind_and_name() {
    let config = "kind: ConfigMap\nmetadata: {name: a, namespace: n}\ndata: {x: '1'}\n";
    let deployment = "kind: Deployment\nmetadata: {name: d}\nspec: {replicas: 1}\n";
    let old = format!("{config}---\n{deployment}---\nfree: 1\n");
    let new = format!(
        "{}---\n{}---\nfree: 2\n---\nkind: Job\nmetadata: {{name: j}}\n",
        deployment.replace('1', "2"),
        config.replace("'1'", "'3'")
    );
    assert_eq!(
        fields(&old, &new),
        [
            "ConfigMap n/a: data.x '1' -> '3'",
            "Deployment d: spec.replicas 1 -> 2",
            "document 3: free 1 -> 2",
            "Job j: kind + Job",
            "Job j: metadata.name + j",
        ]
    );
}

#[test]
fn what_is_no_yaml_and_what_only_changes_comments_is_shown_by_line() {
    let detail = Detail::default();
    for (old, new) in [
        ("just text\n", "other text\n"),
        ("a: [\n", "a: [x\n"),
        ("# one\na: 1\n", "# two\na: 1\n"),
        ("a:   1\n", "a: 1\n"),
    ] {
        let shown = texts(old, new, detail);
        assert_eq!(shown.fields.first, [], "{old}");
        assert!(!shown.comments);
        assert!(!shown.lines.first.is_empty(), "{old}");
    }
    assert!(texts("# one\na: 1\n", "# two\na: 2\n", detail).comments);
    assert!(!texts("# one\na: 1\n", "# one\na: 2\n", detail).comments);
}

#[test]
fn line_ends_count_and_unicode_stays() {
    let lines = |old, new| signed(&texts(old, new, Detail::default()).lines);
    assert_eq!(
        lines("a\r\nb\n", "a\nb\n"),
        ["@@ -1,2 +1,2 @@", "-a\r", "+a", " b"]
    );
    assert_eq!(
        lines("a\nb", "a\nb\n"),
        [
            "@@ -1,2 +1,2 @@",
            " a",
            "-b",
            "\\ no line break at the end",
            "+b",
        ]
    );
    assert_eq!(
        lines("grün 日\n", "grün 本 👍\n"),
        ["@@ -1 +1 @@", "-grün 日", "+grün 本 👍"]
    );
    let [old, new] = ["-", "+"].map(|x| {
        (1..=12)
            .map(|n| {
                if n == 7 {
                    format!("{x}\n")
                } else {
                    format!("{n}\n")
                }
            })
            .collect::<String>()
    });
    assert_eq!(lines(&old, &new)[0], "@@ -4,7 +4,7 @@");
}

#[test]
fn a_hidden_value_is_said_to_change_and_not_shown() {
    let old = "user: a\npassword: hunter2\nscript: |\n  export TOKEN=abc1\n  run\nlist:\n- name: API_TOKEN\n  value: tok1\n";
    let new = "user: b\npassword: hunter3\nscript: |\n  export TOKEN=abc2\n  run\nlist:\n- name: API_TOKEN\n  value: tok2\n";
    let found = fields(old, new);
    assert_eq!(
        found,
        [
            "user a -> b",
            "password hidden",
            "script hidden",
            "list[name=API_TOKEN].value hidden",
        ]
    );
    for (old, new) in [
        (old, new),
        ("password: hunter2\n", "password: hunter3\n"),
        ("x\npassword=hunter2\n", "x\npassword=hunter3\n"),
        ("", "password: hunter2\n"),
        ("password: hunter2\n", "other: 1\n"),
    ] {
        let shown = texts(old, new, Detail::default());
        let text = format!("{shown:?}");
        assert!(shown.hidden, "{text}");
        for secret in ["hunter", "abc1", "abc2", "tok1", "tok2"] {
            assert!(!text.contains(secret), "{text}");
        }
        let open = texts(
            old,
            new,
            Detail {
                show_secrets: true,
                full: false,
            },
        );
        assert!(!open.hidden);
        assert!(format!("{open:?}").contains("hunter"));
    }
    let same = texts(
        "password: x\na: 1\n",
        "password: x\na: 2\n",
        Detail::default(),
    );
    assert!(!same.hidden);
}

#[test]
fn secrets_in_kubernetes_manifests_are_hidden() {
    let of = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata:\n  key: {value}\nstringData:\n  more: |\n    {value}\n"
        )
    };
    let shown = texts(&of("c2VjcmV0"), &of("b3RoZXI"), Detail::default());
    let text = format!("{shown:?}");
    assert!(
        !text.contains("c2VjcmV0") && !text.contains("b3RoZXI"),
        "{text}"
    );
    assert!(text.contains("data.key"), "{text}");
}

#[test]
fn a_whole_secret_shows_nothing() {
    let (old, new) = (Some(&b"a: 1\n"[..]), Some(&b"a: 2\n"[..]));
    assert_eq!(
        compare(old, new, true, Detail::default()),
        Difference::Secret
    );
    let open = Detail {
        show_secrets: true,
        full: false,
    };
    assert!(matches!(compare(old, new, true, open), Difference::Text(_)));
}

#[test]
fn what_is_no_text_or_very_long_is_not_compared() {
    let large = vec![b'x'; LARGEST + 1];
    let compare = |a: &[u8], b: &[u8]| compare(Some(a), Some(b), false, Detail::default());
    assert_eq!(compare(b"a\0", b"b"), Difference::Binary);
    assert_eq!(compare(b"\xff", b"b"), Difference::Binary);
    assert_eq!(compare(b"a", &large), Difference::TooLarge);
    assert_eq!(compare(b"a", b"a"), Difference::Same);
}

#[test]
fn long_differences_are_cut_unless_all_is_asked_for() {
    let numbers = |start: u32| {
        let lines = (start..start + 500).map(|number| number.to_string());
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    let shown = texts(&numbers(0), &numbers(1000), Detail::default());
    assert_eq!((shown.lines.first.len(), shown.lines.more), (80, 1001 - 80));
    let full = Detail {
        full: true,
        show_secrets: false,
    };
    assert_eq!(texts(&numbers(0), &numbers(1000), full).lines.more, 0);
    let long = "ü".repeat(1000);
    let cut = &texts("", &long, Detail::default()).lines.first[1].text;
    assert!(cut.ends_with("… 700 more characters"), "{cut}");
    let Difference::Text(new) =
        compare(None, Some(numbers(0).as_bytes()), false, Detail::default())
    else {
        panic!("a text");
    };
    assert_eq!((new.lines.first.len(), new.lines.more), (20, 500 - 20));
}

#[test]
fn hostile_yaml_ends_as_lines() {
    let deep = format!("a: {}\n", "[".repeat(100_000));
    let bomb = format!(
        "a: &a [x, x, x, x, x, x, x, x, x]\n{}",
        ('b'..='p').fold(String::new(), |text, name| {
            let last = char::from(name as u8 - 1);
            format!(
                "{text}{name}: &{name} [*{last}, *{last}, *{last}, *{last}, *{last}, *{last}]\n"
            )
        })
    );
    let many = "---\n".repeat(20_000);
    let nested = "- ".repeat(100_000);
    for text in [deep, bomb, many, nested] {
        let shown = texts("a: 1\n", &text, Detail::default());
        assert!(!shown.lines.first.is_empty());
    }
}
