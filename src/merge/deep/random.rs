//! Values for the tests of all merges: random ones and deep ones.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_yaml::value::{Tag, TaggedValue};
use serde_yaml::{Mapping, Value};

/// Few keys and scalars, so that two values often share some.
pub(crate) fn values() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Sequence),
            vec(scalars(), 0..6).prop_map(Value::Sequence),
            mappings(inner.clone()),
            keyed_lists(inner.clone()),
            inner.prop_map(|value| {
                let tag = Tag::new("t");
                Value::Tagged(Box::new(TaggedValue { tag, value }))
            }),
        ]
    })
}

/// A mapping, as most documents are.
pub(crate) fn documents() -> impl Strategy<Value = Value> {
    mappings(values())
}

/// A mapping and the same after a few random edits of the kinds that people make.
pub(crate) fn edits(times: usize) -> impl Strategy<Value = (Value, Vec<Value>)> {
    let edit = vec((any::<prop::sample::Index>(), 0u8..4, values()), 1..4);
    (documents(), vec(edit, times)).prop_map(|(base, edits)| {
        let edited = edits.into_iter().map(|edits| {
            edits
                .into_iter()
                .fold(base.clone(), |mut value, (at, kind, new)| {
                    let nodes = count(&value);
                    edit_node(&mut value, &mut at.index(nodes), kind, &new);
                    value
                })
        });
        (base.clone(), edited.collect())
    })
}

/// A value 200 levels deep, mappings and lists in turns.
pub(crate) fn nested(leaf: Value) -> Value {
    (0..200).fold(leaf, |inner, depth| {
        if depth % 2 == 1 {
            return vec![inner].into();
        }
        let entries = [("name".into(), "a".into()), ("x".into(), inner)];
        Value::Mapping(entries.into_iter().collect())
    })
}

/// Runs a test with a quarter of the stack that threads have.
pub(crate) fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    thread.spawn(test).unwrap().join().unwrap();
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-2i64..4).prop_map(Value::from),
        prop_oneof![Just(u64::MAX), Just(1 << 60)].prop_map(Value::from),
        prop_oneof![Just(0.0), Just(1.0), Just(1.5), Just(f64::NAN)].prop_map(Value::from),
        "[a-c1]{0,1}|~/é".prop_map(Value::from),
    ]
}

fn keys() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => "[a-d]|name|1|true|a/b|~".prop_map(Value::from),
        2 => (0i64..3).prop_map(Value::from),
        1 => prop_oneof![Just(Value::Null), Just(true.into()), Just(vec![1, 2].into())],
    ]
}

fn mappings(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec((keys(), inner), 0..5).prop_map(|entries| Value::Mapping(entries.into_iter().collect()))
}

fn keyed_lists(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec(("[a-d]", "[a-b]", inner), 0..5).prop_map(|elements| {
        let elements = elements.into_iter().map(|(name, key, value)| {
            let entries = [("name".into(), name.into()), (key.into(), value)];
            Value::Mapping(Mapping::from_iter(entries))
        });
        Value::Sequence(elements.collect())
    })
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Mapping(mapping) => mapping.values().map(count).sum(),
        Value::Sequence(list) => list.iter().map(count).sum(),
        _ => 0,
    }
}

/// Edits the node with a number, counted in depth-first order.
fn edit_node(value: &mut Value, at: &mut usize, kind: u8, new: &Value) {
    if *at == 0 {
        match (kind, value) {
            (0, Value::Mapping(mapping)) => {
                mapping.insert("b".into(), new.clone());
            }
            (1, Value::Mapping(mapping)) => mapping.retain(|key, _| key != "a"),
            (0, Value::Sequence(list)) => list.push(new.clone()),
            (1, Value::Sequence(list)) => {
                list.pop();
            }
            (2, Value::Sequence(list)) => list.reverse(),
            (_, value) => value.clone_from(new),
        }
        *at = usize::MAX;
        return;
    }
    *at -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Mapping(mapping) => mapping.values_mut().collect(),
        Value::Sequence(list) => list.iter_mut().collect(),
        _ => return,
    };
    for child in children {
        if *at == usize::MAX {
            return;
        }
        edit_node(child, at, kind, new);
    }
}
