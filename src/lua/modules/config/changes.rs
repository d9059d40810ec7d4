//! Changes of a manifest's text.

use std::fmt::Write;

use mlua::Lua;
use serde_yaml::Value as Yaml;

use crate::config::change::{self, Change, ChangeError};
use crate::config::check::part_of;
use crate::config::fields::Kind;
use crate::config::overlay;
use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::merge::document::{Document, Path};
use crate::session::plan::difference::{Detail, Difference, compare};
use crate::text::visible;

const TEXT: Param = Param::new("text", Type::String, "the manifest");
const KIND: Param = Param::optional(
    "kind",
    Type::String,
    "`Cluster` (default) or `InstanceGroup`",
);
const FORCE: Param = Param::optional(
    "force_unknown",
    Type::Boolean,
    "allow fields that kOps doesn't have",
);
const NEW_TEXT: (&str, &str) = ("string", "the new text");
const CHANGED: (&str, &str) = ("string[]", "the paths of the values that are others now");

pub(super) const CHANGE: Def = Def {
    name: "config.change",
    summary: "Changes fields of a manifest, as `--set` and `--unset` say it.",
    body: "First `unset`, then `set` in order, then `set_string`. `path=value` replaces what is \
           there, `path+=value` adds to a list or map, `path-=value` takes away. Values are of the \
           type of their field; a list is `a,b` or `[a, b]`, a map `k=v,l=w` or `{k: v}`. Paths \
           have the names of the file (v1alpha2) or of kOps's internal API, and may choose \
           elements: `spec.subnets[name=a].zone`, `[0]`, `[+]`, `[*]`. Only what changes is \
           written anew: comments, order and quoting stay.",
    params: &[TEXT],
    options: &[
        Param::optional("unset", Type::Table, "a list of paths"),
        Param::optional("set", Type::Table, "a list like `spec.channel=alpha`"),
        Param::optional(
            "set_string",
            Type::Table,
            "a list like `path=value`; the value is a string whatever the field holds",
        ),
        KIND,
        FORCE,
    ],
    returns: &[
        NEW_TEXT,
        CHANGED,
        (
            "string[]",
            "what was to be taken away and isn't there, each as a sentence",
        ),
    ],
    errors: &[(
        "invalid",
        "there is no such field, or the value is none for it; the hint names what was meant",
    )],
    permission: "",
    since: "0.1.0",
    example: r#"
local text = "kind: Cluster\nspec:\n  channel: stable # ours\n"
local new, paths = kstate.config.change(text, { set = { "spec.channel=alpha" } })
assert(new == "kind: Cluster\nspec:\n  channel: alpha # ours\n" and paths[1] == "spec.channel")
"#,
    make: |def, lua| def.sync(lua, change_text),
};

type Changed = (String, Vec<String>, Vec<String>);

fn change_text(_: &Lua, (text, options): (String, Options)) -> mlua::Result<Changed> {
    let kind = kind_of(&options)?;
    let list = |name| {
        options
            .get::<Vec<String>>(name)
            .map(Option::unwrap_or_default)
    };
    let mut changes = Vec::new();
    for path in list("unset")? {
        changes.push(Change::unset(kind, &path).map_err(invalid)?);
    }
    for typed in list("set")? {
        changes.push(Change::set(kind, &typed).map_err(invalid)?);
    }
    for typed in list("set_string")? {
        changes.push(Change::set_string(kind, &typed).map_err(invalid)?);
    }
    let mut document = parse(&text, "the manifest")?;
    let part = part_of(&document, kind);
    let force_unknown = options.get("force_unknown")?.unwrap_or(false);
    let made = change::apply(&mut document, part, kind, &changes, force_unknown);
    let made = made.map_err(invalid)?;
    Ok((
        document.text().to_owned(),
        texts(&made.changed),
        made.missed,
    ))
}

fn invalid(error: ChangeError) -> ScriptError {
    let made = ScriptError::invalid(error.message);
    match error.hint {
        Some(hint) => made.hint(hint),
        None => made,
    }
}

fn kind_of(options: &Options) -> mlua::Result<Kind> {
    let name = options.get::<String>("kind")?;
    let name = name.as_deref().unwrap_or("Cluster");
    Kind::named(name).ok_or_else(|| {
        ScriptError::invalid(format!("there is no kind '{name}'"))
            .hint("it is Cluster or InstanceGroup")
            .into()
    })
}

fn parse(text: &str, label: &str) -> Result<Document, ScriptError> {
    Document::parse(text).map_err(|fault| ScriptError::invalid(format!("{label}: {fault}")))
}

fn texts(paths: &[Path]) -> Vec<String> {
    paths.iter().map(Path::to_string).collect()
}

