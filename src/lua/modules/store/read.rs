//! Reading an object.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use mlua::{AnyUserData, Lua, MultiValue, Table, Value};

use super::convert;
use super::handle::{is_missing, key_of, of, or_conflict};
use super::methods::KEY;
use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::vm;
use crate::store::{Algorithm, Hasher, ReadOptions, Tag};

/// The most that a script reads at once unless it says otherwise: 256 MiB.
const MAX_READ: u64 = 256 << 20;

pub(super) const READ: Def = Def {
    name: "Store:read",
    summary: "Returns an object's bytes.",
    body: "The bytes are all of one version.",
    params: &[KEY],
    options: &[
        Param::optional("range", Type::Table, "`{ offset, length }` in bytes"),
        Param::optional("if_match", Type::String, "only this version, by its tag"),
        Param::optional(
            "meta",
            Type::Boolean,
            "give the metadata of this version behind the bytes",
        ),
        Param::optional(
            "limit",
            Type::Size,
            "the most to read; default `\"256MiB\"`",
        ),
    ],
    returns: &[
        (
            "string|nil",
            "the bytes; `nil` when there is no such object, or not in this version",
        ),
        (
            "kstate.Error|kstate.Meta|nil",
            "why not, when it is another version; or the metadata, with `meta = true`",
        ),
    ],
    errors: &[
        ("not_found", "there is no such bucket"),
        ("unsupported", "the object is larger than the limit"),
    ],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://read")
store:write("a", "hello")
assert(store:read("a") == "hello")
assert(store:read("a", { range = { 1, 3 } }) == "ell")
local bytes, meta = store:read("a", { meta = true })
assert(#bytes == meta.size and store:read("a", { if_match = meta.tag }) == bytes)
assert(store:read("missing") == nil)
"#,
    make: |def, lua| def.wait(lua, read),
};

async fn read(
    lua: Lua,
    (this, key, options): (AnyUserData, String, Options),
) -> mlua::Result<MultiValue> {
    let store = of(&this)?;
    let key = key_of(&store, "read", &key)?;
    let limit = options.size("limit")?.unwrap_or(MAX_READ);
    let with_meta = options.get("meta")?.unwrap_or(false);
    let how = ReadOptions {
        range: range(&options)?,
        if_match: options.get("if_match")?.map(Tag),
    };
    let asked = Arc::clone(&store);
    let work = async move {
        let url = asked.url().to_owned();
        let object = asked.read(&key, how).await?;
        let bytes = object.body.collect(limit).await;
        // A limit of ours knows no place, the store's own errors do.
        let bytes = bytes.map_err(|error| match error.store() {
            "" => error.at(url, Some(key.as_str())),
            _ => error,
        })?;
        Ok((bytes, object.meta))
    };
    let result = vm::on_store(&lua, &*store, work).await?;
    match result {
        Err(error) if is_missing(&this, &error) => Ok(MultiValue::from_iter([Value::Nil])),
        Ok((bytes, meta)) => {
            let mut results = MultiValue::from_iter([string(&lua, bytes)?]);
            if with_meta {
                results.push_back(Value::Table(convert::meta(&lua, &meta)?));
            }
            Ok(results)
        }
        Err(error) => or_conflict::<Value>(&lua, Err(error)),
    }
}

pub(super) const SHA256: Def = Def {
    name: "Store:sha256",
    summary: "Returns the SHA-256 of an object's bytes, in hex.",
    body: "It is computed while they arrive: an object of any size takes little memory.",
    params: &[KEY],
    options: &[],
    returns: &[(
        "string|nil",
        "64 digits of hex; `nil` when there is no such object",
    )],
    errors: &[("not_found", "there is no such bucket")],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://sha256")
store:write("a", "hello")
assert(store:sha256("a") == kstate.hash.sha256("hello"))
assert(store:sha256("missing") == nil)
"#,
    make: |def, lua| def.wait(lua, sha256),
};

async fn sha256(lua: Lua, (this, key): (AnyUserData, String)) -> mlua::Result<Option<String>> {
    let store = of(&this)?;
    let key = key_of(&store, "read", &key)?;
    let asked = Arc::clone(&store);
    let work = async move {
        let object = asked.read(&key, ReadOptions::default()).await?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut stream = object.body.into_stream();
        while let Some(bytes) = stream.try_next().await? {
            hasher.update(&bytes);
        }
        Ok(hasher.finish().hex())
    };
    match vm::on_store(&lua, &*store, work).await? {
        Ok(hex) => Ok(Some(hex)),
        Err(error) if is_missing(&this, &error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Bytes as a string of Lua, without a copy where they are many.
pub(super) fn string(lua: &Lua, bytes: Bytes) -> mlua::Result<Value> {
    const SMALL: usize = 4096;
    let text = if bytes.len() <= SMALL {
        lua.create_string(&bytes)
    } else {
        lua.create_external_string(bytes)
    };
    text.map(Value::String)
}

fn range(options: &Options) -> mlua::Result<Option<std::ops::Range<u64>>> {
    let Some(range) = options.get::<Table>("range")? else {
        return Ok(None);
    };
    let part = |index: i64| {
        let number = range.raw_get::<Option<i64>>(index).ok().flatten();
        number.and_then(|number| u64::try_from(number).ok())
    };
    match (part(1), part(2)) {
        (Some(offset), Some(length)) => Ok(Some(offset..offset.saturating_add(length))),
        _ => Err(ScriptError::invalid("a range is { offset, length } in bytes").into()),
    }
}
