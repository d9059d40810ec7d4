//! Who asks, and whom: from what a URL names, else from the environment and the files that kOps
//! and the clients of `OpenStack` read.
//!
//! | from | when |
//! |---|---|
//! | a cloud in `clouds.yaml` | `?cloud=`, then `OS_CLOUD`, whose region `OS_REGION_NAME` is |
//! | kOps's INI file | `?credentials_file=` |
//! | `OS_*` | `OS_AUTH_URL` and all that signing in takes |
//! | `ST_AUTH`, `ST_USER`, `ST_KEY` | `ST_AUTH` |
//! | kOps's INI file | `OPENSTACK_CREDENTIAL_FILE`, or `~/.openstack/config` is there |
//! | the cloud in `clouds.yaml` | it is the only one |

mod clouds;
mod given;
mod ini;

use std::path::{Path, PathBuf};

use self::given::Given;
use super::KIND;
use super::error::WAYS;
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Result, StoreUrl};

/// Everything that decides which account serves a store. It holds secrets, so it can't be shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Login {
    pub way: Way,
    pub wanted: Wanted,
    /// The account's URL, instead of the one that signing in gives.
    pub endpoint: Option<String>,
    pub trust: Trust,
    /// Where all this comes from, as errors name it.
    pub source: String,
}

/// How a token is got.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// The identity service of `OpenStack`.
    Keystone {
        /// Ends in `/v3`.
        url: String,
        identity: Identity,
        /// Whose objects; the user's own choice in Keystone when there is none.
        project: Option<Named>,
    },
    /// Swift's own, version 1.
    TempAuth {
        url: String,
        user: String,
        key: String,
    },
    /// Not at all: nothing says who asks.
    None,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    Password { user: Named, password: String },
    Application { id: Application, secret: String },
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Application {
    Id(String),
    /// Of this user.
    Name(String, Named),
}

/// A user or a project: by id, or by name in a domain.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Named {
    Id(String),
    Name(String, Domain),
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Domain {
    Id(String),
    Name(String),
}

/// Which endpoint of a catalogue.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub service_type: String,
    pub service_name: Option<String>,
    pub region: Option<String>,
    /// `public`, `internal` or `admin`.
    pub interface: String,
}

/// Whose certificates count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    System,
    /// The system's, and those in this file.
    File(PathBuf),
    Anybody,
}

impl Login {
    fn new(way: Way, source: &str, env: &Env) -> Self {
        Self {
            way,
            wanted: Wanted {
                service_type: given::OBJECT_STORE.to_owned(),
                service_name: None,
                region: None,
                interface: given::PUBLIC.to_owned(),
            },
            endpoint: None,
            trust: Trust::of(env),
            source: source.to_owned(),
        }
    }

    /// Reads what a URL and the environment name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when something of it is missing. Where nothing says who asks, the
    /// first request tells.
    pub(super) fn find(url: &StoreUrl, env: &Env) -> Result<Self> {
        url.takes_options(KIND.options)?;
        let option = |name: &str| {
            let value = url.options.get(name).map(String::as_str);
            value.filter(|value| !value.is_empty())
        };
        let login = match (option("cloud"), option("credentials_file")) {
            (Some(_), Some(_)) => {
                let words = "a cloud and a credentials file can't both say who asks";
                Err(Fault::new(words))
            }
            (Some(cloud), None) => clouds::named(cloud, env).and_then(|given| given.login(env)),
            // The environment's region is of what the environment means.
            (None, Some(file)) => {
                ini::read(Path::new(file), &Env::default()).and_then(|given| given.login(env))
            }
            (None, None) => by_environment(env),
        };
        let mut login = login.map_err(|fault| fault.at(url))?;
        if let Some(region) = option("region") {
            login.wanted.region = Some(region.to_owned());
        }
        if let Some(endpoint) = option("endpoint") {
            login.endpoint = Some(endpoint.to_owned());
        }
        login.check().map_err(|fault| fault.at(url))?;
        Ok(login)
    }

    /// Holds the URLs to what can be asked.
    fn check(&mut self) -> Result<(), Fault> {
        let urls = [self.way.url(), self.endpoint.as_deref()];
        if urls.into_iter().flatten().any(|url| url.contains('@')) {
            let words = format!("{} has a name or a password in a URL", self.source);
            return Err(Fault::new(words).hint("write the URL without it: what is before the @"));
        }
        if let Some(url) = self.way.url()
            && host(url).is_none()
        {
            let words = format!("{} has '{url}' as its URL, which is none", self.source);
            return Err(Fault::new(words));
        }
        let Some(endpoint) = &mut self.endpoint else {
            return Ok(());
        };
        *endpoint = endpoint.trim_end_matches('/').to_owned();
        let is_account = host(endpoint).is_some_and(|rest| rest.contains('/'));
        if is_account && !endpoint.contains(['?', '#']) {
            return Ok(());
        }
        // A query may be a signature.
        let shown = endpoint.split(['?', '#']).next().unwrap_or_default();
        let words = format!("the endpoint '{shown}' is no account's URL, or more than one");
        Err(Fault::new(words).hint("write it as https://HOST/v1/AUTH_ACCOUNT"))
    }

