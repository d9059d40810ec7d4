//! Server-side encryption and ACLs of what is written, by kOps's rules.
//!
//! kOps sends `AES256` on `s3://` unless the bucket has a default of its own, and asks for that
//! default once a bucket; the other schemes send nothing.

use std::sync::atomic::Ordering;

use aws_sdk_s3::types::{ObjectCannedAcl, ServerSideEncryption};

use super::S3Store;
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Result, StoreUrl};

/// The encryption that a write asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Encryption {
    /// The algorithm; none leaves it to the bucket.
    pub algorithm: Option<ServerSideEncryption>,
    /// The KMS key; none is the account's default key.
    pub key: Option<String>,
}

/// How the encryption of a store is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// kOps's: `AES256` unless the bucket has a default.
    Kops,
    /// As the URL's `sse` and `sse_kms_key_id` say, or nothing at all.
    Fixed(Encryption),
}

impl Rule {
    pub(super) fn of(url: &StoreUrl) -> Result<Self> {
        let option = |name: &str| url.options.get(name).filter(|value| !value.is_empty());
        let key = option("sse_kms_key_id").cloned();
        let algorithm = match option("sse").map(String::as_str) {
            Some("AES256") => Some(ServerSideEncryption::Aes256),
            Some("aws:kms") => Some(ServerSideEncryption::AwsKms),
            None if key.is_some() => Some(ServerSideEncryption::AwsKms),
            None if url.scheme == "s3" => return Ok(Self::Kops),
            None | Some("none") => None,
            Some(other) => {
                return Err(invalid(url, format!("sse can't be '{other}'"))
                    .hint("write sse=AES256, sse=aws:kms or sse=none"));
            }
        };
        if key.is_some() && algorithm != Some(ServerSideEncryption::AwsKms) {
            return Err(invalid(url, "sse_kms_key_id is for sse=aws:kms only"));
        }
        Ok(Self::Fixed(Encryption { algorithm, key }))
    }
}

/// The ACL of what is written: the URL's, or `KOPS_STATE_S3_ACL` as kOps reads it.
pub(super) fn acl(url: &StoreUrl, env: &Env) -> Result<Option<ObjectCannedAcl>> {
    let (name, text) = match url.options.get("acl").filter(|acl| !acl.is_empty()) {
        Some(acl) => ("acl", acl.as_str()),
        None => match env.get("KOPS_STATE_S3_ACL") {
            Some(acl) => ("KOPS_STATE_S3_ACL", acl),
            None => return Ok(None),
        },
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match ObjectCannedAcl::try_parse(text) {
        Ok(acl) => Ok(Some(acl)),
        Err(_) => Err(
            invalid(url, format!("{name} is '{text}', which is no canned ACL")).hint(format!(
                "the canned ACLs are {}",
                ObjectCannedAcl::values().join(", ")
            )),
        ),
    }
}

fn invalid(url: &StoreUrl, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "open", message).at(url, None)
}

impl S3Store {
    /// The encryption to ask for, decided once a bucket.
    pub(super) async fn encryption(&self) -> Result<Encryption> {
        let shared = &self.shared;
        if let Rule::Fixed(encryption) = &shared.rule {
            return Ok(encryption.clone());
        }
        if shared.bucket.encryption_refused.load(Ordering::Relaxed) {
            return Ok(Encryption::default());
        }
        if let Some(encryption) = shared.bucket.encryption.get() {
            return Ok(encryption.clone());
        }
        let client = self.client("write").await?;
        let decide = || async {
            let answer = client
                .get_bucket_encryption()
                .bucket(&shared.bucket_name)
                .send()
                .await;
            let has_default = answer.is_ok_and(|answer| {
                answer
                    .server_side_encryption_configuration()
                    .is_some_and(|configuration| !configuration.rules().is_empty())
            });
            Encryption {
                algorithm: (!has_default).then_some(ServerSideEncryption::Aes256),
                key: None,
            }
        };
        Ok(Box::pin(shared.bucket.encryption.get_or_init(decide))
            .await
            .clone())
    }

    /// Whether a write that was refused may be tried without the encryption header: only where
    /// kOps's rule put it there, and never on AWS, which knows it.
    pub(super) fn may_drop_encryption(&self, encryption: &Encryption) -> bool {
        encryption.algorithm.is_some()
            && self.shared.rule == Rule::Kops
            && !self.shared.account.vendor.is_aws()
    }

    /// Remembers that the bucket takes no encryption header.
    pub(super) fn drop_encryption(&self) {
        let refused = &self.shared.bucket.encryption_refused;
        refused.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(url: &str) -> Result<Rule> {
        Rule::of(&StoreUrl::parse(url).unwrap())
    }

    #[test]
    fn only_s3_follows_the_rule_of_kops() {
        assert_eq!(rule("s3://b").unwrap(), Rule::Kops);
        assert_eq!(rule("do://b").unwrap(), Rule::Fixed(Encryption::default()));
        assert_eq!(
            rule("s3://b?sse=none").unwrap(),
            Rule::Fixed(Encryption::default())
        );
    }

    #[test]
    fn a_key_means_kms() {
        let kms = Rule::Fixed(Encryption {
            algorithm: Some(ServerSideEncryption::AwsKms),
            key: Some("k1".into()),
        });
        assert_eq!(rule("s3://b?sse_kms_key_id=k1").unwrap(), kms);
        assert!(rule("s3://b?sse=AES256&sse_kms_key_id=k1").is_err());
        assert!(rule("s3://b?sse=rot13").is_err());
    }

    #[test]
    fn acls_are_trimmed_and_checked() {
        let acl = |url: &str, value: &str| {
            let env = [("KOPS_STATE_S3_ACL", value)].into_iter().collect();
            acl(&StoreUrl::parse(url).unwrap(), &env)
        };
        let control = Some(ObjectCannedAcl::BucketOwnerFullControl);
        assert_eq!(
            acl("do://b", " bucket-owner-full-control ").unwrap(),
            control
        );
        assert_eq!(acl("s3://b", " ").unwrap(), None);
        assert_eq!(
            acl("s3://b?acl=private", "public-read").unwrap(),
            Some(ObjectCannedAcl::Private)
        );
        assert!(acl("s3://b", "everyone").is_err());
    }
}
