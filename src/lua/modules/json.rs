//! `kstate.json`.

use mlua::{Lua, LuaString, Value};

use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::lua::data;
use crate::lua::error::ScriptError;

/// `kstate.json`.
pub(super) static MODULE: Module = Module {
    name: "json",
    summary: "JSON.",
    functions: &[DECODE, ENCODE],
    classes: &[],
};

const DECODE: Def = Def {
    name: "json.decode",
    summary: "Reads JSON.",
    body: "`null` becomes `kstate.null`. Arrays and objects are remembered as such, and objects \
           keep the order of their keys for `encode`.",
    params: &[Param::new("text", Type::String, "JSON")],
    options: &[],
    returns: &[("any", "the value")],
    errors: &[(
        "invalid",
        "the text is no JSON; the message has line and column",
    )],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.json.decode('{"b": 1, "a": [true, null]}')
assert(doc.b == 1 and doc.a[2] == kstate.null)
"#,
    make: |def, lua| def.sync(lua, decode),
};

fn decode(lua: &Lua, text: LuaString) -> mlua::Result<Value> {
    let json: serde_json::Value = serde_json::from_slice(&text.as_bytes())
        .map_err(|error| ScriptError::invalid(format!("the text is no JSON: {error}")))?;
    data::to_lua(lua, &json)
}

const ENCODE: Def = Def {
    name: "json.encode",
    summary: "Writes a value as JSON.",
    body: "Keys are in the order in which they were decoded, else sorted. An empty table is `{}` \
           unless it is a `kstate.array`.",
    params: &[Param::new("value", Type::Any, "plain data")],
    options: &[Param::optional(
        "pretty",
        Type::Boolean,
        "over several lines, indented by two spaces",
    )],
    returns: &[("string", "JSON")],
    errors: &[(
        "invalid",
        "the value is no plain data; the message names the place in it",
    )],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.json.encode({ b = 1, a = { "x" } }) == '{"a":["x"],"b":1}')"#,
    make: |def, lua| def.sync(lua, encode),
};

fn encode(lua: &Lua, (value, options): (Value, Options)) -> mlua::Result<String> {
    let json = data::to_json(lua, &value)?;
    let text = if options.get("pretty")?.unwrap_or(false) {
        serde_json::to_string_pretty(&json)
    } else {
        serde_json::to_string(&json)
    };
    Ok(text.map_err(|error| ScriptError::invalid(error.to_string()))?)
}
