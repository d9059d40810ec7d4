//! The files of a cluster that people write, as entries of a store.

use std::sync::Arc;

use futures::TryStreamExt;
use mlua::{AnyUserData, Lua, MultiValue, Table, Value};
use serde_json::{Value as Json, json};

use super::super::store::handle::{self, key_of, own_key_of};
use crate::config::check::{self, File};
use crate::config::clusters::trespass;
use crate::config::entry::{Clash, Entry, Saved};
use crate::config::mask::mask;
use crate::config::validate::Finding;
use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::data;
use crate::lua::error::ScriptError;
use crate::lua::vm;
use crate::lua::yaml_data;
use crate::merge::document::Document;
use crate::merge::three_way::Conflict;
use crate::store::{self, Error, ErrorKind, Key, ListOptions, Store, Tag};

pub(super) const STORE: Param = Param::new("store", Type::Object("Store"), "the store");
pub(super) const CLUSTER: Param = Param::new("cluster", Type::String, "the cluster's name");

pub(super) const LIST: Def = Def {
    name: "config.list",
    summary: "Lists the files of a cluster that people write.",
    body: "Its manifest first, then its instance groups by name, then its add-ons. Each has `kind` \
           (`Cluster`, `InstanceGroup` or `Addons`), `name` and `key`.",
    params: &[STORE, CLUSTER],
    options: &[],
    returns: &[("table", "the list; empty when there is nothing")],
    errors: &[("invalid_key", "the name can't be a folder")],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://list")
store:write("c.example.com/config", "kind: Cluster\n")
store:write("c.example.com/instancegroup/nodes", "kind: InstanceGroup\n")
local files = kstate.config.list(store, "c.example.com")
assert(#files == 2 and files[2].name == "nodes" and files[2].key == "c.example.com/instancegroup/nodes")
"#,
    make: |def, lua| def.wait(lua, list),
};

async fn list(lua: Lua, (store, cluster): (AnyUserData, String)) -> mlua::Result<Value> {
    let store = handle::of(&store)?;
    let files = vm::on_io(&lua, async move { files_of(&store, &cluster).await }).await??;
    data::to_lua(&lua, &json!(files))
}

/// A file that people write.
#[derive(serde::Serialize)]
pub(super) struct Listed {
    kind: &'static str,
    name: String,
    pub(super) key: String,
}

pub(super) async fn files_of(store: &Arc<dyn Store>, cluster: &str) -> store::Result<Vec<Listed>> {
    let [config, addons] = [
        format!("{cluster}/config"),
        format!("{cluster}/clusteraddons/default"),
    ];
    let config_key = key_of(store, "list", &config)?;
    let addons_key = key_of(store, "list", &addons)?;
    let options = ListOptions {
        one_level: true,
        ..ListOptions::recursive(format!("{cluster}/instancegroup"))
    };
    let groups = async {
        let listed = store.list(options).try_filter_map(async |entry| {
            Ok(match entry {
                store::Entry::Object(meta) => Some(meta.key.as_str().to_owned()),
                _ => None,
            })
        });
        listed.try_collect::<Vec<String>>().await
    };
    let found = futures::try_join!(
        exists(&**store, &config_key),
        groups,
        exists(&**store, &addons_key)
    )?;
    let (has_config, groups, has_addons) = found;
    let mut files = Vec::new();
    if has_config {
        files.push(Listed {
            kind: "Cluster",
            name: cluster.to_owned(),
            key: config,
        });
    }
    files.extend(groups.into_iter().map(|key| Listed {
        kind: "InstanceGroup",
        name: key.rsplit('/').next().unwrap_or(&key).to_owned(),
        key,
    }));
    if has_addons {
        files.push(Listed {
            kind: "Addons",
            name: "default".to_owned(),
            key: addons,
        });
    }
    Ok(files)
}

async fn exists(store: &dyn Store, key: &Key) -> store::Result<bool> {
    match store.find(key).await {
        Ok(found) => Ok(found.is_some()),
        Err(error) if *error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) const LOAD: Def = Def {
    name: "config.load",
    summary: "Reads a file as an entry, which `config.save` changes.",
    body: "An entry is a plain table with `key`, `label` (how to name it to a person), `text` and \
           `tag` (its version). Where there is no such file, `text` is empty and `tag` is `nil`: \
           saving such an entry makes the file.",
    params: &[
        STORE,
        Param::new("key", Type::String, "the file, relative to the store"),
    ],
    options: &[],
    returns: &[("table", "the entry")],
    errors: &[("invalid", "it is no text, or larger than 16 MiB")],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://load")
store:write("c/config", "kind: Cluster\n")
local entry = kstate.config.load(store, "c/config")
assert(entry.text == "kind: Cluster\n" and entry.tag)
assert(kstate.config.load(store, "d/config").tag == nil)
"#,
    make: |def, lua| def.wait(lua, load),
};

async fn load(lua: Lua, (store, key): (AnyUserData, String)) -> mlua::Result<Table> {
    let store = handle::of(&store)?;
    let key = key_of(&store, "read", &key)?;
    let label = label_of(&*store, &key);
    let entry = vm::on_io(&lua, async move { Entry::load(&*store, &key).await }).await??;
    let table = lua.create_table()?;
    table.raw_set("key", entry.key.as_str())?;
    table.raw_set("label", label)?;
    table.raw_set("text", entry.text)?;
    table.raw_set("tag", entry.tag.map(|tag| tag.0))?;
    Ok(table)
}

pub(super) fn label_of(store: &dyn Store, key: &Key) -> String {
    format!("{}/{}", store.url().trim_end_matches('/'), key.as_str())
}

pub(super) const SAVE: Def = Def {
    name: "config.save",
    summary: "Writes another text in the place of an entry, with a merge of what others wrote.",
    body: "By compare-and-swap: when the file is another than the entry, both changes are merged \
           and it is tried again. A manifest is validated first: what is wrong with it and was not \
           wrong before is an error. When both sides changed the same, nothing is written, and the \
           error has `conflicts` (`path`, `base`, `ours`, `theirs`) and `marked`, the text with \
           git's conflict markers, without secrets. When the file was deleted meanwhile, it has \
           `deleted` instead.",
    params: &[
        STORE,
        Param::new("entry", Type::Table, "what `config.load` gave"),
        Param::new("text", Type::String, "the new text"),
    ],
    options: &[Param::optional(
        "force_unknown",
        Type::Boolean,
        "allow fields that kOps doesn't have",
    )],
    returns: &[
        (
            "table|nil",
            "`written`, `merged` (somebody else's change is in it too) and `text`; `nil` on a conflict",
        ),
        (
            "kstate.Error?",
            "of kind `precondition_failed`, on a conflict",
        ),
    ],
    errors: &[
        (
            "invalid",
            "the manifest would be wrong; with line and column",
        ),
        ("permission_denied", "the run may not write there"),
    ],
    permission: "none; `--read-only` and `--allow-write` narrow it",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://save")
store:write("c/notes", "a: 1\nb: 1\n")
local entry = kstate.config.load(store, "c/notes")
store:write("c/notes", "a: 1\nb: 2 # theirs\n")
local saved = kstate.config.save(store, entry, "a: 3\nb: 1\n")
assert(saved.written and saved.merged and store:read("c/notes") == "a: 3\nb: 2 # theirs\n")
local none, err = kstate.config.save(store, entry, "a: 1\nb: 5\n")
assert(none == nil and err.kind == "precondition_failed" and err.conflicts[1].path == "b")
"#,
    make: |def, lua| def.wait(lua, save),
};

async fn save(
    lua: Lua,
    (store, table, text, options): (AnyUserData, Table, String, Options),
) -> mlua::Result<MultiValue> {
    let store = handle::of(&store)?;
    let key: String = table.get("key")?;
    let entry = Entry {
        key: own_key_of(&lua, &store, "write", &key)?,
        text: table.get::<Option<String>>("text")?.unwrap_or_default(),
        tag: table.get::<Option<String>>("tag")?.map(Tag),
    };
    let force_unknown = options.get("force_unknown")?.unwrap_or(false);
    let label = label_of(&*store, &entry.key);
    let url = store.url().to_owned();
    let was_there = entry.tag.is_some();
    let saved = vm::on_io(&lua, async move {
        let file = File {
            label: &label_of(&*store, &entry.key),
            text: &text,
        };
        let before = entry.tag.is_some().then_some(entry.text.as_str());
        if let Some(finding) = trespass(&*store, file, before).await? {
            return Err(wrong(&*store, &entry, [&finding]));
        }
        let check = |text: &str| refuse(&*store, &entry, text, force_unknown);
        entry.save(&*store, &text, check).await
    });
    let saved = match saved.await?? {
        Saved::Unchanged => json!({ "written": false, "merged": false }),
        Saved::Written { text, merged } => {
            json!({ "written": true, "merged": merged, "text": text })
        }
        Saved::Clash(clash) => {
            let error = if was_there && clash.theirs.tag.is_none() {
                deletion(&label)
            } else {
                conflict(&clash, &label)
            };
            let error = error.at(Some("write".to_owned()), Some(url), Some(key));
            return Ok(MultiValue::from_iter([Value::Nil, error.to_value(&lua)?]));
        }
    };
    Ok(MultiValue::from_iter([data::to_lua(&lua, &saved)?]))
}

/// What a text must not be written for.
fn refuse(store: &dyn Store, entry: &Entry, text: &str, force_unknown: bool) -> store::Result<()> {
    let label = label_of(store, &entry.key);
    let file = |text| File {
        label: &label,
        text,
    };
    if check::holds(&label).is_none()
        && let Err(fault) = Document::parse(text)
    {
        let message = format!("it is no YAML: {fault}");
        return Err(Error::new(ErrorKind::Invalid, "write", message)
            .at(store.url(), Some(entry.key.as_str())));
    }
    let before = entry.tag.is_some().then(|| file(entry.text.as_str()));
    let found = check::single(file(text), before, force_unknown);
    let stops = found.iter().filter(|found| found.stops());
    let stops: Vec<_> = stops.map(|found| &found.finding).collect();
    if stops.is_empty() {
        return Ok(());
    }
    Err(wrong(store, entry, stops))
}

fn wrong<'a>(
    store: &dyn Store,
    entry: &Entry,
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Error {
    let lines = findings.into_iter().map(|finding| format!("\n  {finding}"));
    let message = format!("it would be wrong:{}", lines.collect::<String>());
    Error::new(ErrorKind::Invalid, "write", message).at(store.url(), Some(entry.key.as_str()))
}

fn deletion(label: &str) -> ScriptError {
    let message = "it was deleted meanwhile by somebody else";
    let error = ScriptError::new("precondition_failed", message)
        .hint("if that was meant, there is nothing to do; else bring it back (kstate history, kstate undo), and run it again");
    with_details(error, json!({ "deleted": true, "label": label }))
}

fn with_details(error: ScriptError, details: Json) -> ScriptError {
    match details {
        Json::Object(details) => error.details(details),
        _ => error,
    }
}

fn conflict(clash: &Clash, label: &str) -> ScriptError {
    let places: Vec<_> = clash
        .conflicts
        .iter()
        .map(|conflict| conflict.path.to_string())
        .collect();
    let what = match places.as_slice() {
        [] => "the same lines".to_owned(),
        places => places.join(", "),
    };
    let conflicts: Vec<Json> = clash.conflicts.iter().map(both_sides).collect();
    let details = json!({ "conflicts": conflicts, "marked": mask(&clash.marked), "label": label });
    let error = ScriptError::new(
        "precondition_failed",
        format!("somebody else changed {what} meanwhile, and to something else"),
    )
    .hint("look at both sides, and run it again");
    with_details(error, details)
}

fn both_sides(conflict: &Conflict) -> Json {
    let path = conflict.path.to_string();
    let side = |value: &Option<serde_yaml::Value>| {
        let value = value
            .as_ref()
            .and_then(|value| yaml_data::to_json(value).ok())?;
        let line = format!("{path}: {value}");
        Some(if mask(&line) == line {
            value
        } else {
            Json::from("<hidden>")
        })
    };
    json!({
        "path": path,
        "base": side(&conflict.base),
        "ours": side(&conflict.ours),
        "theirs": side(&conflict.theirs),
    })
}
