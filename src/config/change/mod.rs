//! Changes of a manifest as a person types them: `spec.channel=alpha`, `spec.sshAccess+=…`.
//!
//! After `kops edit cluster --set` (kOps's `pkg/commands/set_cluster.go`), with the names that
//! stand in the file, all of a path language, and verbs that say what becomes of a list: there a
//! list only grows and a map can't be addressed.

mod typed;

use serde_yaml::{Mapping, Value};

use super::fields::{
    Field, Kind, Refusal, Type, known_version, parse_value, parts, resolve, unquoted,
};
use crate::merge::deep::deep;
use crate::merge::document::{Document, Fault, Path, Step};
use crate::merge::lists::{Lists, Strategy};
use crate::merge::path::{Selector, SelectorError};

pub use typed::Change;
use typed::Verb;

/// Why a change can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ChangeError {
    /// What was typed, and what is wrong with it.
    pub message: String,
    /// What to type instead, when that is clear.
    pub hint: Option<String>,
}

impl ChangeError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

type Result<T> = std::result::Result<T, ChangeError>;

/// What became of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The paths of the values that are others now.
    pub changed: Vec<Path>,
    /// What was to be taken away and isn't there, each as a sentence.
    pub missed: Vec<String>,
}

/// Makes changes in a document of a text, one after the other. With `force_unknown`, fields that
/// kOps doesn't have are written too.
///
/// # Errors
/// When one can't be made; nothing is changed then.
pub fn apply(
    document: &mut Document,
    part: usize,
    kind: Kind,
    changes: &[Change],
    force_unknown: bool,
) -> Result<Made> {
    let mut making = Making {
        document: document.clone(),
        part,
        made: Made::default(),
    };
    let version = making.value().get("apiVersion").and_then(Value::as_str);
    if let Some(Err(Refusal { message, hint })) = version.map(known_version) {
        let message = format!("the {kind} can't be changed: it {message}");
        return Err(ChangeError { message, hint });
    }
    for change in changes {
        let (selector, field) = find(&making, kind, change, force_unknown)?;
        making.make(change, &selector, field)?;
    }
    *document = making.document;
    Ok(making.made)
}

/// What a change is about, by the names that stand in the file; no field when it is unknown and
/// may be so.
fn find(
    making: &Making,
    kind: Kind,
    change: &Change,
    force_unknown: bool,
) -> Result<(Selector, Option<Field>)> {
    let typed = change.path.field();
    let refusal = match resolve(kind, &typed) {
        Ok((path, field)) => return Ok((change.path.along(&path), Some(field))),
        Err(refusal) => refusal,
    };
    let takes_away = matches!(change.verb, Verb::Unset | Verb::Remove);
    let is_there = || {
        let found = change.path.existing(making.value());
        found.is_ok_and(|found| !found.is_empty())
    };
    // Who takes away what kOps doesn't know repairs a manifest.
    if force_unknown || (takes_away && is_there()) {
        return Ok((change.path.clone(), None));
    }
    let error = refused(change, &refusal.message);
    let hint = key_with_dots(kind, &typed).or(refusal.hint);
    Err(match hint {
        Some(hint) => error.hint(hint),
        None => error.hint("--force-unknown writes it all the same"),
    })
}

/// The path with all that stands behind a map as one key of it, which may have been meant.
fn key_with_dots(kind: Kind, typed: &Path) -> Option<String> {
    let steps = &typed.0;
    let (map, rest) = (1..steps.len()).find_map(|end| {
        let map = Path(steps[..end].to_vec());
        let (_, field) = resolve(kind, &map).ok()?;
        let is_map = field.holds() == Type::Map && steps.len() > end + 1;
        is_map.then_some((map, &steps[end..]))
    })?;
    let names: Option<Vec<&str>> = rest
        .iter()
        .map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    let path = map.then(Step::Key(names?.join(".")));
    Some(format!("put a key with dots in quotes: {path}"))
}

/// A document while changes are made in it.
struct Making {
    document: Document,
    part: usize,
    made: Made,
}

impl Making {
    fn value(&self) -> &Value {
        let mut values = self.document.values();
        values.nth(self.part).unwrap_or(&Value::Null)
    }

    fn at(&self, path: &Path) -> Option<&Value> {
        path.lookup(self.value())
    }

