//! The names in a value, found without running any code of the script's.

use std::collections::BTreeMap;

use mlua::{Table, Value};

use crate::lua::MODULES;
use crate::lua::api::Class;

/// How many entries of a table are looked at.
const ENTRIES: usize = 10_000;

/// How far `__index` is followed.
const BEHIND: usize = 8;

/// A name in a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) name: String,
    pub(super) is_function: bool,
}

/// The names in a table and in the tables behind it.
pub(super) fn of_table(table: &Table) -> Vec<Name> {
    let mut names = BTreeMap::new();
    for table in chain(table) {
        for pair in table.pairs::<Value, Value>().take(ENTRIES) {
            let Ok((Value::String(name), value)) = pair else {
                continue;
            };
            let name = name.to_string_lossy();
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if is_name {
                names.entry(name).or_insert_with(|| value.is_function());
            }
        }
    }
    let names = names.into_iter();
    names
        .map(|(name, is_function)| Name { name, is_function })
        .collect()
}

/// What a table has under a name, itself or behind it.
pub(super) fn get(table: &Table, name: &str) -> Option<Value> {
    chain(table).find_map(|table| {
        let value = table.raw_get::<Value>(name).ok()?;
        (!value.is_nil()).then_some(value)
    })
}

/// A table and those in which Lua looks next. Where a function would answer, nobody is asked.
fn chain(table: &Table) -> impl Iterator<Item = Table> {
    let next = |table: &Table| {
        let behind = table.metatable()?;
        behind.raw_get::<Option<Table>>("__index").ok()?
    };
    std::iter::successors(Some(table.clone()), next).take(BEHIND)
}

/// The class of an object of kstate's.
pub(super) fn class_of(value: &Value) -> Option<&'static Class> {
    let name = value.as_userdata()?.type_name().ok()?;
    class(&name.to_string_lossy())
}

/// The class of a name.
pub(super) fn class(name: &str) -> Option<&'static Class> {
    let classes = MODULES.iter().flat_map(|module| module.classes);
    classes.copied().find(|class| class.name == name)
}
