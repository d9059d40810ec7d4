//! The field that somebody may have meant.

use std::collections::BTreeSet;

use super::{Field, Kind, Type, field, from_internal};
use crate::merge::document::{Path, Step};
use crate::text::did_you_mean;

/// Nobody mistypes a name that is longer than this; comparing it would only take time.
const LONGEST: usize = 64;

/// A name that stands in more places than these tells nothing (`image`, `enabled`, `version`).
const PLACES: usize = 4;

/// The field nearest to one that doesn't exist: by its name in kOps's internal API, by a name
/// that differs in a letter or two, or by the same name elsewhere in the object.
#[must_use]
pub fn nearest(kind: Kind, path: &Path) -> Option<String> {
    if let Some(stored) = from_internal(kind, path) {
        return Some(stored.to_string());
    }
    let mut parent = Field::root(kind);
    let mut depth = 0;
    while let Some(field) = path.0.get(depth).and_then(|step| parent.step(step)) {
        parent = field;
        depth += 1;
    }
    let (Step::Key(typed), Step::Key(leaf)) = (path.0.get(depth)?, path.0.last()?) else {
        return None;
    };
    let siblings: Vec<&str> = parent.fields().map(|(name, _)| name).collect();
    let other_case = siblings
        .iter()
        .find(|name| name.eq_ignore_ascii_case(typed))
        .map(|name| (*name).to_owned());
    let in_place = other_case
        .or_else(|| near(typed, siblings))
        .map(|name| in_place(kind, path, depth, &name));
    match in_place {
        Some(whole) if whole.0.len() == path.0.len() => Some(whole.to_string()),
        start => same_name(kind, leaf)
            .or_else(|| start.map(|path| path.to_string()))
            .or_else(|| {
                let mut names = BTreeSet::new();
                each(Field::root(kind), &mut String::new(), &mut |_, name| {
                    names.insert(name);
                });
                same_name(kind, &near(leaf, names)?)
            }),
    }
}

/// The path with another name at one step; only up to there if that leads to no field.
fn in_place(kind: Kind, path: &Path, depth: usize, name: &str) -> Path {
    let mut renamed = path.clone();
    renamed.0[depth] = Step::Key(name.to_owned());
    if field(kind, &renamed).is_none() {
        renamed.0.truncate(depth + 1);
    }
    renamed
}

fn near<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    if typed.len() > LONGEST {
        return None;
    }
    // Words differ at least by as much as their lengths do: most need no closer look.
    let length = typed.chars().count();
    let is_near = |name: &&str| name.len().abs_diff(length) <= 1 + length / 4;
    let found = did_you_mean(typed, known.into_iter().filter(is_near));
    // The names of fields have no quotes in them.
    found.split('\'').nth(1).map(str::to_owned)
}

/// The least deep field with this name, in any case, where few have it.
fn same_name(kind: Kind, leaf: &str) -> Option<String> {
    let mut places = Vec::new();
    each(Field::root(kind), &mut String::new(), &mut |path, name| {
        if name.eq_ignore_ascii_case(leaf) {
            places.push((path.matches('.').count(), path.to_owned()));
        }
    });
    let (_, path) = places.iter().min()?;
    (places.len() <= PLACES).then(|| path.clone())
}

/// Each field of an object, with its path (`[]` for an index) and its name.
fn each(field: Field, path: &mut String, visit: &mut dyn FnMut(&str, &'static str)) {
    let length = path.len();
    if let Some(element) = field.element() {
        let mark = match field.holds() {
            Type::List => "[]",
            _ => ".*",
        };
        path.push_str(mark);
        each(element, path, visit);
        path.truncate(length);
    }
    for (name, child) in field.fields() {
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        visit(path, name);
        each(child, path, visit);
        path.truncate(length);
    }
}
