//! The fewest changes that make one value of another: mappings by their keys, sequences by what
//! their elements have in common.

use std::borrow::Cow;

use serde_yaml::{Mapping, Value};

use super::document::outline::{Child, Kind, Node, Style};
use super::edit::{Editor, Place};
use super::path::key_text;

/// The key of YAML 1.1 whose value's entries count as the mapping's own.
pub(super) const MERGE_KEY: &str = "<<";

/// Two sequences are aligned when the differing part of one by that of the other has no more
/// pairs than this; longer ones are compared element by element.
const MOST_PAIRS: usize = 40_000;

/// Why a value can't be changed where it stands.
pub(super) type Refusal = String;

impl Editor<'_> {
    /// Changes a node, whose value is `old`, so that its value is `new`.
    pub(super) fn reconcile(
        &mut self,
        place: Place<'_>,
        node: &Node,
        old: &Value,
        new: &Value,
    ) -> Result<(), Refusal> {
        if old == new {
            return Ok(());
        }
        let (inner_old, inner_new) = match (old, new) {
            (Value::Tagged(old), Value::Tagged(new)) if old.tag == new.tag => {
                (&old.value, &new.value)
            }
            _ => (old, new),
        };
        let is_done = match (node.kind, inner_old, inner_new) {
            (Kind::Mapping(style), Value::Mapping(old), Value::Mapping(new)) => {
                self.mapping(node, style, old, new)?
            }
            (Kind::Sequence(_), Value::Sequence(old), Value::Sequence(new)) => {
                self.sequence(node, old, new)?
            }
            _ => false,
        };
        if !is_done {
            self.replace(place, node, new);
        }
        Ok(())
    }

    /// `false` when nothing of the mapping stays, so that it is to be replaced as a whole.
    fn mapping(
        &mut self,
        node: &Node,
        style: Style,
        old: &Mapping,
        new: &Mapping,
    ) -> Result<bool, Refusal> {
        check_merge(old, new)?;
        let children = &node.children;
        let gone: Vec<bool> = old.keys().map(|key| !new.contains_key(key)).collect();
        let added: Vec<(&Value, &Value)> = new
            .iter()
            .filter(|(key, _)| !old.contains_key(*key))
            .collect();
        let has_changed_keys = !added.is_empty() || gone.contains(&true);
        let is_strange = children.len() != old.len();
        if is_strange || gone.iter().all(|gone| *gone) {
            return Ok(false);
        }
        if style == Style::Pair && has_changed_keys {
            return Ok(false);
        }
        let names: Vec<_> = old.keys().map(key_text).collect();
        let is_sorted = names.is_sorted();
        let mut at: Vec<_> = added
            .into_iter()
            .map(|(key, value)| {
                let place = is_sorted.then(|| self.place_of(node, &names, &key_text(key)));
                (place.unwrap_or(children.len()), key, value)
            })
            .collect();
        if is_sorted {
            at.sort_by_cached_key(|(place, key, _)| (*place, key_text(key)));
        }
        let mut at = at.into_iter().peekable();
        for (index, (child, (key, value))) in children.iter().zip(old).enumerate() {
            while let Some((_, key, value)) = at.next_if(|(place, ..)| *place <= index) {
                self.insert(node, index, &gone, Some(key), value);
            }
            if let Some(new) = new.get(key) {
                self.reconcile(Place::Child(node, child), &child.value, value, new)?;
            }
        }
        for (_, key, value) in at {
            self.insert(node, children.len(), &gone, Some(key), value);
        }
        self.remove(node, &gone);
        Ok(true)
    }

    /// Before which child a new key goes, where kOps would sort it: the first one that sorts after
    /// it and stands on a line of its own.
    fn place_of(&self, node: &Node, sorted: &[Cow<'_, str>], key: &str) -> usize {
        let first = sorted.partition_point(|name| name.as_ref() < key);
        let is_block = node.kind == Kind::Mapping(Style::Block);
        let stands_alone = |child: &Child| !is_block || self.begins_line(child.start);
        let later = node.children.iter().skip(first);
        let place = later.take_while(|child| !stands_alone(child)).count();
        first + place
    }

    fn sequence(&mut self, node: &Node, old: &[Value], new: &[Value]) -> Result<bool, Refusal> {
        let children = &node.children;
        if children.len() != old.len() {
            return Ok(false);
        }
        let pairs = align(old, new);
        if pairs.is_empty() {
            return Ok(false);
        }
        let mut gone = vec![true; old.len()];
        for (from, _) in &pairs {
            gone[*from] = false;
        }
        let mut next = 0;
        for (from, to) in pairs {
            for item in &new[next..to] {
                self.insert(node, from, &gone, None, item);
            }
            let child = &children[from];
            let place = Place::Child(node, child);
            self.reconcile(place, &child.value, &old[from], &new[to])?;
            next = to + 1;
        }
        for item in &new[next..] {
            self.insert(node, children.len(), &gone, None, item);
        }
        self.remove(node, &gone);
        Ok(true)
    }
}

