//! `kstate.merge`.

pub(super) mod lists;
#[cfg(test)]
mod tests;
mod three_way;

use mlua::{Lua, Value};
use serde_yaml::Value as Yaml;

use super::yaml::selector;
use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::yaml_data::{argument, check_copies, from_json, from_lua, to_lua};
use crate::merge::json_patch::{self, Operation, PatchError, Reason};
use crate::merge::path::Path;
use crate::merge::{deep, diff, diff_ops, patch};

/// `kstate.merge`.
pub(super) static MODULE: Module = Module {
    name: "merge",
    summary: "Merging, comparing and changing data. Arguments stay what they are; results are new.",
    functions: &[
        DEEP,
        PATCH,
        JSON_PATCH,
        three_way::THREE_WAY,
        three_way::THREE_WAY_TEXT,
        DIFF,
        DIFF_OPS,
        GET,
        SET,
        UNSET,
    ],
    classes: &[&three_way::CONFLICT],
};

const NO_DATA: (&str, &str) = (
    "invalid",
    "an argument is no plain data; the message names the place in it",
);

const DEEP: Def = Def {
    name: "merge.deep",
    summary: "Lays a value over another.",
    body: "Objects are merged by key, lists as `lists` says; anything else is replaced, also by \
           `kstate.null`. The strategies: `\"replace\"`, the new list stands for the old one; \
           `\"append\"`, the new elements follow the old ones; `\"union\"`, those follow that are \
           not yet there; `\"kops\"`, the lists of kOps's API that have a key are merged by it \
           (subnets by `name`), all others replaced. Or a table by path: `{ [\"spec.subnets\"] = \
           \"name\", [\"spec.etcdClusters[].etcdMembers\"] = { \"name\" }, [\"*\"] = \"append\" }`. \
           There a field's name, or a list of names, says what elements are known by: those in \
           both lists are merged. In a path `*` is any key and `[]` any element; the path `*` \
           alone is for all lists that have no other rule, and may be `\"kops\"`. The rule with \
           fewer `*` wins.",
    params: &[
        Param::new("base", Type::Any, "plain data"),
        Param::new("over", Type::Any, "what is laid over it"),
    ],
    options: &[lists::PARAM],
    returns: &[("any", "the merged value")],
    errors: &[NO_DATA, ("invalid", "a strategy or a path can't be read")],
    permission: "",
    since: "0.1.0",
    example: r#"
local base = { spec = { subnets = { { name = "a", zone = "x" } }, sshAccess = { "10.0.0.0/8" } } }
local over = { spec = { subnets = { { name = "a", cidr = "10.1.0.0/16" }, { name = "b" } } } }
local subnets = kstate.merge.deep(base, over, { lists = "kops" }).spec.subnets
assert(#subnets == 2 and subnets[1].zone == "x" and subnets[1].cidr == "10.1.0.0/16")
local merged = kstate.merge.deep({ a = { 1 }, b = { 1 } }, { a = { 2 }, b = { 2 } },
  { lists = { b = "append", ["*"] = "replace" } })
assert(#merged.a == 1 and #merged.b == 2)
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |lua, (base, over, options): (Value, Value, Options)| {
                let lists = lists::of(&options)?;
                let (base, over) = both(lua, ("base", &base), ("over", &over))?;
                to_lua(lua, &deep::deep(&base, &over, &lists))
            },
        )
    },
};

fn both(lua: &Lua, a: (&str, &Value), b: (&str, &Value)) -> Result<(Yaml, Yaml), ScriptError> {
    Ok((from_lua(lua, a.0, a.1)?, from_lua(lua, b.0, b.1)?))
}

const PATCH: Def = Def {
    name: "merge.patch",
    summary: "Applies a JSON Merge Patch (RFC 7396).",
    body: "Objects are merged by key, `kstate.null` removes a key, anything else replaces what \
           was there; lists as a whole.",
    params: &[
        Param::new("target", Type::Any, "plain data"),
        Param::new("patch", Type::Any, "what is to change"),
    ],
    options: &[],
    returns: &[("any", "the patched value")],
    errors: &[NO_DATA],
    permission: "",
    since: "0.1.0",
    example: r"
local patched = kstate.merge.patch({ a = 1, b = { c = 2 } }, { a = kstate.null, b = { d = 3 } })
assert(patched.a == nil and patched.b.c == 2 and patched.b.d == 3)
",
    make: |def, lua| {
        def.sync(lua, |lua, (target, with): (Value, Value)| {
            let (target, with) = both(lua, ("target", &target), ("patch", &with))?;
            to_lua(lua, &patch::patch(&target, &with))
        })
    },
};

