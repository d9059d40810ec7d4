//! The JSON Patch (RFC 6902) that makes one value of another.

use std::collections::HashMap;

use serde_yaml::{Mapping, Value};
use similar::{Algorithm, DiffTag, capture_diff_slices};

use super::json_patch::Operation;
use super::lists::Element;
use super::pointer::{Pointer, find_key, key_text};

/// A small JSON Patch that makes `to` of `from`: `json_patch(from, diff_ops(from, to)) == to`,
/// for any two values that are no deeper than a patch may go.
///
/// Equal keys and elements are not touched, and elements of lists are inserted and removed one by
/// one, but where it takes less to say a value anew, it is replaced. So is a mapping in which a
/// key changes that no JSON Pointer can name: one that is no string and is new, or is written
/// like another key.
#[must_use]
pub fn diff_ops(from: &Value, to: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    changed(from, to, &Pointer::default(), &mut operations);
    operations
}

/// Adds the operations for one value and returns what they cost.
fn changed(from: &Value, to: &Value, path: &Pointer, operations: &mut Vec<Operation>) -> usize {
    if from == to {
        return 0;
    }
    let before = operations.len();
    let cost = match (from, to) {
        (Value::Mapping(from), Value::Mapping(to)) => keys(from, to, path, operations),
        (Value::Sequence(from), Value::Sequence(to)) => Some(elements(from, to, path, operations)),
        _ => None,
    };
    let anew = cost_of(to);
    if let Some(cost) = cost.filter(|cost| *cost <= anew) {
        return cost;
    }
    operations.truncate(before);
    operations.push(Operation::Replace {
        path: path.clone(),
        value: to.clone(),
    });
    anew
}

/// What an operation with a value costs: one and the number of values in it.
fn cost_of(value: &Value) -> usize {
    1 + match value {
        Value::Mapping(mapping) => mapping.values().map(cost_of).sum(),
        Value::Sequence(list) => list.iter().map(cost_of).sum(),
        Value::Tagged(tagged) => cost_of(&tagged.value),
        _ => 0,
    }
}

/// `None` where pointers can't name what changed.
fn keys(
    from: &Mapping,
    to: &Mapping,
    path: &Pointer,
    operations: &mut Vec<Operation>,
) -> Option<usize> {
    let mut cost = 0;
    for key in from.keys().filter(|key| !to.contains_key(key)) {
        let path = path.then(name(key, from, to)?);
        operations.push(Operation::Remove { path });
        cost += 1;
    }
    for (key, to_value) in to {
        let from_value = from.get(key);
        if from_value == Some(to_value) {
            continue;
        }
        let path = path.then(name(key, from, to)?);
        if let Some(from_value) = from_value {
            cost += changed(from_value, to_value, &path, operations);
        } else {
            let value = to_value.clone();
            cost += cost_of(&value);
            operations.push(Operation::Add { path, value });
        }
    }
    Some(cost)
}

/// The token for a key, when it means this key and no other, before and after.
fn name(key: &Value, from: &Mapping, to: &Mapping) -> Option<String> {
    let token = key_text(key);
    let is_this =
        |mapping, if_absent| find_key(mapping, &token).map_or(if_absent, |found| found == *key);
    let can_be_new = matches!(key, Value::String(_));
    (is_this(from, can_be_new) && is_this(to, true)).then(|| token.into_owned())
}

fn elements(
    from: &[Value],
    to: &[Value],
    path: &Pointer,
    operations: &mut Vec<Operation>,
) -> usize {
    // Equal elements get the same number, which is cheap to compare.
    let mut numbers = HashMap::new();
    let numbered = from.iter().chain(to).map(|element| {
        let next = numbers.len();
        *numbers.entry(Element(element)).or_insert(next)
    });
    let numbered: Vec<usize> = numbered.collect();
    let (old, new) = numbered.split_at(from.len());
    let hunks = capture_diff_slices(Algorithm::Myers, old, new);
    let mut cost = 0;
    // From the end, so that the numbers of the elements before stay what they are.
    for hunk in hunks
        .iter()
        .rev()
        .filter(|hunk| hunk.tag() != DiffTag::Equal)
    {
        let (old, new) = (hunk.old_range(), hunk.new_range());
        let in_both = old.len().min(new.len());
        for at in (old.start + in_both..old.end).rev() {
            let path = path.then(at.to_string());
            operations.push(Operation::Remove { path });
            cost += 1;
        }
        for (nth, value) in to[new.clone()].iter().enumerate().skip(in_both) {
            let path = path.then((old.start + nth).to_string());
            let value = value.clone();
            cost += cost_of(&value);
            operations.push(Operation::Add { path, value });
        }
        for nth in (0..in_both).rev() {
            let at = old.start + nth;
            let path = path.then(at.to_string());
            cost += changed(&from[at], &to[new.start + nth], &path, operations);
        }
    }
    cost
}

#[cfg(test)]
mod tests;
