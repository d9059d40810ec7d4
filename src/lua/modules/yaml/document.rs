//! A YAML text in a script's hands, to be changed in place.

use mlua::{
    AnyUserData, LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods, UserDataRef,
    Value,
};
use serde_yaml::Value as Yaml;

use super::changes;
use crate::lua::api::{self, Class, Def, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::{data, yaml_data};
use crate::merge::document::{Document, Fault, Path, position};
use crate::merge::path::{Selector, SelectorError};

/// A document in a script's hands.
pub(super) struct Handle {
    pub(super) document: Document,
    /// What errors call the text.
    pub(super) label: String,
}

impl UserData for Handle {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        api::class(fields, &CLASS);
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(this.document.text().to_owned())
        });
    }
}

/// The document's methods.
pub(super) static CLASS: Class = Class {
    name: "YamlDocument",
    summary: "A YAML text that is changed in place: what isn't changed stays byte for byte. \
              `tostring(doc)` is the text.",
    fields: &[],
    methods: &[
        GET,
        ALL,
        changes::SET,
        changes::UNSET,
        changes::APPEND,
        changes::MERGE,
        changes::APPLY,
        VALUE,
        DOCUMENTS,
        POSITION,
        TEXT,
    ],
    call: "",
};

pub(super) const PATH: Param = Param::new(
    "path",
    Type::String,
    "such as `spec.subnets[name=a].zone`; see `kstate.merge.get`",
);

pub(super) const DOCUMENT: Param = Param::optional(
    "document",
    Type::Integer,
    "which one of a text with several, counting from 1; default 1",
);

const NO_PATH: (&str, &str) = (
    "invalid",
    "the path can't be read, or there is no such document",
);

impl Handle {
    pub(super) fn error(&self, fault: &Fault) -> ScriptError {
        ScriptError::invalid(format!("{}: {fault}", self.label))
    }

    /// Which document the options mean, and its value.
    pub(super) fn part(&self, options: &Options) -> mlua::Result<(usize, &Yaml)> {
        let number = options.count("document")?.unwrap_or(1);
        match self.document.values().nth(number - 1) {
            Some(value) => Ok((number - 1, value)),
            None => Err(self.no_document(number).into()),
        }
    }

    fn no_document(&self, number: usize) -> ScriptError {
        let there = crate::text::count(self.document.values().count() as u64, "document");
        let label = &self.label;
        ScriptError::invalid(format!(
            "{label}: there is no document {number}: the text has {there}"
        ))
    }

    /// The places that a path chooses to be written to.
    pub(super) fn places(&self, part: usize, value: &Yaml, path: &str) -> mlua::Result<Vec<Path>> {
        let chosen = selector(path)?.resolve(value);
        Ok(chosen.map_err(|error| match error {
            SelectorError::NoMatch { at, message } => {
                let (line, column) = self.document.position(part, &at);
                let message = format!("{at}: {message}");
                self.error(&Fault {
                    line,
                    column,
                    message,
                })
            }
            syntax @ SelectorError::Syntax { .. } => ScriptError::invalid(syntax.to_string()),
        })?)
    }
}

/// A path as scripts write it.
pub(in crate::lua::modules) fn selector(path: &str) -> Result<Selector, ScriptError> {
    path.parse()
        .map_err(|error: SelectorError| ScriptError::invalid(error.to_string()))
}

pub(super) fn of(this: &AnyUserData) -> mlua::Result<UserDataRef<Handle>> {
    this.borrow::<Handle>()
}

pub(super) const EDIT: Def = Def {
    name: "yaml.edit",
    summary: "Opens a YAML text to be changed in place: comments, order, quotes and line ends stay.",
    body: "After each change the text is parsed again. It must hold what was asked for and \
           nothing else, or the change is refused. A text may have several documents. At most \
           16 MiB are read.",
    params: &[
        Param::new("text", Type::String, "YAML"),
        Param::optional(
            "label",
            Type::String,
            "what errors call the text, such as its URL",
        ),
    ],
    options: &[],
    returns: &[("kstate.YamlDocument", "the document")],
    errors: &[(
        "invalid",
        "the text is no YAML, names a key twice, or is too large or too deep; the message has \
         label, line and column",
    )],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.yaml.edit("spec:\n  image: a # keep\n", "s3://state/c/config")
doc:set("spec.image", "b")
assert(doc:text() == "spec:\n  image: b # keep\n")
"#,
    make: |def, lua| {
        def.sync(lua, |_, (text, label): (LuaString, Option<String>)| {
            open(&text.as_bytes(), label).map_err(mlua::Error::from)
        })
    },
};

fn open(bytes: &[u8], label: Option<String>) -> Result<Handle, ScriptError> {
    let label = label.unwrap_or_else(|| "the text".to_owned());
    let parsed = match std::str::from_utf8(bytes) {
        Ok(text) => Document::parse(text),
        Err(error) => Err(not_utf8(bytes, error.valid_up_to())),
    };
    match parsed {
        Ok(document) => Ok(Handle { document, label }),
        Err(fault) => Err(ScriptError::invalid(format!("{label}: {fault}"))),
    }
}

