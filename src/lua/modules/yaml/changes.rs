//! What a script can do to a YAML text.

use mlua::{AnyUserData, Lua, Value};

use super::document::{DOCUMENT, Handle, PATH, of, selector};
use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::modules::merge::lists;
use crate::lua::yaml_data;
use crate::merge::deep::deep;
use crate::merge::document::{Document, Fault, Path};

const NO_EDIT: (&str, &str) = (
    "invalid",
    "the path can't be read or leads nowhere, or the text can't be changed so: an alias or a \
     merge key ties the place to others, the value is too deep or too large. Nothing is changed \
     then; the message has label, line and column",
);

const VALUE: Param = Param::new("value", Type::Any, "plain data");

/// Changes a document, or says at which place of which text it can't be.
fn edit<T>(
    this: &AnyUserData,
    change: impl FnOnce(&mut Document) -> Result<T, Fault>,
) -> mlua::Result<T> {
    let mut handle = this.borrow_mut::<Handle>()?;
    change(&mut handle.document).map_err(|fault| handle.error(&fault).into())
}

pub(super) const SET: Def = Def {
    name: "YamlDocument:set",
    summary: "Writes a value at all places that a path chooses.",
    body: "Over what is there, by the fewest changes that make it of that; as a new key, sorted \
           in where the others are sorted, with the mappings on the way to it; as a new element \
           for `[+]`. A string stays a string, also where YAML would take it for a number, and an \
           integer an integer. A quoted string stays quoted.",
    params: &[PATH, VALUE],
    options: &[DOCUMENT],
    returns: &[],
    errors: &[NO_EDIT],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.yaml.edit("spec:\n  version: 1.29.1 # tested\n")
doc:set("spec.version", "1.30")
doc:set("spec.kubelet.maxPods", 110)
assert(doc:text() == [[
spec:
  kubelet:
    maxPods: 110
  version: "1.30" # tested
]])
"#,
    make: |def, lua| def.sync(lua, set),
};

fn set(
    lua: &Lua,
    (this, path, value, options): (AnyUserData, String, Value, Options),
) -> mlua::Result<()> {
    let value = yaml_data::argument(lua, "value", &value)?;
    let handle = of(&this)?;
    let (part, old) = handle.part(&options)?;
    let places = handle.places(part, old, &path)?;
    yaml_data::check_copies(&value, places.len())?;
    let fit = |place: &Path| match place.lookup(old) {
        Some(old) => yaml_data::fit(value.clone(), old),
        None => yaml_data::from_json(value.clone()),
    };
    if let [place] = places.as_slice() {
        let new = fit(place);
        drop(handle);
        return edit(&this, |document| document.set(part, place, new));
    }
    let mut intended = old.clone();
    for place in &places {
        let put = place.put(&mut intended, fit(place));
        put.map_err(|error| ScriptError::invalid(format!("{}: {error}", handle.label)))?;
    }
    drop(handle);
    edit(&this, |document| document.apply(part, &intended))
}

pub(super) const UNSET: Def = Def {
    name: "YamlDocument:unset",
    summary: "Removes all that a path chooses.",
    body: "The comment on its line goes with it, and the comment lines right above in the same \
           column.",
    params: &[PATH],
    options: &[DOCUMENT],
    returns: &[("boolean", "whether anything was there")],
    errors: &[NO_EDIT],
    permission: "",
    since: "0.1.0",
    example: r##"
local doc = kstate.yaml.edit("# the cluster\nname: c\n# not any more\nold: 1\n")
assert(doc:unset("old") and not doc:unset("old"))
assert(doc:text() == "# the cluster\nname: c\n")
"##,
    make: |def, lua| def.sync(lua, unset),
};

fn unset(_: &Lua, (this, path, options): (AnyUserData, String, Options)) -> mlua::Result<bool> {
    let handle = of(&this)?;
    let (part, old) = handle.part(&options)?;
    let found = selector(&path)?.find(old).into_iter();
    let places: Vec<_> = found.map(|(place, _)| place).collect();
    match places.as_slice() {
        [] => Ok(false),
        [place] => {
            drop(handle);
            edit(&this, |document| document.unset(part, place))
        }
        places => {
            let mut intended = old.clone();
            Path::take_all(places, &mut intended);
            drop(handle);
            edit(&this, |document| document.apply(part, &intended))?;
            Ok(true)
        }
    }
}

pub(super) const APPEND: Def = Def {
    name: "YamlDocument:append",
    summary: "Adds an element to all lists that a path chooses, behind the last one.",
    body: "Where there is nothing or null, a list is made.",
    params: &[PATH, VALUE],
    options: &[DOCUMENT],
    returns: &[],
    errors: &[NO_EDIT],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.yaml.edit("zones:\n- a # old\n")
doc:append("zones", "b")
assert(doc:text() == "zones:\n- a # old\n- b\n")
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |lua, (this, path, value, options): (AnyUserData, String, Value, Options)| {
                selector(&path)?;
                let path = if path == "." {
                    "[+]".to_owned()
                } else {
                    path + "[+]"
                };
                set(lua, (this, path, value, options))
            },
        )
    },
};

pub(super) const MERGE: Def = Def {
    name: "YamlDocument:merge",
    summary: "Lays a value over the document, as `kstate.merge.deep` does, by the fewest changes.",
    body: "",
    params: &[VALUE],
    options: &[lists::PARAM, DOCUMENT],
    returns: &[],
    errors: &[NO_EDIT],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.yaml.edit("spec:\n  subnets:\n  - name: a # first\n    cidr: 10.0.0.0/24\n")
doc:merge({ spec = { subnets = { { name = "a", zone = "x" } } } }, { lists = "kops" })
assert(doc:get("spec.subnets[0].zone") == "x")
assert(doc:text():find("- name: a # first\n    cidr: 10.0.0.0/24\n", 1, true))
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |lua, (this, value, options): (AnyUserData, Value, Options)| {
                let value = yaml_data::argument(lua, "value", &value)?;
                let lists = lists::of(&options)?;
                let (part, intended) = {
                    let handle = of(&this)?;
                    let (part, old) = handle.part(&options)?;
                    (part, deep(old, &yaml_data::fit(value, old), &lists))
                };
                edit(&this, |document| document.apply(part, &intended))
            },
        )
    },
};

pub(super) const APPLY: Def = Def {
    name: "YamlDocument:apply",
    summary: "Makes the document hold a value, by the fewest changes.",
    body: "Keys that the value lacks are removed. Elements of lists are told by their `name` or \
           by what they have in common. `doc:apply(doc:value())` changes nothing.",
    params: &[VALUE],
    options: &[DOCUMENT],
    returns: &[],
    errors: &[NO_EDIT],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.yaml.edit("a: 1 # one\nb: 2\nc: [x, y] # both\n")
doc:apply({ a = 1, c = { "x", "z", "y" } })
assert(doc:text() == "a: 1 # one\nc: [x, z, y] # both\n")
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |lua, (this, value, options): (AnyUserData, Value, Options)| {
                let value = yaml_data::argument(lua, "value", &value)?;
                let (part, intended) = {
                    let handle = of(&this)?;
                    let (part, old) = handle.part(&options)?;
                    (part, yaml_data::fit(value, old))
                };
                edit(&this, |document| document.apply(part, &intended))
            },
        )
    },
};
