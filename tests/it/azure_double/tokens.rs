//! Where tokens come from: Microsoft Entra for principals and workloads, and a machine's metadata
//! service.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use serde_json::json;

use super::text_of;
use crate::http_double::{decoded, query};

pub(crate) const TENANT: &str = "tenant-of-the-double";
pub(crate) const CLIENT: &str = "client-of-the-double";
pub(crate) const SECRET: &str = "secret-of-the-double";

/// What requests with a token must carry.
pub(crate) const TOKEN: &str = "token-of-the-double";

/// The answer, when a token is asked for.
pub(super) fn answer(request: &Parts, body: &Bytes) -> Option<Response<Bytes>> {
    let path = request.uri.path();
    let told = match request.method {
        Method::POST if path.ends_with("/oauth2/v2.0/token") => entra(request, body),
        Method::GET if path == "/metadata/identity/oauth2/token" => machine(request),
        _ => return None,
    };
    let (status, json) = if told {
        (
            200,
            json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer",
            "expires_on": "9999999999"}),
        )
    } else {
        (401, json!({"error": "invalid_client"}))
    };
    let response = Response::builder().status(status);
    Some(response.body(json.to_string().into()).expect("a response"))
}

/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>: with a
/// secret, or with the token of a workload.
fn entra(request: &Parts, body: &[u8]) -> bool {
    let body = std::str::from_utf8(body).expect("a form");
    let has = |wanted: (&str, &str)| {
        let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.any(|(name, value)| (decoded(name).as_str(), decoded(value).as_str()) == wanted)
    };
    let has_proof = has(("client_secret", SECRET)) || has(("client_assertion", SECRET));
    request.uri.path().split('/').nth(1) == Some(TENANT)
        && has(("client_id", CLIENT))
        && has(("grant_type", "client_credentials"))
        && has(("scope", "https://storage.azure.com/.default"))
        && has_proof
}

/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
fn machine(request: &Parts) -> bool {
    let resource = query(request)
        .into_iter()
        .find(|(name, _)| name == "resource");
    text_of(request, "metadata") == Some("true")
        && resource.is_some_and(|(_, value)| value == "https://storage.azure.com/")
}
