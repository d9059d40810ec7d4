//! `kstate edit`, with small scripts in the place of a person.

mod checks;
mod drafts;
mod meanwhile;

use std::process::{Command, Stdio};

use crate::s3_double::S3Double;
use crate::support::{Desk, Ended, sample};

const BLUE: &str = "blue.k8s.example.com";
const NODES: &str = "state/blue.k8s.example.com/instancegroup/nodes";
const CONFIG: &str = "state/blue.k8s.example.com/config";

/// The arguments that edit the instance group of the sample.
const IG: [&str; 5] = ["edit", "ig", "nodes", "--cluster", BLUE];

/// A desk with the sample store in `state`.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write_tree("state", &sample());
    desk
}

/// The command, with an editor that does what a script says. `$1` is the file, `$round` says how
/// often the editor ran; what it was shown is in `shown.$round`.
fn command(desk: &Desk, script: &str, args: &[impl AsRef<str>]) -> Command {
    let prelude = "set -e\ncd \"$DESK\"\necho >> rounds\nround=$(($(wc -l < rounds)))\n\
                   cp \"$1\" shown.$round\n";
    desk.write("editor.sh", format!("{prelude}{script}\n"));
    let state = desk.arg("state");
    let args = args.iter().map(AsRef::as_ref);
    let args: Vec<_> = ["--state", &state].into_iter().chain(args).collect();
    let mut command = desk.kstate(&args);
    // A shell reads the script: nothing that a test has just written is executed itself.
    let editor = format!("/bin/sh '{}'", desk.arg("editor.sh"));
    command
        .env("EDITOR", editor)
        .env("DESK", desk.path(""))
        .env("PATH", "/usr/bin:/bin");
    command
}

fn edit(desk: &Desk, script: &str, args: &[impl AsRef<str>]) -> Ended {
    Ended::of(command(desk, script, args))
}

/// Runs a command at a terminal of its own.
fn at_a_terminal(command: &Command) -> Ended {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_str().expect("UTF-8"));
    let line = shlex::try_join(words).expect("no NUL");
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::null());
    Ended::of(script)
}

/// The arguments of the command that goes on with a kept text, but for `--state`.
fn go_on(ended: &Ended) -> Vec<String> {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("go on with: kstate --state "));
    let mut words = shlex::split(line.expect(&said)).expect("words");
    words.remove(0);
    words
}

/// How often the editor ran.
fn rounds(desk: &Desk) -> usize {
    desk.tree("").get("rounds").map_or(0, Vec::len)
}

/// The kept texts: their paths, and what they hold.
fn kept(desk: &Desk) -> Vec<(String, String)> {
    let files = desk.tree(".local/state/kstate/edit").into_iter();
    files
        .filter(|(name, _)| !name.ends_with("origin.json"))
        .map(|(name, bytes)| {
            let path = desk.arg(&format!(".local/state/kstate/edit/{name}"));
            (path, String::from_utf8(bytes).expect("UTF-8"))
        })
        .collect()
}

#[test]
fn a_change_is_written_and_taken_back() {
    let desk = desk();
    let before = desk.read(NODES);
    let ended = edit(&desk, "sed -i 's/maxSize: 3/maxSize: 5/' \"$1\"", &IG).with(0);
    ended.says("instancegroup/nodes is written");
    assert_eq!(desk.read(NODES), before.replace("maxSize: 3", "maxSize: 5"));
    assert_eq!(desk.read("shown.1"), before);
    assert_eq!(kept(&desk), []);
    assert!(
        !desk.path("state/.kstate").exists(),
        "the lock is given back"
    );
    let (_, id) = ended
        .stderr
        .split_once("kstate undo ")
        .expect(&ended.stderr);
    desk.run(&["undo", id.trim()]).with(0);
    assert_eq!(desk.read(NODES), before);
}

#[test]
fn a_cluster_a_group_and_any_file_are_edited() {
    let desk = desk();
    for (args, file) in [
        (&["edit", "cluster", BLUE][..], CONFIG),
        (&["edit", "cluster", "--name", BLUE], CONFIG),
        (
            &["edit", "instancegroup", "nodes", "--cluster", BLUE],
            NODES,
        ),
        (&["edit", "ig", "--name", BLUE, "nodes"], NODES),
        (&["edit", &desk.arg(NODES)], NODES),
        (&["edit", "state:blue.k8s.example.com/config"], CONFIG),
    ] {
        let before = desk.read(file);
        edit(&desk, "echo '# seen' >> \"$1\"", args).with(0);
        assert_eq!(desk.read(file), before + "# seen\n", "{args:?}");
    }
    let mut named = command(&desk, "echo '# seen' >> \"$1\"", &["edit", "ig", "nodes"]);
    named.env("KOPS_CLUSTER_NAME", BLUE);
    Ended::of(named).with(0);
    for (args, words) in [
        (&["edit", "cluster"][..], "no cluster named"),
        (&["edit", "cluster", "a", "--name", "b"], "which cluster"),
        (&["edit", "ig", "nodes"], "no cluster named"),
        (
            &["edit", "ig", "--cluster", BLUE],
            "no instance group named",
        ),
        (&["edit", "cluster", "a/b"], "is no name"),
        (&["edit", "clutser", BLUE], "did you mean 'cluster'"),
        (&["edit", "s3://bucket"], "names a store"),
    ] {
        edit(&desk, "false", args).with(2).says(words);
    }
}

