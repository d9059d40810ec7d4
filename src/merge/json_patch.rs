//! JSON Patch (RFC 6902) on YAML values.

mod parse;

use serde_yaml::{Number, Value};

use super::pointer::{Lost, Pointer, find_key, index};
pub use parse::FormError;

/// A patch makes nothing deeper than this, so that what walks values may recurse.
const MAX_DEPTH: usize = 200;
/// What the `copy` operations of a patch may add in all, in about bytes: a few that copy the
/// document into itself would fill the memory.
const MAX_COPIED: usize = 64 << 20;

/// One operation of a JSON Patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets a key, or inserts before an element; `-` is the end of a list.
    Add {
        /// Where.
        path: Pointer,
        /// What.
        value: Value,
    },
    /// Removes what is there.
    Remove {
        /// Where.
        path: Pointer,
    },
    /// Puts a value over what is there.
    Replace {
        /// Where.
        path: Pointer,
        /// What.
        value: Value,
    },
    /// Removes from one place and adds to another.
    Move {
        /// Where from.
        from: Pointer,
        /// Where to.
        path: Pointer,
    },
    /// Adds what is at another place.
    Copy {
        /// Where from.
        from: Pointer,
        /// Where to.
        path: Pointer,
    },
    /// Fails when something else is there.
    Test {
        /// Where.
        path: Pointer,
        /// What.
        value: Value,
    },
}

/// Why a patch was not applied, and which operation it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "operation {number} ({operation} {}): {reason}; nothing was changed",
    quoted(path)
)]
pub struct PatchError {
    /// Which operation, counting from 1.
    pub number: usize,
    /// What it is called.
    pub operation: &'static str,
    /// Its path.
    pub path: Pointer,
    /// What went wrong.
    pub reason: Reason,
}

fn quoted(path: &Pointer) -> String {
    match path.tokens() {
        [] => "\"\"".to_owned(),
        _ => path.to_string(),
    }
}

/// What went wrong with an operation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    /// There is no such place.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// A `test` found something else.
    #[error("the value there is {found}, not {expected}")]
    Differs {
        /// What is there, cut short.
        found: String,
        /// What should be there, cut short.
        expected: String,
    },
    /// A value would have to contain itself.
    #[error("{from} can't be moved into itself")]
    IntoItself {
        /// Where from.
        from: String,
    },
    /// The document itself can't be removed.
    #[error("the whole document can't be removed")]
    Document,
    /// The result would nest deeper than is safe.
    #[error("the result would be deeper than {MAX_DEPTH} levels")]
    Depth,
    /// The copies would fill the memory.
    #[error("the copies of this patch add more than {} MiB", MAX_COPIED >> 20)]
    Copies,
}

/// Applies all operations, one after another, or none.
///
/// Values in a `test` are compared as the RFC says: numbers by what they count, so that 1 and
/// 1.0 are equal, mappings in any order of keys. Keys that are no strings can be found, changed
/// and removed by how they are written, but those that `add` makes are strings.
///
/// # Errors
/// [`PatchError`] about the first operation that failed.
pub fn json_patch(target: &Value, operations: &[Operation]) -> Result<Value, PatchError> {
    let mut document = target.clone();
    let mut copied = 0;
    for (at, operation) in operations.iter().enumerate() {
        apply(&mut document, operation, &mut copied).map_err(|reason| PatchError {
            number: at + 1,
            operation: operation.name(),
            path: operation.path().clone(),
            reason,
        })?;
    }
    Ok(document)
}

fn apply(document: &mut Value, operation: &Operation, copied: &mut usize) -> Result<(), Reason> {
    match operation {
        Operation::Add { path, value } => add(document, path, value.clone()),
        Operation::Remove { path } => remove(document, path).map(drop),
        Operation::Replace { path, value } => {
            check_depth(path, value)?;
            path.get_mut(document)?.clone_from(value);
            Ok(())
        }
        Operation::Move { from, path } => {
            if from == path {
                return from.get(document).map(drop).map_err(Reason::from);
            }
            if path.tokens().starts_with(from.tokens()) {
                let from = quoted(from);
                return Err(Reason::IntoItself { from });
            }
            let value = remove(document, from)?;
            add(document, path, value)
        }
        Operation::Copy { from, path } => {
            let value = from.get(document)?;
            *copied += weight(value);
            if *copied > MAX_COPIED {
                return Err(Reason::Copies);
            }
            let value = value.clone();
            add(document, path, value)
        }
        Operation::Test { path, value } => {
            let found = path.get(document)?;
            if is_equal(found, value) {
                return Ok(());
            }
            Err(Reason::Differs {
                found: shown(found),
                expected: shown(value),
            })
        }
    }
}

