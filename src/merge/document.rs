//! A YAML file that is changed in place: everything but the changed value stays byte for byte.
//!
//! The syntax tree of `yaml-edit` tells where a value stands; the new value is spliced into the
//! text there. After each edit the text is parsed again, by another parser, and must hold what
//! was intended and nothing else, or the edit is refused.

use std::fmt;
use std::ops::Range;

use serde_yaml::Value;
use yaml_edit::YamlFile;

use super::splice::{entry_key, find, root, splice};

/// One step of the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a sequence, counting from 0.
    Index(usize),
}

/// The way to a value from the top of a document. Prints as `spec.etcdClusters[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// A way through mappings only.
    #[must_use]
    pub fn keys(keys: &[&str]) -> Self {
        Self(
            keys.iter()
                .map(|key| Step::Key((*key).to_owned()))
                .collect(),
        )
    }

    /// This way and one step more.
    #[must_use]
    pub fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

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
}

impl Document {
    /// Parses a text. A byte order mark, CRLF, comments, `---` headers are all kept.
    ///
    /// # Errors
    /// A [`Fault`] where the text is no YAML, or names a key twice.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let parts = split(text)
            .into_iter()
            .map(|range| {
                let value = parse_part(text, &range)?;
                Ok(Part { range, value })
            })
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

    /// The value of each document in the text.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.parts.iter().map(|part| &part.value)
    }

    /// The value at a path of a document.
    #[must_use]
    pub fn get(&self, part: usize, path: &Path) -> Option<&Value> {
        lookup(&self.parts.get(part)?.value, &path.0)
    }

    /// Line and column of the value at a path, or of as much of the path as there is.
    #[must_use]
    pub fn position(&self, part: usize, path: &Path) -> (usize, usize) {
        let Some(range) = self.parts.get(part).map(|part| part.range.clone()) else {
            return (1, 1);
        };
        let tree = YamlFile::parse(&self.text[range.clone()]).tree();
        let offset = (0..=path.0.len()).rev().find_map(|depth| {
            let node = find(root(&tree)?, &path.0[..depth])?;
            Some(node.byte_range().start as usize)
        });
        position(&self.text, range.start + offset.unwrap_or(0))
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
        let range = self.parts.get(part)?.range.clone();
        let (Step::Key(key), parents) = path.0.split_last()? else {
            return None;
        };
        let tree = YamlFile::parse(&self.text[range.clone()]).tree();
        let parent = find(root(&tree)?, parents)?;
        let key = entry_key(parent.as_mapping()?, key)?;
        Some(range.start + key.byte_range().start as usize)
    }

    /// Writes a string at a path: over the scalar that is there, in its quoting style, or as a
    /// new key (with the mappings on the way to it) where there is none.
    ///
    /// # Errors
    /// A [`Fault`], and nothing changed, when something that is no scalar stands there, when the
    /// place can't be found (an alias on the way), or when the edit would change anything else
    /// (the value is an anchor that others refer to).
    pub fn set(&mut self, part: usize, path: &Path, value: &str) -> Result<(), Fault> {
        if self.get(part, path).and_then(Value::as_str) == Some(value) {
            return Ok(());
        }
        let fault = |message: &str| self.fault(part, path, message);
        let old = self
            .parts
            .get(part)
            .ok_or_else(|| fault("no such document"))?;
        let mut intended: Vec<Value> = self.values().cloned().collect();
        place(&mut intended[part], &path.0, value)
            .ok_or_else(|| fault("is no place for a string"))?;
        let splice = splice(&self.text[old.range.clone()], &path.0, value)
            .ok_or_else(|| fault("can't be changed where it stands"))?;
        let mut text = self.text.clone();
        let start = old.range.start;
        text.replace_range(
            start + splice.range.start..start + splice.range.end,
            &splice.text,
        );
        let edited = Self::parse(&text).map_err(|broken| {
            fault(&format!(
                "can't be changed: the text would break ({broken})"
            ))
        })?;
        if !edited.values().eq(intended.iter()) {
            return Err(fault(
                "can't be changed alone: an anchor, an alias or the layout ties it to other values",
            ));
        }
        *self = edited;
        Ok(())
    }

    fn fault(&self, part: usize, path: &Path, message: &str) -> Fault {
        let (line, column) = self.position(part, path);
        Fault {
            line,
            column,
            message: format!("{path} {message}"),
        }
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

fn parse_part(text: &str, range: &Range<usize>) -> Result<Value, Fault> {
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

fn lookup<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_mapping()?.get(key.as_str()),
        Step::Index(index) => value.as_sequence()?.get(*index),
    })
}

