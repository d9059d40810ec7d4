//! The option that says how lists are merged.

use std::cmp::Reverse;

use mlua::{Table, Value};

use crate::lua::api::{Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::inspect;
use crate::merge::lists::{Lists, Pattern, PatternError, Strategy};
use crate::text::did_you_mean;

/// The option.
pub(in crate::lua::modules) const PARAM: Param = Param::optional(
    "lists",
    Type::Any,
    "how lists are merged: `\"replace\"` (the default), `\"append\"`, `\"union\"`, `\"kops\"`, or a \
     table by path; see `kstate.merge.deep`",
);

const STRATEGIES: [&str; 3] = ["replace", "append", "union"];

/// What the option says.
pub(in crate::lua::modules) fn of(options: &Options) -> mlua::Result<Lists> {
    Ok(match options.value("lists")? {
        Value::Nil => Lists::default(),
        Value::Table(rules) => by_path(&rules)?,
        other => everywhere(&other)?,
    })
}

fn everywhere(value: &Value) -> Result<Lists, ScriptError> {
    let name = value.as_string().map(mlua::LuaString::to_string_lossy);
    match name.as_deref() {
        Some("kops") => Ok(Lists::kops()),
        Some(name) if STRATEGIES.contains(&name) => strategy(value).map(Lists::all),
        _ => {
            let known = STRATEGIES.into_iter().chain(["kops"]);
            let near = name.map(|name| did_you_mean(&name, known));
            Err(ScriptError::invalid(format!(
                "option 'lists': {} is no strategy{}",
                inspect::one_line(value),
                near.unwrap_or_default()
            ))
            .hint("it is \"replace\", \"append\", \"union\", \"kops\" or a table by path"))
        }
    }
}

/// A table has no order, so of two rules for one list the one with fewer `*` wins.
fn by_path(rules: &Table) -> Result<Lists, ScriptError> {
    let mut lists = Lists::default();
    let mut sorted = Vec::new();
    for pair in rules.pairs::<Value, Value>() {
        let (path, value) = pair?;
        let Some(path) = path.as_string().map(mlua::LuaString::to_string_lossy) else {
            return Err(ScriptError::invalid(format!(
                "option 'lists': the key {} is no path of a list",
                inspect::one_line(&path)
            )));
        };
        let is_kops = value.as_string().is_some_and(|value| *value == "kops");
        match (path.as_str(), is_kops) {
            ("*", true) => lists = Lists::kops(),
            ("*", false) => sorted.push((None, strategy(&value)?)),
            _ => {
                let pattern = path.parse().map_err(|error: PatternError| {
                    ScriptError::invalid(format!("option 'lists': {error}"))
                })?;
                sorted.push((Some((path, pattern)), strategy(&value)?));
            }
        }
    }
    sorted.sort_by_cached_key(|(rule, _)| {
        let path = rule
            .as_ref()
            .map(|(path, _): &(String, Pattern)| path.clone());
        let path = path.unwrap_or_default();
        (Reverse(path.matches('*').count()), path)
    });
    Ok(sorted
        .into_iter()
        .fold(lists, |lists, (rule, strategy)| match rule {
            Some((_, pattern)) => lists.with(pattern, strategy),
            None => lists.otherwise(strategy),
        }))
}

fn strategy(value: &Value) -> Result<Strategy, ScriptError> {
    let wrong = |what: String, hint: String| {
        Err(ScriptError::invalid(format!("option 'lists': {what}")).hint(hint))
    };
    match value {
        Value::String(name) => {
            let name = name.to_string_lossy();
            let near = did_you_mean(&name, STRATEGIES);
            match name.as_str() {
                "replace" => Ok(Strategy::Replace),
                "append" => Ok(Strategy::Append),
                "union" => Ok(Strategy::Union),
                "" | "kops" => wrong(
                    format!("'{name}' can't be a strategy by path"),
                    "[\"*\"] = \"kops\" takes kOps's rules for all other lists".to_owned(),
                ),
                _ if !near.is_empty() => wrong(
                    format!("'{name}' is no strategy{near}"),
                    format!("to know elements by a field of that name: {{ \"{name}\" }}"),
                ),
                field => Ok(Strategy::keyed(field)),
            }
        }
        Value::Table(fields) if fields.raw_len() > 0 => {
            let fields = fields.sequence_values::<String>();
            Ok(Strategy::Keyed(fields.collect::<mlua::Result<_>>()?))
        }
        other => wrong(
            format!("{} is no strategy", inspect::one_line(other)),
            "it is \"replace\", \"append\", \"union\", the name of a field or a list of names"
                .to_owned(),
        ),
    }
}