/// Refuses changes that a reader who follows merge keys would see otherwise.
pub(super) fn check_merge(old: &Mapping, new: &Mapping) -> Result<(), Refusal> {
    if old.get(MERGE_KEY) != new.get(MERGE_KEY) {
        return Err("the merge key << would change; write its entries out first".to_owned());
    }
    let is_seen_through =
        |key: &&Value| !new.contains_key(*key) && merged(old, key_text(key).as_ref()).is_some();
    if let Some(key) = old.keys().find(is_seen_through) {
        let key = key_text(key);
        return Err(format!(
            "without the key {key}, the one that << merges in would show"
        ));
    }
    Ok(())
}

/// The value that a merge key brings into a mapping under a key.
pub(super) fn merged<'a>(mapping: &'a Mapping, key: &str) -> Option<&'a Value> {
    let within = |value: &'a Value| {
        let inner = value.as_mapping()?;
        inner.get(key).or_else(|| merged(inner, key))
    };
    match mapping.get(MERGE_KEY)? {
        Value::Sequence(sources) => sources.iter().find_map(within),
        source => within(source),
    }
}

/// Which elements of two sequences are the same one, perhaps changed, in order.
fn align(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let same_ends =
        |a: &mut dyn Iterator<Item = (&Value, &Value)>| a.take_while(|(a, b)| a == b).count();
    let front = same_ends(&mut old.iter().zip(new));
    let (old_rest, new_rest) = (&old[front..], &new[front..]);
    let back = same_ends(&mut old_rest.iter().rev().zip(new_rest.iter().rev()));
    let (olds, news) = (
        &old_rest[..old_rest.len() - back],
        &new_rest[..new_rest.len() - back],
    );
    let mut pairs: Vec<(usize, usize)> = (0..front).map(|index| (index, index)).collect();
    let middle = if olds.len().saturating_mul(news.len()) > MOST_PAIRS {
        (0..olds.len().min(news.len()))
            .map(|index| (index, index))
            .collect()
    } else {
        with_gaps(olds, news, &most_alike(olds, news))
    };
    pairs.extend(middle.into_iter().map(|(a, b)| (a + front, b + front)));
    let back = (0..back).rev();
    pairs.extend(back.map(|index| (old.len() - 1 - index, new.len() - 1 - index)));
    pairs
}

/// The pairs whose likenesses add up to the most, by the usual table of longest common
/// subsequences.
fn most_alike(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    let mut scores = vec![0_u16; old.len() * new.len()];
    let mut best = vec![0_u32; (old.len() + 1) * width];
    for (a, old) in old.iter().enumerate().rev() {
        for (b, new_value) in new.iter().enumerate().rev() {
            let score = likeness(old, new_value);
            scores[a * new.len() + b] = score;
            let paired = if score > 0 {
                best[(a + 1) * width + b + 1] + u32::from(score)
            } else {
                0
            };
            best[a * width + b] = paired
                .max(best[(a + 1) * width + b])
                .max(best[a * width + b + 1]);
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut pairs = Vec::new();
    while a < old.len() && b < new.len() {
        let score = scores[a * new.len() + b];
        let here = best[a * width + b];
        if score > 0 && here == best[(a + 1) * width + b + 1] + u32::from(score) {
            pairs.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if here == best[(a + 1) * width + b] {
            a += 1;
        } else {
            b += 1;
        }
    }
    pairs
}

/// How sure it is that two elements are the same one; 0 when they are not.
fn likeness(old: &Value, new: &Value) -> u16 {
    if old == new {
        return 1000;
    }
    match (old, new) {
        (Value::Mapping(old), Value::Mapping(new)) => match (name(old), name(new)) {
            (Some(old), Some(new)) if old == new => 900,
            (None, None) => {
                let same = old
                    .iter()
                    .filter(|(key, value)| new.get(*key) == Some(value));
                share(same.count(), old.len().max(new.len()))
            }
            _ => 0,
        },
        (Value::Sequence(old), Value::Sequence(new)) => {
            let same = old.iter().zip(new).filter(|(a, b)| a == b).count();
            share(same, old.len().max(new.len()))
        }
        _ => 0,
    }
}

fn share(part: usize, whole: usize) -> u16 {
    u16::try_from(part * 800 / whole.max(1)).unwrap_or(0)
}

/// What tells an element of a list of mappings from the others.
fn name(mapping: &Mapping) -> Option<&Value> {
    mapping.get("name")
}

/// Pairs also what stands between two pairs, where as many elements went as came and each may
/// have become the one in its place.
fn with_gaps(old: &[Value], new: &[Value], pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut all = Vec::with_capacity(pairs.len());
    let (mut from, mut to) = (0, 0);
    let end = (old.len(), new.len());
    for (a, b) in pairs.iter().copied().chain([end]) {
        let (gone, come) = (&old[from..a], &new[to..b]);
        if gone.len() == come.len() {
            let may_be =
                |(index, (old, new))| may_become(old, new).then_some((from + index, to + index));
            all.extend(gone.iter().zip(come).enumerate().filter_map(may_be));
        }
        if (a, b) != end {
            all.push((a, b));
        }
        (from, to) = (a + 1, b + 1);
    }
    all
}

fn may_become(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Mapping(old), Value::Mapping(new)) => name(old).is_none() && name(new).is_none(),
        (Value::Sequence(_), Value::Sequence(_)) => true,
        (old, new) => [old, new].iter().all(|value| is_scalar(value)),
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(
        value,
        Value::Mapping(_) | Value::Sequence(_) | Value::Tagged(_)
    )
}
