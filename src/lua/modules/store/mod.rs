//! `kstate.store`: opening stores, and what can be done with one.

mod abilities;
mod body;
mod bucket;
mod convert;
mod copy;
pub(super) mod handle;
mod listing;
mod lock;
mod methods;
mod read;
mod register;
mod trees;

use mlua::{Lua, Value};

use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::lua::vm;

pub(in crate::lua) use body::Incoming;
pub(in crate::lua) use handle::Handle;

/// `kstate.store`.
pub(super) static MODULE: Module = Module {
    name: "store",
    summary: "Stores of state: objects under keys.",
    functions: &[OPEN, register::REGISTER],
    classes: &[
        &methods::CLASS,
        &body::CLASS,
        &listing::CLASS,
        &convert::META,
        &convert::ENTRY,
    ],
};

/// The options of a store, as on its URL.
const OPTIONS: &[Param] = &[
    Param::optional(
        "profile",
        Type::String,
        "the profile in the AWS configuration files",
    ),
    Param::optional("region", Type::String, "the bucket's region"),
    Param::optional("endpoint", Type::String, "the service's URL"),
    Param::optional("role_arn", Type::String, "a role to assume"),
    Param::optional(
        "external_id",
        Type::String,
        "the external id that the role asks for",
    ),
    Param::optional(
        "access_key_env",
        Type::String,
        "the name of the environment variable with the access key id",
    ),
    Param::optional(
        "secret_key_env",
        Type::String,
        "the name of the environment variable with the secret access key, or an Azure account's key",
    ),
    Param::optional(
        "sas_token_env",
        Type::String,
        "the name of the environment variable with the shared access signature, for `azureblob://`",
    ),
    Param::optional(
        "path_style",
        Type::Boolean,
        "the bucket in the path, not in the host name",
    ),
    Param::optional(
        "acl",
        Type::String,
        "the canned ACL of every object written",
    ),
    Param::optional("sse", Type::String, "`AES256`, `aws:kms` or `none`"),
    Param::optional("sse_kms_key_id", Type::String, "the KMS key for `aws:kms`"),
    Param::optional(
        "credentials_file",
        Type::String,
        "a service account's key file, for `gs://`; an INI file as kOps reads it, for `swift://`",
    ),
    Param::optional(
        "cloud",
        Type::String,
        "the cloud in `clouds.yaml`, for `swift://`",
    ),
    Param::optional("context", Type::String, "the context, for `k8s://`"),
    Param::optional(
        "kubeconfig",
        Type::String,
        "the kubeconfig file, instead of `KUBECONFIG`",
    ),
];

const OPEN: Def = Def {
    name: "store.open",
    summary: "Opens the store at a URL, a path or a name from kstate's configuration.",
    body: "Nothing is asked of the service yet: a bucket that doesn't exist shows at the first \
           operation. The options may as well stand on the URL (`?region=…`); credentials may \
           not.",
    params: &[Param::new(
        "url",
        Type::String,
        "such as `s3://bucket/prefix`",
    )],
    options: OPTIONS,
    returns: &[("kstate.Store", "the store")],
    errors: &[("invalid", "the URL or an option can't work")],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://state")
store:write("c.example.com/config", "kind: Cluster\n")
assert(store:exists("c.example.com/config"))
"#,
    make: |def, lua| def.sync(lua, open),
};

fn open(lua: &Lua, (url, options): (String, Options)) -> mlua::Result<Handle> {
    let vm = vm::of(lua);
    let mut url = (vm.host.resolve)(&url)?;
    for option in OPTIONS {
        match options.value(option.name)? {
            Value::Nil => continue,
            Value::Boolean(flag) => url.options.insert(option.name.to_owned(), flag.to_string()),
            other => url
                .options
                .insert(option.name.to_owned(), other.to_string()?),
        };
    }
    // Opening may prepare clients, which belong to the I/O runtime.
    let _io = vm.host.io.enter();
    let store = vm.host.session.open(&url)?;
    Ok(Handle {
        store,
        options: url.options,
        is_wrapped: false,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn store_open_takes_what_a_url_takes() {
        let here: Vec<_> = super::OPTIONS.iter().map(|option| option.name).collect();
        let urls: Vec<_> = crate::store::OPTIONS
            .iter()
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(here, urls);
    }
}
