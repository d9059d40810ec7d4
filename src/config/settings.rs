//! kstate's own configuration: stores by name, each with its way of being reached, and sets of
//! permissions.

mod backends;
mod journal;
mod sets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

pub use backends::BackendSettings;
pub use journal::JournalSettings;

use super::permissions::PermissionSet;
use super::{SCHEMES, host, invalid};
use crate::merge::document::{Document, Fault, Path as YamlPath};
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Key, Result, StoreUrl, UrlOptions};
use crate::text::did_you_mean;

/// What the file may have at its top.
const SECTIONS: [&str; 4] = ["stores", "permissions", "backends", "journal"];

/// What kstate's configuration file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    stores: BTreeMap<String, StoreUrl>,
    permissions: BTreeMap<String, PermissionSet>,
    /// Backends that are written in Lua, by their schemes.
    pub backends: BTreeMap<String, BackendSettings>,
    /// How journals are kept.
    pub journal: JournalSettings,
}

impl Settings {
    /// Where the file is: `$XDG_CONFIG_HOME/kstate/config.yaml`, else
    /// `~/.config/kstate/config.yaml`. `None` without a home folder.
    #[must_use]
    pub fn path(env: &Env) -> Option<PathBuf> {
        let folder = match env.get("XDG_CONFIG_HOME").map(PathBuf::from) {
            // The XDG specification: a relative path is invalid and ignored.
            Some(folder) if folder.is_absolute() => folder,
            _ => env.home()?.join(".config"),
        };
        Some(folder.join("kstate/config.yaml"))
    }

    /// Reads the file. One that doesn't exist says nothing.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or what the file system says.
    pub fn load(env: &Env) -> Result<Self> {
        let Some(path) = Self::path(env) else {
            return Ok(Self::default());
        };
        match host::read(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::new(ErrorKind::Other, "read", error.to_string())
                .at(path.display(), None)
                .because(error)),
        }
    }

    /// Reads a text; `file` names it in errors.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], with line and column, for what is no YAML, for an unknown key, a
    /// credential, a name that could be taken for something else, or a URL that can't work.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        let document = Document::parse(text).map_err(|fault| invalid(&label(file), fault))?;
        let reader = Reader {
            document: &document,
            file: label(file),
        };
        let mut settings = Self::default();
        for name in reader.keys(&[])? {
            if !SECTIONS.contains(&name.as_str()) {
                let near = did_you_mean(&name, SECTIONS);
                return Err(reader.error(&[&name], &format!("there is no setting '{name}'{near}")));
            }
        }
        for store in reader.keys(&["stores"])? {
            let url = reader.store(&store)?;
            settings.stores.insert(store, url);
        }
        for set in reader.keys(&["permissions"])? {
            let read = reader.permissions(&set, &settings)?;
            settings.permissions.insert(set, read);
        }
        for scheme in reader.keys(&["backends"])? {
            let read = reader.backend(&scheme)?;
            settings.backends.insert(scheme, read);
        }
        settings.journal = reader.journal()?;
        Ok(settings)
    }

    /// The named stores.
    pub fn stores(&self) -> impl Iterator<Item = (&str, &StoreUrl)> {
        self.stores.iter().map(|(name, url)| (name.as_str(), url))
    }

    /// Whether a text is the name of a store, or a place below one.
    #[must_use]
    pub fn names(&self, text: &str) -> bool {
        let place = text.split('?').next().unwrap_or(text);
        let name = place.split(':').next().unwrap_or(place);
        !place.contains("://") && self.stores.contains_key(name)
    }

    /// The store that a text means: a URL, a path, the name of a store (`prod`), or a place below
    /// one (`prod:team/a`). Options on the text come before those of the named store.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is none of these.
    pub fn store_url(&self, text: &str) -> Result<StoreUrl> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (name, below) = place.split_once(':').unwrap_or((place, ""));
        if place.contains("://") {
            return StoreUrl::parse(text);
        }
        let Some(store) = self.stores.get(name) else {
            return self.not_named(text, place, name);
        };
        // What follows `file://` would be a path.
        let scheme = Some(store.scheme.as_str()).filter(|scheme| *scheme != "file");
        let own = StoreUrl::parse(&format!("{}://options?{query}", scheme.unwrap_or("memfs")))
            .map_err(|error| error.at(place, None))?
            .options;
        let mut url = store.clone();
        url.options.extend(own);
        let below = below.trim_end_matches('/');
        if !below.is_empty() {
            Key::parse(below).map_err(|bad| {
                invalid(
                    place,
                    format!("'{below}' can't be a folder: {}", bad.reason),
                )
            })?;
            let above = url.path.trim_end_matches('/');
            let is_top = url.path.is_empty();
            url.path = if is_top {
                below.to_owned()
            } else {
                format!("{above}/{below}")
            };
        }
        Ok(url)
    }

    /// A path, unless it looks like a name that is not there.
    fn not_named(&self, text: &str, place: &str, name: &str) -> Result<StoreUrl> {
        let is_path = name.contains('/') || name.starts_with('.') || !place.contains(':');
        if is_path {
            return StoreUrl::parse(text);
        }
        let known = self.stores.keys().map(String::as_str);
        let near = did_you_mean(name, known);
        let hint = if SCHEMES.contains(&name) {
            let bucket = place[name.len() + 1..].trim_start_matches('/');
            format!("a URL is written {name}://{bucket}, a path of that name ./{place}")
        } else {
            format!(
                "add '{name}' under 'stores' in kstate's configuration, or write ./{place} for a path"
            )
        };
        Err(invalid(place, format!("there is no store named '{name}'{near}")).hint(hint))
    }
}

