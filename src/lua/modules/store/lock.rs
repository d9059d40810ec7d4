//! Doing something under a lock.

use std::sync::Arc;

use mlua::{AnyUserData, Function, Lua, MultiValue, Table};

use super::handle;
use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::vm;
use crate::session::lock::{Guard, LockOptions, Strength};
use crate::units;

pub(super) const LOCK: Def = Def {
    name: "Store:lock",
    summary: "Calls a function while this run holds a lock of the store, and returns what it returns.",
    body: "The lock is an object below `.kstate/locks` at the top of the store. It excludes other \
           runs of kstate, not kOps. It is renewed meanwhile, and given back however the function \
           ends. When it is lost (the process slept too long, or somebody broke the lock) the \
           function is cancelled, and until it has ended no write of the run reaches any store. \
           The function gets a table with `name`, `strength`, `fencing` (a number that grows with \
           every acquisition) and `holder`. In a dry run nobody is asked and nothing is written. \
           The options may be left out: `store:lock(name, f)`.",
    params: &[
        Param::new("name", Type::String, "of letters, digits, `-`, `_` and `.`"),
        Param::optional("options", Type::Options, ""),
        Param::new("f", Type::Function, "called with the lock"),
    ],
    options: &[
        Param::optional(
            "ttl",
            Type::Duration,
            "how long the lock stays when its holder is gone; default `\"60s\"`",
        ),
        Param::optional(
            "wait",
            Type::Duration,
            "how long to wait for another holder; default `\"0s\"`",
        ),
        Param::optional(
            "min_strength",
            Type::String,
            "`\"atomic\"` to refuse a store whose conditional writes can't be trusted; default \
             `\"advisory\"`",
        ),
    ],
    returns: &[("any", "what the function returned")],
    errors: &[
        ("locked", "somebody else holds it, or this run does already"),
        ("lock_lost", "it was lost before the function had ended"),
        (
            "unsupported",
            "the store's locks are worth less than `min_strength`",
        ),
        ("permission_denied", "the store can't be written"),
    ],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://locked")
local sum = store:lock("numbers", { ttl = "30s", wait = "10s" }, function(lock)
  assert(lock.name == "numbers" and lock.strength == "atomic" and lock.fencing > 0)
  return 1 + 2
end)
assert(sum == 3)
"#,
    make: |def, lua| def.wait(lua, lock),
};

async fn lock(
    lua: Lua,
    (this, name, options, f): (AnyUserData, String, Options, Function),
) -> mlua::Result<MultiValue> {
    let store = handle::of(&this)?;
    let options = how(&options)?;
    let session = Arc::clone(&vm::of(&lua).host.session);
    let taking = async move { session.lock(&store, &name, &options).await };
    let guard = vm::on_io(&lua, taking).await??;
    let shown = shown(&lua, &guard)?;
    let result = guard.protect(vm::call(&lua, f, shown)).await;
    if result.is_err() {
        vm::reap(&lua);
    }
    Ok(result??)
}

fn how(options: &Options) -> mlua::Result<LockOptions> {
    let default = LockOptions::default();
    let min_strength = match options.get::<String>("min_strength")? {
        Some(text) => text.parse::<Strength>().map_err(ScriptError::invalid)?,
        None => default.min_strength,
    };
    let ttl = options.duration("ttl")?.unwrap_or(default.ttl);
    if !LockOptions::TTL.contains(&ttl) {
        let [least, most] = [LockOptions::TTL.start(), LockOptions::TTL.end()]
            .map(|limit| units::human_duration(*limit));
        let wrong = format!("option 'ttl' must be between {least} and {most}");
        return Err(ScriptError::invalid(wrong).into());
    }
    Ok(LockOptions {
        ttl,
        wait: options.duration("wait")?.unwrap_or(default.wait),
        min_strength,
    })
}

fn shown(lua: &Lua, guard: &Guard) -> mlua::Result<Table> {
    let record = guard.record();
    let table = lua.create_table_with_capacity(0, 4)?;
    table.raw_set("name", guard.name())?;
    table.raw_set("strength", record.strength.name())?;
    table.raw_set("fencing", record.fencing)?;
    table.raw_set("holder", record.holder.to_string())?;
    Ok(table)
}
