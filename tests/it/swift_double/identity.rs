//! Who may ask: Keystone, version 3, and `TempAuth`, version 1.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Swift, text};

/// Project p1 in both regions, p2 in one, and the one of `TempAuth`.
pub(super) const ACCOUNTS: [&str; 4] = ["AUTH_p1", "two/AUTH_p1", "AUTH_p2", "AUTH_test"];

/// Id, name, domain.
type Entity = (&'static str, &'static str, (&'static str, &'static str));

const DEFAULT: (&str, &str) = ("default", "Default");
const CORP: (&str, &str) = ("d2", "Corp");

const DEMO: Entity = ("u1", "demo", DEFAULT);

/// Users with their passwords, and the project of those that have one of their own.
const USERS: [(Entity, &str, Option<&str>); 2] = [
    (DEMO, "demopass", Some("p1")),
    (("u2", "demo", CORP), "corppass", None),
];

/// Projects, and who has a role there.
const PROJECTS: [(Entity, &[&str]); 2] = [
    (("p1", "demo", DEFAULT), &["u1", "u2"]),
    (("p2", "shop", CORP), &["u2"]),
];

/// The application credential `robot` of demo in p1.
const CREDENTIAL: (&str, &str, &str) = ("ac1", "robot", "acsecret");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    auth: Auth,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    identity: Identity,
    scope: Option<Scope>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    project: Named,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    methods: Vec<String>,
    password: Option<Password>,
    application_credential: Option<Credential>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    user: User,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    id: Option<String>,
    name: Option<String>,
    domain: Option<Domain>,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credential {
    id: Option<String>,
    name: Option<String>,
    user: Option<Named>,
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    id: Option<String>,
    name: Option<String>,
    domain: Option<Domain>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    id: Option<String>,
    name: Option<String>,
}

impl Named {
    /// By id alone, or by name in a domain.
    fn is(&self, (id, name, domain): Entity) -> bool {
        match (&self.id, &self.name, &self.domain) {
            (Some(wanted), None, None) => wanted == id,
            (None, Some(wanted), Some(of)) => {
                let is_domain = match (&of.id, &of.name) {
                    (Some(id), None) => id == domain.0,
                    (None, Some(name)) => name == domain.1,
                    _ => false,
                };
                wanted == name && is_domain
            }
            _ => false,
        }
    }
}

const WHO: &str = "The request you have made requires authentication.";

impl Swift {
    /// <https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management>
    pub(super) fn keystone(&mut self, request: &Parts, body: &Bytes) -> Response<Bytes> {
        let is_json = text(request, "content-type") == Some("application/json");
        let is_asked = request.method == Method::POST && request.uri == "/v3/auth/tokens";
        let outcome = match serde_json::from_slice::<Request>(body) {
            _ if !is_asked => Err((404, "Not Found".to_owned())),
            Ok(asked) if is_json => grant(&asked.auth),
            Ok(_) => Err((400, "expected application/json".to_owned())),
            Err(error) => Err((400, error.to_string())),
        };
        let project = match outcome {
            Ok(project) => project,
            Err((code, message)) => {
                let title = if code == 401 {
                    "Unauthorized"
                } else {
                    "Bad Request"
                };
                let error = json!({ "error": { "code": code, "message": message, "title": title }});
                let response = Response::builder().status(code);
                let response = response.header("content-type", "application/json");
                return response.body(error.to_string().into()).expect("a response");
            }
        };
        let accounts = ACCOUNTS.iter().filter(|account| {
            project.is_some_and(|project| account.ends_with(&format!("AUTH_{project}")))
        });
        let token = self.token(accounts.map(|account| (*account).to_owned()).collect());
        let mut told = json!({ "token": {
            "methods": ["password"],
            "expires_at": "2036-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "audit_ids": ["3T2dc1CGQxyJsHdDu1xkcw"],
        }});
        if let Some(project) = project {
            told["token"]["project"] = json!({ "id": project });
            told["token"]["catalog"] = catalog(host(request), project);
        }
        let response = Response::builder().status(201);
        let response = response.header("x-subject-token", token);
        response.body(told.to_string().into()).expect("a response")
    }

