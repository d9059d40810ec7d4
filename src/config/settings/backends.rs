//! Backends that are written in Lua: where they are, and what they may do.

use std::path::PathBuf;

use super::Reader;
use crate::config::permissions::{EnvName, HostRule};
use crate::store::{Result, registry};
use crate::text::did_you_mean;

/// What may be said of a backend.
const FIELDS: [&str; 3] = ["file", "allow_http", "allow_env"];

/// What is said of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendSettings {
    /// Its file; `None` for one that is found elsewhere.
    pub file: Option<PathBuf>,
    /// Hosts that it may ask over HTTP, beside those that a store's URL names.
    pub allow_http: Vec<HostRule>,
    /// Secret-looking environment variables that it may read.
    pub allow_env: Vec<EnvName>,
}

impl Reader<'_> {
    pub(super) fn backend(&self, scheme: &str) -> Result<BackendSettings> {
        if registry::is_ours(scheme) {
            let fault = format!("'{scheme}' is served by kstate itself");
            return Err(self.error(&["backends", scheme], &fault));
        }
        let mut backend = BackendSettings::default();
        for key in self.keys(&["backends", scheme])? {
            let path = ["backends", scheme, &key];
            match key.as_str() {
                "file" => {
                    let file = PathBuf::from(self.scalar(&path)?);
                    if !file.is_absolute() {
                        return Err(self.error(&path, "must be an absolute path"));
                    }
                    backend.file = Some(file);
                }
                "allow_http" => backend.allow_http = self.list(&path, HostRule::parse)?,
                "allow_env" => backend.allow_env = self.list(&path, EnvName::parse)?,
                _ => {
                    let near = did_you_mean(&key, FIELDS);
                    let fault = format!("there is no setting '{key}' of a backend{near}");
                    return Err(self.error(&path, &fault));
                }
            }
        }
        Ok(backend)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Settings;

    #[test]
    fn a_backend_has_its_file_and_what_it_may_do() {
        let text = "backends:\n  mine: {file: /srv/mine.lua, allow_http: [a.example.com], allow_env: [A_TOKEN]}\n  etcd: {}\n";
        let settings = Settings::parse(text, Path::new("k")).expect("settings");
        let mine = &settings.backends["mine"];
        assert_eq!(mine.file.as_deref(), Some(Path::new("/srv/mine.lua")));
        assert_eq!((mine.allow_http.len(), mine.allow_env.len()), (1, 1));
        assert_eq!(settings.backends["etcd"].file, None);
        for (text, words) in [
            (
                "backends:\n  s3: {}\n",
                "line 2, column 3: 's3' is served by kstate",
            ),
            ("backends:\n  a: {file: b.lua}\n", "absolute path"),
            ("backends:\n  a: {fiel: /b}\n", "did you mean 'file'?"),
            (
                "backends:\n  a: {allow_http: ['http://x']}\n",
                "can't be a host",
            ),
        ] {
            let error = Settings::parse(text, Path::new("k")).expect_err(text);
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
