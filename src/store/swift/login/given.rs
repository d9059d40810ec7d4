//! What signing in takes, by one set of names, wherever it was read.

use std::collections::BTreeMap;

use super::{Application, Domain, Fault, Identity, Login, Named, Trust, Wanted, Way};
use crate::store::registry::Env;

pub(super) const OBJECT_STORE: &str = "object-store";
pub(super) const PUBLIC: &str = "public";

/// Settings by the names that `clouds.yaml` has for them.
pub(super) struct Given {
    /// Where they come from, as errors name it.
    source: String,
    /// How a name is written there.
    spelled: fn(&str) -> String,
    values: BTreeMap<&'static str, String>,
}

/// What the environment calls each; what kOps reads comes first, but that it lets a project win
/// over a tenant.
const VARIABLES: &[(&str, &[&str])] = &[
    ("auth_type", &["OS_AUTH_TYPE"]),
    ("auth_url", &["OS_AUTH_URL"]),
    ("username", &["OS_USERNAME"]),
    ("user_id", &["OS_USERID", "OS_USER_ID"]),
    ("password", &["OS_PASSWORD"]),
    ("user_domain_id", &["OS_USER_DOMAIN_ID"]),
    ("user_domain_name", &["OS_USER_DOMAIN_NAME"]),
    ("project_id", &["OS_PROJECT_ID", "OS_TENANT_ID"]),
    ("project_name", &["OS_PROJECT_NAME", "OS_TENANT_NAME"]),
    ("project_domain_id", &["OS_PROJECT_DOMAIN_ID"]),
    ("project_domain_name", &["OS_PROJECT_DOMAIN_NAME"]),
    ("domain_id", &["OS_DOMAIN_ID"]),
    ("domain_name", &["OS_DOMAIN_NAME"]),
    (
        "default_domain_id",
        &["OS_DEFAULT_DOMAIN_ID", "OS_DEFAULT_DOMAIN"],
    ),
    ("default_domain_name", &["OS_DEFAULT_DOMAIN_NAME"]),
    (
        "application_credential_id",
        &["OS_APPLICATION_CREDENTIAL_ID"],
    ),
    (
        "application_credential_name",
        &["OS_APPLICATION_CREDENTIAL_NAME"],
    ),
    (
        "application_credential_secret",
        &["OS_APPLICATION_CREDENTIAL_SECRET"],
    ),
    ("region_name", &["OS_REGION_NAME"]),
    ("interface", &["OS_INTERFACE", "OS_ENDPOINT_TYPE"]),
];

fn variable(name: &str) -> String {
    let known = VARIABLES.iter().find(|(known, _)| *known == name);
    known.map_or(name, |(_, variables)| variables[0]).to_owned()
}

impl Given {
    pub(super) fn new(
        source: String,
        spelled: fn(&str) -> String,
        values: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let values = values.into_iter().filter(|(_, value)| !value.is_empty());
        Self {
            source,
            spelled,
            values: values.collect(),
        }
    }

    pub(super) fn of_env(env: &Env) -> Self {
        let values = VARIABLES.iter().filter_map(|(name, variables)| {
            let value = variables.iter().find_map(|variable| env.get(variable))?;
            let value = match *name {
                "region_name" => unquoted(value),
                _ => value,
            };
            Some((*name, value.to_owned()))
        });
        Self::new("the environment".to_owned(), variable, values)
    }

    /// What says nothing of who asks, where it is missing here.
    pub(super) fn take_service(&mut self, other: &Self) {
        for name in ["region_name", "interface", "service_type", "service_name"] {
            if let Some(value) = other.get(name) {
                self.values.entry(name).or_insert_with(|| value.to_owned());
            }
        }
    }

