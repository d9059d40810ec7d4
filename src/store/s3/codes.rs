//! What the error codes and statuses of S3 mean to us.

use crate::store::ErrorKind;

/// A refusal of which only that is known.
pub(super) fn denied() -> ErrorKind {
    ErrorKind::PermissionDenied {
        action: None,
        resource: None,
    }
}

/// Whether the request went to another region than the bucket's.
pub(super) fn is_wrong_region(status: Option<u16>, code: &str) -> bool {
    matches!(status, Some(301 | 307))
        || matches!(
            code,
            "PermanentRedirect"
                | "TemporaryRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException"
        )
}

/// What an error code means: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
pub(super) fn by_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "NoSuchKey"
        | "NotFound"
        | "NoSuchBucket"
        | "NoSuchVersion"
        | "NoSuchBucketPolicy"
        | "ServerSideEncryptionConfigurationNotFoundError" => ErrorKind::NotFound,
        "NoSuchUpload" => ErrorKind::Other,
        "PreconditionFailed" => ErrorKind::PreconditionFailed { found: None },
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "RequestTimeTooSkewed"
        | "KMS.AccessDeniedException" => denied(),
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "BandwidthLimitExceeded"
        | "ServiceUnavailable" => ErrorKind::Throttled,
        "InternalError"
        | "RequestTimeout"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "XMinioServerNotInitialized" => ErrorKind::Unavailable,
        "NotImplemented" | "MethodNotAllowed" | "EntityTooLarge" => ErrorKind::Unsupported,
        "KeyTooLongError" => ErrorKind::InvalidKey,
        "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => {
            ErrorKind::Corrupt
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "InvalidBucketName"
        | "MalformedPolicy"
        | "InvalidPolicyDocument" => ErrorKind::Invalid,
        _ => return None,
    })
}

/// What a status means where the code says nothing.
pub(super) fn by_status(status: u16) -> Option<ErrorKind> {
    Some(match status {
        301 | 307 => ErrorKind::Invalid,
        401 | 403 => denied(),
        404 => ErrorKind::NotFound,
        405 | 501 => ErrorKind::Unsupported,
        408 | 500 | 502 | 504 => ErrorKind::Unavailable,
        412 => ErrorKind::PreconditionFailed { found: None },
        429 | 503 => ErrorKind::Throttled,
        _ => return None,
    })
}
