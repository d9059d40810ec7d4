//! What a store can do: what it says, and what it is seen to do.

use mlua::{AnyUserData, Lua, LuaSerdeExt, Table, Value};

use super::handle;
use crate::lua::api::Def;
use crate::lua::backend::beside;
use crate::lua::vm;
use crate::store::contract::CLAIMS;
use crate::store::probe;
use crate::store::s3::S3Store;

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

pub(super) const BUCKET_SETTINGS: Def = Def {
    name: "Store:bucket_settings",
    summary: "Tells how the bucket of an `s3://` store is set up.",
    body: "`region`; `encryption`: `AES256`, `aws:kms` or `none`; `versioning`: `enabled`, \
           `suspended` or `off`; `public_access`: `blocked`, `partly blocked` or `not blocked`. \
           What isn't known is left out, with the reason in `unknown` by its name. Also for S3's \
           relatives; `nil` for all other stores, and in a rehearsal.",
    params: &[],
    options: &[],
    returns: &[("table|nil", "the settings")],
    errors: &[("not_found", "there is no such bucket")],
    permission: "",
    since: "0.1.0",
    example: "assert(kstate.store.open(\"memfs://set-up\"):bucket_settings() == nil)",
    make: |def, lua| def.wait(lua, bucket_settings),
};

async fn bucket_settings(lua: Lua, this: AnyUserData) -> mlua::Result<Value> {
    let store = handle::of(&this)?;
    let asked = async move {
        let bucket = store.backend().downcast_ref::<S3Store>();
        match bucket {
            Some(bucket) => bucket.bucket_settings().await.map(Some),
            None => Ok(None),
        }
    };
    match vm::on_io(&lua, asked).await?? {
        Some(settings) => lua.to_value(&settings),
        None => Ok(Value::Nil),
    }
}
