//! The metadata service of a machine with a RAM role, and the service from which a pod gets one:
//! <https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata>,
//! <https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc>.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use serde_json::json;

use super::REGION;
use crate::http_double::query;

/// The credentials of the role.
pub(super) const KEY: &str = "STS.key-of-the-machine";
pub(super) const SECRET: &str = "secret-of-the-machine";
pub(super) const TOKEN: &str = "token-of-the-machine";

/// What a pod is, and the role that it may take.
pub(crate) const IDENTITY: &str = "identity-of-the-pod";
pub(crate) const ROLE: &str = "acs:ram::1:role/kstate";

const SESSION: &str = "session-of-the-machine";

/// Answers who has a token only, as a hardened machine does.
pub(super) fn answer(request: &Parts, path: &str) -> Response<Bytes> {
    let header = |name: &str| request.headers.get(name)?.to_str().ok();
    let ttl = header("x-aliyun-ecs-metadata-token-ttl-seconds");
    let is_known = header("x-aliyun-ecs-metadata-token") == Some(SESSION);
    let (status, text) = match (&request.method, path) {
        (&Method::PUT, "/latest/api/token") if ttl.is_some() => (200, SESSION.to_owned()),
        (&Method::GET, _) if !is_known => (403, String::new()),
        (_, "/latest/meta-data/region-id") => (200, REGION.to_owned()),
        (_, "/latest/meta-data/ram/security-credentials/") => (200, "role".to_owned()),
        (_, "/latest/meta-data/ram/security-credentials/role") => {
            let role = json!({"Code": "Success", "AccessKeyId": KEY, "AccessKeySecret": SECRET,
                "SecurityToken": TOKEN, "Expiration": "2999-01-01T00:00:00Z"});
            (200, role.to_string())
        }
        _ => (404, String::new()),
    };
    let response = Response::builder().status(status);
    response.body(text.into()).expect("a response")
}

/// `AssumeRoleWithOIDC`, for who shows the pod's identity.
pub(super) fn security_token(request: &Parts) -> Response<Bytes> {
    let query = query(request);
    let has = |name: &str, value: &str| query.contains(&(name.to_owned(), value.to_owned()));
    let is_known =
        has("Action", "AssumeRoleWithOIDC") && has("RoleArn", ROLE) && has("OIDCToken", IDENTITY);
    let answer = if is_known {
        json!({"Credentials": {"AccessKeyId": KEY, "AccessKeySecret": SECRET,
            "SecurityToken": TOKEN, "Expiration": "2999-01-01T00:00:00Z"}})
    } else {
        json!({"Code": "AuthenticationFail.NoPermission", "Message": "no such identity"})
    };
    let response = Response::builder().status(if is_known { 200 } else { 400 });
    response
        .body(answer.to_string().into())
        .expect("a response")
}
