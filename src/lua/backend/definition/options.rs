//! The options that a backend's stores have.

use serde_json::{Map, Value as Json};

use super::fields::Fields;
use crate::lua::error::ScriptError;
use crate::store::StoreUrl;
use crate::text::did_you_mean;
use crate::units;

/// An option of a store, on its URL or in kstate's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreOption {
    /// Its name.
    pub name: String,
    /// What it may be.
    pub kind: Kind,
    /// What it means.
    pub doc: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it is when it isn't given.
    pub default: Option<String>,
}

/// What an option may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A time, such as `30s`.
    Duration,
    /// A number of bytes, such as `8MiB`.
    Size,
    /// Several texts with commas between them.
    List,
    /// The URL of another store.
    Store,
}

const KINDS: [(&str, Kind); 7] = [
    ("string", Kind::String),
    ("boolean", Kind::Boolean),
    ("integer", Kind::Integer),
    ("duration", Kind::Duration),
    ("size", Kind::Size),
    ("list", Kind::List),
    ("store", Kind::Store),
];

impl Kind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = KINDS.iter().find(|(_, kind)| *kind == self);
        named.map_or("string", |(name, _)| name)
    }

    pub(super) fn check(self, text: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("'{text}' is no {what}"));
        match self {
            Self::Integer if text.parse::<i64>().is_err() => wrong("whole number"),
            Self::Boolean if text.parse::<bool>().is_err() => wrong("true or false"),
            Self::Duration => units::duration(text).map(drop),
            Self::Size => units::size(text).map(drop),
            Self::Store => StoreUrl::parse(text)
                .map(drop)
                .map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }
}

/// Reads the field `options`.
pub(super) fn options(list: Option<&Json>) -> Result<Vec<StoreOption>, ScriptError> {
    let items = match list {
        None => return Ok(Vec::new()),
        Some(Json::Array(items)) => items.as_slice(),
        Some(Json::Object(fields)) if fields.is_empty() => &[],
        Some(_) => return Err(no_options()),
    };
    items
        .iter()
        .map(|item| option(item.as_object().ok_or_else(no_options)?))
        .collect()
}

fn no_options() -> ScriptError {
    ScriptError::invalid("'options' of a backend is a list, with a name in each item")
        .hint("options = { { name = \"store\", type = \"store\", required = true }, … }")
}

fn option(fields: &Map<String, Json>) -> Result<StoreOption, ScriptError> {
    let name = fields
        .get("name")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let what = format!("the option '{name}'");
    let fields = Fields {
        what: &what,
        fields,
    };
    fields.only(&["name", "type", "doc", "required", "default"])?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(plain)
        || name == "url"
    {
        return Err(
            ScriptError::invalid(format!("'{name}' can't be the name of an option"))
                .hint("write it in small letters with underscores, and not as 'url'"),
        );
    }
    let kind = fields.text("type")?.unwrap_or("string");
    let kinds = || KINDS.iter().map(|(name, _)| *name);
    let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let near = did_you_mean(kind, kinds());
        return Err(
            ScriptError::invalid(format!("{what} has the unknown type '{kind}'{near}")).hint(
                format!("the types are {}", kinds().collect::<Vec<_>>().join(", ")),
            ),
        );
    };
    let default = match fields.fields.get("default") {
        None => None,
        Some(Json::String(text)) => Some(text.clone()),
        Some(Json::Number(number)) => Some(number.to_string()),
        Some(Json::Bool(flag)) => Some(flag.to_string()),
        Some(_) => return fields.wrong("default", "a text, a number, true or false"),
    };
    if let Some(default) = &default {
        let checked = kind.check(default);
        checked.map_err(|wrong| ScriptError::invalid(format!("the default of {what}: {wrong}")))?;
    }
    Ok(StoreOption {
        name: name.to_owned(),
        kind: *kind,
        doc: fields.text("doc")?.unwrap_or_default().to_owned(),
        required: fields.flag("required", false)?,
        default,
    })
}
