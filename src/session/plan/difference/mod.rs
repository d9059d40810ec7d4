//! What a change does to the bytes of an object, as it may be shown to a person.

mod fields;
mod lines;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Serialize;

pub use fields::{FieldChange, FieldDifference};
pub use lines::{Line, LineKind};

use super::{Expects, Plan, PlannedChange, Step};
use crate::config::mask::mask;

/// The largest text that is compared, in bytes.
const LARGEST: usize = 1 << 20;

/// How much of a difference is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail {
    /// All of it, however long; also what is deleted.
    pub full: bool,
    /// Secrets too.
    pub show_secrets: bool,
}

impl Detail {
    /// So many lines of a difference, and so many of a new file.
    const LINES: usize = 80;
    const NEW_LINES: usize = 20;
    /// So many characters of a line or value.
    const WIDTH: usize = 300;

    fn cut<T>(self, mut all: Vec<T>, limit: usize) -> Listed<T> {
        let kept = if self.full { all.len() } else { limit };
        let more = all.len().saturating_sub(kept);
        all.truncate(kept);
        Listed { first: all, more }
    }

    fn line(self, text: &str) -> String {
        match text.char_indices().nth(Self::WIDTH) {
            Some((end, _)) if !self.full => {
                format!(
                    "{}… {} more characters",
                    &text[..end],
                    text[end..].chars().count()
                )
            }
            _ => text.to_owned(),
        }
    }
}

/// The first of a list, and how many more there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed<T> {
    /// What is shown.
    pub first: Vec<T>,
    /// How many are not.
    pub more: usize,
}

/// How the bytes of an object change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Difference {
    /// Not at all.
    Same,
    /// In a file that is a secret as a whole.
    Secret,
    /// At least one side is no text.
    Binary,
    /// At least one side is too large to compare.
    TooLarge,
    /// One side is not at hand: it is copied, or was too large or no text.
    Unknown,
    /// The object is deleted. What was in it is shown in full detail only.
    Deleted,
    /// As these lines say.
    Text(TextDifference),
}

/// How a text changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextDifference {
    /// Field by field; empty when the text is not YAML, and when only comments or layout change.
    pub fields: Listed<FieldChange>,
    /// As a unified diff.
    pub lines: Listed<Line>,
    /// Some of what changes is hidden.
    pub hidden: bool,
    /// Comments change too, which `fields` don't say.
    pub comments: bool,
}

/// What a step of a plan does to its object's bytes. `is_secret` tells whether the file is a
/// secret as a whole.
#[must_use]
pub fn difference(plan: &Plan, step: &Step, is_secret: bool, detail: Detail) -> Difference {
    let before = match &step.expects {
        Expects::Absent => Some(None),
        Expects::Tag(_) => step.before.as_deref().map(Some),
        Expects::Step(earlier) => match plan.steps.get(*earlier).map(|step| &step.change) {
            Some(PlannedChange::Write { content, .. }) => Some(Some(content.as_str())),
            _ => None,
        },
    };
    let after = match &step.change {
        PlannedChange::Write { content, .. } => Some(Some(content.as_str())),
        PlannedChange::Copy { .. } => None,
        PlannedChange::Delete if !detail.full => return Difference::Deleted,
        PlannedChange::Delete => Some(None),
    };
    let bytes = |hash: Option<&str>| match hash {
        None => Some(None),
        Some(hash) => plan.contents.get(hash).map(|bytes| Some(&bytes[..])),
    };
    match (before.and_then(bytes), after.and_then(bytes)) {
        (Some(before), Some(after)) => compare(before, after, is_secret, detail),
        _ if is_secret && !detail.show_secrets => Difference::Secret,
        (_, Some(Some(known))) if Text::new(known, detail).is_none() => Difference::Binary,
        _ => Difference::Unknown,
    }
}

/// How an object's bytes differ before and after a change; `None` stands for no object.
#[must_use]
pub fn compare(
    before: Option<&[u8]>,
    after: Option<&[u8]>,
    is_secret: bool,
    detail: Detail,
) -> Difference {
    if before == after {
        return Difference::Same;
    }
    if is_secret && !detail.show_secrets {
        return Difference::Secret;
    }
    let sides = [before, after].map(Option::unwrap_or_default);
    if sides.iter().any(|side| side.len() > LARGEST) {
        return Difference::TooLarge;
    }
    let [Some(old), Some(new)] = sides.map(|side| Text::new(side, detail)) else {
        return Difference::Binary;
    };
    let is_change = before.is_some() && after.is_some();
    let (mut lines, hides_lines) = lines::unified(&old, &new, detail);
    if !is_change {
        lines.retain(|line| line.kind != LineKind::Place);
    }
    let changes = || fields::changes(&old, &new, detail);
    let (fields, hides_fields) = is_change.then(changes).flatten().unwrap_or_default();
    let limit = if is_change {
        Detail::LINES
    } else {
        Detail::NEW_LINES
    };
    Difference::Text(TextDifference {
        comments: !fields.is_empty() && comments(old.real) != comments(new.real),
        hidden: hides_lines || hides_fields,
        fields: detail.cut(fields, Detail::LINES),
        lines: detail.cut(lines, limit),
    })
}

/// A text, and what may be shown of it: the same lines with the secrets hidden.
struct Text<'a> {
    real: &'a str,
    shown: Cow<'a, str>,
}

impl<'a> Text<'a> {
    /// `None` for bytes that are no text.
    fn new(bytes: &'a [u8], detail: Detail) -> Option<Self> {
        let real = std::str::from_utf8(bytes).ok()?;
        if real.contains('\0') {
            return None;
        }
        let shown = if detail.show_secrets {
            Cow::Borrowed(real)
        } else {
            Cow::Owned(mask(real))
        };
        Some(Self { real, shown })
    }
}

/// What looks like a comment on each line. A `#` in a value is taken for one too, which only
/// makes the reader look at the lines.
fn comments(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| match line.find(" #") {
            Some(at) => Some(&line[at..]),
            None => line.starts_with('#').then_some(line),
        })
        .collect()
}
