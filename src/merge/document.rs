//! A YAML file that is changed in place: everything but the changed values stays byte for byte.
//!
//! The [outline](outline) tells where a value stands; the new value is spliced into the text
//! there. After each edit the text is parsed again, by the parser of `serde_yaml`, and must hold
//! what was intended and nothing else, or the edit is refused.

pub(super) mod outline;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;

use serde_yaml::Value;

use super::edit::{Editor, Place, follow, put, take};
use super::path::entry;
use super::reconcile::Refusal;
use super::splice::{Lines, splice};
use outline::{DEEPEST, Node, Trouble, outline};

pub use super::path::{Path, Step};

/// The largest text that is read, in bytes.
pub const LARGEST: usize = 16 << 20;

/// The largest text, in bytes, that the other parser is asked about when it has no outline.
const LARGEST_STRANGE: usize = 256 << 10;

/// What is wrong with a YAML text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Fault {
    /// The line, counting from 1.
    pub line: usize,
    /// The column in characters, counting from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// A YAML text with one or more documents in it.
#[derive(Clone, Debug)]
pub struct Document {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    range: Range<usize>,
    value: Value,
    /// `None` when the layout is one that can't be followed: the part is read, but not edited.
    outline: Option<Node>,
}

impl Document {
    /// Parses a text. A byte order mark, CRLF, comments, `---` headers are all kept.
    ///
    /// A text is refused before it takes much time or memory: when it is larger than [`LARGEST`],
    /// nests deeper than 64 levels, or would stand for more than 64 MiB of values once its
    /// aliases are followed.
    ///
    /// # Errors
    /// A [`Fault`] where the text is no YAML, names a key twice, or is beyond these limits.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > LARGEST {
            return Err(Fault {
                line: 1,
                column: 1,
                message: format!(
                    "the text has {} bytes; at most {} MiB are read",
                    text.len(),
                    LARGEST >> 20
                ),
            });
        }
        let mut expansion = 0;
        let parts = split(text)
            .into_iter()
            .map(|range| parse_part(text, range, &mut expansion))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The text, with all edits.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value of each document in the text. A merge key `<<` is an entry like others.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.parts.iter().map(|part| &part.value)
    }

    /// The value at a path of a document.
    #[must_use]
    pub fn get(&self, part: usize, path: &Path) -> Option<&Value> {
        path.lookup(&self.parts.get(part)?.value)
    }

    /// Line and column of the value at a path, or of as much of the path as there is.
    #[must_use]
    pub fn position(&self, part: usize, path: &Path) -> (usize, usize) {
        let Some(part) = self.parts.get(part) else {
            return (1, 1);
        };
        let offset = part.outline.as_ref().map(|root| {
            let stops = follow(root, &part.value, &path.0);
            stops.last().map_or(root.content, |last| last.node.content)
        });
        position(&self.text, offset.unwrap_or(part.range.start))
    }

    /// Line and column of the key at the end of a path.
    #[must_use]
    pub fn key_position(&self, part: usize, path: &Path) -> (usize, usize) {
        self.key_offset(part, path).map_or_else(
            || self.position(part, path),
            |offset| position(&self.text, offset),
        )
    }

    fn key_offset(&self, part: usize, path: &Path) -> Option<usize> {
        let part = self.parts.get(part)?;
        let (Step::Key(key), parents) = path.0.split_last()? else {
            return None;
        };
        let stops = follow(part.outline.as_ref()?, &part.value, parents);
        let parent = stops.last().filter(|_| stops.len() == path.0.len())?;
        let (index, _) = entry(parent.value.as_mapping()?, key)?;
        Some(parent.node.children.get(index)?.key.as_ref()?.content)
    }

    /// Writes a value at a path: over what is there, by the fewest changes that make it of that;
    /// as a new key, with the mappings on the way to it, where there is none; as a new element
    /// where the path ends with the index behind the last one. The quotes of a string stay.
    ///
    /// # Errors
    /// A [`Fault`], and nothing changed, when the way leads through a scalar, an alias or a merge
    /// key, or when the edit would change anything else (the value is an anchor that others refer
    /// to).
    pub fn set(&mut self, part: usize, path: &Path, value: impl Into<Value>) -> Result<(), Fault> {
        let value = value.into();
        check_depth(&value)?;
        self.edit(part, path, |editor, root, old| {
            let mut intended = old.clone();
            put(&mut intended, &path.0, value.clone())?;
            editor.set(root, old, &intended, &path.0)?;
            Ok(intended)
        })
    }

    /// Removes the key or the element at a path, and tells whether there was one. The comment on
    /// its line goes with it, and the comment lines right above it in the same column; not those
    /// above the first entry of the document, which speak of the whole.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn unset(&mut self, part: usize, path: &Path) -> Result<bool, Fault> {
        if self.get(part, path).is_none() {
            return Ok(false);
        }
        self.edit(part, path, |editor, root, old| {
            let mut intended = old.clone();
            take(&mut intended, &path.0);
            editor.unset(root, old, &intended, &path.0)?;
            Ok(intended)
        })?;
        Ok(true)
    }

    /// Adds an element behind the last one of the list at a path. Where there is nothing or a
    /// null, a list is made.
    ///
    /// # Errors
    /// As [`set`](Self::set), and when something that is no list stands there.
    pub fn append(
        &mut self,
        part: usize,
        path: &Path,
        value: impl Into<Value>,
    ) -> Result<(), Fault> {
        let length = match self.get(part, path) {
            None | Some(Value::Null) => 0,
            Some(list) => match list.as_sequence() {
                Some(items) => items.len(),
                None => return Err(self.fault(part, path, "is no list to append to")),
            },
        };
        self.set(part, &path.then(Step::Index(length)), value)
    }

    /// Makes a document of what it is intended to be, by the fewest changes: entries of mappings
    /// are told by their keys, elements of lists by their `name` or by what they have in common.
    /// New keys are placed as [`set`](Self::set) does; the order of the others stays.
    ///
    /// # Errors
    /// A [`Fault`], and nothing changed, as [`set`](Self::set).
    pub fn apply(&mut self, part: usize, intended: &Value) -> Result<(), Fault> {
        check_depth(intended)?;
        self.edit(part, &Path::default(), |editor, root, old| {
            editor.reconcile(Place::Top, root, old, intended)?;
            Ok(intended.clone())
        })
    }

    /// Collects changes to a document, makes them, and makes sure that the text holds then what
    /// the collector says it should. A `|` scalar depends on the lines and the line end behind it:
    /// when the text doesn't hold that, strings are written with quotes instead, and a final
    /// newline is added where there was none.
    fn edit(
        &mut self,
        index: usize,
        path: &Path,
        collect: impl Fn(&mut Editor<'_>, &Node, &Value) -> Result<Value, Refusal>,
    ) -> Result<(), Fault> {
        if path.0.len() > DEEPEST {
            return Err(too_deep());
        }
        let edited = self
            .attempt(index, false, &collect)
            .or_else(|_| self.attempt(index, true, &collect));
        match edited {
            Ok(edited) => *self = edited,
            Err(why) => return Err(self.fault(index, path, &why)),
        }
        Ok(())
    }

    fn attempt(
        &self,
        index: usize,
        is_careful: bool,
        collect: impl Fn(&mut Editor<'_>, &Node, &Value) -> Result<Value, Refusal>,
    ) -> Result<Self, Refusal> {
        let part = self
            .parts
            .get(index)
            .ok_or("is in a document that there is not")?;
        let root = part
            .outline
            .as_ref()
            .ok_or("can't be changed: the layout of the text can't be followed")?;
        let newline = if self.text.contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        };
        let is_complete = self.text.is_empty() || self.text.ends_with('\n');
        let mut source = self.text.clone();
        let mut end = part.range.end;
        if !is_complete {
            source.push_str(newline);
            if end == self.text.len() {
                end = source.len();
            }
        }
        let lines = Lines {
            source: &source,
            start: part.range.start,
        };
        let mut editor = Editor::new(lines, end, root, newline, !is_careful && is_complete);
        let intended = collect(&mut editor, root, &part.value)?;
        if intended == part.value {
            return Ok(self.clone());
        }
        let mut text = splice(&source, editor.into_splices())
            .ok_or("can't be changed: two changes meet in one place")?;
        if !is_complete && !is_careful && text.ends_with(newline) {
            text.truncate(text.len() - newline.len());
        }
        let edited = Self::parse(&text)
            .map_err(|broken| format!("can't be changed: the text would break ({broken})"))?;
        let others = self.parts.iter().enumerate().map(|(other, part)| {
            if other == index {
                &intended
            } else {
                &part.value
            }
        });
        if !edited.values().eq(others) {
            return Err(
                "can't be changed alone: an anchor, an alias or the layout ties it to other values"
                    .to_owned(),
            );
        }
        Ok(edited)
    }

    fn fault(&self, part: usize, path: &Path, message: &str) -> Fault {
        let (line, column) = self.position(part, path);
        let name = if path.0.is_empty() {
            "the document".to_owned()
        } else {
            path.to_string()
        };
        Fault {
            line,
            column,
            message: format!("{name} {message}"),
        }
    }
}

