//! The named sets of permissions.

use serde_yaml::Value;

use super::{Reader, Settings};
use crate::config::permissions::{EnvName, HostRule, PermissionSet, Program};
use crate::merge::document::{Path as YamlPath, Step};
use crate::store::{Error, ErrorKind, Result};
use crate::text::did_you_mean;

/// What a set of permissions may have.
const GRANTS: [&str; 5] = [
    "read_only",
    "allow_write",
    "allow_http",
    "allow_process",
    "allow_env",
];

impl Settings {
    /// The set of permissions of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none.
    pub fn permission_set(&self, name: &str) -> Result<&PermissionSet> {
        self.permissions.get(name).ok_or_else(|| {
            let near = did_you_mean(name, self.permissions.keys().map(String::as_str));
            let fault = format!("there is no set of permissions named '{name}'{near}");
            Error::new(ErrorKind::Invalid, "use the permissions", fault)
                .hint("add it under 'permissions' in kstate's configuration")
        })
    }

    /// What is wrong with a place in the file itself, which means the same in every folder.
    fn check_place(&self, text: &str) -> Result<(), String> {
        if text == "state" || text.starts_with("state:") && !text.starts_with("state://") {
            return Ok(());
        }
        let url = self.store_url(text);
        let url = url.map_err(|fault| fault.message().to_owned())?;
        if url.scheme == "file" && !url.path.starts_with('/') {
            return Err(format!(
                "'{text}' is no store's name, no URL and no absolute path"
            ));
        }
        Ok(())
    }
}

impl Reader<'_> {
    pub(super) fn permissions(&self, name: &str, settings: &Settings) -> Result<PermissionSet> {
        let mut set = PermissionSet::default();
        for key in self.keys(&["permissions", name])? {
            let path = ["permissions", name, &key];
            match key.as_str() {
                "read_only" => set.read_only = self.boolean(&path)?,
                "allow_write" => {
                    let check = |text: &str| settings.check_place(text).map(|()| text.to_owned());
                    set.allow_write = Some(self.list(&path, check)?);
                }
                "allow_http" => set.allow_http = self.list(&path, HostRule::parse)?,
                "allow_process" => set.allow_process = self.list(&path, Program::parse)?,
                "allow_env" => set.allow_env = self.list(&path, EnvName::parse)?,
                _ => {
                    let near = did_you_mean(&key, GRANTS);
                    let fault = format!("there is no permission '{key}'{near}");
                    let hint = format!("the permissions are {}", GRANTS.join(", "));
                    return Err(self.error(&path, &fault).hint(hint));
                }
            }
        }
        Ok(set)
    }

    fn boolean(&self, path: &[&str]) -> Result<bool> {
        match self.document.get(0, &YamlPath::keys(path)) {
            Some(Value::Bool(value)) => Ok(*value),
            _ => Err(self.error(path, "must be true or false")),
        }
    }

    pub(super) fn list<T>(
        &self,
        path: &[&str],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>> {
        let Some(Value::Sequence(items)) = self.document.get(0, &YamlPath::keys(path)) else {
            return Err(self.error(path, "must be a list ([A, B])"));
        };
        let read = |(index, item): (usize, &Value)| {
            let text = item.as_str().filter(|text| !text.is_empty());
            let parsed = text.ok_or_else(|| "must be a text that is not empty".to_owned());
            parsed.and_then(&parse).map_err(|fault| {
                let at = YamlPath::keys(path).then(Step::Index(index));
                self.fault(self.document.position(0, &at), &fault)
            })
        };
        items.iter().enumerate().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Settings> {
        Settings::parse(text, Path::new("/etc/k.yaml"))
    }

    const SETS: &str = "\
stores:
  prod: {url: s3://bucket/base}
permissions:
  nightly:
    allow_write: [prod, 'prod:a', state, s3://other, /srv/x]
    allow_http:
    - '*.example.com'
    - hooks.example.net:8443
    allow_process: [kops]
    allow_env: [HOOK_TOKEN]
  look: {read_only: true}
  none: {}
";

    #[test]
    fn sets_of_permissions_have_names() {
        let settings = parse(SETS).expect("settings");
        let nightly = settings.permission_set("nightly").expect("a set");
        let write = ["prod", "prod:a", "state", "s3://other", "/srv/x"];
        let write: Vec<_> = write.map(str::to_owned).into();
        assert_eq!(nightly.allow_write, Some(write));
        let hosts: Vec<_> = nightly.allow_http.iter().map(HostRule::to_string).collect();
        assert_eq!(hosts, ["*.example.com", "hooks.example.net:8443"]);
        assert_eq!(nightly.allow_process[0].as_str(), "kops");
        assert_eq!(nightly.allow_env[0].as_str(), "HOOK_TOKEN");
        assert!(settings.permission_set("look").expect("a set").read_only);
        let none = settings.permission_set("none").expect("a set");
        assert_eq!(*none, PermissionSet::default());
        let error = settings.permission_set("nigthly").expect_err("no such set");
        assert!(
            error.to_string().contains("did you mean 'nightly'?"),
            "{error}"
        );
    }

    #[test]
    fn every_fault_in_a_set_has_its_line() {
        for (set, words) in [
            (
                "allow_wirte: []",
                "line 3, column 5: there is no permission 'allow_wirte' (did you mean 'allow_write'?)",
            ),
            (
                "read_only: yes please",
                "line 3, column 5: must be true or false",
            ),
            (
                "allow_http: example.com",
                "line 3, column 5: must be a list",
            ),
            (
                "allow_http:\n    - ok.example.com\n    - https://x",
                "line 5, column 7: 'https://x' can't be a host",
            ),
            (
                "allow_process: [./x]",
                "line 3, column 21: \"./x\" can't be a program",
            ),
            (
                "allow_env: ['A=hunter2']",
                "'A' can't be an environment variable",
            ),
            ("allow_write: [rel]", "'rel' is no store's name"),
            ("allow_write: ['prd:x']", "there is no store named 'prd'"),
            (
                "allow_write: ['s3://k:hunter2@b']",
                "credentials don't belong",
            ),
            ("allow_write: [1]", "must be a text"),
        ] {
            let text = format!("permissions:\n  a:\n    {set}\n");
            let error = parse(&text).expect_err(set);
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error} {:?}", error.hint_text()).contains("hunter2"));
        }
        let error = parse("permissions:\n  a: true\n").expect_err("no mapping");
        assert!(
            error
                .to_string()
                .contains("line 2, column 3: must be a mapping")
        );
    }
}
