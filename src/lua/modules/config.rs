//! `kstate.config`: where the state store is, and what the files of a cluster mean.

use futures::{StreamExt, TryStreamExt};
use mlua::{AnyUserData, Lua, Value};
use serde_json::json;

use super::store::methods;
use crate::config::layout;
use crate::config::location::Location;
use crate::config::manifest::ClusterManifest;
use crate::config::state_store;
use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::lua::data;
use crate::lua::error::ScriptError;
use crate::lua::vm;
use crate::session::Mode;
use crate::store::{self, Entry, Key, ListOptions, Store};

/// `kstate.config`.
pub(super) static MODULE: Module = Module {
    name: "config",
    summary: "Where the state store is, and what the files of a cluster mean.",
    functions: &[
        STATE_STORE,
        SET_STATE_STORE,
        CLUSTERS,
        PARSE,
        REWRITE,
        CLASSIFY,
        NAMES,
        BELOW,
        SCHEME,
    ],
    classes: &[],
};

const TEXT: Param = Param::new("text", Type::String, "the manifest");
const LABEL: Param = Param::optional(
    "label",
    Type::String,
    "what errors call it, such as its URL",
);

const STATE_STORE: Def = Def {
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

const SET_STATE_STORE: Def = Def {
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

const CLUSTERS: Def = Def {
    name: "config.clusters",
    summary: "Lists the clusters of a store: the folders that have a `config`.",
    body: "",
    params: &[Param::new("store", Type::Object("Store"), "the store")],
    options: &[],
    returns: &[("string[]", "the names, in byte order")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://clusters")
store:write("c.example.com/config", "kind: Cluster")
assert(kstate.config.clusters(store)[1] == "c.example.com")
"#,
    make: |def, lua| def.wait(lua, clusters),
};

async fn clusters(lua: Lua, store: AnyUserData) -> mlua::Result<Vec<String>> {
    let store = methods::of(&store)?;
    Ok(vm::on_io(&lua, async move { clusters_of(&*store).await }).await??)
}

async fn clusters_of(store: &dyn Store) -> store::Result<Vec<String>> {
    let options = ListOptions {
        one_level: true,
        ..ListOptions::default()
    };
    let folders = store.list(options).try_filter_map(async |entry| {
        Ok(match entry {
            Entry::Prefix(name) => Some(name.trim_end_matches('/').to_owned()),
            _ => None,
        })
    });
    let named = folders
        .try_filter(|name| std::future::ready(!store::is_reserved(name) && !name.starts_with('.')))
        .map(|name| async {
            let name = name?;
            let exists = has_config(store, &name).await?;
            Ok(exists.then_some(name))
        })
        .buffered(16);
    named
        .try_filter_map(async |name| Ok(name))
        .try_collect()
        .await
}

async fn has_config(store: &dyn Store, name: &str) -> store::Result<bool> {
    let key = Key::parse(&format!("{name}/config"))?;
    match store.stat(&key).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_missing_key() => Ok(false),
        Err(error) => Err(error),
    }
}

const PARSE: Def = Def {
    name: "config.parse",
    summary: "Reads a cluster's manifest.",
    body: "`references` are all fields that hold a location, each with `path`, `value`, `line` and \
           `class`: `moves` when a move rewrites it, `keep` when it never does.",
    params: &[TEXT, LABEL],
    options: &[],
    returns: &[(
        "table",
        "`name`, `config_base` (may be `nil`), `references`",
    )],
    errors: &[(
        "invalid",
        "the text is no Cluster; the message has line and column",
    )],
    permission: "",
    since: "0.1.0",
    example: r#"
local manifest = kstate.config.parse([[
apiVersion: kops.k8s.io/v1alpha2
kind: Cluster
metadata:
  name: c.example.com
spec:
  configBase: s3://state/c.example.com
]])
assert(manifest.name == "c.example.com" and manifest.config_base == "s3://state/c.example.com")
"#,
    make: |def, lua| {
        def.sync(lua, |lua, (text, label): (String, Option<String>)| {
            let manifest =
                ClusterManifest::parse(&text, label.as_deref().unwrap_or("the manifest"))?;
            let mut parsed =
                json!({ "name": manifest.name(), "references": manifest.references() });
            if let Some(base) = manifest.config_base() {
                parsed["config_base"] = base.into();
            }
            data::to_lua(lua, &parsed)
        })
    },
};

const REWRITE: Def = Def {
    name: "config.rewrite",
    summary: "Rewrites a cluster's manifest for a move of its folder.",
    body: "`configBase` is set in any case; the stores of keys, secrets and backups when they are \
           explicit and under the old place. Everything else stays byte for byte. `kept` are the \
           references and other texts that name the old place and are left as they are.",
    params: &[TEXT],
    options: &[
        Param::new(
            "from",
            Type::String,
            "the folder that holds the cluster now",
        ),
        Param::new("to", Type::String, "the folder that is to hold it"),
        LABEL,
    ],
    returns: &[(
        "table",
        "`text`, `changes` (`path`, `line`, `before`, `after`), `kept`",
    )],
    errors: &[
        ("invalid", "the text is no Cluster"),
        (
            "unsupported",
            "it can't be changed without changing more than that",
        ),
    ],
    permission: "",
    since: "0.1.0",
    example: r#"
local text = "kind: Cluster\napiVersion: kops.k8s.io/v1alpha2\nmetadata:\n  name: c\nspec:\n  configBase: s3://old/c # here\n"
local new = kstate.config.rewrite(text, { from = "s3://old/c", to = "s3://new/c" })
assert(new.text:find("configBase: s3://new/c # here", 1, true) and #new.changes == 1)
"#,
    make: |def, lua| def.sync(lua, rewrite),
};

fn rewrite(lua: &Lua, (text, options): (String, Options)) -> mlua::Result<Value> {
    let option = |name| options.get::<String>(name).map(Option::unwrap_or_default);
    let (from, to) = (
        Location::parse(&option("from")?),
        Location::parse(&option("to")?),
    );
    let label = options.get::<String>("label")?;
    let label = label.as_deref().unwrap_or("the manifest");
    let rewritten = ClusterManifest::rewrite(&text, label, &from, &to)?;
    let after = ClusterManifest::parse(&rewritten.text, label)?;
    let kept: Vec<_> = after
        .references()
        .into_iter()
        .filter(|reference| to.below(&Location::parse(&reference.value)).is_none())
        .chain(after.mentions(&from))
        .collect();
    data::to_lua(
        lua,
        &json!({ "text": rewritten.text, "changes": rewritten.changes, "kept": kept }),
    )
}

const CLASSIFY: Def = Def {
    name: "config.classify",
    summary: "Tells what a file of a cluster is, by its name.",
    body: "`secret`: it holds keys, tokens or credentials. `regenerated`: `kops update cluster` \
           writes it anew. `may_name_store`: the place of the store may stand in it.",
    params: &[Param::new(
        "key",
        Type::String,
        "the file, relative to the cluster's folder",
    )],
    options: &[],
    returns: &[(
        "table",
        "`class`, `secret`, `regenerated`, `may_name_store`",
    )],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: "assert(kstate.config.classify(\"pki/private/kubernetes-ca/keyset.yaml\").secret)",
    make: |def, lua| {
        def.sync(lua, |lua, key: String| {
            data::to_lua(lua, &json!(layout::classify(&key)))
        })
    },
};

const NAMES: Def = Def {
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

const BELOW: Def = Def {
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

const SCHEME: Def = Def {
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
