//! The clusters of a store, and what their files are.

use mlua::{AnyUserData, Lua, Value};
use serde_json::json;

use super::super::store::handle;
use crate::config::location::Location;
use crate::config::manifest::ClusterManifest;
use crate::config::{self, layout};
use crate::lua::api::{Def, Options, Param, Type};
use crate::lua::data;
use crate::lua::vm;

const TEXT: Param = Param::new("text", Type::String, "the manifest");
const LABEL: Param = Param::optional(
    "label",
    Type::String,
    "what errors call it, such as its URL",
);

pub(super) const CLUSTERS: Def = Def {
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
    let store = handle::of(&store)?;
    Ok(vm::on_io(&lua, async move { config::clusters::names(&*store).await }).await??)
}

pub(super) const PARSE: Def = Def {
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

pub(super) const REWRITE: Def = Def {
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

pub(super) const CLASSIFY: Def = Def {
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
