//! `kstate.debug`: looking into a script while it runs.

use mlua::{Lua, Table, Value};

use crate::lua::api::{Def, Module, Param, Type};
use crate::lua::{Runtime, vm};

/// `kstate.debug`.
pub(super) static MODULE: Module = Module {
    name: "debug",
    summary: "Looking into a script while it runs.",
    functions: &[REPL],
    classes: &[],
};

const REPL: Def = Def {
    name: "debug.repl",
    summary: "Opens a prompt in the middle of a script, until the person leaves it.",
    body: "The fields of `values` are variables there: the script's own locals can't be seen \
           otherwise. What is changed in them is in the table afterwards. Where nobody can type \
           (cron, a pipe) it says so and goes on. `kstate.exit` there ends the script.",
    params: &[Param::optional(
        "values",
        Type::Table,
        "what to look at, by name",
    )],
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local cluster = { name = "c.example.com" }
kstate.debug.repl{ cluster = cluster }
"#,
    make: |def, lua| def.wait(lua, repl),
};

async fn repl(lua: Lua, values: Option<Table>) -> mlua::Result<()> {
    vm::of(&lua).may_work()?;
    let Some(open) = vm::of(&lua).host.prompt.clone() else {
        tracing::warn!(target: "script", "kstate.debug.repl: nobody can type here; going on");
        return Ok(());
    };
    let runtime = Runtime::of(&lua);
    let globals = runtime.globals()?;
    let Some(values) = values else {
        return Ok(open(runtime, globals).await?);
    };
    let mut names = Vec::new();
    for pair in values.pairs::<Value, Value>() {
        let (name, value) = pair?;
        globals.raw_set(&name, value)?;
        names.push(name);
    }
    let left = open(runtime, globals.clone()).await;
    for name in names {
        values.raw_set(&name, globals.raw_get::<Value>(&name)?)?;
    }
    Ok(left?)
}
