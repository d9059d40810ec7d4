//! What a store can do: what it says, and what it is seen to do.

use mlua::{AnyUserData, Lua, LuaSerdeExt, Table, Value};

use super::handle;
use crate::lua::api::Def;
use crate::lua::backend::beside;
use crate::lua::vm;
use crate::store::contract::CLAIMS;
use crate::store::probe;

pub(super) const CAPABILITIES: Def = Def {
    name: "Store:capabilities",
    summary: "Returns what the store says that it can do.",
    body: "By the names of `kstate backend show KIND --json`; what has no limit is left out. \
           `capacity` is the most bytes that all objects may have together. `beside` lists what an object has there beside its bytes, content type and user \
           metadata, and that no copy to another kind of store takes along.",
    params: &[],
    options: &[],
    returns: &[(
        "table",
        "`if_absent`, `if_match`, `metadata`, `max_size` …, `capacity` and `beside`",
    )],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "assert(kstate.store.open(\"memfs://able\"):capabilities().if_match)",
    make: |def, lua| def.sync(lua, capabilities),
};

fn capabilities(lua: &Lua, this: AnyUserData) -> mlua::Result<Table> {
    let store = handle::of(&this)?;
    let can = store.capabilities();
    let table = lua.create_table()?;
    for claim in CLAIMS {
        let said = (claim.said)(&can).to_json();
        if !said.is_null() {
            table.set(claim.field, lua.to_value(&said)?)?;
        }
    }
    table.set("capacity", store.capacity())?;
    let beside = lua.create_sequence_from(beside(&*store))?;
    table.set("beside", Value::Table(beside))?;
    Ok(table)
}

pub(super) const PROBE: Def = Def {
    name: "Store:probe",
    summary: "Finds out whether the store can be written and honours conditional writes.",
    body: "Writes and deletes one small object below `.kstate/`.",
    params: &[],
    options: &[],
    returns: &[(
        "table",
        "`if_absent` and `if_match`: whether a write that must fail was refused",
    )],
    errors: &[("permission_denied", "the store can't be written")],
    permission: "",
    since: "0.1.0",
    example: "assert(kstate.store.open(\"memfs://probe\"):probe().if_absent)",
    make: |def, lua| def.wait(lua, probe),
};

async fn probe(lua: Lua, this: AnyUserData) -> mlua::Result<Table> {
    let store = handle::of(&this)?;
    let verdict = vm::on_io(&lua, async move { probe::probe(&*store).await }).await??;
    lua.create_table_from([
        ("if_absent", verdict.if_absent),
        ("if_match", verdict.if_match),
    ])
}
