//! Ways to values, as people type them: `spec.subnets[name=a].zone`.

mod selector;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde_yaml::{Mapping, Value};

use super::edit;
use super::pointer::find_key;
pub use selector::{Selector, SelectorError};

/// One step of the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a mapping. A key that is no string is named by its text: `100`, `true`.
    Key(String),
    /// Into a sequence, counting from 0.
    Index(usize),
}

/// The way to a value from the top of a document. Prints as `spec.etcdClusters[0].name`, which a
/// [`Selector`] reads back; the top prints as `.`.
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

    /// What this way leads to.
    #[must_use]
    pub fn lookup<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => {
                let mapping = value.as_mapping()?;
                let key = find_key(mapping, key)?;
                mapping.get(&key)
            }
            Step::Index(index) => value.as_sequence()?.get(*index),
        })
    }
}

/// Why a value can't be put at a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} {reason}")]
pub struct PutError {
    /// Where it was to be.
    pub path: Path,
    /// What stands against it.
    pub reason: String,
}

impl Path {
    /// Puts a value at this path of another, with the mappings and lists on the way where there
    /// is nothing or null.
    ///
    /// # Errors
    /// [`PutError`] where the way leads through a value of another kind or beyond a list's end;
    /// null may have become a mapping or a list then.
    pub fn put(&self, into: &mut Value, value: Value) -> Result<(), PutError> {
        edit::put(into, &self.0, value).map_err(|reason| PutError {
            path: self.clone(),
            reason,
        })
    }

    /// Takes what stands at the paths that a [`Selector`] found out of a value, but not the
    /// whole value.
    pub fn take_all(paths: &[Self], from: &mut Value) {
        edit::take_all(from, paths);
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) => selector::write_key(f, key, i == 0)?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The index and the value of a mapping's entry whose key has a text.
pub(super) fn entry<'a>(mapping: &'a Mapping, text: &str) -> Option<(usize, &'a Value)> {
    let at = |key: &Value| mapping.keys().position(|other| other == key);
    let found = mapping
        .get(text)
        .and_then(|value| Some((at(&Value::from(text))?, value)));
    found.or_else(|| {
        let is_other = |key: &Value| {
            matches!(key, Value::Number(_) | Value::Bool(_) | Value::Null) && key_text(key) == text
        };
        let entries = mapping.iter().enumerate();
        let mut others = entries.filter(|(_, (key, _))| is_other(key));
        others.next().map(|(index, (_, value))| (index, value))
    })
}

/// The text of a key or another scalar; empty for what is none.
pub(super) fn key_text(key: &Value) -> Cow<'_, str> {
    match key {
        Value::String(text) => Cow::Borrowed(text),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
        Value::Null => Cow::Borrowed("null"),
        _ => Cow::Borrowed(""),
    }
}

/// The key for a new entry: an integer where all other keys are integers and this one may be.
pub(super) fn new_key(mapping: &Mapping, text: &str) -> Value {
    let is_integer = |key: &Value| key.is_i64() || key.is_u64();
    let number = text.parse::<i64>().ok().map(Value::from);
    number
        .filter(|number| {
            !mapping.is_empty() && mapping.keys().all(is_integer) && key_text(number) == text
        })
        .unwrap_or_else(|| Value::from(text))
}