/// Refuses a value that is too deep before anything descends into it.
fn check_depth(value: &Value) -> Result<(), Fault> {
    let mut level = vec![value];
    for _ in 0..=DEEPEST {
        level = level.into_iter().flat_map(children).collect();
        if level.is_empty() {
            return Ok(());
        }
    }
    Err(too_deep())
}

fn too_deep() -> Fault {
    Fault {
        line: 1,
        column: 1,
        message: format!("the value to write nests deeper than {DEEPEST} levels"),
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Sequence(items) => items.iter().collect(),
        Value::Mapping(entries) => entries
            .iter()
            .flat_map(|(key, value)| [key, value])
            .collect(),
        Value::Tagged(tagged) => vec![&tagged.value],
        _ => Vec::new(),
    }
}

/// Where the documents of a text stand. A line that starts with `---` begins a document whatever
/// surrounds it (YAML 1.2, 9.1.2); comments and directives before the first one belong to it.
fn split(text: &str) -> Vec<Range<usize>> {
    let mut start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut offset = start;
    let mut has_content = false;
    let mut parts = Vec::new();
    for line in text[start..].split_inclusive('\n') {
        let is_marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker && has_content {
            parts.push(start..offset);
            start = offset;
        }
        let bare = line.trim();
        has_content |= is_marker || !(bare.is_empty() || bare.starts_with(['#', '%']));
        offset += line.len();
    }
    parts.push(start..offset);
    parts
}

