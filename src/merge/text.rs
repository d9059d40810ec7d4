//! Three-way merge of texts by line, as git does it.

use std::ops::Range;

use similar::{Algorithm, DiffTag, capture_diff_slices};

/// What the sides are called in conflict markers.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// Behind `<<<<<<<`.
    pub ours: &'a str,
    /// Behind `>>>>>>>`.
    pub theirs: &'a str,
}

/// A merged text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The text, with markers around what conflicts.
    pub text: String,
    /// How many conflicts there are.
    pub conflicts: usize,
}

/// Merges what both sides changed in a text since `base`. Changes of the same lines, or of lines
/// with none between them, conflict unless they are the same; both stand in the text then,
/// between markers. Lines keep their ends, CRLF too, and markers end as the lines of the text
/// do. A last line without an end keeps having none, but before a marker.
#[must_use]
pub fn three_way_text(base: &str, ours: &str, theirs: &str, labels: &Labels<'_>) -> Merged {
    let end_of_line = end_of_line(&[ours, theirs, base]);
    let base: Vec<&str> = base.split_inclusive('\n').collect();
    let mut ours = Side::new(&base, ours);
    let mut theirs = Side::new(&base, theirs);
    let mut merged = Merged {
        text: String::new(),
        conflicts: 0,
    };
    let mut at = 0;
    while let Some(start) = [ours.next(), theirs.next()].into_iter().flatten().min() {
        merged.text.extend(base[at..start].iter().copied());
        at = start;
        let (our_start, their_start) = (ours.line(start), theirs.line(start));
        // `similar` has such a merge too, but it takes time by the square of the changes.
        while ours.pass(&mut at) || theirs.pass(&mut at) {}
        let our_change = &ours.lines[our_start..ours.line(at)];
        let their_change = &theirs.lines[their_start..theirs.line(at)];
        let is_base = |lines: &[&str]| *lines == base[start..at];
        if is_base(their_change) || our_change == their_change {
            merged.text.extend(our_change.iter().copied());
        } else if is_base(our_change) {
            merged.text.extend(their_change.iter().copied());
        } else {
            merged.conflicts += 1;
            let text = &mut merged.text;
            marker(text, "<<<<<<< ", labels.ours, end_of_line);
            text.extend(our_change.iter().copied());
            marker(text, "=======", "", end_of_line);
            text.extend(their_change.iter().copied());
            marker(text, ">>>>>>> ", labels.theirs, end_of_line);
        }
    }
    merged.text.extend(base[at..].iter().copied());
    merged
}

/// A side of the merge, and how far it is merged.
struct Side<'a> {
    lines: Vec<&'a str>,
    /// Which lines of the base became which of this side, the next one last.
    changes: Vec<(Range<usize>, Range<usize>)>,
    /// The same line in the base and here, behind the last change that was passed.
    same: (usize, usize),
}

impl<'a> Side<'a> {
    fn new(base: &[&str], text: &'a str) -> Self {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let hunks = capture_diff_slices(Algorithm::Myers, base, &lines).into_iter();
        let changes = hunks
            .rev()
            .filter(|hunk| hunk.tag() != DiffTag::Equal)
            .map(|hunk| (hunk.old_range(), hunk.new_range()));
        Self {
            changes: changes.collect(),
            lines,
            same: (0, 0),
        }
    }

    /// The line of the base where the next change starts.
    fn next(&self) -> Option<usize> {
        self.changes.last().map(|(base, _)| base.start)
    }

    /// The line here that is a line of the base, which stands before the next change.
    fn line(&self, base: usize) -> usize {
        self.same.1 + (base - self.same.0)
    }

    /// Passes the next change if it touches what ends at a line of the base, which moves to where
    /// the change ends.
    fn pass(&mut self, end: &mut usize) -> bool {
        let next = self.changes.pop_if(|(base, _)| base.start <= *end);
        if let Some((base, side)) = &next {
            self.same = (base.end, side.end);
            *end = base.end.max(*end);
        }
        next.is_some()
    }
}

/// How the first text that has lines ends its first one.
fn end_of_line(texts: &[&str]) -> &'static str {
    let first = texts.iter().find_map(|text| text.split_once('\n'));
    match first {
        Some((line, _)) if line.ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// A marker stands on a line of its own, whatever is in its label.
fn marker(text: &mut String, marker: &str, label: &str, end_of_line: &str) {
    if !(text.is_empty() || text.ends_with('\n')) {
        text.push_str(end_of_line);
    }
    text.push_str(marker);
    text.push_str(&label.replace(['\r', '\n'], " "));
    text.push_str(end_of_line);
}

#[cfg(test)]
mod tests;
