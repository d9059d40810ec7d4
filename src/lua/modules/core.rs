//! `kstate` itself: errors, the end of a script, printing.

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::lua::error::{KINDS, ScriptError, Stop};
use crate::lua::error_object::ErrorObject;
use crate::lua::script::cannot_print;
use crate::lua::shard::Shard;
use crate::lua::{data, inspect, vm};
use crate::text::did_you_mean;

/// `kstate`.
pub(super) static MODULE: Module = Module {
    name: "",
    summary: "Errors, the end of a script, and printing.",
    functions: &[
        TRY,
        ERROR,
        EXIT,
        INSPECT,
        PRINT,
        ARRAY,
        OBJECT,
        SHARD,
        super::backend::BACKEND,
    ],
    classes: &[
        &crate::lua::error_object::CLASS,
        &crate::lua::backend::CLASS,
    ],
};

/// The values that are no functions.
pub(super) fn constants(lua: &Lua, kstate: &Table) -> mlua::Result<()> {
    kstate.raw_set("null", data::NULL)?;
    kstate.raw_set("version", env!("CARGO_PKG_VERSION"))?;
    kstate.raw_set("dry_run", vm::of(lua).is_dry_run())
}

const TRY: Def = Def {
    name: "kstate.try",
    summary: "Calls a function and returns its error instead of raising it.",
    body: "The first result is `nil` when the function failed. The error is what was raised: \
           an error object for what kstate raises, else the script's own value.",
    params: &[
        Param::new("f", Type::Function, "what to call"),
        Param::new("...", Type::Rest, "its arguments"),
    ],
    options: &[],
    returns: &[
        ("any", "what the function returned; `nil` when it failed"),
        ("any", "the error"),
    ],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local value, err = kstate.try(kstate.json.decode, "{")
assert(value == nil and err.kind == "invalid")
"#,
    make: |def, lua| def.wait(lua, attempt),
};

async fn attempt(lua: Lua, (f, arguments): (Function, MultiValue)) -> mlua::Result<MultiValue> {
    match vm::call(&lua, f, arguments).await {
        Ok(results) => Ok(results),
        Err(error) if error.stop().is_some() => Err(error.into()),
        Err(error) => {
            let value = error.to_value(&lua)?;
            Ok(MultiValue::from_iter([Value::Nil, value]))
        }
    }
}

const ERROR: Def = Def {
    name: "kstate.error",
    summary: "Makes an error object; raise it with `error`.",
    body: "The fields are readable on the object, which also has `e:is(kind)`; `tostring(e)` \
           is one line. The kinds are `not_found`, `already_exists`, `precondition_failed`, \
           `permission_denied`, `unsupported`, `invalid_key`, `throttled`, `unavailable`, \
           `corrupt`, `invalid`, `refused`, `partial`, `timeout`, `cancelled` and `other`. A \
           script that ends with one exits with 3 after `refused`, 4 after `already_exists` and \
           `precondition_failed`, 5 after `partial`, else 1.",
    params: &[],
    options: &[
        Param::new("message", Type::String, "what went wrong"),
        Param::optional("kind", Type::String, "one of the kinds; default `other`"),
        Param::optional("hint", Type::String, "what to do now"),
        Param::optional("op", Type::String, "the verb that failed"),
        Param::optional("url", Type::String, "the store"),
        Param::optional("key", Type::String, "the key"),
        Param::optional("retryable", Type::Boolean, "whether trying again may help"),
        Param::optional("cause", Type::Any, "the error beneath"),
    ],
    returns: &[("kstate.Error", "the error object")],
    errors: &[("invalid", "there is no such kind")],
    permission: "",
    since: "0.1.0",
    example: r#"
local ok, e = pcall(error, kstate.error{ kind = "not_found", message = "no such cluster" })
assert(not ok and e:is("not_found") and tostring(e) == "no such cluster")
"#,
    make: |def, lua| def.sync(lua, make_error),
};

fn make_error(lua: &Lua, options: Options) -> mlua::Result<ErrorObject> {
    let text = |name: &str| options.get::<String>(name);
    let kind = text("kind")?.unwrap_or_else(|| "other".to_owned());
    if !KINDS.contains(&kind.as_str()) {
        let near = did_you_mean(&kind, KINDS.iter().copied());
        return Err(
            ScriptError::invalid(format!("there is no error kind '{kind}'{near}"))
                .hint(format!("the kinds are {}", KINDS.join(", ")))
                .into(),
        );
    }
    let mut error = ScriptError::new(kind, text("message")?.unwrap_or_default())
        .at(text("op")?, text("url")?, text("key")?)
        .retryable(options.get("retryable")?.unwrap_or(false));
    if let Some(hint) = text("hint")? {
        error = error.hint(hint);
    }
    let cause = options.value("cause")?;
    if !cause.is_nil() {
        error = error.because(ScriptError::from_value(lua, &cause));
    }
    Ok(ErrorObject(error))
}

const EXIT: Def = Def {
    name: "kstate.exit",
    summary: "Ends the script with an exit code.",
    body: "`<close>` variables are closed on the way out; no `pcall` stops it.",
    params: &[Param::optional(
        "code",
        Type::Integer,
        "0 to 255; default 0",
    )],
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "kstate.exit(0)",
    make: |def, lua| def.sync(lua, exit),
};

