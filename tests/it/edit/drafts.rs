//! The text is never lost.

use std::io::Read;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::{BLUE, IG, NODES, at_a_terminal, command, desk, edit, go_on, kept, rounds};
use crate::support::Ended;

#[test]
fn an_editor_that_fails_loses_nothing() {
    let desk = desk();
    let before = desk.read(NODES);
    let script = "sed -i 's/maxSize: 3/maxSize: 5/' \"$1\"; exit 7";
    let ended = edit(&desk, script, &IG).with(1);
    ended.says("exit status: 7");
    let (path, text) = kept(&desk).pop().expect("it is kept");
    ended.says(&path);
    assert_eq!(text, before.replace("maxSize: 3", "maxSize: 5"));
    assert_eq!(desk.read(NODES), before);
}

#[test]
fn what_the_editor_leaves_may_be_no_text_or_nothing() {
    let desk = desk();
    let ended = edit(&desk, "printf '\\377' > \"$1\"", &IG).with(1);
    ended.says("no UTF-8 text");
    let file = desk.tree(".local/state/kstate/edit");
    assert!(
        file.values().any(|bytes| bytes == b"\xff"),
        "it is kept as it is"
    );
    let desk = super::desk();
    edit(&desk, "rm \"$1\"", &IG).with(1).says("cannot read");
    assert_eq!(kept(&desk), []);
}

#[test]
fn a_signal_ends_the_editor_and_the_text_is_kept() {
    for signal in [Signal::TERM, Signal::HUP] {
        let desk = desk();
        // What the editor still saves when it is told to end is kept, too.
        let script = "sleep 60 > /dev/null 2>&1 &
          trap 'echo \"# last words\" >> \"$1\"; kill $!; exit 1' TERM HUP
          echo '# typed' >> \"$1\"; echo ready; wait $!";
        let mut run = command(&desk, script, &IG);
        run.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().expect("the binary runs");
        let mut ready = [0; 6];
        let out = child.stdout.as_mut().expect("a pipe");
        out.read_exact(&mut ready).expect("the editor runs");
        let pid = Pid::from_child(&child);
        // A terminal would send this to both; it is the editor's.
        kill_process(pid, Signal::INT).expect("it runs");
        kill_process(pid, signal).expect("it runs");
        let ended = Ended::from(child.wait_with_output().expect("it ends")).with(130);
        let (path, text) = kept(&desk).pop().expect("it is kept");
        ended.says(&path);
        assert!(text.ends_with("# typed\n# last words\n"), "{text}");
    }
}

#[test]
fn what_is_left_of_a_run_that_was_killed_is_found() {
    let desk = desk();
    // Killed while the editor shows what is wrong.
    let script = "case $round in
      1) sed -i 's/maxSize: 3/maxSize: many/' \"$1\" ;;
      2) kill -9 $PPID ;;
    esac";
    let ended = edit(&desk, script, &IG);
    assert_eq!(ended.code, None);
    let (path, text) = kept(&desk).pop().expect("it is there");
    assert!(text.starts_with("# kstate|"));
    let script = "sed -i 's/maxSize: many/maxSize: 7/' \"$1\"";
    edit(&desk, script, &[&IG[..], &["--from", &path]].concat()).with(0);
    let now = desk.read(NODES);
    assert!(
        now.contains("maxSize: 7") && !now.contains("kstate|"),
        "{now}"
    );
    assert_eq!(kept(&desk), []);
}

