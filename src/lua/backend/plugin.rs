//! A backend as the registry knows it: what opens the stores of its schemes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mlua::Lua;
use tokio::runtime::Handle;

use super::config::Config;
use super::definition::Definition;
use super::failure;
use super::home::{Home, in_script};
use super::instance::{Instance, Limits};
use super::object::BackendObject;
use super::store::LuaStore;
use crate::lua::Source;
use crate::lua::error::ScriptError;
use crate::lua::manifest::Manifest;
use crate::session::permissions::{Grants, Origin};
use crate::store::registry::{Env, OpenOther, Opener, Registry};
use crate::store::{Error, Result, Store, StoreUrl, UrlOptions};

/// A backend written in Lua.
pub struct Plugin {
    schemes: Vec<String>,
    definition: OnceLock<Arc<Definition>>,
    /// The file, or what stands for it.
    file: String,
    code: Code,
    io: Handle,
    limits: Limits,
    instances: Mutex<HashMap<Name, Arc<Instance>>>,
}

/// A backend that serves.
pub struct Served {
    /// The backend.
    pub plugin: Arc<Plugin>,
    /// Those of its schemes that it serves.
    pub schemes: Vec<String>,
}

/// What tells the stores of a backend apart.
type Name = (String, String, UrlOptions);

enum Code {
    File {
        source: Arc<Source>,
        env: Env,
        granted: Grants,
    },
    Script(Home),
}

impl Plugin {
    /// Reads what a backend's text says of itself; runs nothing. `granted` is what backends of its
    /// schemes may do beyond asking the hosts that a store's URL names.
    ///
    /// # Errors
    /// `invalid`, with the line, for what is no backend.
    pub fn new(
        source: Source,
        env: Env,
        granted: impl FnOnce(&[String]) -> Grants,
        io: Handle,
    ) -> std::result::Result<Self, ScriptError> {
        let definition = Definition::of_text(&source.name, &source.text)?;
        let granted = granted(&definition.schemes);
        let plugin = Self::shipped(source, definition.schemes.clone(), env, granted, io);
        Ok(Self {
            definition: Arc::new(definition).into(),
            ..plugin
        })
    }

    /// A backend that ships with kstate, which may do what it declares. Its text is read when that
    /// is needed first: most runs need none of them.
    pub fn shipped(
        source: Source,
        schemes: Vec<String>,
        env: Env,
        granted: Grants,
        io: Handle,
    ) -> Self {
        Self {
            schemes,
            definition: OnceLock::new(),
            file: source.name.clone(),
            code: Code::File {
                source: Arc::new(source),
                env,
                granted,
            },
            io,
            limits: Limits::default(),
            instances: Mutex::default(),
        }
    }

