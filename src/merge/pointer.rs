//! JSON Pointers (RFC 6901) into YAML values.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde_yaml::{Mapping, Number, Value};

/// A JSON Pointer: the way to a value by the names of keys and the numbers of elements.
///
/// A token finds a string key first; where there is none it finds the integer, boolean or null
/// key that is written so (`/100` finds the key `100`). It does not lead into tagged values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pointer(Vec<String>);

/// Why a text is no JSON Pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It is not empty and does not start with `/`.
    #[error("a JSON Pointer is empty or starts with `/`, unlike `{0}`")]
    NoSlash(String),
    /// A `~` that is neither `~0` nor `~1`.
    #[error("`~` stands in a JSON Pointer as `~0` (and `/` as `~1`), unlike in `{0}`")]
    Escape(String),
}

/// Why a pointer leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// A mapping has no such key.
    #[error("there is no key `{key}` in {parent}")]
    Key {
        /// The token.
        key: String,
        /// Where the mapping is.
        parent: Place,
    },
    /// A list is too short.
    #[error("there is no element {index} in {parent}, which has {len}")]
    Element {
        /// The token.
        index: String,
        /// Where the list is.
        parent: Place,
        /// How many elements there are.
        len: usize,
    },
    /// A token for a list is no number.
    #[error("`{token}` is no number of an element of the list {parent} (0, 1, 2…)")]
    NoIndex {
        /// The token.
        token: String,
        /// Where the list is.
        parent: Place,
    },
    /// The pointer goes on below a scalar.
    #[error("`{token}` can't be looked up in {parent}, which is neither a mapping nor a list")]
    Scalar {
        /// The token.
        token: String,
        /// Where the scalar is.
        parent: Place,
    },
}

/// A pointer as errors name it: the empty one is the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Pointer);

impl Pointer {
    /// This pointer and one token more.
    #[must_use]
    pub fn then(&self, token: impl Into<String>) -> Self {
        let mut tokens = self.0.clone();
        tokens.push(token.into());
        Self(tokens)
    }

