//! What a script can do with a store.

use std::sync::Arc;

use mlua::{AnyUserData, Lua, LuaString, MultiValue, Value};

use super::bucket::BUCKET;
use super::copy::{COPY, IF_ABSENT, IF_MATCH, precondition};
use super::handle::{Handle, is_missing, key_of, of, or_conflict, own_key_of};
use super::listing::{self, Listing};
use super::lock::LOCK;
use super::read::{READ, SHA256};
use super::{abilities, convert, trees};
use crate::lua::api::{Class, Def, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::host::Profile;
use crate::lua::vm;
use crate::store::{self, Body, ListOptions, Precondition, StoreUrl, Tag, WriteOptions};

/// The store's methods; those that take two stores are in `trees`.
pub(super) static CLASS: Class = Class {
    name: "Store",
    summary: "A store: objects under keys, which are relative to its URL.",
    fields: &[],
    methods: &[
        URL,
        AT,
        OPEN,
        BUCKET,
        READ,
        SHA256,
        STAT,
        EXISTS,
        WRITE,
        DELETE,
        LIST,
        WALK,
        COPY,
        trees::SYNC,
        trees::PRECHECK,
        trees::DIFF,
        trees::RELATION,
        abilities::CAPABILITIES,
        abilities::PROBE,
        abilities::BUCKET_SETTINGS,
        LOCK,
    ],
    call: "",
};

pub(super) const KEY: Param = Param::new("key", Type::String, "the object, relative to the store");

const URL: Def = Def {
    name: "Store:url",
    summary: "Returns the URL as it may be shown and written into a manifest.",
    body: "Without options; a bare path for `file://`, as kOps writes it.",
    params: &[],
    options: &[],
    returns: &[("string", "the URL")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.store.open("memfs://state/a/"):url() == "memfs://state/a")"#,
    make: |def, lua| def.sync(lua, |_, this: AnyUserData| Ok(of(&this)?.url().to_owned())),
};

const AT: Def = Def {
    name: "Store:at",
    summary: "Returns the same store seen from a folder in it.",
    body: "",
    params: &[Param::new(
        "prefix",
        Type::String,
        "the folder; empty for the store itself",
    )],
    options: &[],
    returns: &[("kstate.Store", "the store")],
    errors: &[("invalid_key", "the folder can't be part of a key")],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://at")
store:at("c.example.com"):write("config", "x")
assert(store:read("c.example.com/config") == "x")
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (this, prefix): (AnyUserData, String)| {
            let handle = this.borrow::<Handle>()?;
            let store = &handle.store;
            let prefix = prefix.trim_end_matches('/');
            if !prefix.is_empty() {
                key_of(store, "open", prefix)?;
            }
            let _io = vm::of(lua).host.io.enter();
            Ok(Handle {
                store: store.at(prefix),
                options: handle.options.clone(),
                is_wrapped: handle.is_wrapped,
            })
        })
    },
};

const OPEN: Def = Def {
    name: "Store:open",
    summary: "Opens another place with this store's options: the same account and endpoint.",
    body: "For a place that a manifest names. A place of another kind gets no options.",
    params: &[Param::new("url", Type::String, "a URL or a path")],
    options: &[],
    returns: &[("kstate.Store", "the store")],
    errors: &[("invalid", "the URL can't work")],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://open/a")
store:open("memfs://open/b"):write("x", "1")
assert(kstate.store.open("memfs://open"):exists("b/x"))
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (this, url): (AnyUserData, String)| {
            let mut url = StoreUrl::parse(&url)?;
            let is_kin = of(&this)?.url().split_once("://").map(|(scheme, _)| scheme)
                == Some(url.scheme.as_str());
            if is_kin {
                url.options = this.borrow::<Handle>()?.options.clone();
            }
            open_url(lua, url)
        })
    },
};

