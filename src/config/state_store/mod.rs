//! Where the state store is: read from the same places, in the same order, as kOps does
//! (`cmd/kops/root.go`, `cmd/kops/util/factory.go`), and told how it was found.

mod explain;
mod update;
mod warnings;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_yaml::Value;

use super::host;
use super::mask::mask;
use crate::merge::document::{Document, Path as YamlPath};
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Result, StoreUrl};

pub use update::{check_file, set_in_file, update_file};

const VARIABLE: &str = "KOPS_STATE_STORE";

/// What was said on the command line.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// `--state`. Given as an empty string it counts too, and means none.
    pub state_flag: Option<String>,
    /// `--config`: the file to read instead of the usual ones.
    pub config_flag: Option<PathBuf>,
}

/// The kinds of places where kOps looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// The `--state` flag.
    Flag,
    /// The variable `KOPS_STATE_STORE`.
    Environment,
    /// A configuration file: there is a file to rewrite.
    File,
}

/// What was found in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", content = "detail", rename_all = "snake_case")]
pub enum Found {
    /// A value, as it stands there.
    Value(#[serde(serialize_with = "masked")] String),
    /// The flag or variable is not set.
    NotSet,
    /// The file doesn't exist.
    Missing,
    /// The file can't be read: the system's words.
    Unreadable(String),
    /// The file is no YAML mapping: where and why.
    Invalid(String),
    /// The file has no key `kops_state_store`.
    WithoutKey,
    /// The file isn't read, because an earlier one exists: that one.
    Hidden(String),
}

/// One place where kOps looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// What kind of place.
    pub kind: SourceKind,
    /// Its name: `--state`, `KOPS_STATE_STORE`, or the file's path.
    pub name: String,
    /// What stands there.
    #[serde(flatten)]
    pub found: Found,
    /// Whether this place decides.
    pub won: bool,
}

/// Something that works in kOps, but hardly as it was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

/// Where the state store is, and how that was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolution {
    /// Every place, in the order in which kOps looks.
    pub sources: Vec<Source>,
    /// The state store, with one trailing slash taken off; `None` when no place names one.
    #[serde(serialize_with = "masked_option")]
    pub value: Option<String>,
    /// Why it is this one.
    pub reason: String,
    /// What is confusing about it.
    pub warnings: Vec<Warning>,
}

/// Credentials that somebody put into a URL are refused later, but not shown even so.
fn masked<S: serde::Serializer>(value: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&mask(value))
}

#[expect(clippy::ref_option, reason = "serde hands it over like this")]
fn masked_option<S: serde::Serializer>(
    value: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.as_deref().map(mask).serialize(serializer)
}

/// Finds out where the state store is. Reads the files that kOps would read, never fails: what
/// is wrong with a place stands with it.
#[must_use]
pub fn resolve(inputs: &Inputs, env: &Env) -> Resolution {
    let mut sources = vec![flag_source(inputs), env_source(env)];
    sources.extend(file_sources(inputs, env));
    let winner = sources
        .iter()
        .position(|source| matches!(source.found, Found::Value(_)));
    let mut value = None;
    if let Some(winner) = winner.and_then(|at| sources.get_mut(at)) {
        winner.won = true;
        if let Found::Value(text) = &winner.found {
            value = Some(text.strip_suffix('/').unwrap_or(text).to_owned());
        }
    }
    let value = value.filter(|value| !value.is_empty());
    let mut warnings = warnings::of_files(&sources);
    warnings.extend(value.iter().flat_map(|value| warnings::of_value(value)));
    Resolution {
        reason: reason(&sources, value.is_some()),
        sources,
        value,
        warnings,
    }
}

