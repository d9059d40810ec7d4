//! How Google Cloud Storage says no: JSON from most of its API, XML from reads.

use http::HeaderMap;
use serde::Deserialize;

use crate::store::ErrorKind;
use crate::store::rest::{Service, Told};

/// <https://docs.cloud.google.com/storage/docs/json_api/v1/status-codes>
pub(super) static SERVICE: Service = Service {
    name: "Google Cloud Storage",
    bucket: "bucket",
    read,
    by_code,
    no_bucket: &[NO_BUCKET],
    no_credentials: "run `gcloud auth application-default login`, or let \
        GOOGLE_APPLICATION_CREDENTIALS or ?credentials_file= name a service account's key file",
};

/// The XML API's name for it; the JSON API only has words.
const NO_BUCKET: &str = "NoSuchBucket";

#[derive(Deserialize)]
struct Wrapped {
    error: Json,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Json {
    message: String,
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Xml {
    code: String,
    message: String,
    details: String,
}

fn read(body: &[u8], headers: &HeaderMap) -> Told {
    let id = headers.get("x-guploader-uploadid");
    let request_id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
    let text = String::from_utf8_lossy(body);
    let (code, message) = if text.trim_start().starts_with('<') {
        let Xml {
            code,
            message,
            details,
        } = quick_xml::de::from_str(&text).unwrap_or_default();
        let words = [message, details];
        let words: Vec<_> = words
            .into_iter()
            .filter(|words| !words.is_empty())
            .collect();
        (code, words.join(" "))
    } else {
        match serde_json::from_slice::<Wrapped>(body) {
            Ok(Wrapped { error }) => {
                let reason = error.errors.into_iter().next();
                (
                    reason.map(|first| first.reason).unwrap_or_default(),
                    error.message,
                )
            }
            Err(_) => {
                return Told {
                    request_id,
                    ..Told::default()
                };
            }
        }
    };
    let is_about_bucket = code == "notFound" && message.contains("bucket does not exist");
    Told {
        code: if is_about_bucket {
            NO_BUCKET.to_owned()
        } else {
            code
        },
        message,
        request_id,
    }
}

fn by_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "rateLimitExceeded" | "userRateLimitExceeded" | "SlowDown" => ErrorKind::Throttled,
        "backendError" | "internalError" => ErrorKind::Unavailable,
        "conditionNotMet" => ErrorKind::PreconditionFailed { found: None },
        "BadDigest" => ErrorKind::Corrupt,
        NO_BUCKET | "NoSuchKey" => ErrorKind::NotFound,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let told = |body: &str| {
            let told = read(body.as_bytes(), &HeaderMap::new());
            (told.code, told.message)
        };
        let json = r#"{"error": {"code": 412, "message": "no match", "errors": [
            {"domain": "global", "reason": "conditionNotMet", "message": "no match"}]}}"#;
        assert_eq!(told(json), ("conditionNotMet".into(), "no match".into()));
        let json = r#"{"error": {"message": "The specified bucket does not exist.",
            "errors": [{"reason": "notFound"}]}}"#;
        assert_eq!(told(json).0, NO_BUCKET);
        let xml = "<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>gone</Message>\
            <Details>No such object</Details></Error>";
        assert_eq!(
            told(xml),
            ("NoSuchKey".into(), "gone No such object".into())
        );
        assert_eq!(told("Not Found"), (String::new(), String::new()));
    }
}
