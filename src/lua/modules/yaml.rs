//! `kstate.yaml`.

mod changes;
mod document;
#[cfg(test)]
mod tests;

use mlua::{Lua, LuaString, Value};
use serde::Deserialize;
use serde_yaml::Value as Yaml;

use crate::lua::api::{Def, Module, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::{data, yaml_data, yaml_text};
pub(super) use document::selector;

/// `kstate.yaml`.
pub(super) static MODULE: Module = Module {
    name: "yaml",
    summary: "YAML as data, and as a text that is changed in place: decoding loses comments and quoting, editing keeps them.",
    functions: &[DECODE, DECODE_ALL, ENCODE, document::EDIT],
    classes: &[&document::CLASS],
};

const DECODE: Def = Def {
    name: "yaml.decode",
    summary: "Reads one YAML document.",
    body: "Scalars are read as YAML 1.2: `yes` is a string. `null` becomes `kstate.null`; keys \
           become strings and keep their order; anchors and merge keys are resolved.",
    params: &[Param::new("text", Type::String, "YAML")],
    options: &[],
    returns: &[("any", "the value")],
    errors: &[("invalid", "the text is no YAML, or more than one document")],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.yaml.decode("spec:\n  kubernetesVersion: '1.30'\n")
assert(doc.spec.kubernetesVersion == "1.30")
"#,
    make: |def, lua| def.sync(lua, decode),
};

fn decode(lua: &Lua, text: LuaString) -> mlua::Result<Value> {
    let value: Yaml = serde_yaml::from_slice(&text.as_bytes()).map_err(not_yaml)?;
    to_lua(lua, value)
}

const DECODE_ALL: Def = Def {
    name: "yaml.decode_all",
    summary: "Reads all YAML documents of a text.",
    body: "Documents are separated by `---`.",
    params: &[Param::new("text", Type::String, "YAML")],
    options: &[],
    returns: &[("table", "the list of values")],
    errors: &[("invalid", "the text is no YAML")],
    permission: "",
    since: "0.1.0",
    example: r#"
local docs = kstate.yaml.decode_all("a: 1\n---\nb: 2\n")
assert(#docs == 2 and docs[2].b == 2)
"#,
    make: |def, lua| {
        def.sync(lua, |lua, text: LuaString| {
            let documents = lua.create_table()?;
            for document in serde_yaml::Deserializer::from_slice(&text.as_bytes()) {
                let value = Yaml::deserialize(document).map_err(not_yaml)?;
                documents.raw_push(to_lua(lua, value)?)?;
            }
            Ok(documents)
        })
    },
};

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_yaml(error: serde_yaml::Error) -> ScriptError {
    ScriptError::invalid(format!("the text is no YAML: {error}"))
}

fn to_lua(lua: &Lua, mut value: Yaml) -> mlua::Result<Value> {
    value.apply_merge().map_err(not_yaml)?;
    yaml_data::to_lua(lua, &value)
}

const ENCODE: Def = Def {
    name: "yaml.encode",
    summary: "Writes a value as a YAML document.",
    body: "What YAML 1.1, which kOps reads, would take for something else than a string is \
           quoted. Keys are in the order in which they were decoded, else sorted.",
    params: &[Param::new("value", Type::Any, "plain data")],
    options: &[],
    returns: &[("string", "YAML, with a newline at the end")],
    errors: &[(
        "invalid",
        "the value is no plain data; the message names the place in it",
    )],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.yaml.encode({ v = "1.30", on = true }) == '"on": true\nv: "1.30"\n')"#,
    make: |def, lua| {
        def.sync(lua, |lua, value: Value| {
            Ok(yaml_text::write(&data::to_json(lua, &value)?))
        })
    },
};
