//! What a script can do with two stores.

use futures::StreamExt;
use mlua::{AnyUserData, Lua, Value};
use serde_json::json;

use super::handle;
use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::data;
use crate::lua::error::ScriptError;
use crate::lua::vm;
use crate::store;
use crate::transfer::{
    self, CONCURRENCY, CompareOptions, DeltaOptions, Evidence, Filter, Kind, Report, SyncOptions,
};

const TARGET: Param = Param::new("target", Type::Object("Store"), "the other store");
const INCLUDE: Param = Param::optional(
    "include",
    Type::Table,
    "globs of the keys that take part: `*` within a folder, `**` across; default: all",
);
const EXCLUDE: Param = Param::optional("exclude", Type::Table, "globs of the keys that don't");
const VERIFY: Param = Param::optional(
    "verify",
    Type::String,
    "`\"checksum\"` (default), or `\"content\"` to read both sides always",
);
const CONCURRENT: Param = Param::optional(
    "concurrency",
    Type::Integer,
    "how many objects are on their way at once; default 32",
);

pub(super) const SYNC: Def = Def {
    name: "Store:sync",
    summary: "Copies what is missing or different to another store, and verifies every copy.",
    body: "What only the target has stays unless `delete` is set. What somebody else writes in \
           the target meanwhile is left alone, and an error. The result counts what was done: \
           `objects`, `copied`, `bytes`, `unchanged`, `deleted`, `verified`, …",
    params: &[TARGET],
    options: &[
        INCLUDE,
        EXCLUDE,
        VERIFY,
        CONCURRENT,
        Param::optional(
            "first",
            Type::Table,
            "globs of keys that are there before all others, one glob after the other",
        ),
        Param::optional(
            "until_stable",
            Type::Boolean,
            "again until a pass finds nothing to do, for a source that changes meanwhile",
        ),
        Param::optional(
            "delete",
            Type::Boolean,
            "delete what only the target has, after all else succeeded",
        ),
    ],
    returns: &[("table", "the report")],
    errors: &[
        (
            "invalid_key",
            "the target can't hold some keys; nothing was copied",
        ),
        ("precondition_failed", "somebody else writes to the target"),
        ("permission_denied", "the run may not write there"),
    ],
    permission: "none; `--read-only` and `--allow-write` narrow it",
    since: "0.1.0",
    example: r#"
local from, to = kstate.store.open("memfs://from"), kstate.store.open("memfs://to")
from:write("a/b", "1")
from:write("a/tmp", "2")
local report = from:sync(to, { exclude = { "**/tmp" } })
assert(report.copied == 1 and to:read("a/b") == "1")
"#,
    make: |def, lua| def.wait(lua, sync),
};

async fn sync(
    lua: Lua,
    (this, target, options): (AnyUserData, AnyUserData, Options),
) -> mlua::Result<Value> {
    let (source, target) = (handle::of(&this)?, handle::of(&target)?);
    handle::check_reserved(&lua, &target, "sync", None)?;
    let evidence = evidence(&options)?;
    let mut first = Vec::new();
    for glob in patterns(&options, "first")? {
        first.push(Filter::only(&[glob])?);
    }
    let sync = SyncOptions {
        filter: filter(&options)?,
        first,
        concurrency: options.count("concurrency")?.unwrap_or(CONCURRENCY),
        compare: evidence,
        verify: evidence,
        delete: options.get("delete")?.unwrap_or(false),
        ..SyncOptions::default()
    };
    let until_stable = options.get("until_stable")?.unwrap_or(false);
    let observer = (vm::of(&lua).host.observe)();
    let run = async move {
        if until_stable {
            let options = DeltaOptions {
                sync,
                ..DeltaOptions::default()
            };
            transfer::delta_sync(&source, &target, options, observer).await
        } else {
            transfer::sync(&source, &target, sync, observer).await
        }
    };
    let result = vm::on_io(&lua, run).await?;
    match result {
        Ok(report) if report.is_complete() => data::to_lua(&lua, &report.to_json()),
        Ok(report) => Err(unfinished(report).into()),
        Err(error) => Err(stopped(error).into()),
    }
}

/// The error of a run that had to stop, with the keys that the target can't hold.
fn stopped(error: transfer::Error) -> ScriptError {
    let refused = &error.report.refused;
    let hint = format!("rename or leave out (exclude): {}", refused.keys(20));
    let has_refused = refused.count > 0;
    let raised = ScriptError::from(error.cause);
    if has_refused {
        raised.hint(hint)
    } else {
        raised
    }
}

/// The error of a run that went to its end but couldn't do all.
fn unfinished(report: Report) -> ScriptError {
    let kind = if report.failures.count == 0 && report.conflicts.count > 0 {
        "precondition_failed"
    } else {
        "partial"
    };
    let may_pass = report.may_pass();
    let error = match report.into_result() {
        Ok(_) => ScriptError::new(kind, "the transfer is not complete"),
        Err(error) => ScriptError::new(kind, error.cause.message())
            .hint(error.cause.hint_text().unwrap_or_default()),
    };
    error.retryable(may_pass)
}

