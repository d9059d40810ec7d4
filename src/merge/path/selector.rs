//! Expressions that choose values of a document.

use std::fmt;
use std::iter::Peekable;
use std::str::{CharIndices, FromStr};

use serde_yaml::Value;

use super::{Path, Step, entry, key_text};

/// The longest expression that is read, in bytes.
const LONGEST: usize = 4096;

/// An expression that chooses values.
///
/// | form | what it chooses |
/// |---|---|
/// | `a.b` | the value of the key `b` in that of `a` |
/// | `a."b.c"`, `a["b.c"]` | a key with a dot, a blank or the like in it |
/// | `a[0]` | an element, counting from 0 |
/// | `a[+]` | the place behind the last element |
/// | `a[*]` | all elements |
/// | `a[name=main]` | the elements that are mappings with this field |
/// | `.` | the whole document |
///
/// Prints in the same form, with quotes and signs that may take twice the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Pick>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pick {
    Key(String),
    Index(usize),
    Append,
    All,
    Field { name: String, value: String },
}

/// What is wrong with an expression, or with the values it is to choose from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The expression can't be read.
    #[error("column {column} of the path {text:?}: {expected}")]
    Syntax {
        /// The expression.
        text: String,
        /// The column in characters, counting from 1.
        column: usize,
        /// What was expected there.
        expected: String,
    },
    /// There is no such value.
    #[error("{at}: {message}")]
    NoMatch {
        /// The place up to which there is something.
        at: Path,
        /// What is missing, and what is there.
        message: String,
    },
}

impl Selector {
    /// The ways to the values that this chooses in a document. They may lead to what isn't there
    /// yet and can be made: keys that are missing, and the place behind a list's last element.
    ///
    /// # Errors
    /// [`SelectorError::NoMatch`] when a step leads into a value of another kind, no element has
    /// the field, or an index is beyond the list.
    pub fn resolve(&self, value: &Value) -> Result<Vec<Path>, SelectorError> {
        let mut found = vec![(Path::default(), Some(value))];
        for pick in &self.0 {
            let mut next = Vec::new();
            for (path, value) in found {
                let value = value.filter(|value| !value.is_null());
                pick.resolve(&path, value, &mut next)?;
            }
            found = next;
        }
        Ok(found.into_iter().map(|(path, _)| path).collect())
    }

    /// The values that this chooses, and the ways to them. Where a step leads nowhere there is
    /// nothing to find; that is no error.
    #[must_use]
    pub fn find<'a>(&self, value: &'a Value) -> Vec<(Path, &'a Value)> {
        let mut found = vec![(Path::default(), value)];
        for pick in &self.0 {
            let mut next = Vec::new();
            for (path, value) in found {
                let _ = pick.resolve(&path, Some(value), &mut next);
            }
            let there = next.into_iter();
            found = there
                .filter_map(|(path, value)| Some((path, value?)))
                .collect();
        }
        found
    }

    /// As [`resolve`](Self::resolve), without the ways to what isn't there.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn existing(&self, value: &Value) -> Result<Vec<Path>, SelectorError> {
        let mut paths = self.resolve(value)?;
        paths.retain(|path| path.lookup(value).is_some());
        Ok(paths)
    }

    /// The way to the field that this chooses values of, with `[0]` for each choice of elements.
    #[must_use]
    pub fn field(&self) -> Path {
        let steps = self.0.iter().map(|pick| match pick {
            Pick::Key(key) => Step::Key(key.clone()),
            _ => Step::Index(0),
        });
        Path(steps.collect())
    }

    /// The same choices of elements on the way to another field, as far as there are lists on it.
    #[must_use]
    pub fn along(&self, field: &Path) -> Self {
        let mut choices = self.0.iter().filter(|pick| !matches!(pick, Pick::Key(_)));
        let picks = field.0.iter().map(|step| match step {
            Step::Key(key) => Pick::Key(key.clone()),
            Step::Index(index) => choices.next().cloned().unwrap_or(Pick::Index(*index)),
        });
        Self(picks.collect())
    }
}

type Found<'a> = Vec<(Path, Option<&'a Value>)>;

