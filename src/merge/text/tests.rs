use proptest::prelude::*;

use super::{Labels, Merged, three_way_text};

fn merged(base: &str, ours: &str, theirs: &str) -> Merged {
    let labels = Labels {
        ours: "here",
        theirs: "there",
    };
    three_way_text(base, ours, theirs, &labels)
}

#[test]
fn merges_as_git_does() {
    let conflict = "<<<<<<< here\nX\n=======\nY\n>>>>>>> there\n";
    for (base, ours, theirs, expected, conflicts) in [
        (
            "a\nb\nc\n",
            "A\nb\nc\n",
            "a\nb\nC\n",
            "A\nb\nC\n".to_owned(),
            0,
        ),
        (
            "a\nb\nc\n",
            "b\nc\n",
            "a\nb\nc\nd\n",
            "b\nc\nd\n".to_owned(),
            0,
        ),
        (
            "a\nx\nc\n",
            "a\nX\nc\n",
            "a\nY\nc\n",
            format!("a\n{conflict}c\n"),
            1,
        ),
        (
            "a\nx\nc\n",
            "a\nX\nc\n",
            "a\nX\nc\nd\n",
            "a\nX\nc\nd\n".to_owned(),
            0,
        ),
        ("", "X\n", "Y\n", conflict.to_owned(), 1),
        (
            "a\n",
            "",
            "b\n",
            "<<<<<<< here\n=======\nb\n>>>>>>> there\n".to_owned(),
            1,
        ),
        ("a\n", "", "a\n", String::new(), 0),
        (
            "x\na\nb\nx\n",
            "X\na\nb\nX\n",
            "Y\na\nb\nY\n",
            format!("{conflict}a\nb\n{conflict}"),
            2,
        ),
        // Touching changes.
        (
            "a\nb\n",
            "A\nb\n",
            "a\nB\n",
            "<<<<<<< here\nA\nb\n=======\na\nB\n>>>>>>> there\n".to_owned(),
            1,
        ),
        ("", "", "", String::new(), 0),
    ] {
        let Merged {
            text,
            conflicts: found,
        } = merged(base, ours, theirs);
        assert_eq!(
            (text, found),
            (expected, conflicts),
            "{base:?} {ours:?} {theirs:?}"
        );
    }
}

#[test]
fn line_ends_are_kept() {
    for (base, ours, theirs, expected) in [
        ("a\r\nb\r\nc", "A\r\nb\r\nc", "a\r\nb\r\nC", "A\r\nb\r\nC"),
        ("a\nb\nc", "A\nb\nc", "a\nb\nc\n", "A\nb\nc\n"),
        ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nc", "A\nb\nc"),
        (
            "x",
            "X",
            "Y",
            "<<<<<<< here\nX\n=======\nY\n>>>>>>> there\n",
        ),
        (
            "a\r\nx",
            "a\r\nX",
            "a\r\nY",
            "a\r\n<<<<<<< here\r\nX\r\n=======\r\nY\r\n>>>>>>> there\r\n",
        ),
        // They took the last line's end away while we added a line behind it.
        (
            "a\nb\n",
            "a\nb\nc\n",
            "a\nb",
            "a\n<<<<<<< here\nb\nc\n=======\nb\n>>>>>>> there\n",
        ),
    ] {
        assert_eq!(
            merged(base, ours, theirs).text,
            expected,
            "{base:?} {ours:?} {theirs:?}"
        );
    }
}

#[test]
fn a_label_is_one_line() {
    let labels = Labels {
        ours: "a\nb: c",
        theirs: "d\r\ne",
    };
    let Merged { text, .. } = three_way_text("", "x\n", "y\n", &labels);
    assert_eq!(text, "<<<<<<< a b: c\nx\n=======\ny\n>>>>>>> d  e\n");
}

#[test]
fn merges_a_cluster_with_its_comments() {
    let base = "spec:\n  # Asked for by the team.\n  channel: stable\n  subnets:\n  - name: a\n  - name: b\n";
    let ours = base.replace("stable", "alpha # for now");
    let theirs = base.replace("- name: b\n", "- name: b\n  # New zone.\n  - name: c\n");
    let expected = ours.replace("- name: b\n", "- name: b\n  # New zone.\n  - name: c\n");
    assert_eq!(
        merged(base, &ours, &theirs),
        Merged {
            text: expected,
            conflicts: 0
        }
    );
}

#[test]
fn long_texts_take_no_time() {
    let text = |is_changed: fn(usize) -> bool| numbered(100_000, is_changed);
    let start = std::time::Instant::now();
    let merged = merged(
        &text(|_| false),
        &text(|line| line % 4 == 0),
        &text(|line| line % 4 == 2),
    );
    assert_eq!(
        merged,
        Merged {
            text: text(|line| line % 2 == 0),
            conflicts: 0
        }
    );
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

/// Numbered lines, of which some are changed.
fn numbered(lines: usize, is_changed: impl Fn(usize) -> bool) -> String {
    let lines =
        (0..lines).map(|line| line.to_string() + if is_changed(line) { "!\n" } else { "\n" });
    lines.collect()
}

fn texts() -> impl Strategy<Value = String> {
    "([ab]?(\n|\r\n)){0,8}[ab]?"
}

proptest! {
    #[test]
    fn one_side_alone_wins(base in texts(), x in texts()) {
        let alone = Merged { text: x.clone(), conflicts: 0 };
        prop_assert_eq!(&merged(&base, &base, &x), &alone);
        prop_assert_eq!(&merged(&base, &x, &base), &alone);
        prop_assert_eq!(&merged(&base, &x, &x), &alone);
    }

    #[test]
    fn both_sides_see_as_many_conflicts(base in texts(), ours in texts(), theirs in texts()) {
        let left = merged(&base, &ours, &theirs);
        let right = merged(&base, &theirs, &ours);
        prop_assert_eq!(left.conflicts, right.conflicts);
        if left.conflicts == 0 {
            prop_assert_eq!(left.text, right.text);
        }
    }

    #[test]
    fn no_two_lines_become_one(base in texts(), ours in texts(), theirs in texts()) {
        let merged = merged(&base, &ours, &theirs);
        for line in merged.text.split_inclusive('\n') {
            let line = line.trim_end_matches(['\r', '\n']);
            let is_marker = ["<<<<<<< here", "=======", ">>>>>>> there"].contains(&line);
            prop_assert!(is_marker || ["", "a", "b"].contains(&line), "{:?}", merged.text);
        }
    }

    #[test]
    fn conflicts_are_those_of_similar(base in texts(), ours in texts(), theirs in texts()) {
        let other = similar::TextMerge::from_lines(&*base, &*ours, &*theirs);
        let merged = merged(&base, &ours, &theirs);
        prop_assert_eq!(merged.conflicts, other.conflict_count());
        if merged.conflicts == 0 {
            prop_assert_eq!(merged.text, other.to_string());
        }
    }

    #[test]
    fn edits_apart_are_both_kept(
        left in 0usize..9,
        between in 2usize..9,
        after in 1usize..9,
    ) {
        let (right, lines) = (left + between, left + between + after);
        let text = |changed: &[usize]| numbered(lines, |line| changed.contains(&line));
        let merged = merged(&text(&[]), &text(&[left]), &text(&[right]));
        prop_assert_eq!(merged, Merged { text: text(&[left, right]), conflicts: 0 });
    }
}
