//! What a person types for a field, as the value that the field holds.

use std::ops::Range;

use serde_yaml::{Mapping, Value};

use super::check::{boolean_word, scalar, zero_before};
use super::{Field, Problem, Refusal, Type, misfits};
use crate::merge::document::Path;
use crate::text::did_you_mean;

/// The value of a field from a text as in `--set path=text`.
///
/// A string is taken as it stands, so that `1.30` stays `1.30`. A list is written `a,b` or as
/// YAML, `[a, b]`; a map `k=v,l=w` or `{k: v}`; an object `{name: value}`. In a list or map
/// written with commas, an element with a comma in it stands in quotes.
///
/// # Errors
/// When the text is no value for the field. The message goes on from the field's name.
pub fn parse_value(field: Field, text: &str) -> Result<Value, Refusal> {
    let holds = field.holds();
    let bare = text.trim();
    match holds {
        Type::Any | Type::String => Ok(Value::String(text.to_owned())),
        Type::Boolean => match bare {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(boolean(bare)),
        },
        Type::Int32 | Type::Int64 => {
            let number: i64 = decimal(holds, bare)?
                .parse()
                .map_err(|_| wrong(holds, text))?;
            let value = Value::Number(number.into());
            scalar(holds, &value).map(|()| value)
        }
        Type::IntOrString => {
            let number: Result<i32, _> = decimal(holds, bare)?.parse();
            Ok(number.map_or_else(
                |_| Value::String(text.to_owned()),
                |number| Value::Number(number.into()),
            ))
        }
        Type::Quantity | Type::Duration | Type::Bytes | Type::Time => {
            let value = Value::String(bare.to_owned());
            scalar(holds, &value).map(|()| value)
        }
        Type::List if bare.starts_with('[') => yaml(field, bare),
        Type::List => {
            let elements = parts(bare)?.into_iter().map(|part| element(field, part));
            Ok(Value::Sequence(elements.collect::<Result<_, _>>()?))
        }
        Type::Map | Type::Object if bare.starts_with('{') => yaml(field, bare),
        Type::Map => map(field, bare),
        Type::Object if bare.is_empty() => Ok(Value::Mapping(Mapping::new())),
        Type::Object => Err(wrong(holds, text).hint(format!(
            "set one of its fields, or write it as YAML: {{{}: …}}",
            field.fields().next().map_or("name", |(name, _)| name)
        ))),
    }
}

fn wrong(holds: Type, text: &str) -> Refusal {
    // More than this is no slip of the finger, and not worth a line.
    let shown: String = text.chars().take(40).collect();
    Refusal::new(format!("must be {holds}, not '{shown}'"))
}

/// A text that is no octal number to kOps.
fn decimal(holds: Type, text: &str) -> Result<&str, Refusal> {
    match zero_before(text) {
        Some(hint) => Err(wrong(holds, text).hint(hint)),
        None => Ok(text),
    }
}

fn boolean(text: &str) -> Refusal {
    let refusal = wrong(Type::Boolean, text);
    match boolean_word(text) {
        Some(meant) => refusal.hint(format!("write {meant}")),
        None => refusal.hint("write true or false"),
    }
}

/// The element of a list or the value of a map.
fn element(field: Field, text: &str) -> Result<Value, Refusal> {
    let Some(element) = field.element() else {
        return Ok(Value::String(text.to_owned()));
    };
    parse_value(element, unquoted(text))
}

/// A part of a text without the quotes around it.
#[must_use]
pub fn unquoted(part: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| part.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(part)
}

fn map(field: Field, text: &str) -> Result<Value, Refusal> {
    let mut entries = Mapping::new();
    for part in parts(text)? {
        let Some((key, value)) = entry(part).filter(|(key, _)| !key.is_empty()) else {
            return Err(Refusal::new("must be a map")
                .hint("write it like key=value,other=value or {key: value}"));
        };
        let key = Value::String(key.to_owned());
        let value = element(field, value.trim())?;
        if entries.insert(key, value).is_some() {
            return Err(Refusal::new("names a key twice"));
        }
    }
    Ok(Value::Mapping(entries))
}

/// The two sides of an entry; a key in quotes may have anything in it.
fn entry(part: &str) -> Option<(&str, &str)> {
    let part = part.trim_start();
    let quote = part.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        return part.split_once('=').map(|(key, value)| (key.trim(), value));
    };
    let (key, rest) = part[1..].split_once(quote)?;
    Some((key, rest.trim_start().strip_prefix('=')?))
}

/// The parts of a text between its commas, but for those in quotes or brackets.
///
/// # Errors
/// When a part is empty.
pub fn parts(text: &str) -> Result<Vec<&str>, Refusal> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    let mut depth = 0_usize;
    let mut quote = None;
    let mut before = ',';
    for (at, c) in text.char_indices() {
        match (c, quote) {
            (c, Some(open)) => quote = (c != open).then_some(open),
            ('"' | '\'', None) if matches!(before, ',' | '=') => quote = Some(c),
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 => {
                parts.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
        if !c.is_whitespace() {
            before = c;
        }
    }
    parts.push(start..text.len());
    let parts: Vec<&str> = parts.into_iter().map(|part| text[part].trim()).collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(Refusal::new("has nothing between two commas or at an end"));
    }
    Ok(parts)
}

/// A value in YAML, which must fit the field as it would in a file.
fn yaml(field: Field, text: &str) -> Result<Value, Refusal> {
    let value: Value =
        serde_yaml::from_str(text).map_err(|error| Refusal::new(format!("is no YAML: {error}")))?;
    let Some(misfit) = misfits(field, &value, &Path::default(), 1).pop() else {
        return Ok(value);
    };
    let path = misfit.path;
    Err(match misfit.problem {
        Problem::Wrong(refusal) if path.0.is_empty() => refusal,
        Problem::Wrong(refusal) => Refusal {
            message: format!("is wrong at {path}, which {}", refusal.message),
            hint: refusal.hint,
        },
        Problem::Unknown => {
            Refusal::new(format!("has no field {path}{}", near_sibling(field, &path)))
        }
    })
}

fn near_sibling(field: Field, path: &Path) -> String {
    let Some((last, parents)) = path.0.split_last() else {
        return String::new();
    };
    let parent = parents.iter().try_fold(field, Field::step);
    let known = parent.into_iter().flat_map(Field::fields);
    // Whoever types more than a name can be has not mistyped one.
    let typed: String = Path(vec![last.clone()])
        .to_string()
        .chars()
        .take(64)
        .collect();
    did_you_mean(&typed, known.map(|(name, _)| name))
}

#[cfg(test)]
mod tests;
