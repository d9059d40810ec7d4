//! YAML values across the border, by way of JSON. Tags, keys that are no strings and numbers
//! that Lua can't hold get lost on that way; [`fit`] brings them back.

use std::collections::HashMap;

use mlua::{Lua, Value};
use serde_json::{Map, Number, Value as Json};
use serde_yaml::value::TaggedValue;
use serde_yaml::{Mapping, Value as Yaml};

use super::data;
use super::error::ScriptError;

/// The most that is written into a text or a value by one call, in about bytes.
const LARGEST: usize = 64 << 20;

/// YAML to Lua.
pub(super) fn to_lua(lua: &Lua, value: &Yaml) -> mlua::Result<Value> {
    data::to_lua(lua, &to_json(value)?)
}

/// An argument that is data. Unlike in a table, no value at all is a mistake and not null.
pub(super) fn argument(lua: &Lua, name: &str, value: &Value) -> Result<Json, ScriptError> {
    if value.is_nil() {
        return Err(ScriptError::invalid(format!(
            "'{name}' has no value; kstate.null stands for null"
        )));
    }
    data::to_json_within(lua, value, LARGEST)
}

/// An argument as a YAML value.
pub(super) fn from_lua(lua: &Lua, name: &str, value: &Value) -> Result<Yaml, ScriptError> {
    argument(lua, name, value).map(from_json)
}

/// Refuses to put a value in so many places that it would fill the memory.
pub(super) fn check_copies(value: &Json, places: usize) -> Result<(), ScriptError> {
    if places > 1 && value.to_string().len().saturating_mul(places) > LARGEST {
        return Err(ScriptError::invalid(format!(
            "the value is too large to be written in {places} places"
        )));
    }
    Ok(())
}

