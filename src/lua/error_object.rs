//! The error object that scripts catch.

use mlua::{AnyUserData, Lua, MetaMethod, UserData, UserDataFields, UserDataMethods, Value};

use super::error::ScriptError;

/// A [`ScriptError`] in a script's hands. It can't be changed.
pub(super) struct ErrorObject(pub(super) ScriptError);

impl UserData for ErrorObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field("__name", "error");
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("is", |_, this, kind: String| Ok(this.0.kind() == kind));
        methods.add_meta_method(MetaMethod::Index, |lua, this, name: String| {
            field(lua, &this.0, &name)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.0.to_string()));
        methods.add_meta_function(MetaMethod::Concat, |_, (left, right): (Value, Value)| {
            Ok(shown(&left)? + &shown(&right)?)
        });
    }
}

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
        other => match error.thrown(lua)? {
            Some(Value::Table(table)) => table.get(other),
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
