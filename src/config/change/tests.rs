mod table;

use super::*;

const TEXT: &str = "\
apiVersion: kops.k8s.io/v1alpha2
kind: Cluster
metadata:
  name: c.example.com
spec:
  # who may log in
  sshAccess:
  - 0.0.0.0/0 # everybody
  - ::/0
  cloudLabels:
    team: 'a' # ours
  kubernetesVersion: '1.29' # see the wiki
  etcdClusters:
  - name: main
    cpuRequest: 200m
  - name: events
    cpuRequest: 100m
  subnets:
  - name: a
    zone: us-test-1a
  - name: b
    zone: us-test-1b
  kubelet:
    anonymousAuth: false
    typo: 1
";

fn change(typed: &str) -> Result<Change> {
    match typed.split_once(' ') {
        Some(("unset", path)) => Change::unset(Kind::Cluster, path),
        Some(("string", typed)) => Change::set_string(Kind::Cluster, typed),
        _ => Change::set(Kind::Cluster, typed),
    }
}

/// Makes changes in [`TEXT`]; gives the document and what changed.
fn changed(typed: &[&str]) -> Result<(Document, Vec<String>)> {
    forced(typed, false)
}

fn forced(typed: &[&str], force: bool) -> Result<(Document, Vec<String>)> {
    let mut document = Document::parse(TEXT).unwrap();
    let changes: Vec<_> = typed
        .iter()
        .map(|typed| change(typed))
        .collect::<Result<_>>()?;
    let made = apply(&mut document, 0, Kind::Cluster, &changes, force)?;
    Ok((document, made.changed.iter().map(Path::to_string).collect()))
}

/// What is at a path after changes, as YAML in flow style.
#[track_caller]
fn after(typed: &[&str], path: &str) -> String {
    let (document, _) = changed(typed).unwrap_or_else(|error| panic!("{typed:?}: {error}"));
    let value = document.values().next().unwrap();
    let selector: Selector = path.parse().unwrap();
    let found = selector.existing(value).unwrap();
    let found: Vec<String> = found
        .iter()
        .map(|path| serde_json::to_string(path.lookup(value).unwrap()).unwrap())
        .collect();
    found.join(" ")
}

#[track_caller]
fn refusal(typed: &[&str]) -> (String, String) {
    let error = changed(typed).expect_err("refused");
    (error.message, error.hint.unwrap_or_default())
}

/// Checks what is at a path after changes.
#[track_caller]
fn check(rows: &[(&[&str], &str, &str)]) {
    for (typed, path, expected) in rows {
        assert_eq!(after(typed, path), *expected, "{typed:?}");
    }
}

#[test]
fn the_names_of_kops_internal_api_lead_to_those_in_the_file() {
    let typed = [
        "spec.networking.subnets[name=b].zone=us-test-1c",
        "spec.configStore.base=s3://b/c",
    ];
    let (document, paths) = changed(&typed).unwrap();
    assert_eq!(paths, ["spec.subnets[1].zone", "spec.configBase"]);
    assert!(
        document
            .text()
            .contains("  - name: b\n    zone: us-test-1c\n")
    );
    assert!(document.text().contains("\n  configBase: s3://b/c\n"));
}

#[test]
fn a_value_is_of_the_type_of_its_field() {
    let (document, _) = changed(&[
        "spec.kubernetesVersion=1.30",
        "spec.kubelet.maxPods=110",
        "spec.kubelet.anonymousAuth=true",
        "spec.rollingUpdate.maxSurge=25%",
        "spec.rollingUpdate.maxUnavailable=1",
        "spec.kubelet.nodeStatusUpdateFrequency=10s",
    ])
    .unwrap();
    let text = document.text();
    for line in [
        "  kubernetesVersion: '1.30' # see the wiki\n",
        "    maxPods: 110\n",
        "    anonymousAuth: true\n",
        "    maxSurge: \"25%\"\n",
        "    maxUnavailable: 1\n",
        "    nodeStatusUpdateFrequency: 10s\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(
        refusal(&["spec.kubelet.maxPods=many"])
            .0
            .contains("must be an integer")
    );
    assert_eq!(
        after(&["string spec.kubelet.maxPods=110"], "spec.kubelet.maxPods"),
        r#""110""#
    );
    assert!(
        refusal(&["string spec.sshAccess+=x"])
            .0
            .contains("replaces")
    );
}

