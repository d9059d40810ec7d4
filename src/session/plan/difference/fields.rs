//! How two YAML texts differ, field by field.
//!
//! The real values are compared; what is shown of them is looked up in the masked text, so that
//! a change of a hidden value is told and the value is not.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_yaml::{Mapping, Value};

use super::{Detail, Line, Listed, Text, lines};
use crate::merge::document::Document;

const HIDDEN: &str = "<hidden>";

/// One field that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// Which document, in a file of several: its kind and name, or its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The way to it, as `spec.subnets[name=eu-west-1a].zone`.
    pub path: String,
    /// How it changes.
    #[serde(flatten)]
    pub change: FieldDifference,
}

/// How a field changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum FieldDifference {
    /// It is new.
    Added {
        /// Its value as YAML has it.
        value: String,
    },
    /// It is gone.
    Removed {
        /// The value that it had.
        value: String,
    },
    /// It has another value.
    Changed {
        /// The value that it had.
        old: String,
        /// The value that it gets.
        new: String,
    },
    /// It has another text of several lines.
    Text {
        /// The difference.
        lines: Listed<Line>,
    },
    /// It has another value, and neither may be shown.
    Hidden,
    /// Its items come in another order.
    Reordered,
}

/// The fields in which two texts differ, and whether a value among them is hidden. `None` when
/// one of them is not YAML with fields.
pub(super) fn changes(old: &Text, new: &Text, detail: Detail) -> Option<(Vec<FieldChange>, bool)> {
    let (old_real, new_real) = (documents(old.real)?, documents(new.real)?);
    let is_data = |value: &Value| value.is_mapping() || value.is_sequence() || value.is_null();
    let mut all = old_real.iter().chain(&new_real);
    if !all.clone().any(Value::is_mapping) || !all.all(is_data) {
        return None;
    }
    let [old_shown, new_shown] = [old, new].map(|text| documents(&text.shown).unwrap_or_default());
    let mut walk = Walk {
        detail,
        document: None,
        found: Vec::new(),
        hidden: false,
    };
    let many = old_real.len() > 1 || new_real.len() > 1;
    for (label, from, to) in pairs(&old_real, &new_real) {
        walk.document = many.then_some(label);
        let old = from.and_then(|at| Side::document(&old_real, &old_shown, at));
        let new = to.and_then(|at| Side::document(&new_real, &new_shown, at));
        walk.compare("", old, new);
    }
    Some((walk.found, walk.hidden))
}

/// The deepest YAML that is read; the parser's own limit.
const DEEPEST: usize = 128;

fn documents(text: &str) -> Option<Vec<Value>> {
    if depth(text) > DEEPEST {
        return None;
    }
    let document = Document::parse(text).ok()?;
    Some(document.values().cloned().collect())
}

/// How deep brackets nest. The parser finds out too, but takes a time that grows with the square.
fn depth(text: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => now += 1,
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// Which documents of two files belong together: those of the same kind and name, the others by
/// their order. Each pair has a name.
fn pairs(old: &[Value], new: &[Value]) -> Vec<(String, Option<usize>, Option<usize>)> {
    let (old_names, new_names) = (identities(old), identities(new));
    let places: HashMap<_, _> = new_names.iter().zip(0..).collect();
    let taken: HashSet<_> = old_names.iter().collect();
    let from = old_names.iter().zip(0..).map(|(name, at)| {
        let to = places.get(name).copied();
        (name.clone(), Some(at), to)
    });
    let added = new_names
        .iter()
        .zip(0..)
        .filter(|(name, _)| !taken.contains(name));
    from.chain(added.map(|(name, at)| (name.clone(), None, Some(at))))
        .collect()
}

/// What each document is called: `Kind name`, `Kind namespace/name`, or its number where it has
/// no name of its own.
fn identities(documents: &[Value]) -> Vec<String> {
    let mut seen = HashSet::new();
    let name = |(at, document)| match identity(document) {
        Some(name) if seen.insert(name.clone()) => name,
        _ => format!("document {}", at + 1),
    };
    documents.iter().enumerate().map(name).collect()
}

fn identity(document: &Value) -> Option<String> {
    let kind = document.get("kind")?.as_str()?;
    let metadata = document.get("metadata")?;
    let name = metadata.get("name")?.as_str()?;
    Some(match metadata.get("namespace").and_then(Value::as_str) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    })
}

