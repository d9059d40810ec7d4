//! Whether a value fits its field, as kOps reads it: its decoder converts nothing.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_yaml::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Field, Type};
use crate::merge::document::{Path, Step};

/// Why a value is not taken. The message goes on from the name of the field: "must be …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to write instead, when that is clear.
    pub hint: Option<String>,
}

impl Refusal {
    pub(in crate::config) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub(in crate::config) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A place in a document that doesn't fit the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where, from the top of the document.
    pub path: Path,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// kOps has no such field.
    Unknown,
    /// The value is none for this field.
    Wrong(Refusal),
}

/// All that doesn't fit in a value and below it, in the order of the text and at most `limit`.
/// A null fits everywhere: it is as good as nothing.
#[must_use]
pub fn misfits(field: Field, value: &Value, path: &Path, limit: usize) -> Vec<Misfit> {
    let mut found = Vec::new();
    leaves(
        field,
        value,
        &mut path.clone(),
        &mut |path, field, value| {
            let problem = match field {
                Some(field) => scalar(field.holds(), value).err().map(Problem::Wrong),
                None => Some(Problem::Unknown),
            };
            if let Some(problem) = problem {
                let path = path.clone();
                found.push(Misfit { path, problem });
            }
            found.len() < limit
        },
    );
    found
}

/// The strings that YAML 1.1, which kOps reads, takes for something else unless they stand in
/// quotes, at most `limit`.
#[must_use]
pub fn words(field: Field, value: &Value, limit: usize) -> Vec<Path> {
    let mut found = Vec::new();
    leaves(
        field,
        value,
        &mut Path::default(),
        &mut |path, field, value| {
            let may_be_string = field.is_some_and(|field| {
                matches!(
                    field.holds(),
                    Type::String | Type::IntOrString | Type::Quantity
                )
            });
            if may_be_string && value.as_str().is_some_and(is_word) {
                found.push(path.clone());
            }
            found.len() < limit
        },
    );
    found
}

fn is_word(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = unsigned.contains('_')
        && unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.bytes().all(|c| c.is_ascii_digit() || c == b'_');
    is_number || zero_before(text).is_some() || boolean_word(text).is_some()
}

/// What to write instead of an integer with a zero before it, which YAML 1.1 takes for octal.
pub(super) fn zero_before(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.strip_prefix('0')?;
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let decimal = digits.trim_start_matches('0');
    let decimal = if decimal.is_empty() { "0" } else { decimal };
    Some(match i64::from_str_radix(digits, 8) {
        Ok(octal) => format!(
            "write {sign}{decimal}; with a zero before it, it is {sign}{octal} in YAML 1.1, \
             which kOps reads"
        ),
        Err(_) => format!("write {sign}{decimal}"),
    })
}

type Visit<'a> = dyn FnMut(&Path, Option<Field>, &Value) -> bool + 'a;

/// Visits what has nothing below it, and what has no field or another shape than its field, until
/// the visitor has seen enough.
fn leaves(field: Field, value: &Value, path: &mut Path, visit: &mut Visit<'_>) -> bool {
    match (field.holds(), value) {
        (Type::List, Value::Sequence(elements)) => elements
            .iter()
            .enumerate()
            .all(|(index, value)| below(field, Step::Index(index), value, path, visit)),
        (Type::Map | Type::Object, Value::Mapping(entries)) => entries
            .iter()
            .all(|(key, value)| below(field, Step::Key(key_text(key)), value, path, visit)),
        _ => visit(path, Some(field), value),
    }
}

fn below(field: Field, step: Step, value: &Value, path: &mut Path, visit: &mut Visit<'_>) -> bool {
    let inner = field.step(&step);
    path.0.push(step);
    let goes_on = match inner {
        Some(inner) => leaves(inner, value, path, visit),
        None => visit(path, None, value),
    };
    path.0.pop();
    goes_on
}

/// A key as kOps takes it: JSON knows only strings.
fn key_text(key: &Value) -> String {
    match key {
        Value::String(key) => key.clone(),
        Value::Bool(key) => key.to_string(),
        Value::Number(key) => key.to_string(),
        _ => String::new(),
    }
}

