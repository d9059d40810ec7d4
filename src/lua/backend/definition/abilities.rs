//! What a backend's stores can do, and what the backend does itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::fields::Fields;
use crate::lua::error::ScriptError;
use crate::store::{Algorithm, Capabilities};

/// What a backend does itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent ability"
)]
pub(in crate::lua::backend) struct Abilities {
    pub(in crate::lua::backend) writes: bool,
    pub(in crate::lua::backend) copies: bool,
    pub(in crate::lua::backend) range: bool,
    pub(in crate::lua::backend) read_if_match: bool,
    pub(in crate::lua::backend) start_after: bool,
    pub(in crate::lua::backend) lists: Lists,
    pub(in crate::lua::backend) sorted: bool,
    pub(in crate::lua::backend) empty_folders: bool,
}

/// Which listings it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lua::backend) enum Lists {
    Recursive,
    OneLevel,
    Both,
}

/// Reads the field `capabilities`.
pub(super) fn capable(
    given: &Map<String, Json>,
    code: &BTreeSet<String>,
) -> Result<(Capabilities, Abilities), ScriptError> {
    let fields = Fields {
        what: "'capabilities' of a backend",
        fields: given,
    };
    fields.only(&[
        "if_absent",
        "if_match",
        "delete_if_match",
        "proven_conditions",
        "copy_conditions",
        "max_conditional",
        "checksum",
        "hierarchical",
        "metadata",
        "ephemeral",
        "max_key",
        "max_size",
        "read_only",
        "range",
        "read_if_match",
        "start_after",
        "list",
        "sorted",
        "empty_folders",
    ])?;
    let flag = |name| fields.flag(name, false);
    let checksum = match fields.text("checksum")? {
        None => None,
        Some(name) => match algorithm(name) {
            None => {
                let names = Algorithm::ALL.map(Algorithm::name);
                let (last, others) = names.split_last().unwrap_or((&"", &[]));
                let expected = format!("{} or {last}", others.join(", "));
                return fields.wrong("checksum", &expected);
            }
            found => found,
        },
    };
    let capabilities = Capabilities {
        if_absent: flag("if_absent")?,
        if_match: flag("if_match")?,
        proven_conditions: flag("proven_conditions")?,
        delete_if_match: flag("delete_if_match")?,
        copy_conditions: flag("copy_conditions")?,
        max_conditional: fields.size("max_conditional")?,
        // What was sent is compared with a checksum where the backend gives one.
        verified_writes: false,
        checksum,
        server_copy: code.contains("copy"),
        hierarchical: flag("hierarchical")?,
        metadata: flag("metadata")?,
        ephemeral: flag("ephemeral")?,
        max_key: fields
            .size("max_key")?
            .map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
        max_size: fields.size("max_size")?,
    };
    let abilities = Abilities {
        writes: !flag("read_only")?,
        copies: code.contains("copy"),
        range: flag("range")?,
        read_if_match: flag("read_if_match")?,
        start_after: flag("start_after")?,
        lists: match fields.text("list")?.unwrap_or("recursive") {
            "recursive" => Lists::Recursive,
            "one_level" => Lists::OneLevel,
            "both" => Lists::Both,
            _ => return fields.wrong("list", "\"recursive\", \"one_level\" or \"both\""),
        },
        sorted: fields.flag("sorted", true)?,
        empty_folders: flag("empty_folders")?,
    };
    Ok((capabilities, abilities))
}

/// The checksum of this name.
pub(in crate::lua::backend) fn algorithm(name: &str) -> Option<Algorithm> {
    Algorithm::ALL.into_iter().find(|one| one.name() == name)
}

/// Refuses a backend that forgot a function.
pub(super) fn missing_functions(
    abilities: Abilities,
    code: &BTreeSet<String>,
) -> Result<(), ScriptError> {
    let required: &[&str] = if abilities.writes {
        &["stat", "read", "write", "delete", "list"]
    } else {
        &["stat", "read", "list"]
    };
    let missing: Vec<_> = required
        .iter()
        .filter(|name| !code.contains(**name))
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let error = format!("a backend needs the function '{}'", missing.join("' and '"));
    Err(ScriptError::invalid(error).hint(
        "a backend has stat, read, write, delete and list; with capabilities = { read_only = true } no write and delete",
    ))
}

/// What a store can do that wraps another one.
pub(in crate::lua::backend) fn at_most(own: &Capabilities, inner: &Capabilities) -> Capabilities {
    fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
    Capabilities {
        if_absent: own.if_absent && inner.if_absent,
        if_match: own.if_match && inner.if_match,
        proven_conditions: own.proven_conditions && inner.proven_conditions,
        delete_if_match: own.delete_if_match && inner.delete_if_match,
        copy_conditions: own.copy_conditions && inner.copy_conditions,
        max_conditional: least(own.max_conditional, inner.max_conditional),
        verified_writes: own.verified_writes && inner.verified_writes,
        checksum: own.checksum.filter(|own| inner.checksum == Some(*own)),
        server_copy: own.server_copy && inner.server_copy,
        hierarchical: own.hierarchical || inner.hierarchical,
        metadata: own.metadata && inner.metadata,
        ephemeral: own.ephemeral || inner.ephemeral,
        max_key: least(own.max_key, inner.max_key),
        max_size: least(own.max_size, inner.max_size),
    }
}