const JSON_PATCH: Def = Def {
    name: "merge.json_patch",
    summary: "Applies a JSON Patch (RFC 6902): all operations, one after another, or none.",
    body: "Paths are JSON Pointers: `/spec/subnets/0/name`, counting from 0.",
    params: &[
        Param::new("target", Type::Any, "plain data"),
        Param::new(
            "ops",
            Type::Table,
            "a list of `{ op, path, value, from }`; `op` is `add`, `remove`, `replace`, `move`, \
             `copy` or `test`",
        ),
    ],
    options: &[],
    returns: &[("any", "the patched value")],
    errors: &[
        NO_DATA,
        ("invalid", "an operation can't be read"),
        ("not_found", "there is nothing at a path"),
        ("precondition_failed", "a `test` found something else"),
    ],
    permission: "",
    since: "0.1.0",
    example: r#"
local patched = kstate.merge.json_patch({ zones = { "a", "c" } }, {
  { op = "test", path = "/zones/0", value = "a" },
  { op = "add", path = "/zones/1", value = "b" },
})
assert(table.concat(patched.zones) == "abc")
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (target, ops): (Value, Value)| {
            let (target, ops) = both(lua, ("target", &target), ("ops", &ops))?;
            let operations = match &ops {
                // An empty table of Lua is an object as well as a list.
                Yaml::Mapping(none) if none.is_empty() => Ok(Vec::new()),
                ops => Operation::parse_all(ops),
            };
            let operations = operations.map_err(|error| ScriptError::invalid(error.to_string()))?;
            let patched = json_patch::json_patch(&target, &operations);
            to_lua(lua, &patched.map_err(|error| not_applied(&error))?)
        })
    },
};

fn not_applied(error: &PatchError) -> ScriptError {
    let kind = match error.reason {
        Reason::Differs { .. } => "precondition_failed",
        Reason::Lost(_) => "not_found",
        _ => "invalid",
    };
    ScriptError::new(kind, error.to_string())
}

const FROM_TO: &[Param] = &[
    Param::new("a", Type::Any, "plain data"),
    Param::new("b", Type::Any, "what is to be made of it"),
];

const DIFF: Def = Def {
    name: "merge.diff",
    summary: "Gives the smallest JSON Merge Patch (RFC 7396) that makes one value of another.",
    body: "`kstate.merge.patch(a, kstate.merge.diff(a, b))` is `b`. Lists that differ are in it as \
           a whole.",
    params: FROM_TO,
    options: &[],
    returns: &[("any", "the patch; empty when nothing differs")],
    errors: &[
        NO_DATA,
        (
            "invalid",
            "`b` has a null that `a` has not, which no merge patch can make",
        ),
    ],
    permission: "",
    since: "0.1.0",
    example: r"
local patch = kstate.merge.diff({ a = 1, b = { c = 2, d = 3 } }, { b = { c = 4, d = 3 } })
assert(patch.a == kstate.null and patch.b.c == 4 and patch.b.d == nil)
",
    make: |def, lua| {
        def.sync(lua, |lua, (a, b): (Value, Value)| {
            let (a, b) = both(lua, ("a", &a), ("b", &b))?;
            let found = diff::diff(&a, &b);
            let found = found.map_err(|error| {
                ScriptError::invalid(error.to_string())
                    .hint("kstate.merge.diff_ops gives a JSON Patch")
            })?;
            to_lua(lua, &found)
        })
    },
};

const DIFF_OPS: Def = Def {
    name: "merge.diff_ops",
    summary: "Gives a small JSON Patch (RFC 6902) that makes one value of another.",
    body: "`kstate.merge.json_patch(a, kstate.merge.diff_ops(a, b))` is `b`.",
    params: FROM_TO,
    options: &[],
    returns: &[(
        "table",
        "the list of operations; empty when nothing differs",
    )],
    errors: &[NO_DATA],
    permission: "",
    since: "0.1.0",
    example: r#"
local ops = kstate.merge.diff_ops({ zones = { "a", "b" } }, { zones = { "a", "c", "b" } })
assert(#ops == 1 and ops[1].op == "add" and ops[1].path == "/zones/1" and ops[1].value == "c")
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (a, b): (Value, Value)| {
            let (a, b) = both(lua, ("a", &a), ("b", &b))?;
            let operations = diff_ops::diff_ops(&a, &b);
            let operations = operations.iter().map(Operation::to_value);
            to_lua(lua, &Yaml::Sequence(operations.collect()))
        })
    },
};