    fn make(&mut self, change: &Change, selector: &Selector, field: Option<Field>) -> Result<()> {
        if matches!(change.verb, Verb::Unset | Verb::Remove) {
            // What isn't there can't be taken away, and need not be. The last ones go first, for
            // the others to keep their places.
            let paths = selector.existing(self.value()).unwrap_or_default();
            if paths.is_empty() {
                self.made.missed.push(format!("there is no {selector}"));
            }
            for path in paths.iter().rev() {
                self.take(change, path, field)?;
            }
            return Ok(());
        }
        let paths = selector
            .resolve(self.value())
            .map_err(|error| no_match(change, &error))?;
        if paths.is_empty() {
            return Err(refused(change, "there is nothing that it could be set in"));
        }
        for path in &paths {
            let value = match change.verb {
                Verb::Add => self.sum(change, path, field)?,
                _ => typed(change, field)?,
            };
            self.put(change, path, value)?;
        }
        Ok(())
    }

    fn put(&mut self, change: &Change, path: &Path, value: Value) -> Result<()> {
        if self.at(path) == Some(&value) {
            return Ok(());
        }
        let made = self.document.set(self.part, path, value);
        made.map_err(|fault| impossible(change, &fault))?;
        self.note(path);
        Ok(())
    }

    fn note(&mut self, path: &Path) {
        if !self.made.changed.contains(path) {
            self.made.changed.push(path.clone());
        }
    }

    /// What is there and what comes to it.
    fn sum(&self, change: &Change, path: &Path, field: Option<Field>) -> Result<Value> {
        let old = self.at(path).filter(|value| !value.is_null());
        let new = match (field.map(Field::holds), old) {
            (Some(Type::List | Type::Map), _) => typed(change, field)?,
            (Some(Type::Object | Type::Any), _) if change.text.starts_with('{') => {
                typed(change, field)?
            }
            (None, Some(Value::Sequence(_)) | None) => Value::Sequence(loose_parts(change)?),
            (Some(Type::Object | Type::Any) | None, _) => {
                return Err(refused(
                    change,
                    "what it adds must be written as {name: value}",
                ));
            }
            (Some(holds), _) => {
                return Err(refused(
                    change,
                    &format!("it holds {holds}, and += is for lists and maps"),
                ));
            }
        };
        match (old, new) {
            (Some(old @ Value::Sequence(_)), new @ Value::Sequence(_))
            | (Some(old @ Value::Mapping(_)), new @ Value::Mapping(_)) => {
                Ok(deep(old, &new, &Lists::all(Strategy::Union)))
            }
            (None, new) => Ok(new),
            (Some(_), _) => Err(refused(change, "what stands there is of another kind")),
        }
    }

    fn take(&mut self, change: &Change, path: &Path, field: Option<Field>) -> Result<()> {
        if change.verb == Verb::Unset {
            return self.unset(change, path);
        }
        let mut gone: Vec<Step> = Vec::new();
        let mut missed = Vec::new();
        match self.at(path) {
            Some(Value::Mapping(entries)) => {
                let keys = parts(&change.text).map_err(|refusal| because(change, refusal))?;
                for key in keys.into_iter().map(unquoted) {
                    if entries.contains_key(key) {
                        gone.push(Step::Key(key.to_owned()));
                    } else {
                        missed.push(format!("'{key}'"));
                    }
                }
            }
            Some(Value::Sequence(list)) => {
                let going = Going::new(change, field)?;
                let indexes = (0..list.len()).rev();
                let indexes = indexes.filter(|index| going.takes(&list[*index]));
                gone.extend(indexes.map(Step::Index));
                missed.extend(going.missed_in(list));
            }
            _ => return Err(refused(change, "-= is for lists and maps")),
        }
        for step in gone {
            self.unset(change, &path.then(step))?;
        }
        let missed = missed
            .into_iter()
            .map(|what| format!("{path} has no {what}"));
        self.made.missed.extend(missed);
        Ok(())
    }

    fn unset(&mut self, change: &Change, path: &Path) -> Result<()> {
        let was_there = self.document.unset(self.part, path);
        if was_there.map_err(|fault| impossible(change, &fault))? {
            self.note(path);
        }
        Ok(())
    }
}

/// Which elements of a list go: those that are typed, or objects by their `name`.
struct Going {
    gone: Vec<Value>,
    by_name: bool,
}

