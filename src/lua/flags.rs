//! The flags and arguments that a script declares, its `--help`, and what was typed.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use mlua::{Lua, Table, Value};

use super::error::ScriptError;
use super::manifest::Manifest;
use super::{units, vm};
use crate::text::did_you_mean;

/// The fields of a script's table.
pub(super) const FIELDS: [&str; 5] = ["summary", "flags", "args", "permissions", "main"];

/// The fields of a flag or an argument in it.
pub(super) const FLAG_FIELDS: [&str; 9] = [
    "name", "type", "doc", "value", "short", "required", "default", "choices", "env",
];

/// What a script declares besides its `main`.
pub(super) struct Contract {
    summary: String,
    flags: Vec<Flag>,
    args: Vec<Flag>,
    pub(super) permissions: Manifest,
}

/// What was typed means this.
pub(super) enum Parsed {
    /// Show this and end.
    Help(String),
    /// Run the script's `main`.
    Run {
        /// The values of the flags, by name with underscores.
        flags: Table,
        /// The values of the arguments, by name, and all of them in order.
        args: Table,
    },
}

struct Flag {
    name: String,
    kind: Kind,
    doc: String,
    value_name: Option<String>,
    short: Option<char>,
    required: bool,
    default: Option<String>,
    choices: Vec<String>,
    env: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    Boolean,
    Integer,
    Number,
    Duration,
    Size,
    List,
}

const KINDS: [(&str, Kind); 7] = [
    ("string", Kind::String),
    ("boolean", Kind::Boolean),
    ("integer", Kind::Integer),
    ("number", Kind::Number),
    ("duration", Kind::Duration),
    ("size", Kind::Size),
    ("list", Kind::List),
];

impl Kind {
    /// What is wrong with a text that should be of this kind.
    fn check(self, text: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("'{text}' is no {what}"));
        match self {
            Self::Integer if text.parse::<i64>().is_err() => wrong("whole number"),
            Self::Number if text.parse::<f64>().is_err() => wrong("number"),
            Self::Boolean if text.parse::<bool>().is_err() => wrong("true or false"),
            Self::Duration => units::duration(text).map(drop),
            Self::Size => units::size(text).map(drop),
            _ => Ok(()),
        }
    }
}

impl Contract {
    /// Reads what a script returned.
    pub(super) fn read(lua: &Lua, table: &Table) -> Result<Self, ScriptError> {
        only(table, &FIELDS, "a script's table")?;
        let section = |name: &str| -> Result<Vec<Flag>, ScriptError> {
            let Some(list) = table.get::<Option<Table>>(name)? else {
                return Ok(Vec::new());
            };
            if list.is_empty() != (list.raw_len() == 0) {
                return Err(ScriptError::invalid(format!(
                    "'{name}' of a script is a list, with a name in each item"
                ))
                .hint(format!(
                    "{name} = {{ {{ name = \"to\", type = \"string\" }}, … }}"
                )));
            }
            list.sequence_values::<Table>()
                .map(|declared| Flag::read(lua, &declared?))
                .collect()
        };
        Ok(Self {
            summary: table.get::<Option<String>>("summary")?.unwrap_or_default(),
            flags: section("flags")?,
            args: section("args")?,
            permissions: Manifest::read(table)?,
        })
    }

    /// What the arguments mean.
    pub(super) fn parse(&self, lua: &Lua, typed: &[String]) -> Result<Parsed, ScriptError> {
        let host = &vm::of(lua).host;
        let env = |name: &str| host.session.env().get(name).map(str::to_owned);
        let mut command = Command::new(host.program.clone())
            .bin_name(host.program.clone())
            .about(self.summary.clone())
            .no_binary_name(true)
            .after_help(host.help_footer.clone().unwrap_or_default());
        for flag in &self.flags {
            command = command.arg(flag.option(env));
        }
        for (index, arg) in self.args.iter().enumerate() {
            command = command.arg(arg.positional(index + 1, env));
        }
        match command.try_get_matches_from(typed) {
            Ok(matches) => Ok(Parsed::Run {
                flags: values(lua, &matches, &self.flags)?,
                args: values(lua, &matches, &self.args)?,
            }),
            Err(error) if error.exit_code() == 0 => Ok(Parsed::Help(error.render().to_string())),
            Err(error) => {
                let text = error.render().to_string();
                let text = text.trim_end();
                Err(ScriptError::usage(
                    text.strip_prefix("error: ").unwrap_or(text),
                ))
            }
        }
    }
}

