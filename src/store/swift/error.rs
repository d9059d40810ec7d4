//! How Swift and those that sign in for it say no.

use http::HeaderMap;
use serde::Deserialize;

use crate::store::ErrorKind;
use crate::store::rest::{Service, Told};

/// <https://docs.openstack.org/api-ref/object-store/>
pub(super) static SERVICE: Service = Service {
    name: "OpenStack Swift",
    bucket: "container",
    read: read_page,
    by_code,
    no_bucket: &[NO_CONTAINER],
    no_credentials: WAYS,
};

pub(super) static KEYSTONE: Service = Service {
    name: "Keystone",
    read: read_json,
    ..SERVICE_OF_TOKENS
};

pub(super) static TEMP_AUTH: Service = Service {
    name: "TempAuth",
    read: read_page,
    ..SERVICE_OF_TOKENS
};

const SERVICE_OF_TOKENS: Service = Service {
    name: "",
    bucket: "",
    read: read_page,
    by_code: |_| None,
    no_bucket: &[],
    no_credentials: WAYS,
};

pub(super) const WAYS: &str = "who asks is said by OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, \
    OS_PROJECT_NAME and their domains; by OS_CLOUD or ?cloud=NAME, a cloud in clouds.yaml; by \
    ST_AUTH, ST_USER and ST_KEY; or by ~/.openstack/config, as for kOps";

/// Ours: Swift has the same 404 for a missing object.
pub(super) const NO_CONTAINER: &str = "HTTP 404";

fn by_code(code: &str) -> Option<ErrorKind> {
    (code == NO_CONTAINER).then_some(ErrorKind::NotFound)
}

/// A page of HTML, or plain text.
fn read_page(body: &[u8], headers: &HeaderMap) -> Told {
    let id = headers.get("x-trans-id");
    let id = id.or_else(|| headers.get("x-openstack-request-id"));
    let text = String::from_utf8_lossy(body);
    let kind = headers.get("content-type");
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let message = match text.split_once("<p>") {
        Some((_, rest)) => rest.split("</p>").next().unwrap_or_default(),
        None if kind.starts_with("text/plain") => text.lines().next().unwrap_or_default(),
        None => "",
    };
    Told {
        code: String::new(),
        message: message.trim().to_owned(),
        request_id: id.and_then(|id| id.to_str().ok()).map(str::to_owned),
    }
}

#[derive(Deserialize)]
struct Wrapped {
    error: Json,
}

#[derive(Deserialize)]
struct Json {
    #[serde(default)]
    message: String,
}

fn read_json(body: &[u8], headers: &HeaderMap) -> Told {
    let told = serde_json::from_slice(body).map(|Wrapped { error }| error.message);
    Told {
        message: told.unwrap_or_default(),
        ..read_page(&[], headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_texts_and_json_are_read() {
        let mut headers = HeaderMap::new();
        headers.insert("x-trans-id", "tx1".parse().unwrap());
        let page = "<html><h1>Not Found</h1><p>The resource could not be found.</p></html>";
        let told = read_page(page.as_bytes(), &headers);
        assert_eq!(told.message, "The resource could not be found.");
        assert_eq!(told.request_id.as_deref(), Some("tx1"));
        assert_eq!(read_page(b"Upload exceeds quota.", &headers).message, "");
        headers.insert("content-type", "text/plain; charset=UTF-8".parse().unwrap());
        let told = read_page(b"Upload exceeds quota.", &headers);
        assert_eq!(told.message, "Upload exceeds quota.");
        let json = br#"{"error": {"code": 401, "message": "who?", "title": "Unauthorized"}}"#;
        assert_eq!(read_json(json, &headers).message, "who?");
        assert_eq!(read_json(b"<html>", &headers).message, "");
    }
}