    /// The host that is asked first.
    pub(super) fn host(&self) -> &str {
        let rest = self.way.url().and_then(host).unwrap_or("nobody");
        rest.split_once('/').map_or(rest, |(host, _)| host)
    }

    /// What tells one account from another, as far as it is known without asking: with the URL
    /// no name but the container's would.
    pub(super) fn place(&self) -> String {
        if let Some(endpoint) = &self.endpoint {
            return endpoint.clone();
        }
        let region = self.wanted.region.as_deref().unwrap_or_default();
        match &self.way {
            Way::Keystone {
                url,
                identity,
                project,
            } => {
                // A credential brings its project; whoever names none has one of their own.
                let whose = match (identity, project) {
                    (Identity::Application { id, .. }, _) => id.text(),
                    (Identity::Password { .. }, Some(project)) => project.text(),
                    (Identity::Password { user, .. }, None) => format!("of {}", user.text()),
                };
                format!("{url}/{region}/{whose}")
            }
            Way::TempAuth { url, user, .. } => {
                let account = user.split_once(':').map_or(&**user, |(account, _)| account);
                format!("{url}/{account}")
            }
            Way::None => String::new(),
        }
    }
}

impl Way {
    fn url(&self) -> Option<&str> {
        match self {
            Self::Keystone { url, .. } | Self::TempAuth { url, .. } => Some(url),
            Self::None => None,
        }
    }
}

impl Application {
    fn text(&self) -> String {
        match self {
            Self::Id(id) => format!("credential {id}"),
            Self::Name(name, user) => format!("credential {name} of {}", user.text()),
        }
    }
}

impl Named {
    fn text(&self) -> String {
        match self {
            Self::Id(id) => id.clone(),
            Self::Name(name, Domain::Id(domain) | Domain::Name(domain)) => {
                format!("{domain}:{name}")
            }
        }
    }
}

/// What follows the scheme of an HTTP URL.
fn host(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    url.parse::<http::Uri>().ok()?.host()?;
    Some(rest)
}

fn by_environment(env: &Env) -> Result<Login, Fault> {
    if let Some(cloud) = env.get("OS_CLOUD") {
        return clouds::named(cloud, env)?.in_region_of(env).login(env);
    }
    // kOps falls back to the file when anything is missing.
    let mut incomplete = None;
    if env.get("OS_AUTH_URL").is_some() {
        let mut given = Given::of_env(env);
        if let Ok(Some(file)) = ini::found(env) {
            given.take_service(&file);
        }
        match given.login(env) {
            Ok(login) => return Ok(login),
            Err(fault) => incomplete = Some(fault),
        }
    }
    if env.get("ST_AUTH").is_some() {
        return temp_auth(env);
    }
    if let Some(given) = ini::found(env)? {
        return given.login(env);
    }
    if let Some(fault) = incomplete {
        return Err(fault);
    }
    match clouds::only(env)? {
        Some(given) => given.in_region_of(env).login(env),
        None => Ok(Login::new(Way::None, "nothing", env)),
    }
}

/// The environment of Swift's own client.
fn temp_auth(env: &Env) -> Result<Login, Fault> {
    let value = |name: &str| match env.get(name) {
        Some(value) => Ok(value.to_owned()),
        None => Err(Fault::new(format!(
            "the environment has ST_AUTH, but no {name}"
        ))),
    };
    let way = Way::TempAuth {
        url: value("ST_AUTH")?,
        user: value("ST_USER")?,
        key: value("ST_KEY")?,
    };
    Ok(Login::new(way, "the environment (ST_AUTH)", env))
}

impl Trust {
    fn of(env: &Env) -> Self {
        let insecure = env.get("KOPS_OS_TLS_INSECURE_SKIP_VERIFY");
        match env.get("OS_CACERT") {
            _ if matches!(insecure, Some("true" | "1")) => Self::Anybody,
            Some(file) => Self::File(file.into()),
            None => Self::System,
        }
    }
}

/// Why nobody can sign in.
struct Fault {
    words: String,
    hint: Option<&'static str>,
}

impl Fault {
    fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    fn at(self, url: &StoreUrl) -> Error {
        Error::new(ErrorKind::Invalid, "open", self.words)
            .at(url, None)
            .hint(self.hint.unwrap_or(WAYS))
    }
}

/// The text of a file; `None` when there is none.
#[expect(clippy::disallowed_methods, reason = "the credentials' own files")]
fn text_of(path: &Path) -> Result<Option<String>, Fault> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::new(format!(
            "cannot read {}: {error}",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests;
