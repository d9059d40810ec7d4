//! Tables of data whose fields have types.

use serde_json::{Map, Value as Json};

use crate::lua::error::ScriptError;
use crate::text::did_you_mean;
use crate::units;

pub(super) fn unknown<'a>(
    what: &str,
    name: &str,
    near: &str,
    known: impl Iterator<Item = &'a str>,
) -> ScriptError {
    ScriptError::invalid(format!("{what} has the unknown field '{name}'{near}")).hint(format!(
        "the fields are {}",
        known.collect::<Vec<_>>().join(", ")
    ))
}

/// A table whose fields have types.
pub(super) struct Fields<'a> {
    pub(super) what: &'a str,
    pub(super) fields: &'a Map<String, Json>,
}

impl<'a> Fields<'a> {
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ScriptError> {
        let strange = self
            .fields
            .keys()
            .find(|name| !known.contains(&name.as_str()));
        strange.map_or(Ok(()), |name| {
            let near = did_you_mean(name, known.iter().copied());
            Err(unknown(self.what, name, &near, known.iter().copied()))
        })
    }

    pub(super) fn wrong<T>(&self, name: &str, expected: &str) -> Result<T, ScriptError> {
        let what = self.what;
        Err(ScriptError::invalid(format!(
            "'{name}' of {what} must be {expected}"
        )))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ScriptError> {
        match self.fields.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => self.wrong(name, "a text"),
        }
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ScriptError> {
        match self.fields.get(name) {
            None => Ok(default),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(_) => self.wrong(name, "true or false"),
        }
    }

    pub(super) fn size(&self, name: &str) -> Result<Option<u64>, ScriptError> {
        let size = match self.fields.get(name) {
            None => return Ok(None),
            Some(Json::Number(number)) => number.as_u64(),
            Some(Json::String(text)) => units::size(text).ok(),
            Some(_) => None,
        };
        match size {
            Some(size) => Ok(Some(size)),
            None => self.wrong(name, "a size like \"8MiB\""),
        }
    }

    pub(super) fn table(&self, name: &str) -> Result<Option<&'a Map<String, Json>>, ScriptError> {
        match self.fields.get(name) {
            None => Ok(None),
            Some(Json::Object(fields)) => Ok(Some(fields)),
            // What is empty may be either.
            Some(Json::Array(items)) if items.is_empty() => Ok(None),
            Some(_) => self.wrong(name, "a table with names"),
        }
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<String>, ScriptError> {
        self.fields
            .get(name)
            .map_or(Ok(Vec::new()), |list| texts(name, list))
    }
}

pub(super) fn texts(name: &str, list: &Json) -> Result<Vec<String>, ScriptError> {
    let items = match list {
        Json::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Json::Object(fields) if fields.is_empty() => Some(Vec::new()),
        _ => None,
    };
    items.ok_or_else(|| {
        ScriptError::invalid(format!("'{name}' of a backend must be a list of texts"))
    })
}