#[test]
fn any_text_is_taken_but_not_one_of_another_object() {
    let desk = desk();
    let text = desk.read(NODES).replace("maxSize: 3", "maxSize: 4");
    desk.write("mine.yaml", &text);
    let mine = desk.arg("mine.yaml");
    edit(&desk, "true", &[&IG[..], &["--from", &mine]].concat()).with(0);
    assert_eq!(
        (desk.read(NODES), desk.read("mine.yaml")),
        (text.clone(), text)
    );
    edit(&desk, "echo '# x' >> \"$1\"; exit 1", &IG).with(1);
    let (path, _) = kept(&desk).pop().expect("it is kept");
    let other = ["edit", "cluster", BLUE, "--from", &path];
    edit(&desk, "true", &other)
        .with(2)
        .says("instancegroup/nodes, not for ");
    // Only a folder of kstate's own is removed with what was kept.
    let origin = std::path::Path::new(&path).with_file_name(".origin.json");
    std::fs::copy(origin, desk.path(".origin.json")).expect("a copy");
    std::fs::copy(&path, desk.path("mine.yaml")).expect("a copy");
    let before = rounds(&desk);
    edit(&desk, "true", &[&IG[..], &["--from", &mine]].concat()).with(0);
    assert!(desk.path("mine.yaml").exists() && rounds(&desk) == before + 1);
    assert!(desk.read(NODES).ends_with("# x\n"));
    edit(&desk, "true", &[&IG[..], &["--from", "/none/x"]].concat()).with(1);
}

#[test]
fn an_editor_that_leaves_its_window_open_loses_nothing() {
    let desk = desk();
    let run = command(&desk, "true", &IG);
    let ended = at_a_terminal(&run).with(0);
    ended.says("code --wait");
    let (path, text) = kept(&desk).pop().expect("it stays");
    assert_eq!(text, desk.read(NODES));
    std::fs::write(path, text.replace("maxSize: 3", "maxSize: 5")).expect("saved in the window");
    let run = command(&desk, "true", &go_on(&ended));
    at_a_terminal(&run).with(0).says("is written");
    assert!(desk.read(NODES).contains("maxSize: 5"));
    assert_eq!(kept(&desk), []);
    // Where there is no person there is no window.
    edit(&desk, "true", &IG).with(0);
    assert_eq!(kept(&desk), []);
}

#[test]
fn at_a_terminal_too_an_editor_that_fails_or_never_ends_is_stopped() {
    let desk = desk();
    for (script, rounds_of_it, words) in [
        ("exit 3", 1, "exit status: 3"),
        ("echo \"x$round: [\" >> \"$1\"", 10, "after 10 rounds"),
    ] {
        let before = rounds(&desk);
        let run = command(&desk, script, &IG);
        at_a_terminal(&run).with(1).says(words);
        assert_eq!(rounds(&desk) - before, rounds_of_it);
    }
    assert_eq!(kept(&desk).len(), 1);
    let mut none = command(&desk, "", &IG);
    none.env("KSTATE_EDITOR", "/none/editor");
    at_a_terminal(&none).with(1).says("'/none/editor' failed");
}

#[test]
fn forgotten_texts_are_removed_but_none_that_is_edited() {
    let desk = desk();
    edit(&desk, "echo '# x' >> \"$1\"; exit 1", &IG).with(1);
    edit(&desk, "echo '# y' >> \"$1\"; exit 1", &IG).with(1);
    let mut both = kept(&desk);
    both.sort_by_key(|(_, text)| text.ends_with("# y\n"));
    let [(old, _), (new, _)] = &both[..] else {
        panic!("two are kept");
    };
    let age = |path: &str| {
        let folder = std::path::Path::new(path).parent().expect("a folder");
        for path in [folder, &folder.join(".origin.json"), path.as_ref()] {
            let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(31 * 24);
            let file = std::fs::File::open(path).expect("it is there");
            file.set_modified(long_ago).expect("its owner");
        }
    };
    age(old);
    age(new);
    // While one of them is edited another run comes.
    let kstate = env!("CARGO_BIN_EXE_kstate");
    let nested = format!(
        "KSTATE_EDITOR=true {kstate} --state state edit cluster {BLUE} 2> said
         KSTATE_EDITOR=true {kstate} --state state edit ig nodes --name {BLUE} --from \"$1\" && exit 9 || [ $? = 4 ]"
    );
    let from = [&IG[..], &["--from", new]].concat();
    edit(&desk, &nested, &from).with(0).says("is being edited");
    assert!(
        desk.read("said")
            .contains("1 of the texts that were kept in ")
    );
    assert!(desk.read(NODES).ends_with("# y\n"));
    assert_eq!(kept(&desk), []);
}
