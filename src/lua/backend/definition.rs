//! What a backend says of itself: its schemes, what its stores can do, what a URL may tell it, and
//! what it needs to be granted.

mod abilities;
mod fields;
mod options;

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::literal;
use crate::config::permissions::{EnvName, HostRule};
use crate::lua::error::ScriptError;
use crate::lua::manifest::Manifest;
use crate::store::{Capabilities, StoreUrl};
use crate::text::did_you_mean;

pub(super) use abilities::{Abilities, Lists, algorithm, at_most};
use abilities::{capable, missing_functions};
use fields::{Fields, texts, unknown};
use options::options;
pub use options::{Kind, StoreOption};

/// The fields that are data.
pub(super) const DATA: [&str; 9] = [
    "scheme",
    "form",
    "summary",
    "capabilities",
    "beside",
    "options",
    "environment",
    "permissions",
    "wraps",
];

/// The functions that a backend may have.
pub(super) const FUNCTIONS: [&str; 7] = ["open", "stat", "read", "write", "delete", "list", "copy"];

/// What a backend says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The schemes of its URLs.
    pub schemes: Vec<String>,
    /// What stands behind `scheme://` in a URL.
    pub form: String,
    /// One sentence.
    pub summary: String,
    /// What its stores can do; of a store that wraps another, at most what that one can do too.
    pub capabilities: Capabilities,
    /// What else it does itself, so that it need not be derived.
    pub(super) abilities: Abilities,
    /// What an object has there beside its bytes, content type and user metadata: no copy to
    /// another kind of store takes it along.
    pub beside: Vec<String>,
    /// What a URL may tell it.
    pub options: Vec<StoreOption>,
    /// The environment variables that it reads, and what for.
    pub environment: Vec<(String, String)>,
    /// The option that names the store that it wraps.
    pub wraps: Option<String>,
    /// The hosts that it asks. `$authority` is the one in the URL, `$NAME` the one in an option.
    pub http: Vec<String>,
    /// The secret-looking environment variables that it reads.
    pub env: Vec<EnvName>,
}

/// Reads the field `environment`: a list of `{ name, doc }`.
fn environment(list: Option<&Json>) -> Result<Vec<(String, String)>, ScriptError> {
    let items = match list {
        None => return Ok(Vec::new()),
        Some(Json::Array(items)) => items,
        Some(_) => return Err(no_environment()),
    };
    let variable = |item: &Json| {
        let fields = Fields {
            what: "'environment' of a backend",
            fields: item.as_object().ok_or_else(no_environment)?,
        };
        fields.only(&["name", "doc"])?;
        let name = fields.text("name")?.ok_or_else(no_environment)?;
        Ok((
            name.to_owned(),
            fields.text("doc")?.unwrap_or_default().to_owned(),
        ))
    };
    items.iter().map(variable).collect()
}

fn no_environment() -> ScriptError {
    ScriptError::invalid("'environment' of a backend is a list of { name, doc }")
}

impl Definition {
    /// Reads a file's text without running it.
    ///
    /// # Errors
    /// `invalid`, with the line, for what is no backend.
    pub(crate) fn of_text(name: &str, text: &str) -> Result<Self, ScriptError> {
        let found = literal::read(text, &DATA).map_err(|fault| {
            ScriptError::invalid(format!("{name}:{}: {}", fault.line, fault.message))
        })?;
        Self::read(&found.data, &found.code).map_err(|fault| {
            let mut error = ScriptError::invalid(format!("{name}: {}", fault.message()));
            if let Some(hint) = fault.hint_text() {
                error = error.hint(hint);
            }
            error
        })
    }

    /// Reads the fields: those that are data, and the names of the others.
    pub(super) fn read(
        data: &Map<String, Json>,
        code: &BTreeSet<String>,
    ) -> Result<Self, ScriptError> {
        let known = || DATA.into_iter().chain(FUNCTIONS);
        for name in data.keys().chain(code) {
            if !known().any(|one| one == name) {
                let near = did_you_mean(name, known());
                return Err(unknown("a backend", name, &near, known()));
            }
        }
        let fields = Fields {
            what: "a backend",
            fields: data,
        };
        let schemes = match data.get("scheme") {
            Some(Json::String(scheme)) => vec![scheme.clone()],
            Some(list @ Json::Array(_)) => texts("scheme", list)?,
            _ => Vec::new(),
        };
        if schemes.is_empty() {
            return Err(ScriptError::invalid("a backend needs a 'scheme'")
                .hint("scheme = \"mine\" serves mine://NAME/folder"));
        }
        let empty = Map::new();
        let given = fields.table("capabilities")?.unwrap_or(&empty);
        let (capabilities, abilities) = capable(given, code)?;
        missing_functions(abilities, code)?;
        let permissions = fields.table("permissions")?.unwrap_or(&empty);
        let permissions = Fields {
            what: "'permissions' of a backend",
            fields: permissions,
        };
        permissions.only(&["http", "env"])?;
        let definition = Self {
            schemes,
            form: fields.text("form")?.unwrap_or("NAME/FOLDER").to_owned(),
            summary: fields.text("summary")?.unwrap_or_default().to_owned(),
            capabilities,
            abilities,
            beside: fields.list("beside")?,
            options: options(data.get("options"))?,
            environment: environment(data.get("environment"))?,
            wraps: fields.text("wraps")?.map(str::to_owned),
            http: permissions.list("http")?,
            env: permissions
                .list("env")?
                .iter()
                .map(|name| EnvName::parse(name).map_err(ScriptError::invalid))
                .collect::<Result<_, _>>()?,
        };
        definition.check()?;
        Ok(definition)
    }

