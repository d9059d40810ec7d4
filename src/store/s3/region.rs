//! Where a bucket is, found as kOps finds it: `GetBucketLocation`, and where that is refused the
//! header that S3 puts on every answer about a bucket, redirects and refusals included.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_bucket::HeadBucketOutput;
use aws_sdk_s3::types::BucketLocationConstraint;

use super::S3Store;
use super::error::Failure;
use super::settings::Region;
use crate::store::Result;

impl S3Store {
    /// The client for the bucket's region; the region is asked for once a bucket.
    pub(super) async fn client(&self, operation: &'static str) -> Result<&Client> {
        let shared = &self.shared;
        if let Some(client) = shared.bucket.client.get() {
            return Ok(client);
        }
        let find = async || match &shared.region {
            Region::Fixed(region) => Ok(shared.account.client(region).await),
            Region::Discover(first) => {
                let client = shared.account.client(first).await;
                let policy = &shared.account.tuning().retry;
                let found = policy.run(|_| self.discover(&client, operation)).await?;
                match found {
                    Some(region) if region != *first => {
                        tracing::debug!(bucket = shared.bucket_name, region, "found the region");
                        Ok(shared.account.client(&region).await)
                    }
                    _ => Ok(client),
                }
            }
        };
        Box::pin(shared.bucket.client.get_or_try_init(find)).await
    }

    async fn discover(&self, client: &Client, operation: &'static str) -> Result<Option<String>> {
        let name = &self.shared.bucket_name;
        match client.get_bucket_location().bucket(name).send().await {
            Ok(answer) => {
                let constraint = answer
                    .location_constraint()
                    .map(BucketLocationConstraint::as_str);
                return Ok(Some(
                    from_constraint(constraint.unwrap_or_default()).to_owned(),
                ));
            }
            Err(error) => {
                if let Some(region) = Failure::of(&error).region {
                    return Ok(Some(region));
                }
            }
        }
        match client.head_bucket().bucket(name).send().await {
            Ok(answer) => Ok(answer.bucket_region().map(str::to_owned)),
            Err(error) => {
                let failure = Failure::of(&error);
                if let Some(region) = failure.region {
                    return Ok(Some(region));
                }
                // Whoever may not ask may still be allowed to read and write.
                if matches!(failure.status(), Some(400 | 401 | 403)) {
                    return Ok(None);
                }
                Err(failure.into_error(&self.call(operation, "s3:ListBucket", None)))
            }
        }
    }

    /// Whether the bucket exists, where an answer without a body leaves that open. Asked once.
    pub(super) async fn check_bucket(&self, operation: &'static str) -> Result<()> {
        let client = self.client(operation).await?;
        let ask = || async {
            let answer: Result<HeadBucketOutput, _> = client
                .head_bucket()
                .bucket(&self.shared.bucket_name)
                .send()
                .await;
            match answer.map_err(|error| Failure::of(&error)) {
                Err(failure) if failure.status() == Some(404) => {
                    Err(failure.into_error(&self.call(operation, "s3:ListBucket", None)))
                }
                // A refusal or an outage doesn't say that the bucket is missing.
                _ => Ok(()),
            }
        };
        let known = Box::pin(self.shared.bucket.exists.get_or_try_init(ask));
        known.await.copied()
    }
}

/// See <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html>: the first
/// region has no name there, and buckets made before 2015 may have the old name of Ireland.
fn from_constraint(constraint: &str) -> &str {
    match constraint {
        "" => "us-east-1",
        "EU" => "eu-west-1",
        region => region,
    }
}

#[cfg(test)]
mod tests {
    use super::from_constraint;

    #[test]
    fn old_names_of_regions_are_understood() {
        assert_eq!(from_constraint(""), "us-east-1");
        assert_eq!(from_constraint("EU"), "eu-west-1");
        assert_eq!(from_constraint("eu-central-1"), "eu-central-1");
    }
}
