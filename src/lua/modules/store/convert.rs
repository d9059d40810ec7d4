//! Metadata and entries as tables.

use std::time::UNIX_EPOCH;

use mlua::{Lua, Table};

use crate::lua::api::{Class, Param, Type};
use crate::store::{Entry, Meta};

/// What `stat` and `write` return.
pub(super) static META: Class = Class {
    name: "Meta",
    summary: "An object's metadata, as far as the store has it; a plain table.",
    fields: &[
        Param::new("key", Type::String, "relative to the store"),
        Param::new("size", Type::Integer, "in bytes"),
        Param::optional("modified", Type::Number, "seconds since 1970"),
        Param::optional(
            "tag",
            Type::String,
            "the version; it changes with the bytes",
        ),
        Param::optional(
            "checksum",
            Type::Table,
            "`{ algorithm, value }`, the value in hex",
        ),
        Param::optional("content_type", Type::String, "the MIME type"),
        Param::optional(
            "user",
            Type::Table,
            "the user metadata; listings leave it out",
        ),
    ],
    methods: &[],
    call: "",
};

/// What listings give.
pub(super) static ENTRY: Class = Class {
    name: "Entry",
    summary: "A line of a listing: an object's metadata, or a prefix, or something foreign; a \
              plain table.",
    fields: &[
        Param::optional("key", Type::String, "of an object, relative to the store"),
        Param::optional("size", Type::Integer, "in bytes"),
        Param::optional("modified", Type::Number, "seconds since 1970"),
        Param::optional("tag", Type::String, "the version"),
        Param::optional(
            "checksum",
            Type::Table,
            "`{ algorithm, value }`, the value in hex",
        ),
        Param::optional(
            "prefix",
            Type::String,
            "objects lie below this name; ends in a slash",
        ),
        Param::optional("foreign", Type::String, "a name that no key can be"),
        Param::optional("reason", Type::String, "why not"),
    ],
    methods: &[],
    call: "",
};

/// An object's metadata.
pub(super) fn meta(lua: &Lua, meta: &Meta) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 6)?;
    table.raw_set("key", meta.key.as_str())?;
    table.raw_set("size", meta.size)?;
    if let Some(modified) = meta.modified {
        let seconds = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        table.raw_set("modified", seconds.as_secs_f64())?;
    }
    if let Some(tag) = &meta.tag {
        table.raw_set("tag", tag.0.as_str())?;
    }
    if let Some(checksum) = &meta.checksum {
        let shown = lua.create_table_with_capacity(0, 2)?;
        shown.raw_set("algorithm", checksum.algorithm.name())?;
        shown.raw_set("value", checksum.hex())?;
        table.raw_set("checksum", shown)?;
    }
    table.raw_set("content_type", meta.content_type.as_deref())?;
    if !meta.user.is_empty() {
        let user = meta.user.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        table.raw_set("user", lua.create_table_from(user)?)?;
    }
    Ok(table)
}

/// A line of a listing: an object's metadata, or `{ prefix = … }`, or `{ foreign = … }`.
pub(super) fn entry(lua: &Lua, entry: &Entry) -> mlua::Result<Table> {
    match entry {
        Entry::Object(object) => meta(lua, object),
        Entry::Prefix(name) => lua.create_table_from([("prefix", name.as_str())]),
        Entry::Foreign { name, size, reason } => {
            let table = lua.create_table()?;
            table.raw_set("foreign", name.as_str())?;
            table.raw_set("size", *size)?;
            table.raw_set("reason", reason.as_str())?;
            Ok(table)
        }
    }
}
