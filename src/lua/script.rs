//! The script contract: a script runs from top to bottom, or returns a table that says what it
//! takes and has a `main`.

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::error::{ScriptError, Stop};
use super::flags::{Contract, Parsed};
use super::manifest::Manifest;
use super::require::Asker;
use super::source::{self, Source};
use super::vm;

/// How a script that did not fail ended: the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

/// Runs a script with its arguments.
pub(super) async fn run(lua: &Lua, source: &Source, args: &[String]) -> Result<Exit, ScriptError> {
    match run_to_end(lua, source, args).await {
        Err(error) => match error.stop() {
            Some(Stop::Exit(code)) => Ok(Exit(code)),
            _ => Err(error),
        },
        result => result,
    }
}

/// What a script declares that it needs; `None` for one that runs from top to bottom, which is
/// stopped where it begins to work.
pub(super) async fn declared(lua: &Lua, source: &Source) -> Result<Option<Manifest>, ScriptError> {
    vm::of(lua).is_declaring.set(true);
    set_arg(lua, source, &[])?;
    let chunk = source::compile(lua, &source.name, &source.text, Asker::default())?;
    let results = match vm::call(lua, chunk, MultiValue::new()).await {
        Err(error) if matches!(error.stop(), Some(Stop::Exit(_))) => return Ok(None),
        results => results?,
    };
    match results.front() {
        Some(Value::Table(table)) => Manifest::read(table).map(Some),
        _ => Ok(None),
    }
}

async fn run_to_end(lua: &Lua, source: &Source, args: &[String]) -> Result<Exit, ScriptError> {
    set_arg(lua, source, args)?;
    let chunk = source::compile(lua, &source.name, &source.text, Asker::default())?;
    let results = vm::call(lua, chunk, MultiValue::new()).await?;
    finish(lua, source, results.front(), args).await
}

/// Goes on with what a script returned.
pub(super) async fn finish(
    lua: &Lua,
    source: &Source,
    returned: Option<&Value>,
    args: &[String],
) -> Result<Exit, ScriptError> {
    let Some(Value::Table(table)) = returned else {
        return exit_of(returned);
    };
    let Value::Function(main) = table.get("main")? else {
        return Err(ScriptError::invalid(format!(
            "{} returned a table without a 'main' function",
            source.name
        ))
        .hint("return { summary = …, flags = …, main = function(ctx) … end }"));
    };
    let contract = Contract::read(lua, table)?;
    match contract.parse(lua, args)? {
        Parsed::Help(text) => {
            let stdout = &vm::of(lua).host.stdout;
            stdout.write(text.as_bytes()).map_err(cannot_print)?;
            Ok(Exit(0))
        }
        Parsed::Run { flags, args } => {
            contract.permissions.settle(lua, source.is_shipped())?;
            main_of(lua, main, flags, args).await
        }
    }
}

async fn main_of(
    lua: &Lua,
    main: Function,
    flags: Table,
    args: Table,
) -> Result<Exit, ScriptError> {
    let ctx = lua.create_table()?;
    ctx.raw_set("flags", flags)?;
    ctx.raw_set("args", args)?;
    ctx.raw_set("dry_run", vm::of(lua).is_dry_run())?;
    let results = vm::call(lua, main, ctx).await?;
    exit_of(results.front())
}

/// `arg` as plain Lua has it, for scripts that run from top to bottom.
pub(super) fn set_arg(lua: &Lua, source: &Source, args: &[String]) -> mlua::Result<()> {
    let arg = lua.create_sequence_from(args.iter().map(String::as_str))?;
    arg.raw_set(0, source.name.as_str())?;
    vm::of(lua).public.raw_set("arg", arg)
}

/// What a script's return value means for the process.
fn exit_of(value: Option<&Value>) -> Result<Exit, ScriptError> {
    match value {
        None | Some(Value::Nil | Value::Boolean(true)) => Ok(Exit(0)),
        Some(Value::Boolean(false)) => Ok(Exit(1)),
        Some(Value::Integer(code)) => u8::try_from(*code).map(Exit).map_err(|_| {
            ScriptError::invalid(format!("the script returned the exit code {code}"))
                .hint("exit codes are 0 to 255")
        }),
        Some(other) => Err(ScriptError::invalid(format!(
            "the script returned a {}",
            other.type_name()
        ))
        .hint("return nothing, true, false, an exit code or { main = … }")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn cannot_print(error: std::io::Error) -> ScriptError {
    ScriptError::new("other", format!("cannot print: {error}"))
}
