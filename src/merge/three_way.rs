//! Three-way merge of values: what two sides made of a common base.

use std::collections::HashMap;
use std::convert::Infallible;

use serde_yaml::{Mapping, Value};

use super::document::{Path, Step};
use super::lists::{Identity, Lists, Rules, scalars};
use super::pointer::key_text;

/// A value that both sides changed, each in its own way.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// Where it is. The element of a keyed list goes by its key (`spec.subnets.a.cidr`), as its
    /// number differs from side to side.
    pub path: Path,
    /// What it was; `None` where there was nothing.
    pub base: Option<Value>,
    /// What we made of it; `None` when we removed it.
    pub ours: Option<Value>,
    /// What they made of it; `None` when they removed it.
    pub theirs: Option<Value>,
}

/// What to do about a [`Conflict`].
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// It stays a conflict, and the result holds ours.
    Open,
    /// This is the value.
    Set(Value),
    /// There shall be nothing (of a whole document, null).
    Remove,
}

/// Merges what both sides changed since `base`; where they conflict the result holds ours.
///
/// Mappings are merged by key. So are lists by element where `lists` has
/// [`Keyed`](super::lists::Strategy::Keyed) for them and elements can be matched on all sides.
/// Other lists in which there are only scalars, each once, are merged as sets: what a side added
/// is added, what a side removed is removed. Of all other values, lists too, only one side may
/// have changed them, or both alike. A value that one side removed and the other changed is a
/// conflict.
///
/// The order is ours. What they added to a mapping stands where kOps sorts it if our mapping is
/// sorted, else at the end; what they added to a list stands at its end. Where only they changed
/// the order of a list, it is theirs. Mappings that differ in their order only are equal.
#[must_use]
pub fn three_way(
    base: &Value,
    ours: &Value,
    theirs: &Value,
    lists: &Lists,
) -> (Value, Vec<Conflict>) {
    let open = |_: &Conflict| Ok::<_, Infallible>(Resolution::Open);
    match three_way_with(base, ours, theirs, lists, open) {
        Ok(merged) => merged,
        Err(never) => match never {},
    }
}

/// As [`three_way`], but `resolve` decides about each conflict, in the order of the result. The
/// conflicts that are returned are those that it left open.
///
/// # Errors
/// The first one of `resolve`.
pub fn three_way_with<E>(
    base: &Value,
    ours: &Value,
    theirs: &Value,
    lists: &Lists,
    resolve: impl FnMut(&Conflict) -> Result<Resolution, E>,
) -> Result<(Value, Vec<Conflict>), E> {
    let mut merge = Merge {
        path: Vec::new(),
        conflicts: Vec::new(),
        resolve,
    };
    let sides = Sides {
        base: Some(base),
        ours: Some(ours),
        theirs: Some(theirs),
    };
    let merged = merge.values(sides, &Rules::new(lists))?;
    Ok((merged.unwrap_or(Value::Null), merge.conflicts))
}

/// A value on all sides, `None` where there is nothing.
#[derive(Clone, Copy)]
struct Sides<'a> {
    base: Option<&'a Value>,
    ours: Option<&'a Value>,
    theirs: Option<&'a Value>,
}

/// The elements of a list on all sides, with what they are known by.
struct Elements<'a> {
    base: Known<'a>,
    ours: Known<'a>,
    theirs: Known<'a>,
}

struct Known<'a> {
    order: Vec<Identity<'a>>,
    elements: HashMap<Identity<'a>, &'a Value>,
}

impl<'a> Elements<'a> {
    /// `None` where the elements can't be matched.
    fn new(sides: Sides<'a>, rules: &Rules<'_>) -> Option<Self> {
        let base = match sides.base {
            Some(Value::Sequence(base)) => base.as_slice(),
            None => &[],
            Some(_) => return None,
        };
        let (Some(Value::Sequence(ours)), Some(Value::Sequence(theirs))) =
            (sides.ours, sides.theirs)
        else {
            return None;
        };
        let all = |known: &dyn Fn(&'a [Value]) -> Option<Vec<Identity<'a>>>| {
            Some(Self {
                base: Known::new(base, known)?,
                ours: Known::new(ours, known)?,
                theirs: Known::new(theirs, known)?,
            })
        };
        all(&|list| rules.strategy().identities(list)).or_else(|| all(&scalars))
    }

    /// The order of the result: ours and then theirs, or the other way if only they moved
    /// something.
    fn order(&self) -> impl Iterator<Item = &Identity<'a>> {
        let (first, second) = if self.theirs.is_moved(&self.base) && !self.ours.is_moved(&self.base)
        {
            (&self.theirs, &self.ours)
        } else {
            (&self.ours, &self.theirs)
        };
        let more = second.order.iter();
        let more = more.filter(|identity| !first.elements.contains_key(identity));
        first.order.iter().chain(more)
    }
}

