//! Where the state store is, and how places lie to each other.

use mlua::{Lua, Value};
use serde_json::json;

use crate::config::location::Location;
use crate::config::state_store;
use crate::lua::api::{Def, Param, Type};
use crate::lua::data;
use crate::lua::error::ScriptError;
use crate::lua::vm;
use crate::session::Mode;

pub(super) const STATE_STORE: Def = Def {
    name: "config.state_store",
    summary: "Finds out where the state store is, as kOps does.",
    body: "`url` is the store, `reason` says why it is this one, `file` is the file that names it \
           if it was one, `sources` are all places that were looked at, `warnings` what is \
           confusing (`message` and `fix`).",
    params: &[],
    options: &[],
    returns: &[(
        "table",
        "`url`, `reason`, `file`, `sources`, `warnings`; `url` is `nil` when nothing names one",
    )],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "local found = kstate.config.state_store()\nprint(found.url, found.reason)",
    make: |def, lua| def.sync(lua, |lua, (): ()| state_store_found(lua)),
};

fn state_store_found(lua: &Lua) -> mlua::Result<Value> {
    let resolution = (vm::of(lua).host.state_store)();
    let mut found = json!({
        "reason": resolution.reason,
        "sources": resolution.sources,
        "warnings": resolution.warnings,
    });
    if let Ok(url) = resolution.store_url() {
        found["url"] = url.to_string().into();
    }
    if let Some(file) = resolution.file() {
        found["file"] = file.display().to_string().into();
    }
    data::to_lua(lua, &found)
}

pub(super) const SET_STATE_STORE: Def = Def {
    name: "config.set_state_store",
    summary: "Names another state store in the file that names the present one.",
    body: "Only in the file that `config.state_store` gives as `file`. Comments, order and quoting \
           stay. A dry run checks that it can be done and leaves the file alone; a plan can't hold it.",
    params: &[Param::new("url", Type::String, "the new state store")],
    options: &[],
    returns: &[("string", "the file")],
    errors: &[
        (
            "invalid",
            "the state store doesn't come from a file, or the file can't be changed so",
        ),
        (
            "permission_denied",
            "the run is read-only, or the file lies in no place that it may write",
        ),
    ],
    permission: "none; `--read-only` and `--allow-write` hold for the file too",
    since: "0.1.0",
    example: "local ok = pcall(kstate.config.set_state_store, \"s3://new\")\nassert(not ok) -- no file names one here",
    make: |def, lua| def.sync(lua, |lua, url: String| set_state_store(lua, &url)),
};

fn set_state_store(lua: &Lua, url: &str) -> mlua::Result<String> {
    let host = &vm::of(lua).host;
    let resolution = (host.state_store)();
    let Some(file) = resolution.file() else {
        return Err(
            ScriptError::invalid("the state store doesn't come from a file")
                .hint(format!("export KOPS_STATE_STORE={url}"))
                .into(),
        );
    };
    vm::of(lua).may_work()?;
    host.session.grants().check_file("update", file)?;
    match host.session.mode() {
        Mode::Direct => state_store::update_file(file, url)?,
        Mode::DryRun => state_store::check_file(file, url)?,
        Mode::Plan => {
            return Err(ScriptError::new(
                "unsupported",
                format!("a plan holds changes to stores, not to {}", file.display()),
            )
            .hint(format!(
                "leave this out of the plan; when it is applied, set 'kops_state_store: {url}' in the file"
            ))
            .into());
        }
    }
    Ok(file.display().to_string())
}

pub(super) const NAMES: Def = Def {
    name: "config.names",
    summary: "Tells whether a text names a place or something in it.",
    body: "As a URL or as an ARN. `s3://b/pro` is not named by `s3://b/prod`.",
    params: &[
        Param::new("text", Type::String, "any text"),
        Param::new("place", Type::String, "a URL or a path"),
    ],
    options: &[],
    returns: &[("boolean", "whether it does")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
assert(kstate.config.names("--store=s3://b/c/backups", "s3://b/c"))
assert(not kstate.config.names("--store=s3://b/c2", "s3://b/c"))
"#,
    make: |def, lua| {
        def.sync(lua, |_, (text, place): (mlua::LuaString, String)| {
            Ok(Location::parse(&place).is_named_in(&text.to_string_lossy()))
        })
    },
};

pub(super) const BELOW: Def = Def {
    name: "config.below",
    summary: "Gives the way from a place to another one below it.",
    body: "Spelling makes no difference: `file:///srv` is `/srv/`.",
    params: &[
        Param::new("place", Type::String, "a URL or a path"),
        Param::new("other", Type::String, "another"),
    ],
    options: &[],
    returns: &[(
        "string|nil",
        "empty when they are the same, `nil` when the other is not below",
    )],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
assert(kstate.config.below("s3://b", "s3://b/c/pki") == "c/pki")
assert(kstate.config.below("s3://b/pro", "s3://b/prod") == nil)
"#,
    make: |def, lua| {
        def.sync(lua, |_, (place, other): (String, String)| {
            Ok(Location::parse(&place).below(&Location::parse(&other)))
        })
    },
};

pub(super) const CAN_RUN_CLUSTERS: Def = Def {
    name: "config.can_run_clusters",
    summary: "Tells whether kOps can run a cluster from a store.",
    body: "From a folder, say, it can't: a cluster's nodes have to read the place too.",
    params: &[Param::new("url", Type::String, "a URL or a path")],
    options: &[],
    returns: &[("boolean", "whether it can")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
assert(kstate.config.can_run_clusters("s3://state"))
assert(not kstate.config.can_run_clusters("/srv/state"))
"#,
    make: |def, lua| {
        def.sync(lua, |_, url: String| {
            Ok(Location::parse(&url).can_run_clusters())
        })
    },
};

pub(super) const SCHEME: Def = Def {
    name: "config.scheme",
    summary: "Gives the scheme of a URL; `file` for a path.",
    body: "",
    params: &[Param::new("url", Type::String, "a URL or a path")],
    options: &[],
    returns: &[("string", "the scheme")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "assert(kstate.config.scheme(\"/srv/state\") == \"file\")",
    make: |def, lua| {
        def.sync(lua, |_, url: String| {
            Ok(url
                .split_once("://")
                .map_or("file", |(scheme, _)| scheme)
                .to_owned())
        })
    },
};

pub(super) const STORES: Def = Def {
    name: "config.stores",
    summary: "Lists the names of stores in kstate's own configuration.",
    body: "Each of them is good for `kstate.store.open`.",
    params: &[],
    options: &[],
    returns: &[("string[]", "the names, in byte order")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "assert(#kstate.config.stores() == 0)",
    make: |def, lua| {
        def.sync(lua, |lua, (): ()| {
            let names = &vm::of(lua).host.stores;
            lua.create_sequence_from(names.iter().map(String::as_str))
        })
    },
};