#[test]
fn nothing_is_written_when_nothing_changes() {
    let desk = desk();
    let before = desk.tree("state");
    for (script, words) in [
        ("true", "Edit cancelled: no changes made"),
        (": > \"$1\"", "Edit cancelled: the text is empty"),
        (
            "printf '\\n \\n' > \"$1\"",
            "Edit cancelled: the text is empty",
        ),
    ] {
        let ended = edit(&desk, script, &IG).with(0);
        ended.says(words);
        assert!(!ended.stderr.contains("undo"), "{}", ended.stderr);
    }
    let ended = edit(&desk, "true", &[&IG[..], &["--json"]].concat()).with(0);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (&json["changed"], &json["merged"]),
        (&false.into(), &false.into())
    );
    assert_eq!(desk.tree("state"), before);
    assert_eq!(kept(&desk), []);
}

#[test]
fn programs_read_what_was_done_and_the_editor_does_not_disturb_them() {
    let desk = desk();
    let script = "echo noise; sed -i 's/maxSize: 3/maxSize: 5/' \"$1\"";
    let ended = edit(&desk, script, &[&IG[..], &["--json"]].concat()).with(0);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (&json["changed"], &json["merged"]),
        (&true.into(), &false.into())
    );
    assert_eq!(json["key"], "blue.k8s.example.com/instancegroup/nodes");
    assert!(ended.stderr.contains("noise"));
}

#[test]
fn a_kept_text_that_is_a_pipe_is_refused_at_once() {
    let desk = desk();
    let pipe = desk.arg("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    edit(&desk, "true", &[&IG[..], &["--from", &pipe]].concat())
        .with(1)
        .says("no regular file");
}

#[test]
fn a_dry_run_shows_the_difference_and_writes_nothing() {
    let desk = desk();
    let before = desk.tree("state");
    let script = "sed -i 's/maxSize: 3/maxSize: 5/' \"$1\"; echo '# password: hunter2' >> \"$1\"";
    let ended = edit(&desk, script, &[&IG[..], &["--dry-run"]].concat()).with(0);
    for words in [
        "-  maxSize: 3\n+  maxSize: 5\n",
        "1 change",
        "nothing was written",
    ] {
        ended.says(words);
    }
    assert!(!ended.stdout.contains("hunter2"));
    let args = [&IG[..], &["--dry-run", "--json", "--show-secrets"]].concat();
    let ended = edit(&desk, script, &args).with(0);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (&json["changed"], &json["dry_run"]),
        (&true.into(), &true.into())
    );
    assert!(json["diff"].as_str().expect("a text").contains("hunter2"));
    assert_eq!(desk.tree("state"), before);
    assert_eq!(kept(&desk).len(), 2, "what was typed is not lost");
}

#[test]
fn secrets_are_edited_only_when_that_is_asked_for() {
    let desk = desk();
    let file = format!("state/{BLUE}/pki/private/kubernetes-ca/keyset.yaml");
    let before = desk.read(&file);
    let path = desk.arg(&file);
    let ended = edit(&desk, "echo '# seen' >> \"$1\"", &["edit", &path]).with(3);
    ended.says("--show-secrets");
    assert_eq!(rounds(&desk), 0);
    let args = ["edit", &path, "--show-secrets"];
    edit(&desk, "echo '# seen' >> \"$1\"", &args).with(0);
    assert_eq!(desk.read(&file), before + "# seen\n");
}

