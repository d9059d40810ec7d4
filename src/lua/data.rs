//! Data across the border: Lua values as JSON values and back, without loss.
//!
//! Lua has one kind of table and no order in it. So a decoded array carries a mark (it stays an
//! array when it is empty), and the order of a decoded object's keys is remembered beside it.

use mlua::{LightUserData, Lua, Table, Value};
use serde_json::{Map, Number, Value as Json};

use super::error::ScriptError;

/// How deep tables may lie in each other.
const DEPTH: usize = 128;

/// The most that a Lua value may stand for, in about bytes. A table that holds another one twice,
/// and so on, is small in Lua and endless as JSON.
const LARGEST: usize = 512 << 20;

/// What marks tables in one VM.
struct Marks {
    array: Table,
    object: Table,
    /// From an object to the list of its keys; it doesn't keep the object alive.
    order: Table,
}

/// Prepares a VM.
pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    let weak = lua.create_table()?;
    weak.raw_set("__mode", "k")?;
    let order = lua.create_table()?;
    order.set_metatable(Some(weak))?;
    let mark = |name: &str| {
        let mark = lua.create_table()?;
        mark.raw_set("__name", name)?;
        mark.raw_set("__metatable", name)?;
        Ok::<_, mlua::Error>(mark)
    };
    let marks = Marks {
        array: mark("array")?,
        object: mark("object")?,
        order,
    };
    lua.set_app_data(marks);
    Ok(())
}

#[expect(clippy::expect_used, reason = "set when the VM is made, never removed")]
fn marks(lua: &Lua) -> mlua::AppDataRef<'_, Marks> {
    lua.app_data_ref::<Marks>().expect("a VM of ours")
}

/// What stands for null, which unlike `nil` can be in a table.
pub(super) const NULL: Value = Value::LightUserData(LightUserData(std::ptr::null_mut()));

/// Whether a value is [`NULL`].
pub(super) fn is_null(value: &Value) -> bool {
    matches!(value, Value::LightUserData(pointer) if pointer.0.is_null())
}

/// Marks a table as an array.
pub(super) fn mark_array(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.set_metatable(Some(marks(lua).array.clone()))
}

/// Marks a table as an object.
pub(super) fn mark_object(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.set_metatable(Some(marks(lua).object.clone()))
}

/// JSON to Lua.
pub(super) fn to_lua(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    Ok(match json {
        Json::Null => NULL,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(lua.create_string(text)?),
        Json::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for item in items {
                table.raw_push(to_lua(lua, item)?)?;
            }
            mark_array(lua, &table)?;
            Value::Table(table)
        }
        Json::Object(fields) => {
            let table = lua.create_table_with_capacity(0, fields.len())?;
            let order = lua.create_table_with_capacity(fields.len(), 0)?;
            for (name, value) in fields {
                table.raw_set(name.as_str(), to_lua(lua, value)?)?;
                order.raw_push(name.as_str())?;
            }
            mark_object(lua, &table)?;
            marks(lua).order.raw_set(&table, order)?;
            Value::Table(table)
        }
    })
}

/// Lua to JSON.
///
/// # Errors
/// Names the place inside the table that can't be data.
pub(super) fn to_json(lua: &Lua, value: &Value) -> Result<Json, ScriptError> {
    to_json_within(lua, value, LARGEST)
}

/// As [`to_json`], of at most about so many bytes.
///
/// # Errors
/// As [`to_json`], and when it is more.
pub(super) fn to_json_within(lua: &Lua, value: &Value, most: usize) -> Result<Json, ScriptError> {
    let mut encoder = Encoder {
        lua,
        most,
        taken: 0,
        path: Vec::new(),
        around: Vec::new(),
    };
    encoder.value(value)
}

struct Encoder<'a> {
    lua: &'a Lua,
    most: usize,
    taken: usize,
    path: Vec<String>,
    around: Vec<*const std::ffi::c_void>,
}

