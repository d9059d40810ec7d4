//! `clouds.yaml` and `secure.yaml`, looked for where `openstacksdk` looks for them:
//! <https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html>.

use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::given::Given;
use super::{Fault, text_of};
use crate::store::registry::Env;

/// What is read of a cloud's `auth`, with the older names of it.
const AUTH: &[(&str, &[&str])] = &[
    ("auth_url", &[]),
    ("username", &[]),
    ("user_id", &[]),
    ("password", &[]),
    ("user_domain_id", &[]),
    ("user_domain_name", &[]),
    ("project_id", &["tenant_id"]),
    ("project_name", &["tenant_name"]),
    ("project_domain_id", &[]),
    ("project_domain_name", &[]),
    ("domain_id", &[]),
    ("domain_name", &[]),
    ("default_domain_id", &["default_domain"]),
    ("default_domain_name", &[]),
    ("application_credential_id", &[]),
    ("application_credential_name", &[]),
    ("application_credential_secret", &[]),
];

/// What is read of a cloud itself.
const OWN: &[(&str, &[&str])] = &[
    ("auth_type", &["auth_plugin"]),
    ("region_name", &[]),
    ("interface", &["endpoint_type"]),
    ("cacert", &[]),
    ("object_store_endpoint_override", &[]),
];

/// The files, read and merged.
struct Clouds {
    path: PathBuf,
    clouds: Mapping,
}

/// The cloud of this name.
pub(super) fn named(name: &str, env: &Env) -> Result<Given, Fault> {
    let Some(read) = Clouds::load(env)? else {
        let words = format!("there is no clouds.yaml to find the cloud '{name}' in");
        return Err(Fault::new(words).hint(
            "it is looked for at OS_CLIENT_CONFIG_FILE, here, in ~/.config/openstack and in \
             /etc/openstack",
        ));
    };
    read.given(name)
}

/// The cloud that is meant where none is named: the only one.
pub(super) fn only(env: &Env) -> Result<Option<Given>, Fault> {
    let Some(read) = Clouds::load(env)? else {
        return Ok(None);
    };
    let mut names = read.clouds.keys().filter_map(Value::as_str);
    match (names.next(), names.next()) {
        (Some(only), None) => read.given(only).map(Some),
        _ => Ok(None),
    }
}

impl Clouds {
    fn load(env: &Env) -> Result<Option<Self>, Fault> {
        let Some((path, Value::Mapping(mut all))) = first(env, "CONFIG", "clouds")? else {
            return Ok(None);
        };
        if let Some((_, Value::Mapping(secure))) = first(env, "SECURE", "secure")? {
            merge(&mut all, secure);
        }
        let clouds = match all.remove("clouds") {
            Some(Value::Mapping(clouds)) => clouds,
            _ => Mapping::new(),
        };
        Ok(Some(Self { path, clouds }))
    }

    fn given(&self, name: &str) -> Result<Given, Fault> {
        let path = self.path.display();
        let Some(Value::Mapping(cloud)) = self.clouds.get(name) else {
            let known: Vec<_> = self.clouds.keys().filter_map(Value::as_str).collect();
            let near = crate::text::did_you_mean(name, known.iter().copied());
            let known = match known[..] {
                [] => "none".to_owned(),
                _ => known.join(", "),
            };
            let words = format!("{path} has no cloud '{name}'{near}: it has {known}");
            return Err(Fault::new(words));
        };
        let none = Mapping::new();
        let auth = match cloud.get("auth") {
            Some(Value::Mapping(auth)) => auth,
            _ => &none,
        };
        if auth
            .get("auth_url")
            .or_else(|| cloud.get("auth_url"))
            .is_none()
            && let Some(profile) = cloud.get("profile").and_then(text)
        {
            let words = format!("the cloud '{name}' in {path} is described by '{profile}' alone");
            return Err(Fault::new(words)
                .hint("profiles of vendors aren't known here: write its auth_url beside it"));
        }
        let entry = |place: &Mapping, name: &str, older: &[&str]| {
            let mut names = [name].into_iter().chain(older.iter().copied());
            names.find_map(|name| place.get(name).and_then(text))
        };
        let in_auth = AUTH.iter().filter_map(|(name, older)| {
            let value = entry(auth, name, older).or_else(|| entry(cloud, name, older))?;
            Some((*name, value))
        });
        let own = OWN
            .iter()
            .filter_map(|(name, older)| Some((*name, entry(cloud, name, older)?)));
        let checks_nothing = cloud.get("verify").and_then(Value::as_bool) == Some(false)
            || cloud.get("insecure").and_then(Value::as_bool) == Some(true);
        let verify = checks_nothing.then(|| ("verify", "false".to_owned()));
        let region = cloud.get("region_name").is_none().then(|| region(cloud));
        let region = region.flatten().map(|region| ("region_name", region));
        let values = in_auth.chain(own).chain(verify).chain(region);
        let source = format!("the cloud '{name}' in {path}");
        Ok(Given::new(source, |name| format!("auth.{name}"), values))
    }
}

/// The first of a cloud's regions, each a name or a map with one.
fn region(cloud: &Mapping) -> Option<String> {
    let first = cloud.get("regions")?.as_sequence()?.first()?;
    text(first.get("name").unwrap_or(first))
}

/// Ids may be written as numbers.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first of the files of a kind that is there.
fn first(env: &Env, kind: &str, stem: &str) -> Result<Option<(PathBuf, Value)>, Fault> {
    let named = env
        .get(&format!("OS_CLIENT_{kind}_FILE"))
        .map(PathBuf::from);
    let home = env.home();
    let user = env.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let site = env.get("XDG_CONFIG_DIRS").unwrap_or("/etc/xdg");
    let folders = [
        Some(PathBuf::new()),
        user.map(|folder| folder.join("openstack")),
        home.map(|home| home.join(".config/openstack")),
        site.split(':')
            .next()
            .map(|site| Path::new(site).join("openstack")),
        Some(PathBuf::from("/etc/openstack")),
    ];
    let files = folders.into_iter().flatten().flat_map(|folder| {
        ["yaml", "yml", "json"].map(|ending| folder.join(format!("{stem}.{ending}")))
    });
    for path in named.into_iter().chain(files) {
        if let Some(text) = text_of(&path)? {
            let value = serde_yaml::from_str(&text).map_err(|error| {
                // Its words may show a line with a password.
                let line = error.location().map(|at| format!(" (line {})", at.line()));
                let line = line.unwrap_or_default();
                Fault::new(format!("{} is no YAML{line}", path.display()))
            })?;
            return Ok(Some((path, value)));
        }
    }
    Ok(None)
}

/// What the second map has wins, key by key at every depth.
fn merge(into: &mut Mapping, from: Mapping) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Mapping(into)), Value::Mapping(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}