    /// <https://docs.openstack.org/swift/latest/overview_auth.html>
    pub(super) fn temp_auth(&mut self, request: &Parts) -> Response<Bytes> {
        let who = (text(request, "x-auth-user"), text(request, "x-auth-key"));
        if request.method != Method::GET || who != (Some("test:tester"), Some("testing")) {
            let page = "<html><h1>Unauthorized</h1><p>This server could not verify that you are \
                authorized to access the document you requested.</p></html>";
            let response = Response::builder().status(401);
            return response.body(page.into()).expect("a response");
        }
        let token = self.token(vec!["AUTH_test".to_owned()]);
        let url = format!("http://{}/v1/AUTH_test", host(request));
        let response = Response::builder().header("x-storage-url", url);
        let response = response.header("x-auth-token", token);
        response.body(Bytes::new()).expect("a response")
    }

    fn token(&mut self, accounts: Vec<String>) -> String {
        self.signed_in += 1;
        let token = format!("gAAAAA-{}", self.signed_in);
        self.tokens.insert(token.clone(), accounts);
        token
    }
}

fn host(request: &Parts) -> &str {
    text(request, "host").expect("a host")
}

/// The id of the project that a token is for; an unscoped one has none.
fn grant(auth: &Auth) -> Result<Option<&'static str>, (u16, String)> {
    let who = || (401, WHO.to_owned());
    let methods: Vec<&str> = auth.identity.methods.iter().map(String::as_str).collect();
    match (&methods[..], &auth.identity) {
        (
            ["password"],
            Identity {
                password: Some(given),
                application_credential: None,
                ..
            },
        ) => {
            let user = Named {
                id: given.user.id.clone(),
                name: given.user.name.clone(),
                domain: given.user.domain.as_ref().map(|domain| Domain {
                    id: domain.id.clone(),
                    name: domain.name.clone(),
                }),
            };
            let known = USERS
                .iter()
                .find(|(entity, password, _)| user.is(*entity) && given.user.password == *password);
            let ((id, ..), _, own) = known.ok_or_else(who)?;
            let Some(scope) = &auth.scope else {
                return Ok(*own);
            };
            let mut projects = PROJECTS.iter();
            let project =
                projects.find(|(entity, users)| scope.project.is(*entity) && users.contains(id));
            project.map(|((id, ..), _)| Some(*id)).ok_or_else(who)
        }
        (
            ["application_credential"],
            Identity {
                password: None,
                application_credential: Some(given),
                ..
            },
        ) => {
            if auth.scope.is_some() {
                let words = "Application credentials cannot request a scope.";
                return Err((401, words.to_owned()));
            }
            let (id, name, secret) = CREDENTIAL;
            let is_it = match (&given.id, &given.name, &given.user) {
                (Some(wanted), None, None) => wanted == id,
                (None, Some(wanted), Some(user)) => wanted == name && user.is(DEMO),
                _ => false,
            };
            if is_it && given.secret == secret {
                Ok(Some("p1"))
            } else {
                Err(who())
            }
        }
        _ => Err((
            400,
            "Expecting to find one method and what it takes".to_owned(),
        )),
    }
}

fn catalog(host: &str, project: &str) -> Value {
    let endpoint = |interface: &str, region: &str, url: String| {
        json!({ "id": "e", "interface": interface, "region": region, "region_id": region,
            "url": url })
    };
    let one = format!("http://{host}/v1/AUTH_{project}");
    let mut endpoints = vec![
        endpoint("public", "One", one.clone()),
        endpoint("internal", "One", one),
        endpoint("admin", "One", "http://127.0.0.1:1/v1".to_owned()),
    ];
    if project == "p1" {
        let two = format!("http://{host}/two/v1/AUTH_{project}");
        endpoints.push(endpoint("public", "Two", two));
    }
    json!([
        { "type": "identity", "id": "s0", "name": "keystone",
            "endpoints": [endpoint("public", "One", format!("http://{host}/v3"))] },
        { "type": "object-store", "id": "s1", "name": "swift", "endpoints": endpoints },
    ])
}
