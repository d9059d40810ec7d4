//! The unified diff of two texts.

use std::time::Duration;

use serde::Serialize;
use similar::DiffOp;

use super::{Detail, Text};

/// One line of a unified diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it says.
    pub kind: LineKind,
    /// The line without its end.
    pub text: String,
}

/// What a line of a diff says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// Where the next lines stand.
    Place,
    /// The same on both sides.
    Same,
    /// Only before.
    Removed,
    /// Only after.
    Added,
    /// The line above has no line break.
    Unended,
}

impl LineKind {
    /// How the line begins.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Place | Self::Unended => "",
            Self::Same => " ",
            Self::Removed => "-",
            Self::Added => "+",
        }
    }
}

/// The unified diff with three lines around each change, and whether any line of what changes is
/// hidden. The real lines are compared, and the others are shown: a hidden value that changes is
/// seen to change.
pub(super) fn unified(old: &Text, new: &Text, detail: Detail) -> (Vec<Line>, bool) {
    let mut sides = [old.real, new.real].map(split);
    let shown = [&*old.shown, &*new.shown].map(split);
    // The mask keeps lines. Should it ever not, only what is shown is compared.
    if (0..2).any(|side| sides[side].len() != shown[side].len()) {
        sides.clone_from(&shown);
    }
    let diff = similar::TextDiff::configure()
        // Past this time the rest is shown as replaced, which is right, only longer.
        .timeout(Duration::from_secs(2))
        .diff_slices(&sides[0], &sides[1]);
    let mut lines = Lines {
        detail,
        all: Vec::new(),
    };
    let mut hidden = false;
    for group in diff.grouped_ops(3) {
        lines.place(&group);
        for op in group {
            let (before, after) = (op.old_range(), op.new_range());
            if let DiffOp::Equal { .. } = op {
                lines.put(LineKind::Same, &shown[0][before]);
                continue;
            }
            hidden |= sides[0][before.clone()] != shown[0][before.clone()]
                || sides[1][after.clone()] != shown[1][after.clone()];
            lines.put(LineKind::Removed, &shown[0][before]);
            lines.put(LineKind::Added, &shown[1][after]);
        }
    }
    (lines.all, hidden)
}

fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

struct Lines {
    detail: Detail,
    all: Vec<Line>,
}

impl Lines {
    fn place(&mut self, group: &[DiffOp]) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return;
        };
        let part = |start: usize, end: usize| match end - start {
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            length => format!("{},{length}", start + 1),
        };
        let old = part(first.old_range().start, last.old_range().end);
        let new = part(first.new_range().start, last.new_range().end);
        self.all.push(Line {
            kind: LineKind::Place,
            text: format!("@@ -{old} +{new} @@"),
        });
    }

    fn put(&mut self, kind: LineKind, lines: &[&str]) {
        for line in lines {
            let text = line.strip_suffix('\n');
            self.all.push(Line {
                kind,
                text: self.detail.line(text.unwrap_or(line)),
            });
            if text.is_none() {
                self.all.push(Line {
                    kind: LineKind::Unended,
                    text: "\\ no line break at the end".to_owned(),
                });
            }
        }
    }
}