fn label(file: &Path) -> String {
    file.display().to_string()
}

/// Reads a document strictly, and says where it is wrong.
struct Reader<'a> {
    document: &'a Document,
    file: String,
}

impl Reader<'_> {
    /// The keys of a mapping; none where there is nothing.
    fn keys(&self, path: &[&str]) -> Result<Vec<String>> {
        match self.document.get(0, &YamlPath::keys(path)) {
            None | Some(Value::Null) => Ok(vec![]),
            Some(Value::Mapping(mapping)) => mapping
                .keys()
                .map(|key| {
                    let name = key.as_str().map(str::to_owned);
                    name.ok_or_else(|| self.error(path, "a key here is no string: quote it"))
                })
                .collect(),
            Some(_) => Err(self.error(path, "must be a mapping (NAME: …)")),
        }
    }

    fn store(&self, name: &str) -> Result<StoreUrl> {
        check_name(name).map_err(|fault| self.error(&["stores", name], &fault))?;
        let mut url = None;
        let mut options = UrlOptions::new();
        for key in self.keys(&["stores", name])? {
            let path = ["stores", name, &key];
            let value = self.scalar(&path)?;
            if key == "url" {
                url = Some(self.url(&path, &value)?);
                continue;
            }
            options.insert(key, value);
        }
        let mut url = url.ok_or_else(|| self.error(&["stores", name], "the store has no 'url'"))?;
        for (key, value) in &options {
            let option = UrlOptions::from([(key.clone(), value.clone())]);
            StoreUrl::check_options(&url.scheme, &option).map_err(|fault| {
                let error = self.error(&["stores", name, key], fault.message());
                error.hint(fault.hint_text().unwrap_or_default())
            })?;
        }
        if url.scheme == "file" && !options.is_empty() {
            return Err(self.error(
                &["stores", name],
                "a store in the file system has no options",
            ));
        }
        options.append(&mut url.options);
        Ok(StoreUrl { options, ..url })
    }

    fn url(&self, path: &[&str], text: &str) -> Result<StoreUrl> {
        let url = StoreUrl::parse(text).map_err(|fault| {
            let error = self.error(path, fault.message());
            error.hint(
                fault
                    .hint_text()
                    .unwrap_or("write it as s3://BUCKET/PREFIX"),
            )
        })?;
        if url.scheme == "file" && !url.path.starts_with('/') {
            return Err(self
                .error(path, "must be a URL or an absolute path")
                .hint("a relative path would mean another place in every folder"));
        }
        Ok(url)
    }

    fn scalar(&self, path: &[&str]) -> Result<String> {
        match self.document.get(0, &YamlPath::keys(path)) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(Value::Bool(value)) => Ok(value.to_string()),
            Some(Value::Number(value)) => Ok(value.to_string()),
            _ => Err(self.error(path, "must be a text that is not empty")),
        }
    }

    fn error(&self, path: &[&str], message: &str) -> Error {
        let position = self.document.key_position(0, &YamlPath::keys(path));
        self.fault(position, message)
    }

    fn fault(&self, (line, column): (usize, usize), message: &str) -> Error {
        let message = message.to_owned();
        let fault = Fault {
            line,
            column,
            message,
        };
        invalid(&self.file, fault)
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if SCHEMES.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!(
            "'{name}' is a URL scheme and can't be a store's name"
        ));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "'{name}' can't be a store's name: use letters, digits, '-', '_' and '.', a letter or digit first"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings> {
        Settings::parse(text, Path::new("/etc/k.yaml"))
    }

    const PROD: &str = "\
stores:
  prod: # ours
    url: s3://bucket/base?region=eu-west-1
    profile: production
    path_style: true
  top: {url: do://space, endpoint: 'https://nyc3.example.com'}
  local: {url: /srv/state}
";

    #[test]
    fn names_stand_wherever_urls_can() {
        let settings = parse(PROD).expect("settings");
        for (text, shown) in [
            ("prod", "s3://bucket/base"),
            ("prod:", "s3://bucket/base"),
            ("prod:team/a/", "s3://bucket/base/team/a"),
            ("prod?region=us-east-1", "s3://bucket/base"),
            ("top:x", "do://space/x"),
            ("local:x", "/srv/state/x"),
            ("s3://prod", "s3://prod"),
            ("./prod", "./prod"),
            ("./a:b", "./a:b"),
            ("/a:b", "/a:b"),
            ("staging", "staging"),
        ] {
            assert_eq!(settings.store_url(text).expect(text).to_string(), shown);
        }
        let options = |text: &str| settings.store_url(text).expect(text).options;
        let expected = [
            ("path_style", "true"),
            ("profile", "production"),
            ("region", "eu-west-1"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(options("prod:x"), UrlOptions::from(expected));
        assert_eq!(options("prod:x?region=r")["region"], "r");
        assert_eq!(options("prod:x?region=r")["profile"], "production");
    }

    #[test]
    fn what_is_no_store_is_told_and_not_taken_for_a_path() {
        let settings = parse(PROD).expect("settings");
        for (text, words) in [
            ("prd:x", "did you mean 'prod'?"),
            ("s3:b", "there is no store named 's3'"),
            ("prod:../x", "can't be a folder"),
            ("prod:a//b", "can't be a folder"),
            ("prod?regoin=x", "did you mean 'region'?"),
        ] {
            let error = settings.store_url(text).expect_err(text);
            assert!(error.to_string().contains(words), "{error}");
        }
        for text in ["prod?secret_key=hunter2", "prd:x?secret_key=hunter2"] {
            let error = settings.store_url(text).expect_err(text);
            assert!(!format!("{error} {:?}", error.hint_text()).contains("hunter2"));
        }
        let hint = settings.store_url("s3:b").expect_err("no URL");
        assert!(hint.hint_text().is_some_and(|hint| hint.contains("s3://b")));
    }

    #[test]
    fn every_fault_has_its_line() {
        for (text, words) in [
            (
                "stors: {}\n",
                "/etc/k.yaml: line 1, column 1: there is no setting 'stors' (did you mean 'stores'?)",
            ),
            (
                "stores:\n  a:\n    url: s3://b\n    regoin: x\n",
                "line 4, column 5: there is no store option 'regoin' (did you mean 'region'?)",
            ),
            (
                "stores:\n  a:\n    url: s3://b\n    secret_access_key: hunter2\n",
                "line 4, column 5: credentials don't belong",
            ),
            (
                "stores:\n  a:\n    url: s3://k:hunter2@b\n",
                "line 3, column 5: credentials don't belong",
            ),
            (
                "stores:\n  a:\n    profile: x\n",
                "line 2, column 3: the store has no 'url'",
            ),
            (
                "stores:\n  s3: {url: s3://b}\n",
                "line 2, column 3: 's3' is a URL scheme",
            ),
            (
                "stores:\n  'a:b': {url: s3://b}\n",
                "can't be a store's name",
            ),
            ("stores:\n  a/b: {url: s3://b}\n", "can't be a store's name"),
            ("stores:\n  a: {url: 's3://'}\n", "names no bucket"),
            ("stores:\n  a: {url: rel/x}\n", "absolute path"),
            ("stores:\n  a: {url: /x, profile: p}\n", "has no options"),
            (
                "stores:\n  a: s3://b\n",
                "line 2, column 3: must be a mapping",
            ),
            ("stores:\n  a: {url: s3://b, region: }\n", "must be a text"),
            ("stores: [a]\n", "must be a mapping"),
            ("- a\n", "must be a mapping"),
            ("stores:\n  a: [\n", "line 3"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error} {:?}", error.hint_text()).contains("hunter2"));
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test's own file")]
    fn the_file_follows_xdg_and_may_be_missing() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().display().to_string();
        let env: Env = [("HOME", folder.clone())].into_iter().collect();
        let path = Settings::path(&env).expect("a path");
        assert_eq!(path, home.path().join(".config/kstate/config.yaml"));
        assert_eq!(Settings::load(&env).expect("nothing"), Settings::default());
        let xdg: Env = [("HOME", "/none".to_owned()), ("XDG_CONFIG_HOME", folder)]
            .into_iter()
            .collect();
        let path = Settings::path(&xdg).expect("a path");
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, PROD).expect("written");
        assert_eq!(Settings::load(&xdg).expect("settings").stores().count(), 3);
        let empty = parse("# nothing yet\n").expect("settings");
        assert_eq!(empty, Settings::default());
    }
}