pub(super) const MERGE: Def = Def {
    name: "config.merge",
    summary: "Lays the parts of a manifest that a file has over the whole one.",
    body: "Mappings are merged, a null removes its key, lists whose elements have a key in kOps's \
           API (subnets, etcd clusters, …) are merged by it, all other lists are replaced. Of a \
           file with several documents those count that have this `kind` and `metadata.name`, or \
           none; one without a kind is a part of a `Cluster`.",
    params: &[TEXT, Param::new("patch", Type::String, "the file's text")],
    options: &[
        KIND,
        Param::optional("name", Type::String, "the object's name"),
        Param::optional("file", Type::String, "what errors call the file"),
        FORCE,
    ],
    returns: &[NEW_TEXT, CHANGED],
    errors: &[(
        "invalid",
        "the file is no YAML, or doesn't fit kOps's API; with line and column",
    )],
    permission: "",
    since: "0.1.0",
    example: r#"
local text = "kind: Cluster\nspec:\n  channel: stable # ours\n  project: p\n"
local new = kstate.config.merge(text, "spec:\n  channel: alpha\n  project: null\n")
assert(new == "kind: Cluster\nspec:\n  channel: alpha # ours\n")
"#,
    make: |def, lua| def.sync(lua, merge),
};

fn merge(
    _: &Lua,
    (text, patch, options): (String, String, Options),
) -> mlua::Result<(String, Vec<String>)> {
    let kind = kind_of(&options)?;
    let name = options.get::<String>("name")?;
    let label = options.get::<String>("file")?;
    let label = label.as_deref().unwrap_or("the patch");
    let force_unknown = options.get("force_unknown")?.unwrap_or(false);
    let patch = parse(&patch, label)?;
    let mut document = parse(&text, "the manifest")?;
    let part = part_of(&document, kind);
    let mut changed = Vec::new();
    for (index, value) in patch.values().enumerate() {
        if !is_for(value, kind, name.as_deref()) {
            continue;
        }
        let faults = overlay::faults(&patch, index, kind, force_unknown);
        if !faults.is_empty() {
            let lines: Vec<_> = faults
                .iter()
                .map(|fault| format!("{label}: {fault}"))
                .collect();
            return Err(ScriptError::invalid(lines.join("\n")).into());
        }
        let paths = overlay::lay_over(&mut document, part, value)
            .map_err(|fault| ScriptError::invalid(format!("cannot merge {label}: {fault}")))?;
        changed.extend(paths);
    }
    Ok((document.text().to_owned(), texts(&changed)))
}

fn is_for(patch: &Yaml, kind: Kind, name: Option<&str>) -> bool {
    let text = |value: Option<&Yaml>| value.and_then(Yaml::as_str).map(str::to_owned);
    let patch_name = patch
        .get("metadata")
        .and_then(|metadata| metadata.get("name"));
    let is_of_kind = text(patch.get("kind")).map_or(kind == Kind::Cluster, |of| of == kind.name());
    let has_name = match (text(patch_name), name) {
        (Some(of), Some(name)) => of == name,
        _ => true,
    };
    patch.is_mapping() && is_of_kind && has_name
}

pub(super) const DIFF: Def = Def {
    name: "config.diff",
    summary: "Shows how two texts differ, as a unified diff without secrets.",
    body: "",
    params: &[
        Param::new("label", Type::String, "what the file is called"),
        Param::optional("before", Type::String, "the old text; `nil` for a new file"),
        Param::new("after", Type::String, "the new text"),
    ],
    options: &[],
    returns: &[("string", "the diff; empty when they are the same")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local diff = kstate.config.diff("c/config", "a: 1\nb: 1\n", "a: 1\nb: 2\n")
assert(diff:find("--- c/config", 1, true) and diff:find("-b: 1\n+b: 2\n", 1, true))
"#,
    make: |def, lua| {
        def.sync(
            lua,
            |_, (label, before, after): (String, Option<String>, String)| {
                Ok(diff(&label, before.as_deref(), &after))
            },
        )
    },
};

fn diff(label: &str, before: Option<&str>, after: &str) -> String {
    let detail = Detail {
        full: true,
        ..Detail::default()
    };
    let difference = compare(
        before.map(str::as_bytes),
        Some(after.as_bytes()),
        false,
        detail,
    );
    let label = visible(label);
    let mut text = match before {
        Some(_) => format!("--- {label}\n+++ {label}\n"),
        None => format!("+++ {label} (new)\n"),
    };
    match difference {
        Difference::Same => return String::new(),
        Difference::Text(difference) => {
            for line in difference.lines.first {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{}{}", line.kind.sign(), visible(&line.text));
            }
        }
        _ => text.push_str("(too large to compare)\n"),
    }
    text
}