    /// A backend that a script made, which runs in the script's VM.
    pub(in crate::lua) fn of_script(lua: &Lua, backend: &BackendObject, io: Handle) -> Self {
        Self {
            schemes: backend.definition.schemes.clone(),
            definition: Arc::new(backend.definition.clone()).into(),
            file: "the script".to_owned(),
            code: Code::Script(in_script(lua, &backend.functions)),
            io,
            limits: Limits::default(),
            instances: Mutex::default(),
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The schemes of its URLs.
    pub fn schemes(&self) -> &[String] {
        &self.schemes
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// `invalid`, with the line, for what is no backend; none for one that was read already.
    pub fn definition(&self) -> std::result::Result<&Arc<Definition>, ScriptError> {
        if let (None, Code::File { source, .. }) = (self.definition.get(), &self.code) {
            let definition = Definition::of_text(&source.name, &source.text)?;
            return Ok(self.definition.get_or_init(|| Arc::new(definition)));
        }
        let read = self.definition.get();
        read.ok_or_else(|| ScriptError::new("other", "a backend without code"))
    }

    /// The file it is from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Lets the registry open stores of its schemes.
    ///
    /// # Errors
    /// As [`Registry::register`].
    pub fn register(self, registry: &Registry) -> Result<Served> {
        self.serve(registry, |_| true)
    }

    /// As [`register`](Self::register), without the schemes that are served already.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn register_free(self, registry: &Registry) -> Result<Served> {
        self.serve(registry, |scheme| !registry.serves(scheme))
    }

    fn serve(self, registry: &Registry, is_wanted: impl Fn(&str) -> bool) -> Result<Served> {
        let plugin = Arc::new(self);
        let mut schemes = plugin.schemes.clone();
        schemes.retain(|scheme| is_wanted(scheme));
        for scheme in &schemes {
            let opener: Arc<dyn Opener> = Arc::clone(&plugin) as _;
            registry
                .register(scheme, opener)
                .map_err(|error| error.at(&plugin.file, None))?;
        }
        Ok(Served { plugin, schemes })
    }

    /// A panic elsewhere can't leave the map half-changed: each change is one call.
    fn instances(&self) -> MutexGuard<'_, HashMap<Name, Arc<Instance>>> {
        self.instances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What a store at this URL may do.
    fn home(
        &self,
        definition: &Definition,
        url: &StoreUrl,
    ) -> std::result::Result<Home, ScriptError> {
        let Code::File {
            source,
            env,
            granted,
        } = &self.code
        else {
            let Code::Script(home) = &self.code else {
                return Err(ScriptError::new("other", "a backend without code"));
            };
            return Ok(home.clone());
        };
        let (manifest, named) = definition.needs(url)?;
        let mut grants = granted.clone();
        grants.add_script(&Origin::Manifest, &named, &[], &[]);
        if source.is_shipped() {
            manifest.grant_to(&mut grants);
        }
        let missing = manifest.missing(&grants);
        if !missing.is_empty() {
            return Err(not_granted(&url.scheme, &self.file, &missing));
        }
        Ok(Home::Thread {
            source: Arc::clone(source),
            env: env.clone(),
            grants,
            io: self.io.clone(),
        })
    }
}

fn not_granted(scheme: &str, file: &str, missing: &Manifest) -> ScriptError {
    let fields = missing.fields();
    let fields = fields.iter().filter(|(_, values)| !values.is_empty());
    let needs: Vec<_> = fields
        .clone()
        .map(|(field, values)| format!("{field} {}", values.join(", ")))
        .collect();
    let lines: Vec<_> = fields
        .map(|(field, values)| format!("    allow_{field}: {values:?}\n"))
        .collect();
    ScriptError::denied(format!(
        "the backend {file} needs what it wasn't granted: {}",
        needs.join("; ")
    ))
    .hint(format!(
        "grant it in kstate's configuration:\n\nbackends:\n  {scheme}:\n{}",
        lines.concat()
    ))
}

impl Opener for Plugin {
    fn open(&self, url: &StoreUrl, others: OpenOther<'_>) -> Result<Arc<dyn Store>> {
        let failed =
            |error: &ScriptError| failure::to_store(error, &url.scheme, "open").at(url, None);
        let definition = self.definition().map_err(|error| failed(&error))?;
        definition
            .check_options(url)
            .map_err(|error| plain(&error, url))?;
        let name = (
            url.scheme.clone(),
            url.authority.clone(),
            url.options.clone(),
        );
        let known = self.instances().get(&name).cloned();
        let instance = if let Some(instance) = known {
            instance
        } else {
            // What it wraps may be a store of the same backend.
            let config = Config::new(definition, url, others)?;
            let instance = Arc::new(Instance::new(
                &url.scheme,
                Arc::clone(definition),
                config,
                self.limits,
                self.io.clone(),
                self.home(definition, url).map_err(|error| failed(&error))?,
            ));
            Arc::clone(self.instances().entry(name).or_insert(instance))
        };
        let root = instance.root(url);
        let store = LuaStore::new(instance, url.to_string(), url.path.clone(), root);
        Ok(Arc::new(store))
    }
}

/// A mistake in a URL is no failure of the backend.
fn plain(error: &ScriptError, url: &StoreUrl) -> Error {
    let made = Error::new(crate::store::ErrorKind::Invalid, "open", error.message());
    let made = made.at(url, None);
    match error.hint_text() {
        Some(hint) => made.hint(hint),
        None => made,
    }
}
