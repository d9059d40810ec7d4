//! Copying an object, and the conditions under which one is written.

use mlua::{AnyUserData, Lua, MultiValue, Value};

use super::convert;
use super::handle::{key_of, of, or_conflict, own_key_of};
use super::methods::KEY;
use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::vm;
use crate::store::{Precondition, Tag};
use crate::transfer::{self, Evidence};

pub(super) const IF_ABSENT: Param = Param::optional(
    "if_absent",
    Type::Boolean,
    "only when there is no such object",
);

pub(super) const IF_MATCH: Param = Param::optional(
    "if_match",
    Type::String,
    "only over this version, by its tag",
);

/// What must hold for a write.
pub(super) fn precondition(options: &Options) -> mlua::Result<Precondition> {
    let if_match = options.get::<String>("if_match")?;
    match (options.get("if_absent")?.unwrap_or(false), if_match) {
        (false, None) => Ok(Precondition::None),
        (true, None) => Ok(Precondition::IfAbsent),
        (false, Some(tag)) => Ok(Precondition::IfMatch(Tag(tag))),
        (true, Some(_)) => Err(ScriptError::invalid(
            "if_absent and if_match can't both hold: an object that is absent has no version",
        )
        .into()),
    }
}

pub(super) const COPY: Def = Def {
    name: "Store:copy",
    summary: "Copies an object to another store, verified.",
    body: "It is copied on the server where that works, else through this process.",
    params: &[
        KEY,
        Param::new("target", Type::Object("Store"), "the other store"),
        Param::optional(
            "target_key",
            Type::String,
            "its key there; default: the same",
        ),
    ],
    options: &[IF_ABSENT, IF_MATCH],
    returns: &[
        (
            "kstate.Meta|nil",
            "the copy's metadata; `nil` when the precondition failed",
        ),
        (
            "kstate.Error?",
            "what stood against it, when the precondition failed",
        ),
    ],
    errors: &[
        ("not_found", "there is no such object"),
        ("corrupt", "the copy is not what the source says"),
        (
            "permission_denied",
            "the run may not write there, or the key is kstate's own",
        ),
    ],
    permission: "none; `--read-only` and `--allow-write` narrow it",
    since: "0.1.0",
    example: r#"
local from, to = kstate.store.open("memfs://from"), kstate.store.open("memfs://to")
from:write("a", "1")
from:copy("a", to, "b")
assert(to:read("b") == "1")
local copied, err = from:copy("a", to, "b", { if_absent = true })
assert(copied == nil and err:is("already_exists"))
"#,
    make: |def, lua| def.wait(lua, copy),
};

async fn copy(
    lua: Lua,
    (this, key, target, target_key, options): (
        AnyUserData,
        String,
        AnyUserData,
        Option<String>,
        Options,
    ),
) -> mlua::Result<MultiValue> {
    let (source, target) = (of(&this)?, of(&target)?);
    let from = key_of(&source, "copy", &key)?;
    let to = own_key_of(&lua, &target, "copy", target_key.as_deref().unwrap_or(&key))?;
    let precondition = precondition(&options)?;
    let work = async move {
        let meta = source.stat(&from).await?;
        let evidence = Evidence::default();
        transfer::copy_object(&source, &meta, &target, &to, &precondition, evidence).await
    };
    match vm::on_io(&lua, work).await? {
        Ok(copied) => or_conflict(&lua, Ok(convert::meta(&lua, &copied.meta)?)),
        Err(error) => or_conflict::<Value>(&lua, Err(error)),
    }
}