#[test]
fn what_is_there_is_not_added_twice_and_what_is_not_there_is_not_missed() {
    for typed in [
        "spec.sshAccess+=::/0,0.0.0.0/0",
        "spec.sshAccess-=10.0.0.0/8",
        "spec.cloudLabels+=team=a",
        "spec.cloudLabels-=other",
        "unset spec.project",
        "unset spec.etcdClusters[name=cilium]",
        "spec.kubernetesVersion=1.29",
    ] {
        let (document, paths) = changed(&[typed]).unwrap();
        assert_eq!((document.text(), paths.len()), (TEXT, 0), "{typed}");
    }
}

#[test]
fn what_is_not_there_to_be_taken_away_is_told() {
    let missed = |typed: &str| {
        let mut document = Document::parse(TEXT).unwrap();
        let made = apply(
            &mut document,
            0,
            Kind::Cluster,
            &[change(typed).unwrap()],
            true,
        );
        made.unwrap().missed
    };
    for (typed, told) in [
        ("unset spec.project", "there is no spec.project"),
        ("spec.project-=a", "there is no spec.project"),
        (
            "unset spec.etcdClusters[name=cilium]",
            "there is no spec.etcdClusters[name=cilium]",
        ),
        (
            "spec.sshAccess-=10.0.0.0/8,::/0",
            "spec.sshAccess has no '10.0.0.0/8'",
        ),
        (
            "spec.cloudLabels-=team,other",
            "spec.cloudLabels has no 'other'",
        ),
        ("spec.subnets-=a,c", "spec.subnets has no 'c'"),
        (
            "spec.subnets-=[{name: a}]",
            "spec.subnets has no element like that",
        ),
    ] {
        assert_eq!(missed(typed), [told], "{typed}");
    }
    assert_eq!(missed("spec.sshAccess-=::/0"), Vec::<String>::new());
    assert_eq!(missed("unset spec.kubelet"), Vec::<String>::new());
}

#[test]
fn a_cluster_of_another_version_is_left_alone() {
    let text = TEXT.replace("v1alpha2", "v1alpha3");
    let mut document = Document::parse(&text).unwrap();
    let changes = [change("spec.channel=alpha").unwrap()];
    let error = apply(&mut document, 0, Kind::Cluster, &changes, true).unwrap_err();
    assert!(
        error
            .message
            .starts_with("the Cluster can't be changed: it is of v1alpha3"),
        "{error}"
    );
    assert_eq!(document.text(), text);
}

#[test]
fn no_word_of_an_error_is_taken_for_a_secret() {
    for typed in [
        "spec.adminToken=x",
        "spec.cloudLabels.token+=x",
        "spec.kubeAPIServer.token={",
    ] {
        let (message, _) = refusal(&[typed]);
        assert_eq!(crate::config::mask::mask(&message), message, "{typed}");
    }
}

#[test]
fn only_the_lines_of_a_change_change() {
    let (document, paths) = changed(&[
        "spec.sshAccess-=::/0",
        "spec.cloudLabels.owner=me",
        "spec.subnets-=a",
        "spec.etcdClusters[name=events].cpuRequest=1",
    ])
    .unwrap();
    assert_eq!(
        paths,
        [
            "spec.sshAccess[1]",
            "spec.cloudLabels.owner",
            "spec.subnets[0]",
            "spec.etcdClusters[1].cpuRequest"
        ]
    );
    let expected = TEXT
        .replace("  - ::/0\n", "")
        .replace(
            "    team: 'a' # ours\n",
            "    team: 'a' # ours\n    owner: me\n",
        )
        .replace("  - name: a\n    zone: us-test-1a\n", "")
        .replace("100m", "'1'");
    let text = document.text().replace("\"1\"", "'1'");
    // Where a new key stands among the others is not the matter here.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&text), sorted(&expected), "{text}");
}