impl Flag {
    fn read(lua: &Lua, declared: &Table) -> Result<Self, ScriptError> {
        let name: String = declared.get::<Option<String>>("name")?.unwrap_or_default();
        only(declared, &FLAG_FIELDS, &format!("the flag '{name}'"))?;
        let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !valid {
            return Err(
                ScriptError::invalid(format!("'{name}' can't be the name of a flag"))
                    .hint("write it in small letters with underscores: from, update_config"),
            );
        }
        let kind = declared
            .get::<Option<String>>("type")?
            .unwrap_or_else(|| "string".to_owned());
        let kind = kind_of(&kind, &name)?;
        let flag = Self {
            kind,
            doc: declared.get::<Option<String>>("doc")?.unwrap_or_default(),
            value_name: declared.get("value")?,
            short: declared
                .get::<Option<String>>("short")?
                .and_then(|short| short.chars().next()),
            required: declared.get::<Option<bool>>("required")?.unwrap_or(false),
            default: default(lua, &declared.get("default")?, &name)?,
            choices: declared
                .get::<Option<Vec<String>>>("choices")?
                .unwrap_or_default(),
            env: declared.get("env")?,
            name,
        };
        if flag.kind == Kind::Boolean && (flag.default.is_some() || flag.required) {
            return Err(ScriptError::invalid(format!(
                "the flag '{}' is a boolean: it is false unless it is given",
                flag.name
            )));
        }
        if let Some(default) = &flag.default {
            flag.kind.check(default).map_err(|wrong| {
                ScriptError::invalid(format!("the default of the flag '{}': {wrong}", flag.name))
            })?;
        }
        Ok(flag)
    }

    fn option(&self, env: impl Fn(&str) -> Option<String>) -> Arg {
        let long = self.name.replace('_', "-");
        let mut arg = self.arg(env).long(long);
        if let Some(short) = self.short {
            arg = arg.short(short);
        }
        match self.kind {
            Kind::Boolean => arg.action(ArgAction::SetTrue),
            Kind::List => arg.action(ArgAction::Append),
            _ => arg.action(ArgAction::Set),
        }
    }

    fn positional(&self, index: usize, env: impl Fn(&str) -> Option<String>) -> Arg {
        let arg = self.arg(env).index(index);
        if self.kind == Kind::List {
            arg.action(ArgAction::Append).num_args(1..)
        } else {
            arg
        }
    }

    fn arg(&self, env: impl Fn(&str) -> Option<String>) -> Arg {
        let mut doc = self.doc.clone();
        let mut default = self.default.clone();
        if let Some(name) = &self.env {
            doc = format!("{doc} [env: {name}]");
            default = env(name).or(default);
        }
        let value_name = self
            .value_name
            .clone()
            .unwrap_or_else(|| self.name.to_ascii_uppercase());
        let mut arg = Arg::new(self.name.clone())
            .help(doc.trim().to_owned())
            .required(self.required && default.is_none());
        if self.kind == Kind::Boolean {
            return arg;
        }
        arg = arg.value_name(value_name);
        let kind = self.kind;
        arg = if self.choices.is_empty() {
            arg.value_parser(move |text: &str| kind.check(text).map(|()| text.to_owned()))
        } else {
            arg.value_parser(PossibleValuesParser::new(self.choices.clone()))
        };
        if let Some(default) = default {
            // What comes from the environment may be private.
            let shown = self.default.as_ref() == Some(&default);
            arg = arg.default_value(default).hide_default_value(!shown);
        }
        arg
    }

