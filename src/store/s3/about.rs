//! How a bucket is set up, for those who look after it.

use std::collections::BTreeMap;

use aws_sdk_s3::types::PublicAccessBlockConfiguration;
use serde::Serialize;

use super::S3Store;
use super::error::Failure;
use crate::store::Result;

/// What the service says of a bucket. Nothing of it is needed to work with the bucket.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct BucketSettings {
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How objects are encrypted by default: `AES256`, `aws:kms` …, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Whether old versions are kept: `enabled`, `suspended` or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versioning: Option<String>,
    /// Whether the bucket keeps the public out, whatever its policy says: `blocked`,
    /// `partly blocked` or `not blocked`. The account may do so too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_access: Option<String>,
    /// Why the others aren't known, by their names.
    pub unknown: BTreeMap<&'static str, String>,
}

impl S3Store {
    /// Asks how the bucket is set up. What one may not ask, or the service doesn't know, is left out.
    ///
    /// # Errors
    /// Those of finding the bucket.
    pub async fn bucket_settings(&self) -> Result<BucketSettings> {
        let client = self.client("look at").await?;
        let bucket = &self.shared.bucket_name;
        let (encryption, versioning, access) = tokio::join!(
            client.get_bucket_encryption().bucket(bucket).send(),
            client.get_bucket_versioning().bucket(bucket).send(),
            client.get_public_access_block().bucket(bucket).send(),
        );
        let region = client.config().region().map(ToString::to_string);
        let mut settings = BucketSettings {
            region,
            ..BucketSettings::default()
        };
        let encryption = encryption
            .map_err(|error| Failure::of(&error))
            .map(|answer| {
                let rules = answer.server_side_encryption_configuration;
                let rules = rules.map(|rules| rules.rules).unwrap_or_default();
                let mut defaults = rules
                    .into_iter()
                    .filter_map(|rule| rule.apply_server_side_encryption_by_default);
                let first = defaults.next();
                first.map_or_else(
                    || "none".to_owned(),
                    |rule| rule.sse_algorithm.as_str().to_owned(),
                )
            });
        settings.encryption = self.known(
            &mut settings,
            ("encryption", "s3:GetEncryptionConfiguration"),
            encryption,
            Some(("ServerSideEncryptionConfigurationNotFoundError", "none")),
        );
        let versioning = versioning
            .map_err(|error| Failure::of(&error))
            .map(|answer| {
                let status = answer
                    .status
                    .map(|status| status.as_str().to_ascii_lowercase());
                status.unwrap_or_else(|| "off".to_owned())
            });
        settings.versioning = self.known(
            &mut settings,
            ("versioning", "s3:GetBucketVersioning"),
            versioning,
            None,
        );
        let access = access
            .map_err(|error| Failure::of(&error))
            .map(|answer| blocked(answer.public_access_block_configuration.as_ref()).to_owned());
        settings.public_access = self.known(
            &mut settings,
            ("public_access", "s3:GetBucketPublicAccessBlock"),
            access,
            Some(("NoSuchPublicAccessBlockConfiguration", "not blocked")),
        );
        Ok(settings)
    }

    /// The answer, if there is one, else a note of why not. Of some settings an error code says that
    /// there is none.
    fn known(
        &self,
        settings: &mut BucketSettings,
        (name, action): (&'static str, &'static str),
        answer: Result<String, Failure>,
        none: Option<(&str, &str)>,
    ) -> Option<String> {
        let failure = match (answer, none) {
            (Ok(answer), _) => return Some(answer),
            (Err(failure), Some((code, meaning))) if failure.is(&[code]) => {
                return Some(meaning.to_owned());
            }
            (Err(failure), _) => failure,
        };
        let error = failure.into_error(&self.call("look at", action, None));
        settings.unknown.insert(name, error.message().to_owned());
        None
    }
}

fn blocked(block: Option<&PublicAccessBlockConfiguration>) -> &'static str {
    let Some(block) = block else {
        return "not blocked";
    };
    let all = [
        block.block_public_acls,
        block.ignore_public_acls,
        block.block_public_policy,
        block.restrict_public_buckets,
    ];
    match all.iter().filter(|one| **one == Some(true)).count() {
        4 => "blocked",
        0 => "not blocked",
        _ => "partly blocked",
    }
}