/// Another place for a script, and for no backend.
pub(super) fn open_url(lua: &Lua, url: StoreUrl) -> mlua::Result<Handle> {
    let host = &vm::of(lua).host;
    if host.profile == Profile::Backend {
        let message = "a backend works on the stores of its options, and opens no others";
        return Err(ScriptError::denied(message).into());
    }
    let _io = host.io.enter();
    Ok(Handle {
        store: host.session.open(&url)?,
        options: url.options,
        is_wrapped: false,
    })
}

const STAT: Def = Def {
    name: "Store:stat",
    summary: "Returns an object's metadata.",
    body: "The fields are `key`, `size`, `modified` (seconds since 1970), `tag`, `checksum` \
           (`{ algorithm, value }`), `content_type` and `user`, as far as the store has them.",
    params: &[KEY],
    options: &[],
    returns: &[(
        "kstate.Meta|nil",
        "the metadata; `nil` when there is no such object",
    )],
    errors: &[("not_found", "there is no such bucket")],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://stat")
store:write("a", "hello")
assert(store:stat("a").size == 5 and store:stat("b") == nil)
"#,
    make: |def, lua| {
        def.wait(lua, |lua, (this, key): (AnyUserData, String)| async move {
            match stat(&lua, &this, key).await? {
                Some(meta) => convert::meta(&lua, &meta).map(Some),
                None => Ok(None),
            }
        })
    },
};

