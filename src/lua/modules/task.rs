//! `kstate.task`: several things at once, always within the call that started them.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, FuturesUnordered, LocalBoxStream};
use mlua::{
    AnyUserData, Function, Lua, MetaMethod, MultiValue, Table, UserData, UserDataFields,
    UserDataMethods, Value,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lua::api::{self, Class, Def, Module, Options, Param, Seconds, Type};
use crate::lua::error::ScriptError;
use crate::lua::vm;
use crate::units;

/// `kstate.task`.
pub(super) static MODULE: Module = Module {
    name: "task",
    summary: "Several things at once. What a call starts has ended when the call returns.",
    functions: &[MAP, JOIN, RACE, TIMEOUT, SLEEP, SEMAPHORE, RETRY],
    classes: &[&SEMAPHORE_CLASS, &PERMIT_CLASS],
};

const MAP: Def = Def {
    name: "task.map",
    summary: "Calls a function for each item of a list or iterator, several at a time.",
    body: "An iterator, such as `store:walk()`, is asked for the next item when a call is due. \
           The results are in the order of the list. The first error cancels the other calls \
           and is raised, with the item's position in `e.index`; with `on_error = \"collect\"` \
           all calls are made, and the failures are the second result: a table from position \
           to error, or `nil` when there are none.",
    params: &[
        Param::new("list", Type::Any, "the items: a list, or an iterator"),
        Param::new("f", Type::Function, "called with an item and its position"),
    ],
    options: &[
        Param::optional(
            "concurrency",
            Type::Integer,
            "how many at a time; default 16",
        ),
        Param::optional(
            "on_error",
            Type::String,
            "`\"stop\"` (default) or `\"collect\"`",
        ),
    ],
    returns: &[
        (
            "table",
            "the first result of each call, `nil` results left out",
        ),
        ("table|nil", "the failures, with `on_error = \"collect\"`"),
    ],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r"
local squares = kstate.task.map({ 1, 2, 3 }, function(n) return n * n end, { concurrency = 2 })
assert(squares[3] == 9)
",
    make: |def, lua| def.wait(lua, map),
};

async fn map(
    lua: Lua,
    arguments: (Value, Function, Options),
) -> mlua::Result<(Table, Option<Table>)> {
    let result = map_items(&lua, arguments).await;
    if result.is_err() {
        // The other calls are cancelled by now.
        vm::reap(&lua);
    }
    result
}

async fn map_items(
    lua: &Lua,
    (list, f, options): (Value, Function, Options),
) -> mlua::Result<(Table, Option<Table>)> {
    let concurrency = options.count("concurrency")?.unwrap_or(16);
    let collect = match options.get::<String>("on_error")?.as_deref() {
        None | Some("stop") => false,
        Some("collect") => true,
        Some(other) => {
            return Err(ScriptError::invalid(format!(
                "on_error is 'stop' or 'collect', not '{other}'"
            ))
            .into());
        }
    };
    let results = lua.create_table()?;
    let failures = lua.create_table()?;
    let calls = items(lua, list)?.enumerate().map(|(index, item)| {
        let (lua, f) = (lua.clone(), f.clone());
        async move {
            let index = index + 1;
            match item {
                Ok(item) => (index, Ok(vm::call(&lua, f, (item, index)).await)),
                Err(error) => (index, Err(error)),
            }
        }
    });
    let mut calls = std::pin::pin!(calls.buffer_unordered(concurrency));
    while let Some((index, result)) = calls.next().await {
        match result? {
            Ok(mut values) => results.raw_set(index, values.pop_front())?,
            Err(error) if collect && error.stop().is_none() => {
                failures.raw_set(index, error.of_task(index).to_value(lua)?)?;
            }
            Err(error) => return Err(error.of_task(index).into()),
        }
    }
    let failed = !failures.is_empty();
    Ok((results, failed.then_some(failures)))
}

/// The items of a list, or of an iterator, which is asked for the next one when a call is due.
fn items(
    lua: &Lua,
    list: Value,
) -> Result<LocalBoxStream<'static, Result<Value, ScriptError>>, ScriptError> {
    match list {
        Value::Table(table) => {
            let items: Vec<_> = table.sequence_values().collect();
            let items = items
                .into_iter()
                .map(|item| item.map_err(ScriptError::from));
            Ok(stream::iter(items).boxed_local())
        }
        Value::Function(_) | Value::UserData(_) => {
            let lua = lua.clone();
            Ok(stream::try_unfold((lua, list), async |(lua, next)| {
                let item = vm::call(&lua, next.clone(), ()).await?.pop_front();
                let item = item.filter(|item| !item.is_nil());
                Ok(item.map(|item| (item, (lua, next))))
            })
            .boxed_local())
        }
        other => Err(ScriptError::invalid(format!(
            "bad argument #1 'list' to 'task.map': a list or an iterator expected, got {}",
            other.type_name()
        ))),
    }
}