impl Pick {
    /// Adds the ways on from a place. Nothing or a null there may become what is needed.
    fn resolve<'a>(
        &self,
        path: &Path,
        value: Option<&'a Value>,
        next: &mut Found<'a>,
    ) -> Result<(), SelectorError> {
        let fail = |message: String| {
            let at = path.clone();
            Err(SelectorError::NoMatch { at, message })
        };
        if let Self::Key(key) = self {
            let found = match value {
                None => None,
                Some(value) => match value.as_mapping() {
                    Some(mapping) => entry(mapping, key).map(|(_, value)| value),
                    None => {
                        return fail(format!("has no key {key}: it is {}", kind(value)));
                    }
                },
            };
            next.push((path.then(Step::Key(key.clone())), found));
            return Ok(());
        }
        let items = match value {
            None => &[][..],
            Some(value) => match value.as_sequence() {
                Some(items) => items,
                None => return fail(format!("is no list: it is {}", kind(value))),
            },
        };
        let mut push = |index: usize| next.push((path.then(Step::Index(index)), items.get(index)));
        match self {
            Self::Index(index) if *index > items.len() => {
                return fail(format!(
                    "has no element [{index}]: the list has {}; [+] appends one",
                    count(items.len())
                ));
            }
            Self::Index(index) => push(*index),
            Self::Append => push(items.len()),
            Self::Field { name, value } => {
                let field = |item: &'a Value| Some(entry(item.as_mapping()?, name)?.1);
                let is_match = |item: &Value| {
                    let field = item.as_mapping().and_then(|item| entry(item, name));
                    field.is_some_and(|(_, field)| is_scalar(field) && key_text(field) == *value)
                };
                let matches: Vec<usize> = (0..items.len())
                    .filter(|index| is_match(&items[*index]))
                    .collect();
                if matches.is_empty() {
                    let there: Vec<_> = items.iter().filter_map(field).map(key_text).collect();
                    return fail(no_field(name, value, &there));
                }
                matches.into_iter().for_each(push);
            }
            Self::All | Self::Key(_) => (0..items.len()).for_each(push),
        }
        Ok(())
    }
}

