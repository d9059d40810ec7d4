//! Whether a bucket can be told not to overwrite: where it keeps versions, or ever did, the
//! service ignores that it is told so, answers 200, and only `GetBucketVersioning` tells.

use http::{HeaderMap, Request};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::OssStore;
use crate::store::{Error, ErrorKind, Key, Precondition, Result};

const CHECK_YOURSELF: &str =
    "write it without a condition, after making sure that nobody else writes it";

/// What is known of a bucket's versions.
#[derive(Default)]
pub(super) struct Versions(OnceCell<Option<Doubt>>);

/// Why the service can't be trusted not to overwrite.
enum Doubt {
    KeepsVersions,
    /// We may not ask; what was said instead.
    Unknown(String),
}

/// <https://www.alibabacloud.com/help/en/oss/developer-reference/getbucketversioning>
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Configuration {
    status: Option<String>,
}

impl Versions {
    /// Whether nothing is known that would forbid to create objects under a condition.
    pub(super) fn let_create(&self) -> bool {
        !matches!(self.0.get(), Some(Some(_)))
    }
}

impl OssStore {
    /// Finds out whether objects can be created under a condition.
    pub(super) async fn ask_versions(&self) -> Result<()> {
        let ask = || self.doubt();
        self.bucket.versions.0.get_or_try_init(ask).await.map(drop)
    }

    async fn doubt(&self) -> Result<Option<Doubt>> {
        let call = self.call("write", "oss:GetBucketVersioning", None);
        let request = || Request::get("/?versioning");
        let asked = self.ask_xml::<Configuration>(call, "VersioningConfiguration", request);
        match asked.await {
            // A bucket that never kept any has no status.
            Ok(Configuration { status: None }) => Ok(None),
            Ok(_) => Ok(Some(Doubt::KeepsVersions)),
            Err(error) => match error.kind() {
                ErrorKind::PermissionDenied { .. } | ErrorKind::Unsupported => {
                    Ok(Some(Doubt::Unknown(error.message().to_owned())))
                }
                _ => Err(error),
            },
        }
    }

    /// Refuses a condition that the service wouldn't check.
    pub(super) async fn check_condition(
        &self,
        operation: &'static str,
        key: &Key,
        precondition: &Precondition,
    ) -> Result<()> {
        match precondition {
            Precondition::None => return Ok(()),
            Precondition::IfAbsent => self.ask_versions().await?,
            Precondition::IfMatch(_) => {
                let message = "Alibaba Cloud OSS has no compare-and-swap: it can't hold a write or \
                    a delete to a version";
                return Err(self
                    .unsupported(operation, key, message)
                    .hint(CHECK_YOURSELF));
            }
        }
        match self.bucket.versions.0.get() {
            Some(Some(Doubt::KeepsVersions)) => Err(self
                .unsupported(
                    operation,
                    key,
                    "the bucket keeps versions, or once did, and then OSS overwrites though it is \
                     told not to",
                )
                .hint(CHECK_YOURSELF)),
            Some(Some(Doubt::Unknown(said))) => Err(self
                .unsupported(
                    operation,
                    key,
                    &format!(
                        "whether the bucket keeps versions can't be asked ({said}), and if it \
                         does OSS overwrites though it is told not to"
                    ),
                )
                .hint("allow oss:GetBucketVersioning on the bucket to whoever runs this")),
            _ => Ok(()),
        }
    }

    /// Believes an answer to a conditional write only from a bucket that still keeps no versions.
    pub(super) fn check_forbade(
        &self,
        operation: &'static str,
        key: &Key,
        precondition: &Precondition,
        headers: &HeaderMap,
    ) -> Result<()> {
        if *precondition == Precondition::None || !headers.contains_key("x-oss-version-id") {
            return Ok(());
        }
        let message = "it was written, but the bucket keeps versions by now, so that OSS didn't \
            look whether the object existed";
        Err(self
            .unsupported(operation, key, message)
            .hint("compare the object with its version before, if there is one"))
    }

    fn unsupported(&self, operation: &'static str, key: &Key, message: &str) -> Error {
        self.folder
            .error(ErrorKind::Unsupported, operation, key, message)
    }
}