/// YAML to JSON.
///
/// # Errors
/// Where JSON has nothing for it: an infinite number, a key that is a list, two keys that are
/// written alike.
pub(super) fn to_json(value: &Yaml) -> Result<Json, ScriptError> {
    Ok(match value {
        Yaml::Null => Json::Null,
        Yaml::Bool(value) => Json::Bool(*value),
        Yaml::Number(number) => Json::Number(number_of(number)?),
        Yaml::String(text) => Json::String(text.clone()),
        Yaml::Sequence(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Yaml::Mapping(fields) => {
            let mut map = Map::with_capacity(fields.len());
            for (key, value) in fields {
                let key = key_of(key)?;
                if map.contains_key(&key) {
                    return Err(ScriptError::invalid(format!(
                        "two keys are written '{key}' and of different types; in Lua they would \
                         be one"
                    )));
                }
                map.insert(key, to_json(value)?);
            }
            Json::Object(map)
        }
        Yaml::Tagged(tagged) => to_json(&tagged.value)?,
    })
}

fn number_of(number: &serde_yaml::Number) -> Result<Number, ScriptError> {
    match number.as_i64() {
        Some(integer) => Ok(integer.into()),
        None => number
            .as_f64()
            .and_then(Number::from_f64)
            .ok_or_else(|| ScriptError::invalid(format!("{number} is no finite number"))),
    }
}

fn key_of(key: &Yaml) -> Result<String, ScriptError> {
    match to_json(key)? {
        Json::String(text) => Ok(text),
        Json::Null => Ok("null".to_owned()),
        key @ (Json::Bool(_) | Json::Number(_)) => Ok(key.to_string()),
        Json::Array(_) | Json::Object(_) => {
            Err(ScriptError::invalid("a key is a list or an object"))
        }
    }
}

/// JSON to YAML.
pub(super) fn from_json(json: Json) -> Yaml {
    match json {
        Json::Null => Yaml::Null,
        Json::Bool(value) => Yaml::Bool(value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => integer.into(),
            (None, float) => float.unwrap_or(f64::NAN).into(),
        },
        Json::String(text) => Yaml::String(text),
        Json::Array(items) => Yaml::Sequence(items.into_iter().map(from_json).collect()),
        Json::Object(fields) => {
            let fields = fields.into_iter();
            Yaml::Mapping(
                fields
                    .map(|(key, value)| (key.into(), from_json(value)))
                    .collect(),
            )
        }
    }
}

/// JSON to the YAML that is to stand where `old` stands: what `old` has and JSON has no place for
/// stays where nothing else changed.
pub(super) fn fit(new: Json, old: &Yaml) -> Yaml {
    if is_plain(old) {
        return from_json(new);
    }
    match (new, old) {
        (Json::Object(fields), Yaml::Mapping(old)) => fit_mapping(fields, old),
        (Json::Array(items), Yaml::Sequence(old)) => fit_sequence(items, old),
        (new, Yaml::Tagged(tagged)) => {
            let value = fit(new, &tagged.value);
            let is_kin = value == tagged.value
                || value.is_mapping() && tagged.value.is_mapping()
                || value.is_sequence() && tagged.value.is_sequence();
            if !is_kin {
                return value;
            }
            let tag = tagged.tag.clone();
            Yaml::Tagged(Box::new(TaggedValue { tag, value }))
        }
        (Json::Number(new), Yaml::Number(old)) if number_of(old).is_ok_and(|old| old == new) => {
            Yaml::Number(old.clone())
        }
        (new, _) => from_json(new),
    }
}

fn fit_mapping(fields: Map<String, Json>, old: &Mapping) -> Yaml {
    let known = old.iter().filter_map(|(key, value)| {
        let text = key_of(key).ok()?;
        Some((text, (key, value)))
    });
    let known: HashMap<_, _> = known.collect();
    let fields = fields
        .into_iter()
        .map(|(text, new)| match known.get(&text) {
            Some((key, old)) => ((*key).clone(), fit(new, old)),
            None => (text.into(), from_json(new)),
        });
    Yaml::Mapping(fields.collect())
}

/// An element is what it was where the list has an equal one, wherever; else it is taken for the
/// one in its place.
fn fit_sequence(items: Vec<Json>, old: &[Yaml]) -> Yaml {
    let known = old.iter().filter_map(|old| {
        let json = to_json(old).ok()?;
        Some((json.to_string(), old))
    });
    let known: HashMap<_, _> = known.collect();
    let items = items.into_iter().enumerate().map(|(index, new)| {
        let equal = old
            .get(index)
            .filter(|old| to_json(old).is_ok_and(|old| old == new))
            .or_else(|| known.get(&new.to_string()).copied());
        match (equal, old.get(index)) {
            (Some(equal), _) => equal.clone(),
            (None, Some(old)) => fit(new, old),
            (None, None) => from_json(new),
        }
    });
    Yaml::Sequence(items.collect())
}

/// Whether nothing gets lost on the way to Lua and back.
fn is_plain(value: &Yaml) -> bool {
    match value {
        Yaml::Null | Yaml::Bool(_) | Yaml::String(_) => true,
        Yaml::Number(number) => {
            number.as_i64().is_some() || number.is_f64() && number_of(number).is_ok()
        }
        Yaml::Sequence(items) => items.iter().all(is_plain),
        Yaml::Mapping(fields) => fields
            .iter()
            .all(|(key, value)| key.is_string() && is_plain(value)),
        Yaml::Tagged(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values with all that JSON has no place for, but no two keys that are written alike.
    fn values() -> impl Strategy<Value = Yaml> {
        let leaf = prop_oneof![
            Just(Yaml::Null),
            any::<bool>().prop_map(Yaml::from),
            (0..4i64).prop_map(Yaml::from),
            (0..3u64).prop_map(|more| Yaml::from(u64::MAX - more)),
            (0..4i8).prop_map(|half| Yaml::from(f64::from(half) / 2.0)),
            "[a-c1]{0,2}".prop_map(Yaml::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let key = prop_oneof![
                "[a-c]".prop_map(Yaml::from),
                (0..3i64).prop_map(Yaml::from),
                any::<bool>().prop_map(Yaml::from),
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Yaml::from),
                prop::collection::vec((key, inner.clone()), 0..5)
                    .prop_map(|fields| Yaml::Mapping(fields.into_iter().collect())),
                inner.prop_map(|value| {
                    let tag = serde_yaml::value::Tag::new("t");
                    Yaml::Tagged(Box::new(TaggedValue { tag, value }))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_goes_there_and_back_is_the_same(value in values()) {
            let json = to_json(&value)?;
            prop_assert_eq!(fit(json, &value), value);
        }

        #[test]
        fn what_fits_says_what_the_new_value_says(new in values(), old in values()) {
            let new = to_json(&new)?;
            prop_assert_eq!(to_json(&fit(new.clone(), &old))?, new);
        }

        #[test]
        fn json_stays_json(value in values()) {
            let json = to_json(&value)?;
            prop_assert_eq!(to_json(&from_json(json.clone()))?, json);
        }
    }

    #[test]
    fn what_json_has_no_place_for_stays_where_it_was() {
        let yaml = |text: &str| serde_yaml::from_str::<Yaml>(text).unwrap();
        for (old, new, expected) in [
            ("{1: a}", r#"{"1": "b", "2": "c"}"#, "{1: b, '2': c}"),
            (
                "[!t a, {1: b}]",
                r#"[{"1": "b"}, "a", "c"]"#,
                "[{1: b}, !t a, c]",
            ),
            ("!t [1]", "[1, 2]", "!t [1, 2]"),
            ("!t a", r#""b""#, "b"),
            ("!t {a: 1}", "[1]", "[1]"),
            (
                "[18446744073709551615, 5]",
                "[5, 1.8446744073709552e19]",
                "[5, 18446744073709551615]",
            ),
        ] {
            let new: Json = serde_json::from_str(new).unwrap();
            assert_eq!(fit(new.clone(), &yaml(old)), yaml(expected), "{old} {new}");
        }
    }
}