    fn check(&self) -> Result<(), ScriptError> {
        let has = |name: &str, kind: Option<Kind>| {
            let mut options = self.options.iter();
            options.any(|option| option.name == name && kind.is_none_or(|kind| option.kind == kind))
        };
        if let Some(wraps) = &self.wraps
            && !has(wraps, Some(Kind::Store))
        {
            return Err(ScriptError::invalid(format!(
                "'wraps' of a backend names '{wraps}', which is no option of the type 'store'"
            )));
        }
        for host in &self.http {
            match host.strip_prefix('$') {
                Some("authority") => {}
                Some(option) if has(option, None) => {}
                Some(option) => {
                    return Err(ScriptError::invalid(format!(
                        "'permissions.http' of a backend names '${option}', and there is no such option"
                    )));
                }
                None => {
                    HostRule::parse(host).map_err(ScriptError::invalid)?;
                }
            }
        }
        Ok(())
    }

    /// Checks the options of a URL.
    ///
    /// # Errors
    /// `invalid` for an option that doesn't exist, that is missing, or that is of another type.
    pub(super) fn check_options(&self, url: &StoreUrl) -> Result<(), ScriptError> {
        let names = || self.options.iter().map(|option| option.name.as_str());
        for name in url.options.keys() {
            if !names().any(|known| known == name) {
                let near = did_you_mean(name, names());
                return Err(ScriptError::invalid(format!(
                    "there is no option '{name}' of {}:// stores{near}",
                    url.scheme
                ))
                .hint(match names().next() {
                    Some(_) => {
                        format!("the options are {}", names().collect::<Vec<_>>().join(", "))
                    }
                    None => "they have no options".to_owned(),
                }));
            }
        }
        for option in &self.options {
            match url.options.get(&option.name) {
                Some(text) => option.kind.check(text).map_err(|wrong| {
                    ScriptError::invalid(format!("the option '{}': {wrong}", option.name))
                })?,
                None if option.required => {
                    return Err(ScriptError::invalid(format!(
                        "{}:// stores need the option '{}': {}",
                        url.scheme, option.name, option.doc
                    ))
                    .hint(format!(
                        "write it on the URL as ?{}=…, or beside it in kstate's configuration",
                        option.name
                    )));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// What a store at a URL needs to be granted, and what of it the URL itself grants: the hosts
    /// that whoever opened the store named.
    pub(super) fn needs(&self, url: &StoreUrl) -> Result<(Manifest, Vec<HostRule>), ScriptError> {
        let mut manifest = Manifest {
            env: self.env.clone(),
            ..Manifest::default()
        };
        let mut named = Vec::new();
        for host in &self.http {
            let text = match host.strip_prefix('$') {
                None => {
                    let rule = HostRule::parse(host).map_err(ScriptError::invalid)?;
                    manifest.http.push(rule);
                    continue;
                }
                Some("authority") => Some(url.authority.as_str()),
                Some(option) => url.options.get(option).map(String::as_str),
            };
            if let Some(text) = text {
                let host = host_of(text).map_err(ScriptError::invalid)?;
                named.push(host);
            }
        }
        Ok((manifest, named))
    }
}

/// The host in a URL, or one that stands alone. A port that goes without saying is left out:
/// whether it is HTTP's or HTTPS's, the backend alone knows.
fn host_of(text: &str) -> Result<HostRule, String> {
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = url::Url::parse(&full).map_err(|error| format!("'{text}' names no host: {error}"))?;
    match url.host() {
        Some(host) => {
            let port = url.port().filter(|port| ![80, 443].contains(port));
            Ok(HostRule::exactly(host.to_owned(), port))
        }
        None => Err(format!("'{text}' names no host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_goes_without_saying_is_none() {
        for (text, host) in [
            ("example.com", "example.com"),
            ("example.com:443", "example.com"),
            ("example.com:80", "example.com"),
            ("example.com:2379", "example.com:2379"),
            ("https://example.com:443/x", "example.com"),
            ("[::1]:8200", "[::1]:8200"),
        ] {
            assert_eq!(host_of(text).unwrap().to_string(), host);
        }
    }
}