#[test]
fn the_text_is_written_as_the_person_left_it() {
    let desk = desk();
    let path = desk.arg("state/notes.txt");
    for (before, script, after) in [
        (
            "a\r\nb\r\n",
            "printf 'a\\r\\nB\\r\\n' > \"$1\"",
            "a\r\nB\r\n",
        ),
        ("a\nb", "printf 'a\\nB' > \"$1\"", "a\nB"),
        ("\u{feff}a\n", "echo b >> \"$1\"", "\u{feff}a\nb\n"),
        ("", "printf a > \"$1\"", "a"),
        (
            "x",
            "mv \"$1\" other; (umask 0; printf new > \"$1\")",
            "new",
        ),
        (
            "x",
            "printf 'Title\\n=======\\n# kstate| y\\n' > \"$1\"",
            "Title\n=======\n# kstate| y\n",
        ),
    ] {
        desk.write("state/notes.txt", before);
        edit(&desk, script, &["edit", &path]).with(0);
        assert_eq!(desk.read("state/notes.txt"), after);
    }
}

#[test]
fn what_is_no_text_or_not_there_is_refused_before_the_editor() {
    let desk = desk();
    desk.write("state/binary", b"\xff\xfe\x00");
    desk.write("state/nul", b"a\0b");
    desk.write("state/huge", vec![b'a'; (16 << 20) + 1]);
    for name in ["binary", "nul", "huge"] {
        let path = desk.arg(&format!("state/{name}"));
        edit(&desk, "true", &["edit", &path]).with(3).says(name);
    }
    for (args, words) in [
        (
            &["edit", "cluster", "bleu.k8s.example.com"][..],
            "did you mean 'blue.k8s.example.com'",
        ),
        (
            &["edit", "cluster", "x"],
            "there are blue.k8s.example.com, green",
        ),
        (
            &["edit", "ig", "node", "--cluster", BLUE],
            "did you mean 'nodes'",
        ),
        (
            &["edit", "ig", "nodes", "--cluster", "x"],
            "there is no cluster 'x'",
        ),
        (
            &["edit", "state:blue.k8s.example.com/confg"],
            "did you mean 'config'",
        ),
        (&["edit", "state:none/x"], "there is no "),
        (
            &["edit", "blue.k8s.example.com/config"],
            "state:PATH is a file in the state store",
        ),
    ] {
        edit(&desk, "true", args).with(1).says(words);
    }
    let args = [&["--read-only"], &IG[..]].concat();
    edit(&desk, "true", &args).with(3).says("--read-only");
    assert_eq!(rounds(&desk), 0);
    assert_eq!(kept(&desk), []);
}

#[test]
fn the_editor_is_a_command_with_arguments() {
    let desk = desk();
    let mut with_args = command(&desk, "", &IG);
    with_args.env(
        "VISUAL",
        "sed -i -e 's/maxSize: 3/maxSize: 4/' -e \"s/minSize: 3/minSize: 2/\"",
    );
    Ended::of(with_args).with(0);
    let now = desk.read(NODES);
    assert!(now.contains("maxSize: 4\n  minSize: 2"), "{now}");
    for (editor, code, words) in [
        ("vim 'x", 2, "quotes"),
        ("/none/editor", 1, "'/none/editor' failed"),
        ("sh -c 'exit 3'", 1, "exit status: 3"),
    ] {
        let mut wrong = command(&desk, "", &IG);
        wrong.env("KSTATE_EDITOR", editor);
        Ended::of(wrong).with(code).says(words);
    }
    let mut none = command(&desk, "", &IG);
    none.env_remove("EDITOR");
    Ended::of(none).with(2).says("no editor is set");
    assert_eq!(kept(&desk), []);
    assert_eq!(desk.read(NODES), now);
}

/// The sample in a bucket.
fn double() -> S3Double {
    let double = S3Double::builder().bucket("state").start();
    for (key, bytes) in sample() {
        double.put("state", &key, bytes);
    }
    double
}

#[test]
fn on_s3_too() {
    let (desk, double) = (Desk::new(), double());
    crate::lock::trust(&desk, &double, &["state"]);
    let script = "sed -i 's/maxSize: 3/maxSize: 5/' \"$1\"";
    let run = |args: &[&str]| {
        let mut run = command(&desk, script, args);
        run.envs(double.env());
        Ended::of(run)
    };
    let args = [
        "edit",
        "ig",
        "nodes",
        "--cluster",
        BLUE,
        "--state",
        "s3://state",
    ];
    run(&args).with(0);
    let key = "blue.k8s.example.com/instancegroup/nodes";
    let now = double.get("state", key).expect("the group");
    assert!(String::from_utf8_lossy(&now).contains("maxSize: 5"));
    double.put("state", key, sample()[key].clone());
    double.deny("main", "PutObject", "state", "blue");
    let ended = run(&args).with(1);
    ended.says("s3:PutObject");
    let (path, text) = kept(&desk).pop().expect("it is kept");
    ended.says(&path);
    assert!(text.contains("maxSize: 5"));
}
