//! One change as it was typed.

use std::fmt;

use super::{ChangeError, Result};
use crate::config::fields::{Kind, field, from_internal};
use crate::merge::path::Selector;

/// A change: what is done to which values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub(super) path: Selector,
    pub(super) verb: Verb,
    pub(super) text: String,
    pub(super) as_string: bool,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Unset,
    Replace,
    Add,
    Remove,
}

/// As a message goes on after "cannot".
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.verb {
            Verb::Unset => "unset",
            Verb::Replace => "set",
            Verb::Add => "add to",
            Verb::Remove => "remove from",
        };
        write!(f, "{verb} {}", self.path)
    }
}

impl Change {
    /// Removes what is at a path.
    ///
    /// # Errors
    /// When the path can't be read.
    pub fn unset(kind: Kind, path: &str) -> Result<Self> {
        Ok(Self {
            path: selector(kind, path)?,
            verb: Verb::Unset,
            text: String::new(),
            as_string: false,
        })
    }

    /// What `path=value`, `path+=value` or `path-=value` says. A value in a field that holds no
    /// string is of the field's type.
    ///
    /// # Errors
    /// When it is none of these, when the path can't be read, or when it is several at once as
    /// kOps takes them.
    pub fn set(kind: Kind, typed: &str) -> Result<Self> {
        let change = Self::read(kind, typed)?;
        match second(kind, &change.text) {
            None => Ok(change),
            Some(second) => Err(ChangeError::new(format!(
                "'{second}' is another change in the value of {}",
                change.path
            ))
            .hint("give --set once for each; --set-string takes a value as it stands")),
        }
    }

    /// As [`set`](Self::set) with a `=`, but the value is a string, whatever the field holds.
    ///
    /// # Errors
    /// When it is no `path=value` or the path can't be read.
    pub fn set_string(kind: Kind, typed: &str) -> Result<Self> {
        let mut change = Self::read(kind, typed)?;
        if change.verb != Verb::Replace {
            return Err(ChangeError::new(format!(
                "cannot {change}: a string replaces what is there"
            ))
            .hint("write path=value"));
        }
        change.as_string = true;
        Ok(change)
    }

    fn read(kind: Kind, typed: &str) -> Result<Self> {
        let Some(end) = equals(typed) else {
            return Err(
                ChangeError::new(format!("'{}' has no '='", short(typed))).hint(
                    "write path=value; path+=value adds to a list or map, path-=value takes away",
                ),
            );
        };
        let (path, text) = (&typed[..end], &typed[end + 1..]);
        let (path, verb) = match path.as_bytes().last() {
            Some(b'+') => (&path[..end - 1], Verb::Add),
            Some(b'-') => (&path[..end - 1], Verb::Remove),
            _ => (path, Verb::Replace),
        };
        Ok(Self {
            path: selector(kind, path)?,
            verb,
            text: text.to_owned(),
            as_string: false,
        })
    }
}

/// Where the `=` behind the path stands; there may be others in brackets and quotes.
fn equals(typed: &str) -> Option<usize> {
    let mut in_brackets = false;
    let mut quote = None;
    for (at, c) in typed.char_indices() {
        match (c, quote) {
            (c, Some(open)) => quote = (c != open).then_some(open),
            ('"' | '\'', None) => quote = Some(c),
            ('[', None) => in_brackets = true,
            (']', None) => in_brackets = false,
            ('=', None) if !in_brackets => return Some(at),
            _ => {}
        }
    }
    None
}

/// A path. As kOps does, it takes the kind's name before it, and `/` for `.`.
fn selector(kind: Kind, typed: &str) -> Result<Selector> {
    let typed = typed.trim();
    let prefix = match kind {
        Kind::Cluster => "cluster.",
        _ => "instancegroup.",
    };
    let path = typed.strip_prefix(prefix).unwrap_or(typed);
    let path = match path.split_once('/') {
        Some(("spec" | "metadata", _)) => path.replace('/', "."),
        _ => path.to_owned(),
    };
    let selector: Selector = match path.as_str() {
        "" | "." => {
            return Err(ChangeError::new("a change names no field")
                .hint("write it like spec.channel=stable"));
        }
        path => path
            .parse()
            .map_err(|error: crate::merge::path::SelectorError| {
                ChangeError::new(error.to_string())
            })?,
    };
    Ok(selector)
}

/// The second of several changes in one, as kOps's `--set a=1,b=2` takes them.
fn second(kind: Kind, text: &str) -> Option<String> {
    text.split(',').skip(1).find_map(|part| {
        let path = &part[..equals(part)?];
        let bare = path.trim().trim_end_matches(['+', '-']);
        let is_long = bare.contains(['.', '/']);
        let selector = selector(kind, bare).ok().filter(|_| is_long)?;
        let path = selector.field();
        let is_field = field(kind, &path).is_some() || from_internal(kind, &path).is_some();
        is_field.then(|| short(bare))
    })
}

/// What was typed, as far as a message needs it.
fn short(typed: &str) -> String {
    typed.chars().take(80).collect()
}
