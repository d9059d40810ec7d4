//! Changes at a path.

use serde_yaml::{Mapping, Value};

use super::super::document::outline::{Kind, Node, Style};
use super::super::path::{Path, Step, entry, new_key};
use super::super::pointer::find_key;
use super::super::reconcile::{MERGE_KEY, Refusal, check_merge, merged};
use super::{Editor, Place};

/// A value on the way to another.
pub(in crate::merge) struct Stop<'a> {
    place: Place<'a>,
    pub(in crate::merge) node: &'a Node,
    pub(in crate::merge) value: &'a Value,
}

/// The values from the top to the end of a path, or as far as there are some. Aliases aren't
/// followed.
pub(in crate::merge) fn follow<'a>(
    root: &'a Node,
    value: &'a Value,
    path: &[Step],
) -> Vec<Stop<'a>> {
    let mut stops = vec![Stop {
        place: Place::Top,
        node: root,
        value,
    }];
    let (mut node, mut value) = (root, value);
    for step in path {
        let Some((index, inner)) = child(value, step) else {
            break;
        };
        let Some(child) = node.children.get(index) else {
            break;
        };
        let place = Place::Child(node, child);
        (node, value) = (&child.value, inner);
        stops.push(Stop { place, node, value });
    }
    stops
}

fn child<'a>(value: &'a Value, step: &Step) -> Option<(usize, &'a Value)> {
    match step {
        Step::Key(key) => entry(value.as_mapping()?, key),
        Step::Index(index) => Some((*index, value.as_sequence()?.get(*index)?)),
    }
}

impl Editor<'_> {
    /// Makes the value at a path what it is in `intended`.
    pub(in crate::merge) fn set(
        &mut self,
        root: &Node,
        old: &Value,
        intended: &Value,
        path: &[Step],
    ) -> Result<(), Refusal> {
        let stops = follow(root, old, path);
        self.check_way(&stops, path)?;
        let depth = stops.len() - 1;
        let new = Path(path[..depth].to_vec());
        match (stops.last(), new.lookup(intended)) {
            (Some(last), Some(new)) => self.reconcile(last.place, last.node, last.value, new),
            _ => Err("can't be changed where it stands".to_owned()),
        }
    }

    /// Removes the value at a path, which there is.
    pub(in crate::merge) fn unset(
        &mut self,
        root: &Node,
        old: &Value,
        intended: &Value,
        path: &[Step],
    ) -> Result<(), Refusal> {
        let Some((step, parents)) = path.split_last() else {
            return Err("can't be removed as a whole".to_owned());
        };
        let stops = follow(root, old, parents);
        self.check_way(&stops, path)?;
        let missing = || "can't be removed where it stands".to_owned();
        let parent = stops.last().ok_or_else(missing)?;
        let new = Path(parents.to_vec());
        let new = new.lookup(intended).ok_or_else(missing)?;
        if let (Some(old), Some(new)) = (parent.value.as_mapping(), new.as_mapping()) {
            check_merge(old, new)?;
        }
        let (index, _) = child(parent.value, step).ok_or_else(missing)?;
        let count = parent.node.children.len();
        if count <= 1 || parent.node.kind == Kind::Mapping(Style::Pair) {
            self.replace(parent.place, parent.node, new);
            return Ok(());
        }
        let gone: Vec<bool> = (0..count).map(|child| child == index).collect();
        self.remove(parent.node, &gone);
        Ok(())
    }

    /// Refuses a way that leads to values which stand elsewhere.
    fn check_way(&self, stops: &[Stop<'_>], path: &[Step]) -> Result<(), Refusal> {
        for (depth, (stop, step)) in stops.iter().zip(path).enumerate() {
            if stop.node.kind == Kind::Alias {
                let alias = &self.source()[stop.node.span.clone()];
                return Err(format!(
                    "is behind the alias {alias}: change it where the anchor stands, or write the \
                     value out instead of the alias"
                ));
            }
            let Step::Key(key) = step else {
                continue;
            };
            if key == MERGE_KEY {
                return Err(
                    "is behind the merge key <<: change it where its entries stand".to_owned(),
                );
            }
            let is_last = depth + 1 == path.len();
            let hides =
                |mapping: &Mapping| entry(mapping, key).is_none() && merged(mapping, key).is_some();
            if !is_last && stop.value.as_mapping().is_some_and(hides) {
                return Err(format!(
                    "is in what the merge key << brings in as {key}, and would hide the rest of \
                     it: write that out first"
                ));
            }
        }
        Ok(())
    }
}

