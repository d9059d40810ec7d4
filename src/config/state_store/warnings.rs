//! Where kOps does something else than was probably meant.

use std::path::Path;

use super::{Found, Source, SourceKind, Warning, read_key};
use crate::config::SCHEMES;
use crate::config::mask::mask;

fn warning(message: &str, fix: &str) -> Warning {
    Warning {
        message: mask(message),
        fix: mask(fix),
    }
}

pub(super) fn of_files(sources: &[Source]) -> Vec<Warning> {
    let files = || {
        sources
            .iter()
            .filter(|source| source.kind == SourceKind::File)
    };
    let mut warnings = Vec::new();
    for file in files() {
        let fault = match &file.found {
            Found::Unreadable(fault) => format!("can't be read: {fault}"),
            Found::Invalid(fault) => format!("is not used: {fault}"),
            _ => continue,
        };
        let message = format!("{} {fault}", file.name);
        warnings.push(warning(&message, "correct or remove it"));
    }
    let hidden = files().find_map(|file| match &file.found {
        Found::Hidden(by) => Some((file, by)),
        _ => None,
    });
    let first_has_none = files()
        .next()
        .is_some_and(|file| !matches!(file.found, Found::Value(_)));
    if let (Some((file, by)), true) = (hidden, first_has_none)
        && let Found::Value(value) = read_key(Path::new(&file.name))
    {
        warnings.push(warning(
            &format!(
                "{by} names no state store and hides {}, which does",
                file.name
            ),
            &format!("add 'kops_state_store: {value}' to {by}, or remove {by}"),
        ));
    }
    warnings
}

pub(super) fn of_value(value: &str) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let Some((scheme, rest)) = value.split_once("://") else {
        let scheme = value.split(':').next().unwrap_or_default();
        let rest = value[scheme.len()..].trim_start_matches([':', '/']);
        if value.contains(':') && SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) {
            let bucket = if rest.is_empty() { "BUCKET" } else { rest };
            warnings.push(warning(
                &format!("'{value}' is a path in the file system, as kOps reads it"),
                &format!("write {}://{bucket}", scheme.to_ascii_lowercase()),
            ));
        }
        return warnings;
    };
    if scheme.chars().any(|c| c.is_ascii_uppercase()) {
        warnings.push(warning(
            &format!("'{scheme}://' is no scheme that kOps knows: schemes are lower case"),
            &format!("write {}://{rest}", scheme.to_ascii_lowercase()),
        ));
    }
    if scheme == "file" {
        warnings.push(warning(
            "a cluster can't run on a state store in the file system: its nodes can't read it",
            "keep it for review and tests, and move it to an object store for use",
        ));
    } else if let Some((without, _)) = value.split_once('?') {
        warnings.push(warning(
            "kOps ignores what follows the '?'",
            &format!(
                "write {without}, and give the options to a named store in kstate's configuration"
            ),
        ));
    }
    warnings
}