/// A value, and what stands in its place in the masked text.
#[derive(Clone, Copy)]
struct Side<'a> {
    real: &'a Value,
    shown: Option<&'a Value>,
}

impl<'a> Side<'a> {
    fn document(real: &'a [Value], shown: &'a [Value], at: usize) -> Option<Self> {
        let real = real.get(at).filter(|value| !value.is_null())?;
        let shown = shown.get(at);
        Some(Self { real, shown })
    }

    fn field(self, key: &Value) -> Option<Self> {
        Some(Self {
            real: self.real.as_mapping()?.get(key)?,
            shown: self.shown.and_then(|shown| shown.as_mapping()?.get(key)),
        })
    }

    fn item(self, at: usize) -> Option<Self> {
        Some(Self {
            real: self.real.as_sequence()?.get(at)?,
            shown: self.shown.and_then(|shown| shown.as_sequence()?.get(at)),
        })
    }

    fn has_fields(self) -> bool {
        self.real
            .as_mapping()
            .is_some_and(|fields| !fields.is_empty())
    }

    fn keys(self) -> impl Iterator<Item = &'a Value> {
        self.real.as_mapping().into_iter().flat_map(Mapping::keys)
    }

    fn has_items(self) -> bool {
        !self.items().is_empty()
    }

    fn items(self) -> &'a [Value] {
        self.real.as_sequence().map_or(&[], Vec::as_slice)
    }

    /// The value as YAML writes it on one line, and whether it is what is really there.
    fn leaf(self) -> (String, bool) {
        let real = leaf(self.real);
        match self.shown.map(leaf) {
            Some(shown) => {
                let is_real = shown == real;
                (shown, is_real)
            }
            None => (HIDDEN.to_owned(), false),
        }
    }

    /// The value as a text of several lines.
    fn text(self) -> Option<Text<'a>> {
        let (real, shown) = (self.real.as_str()?, self.shown?.as_str()?);
        let shown = shown.into();
        Some(Text { real, shown })
    }
}

fn leaf(value: &Value) -> String {
    let yaml = serde_yaml::to_string(value).unwrap_or_default();
    let yaml = yaml.trim_end_matches('\n');
    match value.as_str() {
        // As YAML it would be a block.
        Some(text) if yaml.contains('\n') => format!("{text:?}"),
        _ => yaml.to_owned(),
    }
}

struct Walk {
    detail: Detail,
    document: Option<String>,
    found: Vec<FieldChange>,
    hidden: bool,
}

impl Walk {
    fn compare(&mut self, path: &str, old: Option<Side>, new: Option<Side>) {
        let mut sides = [old, new].into_iter().flatten();
        let are_mappings = sides.clone().all(Side::has_fields);
        let are_sequences = sides.clone().all(Side::has_items);
        match (old, new) {
            (None, None) => {}
            (Some(a), Some(b)) if a.real == b.real => {}
            _ if are_mappings => self.mappings(path, old, new),
            _ if are_sequences => self.sequences(path, old, new),
            (Some(_), Some(_)) if sides.any(|side| side.has_fields() || side.has_items()) => {
                self.compare(path, old, None);
                self.compare(path, None, new);
            }
            _ => self.leaf(path, old, new),
        }
    }

    fn mappings(&mut self, path: &str, old: Option<Side>, new: Option<Side>) {
        let known = old.into_iter().flat_map(Side::keys);
        let is_added = |key: &&Value| old.and_then(|old| old.field(key)).is_none();
        let added = new.into_iter().flat_map(Side::keys).filter(is_added);
        for key in known.chain(added) {
            let [old, new] = [old, new].map(|side| side?.field(key));
            self.compare(&below(path, key), old, new);
        }
    }