fn parse_part(text: &str, range: Range<usize>, expansion: &mut usize) -> Result<Part, Fault> {
    let trouble = match outline(text, range.clone(), expansion) {
        Ok(root) => {
            let parsed = parse_value(text, &range);
            let value = parsed.map_err(|fault| twice(text, &root).unwrap_or(fault))?;
            return Ok(Part {
                range,
                value,
                outline: Some(root),
            });
        }
        Err(trouble) => trouble,
    };
    let source = &text[range.clone()];
    let may_ask = !trouble.is_limit && source.len() <= LARGEST_STRANGE && !has_aliases(source);
    if !may_ask {
        return Err(trouble.into_fault(text));
    }
    let value = parse_value(text, &range)?;
    Ok(Part {
        range,
        value,
        outline: None,
    })
}

impl Trouble {
    fn into_fault(self, text: &str) -> Fault {
        let (line, column) = position(text, self.at);
        Fault {
            line,
            column,
            message: self.message,
        }
    }
}

/// Whether a text may have anchors and aliases, by which little text makes large values.
fn has_aliases(source: &str) -> bool {
    let is_followed = |at: usize| {
        let next = source.as_bytes().get(at + 1);
        next.is_some_and(|next| next.is_ascii_alphanumeric() || matches!(next, b'_' | b'-'))
    };
    ['&', '*']
        .iter()
        .all(|sign| source.match_indices(*sign).any(|(at, _)| is_followed(at)))
}

fn parse_value(text: &str, range: &Range<usize>) -> Result<Value, Fault> {
    let source = &text[range.clone()];
    let is_blank = source.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    });
    if is_blank {
        return Ok(Value::Null);
    }
    serde_yaml::from_str(source).map_err(|error| {
        let (first, _) = position(text, range.start);
        let (line, column) = error
            .location()
            .map_or((1, 1), |place| (place.line(), place.column()));
        Fault {
            line: first - 1 + line.max(1),
            column: column.max(1),
            message: without_position(&error.to_string()),
        }
    })
}

/// The first key that a mapping has twice. The parser only tells in which mapping.
fn twice(text: &str, node: &Node) -> Option<Fault> {
    let mut seen = HashMap::new();
    for child in &node.children {
        if let Some(key) = &child.key {
            let name = &text[key.content..key.span.end];
            if let Some(first) = seen.insert(name, key.content) {
                let ((first, _), (line, column)) =
                    (position(text, first), position(text, key.content));
                let message = format!("duplicate key {name}: line {first} has it already");
                return Some(Fault {
                    line,
                    column,
                    message,
                });
            }
        }
        if let Some(fault) = twice(text, &child.value) {
            return Some(fault);
        }
    }
    None
}

/// The parser's words without its own `at line 1 column 2`, which counts from the part's start.
fn without_position(message: &str) -> String {
    let end = message.find(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

/// Line and column (in characters) of a byte offset, both counting from 1.
#[must_use]
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
    let column = before[line_start..]
        .trim_start_matches('\u{feff}')
        .chars()
        .count();
    (line, 1 + column)
}
