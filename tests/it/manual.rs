//! The manual pages, and what completes the command line in shells.

use std::process::Command;

use crate::support::{Desk, Ended};

#[test]
fn each_command_has_a_manual_page() {
    let desk = Desk::new();
    let pages = desk.arg("man");
    desk.run(&["man", &pages, "--dry-run"]).with(0);
    assert!(!desk.path("man").exists());
    let told = desk.run(&["man", &pages]).with(0);
    for (page, says) in [
        ("kstate.1", "kOps"),
        ("kstate-run.1", "\\-\\-timeout"),
        ("kstate-backend-test.1", "STORE"),
        ("kstate-completions.1", "fish"),
        // All that is said of a command, and no first line alone.
        ("kstate-test.1", "fails when it raises an error"),
    ] {
        told.says(page);
        let text = desk.read(&format!("man/{page}"));
        assert!(text.contains(".TH"), "{page}");
        assert!(text.contains(says), "{page}: {text}");
    }
    // An upgrade writes them anew.
    desk.write("man/kstate.1", "old");
    desk.run(&["man", &pages]).with(0);
    assert_ne!(desk.read("man/kstate.1"), "old");
    assert_eq!(desk.run(&["man"]).with(0).stdout, desk.read("man/kstate.1"));
}

#[test]
fn bash_completes_commands_and_flags() {
    let desk = Desk::new();
    let script = desk.run(&["completions", "bash"]).with(0).stdout;
    desk.write("complete.bash", &script);
    for (words, last, wanted) in [
        ("kstate ba", 1, "backend"),
        ("kstate run --time", 2, "--timeout"),
        ("kstate backend sh", 2, "show"),
    ] {
        let mut bash = Command::new("bash");
        let line = format!(
            "source complete.bash; COMP_WORDS=({words}); COMP_CWORD={last}; \
             _kstate kstate \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{last}-1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        bash.args(["--norc", "-c", &line])
            .current_dir(desk.path(""));
        let ended = Ended::of(bash);
        assert!(ended.stdout.lines().any(|one| one == wanted), "{ended:?}");
    }
}

#[test]
fn other_shells_are_told_the_same() {
    let desk = Desk::new();
    for (shell, says) in [("zsh", "#compdef kstate"), ("fish", "complete -c kstate")] {
        let script = desk.run(&["completions", shell]).with(0);
        for text in [says, "backend", "timeout"] {
            script.says(text);
        }
    }
    desk.run(&["completions", "tcsh"]).with(2).says("fish");
}
