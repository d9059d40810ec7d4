//! What is wrong is told in the text, and the editor opens again.

use super::{BLUE, CONFIG, IG, NODES, desk, edit, go_on, kept, rounds};

const ADDONS: &str = "state/blue.k8s.example.com/clusteraddons/default";

#[test]
fn an_error_is_shown_where_it_is_and_corrected() {
    let desk = desk();
    let script = "case $round in
      1) sed -i 's/maxSize: 3/maxSize: many/' \"$1\" ;;
      2) sed -i 's/maxSize: many/maxSize: 7/' \"$1\" ;;
    esac";
    edit(&desk, script, &IG).with(0);
    assert_eq!(rounds(&desk), 2);
    let shown = desk.read("shown.2");
    assert!(shown.starts_with("# kstate| 1 error"), "{shown}");
    let line = 1 + shown
        .lines()
        .position(|line| line.contains("maxSize: many"))
        .expect("typed");
    let told = format!("# kstate|   line {line}, column 12: spec.maxSize ");
    assert!(shown.contains(&told), "{told}\n{shown}");
    let now = desk.read(NODES);
    assert!(
        now.contains("maxSize: 7") && !now.contains("kstate|"),
        "{now}"
    );
    assert_eq!(kept(&desk), []);
}

#[test]
fn what_is_left_wrong_is_kept_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let desk = desk();
    let before = desk.tree("state");
    let script = "sed -i 's/maxSize: 3/maxSize: many/' \"$1\"";
    let ended = edit(&desk, script, &IG).with(1);
    assert_eq!(rounds(&desk), 2);
    assert_eq!(desk.tree("state"), before);
    let (path, text) = kept(&desk).pop().expect("it is kept");
    assert_eq!(
        text,
        desk.read(NODES).replace("maxSize: 3", "maxSize: many")
    );
    // Not the name of the first round: vim would go to where it was in that file.
    let name = "/nodes.blue.k8s.example.com.try-2.yaml";
    assert!(path.ends_with(name), "{path}");
    ended.says("line 14, column 12: spec.maxSize");
    ended.says(&format!("kept in {path}"));
    let mode = |path: &std::path::Path| {
        let found = std::fs::metadata(path).expect("it is there");
        found.permissions().mode() & 0o777
    };
    let path = std::path::Path::new(&path);
    assert_eq!(mode(path), 0o600);
    assert_eq!(mode(path.parent().expect("a folder")), 0o700);
    // The errors stand in the text at once, and the text goes when it is written.
    let script = "sed -i 's/maxSize: many/maxSize: 7/' \"$1\"";
    edit(&desk, script, &go_on(&ended)).with(0);
    assert!(desk.read("shown.3").starts_with("# kstate| 1 error"));
    assert!(desk.read(NODES).contains("maxSize: 7"));
    assert_eq!(kept(&desk), []);
}

#[test]
fn a_program_that_writes_what_is_wrong_for_ever_is_stopped() {
    let desk = desk();
    let script = "echo \"x$round: [\" >> \"$1\"";
    let ended = edit(&desk, script, &IG).with(1);
    ended.says("after 10 rounds");
    assert_eq!((rounds(&desk), kept(&desk).len()), (10, 1));
}

#[test]
fn an_empty_text_gives_up_and_what_stood_there_is_kept() {
    let desk = desk();
    let script = "case $round in
      1) sed -i 's/maxSize: 3/maxSize: many/' \"$1\" ;;
      2) : > \"$1\" ;;
    esac";
    edit(&desk, script, &IG).with(1).says("the text is empty");
    let (_, text) = kept(&desk).pop().expect("it is kept");
    assert!(text.contains("maxSize: many") && !text.contains("kstate|"));
}

#[test]
fn a_field_that_kops_does_not_know_passes_when_it_is_forced() {
    let desk = desk();
    let script = "sed -i 's/maxSize: 3/maxsize: 3/' \"$1\"";
    let ended = edit(&desk, script, &IG).with(1);
    ended.says("did you mean spec.maxSize?");
    let forced = [&IG[..], &["--force-unknown"]].concat();
    let ended = edit(&desk, script, &forced).with(0);
    ended.says("warning: ");
    ended.says("spec.maxsize");
    assert!(desk.read(NODES).contains("maxsize: 3"));
    // What was there before is told, and stops nobody.
    let ended = edit(&desk, "sed -i 's/minSize: 3/minSize: 2/' \"$1\"", &IG).with(0);
    ended.says("it was so before");
    // Nor does it let pass what is wrong otherwise.
    let script = "sed -i 's/minSize: 2/minSize: few/' \"$1\"";
    edit(&desk, script, &forced).with(1).says("spec.minSize");
}

