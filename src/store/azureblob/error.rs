//! How Azure says no: a code in a header, and XML.

use http::HeaderMap;
use serde::Deserialize;

use crate::store::ErrorKind;
use crate::store::rest::{Service, Told};

/// <https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes>
pub(super) static SERVICE: Service = Service {
    name: "Azure Blob Storage",
    bucket: "container",
    read,
    by_code,
    no_bucket: &[
        "ContainerNotFound",
        "ContainerBeingDeleted",
        "ContainerDisabled",
    ],
    no_credentials: "run `az login`, or set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or name \
        another variable with ?secret_key_env= or ?sas_token_env=",
};

/// Somebody else wrote the object, which drops the blocks of all uploads to it.
pub(super) const NO_BLOCKS: &str = "InvalidBlockList";

/// The heap holds blocks with ids of another length than ours.
pub(super) const OTHER_BLOCKS: &str = "InvalidBlobOrBlock";

/// How many characters of an answer that isn't Azure's are shown.
const SHOWN: usize = 120;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Xml {
    code: String,
    message: String,
}

fn read(body: &[u8], headers: &HeaderMap) -> Told {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let xml = String::from_utf8_lossy(body);
    let Xml { code, message } = parsed(&xml);
    let code = text("x-ms-error-code").unwrap_or(code);
    // The lines after the first repeat the request's id and time.
    let mut message = message.lines().next().unwrap_or_default().to_owned();
    if message.is_empty() && !xml.is_empty() {
        message = shown(&xml);
    }
    if code == "AuthenticationFailed" {
        message.push_str(
            " Is the key or signature of this account and still valid, and is this machine's \
             clock right?",
        );
    }
    Told {
        message,
        code,
        request_id: text("x-ms-request-id"),
    }
}

/// What stands between may repeat the URL, which may hold a signature.
fn shown(answer: &str) -> String {
    let lower = answer.to_ascii_lowercase();
    if ["sig=", "sig%3d"].iter().any(|sig| lower.contains(sig)) {
        return "the answer is not the service's, and repeats a signature".to_owned();
    }
    let start: String = answer.chars().take(SHOWN).collect();
    format!("the answer {start:?}")
}

fn parsed(xml: &str) -> Xml {
    quick_xml::de::from_str(xml.trim_start_matches('\u{feff}')).unwrap_or_default()
}

fn by_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "ServerBusy" => ErrorKind::Throttled,
        "BlobAlreadyExists"
        | "ConditionNotMet"
        | "TargetConditionNotMet"
        | "SourceConditionNotMet"
        | NO_BLOCKS => ErrorKind::PreconditionFailed { found: None },
        "Md5Mismatch" => ErrorKind::Corrupt,
        "ContainerBeingDeleted" | "ContainerDisabled" => ErrorKind::NotFound,
        "LeaseIdMissing" | "LeaseIdMismatchWithBlobOperation" => ErrorKind::Locked,
        "InvalidAuthenticationInfo" | "BlobImmutableDueToPolicy" => ErrorKind::PermissionDenied {
            action: None,
            resource: None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>\
        BlobNotFound</Code><Message>The specified blob does not exist.\nRequestId:1\nTime:2\
        </Message></Error>";

    #[test]
    fn the_header_or_the_body_has_the_code() {
        let told = read(MISSING.as_bytes(), &HeaderMap::new());
        assert_eq!(told.code, "BlobNotFound");
        assert_eq!(told.message, "The specified blob does not exist.");
        let mut headers = HeaderMap::new();
        let code = http::HeaderValue::from_static("ContainerNotFound");
        headers.insert("x-ms-error-code", code);
        let told = read(b"", &headers);
        assert_eq!(
            (told.code.as_str(), told.message.as_str()),
            ("ContainerNotFound", "")
        );
    }

    #[test]
    fn an_answer_of_what_stands_between_is_shown_but_for_signatures() {
        let told = read(b"<html>Bad gateway</html>", &HeaderMap::new());
        assert!(told.message.contains("Bad gateway"), "{}", told.message);
        for page in ["GET /c/k?sv=1&sig=s3cr3t", "to=%2Fc%2Fk%3FSig%3Ds3cr3t"] {
            let told = read(page.as_bytes(), &HeaderMap::new());
            assert!(!told.message.is_empty() && !told.message.contains("s3cr3t"));
        }
    }
}