/// Puts a string into a value, making mappings on the way where there is nothing.
fn place(value: &mut Value, path: &[Step], string: &str) -> Option<()> {
    let Some((step, rest)) = path.split_first() else {
        if value.is_mapping() || value.is_sequence() {
            return None;
        }
        *value = Value::String(string.to_owned());
        return Some(());
    };
    if value.is_null() {
        *value = Value::Mapping(serde_yaml::Mapping::new());
    }
    let next = match step {
        Step::Key(key) => value
            .as_mapping_mut()?
            .entry(Value::String(key.clone()))
            .or_insert(Value::Null),
        Step::Index(index) => value.as_sequence_mut()?.get_mut(*index)?,
    };
    place(next, rest, string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, path: &[&str], value: &str) -> String {
        let mut document = Document::parse(text).expect("YAML");
        let steps = path.iter().map(|step| {
            step.parse()
                .map_or_else(|_| Step::Key((*step).into()), Step::Index)
        });
        match document.set(0, &Path(steps.collect()), value) {
            Ok(()) => document.text().to_owned(),
            Err(fault) => format!("refused: {fault}"),
        }
    }

    #[test]
    fn replaces_the_scalar_and_nothing_else() {
        for (text, path, expected) in [
            ("a: x # why\nb: y\n", &["a"][..], "a: new # why\nb: y\n"),
            ("a: 'x'\n", &["a"], "a: 'new'\n"),
            ("a: \"x\"   # c\n", &["a"], "a: \"new\"   # c\n"),
            ("a:   x\r\nb: y\r\n", &["a"], "a:   new\r\nb: y\r\n"),
            ("\u{feff}a: x\n", &["a"], "\u{feff}a: new\n"),
            ("a: x", &["a"], "a: new"),
            ("---\na: x\n...\n", &["a"], "---\na: new\n...\n"),
            ("# top\n---\na: x\n", &["a"], "# top\n---\na: new\n"),
            ("a: {b: x, c: y}\n", &["a", "b"], "a: {b: new, c: y}\n"),
            (
                "a:\n- b: x\n- b: y\n",
                &["a", "1", "b"],
                "a:\n- b: x\n- b: new\n",
            ),
            ("a:\n  - [x, y]\n", &["a", "0", "1"], "a:\n  - [x, new]\n"),
            ("a: !!str x\n", &["a"], "a: !!str new\n"),
            ("a: &k x\nb: y\n", &["a"], "a: &k new\nb: y\n"),
            ("k: &k x\na: *k\n", &["a"], "k: &k x\na: new\n"),
            ("a: >-\n  x\n  y\nb: z\n", &["a"], "a: new\nb: z\n"),
            ("a: 1.30\n", &["a"], "a: new\n"),
            ("\"a\": x\n", &["a"], "\"a\": new\n"),
            ("{\"a\": \"x\"}", &["a"], "{\"a\": \"new\"}"),
            ("a: x\n---\na: x\n", &["a"], "a: new\n---\na: x\n"),
        ] {
            assert_eq!(set(text, path, "new"), expected, "{text}");
        }
    }

    #[test]
    fn adds_a_key_where_kops_would_sort_it() {
        for (text, path, expected) in [
            ("a: 1\nc: 3\n", &["b"][..], "a: 1\nb: new\nc: 3\n"),
            (
                "a: 1\n\n# of c\nc: 3\n",
                &["b"],
                "a: 1\n\nb: new\n# of c\nc: 3\n",
            ),
            ("a: 1", &["b"], "a: 1\nb: new"),
            ("a: 1 # why\n# end\n", &["b"], "a: 1 # why\nb: new\n# end\n"),
            ("a: 1\r\nc: 3\r\n", &["b"], "a: 1\r\nb: new\r\nc: 3\r\n"),
            (
                "s:\n    a: 1\n    c: |\n      x\n",
                &["s", "d"],
                "s:\n    a: 1\n    c: |\n      x\n    d: new\n",
            ),
            (
                "l:\n- c: 1\n  d: 2\n",
                &["l", "0", "b"],
                "l:\n- c: 1\n  b: new\n  d: 2\n",
            ),
            (
                "s:\n  a: 1\nz: 1\n",
                &["s", "b", "c"],
                "s:\n  a: 1\n  b:\n    c: new\nz: 1\n",
            ),
            ("s: {a: 1}\n", &["s", "b"], "s: {b: new, a: 1}\n"),
            ("s: {}\n", &["s", "b", "c"], "s: {b: {c: new}}\n"),
            ("s: # why\nz: 1\n", &["s", "b"], "s: {b: new} # why\nz: 1\n"),
            ("a:\n", &["a"], "a: new\n"),
            ("s: null\n", &["s", "b"], "s: {b: new}\n"),
        ] {
            assert_eq!(set(text, path, "new"), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_would_change_more_than_was_asked() {
        for (text, path) in [
            ("a: &k x\nb: *k\n", &["a"][..]),
            ("k: &k {a: x}\ns: *k\n", &["s", "a"]),
            ("a: {b: 1}\n", &["a"]),
            ("a: [1]\n", &["a", "7"]),
            ("a: x\n", &["a", "b"]),
        ] {
            let text = set(text, path, "new");
            assert!(text.starts_with("refused: line "), "{text}");
        }
    }

    #[test]
    fn strings_stay_strings() {
        for value in ["no", "1.30", "1_000", "12:30:45", "", "a: b", "x # y"] {
            let text = set("a: x\n", &["a"], value);
            assert_eq!(text, format!("a: \"{value}\"\n"));
        }
        assert_eq!(set("a: 1.30\n", &["a"], "1.30"), "a: \"1.30\"\n");
    }

    #[test]
    fn faults_name_the_line_in_the_whole_text() {
        let fault = Document::parse("a: 1\n---\nb: 2\nc: [\n").expect_err("broken");
        assert!(fault.line >= 4, "{fault}");
        let twice = Document::parse("a: 1\na: 2\n").expect_err("a key twice");
        assert!(twice.message.contains("duplicate"), "{twice}");
    }

    #[test]
    fn positions_are_those_of_an_editor() {
        let document = Document::parse("# c\na: 1\n---\ns:\n- {k: ü, l: x}\n").expect("YAML");
        let path = Path(vec![
            Step::Key("s".into()),
            Step::Index(0),
            Step::Key("l".into()),
        ]);
        assert_eq!(document.position(1, &path), (5, 13));
        assert_eq!(document.key_position(1, &path), (5, 10));
        assert_eq!(path.to_string(), "s[0].l");
    }

    #[test]
    fn in_every_real_file_one_edit_changes_one_line() {
        let mut edits = 0;
        let real = crate::fixture::objects().unwrap_or_default();
        for (key, bytes) in real.into_iter().chain(crate::fixture::sample()) {
            let is_small = bytes.len() < 20_000;
            let Some(text) = String::from_utf8(bytes)
                .ok()
                .filter(|text| text.contains("metadata:"))
            else {
                continue;
            };
            let document = Document::parse(&text).unwrap_or_else(|fault| panic!("{key}: {fault}"));
            let path = Path::keys(&["metadata", "name"]);
            for part in 0..document.values().count() {
                if document.get(part, &path).is_none() || !is_small {
                    continue;
                }
                let mut edited = document.clone();
                edited
                    .set(part, &path, "new: name")
                    .unwrap_or_else(|fault| panic!("{key}: {fault}"));
                let changed: Vec<_> = text
                    .lines()
                    .zip(edited.text().lines())
                    .filter(|(before, after)| before != after)
                    .collect();
                assert_eq!(changed.len(), 1, "{key}: {changed:?}");
                assert!(changed[0].1.ends_with("name: \"new: name\""), "{key}");
                assert_eq!(text.lines().count(), edited.text().lines().count());
                edits += 1;
            }
        }
        assert!(edits >= 10, "the sample alone has more");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_edited_rightly_or_not_at_all(
            text in "(a|b|: |:|- |\n|\n  |\r\n|#|'|\"|\\{|\\}|\\[|\\]|, |---\n|&x |\\*x|!!str |\\||>|\u{e9}|a: |b: |\n  a: ){0,24}",
            value in "[a-z:# '\"\n\u{e9}]{0,6}",
        ) {
            if let Ok(mut document) = Document::parse(&text) {
                let path = Path::keys(&["a", "b"]);
                if document.set(0, &path, &value).is_ok() {
                    let found = document.get(0, &path).and_then(Value::as_str);
                    proptest::prop_assert_eq!(found, Some(value.as_str()));
                } else {
                    proptest::prop_assert_eq!(document.text(), text);
                }
            }
        }
    }
}