#[test]
fn a_cluster_and_its_groups_must_fit() {
    let desk = desk();
    let cluster = ["edit", "cluster", BLUE];
    let before = desk.tree("state");
    for (args, script, words) in [
        // The groups are in this subnet.
        (
            &cluster[..],
            "s/name: eu-west-1a$/name: eu-west-1c/",
            "instancegroup/nodes: line",
        ),
        (
            &cluster,
            "s/^  name: blue/  name: red/",
            "metadata.name can't change",
        ),
        (
            &cluster,
            "s/cidr: 172.20.32.0/cidr: 10.0.0.0/",
            "spec.subnets[0].cidr",
        ),
        (
            &cluster,
            "s/^kind: Cluster/kind: Keyset/",
            "is a Keyset, not a Cluster",
        ),
        (&cluster, "s/^spec:/spec: [/", "line 9"),
        (&IG, "s/- eu-west-1a/- eu-west-1c/", "eu-west-1c"),
        (
            &IG,
            "s/minSize: 3/minSize: 4/",
            "spec.minSize 4 is more than spec.maxSize 3",
        ),
    ] {
        let ended = edit(&desk, &format!("sed -i '{script}' \"$1\""), args).with(1);
        ended.says(words);
        ended.says("kept in ");
    }
    assert_eq!(desk.tree("state"), before);
    // A warning stops nobody.
    let script = "sed -i 's,networkCIDR: 172.20.0.0/16,networkCIDR: 172.20.0.0/15,' \"$1\"";
    edit(&desk, script, &cluster).with(0).says("warning: ");
    assert!(desk.read(CONFIG).contains("172.20.0.0/15"));
}

#[test]
fn what_is_wrong_elsewhere_stops_nobody() {
    let desk = desk();
    let broken = format!("state/{BLUE}/instancegroup/broken");
    desk.write(&broken, "kind: [");
    desk.write(
        &format!("state/{BLUE}/instancegroup/wrong"),
        "kind: InstanceGroup\n",
    );
    desk.write(&format!("state/{BLUE}/instancegroup/binary"), b"\xff");
    for args in [&IG[..], &["edit", "cluster", BLUE]] {
        edit(&desk, "echo '# seen' >> \"$1\"", args).with(0);
    }
    // A cluster's manifest that is broken is mended.
    desk.write(CONFIG, "kind: Cluster\nspec: [\n");
    edit(&desk, "echo '# seen' >> \"$1\"", &IG).with(0);
    let good = sample_config();
    desk.write("good", &good);
    edit(&desk, "cat good > \"$1\"", &["edit", "cluster", BLUE]).with(0);
    assert_eq!(desk.read(CONFIG), good);
}

#[test]
fn a_file_that_was_yaml_stays_yaml() {
    let desk = desk();
    let file = format!("state/{BLUE}/notes");
    desk.write(&file, "a: 1\n");
    let script = "case $round in
      1) printf 'spec: [\\n' >> \"$1\" ;;
      2) sed -i '/^spec: \\[/d' \"$1\"; echo '# seen' >> \"$1\" ;;
    esac";
    edit(&desk, script, &["edit", &desk.arg(&file)]).with(0);
    assert!(desk.read("shown.2").starts_with("# kstate| 1 error"));
    let now = desk.read(&file);
    assert!(
        now.ends_with("# seen\n") && !now.contains("kstate|"),
        "{now}"
    );
    for (before, after, code) in [
        ("a: 1\n", "a: 1\n b: 2\n", 1),
        ("{\"a\": 1}", "{\"a\": 1", 1),
        ("- a\n---\n- b\n", "- a\n---\n- b: {\n", 1),
        // These were none, or are sentences.
        ("a: [\n", "a: {\n", 0),
        ("some text\n", "a note: so: there\n", 0),
        ("", "a: b: c\n", 0),
    ] {
        desk.write(&file, before);
        desk.write("after", after);
        let ended = edit(&desk, "cat after > \"$1\"", &["edit", &desk.arg(&file)]).with(code);
        assert_eq!(desk.read(&file), if code == 0 { after } else { before });
        if code != 0 {
            ended.says("  line ");
            ended.says("kstate cp - ");
        }
    }
}

#[test]
fn add_ons_are_objects_of_kubernetes() {
    let desk = desk();
    let script = "case $round in
      1) printf -- '---\\napiVersion: v1\\nkind: A\\n' >> \"$1\" ;;
      2) printf 'metadata: {name: a}\\n' >> \"$1\" ;;
    esac";
    let file = desk.arg(ADDONS);
    edit(&desk, script, &["edit", &file]).with(0);
    assert_eq!(rounds(&desk), 2);
    let shown = desk.read("shown.2");
    assert!(shown.contains("the A has no metadata.name"), "{shown}");
    assert!(
        desk.read(ADDONS)
            .ends_with("kind: A\nmetadata: {name: a}\n")
    );
}

#[test]
fn a_cluster_is_not_moved_into_the_tree_of_another() {
    let desk = desk();
    let base = desk.arg("state/green.k8s.example.com");
    let script =
        format!("[ $round -gt 1 ] || sed -i 's|^spec:|spec:\\n  configBase: {base}|' \"$1\"");
    let before = desk.tree("state");
    edit(&desk, &script, &["edit", "cluster", BLUE])
        .with(1)
        .says("is the tree of the cluster green.k8s.example.com");
    assert_eq!(desk.tree("state"), before);
}

fn sample_config() -> String {
    let bytes = crate::support::sample().remove(&format!("{BLUE}/config"));
    String::from_utf8(bytes.expect("a cluster")).expect("UTF-8")
}
