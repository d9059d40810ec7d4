//! What happens to every request before it is carried out: it is logged, faults strike it, the
//! rules and the region of its bucket are checked.

use std::sync::Arc;

use http::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::faults::Action;
use super::log::{Request, Slot, shown};
use super::personality::{Checksums, Conditions};
use super::server::Shared;

pub(crate) struct Gate(pub(crate) Arc<Shared>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = cx.credentials() else {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        };
        let request = Request {
            op: cx.s3_op().name().to_owned(),
            bucket: cx
                .s3_path()
                .get_bucket_name()
                .unwrap_or_default()
                .to_owned(),
            key: cx.s3_path().get_object_key().unwrap_or_default().to_owned(),
            access_key: credentials.access_key.clone(),
            query: cx.uri().query().unwrap_or_default().to_owned(),
            headers: shown(cx.headers()),
        };
        let signed_region = signed_region(cx.headers());
        let slot = cx
            .extensions_mut()
            .get::<Slot>()
            .cloned()
            .unwrap_or_default();
        self.strike(&slot, &request).await?;
        self.check_region(&request, signed_region.as_deref())?;
        self.check_rules(&request)?;
        self.check_quirks(&request)
    }
}

impl Gate {
    /// Logs the request and lets the hooks and faults at it. An error stands for the answer that
    /// the server makes of the action.
    async fn strike(&self, slot: &Slot, request: &Request) -> S3Result<()> {
        let (number, struck, before) = {
            let mut log = self.0.log();
            let (number, struck) = log.record(request);
            (number, struck, log.before.clone())
        };
        let action = before
            .and_then(|hook| hook.call(number, request))
            .or(struck);
        let action = match action {
            Some(Action::Call(hook)) => hook.call(number, request),
            action => action,
        };
        {
            let mut exchange = slot.lock().expect("no panic under this lock");
            exchange.number = number;
            exchange.request = Some(request.clone());
            exchange.action.clone_from(&action);
        }
        match action {
            Some(Action::Hang) => std::future::pending().await,
            Some(Action::Slow(time)) => tokio::time::sleep(time).await,
            Some(action) if action.prevents() => return Err(s3_error!(InternalError, "scripted")),
            _ => {}
        }
        Ok(())
    }

    /// A request signed for another region than the bucket's is sent there.
    fn check_region(&self, request: &Request, signed: Option<&str>) -> S3Result<()> {
        if matches!(
            request.op.as_str(),
            "CreateBucket" | "ListBuckets" | "GetBucketLocation"
        ) {
            return Ok(());
        }
        let state = self.0.state();
        let (Some(bucket), Some(signed)) = (state.buckets.get(&request.bucket), signed) else {
            return Ok(());
        };
        if bucket.region == signed {
            return Ok(());
        }
        Err(wrong_region(signed, &bucket.region))
    }

    fn check_rules(&self, request: &Request) -> S3Result<()> {
        let state = self.0.state();
        let allow = |action: &str| {
            let key = if action == "ListBucket" {
                ""
            } else {
                &request.key
            };
            state.allow(&request.access_key, action, &request.bucket, key)
        };
        allow(action_of(&request.op))?;
        if request.header("x-amz-acl").is_some() && request.op != "PutObjectAcl" {
            allow("PutObjectAcl")?;
        }
        if request.header("x-amz-tagging").is_some() {
            allow("PutObjectTagging")?;
        }
        Ok(())
    }

    /// Refuses what this kind of service doesn't know.
    fn check_quirks(&self, request: &Request) -> S3Result<()> {
        let quirks = &self.0.quirks;
        let has = |name| request.header(name).is_some();
        let chunked = request
            .header("x-amz-content-sha256")
            .is_some_and(|hash| hash.starts_with("STREAMING-"));
        if chunked && !quirks.chunked {
            return Err(s3_error!(
                InvalidArgument,
                "aws-chunked uploads are not supported"
            ));
        }
        let upload = matches!(request.op.as_str(), "PutObject" | "UploadPart");
        let mut names = request.headers.keys();
        let checksum = upload && names.any(|name| name.starts_with("x-amz-checksum-"));
        if checksum && quirks.checksums == Checksums::Refused {
            return Err(s3_error!(InvalidArgument, "unknown checksum header"));
        }
        if has("x-amz-server-side-encryption") && !quirks.sse {
            return Err(s3_error!(
                InvalidArgument,
                "server-side encryption is not supported"
            ));
        }
        let missing = (!quirks.acl && (request.op.ends_with("Acl") || has("x-amz-acl")))
            || (!quirks.tagging && (request.op.ends_with("Tagging") || has("x-amz-tagging")))
            || (!quirks.policy && request.op.ends_with("BucketPolicy"))
            || (!quirks.versioning
                && matches!(
                    request.op.as_str(),
                    "PutBucketVersioning" | "ListObjectVersions"
                ));
        if missing {
            return Err(s3_error!(
                NotImplemented,
                "{} is not implemented",
                request.op
            ));
        }
        // refused before the body is read: what is refused here never depends on the state
        let conditional = has("if-match") || has("if-none-match");
        let write = matches!(
            request.op.as_str(),
            "PutObject" | "CopyObject" | "DeleteObject"
        );
        if conditional && write && quirks.put == Conditions::Refused {
            return Err(s3_error!(
                NotImplemented,
                "conditional headers are not implemented"
            ));
        }
        Ok(())
    }
}

/// The region in the credential scope of a version 4 signature.
fn signed_region(headers: &HeaderMap) -> Option<String> {
    let authorization = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (_, scope) = authorization.split_once("Credential=")?;
    Some(scope.split('/').nth(2)?.to_owned())
}

/// What AWS answers: the global endpoint (us-east-1) redirects, a regional one complains about
/// the signature; both name the right region in a header.
fn wrong_region(signed: &str, right: &str) -> S3Error {
    let mut error = if signed == "us-east-1" {
        s3_error!(
            PermanentRedirect,
            "The bucket must be addressed in the region '{right}'."
        )
    } else {
        s3_error!(
            AuthorizationHeaderMalformed,
            "The authorization header is malformed; the region '{signed}' is wrong; expecting '{right}'"
        )
    };
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-amz-bucket-region",
        right.parse().expect("regions are plain ASCII"),
    );
    headers.insert(
        "content-type",
        http::HeaderValue::from_static("application/xml"),
    );
    error.set_headers(headers);
    error
}

/// 404, as AWS answers it; s3s has this code as 400.
pub(crate) fn no_encryption() -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::ServerSideEncryptionConfigurationNotFoundError);
    error.set_status_code(http::StatusCode::NOT_FOUND);
    error
}

/// The action that a policy calls an operation.
fn action_of(op: &str) -> &str {
    match op {
        "HeadObject" => "GetObject",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "ListObjectVersions" => "ListBucketVersions",
        "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload" => "PutObject",
        "ListParts" => "ListMultipartUploadParts",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        // each key of DeleteObjects is checked by itself
        "DeleteObjects" => "",
        "GetBucketEncryption" => "GetEncryptionConfiguration",
        "PutBucketEncryption" => "PutEncryptionConfiguration",
        other => other,
    }
}