fn add(document: &mut Value, path: &Pointer, value: Value) -> Result<(), Reason> {
    check_depth(path, &value)?;
    let Some((parent, token)) = path.split_last() else {
        *document = value;
        return Ok(());
    };
    let parent = parent.get_mut(document)?;
    match parent {
        Value::Mapping(mapping) => {
            let key = find_key(mapping, token).unwrap_or_else(|| token.into());
            mapping.insert(key, value);
            return Ok(());
        }
        Value::Sequence(list) => {
            let at = match token {
                "-" => Some(list.len()),
                token => index(token).filter(|at| *at <= list.len()),
            };
            if let Some(at) = at {
                list.insert(at, value);
                return Ok(());
            }
        }
        _ => {}
    }
    Err(path.lost(path.tokens().len() - 1, parent).into())
}

fn remove(document: &mut Value, path: &Pointer) -> Result<Value, Reason> {
    let (parent, token) = path.split_last().ok_or(Reason::Document)?;
    let parent = parent.get_mut(document)?;
    let removed = match parent {
        Value::Mapping(mapping) => {
            find_key(mapping, token).and_then(|key| mapping.shift_remove(&key))
        }
        Value::Sequence(list) => index(token)
            .filter(|at| *at < list.len())
            .map(|at| list.remove(at)),
        _ => None,
    };
    removed.ok_or_else(|| path.lost(path.tokens().len() - 1, parent).into())
}

fn check_depth(path: &Pointer, value: &Value) -> Result<(), Reason> {
    let is_safe = path.tokens().len() + depth(value) <= MAX_DEPTH;
    is_safe.then_some(()).ok_or(Reason::Depth)
}

fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Mapping(mapping) => mapping.values().map(depth).max(),
        Value::Sequence(list) => list.iter().map(depth).max(),
        Value::Tagged(tagged) => Some(depth(&tagged.value)),
        _ => None,
    };
    deepest.map_or(0, |depth| depth + 1)
}

fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Sequence(list) => list.iter().map(weight).sum(),
            Value::Mapping(mapping) => mapping
                .iter()
                .map(|(key, value)| weight(key) + weight(value))
                .sum(),
            Value::Tagged(tagged) => weight(&tagged.value),
            _ => 0,
        }
}

/// Equality as RFC 6902, 4.6 has it.
fn is_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || is_equal_number(a, b),
        (Value::Sequence(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_equal(a, b))
        }
        (Value::Mapping(a), Value::Mapping(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| is_equal(a, b)))
        }
        (Value::Tagged(a), Value::Tagged(b)) => a.tag == b.tag && is_equal(&a.value, &b.value),
        _ => a == b,
    }
}

/// An integer and a float that count the same. Both ways, as a float holds not every integer.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "casts saturate, and i128 has room for what they saturate at"
)]
fn is_equal_number(a: &Number, b: &Number) -> bool {
    let integer = |number: &Number| {
        let unsigned = number.as_u64().map(i128::from);
        unsigned.or_else(|| number.as_i64().map(i128::from))
    };
    let (integer, float) = match (integer(a), integer(b)) {
        (Some(a), None) => (a, b.as_f64()),
        (None, Some(b)) => (b, a.as_f64()),
        _ => return false,
    };
    float.is_some_and(|float| float as i128 == integer && integer as f64 == float)
}

/// A value for an error, cut short.
fn shown(value: &Value) -> String {
    const MAX: usize = 80;
    let text = match value {
        Value::Mapping(mapping) if !mapping.is_empty() => {
            return format!("a mapping with {} keys", mapping.len());
        }
        Value::Sequence(list) if !list.is_empty() => {
            return format!("a list of {} elements", list.len());
        }
        scalar => serde_yaml::to_string(scalar).unwrap_or_default(),
    };
    let line = text.trim_end().replace('\n', " ");
    match line.char_indices().nth(MAX) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests;