    /// The tokens, not escaped.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.0
    }

    /// The value that this pointer leads to.
    ///
    /// # Errors
    /// [`Lost`] where there is none.
    pub fn get<'a>(&self, document: &'a Value) -> Result<&'a Value, Lost> {
        let mut value = document;
        for (depth, token) in self.0.iter().enumerate() {
            value = match value {
                Value::Mapping(mapping) => {
                    find_key(mapping, token).and_then(|key| mapping.get(&key))
                }
                Value::Sequence(list) => index(token).and_then(|index| list.get(index)),
                _ => None,
            }
            .ok_or_else(|| self.lost(depth, value))?;
        }
        Ok(value)
    }

    /// As [`Pointer::get`], for changing the value.
    ///
    /// # Errors
    /// [`Lost`] where there is none.
    pub fn get_mut<'a>(&self, document: &'a mut Value) -> Result<&'a mut Value, Lost> {
        self.get(document)?;
        let mut value = document;
        for (depth, token) in self.0.iter().enumerate() {
            value = match value {
                Value::Mapping(mapping) => {
                    find_key(mapping, token).and_then(|key| mapping.get_mut(&key))
                }
                Value::Sequence(list) => index(token).and_then(|index| list.get_mut(index)),
                _ => None,
            }
            .ok_or_else(|| self.lost(depth, &Value::Null))?;
        }
        Ok(value)
    }

    /// The pointer to the parent, and the last token; `None` for the whole document.
    pub(super) fn split_last(&self) -> Option<(Self, &str)> {
        let (last, parents) = self.0.split_last()?;
        Some((Self(parents.to_vec()), last))
    }

    /// The error for the token at a depth, which was not found in the value there.
    pub(super) fn lost(&self, depth: usize, value: &Value) -> Lost {
        let token = self.0.get(depth).cloned().unwrap_or_default();
        let parent = Place(Self(self.0.iter().take(depth).cloned().collect()));
        match value {
            Value::Mapping(_) => Lost::Key { key: token, parent },
            Value::Sequence(list) if index(&token).is_some() || token == "-" => Lost::Element {
                index: token,
                parent,
                len: list.len(),
            },
            Value::Sequence(_) => Lost::NoIndex { token, parent },
            _ => Lost::Scalar { token, parent },
        }
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let tokens = text
            .strip_prefix('/')
            .ok_or_else(|| PointerError::NoSlash(text.to_owned()))?;
        let is_escaped = |token: &str| {
            token
                .split('~')
                .skip(1)
                .all(|rest| rest.starts_with(['0', '1']))
        };
        tokens
            .split('/')
            .map(|token| {
                is_escaped(token)
                    .then(|| token.replace("~1", "/").replace("~0", "~"))
                    .ok_or_else(|| PointerError::Escape(text.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.0.as_slice() {
            [] => f.write_str("the document"),
            _ => self.0.fmt(f),
        }
    }
}

/// The number of an element: digits, without leading zeros (RFC 6901, 4).
pub(super) fn index(token: &str) -> Option<usize> {
    let is_number = token.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = token.len() > 1 && token.starts_with('0');
    if !is_number || has_leading_zero {
        return None;
    }
    token.parse().ok()
}

/// The key of a mapping that a token stands for.
pub(super) fn find_key(mapping: &Mapping, token: &str) -> Option<Value> {
    if mapping.contains_key(token) {
        return Some(Value::String(token.to_owned()));
    }
    let other = match token {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::Number(token.parse::<Number>().ok()?),
    };
    (key_text(&other) == token && mapping.contains_key(&other)).then_some(other)
}

/// How a key is written: strings as they are, what is no scalar as a line of YAML.
pub(super) fn key_text(key: &Value) -> Cow<'_, str> {
    match key {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed("null"),
        Value::Bool(bool) => Cow::Owned(bool.to_string()),
        Value::Number(number) => Cow::Owned(number.to_string()),
        other => Cow::Owned(serde_yaml::to_string(other).map_or_else(
            |_| format!("{other:?}"),
            |text| text.trim_end().replace('\n', " "),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> Pointer {
        text.parse().unwrap()
    }

    /// The examples of RFC 6901, section 5.
    #[test]
    fn finds_what_the_rfc_says() {
        let document: Value = serde_yaml::from_str(
            r#"{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4,
                "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8}"#,
        )
        .unwrap();
        assert_eq!(pointer("").get(&document), Ok(&document));
        assert_eq!(pointer("/foo").get(&document), Ok(&document["foo"]));
        assert_eq!(pointer("/foo/0").get(&document).unwrap(), "bar");
        for (text, number) in [
            ("/", 0),
            ("/a~1b", 1),
            ("/c%d", 2),
            ("/e^f", 3),
            ("/g|h", 4),
            ("/i\\j", 5),
            ("/k\"l", 6),
            ("/ ", 7),
            ("/m~0n", 8),
        ] {
            assert_eq!(*pointer(text).get(&document).unwrap(), number, "{text}");
            assert_eq!(pointer(text).to_string(), text);
        }
        assert_eq!(pointer("/~01").tokens(), ["~1"]);
    }

    #[test]
    fn finds_keys_that_are_no_strings() {
        let document: Value =
            serde_yaml::from_str("{100: a, true: b, null: c, '50': d, 50: e, -1: f, 1.5: g}")
                .unwrap();
        for (text, expected) in [
            ("/100", "a"),
            ("/true", "b"),
            ("/null", "c"),
            ("/50", "d"),
            ("/-1", "f"),
            ("/1.5", "g"),
        ] {
            assert_eq!(*pointer(text).get(&document).unwrap(), expected, "{text}");
            let mut changed = document.clone();
            *pointer(text).get_mut(&mut changed).unwrap() = "new".into();
            assert_eq!(*pointer(text).get(&changed).unwrap(), "new", "{text}");
            assert_eq!(changed.as_mapping().unwrap().len(), 7);
        }
        for text in ["/0x64", "/1e2", "/+100", "/100.0", "/True", "/~0"] {
            assert!(pointer(text).get(&document).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_say_what_is_not_there() {
        let document: Value = serde_yaml::from_str("{a: [1, {b: 2}]}").unwrap();
        for (text, expected) in [
            ("/b", "there is no key `b` in the document"),
            ("/a/1/c", "there is no key `c` in /a/1"),
            ("/a/2", "there is no element 2 in /a, which has 2"),
            ("/a/-", "there is no element - in /a, which has 2"),
            (
                "/a/01",
                "`01` is no number of an element of the list /a (0, 1, 2…)",
            ),
            (
                "/a/1e0",
                "`1e0` is no number of an element of the list /a (0, 1, 2…)",
            ),
            (
                "/a/0/x",
                "`x` can't be looked up in /a/0, which is neither a mapping nor a list",
            ),
        ] {
            let lost = pointer(text).get(&document).unwrap_err();
            assert_eq!(lost.to_string(), expected);
            let lost = pointer(text).get_mut(&mut document.clone()).unwrap_err();
            assert_eq!(lost.to_string(), expected);
        }
        for text in ["a", "a/b", "#/a"] {
            let error = text.parse::<Pointer>().unwrap_err();
            assert!(error.to_string().contains("starts with `/`"), "{error}");
        }
        for text in ["/~", "/a~2b", "/~~0"] {
            let error = text.parse::<Pointer>().unwrap_err();
            assert!(error.to_string().contains("`~0`"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn prints_as_it_parses(text in "[a~/01é]{0,12}") {
            if let Ok(pointer) = text.parse::<Pointer>() {
                proptest::prop_assert_eq!(pointer.to_string(), text);
            }
        }

        #[test]
        fn any_tokens_survive(tokens in proptest::collection::vec("[a~/01é]{0,4}", 0..5)) {
            let pointer = Pointer(tokens);
            proptest::prop_assert_eq!(pointer.to_string().parse(), Ok(pointer));
        }
    }
}
