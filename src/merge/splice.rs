//! Changes to a text, collected first and made at once.

use std::ops::Range;

/// What replaces what in a text.
#[derive(Debug)]
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

/// The text with all changes made; `None` when two of them touch the same place. Changes that
/// begin at the same place are made in the order given.
pub(super) fn splice(source: &str, mut splices: Vec<Splice>) -> Option<String> {
    splices.sort_by_key(|splice| splice.range.start);
    let mut text = String::with_capacity(source.len());
    let mut done = 0;
    for splice in splices {
        text.push_str(source.get(done..splice.range.start)?);
        text.push_str(&splice.text);
        done = splice.range.end;
    }
    text.push_str(source.get(done..)?);
    Some(text)
}

/// Lines of a text that begins at an offset, behind a byte order mark say.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    pub(super) source: &'a str,
    pub(super) start: usize,
}

impl Lines<'_> {
    pub(super) fn start_of(self, offset: usize) -> usize {
        let before = &self.source[self.start..offset];
        self.start + before.rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Where the characters of a line end.
    pub(super) fn end_of(self, offset: usize) -> usize {
        let rest = &self.source[offset..];
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        offset + line.strip_suffix('\r').unwrap_or(line).len()
    }

    /// Where the line after this one begins.
    pub(super) fn after(self, offset: usize) -> usize {
        let newline = self.source[offset..].find('\n');
        newline.map_or(self.source.len(), |newline| offset + newline + 1)
    }

    /// The column of an offset in characters, counting from 0.
    pub(super) fn column(self, offset: usize) -> usize {
        self.source[self.start_of(offset)..offset].chars().count()
    }

    /// Whether only blanks stand before an offset on its line.
    pub(super) fn begins_at(self, offset: usize) -> bool {
        let before = &self.source[self.start_of(offset)..offset];
        before.bytes().all(|byte| byte == b' ')
    }

    /// The start of the comment lines right above a line in its own column, which speak of what
    /// stands on it; of the line itself where there are none.
    pub(super) fn with_comments_above(self, offset: usize) -> usize {
        let mut line = self.start_of(offset);
        let indent = &self.source[line..offset];
        while line > self.start {
            let above = self.start_of(line - 1);
            let is_comment = self.source[above..line]
                .strip_prefix(indent)
                .is_some_and(|rest| rest.starts_with('#'));
            if !is_comment {
                break;
            }
            line = above;
        }
        line
    }
}