#[test]
fn lists_of_objects_and_of_variables() {
    let subnets = "spec.subnets[*].name";
    assert_eq!(
        after(&["spec.subnets+=[{name: c, zone: z}]"], subnets),
        r#""a" "b" "c""#
    );
    assert_eq!(after(&["spec.subnets-=b,a"], subnets), "");
    assert_eq!(
        after(&["spec.subnets-=[{name: b, zone: us-test-1b}]"], subnets),
        r#""a""#
    );
    assert_eq!(
        after(
            &["spec.kubeAPIServer.env+=A=1,B=x=y"],
            "spec.kubeAPIServer.env"
        ),
        r#"[{"name":"A","value":"1"},{"name":"B","value":"x=y"}]"#
    );
    assert_eq!(
        after(&["spec.kubelet+={maxPods: 1}"], "spec.kubelet.maxPods"),
        "1"
    );
    assert!(refusal(&["spec.kubelet+=x"]).0.contains("{name: value}"));
    assert!(
        refusal(&["spec.channel+=x"])
            .0
            .contains("+= is for lists and maps")
    );
    assert!(
        refusal(&["spec.kubernetesVersion-=x"])
            .0
            .contains("-= is for lists and maps")
    );
    assert!(refusal(&["spec.assets[*].x=1"]).0.contains("no field"));
}

#[test]
fn unknown_fields_are_written_when_they_are_forced_and_taken_away_in_any_case() {
    let (message, hint) = refusal(&["spec.kubelet.maxPod=1"]);
    assert_eq!(
        message,
        "cannot set spec.kubelet.maxPod, as Cluster has no field spec.kubelet.maxPod"
    );
    assert_eq!(hint, "did you mean spec.kubelet.maxPods?");
    let (document, _) = forced(
        &[
            "spec.kubelet.maxPod=1",
            "spec.new.list+=a,2",
            "spec.new.on=true",
            "spec.new.version=1.30",
        ],
        true,
    )
    .unwrap();
    let value = document.values().next().unwrap();
    assert_eq!(
        serde_json::to_string(&value["spec"]["new"]).unwrap(),
        r#"{"list":["a",2],"on":true,"version":"1.30"}"#
    );
    assert!(document.text().contains("    maxPod: 1\n"));
    assert_eq!(after(&["unset spec.kubelet.typo"], "spec.kubelet.typo"), "");
    assert!(refusal(&["unset spec.kubelet.tpyo"]).0.contains("no field"));
}

#[test]
fn a_key_with_dots_is_put_in_quotes() {
    let (_, hint) = refusal(&["spec.cloudLabels.example.com/team=x"]);
    assert_eq!(
        hint,
        r#"put a key with dots in quotes: spec.cloudLabels["example.com/team"]"#
    );
    let typed = r#"spec.cloudLabels."example.com/team"=x"#;
    assert_eq!(
        after(&[typed], "spec.cloudLabels"),
        r#"{"example.com/team":"x","team":"a"}"#
    );
}

#[test]
fn one_that_fails_takes_back_those_before_it() {
    let mut document = Document::parse(TEXT).unwrap();
    let changes =
        ["spec.channel=alpha", "spec.kubelet.maxPods=x"].map(|typed| change(typed).unwrap());
    apply(&mut document, 0, Kind::Cluster, &changes, false).unwrap_err();
    assert_eq!(document.text(), TEXT);
}

proptest::proptest! {
    #[test]
    fn nothing_that_can_be_typed_is_too_much(typed in "(spec|cluster)?[.\\[\\]=+*a-z0-9\"'{},/-]{0,24}(=.{0,12})?") {
        let mut document = Document::parse(TEXT).unwrap();
        let all = [
            Change::set(Kind::Cluster, &typed),
            Change::set_string(Kind::Cluster, &typed),
            Change::unset(Kind::Cluster, &typed),
        ];
        for change in all.into_iter().flatten() {
            // Whatever comes of it, the text stays YAML that says what it should.
            if apply(&mut document, 0, Kind::Cluster, &[change], true).is_ok() {
                Document::parse(document.text()).unwrap();
            }
        }
    }
}