impl Resolution {
    /// The state store, ready to be opened.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when no place names one, or when what they name is no URL that
    /// could be one.
    pub fn store_url(&self) -> Result<StoreUrl> {
        let Some(value) = &self.value else {
            let message = format!("no state store is set: {}", self.reason);
            let error = Error::new(ErrorKind::Invalid, "find the state store", message);
            return Err(match self.warnings.last() {
                Some(Warning { message, fix }) => error.hint(format!("{message}; {fix}")),
                None => error.hint(format!(
                    "pass --state, export {VARIABLE}=s3://BUCKET, \
                     or write 'kops_state_store: s3://BUCKET' to ~/.kops.yaml"
                )),
            });
        };
        match (StoreUrl::parse(value), value.split_once('?')) {
            // kOps doesn't look at a query at all, so one that says nothing to us must not matter.
            (Err(_), Some((without, _))) if value.contains("://") => StoreUrl::parse(without),
            (url, _) => url,
        }
    }

    /// The file that the state store was read from, when it was one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.sources
            .iter()
            .find(|source| source.won && source.kind == SourceKind::File)
            .map(|source| Path::new(&source.name))
    }
}

fn flag_source(inputs: &Inputs) -> Source {
    source(SourceKind::Flag, "--state", inputs.state_flag.as_deref())
}

fn env_source(env: &Env) -> Source {
    source(SourceKind::Environment, VARIABLE, env.get(VARIABLE))
}

fn source(kind: SourceKind, name: &str, value: Option<&str>) -> Source {
    Source {
        kind,
        name: name.to_owned(),
        found: value.map_or(Found::NotSet, |value| Found::Value(value.to_owned())),
        won: false,
    }
}

/// The file of `--config`, else the first of the usual ones that exists; they are not merged.
fn file_sources(inputs: &Inputs, env: &Env) -> Vec<Source> {
    let paths = match (&inputs.config_flag, env.home()) {
        (Some(path), _) => vec![path.clone()],
        (None, Some(home)) => vec![home.join(".kops.yaml"), home.join(".kops/config")],
        (None, None) => vec![],
    };
    let mut first: Option<String> = None;
    paths
        .into_iter()
        .map(|path| {
            let name = path.display().to_string();
            let found = match &first {
                Some(first) if path.exists() => Found::Hidden(first.clone()),
                Some(_) => Found::Missing,
                None => read_key(&path),
            };
            if found != Found::Missing {
                first = first.take().or_else(|| Some(name.clone()));
            }
            Source {
                kind: SourceKind::File,
                name,
                found,
                won: false,
            }
        })
        .collect()
}

fn read_key(path: &Path) -> Found {
    match host::read(path) {
        Ok(text) => key_in(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Found::Missing,
        Err(error) => Found::Unreadable(error.to_string()),
    }
}

fn key_in(text: &str) -> Found {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(fault) => return Found::Invalid(fault.to_string()),
    };
    match document.get(0, &YamlPath::default()) {
        None | Some(Value::Null) => Found::WithoutKey,
        Some(Value::Mapping(_)) => match key_of(&document).map(|(_, value)| value) {
            Some(Value::String(value)) => Found::Value(value),
            Some(Value::Number(value)) => Found::Value(value.to_string()),
            Some(Value::Bool(value)) => Found::Value(value.to_string()),
            _ => Found::WithoutKey,
        },
        Some(_) => Found::Invalid("the file is no YAML mapping".into()),
    }
}

/// The key `kops_state_store` in any case, as it is spelled, with its value.
fn key_of(document: &Document) -> Option<(String, Value)> {
    let top = document.get(0, &YamlPath::default())?.as_mapping()?;
    top.iter().find_map(|(key, value)| {
        let key = key.as_str()?;
        key.eq_ignore_ascii_case(VARIABLE)
            .then(|| (key.to_owned(), value.clone()))
    })
}

fn reason(sources: &[Source], has_value: bool) -> String {
    match sources.iter().find(|source| source.won) {
        Some(winner) if !has_value => format!("{} is set to nothing", winner.name),
        Some(winner) => {
            let why = match winner.kind {
                SourceKind::Flag => "it comes before all others",
                SourceKind::Environment => "--state is not given",
                SourceKind::File => "neither --state nor the variable is set",
            };
            format!("from {}: {why}", winner.name)
        }
        None => "neither --state, nor the variable, nor a configuration file names one".into(),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests' own files")]
mod tests;