impl Encoder<'_> {
    fn wrong(&self, what: &str) -> ScriptError {
        let place = self.path.concat();
        let place = place.trim_start_matches('.');
        match place {
            "" => ScriptError::invalid(format!("cannot encode the value: {what}")),
            place => ScriptError::invalid(format!("cannot encode the value at '{place}': {what}")),
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), ScriptError> {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken > self.most {
            let most = crate::text::human_size(self.most as u64);
            return Err(self.wrong(&format!("there is more than {most} up to here")));
        }
        Ok(())
    }

    fn value(&mut self, value: &Value) -> Result<Json, ScriptError> {
        self.take(size_of::<Json>())?;
        Ok(match value {
            Value::Nil => Json::Null,
            Value::Boolean(value) => Json::Bool(*value),
            Value::Integer(value) => Json::Number((*value).into()),
            Value::Number(value) => Number::from_f64(*value)
                .map(Json::Number)
                .ok_or_else(|| self.wrong("it is not a finite number"))?,
            Value::String(text) => match text.to_str() {
                Ok(text) => {
                    self.take(text.len())?;
                    Json::String(text.to_owned())
                }
                Err(_) => return Err(self.wrong("it is a string of bytes that are no UTF-8")),
            },
            Value::Table(table) => return self.table(table),
            null if is_null(null) => Json::Null,
            other => {
                return Err(self.wrong(&format!("a {} is no data", other.type_name())));
            }
        })
    }

    fn table(&mut self, table: &Table) -> Result<Json, ScriptError> {
        let pointer = table.to_pointer();
        if self.around.contains(&pointer) {
            return Err(self.wrong("the table contains itself"));
        }
        if self.around.len() >= DEPTH {
            return Err(self.wrong("the tables are nested too deeply"));
        }
        self.around.push(pointer);
        let mark = table.metatable();
        let length = table.raw_len();
        let json = if mark.as_ref() == Some(&marks(self.lua).array)
            || (length > 0 && mark.as_ref() != Some(&marks(self.lua).object))
        {
            self.array(table)
        } else {
            self.object(table)
        };
        self.around.pop();
        json
    }

    fn array(&mut self, table: &Table) -> Result<Json, ScriptError> {
        let mut highest = 0;
        let mut count = 0;
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(index) if index > 0 => highest = highest.max(index),
                key => {
                    let key = super::inspect::one_line(&key);
                    return Err(self.wrong(&format!("the list also has the key {key}")));
                }
            }
            count += 1;
        }
        let mut items = Vec::with_capacity(count);
        for index in 1..=highest {
            self.path.push(format!("[{index}]"));
            let item: Value = table.raw_get(index)?;
            if item.is_nil() {
                return Err(self.wrong("the list has a hole here; use kstate.null for null"));
            }
            items.push(self.value(&item)?);
            self.path.pop();
        }
        Ok(Json::Array(items))
    }

    fn object(&mut self, table: &Table) -> Result<Json, ScriptError> {
        let mut fields = Map::new();
        for name in self.keys(table)? {
            let value: Value = table.raw_get(name.as_str())?;
            self.take(name.len())?;
            self.path.push(format!(".{name}"));
            fields.insert(name, self.value(&value)?);
            self.path.pop();
        }
        Ok(Json::Object(fields))
    }

    /// The keys as they were decoded, as far as they are still there, then the new ones sorted.
    fn keys(&self, table: &Table) -> Result<Vec<String>, ScriptError> {
        let mut present = std::collections::BTreeSet::new();
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::String(name) => match name.to_str() {
                    Ok(name) => present.insert(name.to_owned()),
                    Err(_) => return Err(self.wrong("a key is no UTF-8")),
                },
                key => {
                    let key = super::inspect::one_line(&key);
                    return Err(self.wrong(&format!("the key {key} is no string")));
                }
            };
        }
        let mut keys = Vec::with_capacity(present.len());
        if let Some(order) = marks(self.lua).order.raw_get::<Option<Table>>(table)? {
            for name in order.sequence_values::<String>() {
                keys.extend(present.take(&name?));
            }
        }
        keys.extend(present);
        Ok(keys)
    }
}
