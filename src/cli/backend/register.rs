//! The backends that are written in Lua: those of `--backend`, of kstate's configuration, of the
//! user's folder, and those that ship with kstate. What comes first has a scheme.

use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use crate::cli::exit::{Exit, Failure};
use crate::config::settings::Settings;
use crate::lua::backend::{Plugin, Served};
use crate::lua::{ScriptError, Source};
use crate::scripts;
use crate::session::permissions::{Grants, Origin};
use crate::store::registry::Registry;

/// Lets a registry open the stores of all of them, and tells which serve. None is run for that.
pub(in crate::cli) fn register(
    registry: &Registry,
    settings: &Settings,
    files: &[PathBuf],
    io: &Handle,
) -> Result<Vec<Served>, Failure> {
    let mut served = Vec::new();
    let known = Known {
        registry,
        settings,
        io,
    };
    for file in files {
        let plugin = known.read(file).map_err(|error| told(&error))?;
        served.push(plugin.register(registry)?);
    }
    for (scheme, settings) in &settings.backends {
        let Some(file) = settings
            .file
            .as_deref()
            .filter(|_| !registry.serves(scheme))
        else {
            continue;
        };
        let plugin = known.read(file).map_err(|error| told(&error))?;
        if !plugin.schemes().contains(scheme) {
            let file = file.display();
            return Err(Failure::usage(format!(
                "{file} is no backend for {scheme}://, as kstate's configuration says"
            )));
        }
        served.push(plugin.register(registry)?);
    }
    let found = scripts::backend_files(registry.env()).unwrap_or_else(|error| {
        tracing::warn!("the folder of backends can't be read: {error}");
        Vec::new()
    });
    for file in found {
        // One that is broken must not stand in the way of every other store.
        match known.read(&file) {
            Ok(plugin) => served.extend(known.add(plugin)),
            Err(error) => tracing::warn!("a backend is left out: {error}"),
        }
    }
    for (source, schemes) in scripts::backends() {
        let granted = known.granted(&schemes);
        let plugin = Plugin::shipped(source, schemes, registry.env().clone(), granted, io.clone());
        served.extend(known.add(plugin));
    }
    Ok(served)
}

pub(super) fn told(error: &ScriptError) -> Failure {
    let failure = Failure::new(Exit::USAGE, error.to_string());
    match error.hint_text() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

struct Known<'a> {
    registry: &'a Registry,
    settings: &'a Settings,
    io: &'a Handle,
}

impl Known<'_> {
    fn read(&self, file: &Path) -> Result<Plugin, ScriptError> {
        let (source, env) = (Source::read(file)?, self.registry.env().clone());
        Plugin::new(
            source,
            env,
            |schemes| self.granted(schemes),
            self.io.clone(),
        )
    }

    /// What kstate's configuration grants to backends of these schemes.
    fn granted(&self, schemes: &[String]) -> Grants {
        let mut grants = Grants::default();
        for scheme in schemes {
            if let Some(said) = self.settings.backends.get(scheme) {
                let by = Origin::Set(scheme.clone());
                grants.add_script(&by, &said.allow_http, &[], &said.allow_env);
            }
        }
        grants
    }

    /// Adds one unless all of its schemes have been taken by what comes first.
    fn add(&self, plugin: Plugin) -> Option<Served> {
        match plugin.register_free(self.registry) {
            Ok(served) => (!served.schemes.is_empty()).then_some(served),
            Err(error) => {
                tracing::warn!("a backend is left out: {error}");
                None
            }
        }
    }
}