    fn sequences(&mut self, path: &str, old: Option<Side>, new: Option<Side>) {
        let names = [old, new].map(|side| names(side.map_or(&[], Side::items)));
        let [Some(from), Some(to)] = names else {
            let lengths = [old, new].map(|side| side.map_or(0, |side| side.items().len()));
            for at in 0..lengths[0].max(lengths[1]) {
                let path = format!("{path}[{at}]");
                self.compare(
                    &path,
                    old.and_then(|side| side.item(at)),
                    new.and_then(|side| side.item(at)),
                );
            }
            return;
        };
        let places: HashMap<_, _> = to.iter().zip(0..).collect();
        let known: HashSet<_> = from.iter().collect();
        for (at, name) in from.iter().enumerate() {
            let new = places.get(name).and_then(|at| new?.item(*at));
            let old = old.and_then(|side| side.item(at));
            self.compare(&format!("{path}[{}]", label(old)), old, new);
        }
        for (at, _) in to
            .iter()
            .enumerate()
            .filter(|(_, name)| !known.contains(name))
        {
            let new = new.and_then(|side| side.item(at));
            self.compare(&format!("{path}[{}]", label(new)), None, new);
        }
        let kept = from.iter().filter_map(|name| places.get(name));
        if !kept.is_sorted() {
            self.put(path, FieldDifference::Reordered);
        }
    }

    fn leaf(&mut self, path: &str, old: Option<Side>, new: Option<Side>) {
        let leaves = [old, new].map(|side| side.map(Side::leaf));
        self.hidden |= leaves.iter().flatten().any(|(_, is_real)| !is_real);
        let value = |(value, _): (String, bool)| self.detail.line(&value);
        let change = match leaves {
            [Some(a), Some(b)] if a.0 == b.0 => FieldDifference::Hidden,
            _ if let Some(lines) = self.text(old, new) => FieldDifference::Text { lines },
            [Some(a), Some(b)] => FieldDifference::Changed {
                old: value(a),
                new: value(b),
            },
            [Some(a), None] => FieldDifference::Removed { value: value(a) },
            [None, Some(b)] => FieldDifference::Added { value: value(b) },
            [None, None] => return,
        };
        self.put(path, change);
    }

    /// The difference of two texts, one of which has several lines.
    fn text(&self, old: Option<Side>, new: Option<Side>) -> Option<Listed<Line>> {
        let empty = || Text {
            real: "",
            shown: "".into(),
        };
        let old = old.map_or(Some(empty()), Side::text)?;
        let new = new.map_or(Some(empty()), Side::text)?;
        if ![old.real, new.real].iter().any(|text| text.contains('\n')) {
            return None;
        }
        let (lines, _) = lines::unified(&old, &new, self.detail);
        Some(self.detail.cut(lines, Detail::LINES))
    }

    fn put(&mut self, path: &str, change: FieldDifference) {
        self.found.push(FieldChange {
            document: self.document.clone(),
            path: path.to_owned(),
            change,
        });
    }
}

/// The way to a field. A key that would read as several steps is quoted.
fn below(path: &str, key: &Value) -> String {
    let is_plain = |key: &&str| {
        let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        !key.is_empty() && key.chars().all(is_letter)
    };
    match key.as_str().filter(is_plain) {
        Some(key) if path.is_empty() => key.to_owned(),
        Some(key) => format!("{path}.{key}"),
        None => match key.as_str() {
            Some(key) => format!("{path}[{key:?}]"),
            None => format!("{path}[{}]", leaf(key)),
        },
    }
}

/// What tells the items of a list apart, when it is not their place: their names, or that they
/// are values of which each stands there once.
fn names(items: &[Value]) -> Option<Vec<String>> {
    let name = |item: &Value| match item {
        Value::Mapping(fields) => fields
            .get("name")?
            .as_str()
            .map(|name| format!("name={name}")),
        Value::Sequence(_) | Value::Tagged(_) => None,
        scalar => Some(leaf(scalar)),
    };
    let names: Vec<_> = items.iter().map(name).collect::<Option<_>>()?;
    let unique: HashSet<_> = names.iter().collect();
    (unique.len() == names.len()).then_some(names)
}

/// How an item is called in a path.
fn label(item: Option<Side>) -> String {
    let Some(Side { real, shown }) = item else {
        return String::new();
    };
    if !real.is_mapping() {
        return String::new();
    }
    let name = shown.and_then(|shown| shown.get("name")?.as_str());
    format!("name={}", name.unwrap_or(HIDDEN))
}