/// Whether a value fits a field that has no fields below it.
pub(super) fn scalar(holds: Type, value: &Value) -> Result<(), Refusal> {
    let is_good = match (holds, value) {
        (Type::Any, _)
        | (_, Value::Null)
        | (Type::String | Type::IntOrString, Value::String(_))
        | (Type::Boolean, Value::Bool(_))
        | (Type::Quantity, Value::Number(_)) => true,
        (Type::Int32 | Type::IntOrString, Value::Number(number)) => number
            .as_i64()
            .is_some_and(|number| i32::try_from(number).is_ok()),
        (Type::Int64, Value::Number(number)) => number.is_i64(),
        (Type::Quantity, Value::String(text)) => is_quantity(text),
        (Type::Duration, Value::String(text)) => is_duration(text),
        (Type::Bytes, Value::String(text)) => BASE64_STANDARD.decode(text).is_ok(),
        (Type::Time, Value::String(text)) => OffsetDateTime::parse(text, &Rfc3339).is_ok(),
        _ => false,
    };
    if is_good {
        return Ok(());
    }
    let found = found(holds, value);
    let refusal = Refusal::new(format!("must be {holds}, not {found}"));
    Err(match hint(holds, value) {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    })
}

/// What a value is, without its text, which may be a secret.
fn found(holds: Type, value: &Value) -> &'static str {
    match (holds, value) {
        (Type::Int32 | Type::Int64 | Type::IntOrString, Value::Number(number)) => {
            match (number.is_f64(), holds) {
                (true, _) => "a fraction",
                (false, Type::Int64) => "one beyond 64 bits",
                (false, _) => "one beyond 32 bits",
            }
        }
        (Type::Quantity | Type::Duration | Type::Bytes | Type::Time, Value::String(_)) => {
            "this text"
        }
        (_, Value::Null) => "nothing",
        (_, Value::Bool(_)) => "a boolean",
        (_, Value::Number(_)) => "a number",
        (_, Value::String(_)) => "a string",
        (_, Value::Sequence(_)) => "a list",
        (_, Value::Mapping(_)) => "a map",
        (_, Value::Tagged(_)) => "a value with a tag",
    }
}

fn hint(holds: Type, value: &Value) -> Option<String> {
    let hint = match (holds, value) {
        (Type::Boolean, Value::String(text)) => {
            format!("write {}", boolean_word(text)?)
        }
        (Type::String, Value::Number(_) | Value::Bool(_)) => "put it in quotes".to_owned(),
        (Type::Int32 | Type::Int64, Value::String(text)) => {
            let _: i64 = text.parse().ok()?;
            zero_before(text).unwrap_or_else(|| "write it without quotes".to_owned())
        }
        (Type::Duration, _) => "write it like 30s or 1h30m, without days".to_owned(),
        (Type::Quantity, Value::String(_)) => "write it like 500m, 2 or 1Gi".to_owned(),
        (Type::Time, _) => "write it like 2026-01-31T12:00:00Z".to_owned(),
        _ => return None,
    };
    Some(hint)
}

/// What YAML 1.1, which kOps reads, takes for a boolean though YAML 1.2 takes it for a string.
#[must_use]
pub fn boolean_word(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "True" | "TRUE" | "true" => {
            Some(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "False" | "FALSE" | "false" => {
            Some(false)
        }
        _ => None,
    }
}

/// Whether Kubernetes takes a text for an amount (`resource.Quantity`).
fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 16] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let Some(suffix) = after_number(unsigned) else {
        return false;
    };
    let exponent = suffix.strip_prefix(['e', 'E']).map(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    });
    SUFFIXES.contains(&suffix) || exponent == Some(true)
}

/// Whether Go takes a text for a time span (`time.ParseDuration`).
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 8] = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while let Some(after) = after_number(rest) {
        let end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        if !UNITS.contains(&&after[..end]) {
            return false;
        }
        rest = &after[end..];
        parts += 1;
    }
    parts > 0 && rest.is_empty()
}

/// What follows the decimal number at the start of a text; `None` when it starts with none.
fn after_number(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| c != '.' && !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let has_digit = number.bytes().any(|byte| byte.is_ascii_digit());
    (has_digit && number.matches('.').count() <= 1).then_some(rest)
}