const JOIN: Def = Def {
    name: "task.join",
    summary: "Calls all functions of a table at once and waits for them.",
    body: "The first error cancels the others and is raised, with its position in `e.index`.",
    params: &[Param::new("functions", Type::Table, "the functions")],
    options: &[],
    returns: &[("table", "the first result of each, in the same places")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local both = kstate.task.join({ function() return "a" end, function() return "b" end })
assert(both[1] == "a" and both[2] == "b")
"#,
    make: |def, lua| def.wait(lua, join),
};

async fn join(lua: Lua, functions: Table) -> mlua::Result<Table> {
    let results = lua.create_table()?;
    let mut calls = start(&lua, &functions)?;
    while let Some((index, result)) = calls.next().await {
        match result {
            Ok(mut values) => results.raw_set(index, values.pop_front())?,
            Err(error) => {
                drop(calls);
                vm::reap(&lua);
                return Err(error.of_task(index).into());
            }
        }
    }
    Ok(results)
}

type Calls = FuturesUnordered<
    futures::future::LocalBoxFuture<'static, (usize, Result<MultiValue, ScriptError>)>,
>;

fn start(lua: &Lua, functions: &Table) -> mlua::Result<Calls> {
    let calls = Calls::new();
    for (function, index) in functions.sequence_values::<Value>().zip(1..) {
        let Value::Function(function) = function? else {
            return Err(ScriptError::invalid(format!("item {index} is no function")).into());
        };
        let lua = lua.clone();
        calls.push(Box::pin(async move {
            (index, vm::call(&lua, function, ()).await)
        }));
    }
    Ok(calls)
}

const RACE: Def = Def {
    name: "task.race",
    summary: "Calls all functions of a table at once, and takes the one that ends first.",
    body: "The others are cancelled. When the first to end failed, its error is raised.",
    params: &[Param::new(
        "functions",
        Type::Table,
        "the functions, at least one",
    )],
    options: &[],
    returns: &[
        ("any", "the first result of the fastest"),
        ("integer", "its position"),
    ],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local value, index = kstate.task.race({
  function() kstate.task.sleep("1h") end,
  function() return "fast" end,
})
assert(value == "fast" and index == 2)
"#,
    make: |def, lua| def.wait(lua, race),
};

async fn race(lua: Lua, functions: Table) -> mlua::Result<(Value, usize)> {
    let mut calls = start(&lua, &functions)?;
    let first = calls.next().await;
    drop(calls);
    vm::reap(&lua);
    match first {
        Some((index, Ok(mut values))) => Ok((values.pop_front().unwrap_or_default(), index)),
        Some((index, Err(error))) => Err(error.of_task(index).into()),
        None => Err(ScriptError::invalid("a race needs at least one function").into()),
    }
}

const TIMEOUT: Def = Def {
    name: "task.timeout",
    summary: "Calls a function and cancels it when it takes too long.",
    body: "",
    params: &[
        Param::new("time", Type::Duration, "how long it may take"),
        Param::new("f", Type::Function, "what to call"),
        Param::new("...", Type::Rest, "its arguments"),
    ],
    options: &[],
    returns: &[("any", "what the function returned")],
    errors: &[("timeout", "it took too long")],
    permission: "",
    since: "0.1.0",
    example: r#"
local ok, e = pcall(kstate.task.timeout, "10ms", kstate.task.sleep, "1h")
assert(not ok and e:is("timeout"))
"#,
    make: |def, lua| def.wait(lua, timeout),
};

async fn timeout(
    lua: Lua,
    (Seconds(time), f, arguments): (Seconds, Function, MultiValue),
) -> mlua::Result<MultiValue> {
    let result = tokio::time::timeout(time, vm::call(&lua, f, arguments)).await;
    let Ok(result) = result else {
        vm::reap(&lua);
        let time = units::human_duration(time);
        return Err(ScriptError::new("timeout", format!("it took longer than {time}")).into());
    };
    Ok(result?)
}

const SLEEP: Def = Def {
    name: "task.sleep",
    summary: "Waits. Other tasks go on meanwhile.",
    body: "",
    params: &[Param::new("time", Type::Duration, "how long")],
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"kstate.task.sleep("1ms")"#,
    make: |def, lua| {
        def.wait(lua, |_, Seconds(time): Seconds| async move {
            tokio::time::sleep(time).await;
            Ok(())
        })
    },
};

const SEMAPHORE: Def = Def {
    name: "task.semaphore",
    summary: "Makes a limit on how many tasks do something at once.",
    body: "",
    params: &[Param::new("permits", Type::Integer, "how many, at least 1")],
    options: &[],
    returns: &[("kstate.Semaphore", "the limit")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local two = kstate.task.semaphore(2)
kstate.task.map({ 1, 2, 3 }, function()
  local permit <close> = two:acquire()
  kstate.task.sleep("1ms")
end)
"#,
    make: |def, lua| {
        def.sync(lua, |_, permits: i64| match usize::try_from(permits) {
            Ok(permits) if permits > 0 && permits <= Semaphore::MAX_PERMITS => {
                Ok(Limit(Arc::new(Semaphore::new(permits))))
            }
            _ => Err(ScriptError::invalid("a semaphore has at least 1 permit").into()),
        })
    },
};

/// A semaphore in a script's hands.
struct Limit(Arc<Semaphore>);

impl UserData for Limit {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        api::class(fields, &SEMAPHORE_CLASS);
    }
}

/// One of a semaphore's permits.
struct Permit(RefCell<Option<OwnedSemaphorePermit>>);

impl UserData for Permit {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        api::class(fields, &PERMIT_CLASS);
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Close, |_, this, _: MultiValue| {
            this.0.take();
            Ok(())
        });
    }
}

