//! The form of a JSON Patch: a list of mappings (RFC 6902, 3 and 4).

use serde_yaml::{Mapping, Value};

use super::Operation;
use crate::merge::pointer::{Pointer, PointerError};

/// Why a value is no JSON Patch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// It is no list.
    #[error("a JSON Patch (RFC 6902) is a list of operations; for a merge patch use another call")]
    NoList,
    /// An element is no mapping.
    #[error("operation {number} is no mapping with `op` and `path`")]
    NoMapping {
        /// Which operation, counting from 1.
        number: usize,
    },
    /// A member is missing or no text.
    #[error("operation {number}: `{member}` must be there and be a text")]
    Member {
        /// Which operation, counting from 1.
        number: usize,
        /// What is missing.
        member: &'static str,
    },
    /// The value is missing; null would be one.
    #[error("operation {number}: `{operation}` needs a `value`")]
    NoValue {
        /// Which operation, counting from 1.
        number: usize,
        /// What it is called.
        operation: String,
    },
    /// No such operation.
    #[error(
        "operation {number}: there is no `{operation}`, only add, remove, replace, move, copy and \
         test"
    )]
    Unknown {
        /// Which operation, counting from 1.
        number: usize,
        /// What it is called.
        operation: String,
    },
    /// A path is wrong.
    #[error("operation {number}: `{member}`: {error}")]
    Pointer {
        /// Which operation, counting from 1.
        number: usize,
        /// `path` or `from`.
        member: &'static str,
        /// What is wrong.
        error: PointerError,
    },
}

impl Operation {
    /// The operations of a JSON Patch document. Members that the RFC does not name are ignored,
    /// as it wants.
    ///
    /// # Errors
    /// [`FormError`] about the first thing that is wrong.
    pub fn parse_all(patch: &Value) -> Result<Vec<Self>, FormError> {
        let list = patch.as_sequence().ok_or(FormError::NoList)?;
        list.iter()
            .zip(1..)
            .map(|(operation, number)| {
                let members = operation
                    .as_mapping()
                    .ok_or(FormError::NoMapping { number })?;
                parse(&Members { members, number })
            })
            .collect()
    }

    /// The operation as an element of a JSON Patch document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let from = match self {
            Self::Move { from, .. } | Self::Copy { from, .. } => Some(from),
            _ => None,
        };
        let value = match self {
            Self::Add { value, .. } | Self::Replace { value, .. } | Self::Test { value, .. } => {
                Some(value)
            }
            _ => None,
        };
        let members = [
            Some(("op", self.name().into())),
            from.map(|from| ("from", from.to_string().into())),
            Some(("path", self.path().to_string().into())),
            value.map(|value| ("value", value.clone())),
        ];
        let members = members.into_iter().flatten();
        Value::Mapping(members.map(|(name, value)| (name.into(), value)).collect())
    }

    /// What the operation is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add",
            Self::Remove { .. } => "remove",
            Self::Replace { .. } => "replace",
            Self::Move { .. } => "move",
            Self::Copy { .. } => "copy",
            Self::Test { .. } => "test",
        }
    }

    /// Where it applies.
    #[must_use]
    pub fn path(&self) -> &Pointer {
        match self {
            Self::Add { path, .. }
            | Self::Remove { path }
            | Self::Replace { path, .. }
            | Self::Move { path, .. }
            | Self::Copy { path, .. }
            | Self::Test { path, .. } => path,
        }
    }
}

struct Members<'a> {
    members: &'a Mapping,
    number: usize,
}

impl Members<'_> {
    fn text(&self, member: &'static str) -> Result<&str, FormError> {
        let number = self.number;
        let text = self.members.get(member).and_then(Value::as_str);
        text.ok_or(FormError::Member { number, member })
    }

    fn pointer(&self, member: &'static str) -> Result<Pointer, FormError> {
        let number = self.number;
        self.text(member)?
            .parse()
            .map_err(|error| FormError::Pointer {
                number,
                member,
                error,
            })
    }

    fn value(&self, operation: &str) -> Result<Value, FormError> {
        let value = self.members.get("value").cloned();
        value.ok_or_else(|| FormError::NoValue {
            number: self.number,
            operation: operation.to_owned(),
        })
    }
}

fn parse(members: &Members<'_>) -> Result<Operation, FormError> {
    let operation = members.text("op")?;
    let path = members.pointer("path")?;
    Ok(match operation {
        "add" => Operation::Add {
            path,
            value: members.value(operation)?,
        },
        "remove" => Operation::Remove { path },
        "replace" => Operation::Replace {
            path,
            value: members.value(operation)?,
        },
        "move" => Operation::Move {
            from: members.pointer("from")?,
            path,
        },
        "copy" => Operation::Copy {
            from: members.pointer("from")?,
            path,
        },
        "test" => Operation::Test {
            path,
            value: members.value(operation)?,
        },
        _ => {
            return Err(FormError::Unknown {
                number: members.number,
                operation: operation.to_owned(),
            });
        }
    })
}