fn exit(_: &Lua, code: Option<i64>) -> mlua::Result<()> {
    let code = u8::try_from(code.unwrap_or(0))
        .map_err(|_| ScriptError::invalid("an exit code is 0 to 255"))?;
    Err(ScriptError::stopped(Stop::Exit(code)).into())
}

const INSPECT: Def = Def {
    name: "kstate.inspect",
    summary: "Returns a value as text that people can read.",
    body: "Keys are sorted, cycles and what lies too deep are marked.",
    params: &[Param::new("value", Type::Any, "anything")],
    options: &[Param::optional(
        "depth",
        Type::Integer,
        "how many tables deep; default 4",
    )],
    returns: &[("string", "the text")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.inspect({ b = 1, a = { "x" } }) == '{ a = { "x" }, b = 1 }')"#,
    make: |def, lua| {
        def.sync(lua, |_, (value, options): (Value, Options)| {
            let depth = options.count("depth")?.unwrap_or(inspect::DEPTH);
            Ok(inspect::pretty(&value, depth))
        })
    },
};

const PRINT: Def = Def {
    name: "kstate.print",
    summary: "Prints values to standard output, separated by tabs; the same as `print`.",
    body: "Tables are printed with their contents.",
    params: &[Param::new("...", Type::Rest, "anything")],
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"print("clusters:", { "a", "b" })"#,
    make: |def, lua| def.sync(lua, |lua, values: MultiValue| print(lua, &values)),
};

/// Prints values as scripts do.
pub(in crate::lua) fn print(lua: &Lua, values: &MultiValue) -> mlua::Result<()> {
    vm::of(lua).may_work()?;
    let mut line = Vec::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            line.push(b'\t');
        }
        match value {
            Value::String(text) => line.extend_from_slice(&text.as_bytes()),
            Value::Table(table) if table.metatable().is_some_and(has_tostring) => {
                line.extend_from_slice(value.to_string()?.as_bytes());
            }
            other => line.extend_from_slice(inspect::pretty(other, inspect::DEPTH).as_bytes()),
        }
    }
    line.push(b'\n');
    let stdout = &vm::of(lua).host.stdout;
    Ok(stdout.write(&line).map_err(cannot_print)?)
}

fn has_tostring(metatable: Table) -> bool {
    metatable
        .raw_get::<Value>("__tostring")
        .is_ok_and(|method| !method.is_nil())
}

const ARRAY: Def = Def {
    name: "kstate.array",
    summary: "Marks a table as a list, so that it is encoded as one when it is empty.",
    body: "",
    params: &[Param::optional("list", Type::Table, "default: a new one")],
    options: &[],
    returns: &[("table", "the same table")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.json.encode(kstate.array{}) == "[]")"#,
    make: |def, lua| {
        def.sync(lua, |lua, table: Option<Table>| {
            let table = table.map_or_else(|| lua.create_table(), Ok)?;
            data::mark_array(lua, &table)?;
            Ok(table)
        })
    },
};

const OBJECT: Def = Def {
    name: "kstate.object",
    summary: "Marks a table as an object, so that it is never encoded as a list.",
    body: "",
    params: &[Param::optional("fields", Type::Table, "default: a new one")],
    options: &[],
    returns: &[("table", "the same table")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.json.encode(kstate.object{}) == "{}")"#,
    make: |def, lua| {
        def.sync(lua, |lua, table: Option<Table>| {
            let table = table.map_or_else(|| lua.create_table(), Ok)?;
            data::mark_object(lua, &table)?;
            Ok(table)
        })
    },
};

const SHARD: Def = Def {
    name: "kstate.shard",
    summary: "Returns the names of a list that are this run's share of the work.",
    body: "All of them, unless several runs divide the work (`kstate run --shard`). Each name is in \
           one share, whatever else is in the list. A script that works on every cluster of a \
           store takes `kstate.shard(kstate.config.clusters(store))`.",
    params: &[Param::new("names", Type::Table, "a list of texts")],
    options: &[],
    returns: &[("string[]", "those of the share, in their order")],
    errors: &[("invalid", "there is something else than text in the list")],
    permission: "",
    since: "0.1.0",
    example: r#"assert(#kstate.shard({ "a.example.com", "b.example.com" }) == 2)"#,
    make: |def, lua| def.sync(lua, shard),
};

fn shard(lua: &Lua, names: Table) -> mlua::Result<Table> {
    let shard = vm::of(lua).host.shard.clone();
    if let Some(shard) = &shard {
        shard.ask();
    }
    let mine = lua.create_table()?;
    for name in names.sequence_values::<Value>() {
        let Value::String(name) = name? else {
            return Err(ScriptError::invalid("kstate.shard divides lists of names only").into());
        };
        if is_in(shard.as_deref(), &name) {
            mine.raw_push(name)?;
        }
    }
    data::mark_array(lua, &mine)?;
    Ok(mine)
}

fn is_in(shard: Option<&Shard>, name: &LuaString) -> bool {
    shard.is_none_or(|shard| shard.has(&name.to_string_lossy()))
}