    /// The region that the environment names, as the `openstack` command has it.
    pub(super) fn in_region_of(mut self, env: &Env) -> Self {
        if let Some(region) = env.get("OS_REGION_NAME") {
            self.values
                .insert("region_name", unquoted(region).to_owned());
        }
        self
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn need(&self, name: &str) -> Result<String, Fault> {
        self.get(name).map(str::to_owned).ok_or_else(|| {
            let (source, name) = (&self.source, (self.spelled)(name));
            Fault::new(format!("{source} has no {name}"))
        })
    }

    pub(super) fn login(&self, env: &Env) -> Result<Login, Fault> {
        let url = self.need("auth_url")?;
        let way = match self.get("auth_type") {
            Some("v1password") => Way::TempAuth {
                url,
                user: self.need("username")?,
                key: self.need("password")?,
            },
            None | Some("password" | "v3password" | "v3applicationcredential") => Way::Keystone {
                identity: self.identity()?,
                project: self.project(),
                url: version_3(&url),
            },
            Some(other) => {
                let source = &self.source;
                let words = format!("{source} wants to sign in by '{other}', which can't be here");
                return Err(Fault::new(words).hint(
                    "the ways are password, v3applicationcredential and v1password; `openstack \
                     application credential create` makes a credential for programs",
                ));
            }
        };
        let owned = |name| self.get(name).map(str::to_owned);
        let mut login = Login::new(way, &self.source, env);
        login.wanted = Wanted {
            service_type: owned("service_type").unwrap_or(login.wanted.service_type),
            service_name: owned("service_name"),
            region: owned("region_name"),
            interface: owned("interface")
                .map(|interface| interface.trim_end_matches("URL").to_owned())
                .unwrap_or(login.wanted.interface),
        };
        login.endpoint = owned("object_store_endpoint_override");
        login.trust = match (login.trust, self.get("cacert")) {
            _ if self.get("verify") == Some("false") => Trust::Anybody,
            (Trust::Anybody, _) => Trust::Anybody,
            (_, Some(file)) => Trust::File(file.into()),
            (trust, None) => trust,
        };
        Ok(login)
    }

    /// A password wins, as in kOps.
    fn identity(&self) -> Result<Identity, Fault> {
        let is_application = self.get("auth_type") == Some("v3applicationcredential")
            || self.get("password").is_none();
        let id = self.get("application_credential_id");
        let name = self.get("application_credential_name");
        if is_application && (id.is_some() || name.is_some()) {
            return Ok(Identity::Application {
                id: match (id, name) {
                    (None, Some(name)) => Application::Name(name.to_owned(), self.user()?),
                    (id, _) => Application::Id(id.unwrap_or_default().to_owned()),
                },
                secret: self.need("application_credential_secret")?,
            });
        }
        Ok(Identity::Password {
            user: self.user()?,
            password: self.need("password")?,
        })
    }

    fn user(&self) -> Result<Named, Fault> {
        match self.get("user_id") {
            Some(id) => Ok(Named::Id(id.to_owned())),
            None => Ok(Named::Name(
                self.need("username")?,
                self.domain(&["user", ""]),
            )),
        }
    }

    fn project(&self) -> Option<Named> {
        if let Some(id) = self.get("project_id") {
            return Some(Named::Id(id.to_owned()));
        }
        let name = self.get("project_name")?;
        let domain = self.domain(&["project", "", "user"]);
        Some(Named::Name(name.to_owned(), domain))
    }

    /// The domain of the first of these that has one; where there are no domains, it is `default`.
    fn domain(&self, of: &[&str]) -> Domain {
        let mut places = of.iter().chain(&["default"]);
        let found = places.find_map(|of| {
            let name = |what: &str| match *of {
                "" => format!("domain_{what}"),
                of => format!("{of}_domain_{what}"),
            };
            match (self.get(&name("id")), self.get(&name("name"))) {
                (Some(id), _) => Some(Domain::Id(id.to_owned())),
                (None, Some(name)) => Some(Domain::Name(name.to_owned())),
                (None, None) => None,
            }
        });
        found.unwrap_or_else(|| Domain::Id("default".to_owned()))
    }
}

/// Files of variables for Docker have values in single quotes; kOps takes off the region's.
fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('\'');
    inner
        .and_then(|inner| inner.strip_suffix('\''))
        .unwrap_or(value)
}

/// The identity service's URL, of whatever version it is written.
fn version_3(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let base = ["/v3", "/v2.0"]
        .iter()
        .find_map(|version| url.strip_suffix(version));
    format!("{}/v3", base.unwrap_or(url))
}
