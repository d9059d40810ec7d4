//! Bringing together what two sides made of one base.

use mlua::{Function, Lua, MultiValue, Table, Value};
use serde_json::{Map, Value as Json};
use serde_yaml::Value as Yaml;

use super::lists;
use crate::lua::api::{Class, Def, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::{data, inspect, vm, yaml_data};
use crate::merge::text::{self, Labels};
use crate::merge::three_way::{Conflict, Resolution, three_way as merge, three_way_with};

/// What a merge could not decide.
pub(super) static CONFLICT: Class = Class {
    name: "Conflict",
    summary: "What both sides changed, each in its own way; a plain table. A side that has \
              nothing there is `nil`.",
    fields: &[
        Param::new(
            "path",
            Type::String,
            "where; elements of a keyed list go by their key: `spec.subnets.a.cidr`",
        ),
        Param::optional("base", Type::Any, "what it was"),
        Param::optional("ours", Type::Any, "what we made of it"),
        Param::optional("theirs", Type::Any, "what they made of it"),
    ],
    methods: &[],
    call: "",
};

const BASE: Param = Param::new("base", Type::Any, "what both sides began with");

pub(super) const THREE_WAY: Def = Def {
    name: "merge.three_way",
    summary: "Merges what two sides made of one value.",
    body: "Objects are merged by key; lists whose elements `lists` knows by a field, by element; \
           lists of scalars, each once, as sets. Of anything else only one side may have changed \
           it, or both alike; the rest are conflicts, where the result holds ours. `resolve` is \
           called with each conflict, in the order of the result. It returns `\"ours\"`, \
           `\"theirs\"`, `\"base\"`, `{ value = … }` or `{ remove = true }`; `nil` leaves the \
           conflict open. It may wait, and ask a person. What it raises ends the merge.",
    params: &[
        BASE,
        Param::new("ours", Type::Any, "what one side made of it"),
        Param::new("theirs", Type::Any, "what the other side made of it"),
    ],
    options: &[
        lists::PARAM,
        Param::optional(
            "resolve",
            Type::Function,
            "decides about a conflict, a `kstate.Conflict`",
        ),
    ],
    returns: &[
        ("any", "the merged value"),
        ("kstate.Conflict[]", "the conflicts that stay open"),
    ],
    errors: &[(
        "invalid",
        "an argument is no plain data, or the resolver returned something else",
    )],
    permission: "",
    since: "0.1.0",
    example: r#"
local base = { min = 1, max = 3, zones = { "a" } }
local ours = { min = 2, max = 4, zones = { "a", "b" } }
local theirs = { min = 1, max = 5, zones = { "a", "c" } }
local merged, conflicts = kstate.merge.three_way(base, ours, theirs)
assert(merged.min == 2 and table.concat(merged.zones) == "abc")
assert(#conflicts == 1 and conflicts[1].path == "max" and merged.max == 4)
merged, conflicts = kstate.merge.three_way(base, ours, theirs, {
  resolve = function(conflict) return { value = math.max(conflict.ours, conflict.theirs) } end,
})
assert(merged.max == 5 and #conflicts == 0)
"#,
    make: |def, lua| def.wait(lua, three_way),
};

async fn three_way(
    lua: Lua,
    (base, ours, theirs, options): (Value, Value, Value, Options),
) -> mlua::Result<(Value, Table)> {
    let lists = lists::of(&options)?;
    let base = yaml_data::from_lua(&lua, "base", &base)?;
    let ours = yaml_data::from_lua(&lua, "ours", &ours)?;
    let theirs = yaml_data::from_lua(&lua, "theirs", &theirs)?;
    let (mut merged, mut open) = merge(&base, &ours, &theirs, &lists);
    if let Some(resolve) = options.get::<Function>("resolve")? {
        // A resolver may wait, and the merge can't: so it is made again with all that was decided.
        let mut decided = Vec::with_capacity(open.len());
        for conflict in &open {
            let answer = vm::call(&lua, resolve.clone(), shown(&lua, conflict)?).await?;
            decided.push(resolution(&lua, conflict, &answer)?);
        }
        let mut decided = decided.into_iter();
        let next = |_: &Conflict| {
            let decided = decided.next();
            decided.ok_or_else(|| ScriptError::new("other", "the merge came out differently"))
        };
        (merged, open) = three_way_with(&base, &ours, &theirs, &lists, next)?;
    }
    let conflicts = lua.create_table_with_capacity(open.len(), 0)?;
    for conflict in &open {
        conflicts.raw_push(shown(&lua, conflict)?)?;
    }
    data::mark_array(&lua, &conflicts)?;
    Ok((yaml_data::to_lua(&lua, &merged)?, conflicts))
}

fn shown(lua: &Lua, conflict: &Conflict) -> mlua::Result<Value> {
    let mut fields = Map::new();
    fields.insert("path".to_owned(), conflict.path.to_string().into());
    for (name, side) in [
        ("base", &conflict.base),
        ("ours", &conflict.ours),
        ("theirs", &conflict.theirs),
    ] {
        if let Some(side) = side {
            fields.insert(name.to_owned(), yaml_data::to_json(side)?);
        }
    }
    data::to_lua(lua, &Json::Object(fields))
}

fn resolution(
    lua: &Lua,
    conflict: &Conflict,
    answer: &MultiValue,
) -> Result<Resolution, ScriptError> {
    let side = |side: &Option<Yaml>| Ok(side.clone().map_or(Resolution::Remove, Resolution::Set));
    let answer = answer.front().unwrap_or(&Value::Nil);
    let wrong = || {
        let (path, answer) = (&conflict.path, inspect::one_line(answer));
        Err(
            ScriptError::invalid(format!("the resolver returned {answer} for {path}")).hint(
                "it returns \"ours\", \"theirs\", \"base\", { value = … }, { remove = true } or nil",
            ),
        )
    };
    match answer {
        Value::Nil => Ok(Resolution::Open),
        Value::String(name) if *name == "ours" => side(&conflict.ours),
        Value::String(name) if *name == "theirs" => side(&conflict.theirs),
        Value::String(name) if *name == "base" => side(&conflict.base),
        Value::Table(table) => {
            let mut fields = table.pairs::<Value, Value>();
            let (Some(field), None) = (fields.next(), fields.next()) else {
                return wrong();
            };
            match field? {
                (Value::String(name), value) if name == "value" => {
                    let value = yaml_data::from_lua(lua, "value", &value)?;
                    Ok(Resolution::Set(value))
                }
                (Value::String(name), Value::Boolean(true)) if name == "remove" => {
                    Ok(Resolution::Remove)
                }
                _ => wrong(),
            }
        }
        _ => wrong(),
    }
}

pub(super) const THREE_WAY_TEXT: Def = Def {
    name: "merge.three_way_text",
    summary: "Merges what two sides made of one text, line by line, as git does.",
    body: "Where both changed the same lines, each in its own way, both stand in the text between \
           `<<<<<<<` and `>>>>>>>`.",
    params: &[
        Param::new("base", Type::String, "what both sides began with"),
        Param::new("ours", Type::String, "what one side made of it"),
        Param::new("theirs", Type::String, "what the other side made of it"),
    ],
    options: &[
        Param::optional(
            "ours",
            Type::String,
            "what markers call our side; default `\"ours\"`",
        ),
        Param::optional(
            "theirs",
            Type::String,
            "what markers call their side; default `\"theirs\"`",
        ),
    ],
    returns: &[
        ("string", "the text"),
        ("integer", "how many conflicts it has"),
    ],
    errors: &[("invalid", "a text is no UTF-8")],
    permission: "",
    since: "0.1.0",
    example: r#"
local text, conflicts = kstate.merge.three_way_text("a\nb\nc\n", "a\nB\nc\n", "a\nb\nC\nd\n")
assert(text:find("<<<<<<< ours\nB\nc\n=======\nb\nC\nd\n>>>>>>> theirs\n", 1, true) and conflicts == 1)
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |_, (base, ours, theirs, options): (String, String, String, Options)| {
                let label = |name: &str| {
                    let label = options.get::<String>(name)?;
                    Ok::<_, mlua::Error>(label.unwrap_or_else(|| name.to_owned()))
                };
                let labels = (label("ours")?, label("theirs")?);
                let labels = Labels {
                    ours: &labels.0,
                    theirs: &labels.1,
                };
                let merged = text::three_way_text(&base, &ours, &theirs, &labels);
                Ok((merged.text, merged.conflicts))
            },
        )
    },
};