pub(super) const PRECHECK: Def = Def {
    name: "Store:precheck",
    summary: "Looks at all that a sync would copy to an empty target, and copies nothing.",
    body: "`refused` has what the target can't hold, for its name or its size: how many objects \
           (`count`) and the `first` of them, each with `key` and `reason`. A sync looks by \
           itself before it copies; this is for several that are to begin all or none.",
    params: &[TARGET],
    options: &[INCLUDE, EXCLUDE],
    returns: &[("table", "`objects`, `bytes` and `refused`")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local from, to = kstate.store.open("memfs://large"), kstate.store.open("memfs://small")
from:write("a", "1")
local ahead = from:precheck(to)
assert(ahead.objects == 1 and ahead.bytes == 1 and ahead.refused.count == 0)
"#,
    make: |def, lua| def.wait(lua, precheck),
};

async fn precheck(
    lua: Lua,
    (this, target, options): (AnyUserData, AnyUserData, Options),
) -> mlua::Result<Value> {
    let (source, target) = (handle::of(&this)?, handle::of(&target)?);
    let sync = SyncOptions {
        filter: filter(&options)?,
        ..SyncOptions::default()
    };
    let run = async move { transfer::precheck(&source, &target, &sync).await };
    let ahead = json!(vm::on_io(&lua, run).await??);
    data::to_lua(&lua, &ahead)
}

pub(super) const DIFF: Def = Def {
    name: "Store:diff",
    summary: "Finds what differs between two stores.",
    body: "Each difference has `key`, `kind` and the sizes: `removed` when only this store has \
           the object, `added` when only the other has it, `changed` when their bytes differ.",
    params: &[TARGET],
    options: &[INCLUDE, EXCLUDE, VERIFY, CONCURRENT],
    returns: &[("table[]", "the differences, in byte order of the keys")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local a, b = kstate.store.open("memfs://a"), kstate.store.open("memfs://b")
a:write("x", "1")
local differences = a:diff(b)
assert(differences[1].key == "x" and differences[1].kind == "removed")
"#,
    make: |def, lua| def.wait(lua, diff),
};

async fn diff(
    lua: Lua,
    (this, other, options): (AnyUserData, AnyUserData, Options),
) -> mlua::Result<Value> {
    let (a, b) = (handle::of(&this)?, handle::of(&other)?);
    let compare = CompareOptions {
        filter: filter(&options)?,
        concurrency: options.count("concurrency")?.unwrap_or(CONCURRENCY),
        evidence: evidence(&options)?,
        ..CompareOptions::default()
    };
    let run = async move {
        let mut found = Vec::new();
        let mut differences = transfer::diff(&a, &b, &compare);
        while let Some(difference) = differences.next().await {
            let difference = difference?;
            let kind = match difference.kind {
                Kind::Added => "added",
                Kind::Removed => "removed",
                Kind::Changed => "changed",
            };
            let mut entry = json!({ "key": difference.key, "kind": kind });
            let sizes = [
                ("size", difference.size_a),
                ("other_size", difference.size_b),
            ];
            for (name, size) in sizes {
                if let Some(size) = size {
                    entry[name] = size.into();
                }
            }
            found.push(entry);
        }
        Ok::<_, store::Error>(serde_json::Value::Array(found))
    };
    data::to_lua(&lua, &vm::on_io(&lua, run).await??)
}

pub(super) const RELATION: Def = Def {
    name: "Store:relation",
    summary: "Tells whether another store is the same place, or one lies in the other.",
    body: "",
    params: &[TARGET],
    options: &[],
    returns: &[(
        "string",
        "`\"same\"`, `\"contains\"`, `\"inside\"` or `\"apart\"`",
    )],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://relation")
assert(store:relation(store:at("a")) == "contains")
"#,
    make: |def, lua| {
        def.sync(lua, |_, (this, other): (AnyUserData, AnyUserData)| {
            let (here, there) = (handle::of(&this)?.place(), handle::of(&other)?.place());
            Ok(match (here.contains(&there), there.contains(&here)) {
                (true, true) => "same",
                (true, false) => "contains",
                (false, true) => "inside",
                (false, false) => "apart",
            })
        })
    },
};

fn patterns(options: &Options, name: &str) -> mlua::Result<Vec<String>> {
    Ok(options.get::<Vec<String>>(name)?.unwrap_or_default())
}

fn filter(options: &Options) -> mlua::Result<Filter> {
    let (include, exclude) = (patterns(options, "include")?, patterns(options, "exclude")?);
    Ok(Filter::new(&include, &exclude)?)
}

fn evidence(options: &Options) -> mlua::Result<Evidence> {
    match options.get::<String>("verify")?.as_deref() {
        None | Some("checksum") => Ok(Evidence::Checksum),
        Some("content") => Ok(Evidence::Content),
        Some(other) => {
            let wrong = format!("verify is 'checksum' or 'content', not '{other}'");
            Err(ScriptError::invalid(wrong).into())
        }
    }
}