impl<'a> Known<'a> {
    fn new(
        list: &'a [Value],
        known: &dyn Fn(&'a [Value]) -> Option<Vec<Identity<'a>>>,
    ) -> Option<Self> {
        let order = known(list)?;
        let elements = order.iter().cloned().zip(list).collect();
        Some(Self { order, elements })
    }

    fn get(&self, identity: &Identity<'_>) -> Option<&'a Value> {
        self.elements.get(identity).copied()
    }

    /// Whether the elements that are in both lists stand in another order.
    fn is_moved(&self, base: &Self) -> bool {
        let left = self.order.iter();
        let left = left.filter(|identity| base.elements.contains_key(identity));
        let right = base.order.iter();
        let right = right.filter(|identity| self.elements.contains_key(identity));
        !left.eq(right)
    }
}

struct Merge<F> {
    path: Vec<Step>,
    conflicts: Vec<Conflict>,
    resolve: F,
}

impl<E, F: FnMut(&Conflict) -> Result<Resolution, E>> Merge<F> {
    fn values(&mut self, sides: Sides<'_>, rules: &Rules<'_>) -> Result<Option<Value>, E> {
        let Sides { base, ours, theirs } = sides;
        if ours == theirs || theirs == base {
            return Ok(ours.cloned());
        }
        if ours == base {
            return Ok(theirs.cloned());
        }
        let nothing = Mapping::new();
        let base = match base {
            Some(Value::Mapping(base)) => Some(base),
            Some(_) => None,
            None => Some(&nothing),
        };
        if let (Some(base), Some(Value::Mapping(ours)), Some(Value::Mapping(theirs))) =
            (base, ours, theirs)
        {
            return self.mappings(base, ours, theirs, rules);
        }
        match Elements::new(sides, rules) {
            Some(elements) => self.lists(&elements, rules),
            None => self.conflict(sides),
        }
    }

    fn below(
        &mut self,
        step: String,
        sides: Sides<'_>,
        rules: &Rules<'_>,
    ) -> Result<Option<Value>, E> {
        self.path.push(Step::Key(step));
        let merged = self.values(sides, rules);
        self.path.pop();
        merged
    }

    fn mappings(
        &mut self,
        base: &Mapping,
        ours: &Mapping,
        theirs: &Mapping,
        rules: &Rules<'_>,
    ) -> Result<Option<Value>, E> {
        let removed = base.keys().filter(|key| !ours.contains_key(key));
        let added = theirs
            .keys()
            .filter(|key| !ours.contains_key(key) && !base.contains_key(key));
        let keys = ours.keys().chain(removed).chain(added);
        let mut merged = Vec::new();
        for key in keys {
            let sides = Sides {
                base: base.get(key),
                ours: ours.get(key),
                theirs: theirs.get(key),
            };
            let step = key_text(key).into_owned();
            if let Some(value) = self.below(step, sides, &rules.key(key))? {
                merged.push((key.clone(), value));
            }
        }
        if ours.keys().is_sorted_by_key(|key| key_text(key)) {
            merged.sort_by(|(a, _), (b, _)| key_text(a).cmp(&key_text(b)));
        }
        Ok(Some(Value::Mapping(merged.into_iter().collect())))
    }

    fn lists(&mut self, elements: &Elements<'_>, rules: &Rules<'_>) -> Result<Option<Value>, E> {
        let rules = rules.element();
        let mut merged = Vec::new();
        for identity in elements.order() {
            let sides = Sides {
                base: elements.base.get(identity),
                ours: elements.ours.get(identity),
                theirs: elements.theirs.get(identity),
            };
            merged.extend(self.below(identity.text(), sides, &rules)?);
        }
        Ok(Some(Value::Sequence(merged)))
    }

    fn conflict(&mut self, sides: Sides<'_>) -> Result<Option<Value>, E> {
        let conflict = Conflict {
            path: Path(self.path.clone()),
            base: sides.base.cloned(),
            ours: sides.ours.cloned(),
            theirs: sides.theirs.cloned(),
        };
        Ok(match (self.resolve)(&conflict)? {
            Resolution::Set(value) => Some(value),
            Resolution::Remove => None,
            Resolution::Open => {
                let ours = conflict.ours.clone();
                self.conflicts.push(conflict);
                ours
            }
        })
    }
}

#[cfg(test)]
mod tests;
