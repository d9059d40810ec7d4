//! `kstate.base64`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mlua::{Lua, LuaString};

use crate::lua::api::{Def, Module, Param, Type};
use crate::lua::error::ScriptError;

/// `kstate.base64`.
pub(super) static MODULE: Module = Module {
    name: "base64",
    summary: "Bytes as base64 (RFC 4648, the standard alphabet, with padding).",
    functions: &[DECODE, ENCODE],
    classes: &[],
};

const DECODE: Def = Def {
    name: "base64.decode",
    summary: "Reads base64.",
    body: "",
    params: &[Param::new("text", Type::String, "base64")],
    options: &[],
    returns: &[("string", "the bytes")],
    errors: &[("invalid", "the text is no base64")],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.base64.decode("aGk=") == "hi")"#,
    make: |def, lua| def.sync(lua, decode),
};

fn decode(lua: &Lua, text: LuaString) -> mlua::Result<LuaString> {
    let bytes = STANDARD
        .decode(text.as_bytes())
        .map_err(|error| ScriptError::invalid(format!("the text is no base64: {error}")))?;
    lua.create_string(bytes)
}

const ENCODE: Def = Def {
    name: "base64.encode",
    summary: "Writes bytes as base64.",
    body: "",
    params: &[Param::new("bytes", Type::String, "the bytes")],
    options: &[],
    returns: &[("string", "base64, in one line")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.base64.encode("hi") == "aGk=")"#,
    make: |def, lua| {
        def.sync(lua, |_, bytes: LuaString| {
            Ok(STANDARD.encode(bytes.as_bytes()))
        })
    },
};
