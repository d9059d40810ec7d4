//! What `kstate.backend` returns.

use mlua::{Lua, Table, UserData, UserDataFields, Value};

use super::definition::{DATA, Definition};
use super::home::functions_of;
use crate::lua::api::{self, Class};
use crate::lua::data;
use crate::lua::error::ScriptError;

/// A backend in a script's hands.
pub(in crate::lua) struct BackendObject {
    pub(super) definition: Definition,
    pub(super) functions: Table,
}

impl UserData for BackendObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        api::class(fields, &CLASS);
    }
}

/// The backend as the reference shows it.
pub(in crate::lua) static CLASS: Class = Class {
    name: "Backend",
    summary: "A kind of store that is written in Lua, for `kstate.store.register` or as what a \
              backend's file returns.",
    fields: &[],
    methods: &[],
    call: "",
};

impl BackendObject {
    /// Reads the table of a backend.
    pub(in crate::lua) fn new(lua: &Lua, fields: &Table) -> mlua::Result<Self> {
        let mut said = serde_json::Map::new();
        let mut code = std::collections::BTreeSet::new();
        for pair in fields.pairs::<Value, Value>() {
            let (name, value) = pair?;
            let Some(name) = name.as_string().map(mlua::LuaString::to_string_lossy) else {
                return Err(ScriptError::invalid("each field of a backend has a name").into());
            };
            match value {
                Value::Function(_) if !DATA.contains(&name.as_str()) => {
                    code.insert(name);
                }
                value => {
                    said.insert(name, data::to_json(lua, &value)?);
                }
            }
        }
        Ok(Self {
            definition: Definition::read(&said, &code)?,
            functions: functions_of(lua, fields)?,
        })
    }
}