fn no_field(name: &str, value: &str, there: &[std::borrow::Cow<'_, str>]) -> String {
    const MOST: usize = 20;
    let missing = format!("no element has {name}={value}");
    if there.is_empty() {
        return format!("{missing}; none has a field {name}");
    }
    let more = if there.len() > MOST { ", …" } else { "" };
    let shown = &there[..there.len().min(MOST)];
    format!("{missing}; there is {}{more}", shown.join(", "))
}

fn count(elements: usize) -> String {
    match elements {
        0 => "no elements".to_owned(),
        1 => "1 element".to_owned(),
        _ => format!("{elements} elements"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(tagged) => kind(&tagged.value),
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Sequence(_) | Value::Mapping(_))
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut reader = Reader {
            text,
            chars: text.char_indices().peekable(),
        };
        if text.len() > LONGEST {
            return reader.fail(&format!("a path of at most {LONGEST} bytes was expected"));
        }
        reader.selector().map(Self)
    }
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

/// Whether a character may stand in a key without quotes.
fn is_bare(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !".[]\"'=\\".contains(c)
}

impl Reader<'_> {
    fn fail<T>(&mut self, expected: &str) -> Result<T, SelectorError> {
        let end = self.text.len();
        let at = self.chars.peek().map_or(end, |(at, _)| *at);
        Err(SelectorError::Syntax {
            text: self.text.to_owned(),
            column: 1 + self.text[..at].chars().count(),
            expected: expected.to_owned(),
        })
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn take(&mut self, c: char) -> bool {
        self.chars.next_if(|(_, next)| *next == c).is_some()
    }

    fn take_while(&mut self, is_wanted: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.chars.next_if(|(_, c)| is_wanted(*c)))
            .map(|(_, c)| c)
            .collect()
    }

    fn selector(&mut self) -> Result<Vec<Pick>, SelectorError> {
        let mut picks = Vec::new();
        if self.text == "." {
            return Ok(picks);
        }
        loop {
            picks.push(match self.peek() {
                None if !picks.is_empty() => return Ok(picks),
                Some('[') => self.bracket()?,
                Some('.') if !picks.is_empty() => {
                    self.take('.');
                    self.key()?
                }
                _ if picks.is_empty() => self.key()?,
                _ => return self.fail("'.' or '[' was expected"),
            });
        }
    }

    fn key(&mut self) -> Result<Pick, SelectorError> {
        if let Some(quoted) = self.quoted()? {
            return Ok(Pick::Key(quoted));
        }
        let key = self.take_while(is_bare);
        if key.is_empty() {
            return self.fail("a key was expected; quote one with odd characters: \"a.b\"");
        }
        Ok(Pick::Key(key))
    }

    /// Text in quotes. In double ones, a backslash stands before a quote or a backslash.
    fn quoted(&mut self) -> Result<Option<String>, SelectorError> {
        let Some(quote) = self.peek().filter(|c| matches!(c, '"' | '\'')) else {
            return Ok(None);
        };
        self.take(quote);
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return self.fail(&format!("a closing {quote} was expected")),
                Some(c) if c == quote => {
                    self.take(c);
                    return Ok(Some(text));
                }
                Some('\\') if quote == '"' => {
                    self.take('\\');
                    match self.peek().filter(|c| matches!(c, '"' | '\\')) {
                        Some(c) => {
                            self.take(c);
                            text.push(c);
                        }
                        None => return self.fail("'\"' or '\\' was expected after '\\'"),
                    }
                }
                Some(c) => {
                    self.take(c);
                    text.push(c);
                }
            }
        }
    }

    fn bracket(&mut self) -> Result<Pick, SelectorError> {
        self.take('[');
        let pick = match self.peek() {
            Some('+') => {
                self.take('+');
                Pick::Append
            }
            Some('*') => {
                self.take('*');
                Pick::All
            }
            _ => self.inside()?,
        };
        if !self.take(']') {
            return self.fail("']' was expected");
        }
        Ok(pick)
    }

    fn inside(&mut self) -> Result<Pick, SelectorError> {
        const EXPECTED: &str =
            "an index, '+', '*', a key in quotes or 'field=value' was expected between [ and ]";
        if let Some(text) = self.quoted()? {
            return if self.take('=') {
                self.field(text)
            } else {
                Ok(Pick::Key(text))
            };
        }
        let start = self.chars.clone();
        let word = self.take_while(is_bare);
        if self.peek() == Some('=') && !word.is_empty() {
            self.take('=');
            return self.field(word);
        }
        let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        match word.parse() {
            Ok(index) if is_number => Ok(Pick::Index(index)),
            _ => {
                self.chars = start;
                self.fail(EXPECTED)
            }
        }
    }

    fn field(&mut self, name: String) -> Result<Pick, SelectorError> {
        let value = match self.quoted()? {
            Some(quoted) => quoted,
            None => self.take_while(|c| c != ']'),
        };
        Ok(Pick::Field { name, value })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (i, pick) in self.0.iter().enumerate() {
            match pick {
                Pick::Key(key) => write_key(f, key, i == 0)?,
                Pick::Index(index) => write!(f, "[{index}]")?,
                Pick::Append => f.write_str("[+]")?,
                Pick::All => f.write_str("[*]")?,
                Pick::Field { name, value } => {
                    let is_bare_value =
                        !value.is_empty() && value.chars().all(|c| is_bare(c) || c == '.');
                    let value = quoted_unless(is_bare_value, value);
                    write!(f, "[{}={value}]", quoted_unless(is_bare_word(name), name))?;
                }
            }
        }
        Ok(())
    }
}

fn is_bare_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_bare) && !text.starts_with(['+', '*'])
}

fn quoted_unless(is_bare: bool, text: &str) -> String {
    if is_bare {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A key with the dot before it, or in brackets where it needs quotes.
pub(super) fn write_key(f: &mut fmt::Formatter<'_>, key: &str, is_first: bool) -> fmt::Result {
    if key.is_empty() || !key.chars().all(is_bare) {
        return write!(f, "[{}]", quoted_unless(false, key));
    }
    let dot = if is_first { "" } else { "." };
    write!(f, "{dot}{key}")
}
