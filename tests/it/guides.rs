//! The guides: what stands in them works.

use std::path::Path;

use crate::support::{Desk, Ended, sample};

/// The blocks of a Markdown text in these languages, with the language and the text of each.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some("") if open => open = false,
            Some(language) => {
                open = true;
                blocks.push((language, String::new()));
            }
            None if open => {
                let (_, block) = blocks.last_mut().expect("an open block");
                block.push_str(line);
                block.push('\n');
            }
            None => {}
        }
    }
    blocks
}

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    std::fs::read_to_string(path).expect("a document")
}

#[test]
fn nothing_is_wrong_with_the_examples_of_the_reference() {
    let desk = Desk::new();
    let reference = document("reference.md");
    let blocks = blocks(&reference);
    let examples = blocks.iter().filter(|(language, _)| *language == "lua");
    for (number, (_, text)) in examples.enumerate() {
        desk.write(&format!("examples/{number}.lua"), text);
    }
    let ended = desk.run_here(&["check", "examples"]).with(0);
    assert!(
        ended
            .stderr
            .trim_end()
            .ends_with(" files checked, 0 mistakes found")
    );
}

/// Runs all commands of a document, from top to bottom, in a folder with the sample store.
fn follow(name: &str, at_least: usize) -> Desk {
    let desk = Desk::new();
    desk.write_tree("state", &sample());
    let guide = document(name);
    let blocks = blocks(&guide);
    for (language, text) in &blocks {
        if *language == "lua" {
            let first = text
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("-- "));
            desk.write(first.expect("a file's name in the first line"), text);
        }
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_kstate"));
    let path = format!(
        "{}:/usr/bin:/bin",
        binary.parent().expect("a folder").display()
    );
    let commands = blocks.iter().filter(|(language, _)| *language == "sh");
    let mut count = 0;
    for line in commands.flat_map(|(_, text)| text.lines()) {
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", line])
            .current_dir(desk.path(""))
            .env_clear();
        shell.env("HOME", desk.path("")).env("PATH", &path);
        shell.env("KOPS_STATE_STORE", format!("file://{}", desk.arg("state")));
        let ended = Ended::of(shell);
        // A plan that has something to do says so.
        let is_planned = ended.code == Some(6) && line.starts_with("kstate plan ");
        assert!(ended.code == Some(0) || is_planned, "{line}\n{ended:?}");
        count += 1;
    }
    assert!(count >= at_least, "{count} commands");
    desk
}

#[test]
fn the_guide_to_scripts_works_from_top_to_bottom() {
    let desk = follow("writing-scripts.md", 16);
    let labelled = desk.read("state/blue.k8s.example.com/config");
    assert!(labelled.contains("team: storage"), "{labelled}");
}

#[test]
fn the_guide_to_a_move_works_from_top_to_bottom() {
    let desk = follow("guide.md", 19);
    let moved = desk.read("new-state/blue.k8s.example.com/config");
    assert!(moved.contains(&desk.arg("new-state/blue.k8s.example.com")));
}

#[test]
fn the_cookbook_works_from_top_to_bottom() {
    follow("cookbook.md", 15);
}
