//! What a backend's functions return, read strictly.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use mlua::{Table, Value};

use super::definition::algorithm;
use crate::store::{Checksum, Entry, Key, Meta, Tag};
use crate::text::did_you_mean;

/// A value in the words of a complaint.
pub(super) fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Nil) => "nothing".to_owned(),
        Some(Value::Boolean(value)) => value.to_string(),
        Some(value @ (Value::Integer(_) | Value::Number(_))) => {
            format!("the number {}", crate::lua::inspect::one_line(value))
        }
        Some(Value::UserData(data)) => match data.type_name() {
            Ok(name) => format!("a kstate.{}", name.to_string_lossy()),
            Err(_) => "userdata".to_owned(),
        },
        Some(other) => format!("a {}", other.type_name()),
    }
}

/// What a table may say of an object.
const META: [&str; 8] = [
    "key",
    "size",
    "modified",
    "tag",
    "checksum",
    "content_type",
    "user",
    "version",
];

/// Refuses a field that is one of ours but for a slip: it would be lost without a word. Others are
/// the backend's own business.
fn check_names(table: &Table) -> Result<(), String> {
    for pair in table.pairs::<Value, Value>() {
        let (name, _) = pair.map_err(|error| error.to_string())?;
        let Some(name) = name.as_string().map(mlua::LuaString::to_string_lossy) else {
            continue;
        };
        if META.contains(&name.as_str()) {
            continue;
        }
        let left_out = |name: &&str| {
            table
                .raw_get::<Value>(*name)
                .is_ok_and(|value| value.is_nil())
        };
        let near = did_you_mean(&name, META.into_iter().filter(left_out));
        if !near.is_empty() {
            return Err(format!("the unknown field '{name}'{near}"));
        }
    }
    Ok(())
}

/// What a table says of an object. `size` is what is known when the table doesn't say it.
///
/// # Errors
/// The field that is wrong, and how.
pub(super) fn meta(table: &Table, key: Key, size: Option<u64>) -> Result<Meta, String> {
    check_names(table)?;
    let told = whole(table, "size")?;
    let Some(size) = told.or(size) else {
        return Err(format!("no 'size' for '{key}'"));
    };
    Ok(Meta {
        modified: modified(table)?,
        tag: text(table, "tag")?.map(Tag),
        checksum: checksum(table)?,
        content_type: text(table, "content_type")?,
        user: user(table)?,
        version: text(table, "version")?,
        ..Meta::new(key, size)
    })
}

/// A line of a listing: `{ key, size, … }`, `{ prefix }` or `{ foreign, reason }`.
pub(super) fn entry(value: &Value) -> Result<Entry, String> {
    let Value::Table(table) = value else {
        return Err(format!("{} instead of an entry", shown(Some(value))));
    };
    if let Some(prefix) = text(table, "prefix")? {
        if Key::parse(prefix.trim_end_matches('/')).is_err() || !prefix.ends_with('/') {
            return Err(format!(
                "the prefix '{prefix}', which is no folder with a slash behind it"
            ));
        }
        return Ok(Entry::Prefix(prefix));
    }
    if let Some(name) = text(table, "foreign")? {
        return Ok(Entry::Foreign {
            name,
            size: whole(table, "size")?,
            reason: text(table, "reason")?.unwrap_or_else(|| "it is no object".to_owned()),
        });
    }
    let Some(name) = text(table, "key")? else {
        return Err("an entry without a 'key' or a 'prefix'".to_owned());
    };
    match Key::parse(&name) {
        Ok(key) => meta(table, key, None).map(Entry::Object),
        Err(invalid) => Ok(Entry::Foreign {
            name,
            size: whole(table, "size")?,
            reason: invalid.reason.to_owned(),
        }),
    }
}

fn field(table: &Table, name: &str) -> Result<Option<Value>, String> {
    match table.raw_get::<Value>(name) {
        Ok(Value::Nil) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(error.to_string()),
    }
}

fn wrong<T>(name: &str, value: &Value, expected: &str) -> Result<T, String> {
    let found = shown(Some(value));
    Err(format!("{found} as '{name}' instead of {expected}"))
}

pub(super) fn text(table: &Table, name: &str) -> Result<Option<String>, String> {
    match field(table, name)? {
        None => Ok(None),
        Some(Value::String(text)) => match text.to_str() {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(format!("a '{name}' that is no UTF-8")),
        },
        Some(other) => wrong(name, &other, "a string"),
    }
}

fn whole(table: &Table, name: &str) -> Result<Option<u64>, String> {
    let Some(value) = field(table, name)? else {
        return Ok(None);
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and near"
    )]
    let number = match value {
        Value::Integer(number) => u64::try_from(number).ok(),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            u64::try_from(number as i64).ok()
        }
        _ => None,
    };
    match number {
        Some(number) => Ok(Some(number)),
        None => wrong(name, &value, "a number of bytes"),
    }
}

fn modified(table: &Table) -> Result<Option<SystemTime>, String> {
    let Some(value) = field(table, "modified")? else {
        return Ok(None);
    };
    let seconds = match value {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are small")]
        Value::Integer(seconds) => Some(seconds as f64),
        Value::Number(seconds) => Some(seconds),
        _ => None,
    };
    let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)) {
        Some(time) => Ok(Some(time)),
        None => wrong("modified", &value, "seconds since 1970"),
    }
}

/// `{ algorithm = "md5", value = "…" }`, the value in hex, as kstate's own functions give it.
fn checksum(table: &Table) -> Result<Option<Checksum>, String> {
    let Some(value) = field(table, "checksum")? else {
        return Ok(None);
    };
    let Value::Table(inner) = &value else {
        return wrong("checksum", &value, "{ algorithm, value }");
    };
    let name = text(inner, "algorithm")?.unwrap_or_default();
    let hex = text(inner, "value")?.unwrap_or_default();
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect();
    match (algorithm(&name), bytes) {
        (Some(algorithm), Some(value)) if !value.is_empty() => {
            Ok(Some(Checksum { algorithm, value }))
        }
        _ => Err("a 'checksum' that is not { algorithm = \"md5\", value = HEX }".to_owned()),
    }
}

fn user(table: &Table) -> Result<BTreeMap<String, String>, String> {
    let Some(value) = field(table, "user")? else {
        return Ok(BTreeMap::new());
    };
    let Value::Table(inner) = &value else {
        return wrong("user", &value, "a table of texts");
    };
    let pairs = inner.pairs::<String, String>();
    pairs
        .collect::<mlua::Result<_>>()
        .map_err(|_| "a 'user' that is no table of texts".to_owned())
}