/// Puts a value into another, with the mappings on the way to it where there is nothing.
pub(in crate::merge) fn put(into: &mut Value, path: &[Step], value: Value) -> Result<(), Refusal> {
    let Some((step, rest)) = path.split_first() else {
        *into = value;
        return Ok(());
    };
    if let Value::Tagged(tagged) = into {
        return put(&mut tagged.value, path, value);
    }
    if into.is_null() {
        *into = match step {
            Step::Key(_) => Value::Mapping(Mapping::new()),
            Step::Index(_) => Value::Sequence(Vec::new()),
        };
    }
    match (step, into) {
        (Step::Key(key), Value::Mapping(mapping)) => {
            let key = find_key(mapping, key).unwrap_or_else(|| new_key(mapping, key));
            put(mapping.entry(key).or_insert(Value::Null), rest, value)
        }
        (Step::Index(index), Value::Sequence(items)) => {
            if *index == items.len() {
                items.push(Value::Null);
            }
            let length = items.len();
            match items.get_mut(*index) {
                Some(item) => put(item, rest, value),
                None => Err(format!(
                    "can't be set: the list has {length} elements, so that [{length}] is the next"
                )),
            }
        }
        (Step::Key(key), _) => Err(format!("can't be set: what holds {key} is no mapping")),
        (Step::Index(index), _) => Err(format!("can't be set: what holds [{index}] is no list")),
    }
}

/// Takes the value at a path out of another.
pub(in crate::merge) fn take(from: &mut Value, path: &[Step]) -> Option<Value> {
    let (step, parents) = path.split_last()?;
    match (step, find_mut(from, parents)?) {
        (Step::Key(key), Value::Mapping(mapping)) => {
            let key = find_key(mapping, key)?;
            mapping.shift_remove(&key)
        }
        (Step::Index(index), Value::Sequence(items)) => {
            (*index < items.len()).then(|| items.remove(*index))
        }
        _ => None,
    }
}

/// Takes the values at paths of one length out of another. Elements of one list follow each other
/// in order, as a selector finds them; they go in one pass.
pub(in crate::merge) fn take_all(from: &mut Value, paths: &[Path]) {
    let parents = |path: &Path| path.0.len().saturating_sub(1);
    for siblings in paths.chunk_by(|a, b| a.0[..parents(a)] == b.0[..parents(b)]) {
        let indices = siblings.iter().filter_map(|path| match path.0.last() {
            Some(Step::Index(index)) => Some(*index),
            _ => None,
        });
        let mut gone = indices.peekable();
        let parent = &siblings[0].0[..parents(&siblings[0])];
        if gone.peek().is_none() {
            for path in siblings {
                take(from, &path.0);
            }
        } else if let Some(Value::Sequence(items)) = find_mut(from, parent) {
            let mut places = 0..;
            items.retain(|_| gone.next_if_eq(&places.next().unwrap_or(0)).is_none());
        }
    }
}

/// The value at a path, to be changed; below its tag where it has one.
fn find_mut<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    if let Value::Tagged(tagged) = value {
        return find_mut(&mut tagged.value, path);
    }
    let Some((step, rest)) = path.split_first() else {
        return Some(value);
    };
    let inner = match (step, value) {
        (Step::Key(key), Value::Mapping(mapping)) => {
            let key = find_key(mapping, key)?;
            mapping.get_mut(&key)
        }
        (Step::Index(index), Value::Sequence(items)) => items.get_mut(*index),
        _ => None,
    };
    find_mut(inner?, rest)
}
