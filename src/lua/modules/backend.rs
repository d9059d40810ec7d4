//! `kstate.backend`.

use mlua::{Lua, Table};

use crate::lua::api::{Def, Param, Type};
use crate::lua::backend::BackendObject;

pub(super) const BACKEND: Def = Def {
    name: "kstate.backend",
    summary: "Makes a backend: a kind of store that is written in Lua.",
    body: "A file of backends returns it; `kstate.store.register` takes it from a script. The \
           functions get first what `open` returned (without `open`, what it would get: \
           `{ scheme, authority, url, options }`), and keys relative to `scheme://authority`. \
           What they don't do is derived: ranges, versions and listings of the other kind. What \
           they return is checked. A missing object is `nil`, a precondition that doesn't hold is \
           an error with its kind (raised, or returned behind `nil`). \
           [Backends in Lua](backends.md) tells all of it.",
    params: &[],
    options: &[
        Param::new(
            "scheme",
            Type::Any,
            "the scheme of its URLs, or a list of them",
        ),
        Param::optional(
            "form",
            Type::String,
            "what stands behind `scheme://` in its URLs; default: `\"NAME/FOLDER\"`",
        ),
        Param::optional("summary", Type::String, "what it is, in one sentence"),
        Param::optional("capabilities", Type::Table, "what its stores can do"),
        Param::optional(
            "beside",
            Type::Table,
            "what an object has there beside bytes, content type and user metadata, and that no \
             copy takes along: a list of names",
        ),
        Param::optional(
            "options",
            Type::Table,
            "what a URL may tell it: a list of `{ name, type, doc, required, default }`",
        ),
        Param::optional(
            "environment",
            Type::Table,
            "the environment variables that it reads: a list of `{ name, doc }`",
        ),
        Param::optional(
            "permissions",
            Type::Table,
            "what it needs: `{ http = { … }, env = { … } }`, where `$authority` is the host in the URL",
        ),
        Param::optional(
            "wraps",
            Type::String,
            "the option with the store that it wraps; it can do no more than that one",
        ),
        Param::optional(
            "open",
            Type::Function,
            "`(config)`: returns what the others get as `self`",
        ),
        Param::new(
            "stat",
            Type::Function,
            "`(self, key)`: returns `{ size, tag, … }`, or `nil`",
        ),
        Param::new(
            "read",
            Type::Function,
            "`(self, key, options)`: returns the bytes or an iterator over chunks, and the \
             metadata if it is at hand; or `nil`",
        ),
        Param::optional(
            "write",
            Type::Function,
            "`(self, key, body, options)`: returns `{ tag, … }` if it is at hand",
        ),
        Param::optional("delete", Type::Function, "`(self, key, options)`"),
        Param::new(
            "list",
            Type::Function,
            "`(self, folder, options)`: returns an iterator over entries, or a page `{ items, next }`",
        ),
        Param::optional(
            "copy",
            Type::Function,
            "`(self, from, to, options)`: copies without the bytes passing through kstate",
        ),
    ],
    returns: &[("kstate.Backend", "the backend")],
    errors: &[(
        "invalid",
        "a function is missing, or a field can't be right",
    )],
    permission: "",
    since: "0.1.0",
    example: r#"
local fixed = { ["motd"] = "hello\n" }
kstate.store.register(kstate.backend{
  scheme = "fixed",
  capabilities = { read_only = true, sorted = false },
  stat = function(_, key) return fixed[key] and { size = #fixed[key], tag = "1" } end,
  read = function(_, key) return fixed[key] end,
  list = function()
    local entries = {}
    for key, text in pairs(fixed) do
      entries[#entries + 1] = { key = key, size = #text }
    end
    return { items = entries }
  end,
})
assert(kstate.store.open("fixed://here"):read("motd") == "hello\n")
"#,
    make: |def, lua| {
        def.sync(lua, |lua: &Lua, fields: Table| {
            BackendObject::new(lua, &fields)
        })
    },
};
