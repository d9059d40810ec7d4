//! One document laid over another.

use std::collections::{HashMap, HashSet};

use serde_yaml::Value;

use super::lists::{Element, Lists, Rules, Strategy};

/// Lays a value over another: mappings are merged by key, lists as `lists` says, anything else is
/// replaced. A null replaces too: to remove a key, use [`patch`](super::patch::patch).
///
/// It goes as deep as the values do, by recursion: 200 levels are safe on any thread. So it is
/// with all functions of [`merge`](super) that take values.
#[must_use]
pub fn deep(base: &Value, over: &Value, lists: &Lists) -> Value {
    let mut merged = base.clone();
    lay_over(&mut merged, over, &Rules::new(lists));
    merged
}

fn lay_over(base: &mut Value, over: &Value, rules: &Rules<'_>) {
    match (base, over) {
        (Value::Mapping(base), Value::Mapping(over)) => {
            for (key, over) in over {
                match base.get_mut(key) {
                    Some(base) => lay_over(base, over, &rules.key(key)),
                    None => {
                        base.insert(key.clone(), over.clone());
                    }
                }
            }
        }
        (Value::Sequence(base), Value::Sequence(over)) => match rules.strategy() {
            Strategy::Replace => base.clone_from(over),
            Strategy::Append => base.extend_from_slice(over),
            Strategy::Union => {
                let mut seen: HashSet<_> = base.iter().map(Element).collect();
                let new = over.iter().filter(|element| seen.insert(Element(element)));
                let new: Vec<_> = new.cloned().collect();
                base.extend(new);
            }
            keyed @ Strategy::Keyed(_) => lay_over_keyed(base, over, keyed, rules),
        },
        (base, over) => base.clone_from(over),
    }
}

fn lay_over_keyed(base: &mut Vec<Value>, over: &[Value], keyed: &Strategy, rules: &Rules<'_>) {
    let matches = keyed.identities(base).and_then(|known| {
        let places: HashMap<_, _> = known.into_iter().zip(0..).collect();
        let over = keyed.identities(over)?.into_iter();
        let places = over.map(|identity| places.get(&identity).copied());
        Some(places.collect::<Vec<Option<usize>>>())
    });
    let Some(matches) = matches else {
        *base = over.to_vec();
        return;
    };
    let rules = rules.element();
    for (element, place) in over.iter().zip(matches) {
        match place.and_then(|place| base.get_mut(place)) {
            Some(base) => lay_over(base, element, &rules),
            None => base.push(element.clone()),
        }
    }
}

#[cfg(test)]
pub(super) mod random;
#[cfg(test)]
mod tests;
