//! The AWS configuration files, read once, by the environment that is handed down.

#![expect(
    deprecated,
    reason = "the names that replace these are in a crate that promises no stable API"
)]

use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
use aws_config::profile::{ProfileSet, load};
use aws_types::os_shim_internal::{Env as EnvShim, Fs};
use futures::FutureExt;

use crate::store::registry::Env;

/// The profiles of this user.
pub(super) struct Profiles {
    files: ProfileFiles,
    set: Option<ProfileSet>,
    fault: Option<String>,
}

impl Profiles {
    /// Reads the files that `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE` name, or those
    /// in the home folder. Files that don't exist are no error.
    pub(super) fn load(env: &Env) -> Self {
        let text = |variable: &str, name: &str| {
            let path = path(env, variable, name)?;
            let bytes = Fs::real().read_to_end(path).now_or_never()?.ok()?;
            String::from_utf8(bytes).ok()
        };
        let config = text("AWS_CONFIG_FILE", "config").unwrap_or_default();
        let credentials = text("AWS_SHARED_CREDENTIALS_FILE", "credentials").unwrap_or_default();
        Self::parse(config, credentials)
    }

    /// The profiles in the contents of the two files.
    pub(super) fn parse(config: String, credentials: String) -> Self {
        let files = ProfileFiles::builder()
            .with_contents(ProfileFileKind::Config, config)
            .with_contents(ProfileFileKind::Credentials, credentials)
            .build();
        // The files are in memory, so the future never waits.
        let loaded = load(&Fs::real(), &EnvShim::from_slice(&[]), &files, None).now_or_never();
        let (set, fault) = match loaded {
            Some(Ok(set)) => (Some(set), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        Self { files, set, fault }
    }

    /// The files' contents, for the SDK to take credentials from.
    pub(super) fn files(&self) -> ProfileFiles {
        self.files.clone()
    }

    /// The profile that counts: the one that a URL names, or the environment, or `default`.
    pub(super) fn selected(named: Option<&str>, env: &Env) -> String {
        named
            .or_else(|| env.get("AWS_PROFILE"))
            .unwrap_or("default")
            .to_owned()
    }

    /// Why a profile that somebody named can't be used.
    pub(super) fn missing(&self, profile: &str) -> Option<String> {
        if let Some(fault) = &self.fault {
            return Some(format!("the AWS configuration can't be read: {fault}"));
        }
        let set = self.set.as_ref()?;
        if set.get_profile(profile).is_some() {
            return None;
        }
        let near = crate::text::did_you_mean(profile, set.profiles());
        Some(format!("there is no AWS profile '{profile}'{near}"))
    }

    /// One setting of a profile.
    pub(super) fn property(&self, profile: &str, name: &str) -> Option<String> {
        let profile = self.set.as_ref()?.get_profile(profile)?;
        profile.get(name).map(str::to_owned)
    }

    /// The endpoint that a profile sets for every service. A `services` section is not read.
    pub(super) fn endpoint(&self, profile: &str) -> Option<String> {
        let ignored = self.property(profile, "ignore_configured_endpoint_urls");
        if ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        self.property(profile, "endpoint_url")
    }
}

fn path(env: &Env, variable: &str, name: &str) -> Option<std::path::PathBuf> {
    match env.get(variable) {
        Some(path) => match path.strip_prefix("~/") {
            Some(rest) => Some(env.home()?.join(rest)),
            None => Some(path.into()),
        },
        None => Some(env.home()?.join(".aws").join(name)),
    }
}
