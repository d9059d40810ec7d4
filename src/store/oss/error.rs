//! How Alibaba Cloud OSS says no.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use serde::Deserialize;

use crate::store::rest::{Service, Told};
use crate::store::{ErrorKind, xml};

/// <https://www.alibabacloud.com/help/en/oss/developer-reference/error-responses>
pub(super) static SERVICE: Service = Service {
    name: "Alibaba Cloud OSS",
    bucket: "bucket",
    read,
    by_code,
    no_bucket: &["NoSuchBucket"],
    no_credentials: "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (or \
        kOps's ALIYUN_ACCESS_KEY_ID and ALIYUN_ACCESS_KEY_SECRET), run `aliyun configure`, or give \
        the machine a RAM role",
};

/// Our own name for the `AccessDenied` that means another region.
const WRONG_ENDPOINT: &str = "AccessDenied: wrong endpoint";

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Xml {
    code: String,
    message: String,
    request_id: Option<String>,
    /// The number of this very error, by which the documents tell causes and remedies.
    #[serde(rename = "EC")]
    ec: String,
    /// Where the bucket is.
    endpoint: Option<String>,
}

fn read(body: &[u8], headers: &HeaderMap) -> Told {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // An answer to HEAD has no body.
    let from_header = text("x-oss-err").and_then(|text| BASE64_STANDARD.decode(text).ok());
    let body = match from_header {
        Some(body) if !body.is_empty() => body,
        _ => body.to_vec(),
    };
    let Xml {
        mut code,
        mut message,
        request_id,
        ec,
        endpoint,
    } = xml::read(&body, "Error").unwrap_or_default();
    if let Some(endpoint) = endpoint.filter(|_| code == "AccessDenied") {
        WRONG_ENDPOINT.clone_into(&mut code);
        message =
            format!("the bucket is at {endpoint}: set OSS_REGION, ?region= or ?endpoint= to that");
    }
    if !ec.is_empty() && !message.is_empty() {
        message = format!("{message} [EC {ec}]");
    }
    let request_id = request_id.or_else(|| text("x-oss-request-id").map(str::to_owned));
    Told {
        code,
        message,
        request_id,
    }
}

fn by_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "NoSuchKey" | "NoSuchBucket" | "NoSuchVersion" => ErrorKind::NotFound,
        "NoSuchUpload" => ErrorKind::Other,
        "FileAlreadyExists" => ErrorKind::AlreadyExists,
        "PreconditionFailed" => ErrorKind::PreconditionFailed { found: None },
        WRONG_ENDPOINT => ErrorKind::Invalid,
        "InvalidDigest" => ErrorKind::Corrupt,
        "InvalidObjectName" => ErrorKind::InvalidKey,
        // An archived object that wasn't restored.
        "InvalidObjectState" | "EntityTooLarge" | "FileImmutable" => ErrorKind::Unsupported,
        "QpsLimitExceeded"
        | "RequestRateLimitExceeded"
        | "TotalQpsLimitExceeded"
        | "DownloadTrafficRateLimitExceeded"
        | "UploadTrafficRateLimitExceeded"
        | "ServiceUnavailable"
        | "ServiceBusy" => ErrorKind::Throttled,
        "InternalError" | "RequestTimeout" => ErrorKind::Unavailable,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AccessDenied</Code>\
        <Message>You must use the specified endpoint.</Message><RequestId>R1</RequestId>\
        <HostId>b.oss-cn-hangzhou.aliyuncs.com</HostId><Bucket>b</Bucket>\
        <Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint><EC>0003-00001403</EC></Error>";

    #[test]
    fn bodies_and_headers_are_read() {
        let told = |body: &str, headers: &HeaderMap| {
            let told = read(body.as_bytes(), headers);
            (told.code, told.message, told.request_id)
        };
        let (code, message, id) = told(DENIED, &HeaderMap::new());
        assert_eq!(by_code(&code), Some(ErrorKind::Invalid));
        assert!(message.contains("at oss-cn-beijing.aliyuncs.com") && message.contains("EC 0003"));
        assert_eq!(id.as_deref(), Some("R1"));
        let xml = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";
        let headers = [
            ("x-oss-err", BASE64_STANDARD.encode(xml)),
            ("x-oss-request-id", "R2".into()),
        ];
        let headers = headers.map(|(name, value)| {
            let value = value.parse::<http::HeaderValue>().expect("a header");
            (http::HeaderName::from_static(name), value)
        });
        let headers = HeaderMap::from_iter(headers);
        let expected = ("NoSuchBucket".into(), "none".into(), Some("R2".into()));
        assert_eq!(told("", &headers), expected);
        assert_eq!(told("<html/>", &HeaderMap::new()), Default::default());
    }
}