const DATA: Param = Param::new("value", Type::Any, "plain data");

const PATH: Param = Param::new(
    "path",
    Type::String,
    "such as `spec.subnets[name=a].zone`; see `kstate.merge.get`",
);

const NO_PATH: (&str, &str) = (
    "invalid",
    "the path can't be read; the message has the column in it",
);

const GET: Def = Def {
    name: "merge.get",
    summary: "Returns what is at a path of a value.",
    body: "Steps of a path: `a.b` is the key `b` in that of `a`; `a.\"b.c\"` or `a[\"b.c\"]` a key \
           with odd characters; `a[0]` an element, which counts from 0 as in kOps and JSON, not \
           from 1 as in Lua; `a[*]` all elements; `a[name=main]` those that are objects with this \
           field; `a[+]` the place behind the last one; `.` the whole value. Of a path that \
           chooses several, the first.",
    params: &[DATA, PATH],
    options: &[],
    returns: &[("any", "what is there; `nil` when there is nothing")],
    errors: &[NO_DATA, NO_PATH],
    permission: "",
    since: "0.1.0",
    example: r#"
local value = { spec = { subnets = { { name = "a", zone = "x" }, { name = "b", zone = "y" } } } }
assert(kstate.merge.get(value, "spec.subnets[name=b].zone") == "y")
assert(kstate.merge.get(value, "spec.subnets[0].zone") == "x")
assert(kstate.merge.get(value, "spec.topology.dns") == nil)
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (value, path): (Value, String)| {
            let selector = selector(&path)?;
            let value = from_lua(lua, "value", &value)?;
            match selector.find(&value).first() {
                Some((_, found)) => to_lua(lua, found),
                None => Ok(Value::Nil),
            }
        })
    },
};

const SET: Def = Def {
    name: "merge.set",
    summary: "Returns a value with another one at all places that a path chooses.",
    body: "Objects and lists on the way are made where there is nothing or null.",
    params: &[
        DATA,
        PATH,
        Param::new("new", Type::Any, "what is put there"),
    ],
    options: &[],
    returns: &[("any", "the changed value")],
    errors: &[
        NO_DATA,
        NO_PATH,
        (
            "invalid",
            "the path leads into a value of another kind, beyond a list's end, or to no element",
        ),
    ],
    permission: "",
    since: "0.1.0",
    example: r#"
local value = { subnets = { { name = "a" }, { name = "b" } } }
local new = kstate.merge.set(value, "subnets[*].zone", "x")
assert(new.subnets[2].zone == "x" and value.subnets[2].zone == nil)
assert(kstate.merge.set({}, "spec.zones[+]", "x").spec.zones[1] == "x")
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (value, path, new): (Value, String, Value)| {
            let selector = selector(&path)?;
            let mut value = from_lua(lua, "value", &value)?;
            let new = argument(lua, "new", &new)?;
            let wrong = |error: &dyn std::fmt::Display| ScriptError::invalid(error.to_string());
            let places = selector.resolve(&value).map_err(|error| wrong(&error))?;
            check_copies(&new, places.len())?;
            for place in places {
                let put = place.put(&mut value, from_json(new.clone()));
                put.map_err(|error| wrong(&error))?;
            }
            to_lua(lua, &value)
        })
    },
};

const UNSET: Def = Def {
    name: "merge.unset",
    summary: "Returns a value without all that a path chooses.",
    body: "",
    params: &[DATA, PATH],
    options: &[],
    returns: &[
        ("any", "the changed value"),
        ("boolean", "whether anything was there"),
    ],
    errors: &[NO_DATA, NO_PATH],
    permission: "",
    since: "0.1.0",
    example: r#"
local new, was_there = kstate.merge.unset({ zones = { "a", "b" } }, "zones[0]")
assert(was_there and #new.zones == 1 and new.zones[1] == "b")
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (value, path): (Value, String)| {
            let selector = selector(&path)?;
            let mut value = from_lua(lua, "value", &value)?;
            let found = selector.find(&value).into_iter();
            let places: Vec<_> = found.map(|(place, _)| place).collect();
            if places.iter().any(|place| *place == Path::default()) {
                return Err(ScriptError::invalid("the whole value can't be removed").into());
            }
            Path::take_all(&places, &mut value);
            Ok((to_lua(lua, &value)?, !places.is_empty()))
        })
    },
};