fn not_utf8(bytes: &[u8], end: usize) -> Fault {
    let (line, column) = position(&String::from_utf8_lossy(&bytes[..end]), end);
    Fault {
        line,
        column,
        message: "the text is no UTF-8 here".to_owned(),
    }
}

const GET: Def = Def {
    name: "YamlDocument:get",
    summary: "Returns the value at a path.",
    body: "As `kstate.yaml.decode` gives it, but a merge key `<<` is a key like others. Of a path \
           that chooses several, the first.",
    params: &[PATH],
    options: &[DOCUMENT],
    returns: &[("any", "the value; `nil` when there is none")],
    errors: &[NO_PATH],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.yaml.edit("subnets: [{ name: a, zone: x }, { name: b, zone: y }]")
assert(doc:get("subnets[name=b].zone") == "y" and doc:get("subnets[0].name") == "a")
assert(doc:get("subnets[name=c].zone") == nil)
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |lua, (this, path, options): (AnyUserData, String, Options)| {
                with_found(&this, &path, &options, |found| match found.first() {
                    Some((_, value)) => yaml_data::to_lua(lua, value),
                    None => Ok(Value::Nil),
                })
            },
        )
    },
};

const ALL: Def = Def {
    name: "YamlDocument:all",
    summary: "Returns all values that a path chooses.",
    body: "",
    params: &[PATH],
    options: &[DOCUMENT],
    returns: &[("table", "the list of values; empty when there is none")],
    errors: &[NO_PATH],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.yaml.edit("subnets: [{ name: a }, { name: b }]")
assert(table.concat(doc:all("subnets[*].name"), " ") == "a b")
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |lua, (this, path, options): (AnyUserData, String, Options)| {
                with_found(&this, &path, &options, |found| {
                    let list = lua.create_table()?;
                    for (_, value) in found {
                        list.raw_push(yaml_data::to_lua(lua, value)?)?;
                    }
                    data::mark_array(lua, &list)?;
                    Ok(list)
                })
            },
        )
    },
};

/// Gives what a path finds, with the ways there, to a function.
fn with_found<T>(
    this: &AnyUserData,
    path: &str,
    options: &Options,
    give: impl FnOnce(Vec<(Path, &Yaml)>) -> mlua::Result<T>,
) -> mlua::Result<T> {
    let handle = of(this)?;
    let (_, value) = handle.part(options)?;
    give(selector(path)?.find(value))
}

const VALUE: Def = Def {
    name: "YamlDocument:value",
    summary: "Returns the whole value of a document.",
    body: "As `get` does; an empty document is `kstate.null`.",
    params: &[],
    options: &[DOCUMENT],
    returns: &[("any", "the value")],
    errors: &[("invalid", "there is no such document")],
    permission: "",
    since: "0.1.0",
    example: r#"
local doc = kstate.yaml.edit("a: 1\n---\nb: 2\n")
assert(doc:value().a == 1 and doc:value({ document = 2 }).b == 2)
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (this, options): (AnyUserData, Options)| {
            let handle = of(&this)?;
            let (_, value) = handle.part(&options)?;
            yaml_data::to_lua(lua, value)
        })
    },
};

const DOCUMENTS: Def = Def {
    name: "YamlDocument:documents",
    summary: "Returns how many documents the text has.",
    body: "An empty text has one, which is null.",
    params: &[],
    options: &[],
    returns: &[("integer", "how many")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.yaml.edit("a: 1\n---\nb: 2\n"):documents() == 2)"#,
    make: |def, lua| {
        def.sync(lua, |_, this: AnyUserData| {
            Ok(of(&this)?.document.values().count())
        })
    },
};

const POSITION: Def = Def {
    name: "YamlDocument:position",
    summary: "Tells where the value at a path stands in the text.",
    body: "Where there is less than the path says, the last value on the way to it.",
    params: &[PATH],
    options: &[DOCUMENT],
    returns: &[
        ("integer", "the line, counting from 1"),
        ("integer", "the column in characters, counting from 1"),
    ],
    errors: &[NO_PATH],
    permission: "",
    since: "0.1.0",
    example: r#"
local line, column = kstate.yaml.edit("a: 1\nb:\n  c: 2\n"):position("b.c")
assert(line == 3 and column == 6)
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |_, (this, path, options): (AnyUserData, String, Options)| {
                let handle = of(&this)?;
                let (part, value) = handle.part(&options)?;
                let selector = selector(&path)?;
                let found = selector.find(value).into_iter().next();
                let place = match (found, selector.resolve(value)) {
                    (Some((place, _)), _)
                    | (None, Err(SelectorError::NoMatch { at: place, .. })) => place,
                    (None, places) => places
                        .unwrap_or_default()
                        .into_iter()
                        .next()
                        .unwrap_or_default(),
                };
                Ok(handle.document.position(part, &place))
            },
        )
    },
};

const TEXT: Def = Def {
    name: "YamlDocument:text",
    summary: "Returns the text with all changes.",
    body: "",
    params: &[],
    options: &[],
    returns: &[("string", "YAML")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.yaml.edit("a: 1 # x"):text() == "a: 1 # x")"#,
    make: |def, lua| {
        def.sync(lua, |_, this: AnyUserData| {
            Ok(of(&this)?.document.text().to_owned())
        })
    },
};
