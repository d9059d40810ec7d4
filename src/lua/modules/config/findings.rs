//! Whether kOps would take the files of a cluster.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use mlua::{AnyUserData, Lua, Table, Value};
use serde_json::{Value as Json, json};

use super::super::store::handle::{self, key_of};
use super::entries::{CLUSTER, STORE, files_of, label_of};
use crate::config::check::{self, File, Found};
use crate::config::clusters::trespass;
use crate::config::entry::Entry;
use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::data;
use crate::lua::vm;
use crate::store::{self, Store};

const FINDINGS: &str = "a list; each has `severity` (`error` or `warning`), `file`, `line`, \
                        `column`, `path`, `message`, perhaps `hint`, and `text`, which says it in one line";

pub(super) const VALIDATE: Def = Def {
    name: "config.validate",
    summary: "Tells what is wrong with a cluster and its instance groups.",
    body: "By the rules of kOps that need no cloud, for fields that kOps doesn't have, which it would \
           drop without a word, and for a `configBase` in the tree of another cluster of the store. \
           Its add-ons too, as far as that can be told without their schemas.",
    params: &[STORE, CLUSTER],
    options: &[],
    returns: &[("table", FINDINGS)],
    errors: &[("not_found", "there is no such store")],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://validate")
store:write("c.example.com/config", "apiVersion: kops.k8s.io/v1alpha2\nkind: Cluster\nspec:\n  chanel: x\n")
local first = kstate.config.validate(store, "c.example.com")
assert(#first > 0 and first[1].line)
"#,
    make: |def, lua| def.wait(lua, validate),
};

async fn validate(lua: Lua, (store, cluster): (AnyUserData, String)) -> mlua::Result<Value> {
    let store = handle::of(&store)?;
    let found = vm::on_io(&lua, async move {
        let entries = texts_of(&store, &cluster).await?;
        let mut found = check::cluster(&files(&entries), &[], false);
        found.extend(trespasses(&*store, &files(&entries), &[]).await?);
        Ok::<_, store::Error>(found)
    });
    data::to_lua(&lua, &shown(&found.await??))
}

/// The clusters among files that get into the tree of another one.
async fn trespasses(
    store: &dyn Store,
    files: &[File<'_>],
    before: &[File<'_>],
) -> store::Result<Vec<Found>> {
    let mut found = Vec::new();
    for file in files {
        let old = before.iter().find(|old| old.label == file.label);
        let finding = trespass(store, *file, old.map(|old| old.text)).await?;
        found.extend(finding.map(|finding| Found {
            finding,
            known: false,
        }));
    }
    Ok(found)
}

async fn texts_of(store: &Arc<dyn Store>, cluster: &str) -> store::Result<Vec<(String, String)>> {
    let files = files_of(store, cluster).await?;
    let loads = files.into_iter().map(async |file| {
        let key = key_of(store, "read", &file.key)?;
        let entry = Entry::load(&**store, &key).await?;
        Ok((label_of(&**store, &key), entry.text))
    });
    futures::stream::iter(loads)
        .buffered(16)
        .try_collect()
        .await
}

pub(super) const CHECK: Def = Def {
    name: "config.check",
    summary: "Tells what would be wrong with a cluster's files if they had these texts.",
    body: "The files are entries as `config.load` gives them. With `before`, the entries as they \
           are now, a finding that holds for them too has `known`, what can't be changed is found, \
           and `stops` tells what the new texts must not be written for. With `store`, a \
           `configBase` that is new and lies in the tree of another cluster there is found.",
    params: &[Param::new("entries", Type::Table, "the files")],
    options: &[
        Param::optional("before", Type::Table, "the files as they are"),
        Param::optional(
            "force_unknown",
            Type::Boolean,
            "allow fields that kOps doesn't have",
        ),
        Param::optional(
            "store",
            Type::Object("Store"),
            "the store that they are for",
        ),
    ],
    returns: &[("table", FINDINGS)],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local file = { key = "c.example.com/instancegroup/nodes", text = "kind: InstanceGroup\nspec:\n  role: Nod\n" }
local found = kstate.config.check({ file })
assert(found[1].stops)
assert(not kstate.config.check({ file }, { before = { file } })[1].stops)
"#,
    make: |def, lua| def.wait(lua, check_texts),
};

async fn check_texts(lua: Lua, (entries, options): (Table, Options)) -> mlua::Result<Value> {
    let (new, before) = (texts(&entries)?, options.get::<Table>("before")?);
    let before = before.map_or(Ok(Vec::new()), |before| texts(&before))?;
    let force_unknown = options.get("force_unknown")?.unwrap_or(false);
    let store = options.get::<AnyUserData>("store")?;
    let store = store.as_ref().map(handle::of).transpose()?;
    let found = vm::on_io(&lua, async move {
        let (new, before) = (files(&new), files(&before));
        let mut found = check::cluster(&new, &before, force_unknown);
        if let Some(store) = store {
            found.extend(trespasses(&*store, &new, &before).await?);
        }
        Ok::<_, store::Error>(found)
    });
    data::to_lua(&lua, &shown(&found.await??))
}

/// The name and the text of each entry.
fn texts(entries: &Table) -> mlua::Result<Vec<(String, String)>> {
    let entries = entries.sequence_values::<Table>().map(|entry| {
        let entry = entry?;
        let label = match entry.get::<Value>("label")? {
            Value::Nil => entry.get::<String>("key")?,
            label => label.to_string()?,
        };
        Ok((label, entry.get::<String>("text")?))
    });
    entries.collect()
}

fn files(entries: &[(String, String)]) -> Vec<File<'_>> {
    let files = entries.iter().map(|(label, text)| File { label, text });
    files.collect()
}

fn shown(findings: &[Found]) -> Json {
    let findings = findings.iter().map(|found| {
        let mut shown = json!(found);
        let text = found.finding.to_string();
        let severity = format!("{}: ", found.finding.severity);
        shown["text"] = text.strip_prefix(&severity).unwrap_or(&text).into();
        shown["stops"] = found.stops().into();
        shown
    });
    findings.collect()
}