static SEMAPHORE_CLASS: Class = Class {
    name: "Semaphore",
    summary: "A limit on how many tasks do something at once.",
    fields: &[],
    methods: &[ACQUIRE],
    call: "",
};

static PERMIT_CLASS: Class = Class {
    name: "Permit",
    summary: "One of a semaphore's permits; keep it in a `<close>` variable.",
    fields: &[],
    methods: &[RELEASE],
    call: "",
};

const ACQUIRE: Def = Def {
    name: "Semaphore:acquire",
    summary: "Waits for a permit.",
    body: "It is given back when the `<close>` variable that holds it goes out of scope.",
    params: &[],
    options: &[],
    returns: &[("kstate.Permit", "the permit")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "local permit <close> = kstate.task.semaphore(1):acquire()",
    make: |def, lua| {
        def.wait(lua, |_, this: AnyUserData| async move {
            let semaphore = this.borrow::<Limit>()?.0.clone();
            let permit = semaphore
                .acquire_owned()
                .await
                .map_err(|error| ScriptError::new("other", error.to_string()))?;
            Ok(Permit(RefCell::new(Some(permit))))
        })
    },
};

const RELEASE: Def = Def {
    name: "Permit:release",
    summary: "Gives the permit back now.",
    body: "",
    params: &[],
    options: &[],
    returns: &[],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "kstate.task.semaphore(1):acquire():release()",
    make: |def, lua| {
        def.sync(lua, |_, this: AnyUserData| {
            this.borrow::<Permit>()?.0.take();
            Ok(())
        })
    },
};

const RETRY: Def = Def {
    name: "task.retry",
    summary: "Calls a function again while it fails in a way that may pass.",
    body: "The waits double each time, with some randomness. Stores retry by themselves; this \
           is for what a script does on top.",
    params: &[Param::new(
        "f",
        Type::Function,
        "what to call, with the number of the attempt",
    )],
    options: &[
        Param::optional("attempts", Type::Integer, "the most calls; default 5"),
        Param::optional(
            "wait",
            Type::Duration,
            "before the second call; default `\"1s\"`",
        ),
        Param::optional(
            "max_wait",
            Type::Duration,
            "the longest wait; default `\"30s\"`",
        ),
        Param::optional(
            "on",
            Type::Table,
            "the kinds of error that may pass; default: those with `e.retryable`",
        ),
    ],
    returns: &[("any", "what the function returned")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local result = kstate.task.retry(function(attempt)
  if attempt < 3 then
    error(kstate.error{ kind = "unavailable", message = "not yet", retryable = true })
  end
  return attempt
end, { wait = "1ms" })
assert(result == 3)
"#,
    make: |def, lua| def.wait(lua, retry),
};

async fn retry(lua: Lua, (f, options): (Function, Options)) -> mlua::Result<MultiValue> {
    let attempts = options.count("attempts")?.unwrap_or(5);
    let longest = options
        .duration("max_wait")?
        .unwrap_or(Duration::from_secs(30));
    let mut wait = options.duration("wait")?.unwrap_or(Duration::from_secs(1));
    let kinds = options.get::<Vec<String>>("on")?;
    let may_pass = |error: &ScriptError| match &kinds {
        Some(kinds) => kinds.iter().any(|kind| kind == error.kind()),
        None => error.is_retryable(),
    };
    let mut attempt = 1;
    loop {
        match vm::call(&lua, f.clone(), attempt).await {
            Ok(results) => return Ok(results),
            Err(error) if attempt >= attempts || error.stop().is_some() || !may_pass(&error) => {
                return Err(error.into());
            }
            Err(_) => {}
        }
        tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        wait = (wait * 2).min(longest);
        attempt += 1;
    }
}
