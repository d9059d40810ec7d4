//! The error object that scripts catch.

use mlua::{
    AnyUserData, Function, Lua, MetaMethod, UserData, UserDataFields, UserDataMethods, Value,
};

use super::api::{self, Class, Def, Param, Type};
use super::data;
use super::error::ScriptError;

/// A [`ScriptError`] in a script's hands. It can't be changed.
pub(super) struct ErrorObject(pub(super) ScriptError);

impl UserData for ErrorObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field("__name", CLASS.name);
        fields.add_meta_field_with("__index", index);
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.0.to_string()));
        methods.add_meta_function(MetaMethod::Concat, |_, (left, right): (Value, Value)| {
            Ok(shown(&left)? + &shown(&right)?)
        });
    }
}

/// Methods first, then fields.
fn index(lua: &Lua) -> mlua::Result<Function> {
    let methods = api::functions(lua, CLASS.methods)?;
    lua.create_function(move |lua, (this, name): (AnyUserData, String)| {
        let method: Value = methods.raw_get(name.as_str())?;
        if !method.is_nil() {
            return Ok(method);
        }
        field(lua, &this.borrow::<ErrorObject>()?.0, &name)
    })
}

/// The error object as the reference shows it.
pub(super) static CLASS: Class = Class {
    name: "Error",
    summary: "What kstate raises. `tostring(e)` is one line.",
    fields: &[
        Param::new("kind", Type::String, "what sort of failure it is"),
        Param::new("message", Type::String, "what went wrong"),
        Param::new("retryable", Type::Boolean, "whether trying again may help"),
        Param::optional("op", Type::String, "the verb that failed"),
        Param::optional("url", Type::String, "the store"),
        Param::optional("key", Type::String, "the key"),
        Param::optional("hint", Type::String, "what to do now"),
        Param::optional("cause", Type::Any, "the error beneath"),
        Param::optional("index", Type::Integer, "which of several tasks failed"),
        Param::optional("traceback", Type::String, "the calls, innermost first"),
    ],
    methods: &[IS],
    call: "",
};

const IS: Def = Def {
    name: "Error:is",
    summary: "Tells whether the error is of a kind.",
    body: "",
    params: &[Param::new("kind", Type::String, "the kind")],
    options: &[],
    returns: &[("boolean", "whether it is")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local ok, e = pcall(kstate.json.decode, "{")
assert(e:is("invalid"))
"#,
    make: |def, lua| {
        def.sync(lua, |_, (this, kind): (AnyUserData, String)| {
            Ok(this.borrow::<ErrorObject>()?.0.kind() == kind)
        })
    },
};

fn field(lua: &Lua, error: &ScriptError, name: &str) -> mlua::Result<Value> {
    let text = |text: Option<&str>| match text {
        Some(text) => lua.create_string(text).map(Value::String),
        None => Ok(Value::Nil),
    };
    match name {
        "kind" => text(Some(error.kind())),
        "message" => text(Some(error.message())),
        "op" => text(error.operation()),
        "url" => text(error.url()),
        "key" => text(error.key()),
        "hint" => text(error.hint_text()),
        "traceback" => text(error.traceback()),
        "retryable" => Ok(Value::Boolean(error.is_retryable())),
        "cause" => error
            .cause()
            .map_or(Ok(Value::Nil), |cause| cause.to_value(lua)),
        "index" => Ok(error.index().map_or(Value::Nil, |index| {
            Value::Integer(i64::try_from(index).unwrap_or(i64::MAX))
        })),
        // A table that the script raised keeps its own fields.
        other => match (error.detail(other), error.thrown(lua)?) {
            (Some(detail), _) => data::to_lua(lua, detail),
            (None, Some(Value::Table(table))) => table.get(other),
            _ => Ok(Value::Nil),
        },
    }
}

fn shown(value: &Value) -> mlua::Result<String> {
    match value {
        Value::UserData(data) if data.is::<ErrorObject>() => {
            AnyUserData::borrow::<ErrorObject>(data).map(|object| object.0.to_string())
        }
        other => other.to_string(),
    }
}