async fn stat(lua: &Lua, this: &AnyUserData, key: String) -> mlua::Result<Option<store::Meta>> {
    let store = of(this)?;
    let key = key_of(&store, "stat", &key)?;
    let asked = Arc::clone(&store);
    match vm::on_store(lua, &*store, async move { asked.stat(&key).await }).await? {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if is_missing(this, &error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

const EXISTS: Def = Def {
    name: "Store:exists",
    summary: "Tells whether there is an object under a key.",
    body: "",
    params: &[KEY],
    options: &[],
    returns: &[("boolean", "whether there is one")],
    errors: &[("not_found", "there is no such bucket")],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.store.open("memfs://exists"):exists("a") == false)"#,
    make: |def, lua| {
        def.wait(lua, |lua, (this, key): (AnyUserData, String)| async move {
            Ok(stat(&lua, &this, key).await?.is_some())
        })
    },
};

const WRITE: Def = Def {
    name: "Store:write",
    summary: "Writes an object whole: readers see the old bytes or the new.",
    body: "With a precondition, nothing is written when it doesn't hold.",
    params: &[KEY, Param::new("bytes", Type::String, "the bytes")],
    options: &[
        IF_ABSENT,
        IF_MATCH,
        Param::optional("content_type", Type::String, "the MIME type"),
    ],
    returns: &[
        (
            "kstate.Meta|nil",
            "the metadata with the new tag; `nil` when the precondition failed",
        ),
        (
            "kstate.Error?",
            "what stood against it, when the precondition failed",
        ),
    ],
    errors: &[
        ("unsupported", "the store can't check the precondition"),
        (
            "permission_denied",
            "the run may not write there, or the key is kstate's own",
        ),
    ],
    permission: "none; `--read-only` and `--allow-write` narrow it",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://write")
local meta = store:write("lock", "me", { if_absent = true })
local again, err = store:write("lock", "you", { if_absent = true })
assert(again == nil and err:is("already_exists"))
assert(store:write("lock", "me again", { if_match = meta.tag }))
"#,
    make: |def, lua| def.wait(lua, write),
};

async fn write(
    lua: Lua,
    (this, key, bytes, options): (AnyUserData, String, LuaString, Options),
) -> mlua::Result<MultiValue> {
    let store = of(&this)?;
    let key = own_key_of(&lua, &store, "write", &key)?;
    let how = WriteOptions {
        precondition: precondition(&options)?,
        content_type: options.get("content_type")?,
        ..WriteOptions::default()
    };
    let body = Body::from(bytes.as_bytes().to_vec());
    let asked = Arc::clone(&store);
    let work = async move { asked.write(&key, body, how).await };
    let result = vm::on_store(&lua, &*store, work).await?;
    match result {
        Ok(meta) => or_conflict(&lua, Ok(convert::meta(&lua, &meta)?)),
        Err(error) => or_conflict::<Value>(&lua, Err(error)),
    }
}

const DELETE: Def = Def {
    name: "Store:delete",
    summary: "Deletes an object; that there is none is no error.",
    body: "",
    params: &[KEY],
    options: &[Param::optional(
        "if_match",
        Type::String,
        "only this version, by its tag",
    )],
    returns: &[
        ("boolean|nil", "`true`; `nil` when it is another version"),
        ("kstate.Error?", "what stood against it"),
    ],
    errors: &[
        ("unsupported", "the store can't check the version"),
        (
            "permission_denied",
            "the run may not write there, or the key is kstate's own",
        ),
    ],
    permission: "none; `--read-only` and `--allow-write` narrow it",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://delete")
store:write("a", "1")
assert(store:delete("a") and store:delete("a"))
"#,
    make: |def, lua| def.wait(lua, delete),
};

async fn delete(
    lua: Lua,
    (this, key, options): (AnyUserData, String, Options),
) -> mlua::Result<MultiValue> {
    let store = of(&this)?;
    let key = own_key_of(&lua, &store, "delete", &key)?;
    let precondition = match options.get("if_match")? {
        Some(tag) => Precondition::IfMatch(Tag(tag)),
        None => Precondition::None,
    };
    let is_plain = precondition == Precondition::None;
    let asked = Arc::clone(&store);
    let work = async move { asked.delete(&key, precondition).await };
    let result = match vm::on_store(&lua, &*store, work).await? {
        Err(error) if is_plain && is_missing(&this, &error) => Ok(()),
        result => result,
    };
    or_conflict(&lua, result.map(|()| true))
}

const LIST: Def = Def {
    name: "Store:list",
    summary: "Lists what lies below a folder, one level or all, in byte order of the names.",
    body: "Entries come as the store sends them, and no more pages are asked for once the loop \
           ends. A listing that can't be completed raises an error; it is never just shorter.",
    params: &[Param::optional(
        "prefix",
        Type::String,
        "the folder; default: the whole store",
    )],
    options: &[Param::optional(
        "recursive",
        Type::Boolean,
        "all levels; default: one, with `entry.prefix` for what lies deeper",
    )],
    returns: &[("kstate.Listing", "the iterator")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://list")
store:write("a/config", "1")
store:write("b", "2")
for entry in store:list() do
  print(entry.prefix or entry.key)
end
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |lua, (this, prefix, options): (AnyUserData, Option<String>, Options)| {
                let recursive = options.get("recursive")?.unwrap_or(false);
                list(lua, &this, prefix, recursive)
            },
        )
    },
};

const WALK: Def = Def {
    name: "Store:walk",
    summary: "Lists everything below a folder; the same as `list` with `recursive`.",
    body: "",
    params: &[Param::optional(
        "prefix",
        Type::String,
        "the folder; default: the whole store",
    )],
    options: &[],
    returns: &[("kstate.Listing", "the iterator")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://walk")
store:write("a/b/c", "1")
for entry in store:walk("a") do
  assert(entry.key == "a/b/c")
end
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (this, prefix): (AnyUserData, Option<String>)| {
            list(lua, &this, prefix, true)
        })
    },
};

fn list(
    lua: &Lua,
    this: &AnyUserData,
    prefix: Option<String>,
    recursive: bool,
) -> mlua::Result<MultiValue> {
    vm::of(lua).may_work()?;
    let store = of(this)?;
    let below = prefix.unwrap_or_default();
    let below = below.trim_end_matches('/');
    if !below.is_empty() {
        key_of(&store, "list", below)?;
    }
    let options = ListOptions {
        one_level: !recursive,
        ..ListOptions::recursive(below)
    };
    // Listing may prepare a client, which belongs to the I/O runtime.
    let entries = {
        let _io = vm::of(lua).host.io.enter();
        store.list(options)
    };
    listing::for_loop(lua, Listing::start(lua, entries))
}
