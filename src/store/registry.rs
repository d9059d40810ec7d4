//! Which backend serves which scheme.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Error, ErrorKind, Result, Store, StoreUrl, file, gs, k8s, mem, s3};

/// The process environment as it was when kstate started, handed down so that nothing below
/// reads the real one and tests need not touch it.
#[derive(Clone, Debug, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The environment of this process; variables that are not UTF-8 are left out.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        )
    }

    /// The value of a variable; an empty one counts as unset, as in kOps.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The user's home folder.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// Opens stores, and keeps what the stores of one process share: memory stores by name,
/// clients and credentials by account.
pub struct Registry {
    env: Env,
    k8s: k8s::Clients,
    memory: mem::Buckets,
    s3: s3::Clients,
    gs: gs::Clients,
}

impl Registry {
    /// A registry that knows the stores of this environment.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self {
            k8s: k8s::Clients::new(env.clone()),
            memory: mem::Buckets::default(),
            s3: s3::Clients::new(env.clone()),
            gs: gs::Clients::new(env.clone()),
            env,
        }
    }

    /// The environment that stores are opened with.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Opens the store at a URL. Nothing is asked of the service yet, so a store that doesn't
    /// exist shows at the first operation.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the scheme is unknown or its settings are missing.
    pub fn open(&self, url: &StoreUrl) -> Result<Arc<dyn Store>> {
        match url.scheme.as_str() {
            "file" => Ok(Arc::new(file::FileStore::open(url)?)),
            "k8s" => Ok(Arc::new(self.k8s.open(url)?)),
            "memfs" => Ok(Arc::new(self.memory.open(url))),
            "s3" | "do" | "scw" | "linode" | "hos" => Ok(Arc::new(self.s3.open(url)?)),
            "gs" => Ok(Arc::new(self.gs.open(url)?)),
            other => Err(unknown_scheme(other, url)),
        }
    }
}

fn unknown_scheme(scheme: &str, url: &StoreUrl) -> Error {
    const KNOWN: [&str; 9] = [
        "file", "k8s", "memfs", "s3", "do", "scw", "linode", "hos", "gs",
    ];
    let near = crate::text::did_you_mean(&scheme.to_ascii_lowercase(), KNOWN);
    Error::new(
        ErrorKind::Invalid,
        "open",
        format!("there is no store of the kind '{scheme}://'{near}"),
    )
    .at(url, None)
    .hint(format!(
        "the kinds are {}:// and bare paths",
        KNOWN.join("://, ")
    ))
}
