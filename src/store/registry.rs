//! Which backend serves which scheme.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::{
    Error, ErrorKind, Result, Store, StoreUrl, azureblob, file, gs, k8s, mem, oss, s3, swift,
};

/// The kinds of stores that are served here, and whose schemes nothing else can serve.
pub const KINDS: [Kind; 9] = [
    file::KIND,
    mem::KIND,
    s3::KIND,
    s3::BUCKET_KIND,
    gs::KIND,
    azureblob::KIND,
    oss::KIND,
    swift::KIND,
    k8s::KIND,
];

/// What people need to know of a kind of store.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The schemes of its URLs.
    pub schemes: &'static [&'static str],
    /// What it is.
    pub summary: &'static str,
    /// What stands behind `scheme://` in a URL.
    pub form: &'static str,
    /// The options that its stores take.
    pub options: &'static [&'static str],
    /// What an object has there beside its bytes, content type and user metadata: no copy to
    /// another kind of store takes it along.
    pub beside: &'static [&'static str],
    /// The environment variables that it reads, and what for.
    pub environment: &'static [(&'static str, &'static str)],
}

impl Kind {
    /// The kind that serves a scheme; `None` when it is none of ours.
    #[must_use]
    pub fn of(scheme: &str) -> Option<Self> {
        KINDS
            .into_iter()
            .find(|kind| kind.schemes.contains(&scheme))
    }
}

/// Whether a scheme is served by one of our backends.
#[must_use]
pub fn is_ours(scheme: &str) -> bool {
    Kind::of(scheme).is_some()
}

/// Opens the stores of schemes that are not ours.
pub trait Opener: Send + Sync {
    /// Opens the store at a URL. `others` opens the stores that it wraps.
    ///
    /// # Errors
    /// As [`Registry::open`].
    fn open(&self, url: &StoreUrl, others: OpenOther<'_>) -> Result<Arc<dyn Store>>;
}

/// Opens another store, as [`Registry::open`] does.
pub type OpenOther<'a> = &'a dyn Fn(&StoreUrl) -> Result<Arc<dyn Store>>;

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
    azureblob: azureblob::Clients,
    oss: oss::Clients,
    swift: swift::Clients,
    others: RwLock<BTreeMap<String, Arc<dyn Opener>>>,
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
            azureblob: azureblob::Clients::new(env.clone()),
            oss: oss::Clients::new(env.clone()),
            swift: swift::Clients::new(env.clone()),
            others: RwLock::default(),
            env,
        }
    }

    /// Lets stores of a scheme be opened by `opener` from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the scheme is ours, taken, or can't be one.
    pub fn register(&self, scheme: &str, opener: Arc<dyn Opener>) -> Result<()> {
        let refused = |why: &str| {
            let message = format!("'{scheme}' can't be the scheme of a backend: {why}");
            Err(Error::new(ErrorKind::Invalid, "register", message))
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.chars().all(plain) {
            return refused("it is small letters, digits, '+', '-' and '.', a letter first");
        }
        if is_ours(scheme) {
            return refused("kstate's own stores have it");
        }
        // A panic elsewhere can't leave the map half-changed: each change is one call.
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if others.contains_key(scheme) {
            return refused("another backend has it");
        }
        others.insert(scheme.to_owned(), opener);
        Ok(())
    }

    /// Whether stores of a scheme can be opened.
    #[must_use]
    pub fn serves(&self, scheme: &str) -> bool {
        is_ours(scheme) || self.other(scheme).is_some()
    }

    fn other(&self, scheme: &str) -> Option<Arc<dyn Opener>> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        others.get(scheme).cloned()
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
    #[expect(
        clippy::disallowed_methods,
        reason = "what a store wraps is opened beneath the session, as the store itself"
    )]
    pub fn open(&self, url: &StoreUrl) -> Result<Arc<dyn Store>> {
        if let Some(kind) = Kind::of(&url.scheme) {
            url.takes_options(kind.options)?;
        }
        match url.scheme.as_str() {
            "file" => Ok(Arc::new(file::FileStore::open(url)?)),
            "k8s" => Ok(Arc::new(self.k8s.open(url)?)),
            "memfs" => Ok(Arc::new(self.memory.open(url))),
            "s3" | "do" | "scw" | "linode" | "hos" => Ok(Arc::new(self.s3.open(url)?)),
            "s3-bucket" => Ok(Arc::new(self.s3.open_settings(url)?)),
            "gs" => Ok(Arc::new(self.gs.open(url)?)),
            "azureblob" => Ok(Arc::new(self.azureblob.open(url)?)),
            "oss" => Ok(Arc::new(self.oss.open(url)?)),
            "swift" => Ok(Arc::new(self.swift.open(url)?)),
            other => match self.other(other) {
                Some(opener) => opener.open(url, &|inner| self.open(inner)),
                None => Err(self.unknown_scheme(url)),
            },
        }
    }

    fn unknown_scheme(&self, url: &StoreUrl) -> Error {
        let scheme = url.scheme.as_str();
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let ours = KINDS.into_iter().flat_map(|kind| kind.schemes);
        let known = ours.copied().chain(others.keys().map(String::as_str));
        let known: Vec<_> = known.collect();
        let near = crate::text::did_you_mean(&scheme.to_ascii_lowercase(), known.iter().copied());
        Error::new(
            ErrorKind::Invalid,
            "open",
            format!("there is no store of the kind '{scheme}://'{near}"),
        )
        .at(url, None)
        .hint(format!(
            "the kinds are {}:// and bare paths",
            known.join("://, ")
        ))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "no run is needed to ask the registry"
)]
mod tests {
    use super::*;

    /// Gives a store of the registry's own under another name.
    struct Alias;

    impl Opener for Alias {
        fn open(&self, url: &StoreUrl, others: OpenOther<'_>) -> Result<Arc<dyn Store>> {
            others(&StoreUrl::parse(&format!("memfs://{}", url.authority))?)
        }
    }

    #[test]
    fn a_scheme_is_served_by_whoever_has_it_first_and_ours_by_us() {
        let registry = Registry::new(Env::default());
        let open = |text: &str| registry.open(&StoreUrl::parse(text).expect("a URL"));
        let error = open("alais://x").err().expect("unknown");
        assert!(error.message().contains("no store of the kind 'alais://'"));
        registry.register("alias", Arc::new(Alias)).expect("free");
        assert_eq!(open("alias://x").expect("a store").url(), "memfs://x");
        let error = open("alais://x").err().expect("unknown");
        assert!(error.message().contains("did you mean 'alias'?"), "{error}");
        for scheme in ["s3", "memfs", "alias", "", "A", "1a", "a b"] {
            let error = registry.register(scheme, Arc::new(Alias));
            assert_eq!(*error.expect_err(scheme).kind(), ErrorKind::Invalid);
        }
    }
}