impl Going {
    fn new(change: &Change, field: Option<Field>) -> Result<Self> {
        let holds_objects = field
            .and_then(Field::element)
            .is_some_and(|element| element.holds() == Type::Object);
        let by_name = holds_objects && !change.text.starts_with('[');
        let gone = match field {
            Some(_) if !by_name => match typed(change, field)? {
                Value::Sequence(gone) => gone,
                other => vec![other],
            },
            _ => {
                let names = parts(&change.text).map_err(|refusal| because(change, refusal))?;
                let names = names.into_iter().map(unquoted);
                if by_name {
                    names.map(Value::from).collect()
                } else {
                    names.map(loose).collect()
                }
            }
        };
        Ok(Self { gone, by_name })
    }

    fn compared<'a>(&self, element: &'a Value) -> Option<&'a Value> {
        if self.by_name {
            element.get("name")
        } else {
            Some(element)
        }
    }

    fn takes(&self, element: &Value) -> bool {
        let compared = self.compared(element);
        compared.is_some_and(|compared| self.gone.contains(compared))
    }

    /// What of it a list doesn't have.
    fn missed_in(&self, list: &[Value]) -> impl Iterator<Item = String> {
        let is_there = |gone: &&Value| {
            let mut elements = list.iter();
            elements.any(|element| self.compared(element) == Some(*gone))
        };
        let missed = self.gone.iter().filter(move |gone| !is_there(gone));
        missed.map(|gone| match gone {
            Value::String(text) => format!("'{text}'"),
            Value::Number(number) => number.to_string(),
            _ => "element like that".to_owned(),
        })
    }
}

/// The value that was typed.
fn typed(change: &Change, field: Option<Field>) -> Result<Value> {
    if change.as_string {
        return Ok(Value::String(change.text.clone()));
    }
    let Some(field) = field else {
        return Ok(loose(&change.text));
    };
    if let Some(variables) = variables(field, &change.text) {
        return Ok(variables);
    }
    parse_value(field, &change.text).map_err(|refusal| because(change, refusal))
}

/// A list of environment variables as kOps takes it: `NAME=value,OTHER=value`.
fn variables(field: Field, text: &str) -> Option<Value> {
    let element = field.element().filter(|_| field.holds() == Type::List)?;
    let has = |name: &str| element.fields().any(|(field, _)| field == name);
    if !has("name") || !has("value") || text.starts_with('[') {
        return None;
    }
    let all = parts(text).ok()?.into_iter().map(|part| {
        let (name, value) = unquoted(part).split_once('=')?;
        let entries = [("name", name), ("value", value)];
        let entries = entries.map(|(key, value)| (Value::from(key), Value::from(value)));
        Some(Value::Mapping(Mapping::from_iter(entries)))
    });
    all.collect::<Option<Vec<_>>>().map(Value::Sequence)
}

/// A value of a field that nobody knows: what looks like a number, a boolean or a structure is
/// one.
fn loose(text: &str) -> Value {
    // With a zero before it, it is another number to kOps: it stays a text.
    if let Ok(number) = text.parse::<i64>()
        && number.to_string() == text
    {
        return Value::from(number);
    }
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if text.starts_with(['[', '{']) => {
            serde_yaml::from_str(text).unwrap_or_else(|_| Value::from(text))
        }
        _ => Value::from(text),
    }
}

fn loose_parts(change: &Change) -> Result<Vec<Value>> {
    if let value @ Value::Sequence(_) = loose(&change.text) {
        return Ok(value.as_sequence().cloned().unwrap_or_default());
    }
    let all = parts(&change.text).map_err(|refusal| because(change, refusal))?;
    Ok(all.into_iter().map(|part| loose(unquoted(part))).collect())
}

fn refused(change: &Change, why: &str) -> ChangeError {
    // No colon behind the path: one that ends in `token` would look like a secret's name.
    ChangeError::new(format!("cannot {change}, as {why}"))
}

fn impossible(change: &Change, fault: &Fault) -> ChangeError {
    let Fault {
        line,
        column,
        message,
    } = fault;
    refused(change, &format!("{message} (line {line}, column {column})"))
}

fn because(change: &Change, refusal: Refusal) -> ChangeError {
    ChangeError {
        hint: refusal.hint,
        ..refused(change, &format!("it {}", refusal.message))
    }
}

fn no_match(change: &Change, error: &SelectorError) -> ChangeError {
    refused(change, &error.to_string())
}

#[cfg(test)]
mod tests;
