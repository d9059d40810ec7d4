//! Getting a token and the account's URL.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::Session;
use super::catalogue::{self, Entry};
use super::error::{KEYSTONE, TEMP_AUTH};
use super::login::{Application, Domain, Identity, Login, Named, Way};
use crate::store::ErrorKind;
use crate::store::rest::{Answer, Client, Failure, Service};

/// Why there is no session.
pub(super) enum Refusal {
    /// Asking again is no use.
    Final(String),
    Passing(String),
}

/// Signs in; `again` after a token was refused.
pub(super) async fn sign_in(
    client: &Client,
    login: &Login,
    again: bool,
) -> Result<Session, Refusal> {
    let (token, account) = match &login.way {
        Way::Keystone {
            url,
            identity,
            project,
        } => keystone(client, login, (url, identity, project.as_ref())).await?,
        Way::TempAuth { url, user, key } => temp_auth(client, login, (url, user, key)).await?,
        Way::None => {
            let words = "nothing says who asks for its objects";
            return Err(Refusal::Final(words.to_owned()));
        }
    };
    let account = login.endpoint.clone().unwrap_or(account);
    let token = HeaderValue::from_str(&token);
    let Ok(mut token) = token else {
        let host = login.host();
        return Err(Refusal::Final(format!("the token of {host} is no text")));
    };
    token.set_sensitive(true);
    Ok(Session {
        token,
        account: account.trim_end_matches('/').to_owned(),
        is_second: again,
        has_worked: AtomicBool::new(false),
    })
}

/// Asks with a password or an application credential:
/// <https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management>.
async fn keystone(
    client: &Client,
    login: &Login,
    (url, identity, project): (&str, &Identity, Option<&Named>),
) -> Result<(String, String), Refusal> {
    let body = json!({ "auth": auth(identity, project) });
    let request = Request::post(format!("{url}/auth/tokens"))
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()));
    let answer = ask(client, login, &KEYSTONE, request).await?;
    let token = text(answer.headers(), "x-subject-token");
    let body = answer.bytes().await;
    let body = body.map_err(|failure| passing(login, &KEYSTONE, &failure))?;
    let nonsense = || {
        let host = login.host();
        let words = format!("{host} made a token and gave none: is it Keystone, version 3?");
        Refusal::Final(words)
    };
    let told: Wrapped = serde_json::from_slice(&body).map_err(|_| nonsense())?;
    let token = token.ok_or_else(nonsense)?;
    if login.endpoint.is_some() {
        return Ok((token, String::new()));
    }
    let found = catalogue::account(&told.token.catalog, &login.wanted);
    let found = found.map_err(|why| Refusal::Final(format!("Keystone at {}: {why}", login.host())));
    Ok((token, found?))
}

/// What Keystone is told. An application credential brings its project.
fn auth(identity: &Identity, project: Option<&Named>) -> Value {
    match identity {
        Identity::Password { user, password } => {
            let mut user = named(user);
            user["password"] = password.as_str().into();
            let identity = json!({ "methods": ["password"], "password": { "user": user } });
            match project {
                Some(project) => {
                    json!({ "identity": identity, "scope": { "project": named(project) } })
                }
                None => json!({ "identity": identity }),
            }
        }
        Identity::Application { id, secret } => {
            let mut credential = match id {
                Application::Id(id) => json!({ "id": id }),
                Application::Name(name, user) => json!({ "name": name, "user": named(user) }),
            };
            credential["secret"] = secret.as_str().into();
            json!({ "identity": {
                "methods": ["application_credential"],
                "application_credential": credential,
            }})
        }
    }
}

fn named(named: &Named) -> Value {
    match named {
        Named::Id(id) => json!({ "id": id }),
        Named::Name(name, Domain::Id(id)) => json!({ "name": name, "domain": { "id": id } }),
        Named::Name(name, Domain::Name(domain)) => {
            json!({ "name": name, "domain": { "name": domain } })
        }
    }
}

#[derive(Deserialize)]
struct Wrapped {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    catalog: Vec<Entry>,
}

/// Version 1: <https://docs.openstack.org/swift/latest/overview_auth.html#tempauth>.
async fn temp_auth(
    client: &Client,
    login: &Login,
    (url, user, key): (&str, &str, &str),
) -> Result<(String, String), Refusal> {
    let request = Request::get(url).header("x-auth-user", user);
    let request = request.header("x-auth-key", key).body(Bytes::new());
    let answer = ask(client, login, &TEMP_AUTH, request).await?;
    let headers = answer.headers();
    let told = text(headers, "x-auth-token").zip(text(headers, "x-storage-url"));
    told.ok_or_else(|| {
        let host = login.host();
        let words = format!("{host} gave no token: is it the URL of Swift's TempAuth?");
        Refusal::Final(words)
    })
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// One request for a token; only success is an answer.
async fn ask(
    client: &Client,
    login: &Login,
    service: &'static Service,
    request: http::Result<Request<Bytes>>,
) -> Result<Answer, Refusal> {
    let request = request.map_err(|error| {
        let words = format!("{} can't be sent: {error}", login.source);
        Refusal::Final(words)
    })?;
    let answer = client.send(request).await;
    let answer = answer.map_err(|failure| passing(login, service, &failure))?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let failure = Failure::of(answer, service).await;
    match failure.kind(service) {
        ErrorKind::Throttled | ErrorKind::Unavailable => Err(passing(login, service, &failure)),
        _ => {
            let (name, host, source) = (service.name, login.host(), &login.source);
            let words = failure.words();
            let words = format!("{name} at {host} refuses what {source} says: {words}");
            Err(Refusal::Final(words))
        }
    }
}

fn passing(login: &Login, service: &Service, failure: &Failure) -> Refusal {
    let (name, words) = (service.name, failure.words());
    Refusal::Passing(format!("{name} at {}: {words}", login.host()))
}