    fn value(&self, lua: &Lua, text: &str) -> Result<Value, ScriptError> {
        Ok(match self.kind {
            Kind::Integer => Value::Integer(text.parse().unwrap_or_default()),
            Kind::Number => Value::Number(text.parse().unwrap_or_default()),
            Kind::Duration => Value::Number(
                units::duration(text)
                    .map_err(ScriptError::usage)?
                    .as_secs_f64(),
            ),
            Kind::Size => {
                let bytes = units::size(text).map_err(ScriptError::usage)?;
                Value::Integer(i64::try_from(bytes).unwrap_or(i64::MAX))
            }
            _ => Value::String(lua.create_string(text)?),
        })
    }
}

fn kind_of(text: &str, flag: &str) -> Result<Kind, ScriptError> {
    let names = KINDS.iter().map(|(name, _)| *name);
    KINDS
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, kind)| *kind)
        .ok_or_else(|| {
            let near = did_you_mean(text, names.clone());
            ScriptError::invalid(format!(
                "the flag '{flag}' has the unknown type '{text}'{near}"
            ))
            .hint(format!(
                "the types are {}",
                names.collect::<Vec<_>>().join(", ")
            ))
        })
}

fn default(lua: &Lua, value: &Value, flag: &str) -> Result<Option<String>, ScriptError> {
    match value {
        Value::Nil => Ok(None),
        Value::String(_) | Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => {
            let text = lua.coerce_string(value.clone())?;
            Ok(Some(match text {
                Some(text) => text.to_string_lossy(),
                None => value.to_string()?,
            }))
        }
        other => Err(ScriptError::invalid(format!(
            "the default of the flag '{flag}' is a {}",
            other.type_name()
        ))),
    }
}

/// Refuses fields that mean nothing: a typo in a declaration must not pass in silence.
pub(super) fn only(table: &Table, known: &[&str], what: &str) -> Result<(), ScriptError> {
    for pair in table.pairs::<Value, Value>() {
        let key = pair?.0;
        let name = match &key {
            Value::String(name) => name.to_string_lossy(),
            other => super::inspect::one_line(other),
        };
        among(&name, known, what)?;
    }
    Ok(())
}

/// Refuses a field that is none of those.
pub(super) fn among(name: &str, known: &[&str], what: &str) -> Result<(), ScriptError> {
    if known.contains(&name) {
        return Ok(());
    }
    let near = did_you_mean(name, known.iter().copied());
    Err(
        ScriptError::invalid(format!("{what} has the unknown field '{name}'{near}"))
            .hint(format!("the fields are {}", known.join(", "))),
    )
}

/// Reads one flag or argument as it is declared, only to see whether it would be accepted.
pub(super) fn check(lua: &Lua, declared: &Table) -> Result<(), ScriptError> {
    Flag::read(lua, declared).map(drop)
}

/// Whether the person already said so to kstate itself.
fn is_on(lua: &Lua, flag: &str) -> bool {
    let host = &vm::of(lua).host;
    match flag {
        "yes" => host.assume_yes,
        "json" => host.json,
        _ => false,
    }
}

fn values(lua: &Lua, matches: &ArgMatches, flags: &[Flag]) -> Result<Table, ScriptError> {
    let table = lua.create_table()?;
    for flag in flags {
        let name = flag.name.as_str();
        if flag.kind == Kind::Boolean {
            table.raw_set(name, matches.get_flag(name) || is_on(lua, name))?;
            continue;
        }
        let mut texts = matches.get_many::<String>(name).into_iter().flatten();
        if flag.kind == Kind::List {
            let list = lua.create_sequence_from(texts.map(String::as_str))?;
            table.raw_set(name, list)?;
        } else if let Some(text) = texts.next() {
            table.raw_set(name, flag.value(lua, text)?)?;
        }
    }
    Ok(table)
}
