//! Copies that the service makes itself, within one account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::operation::copy_object::CopyObjectOutput;
use aws_sdk_s3::types::MetadataDirective;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::encryption::Encryption;
use super::error::Failure;
use super::write::{Conditions, Settled, Written};
use super::{S3Store, md5_in, quoted, tag_of};
use crate::store::{Error, ErrorKind, Key, Meta, Precondition, Result, Tag, WriteOptions, lock};

/// What stays as it is in the header that names the source.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// An object above this size, in bytes, is not copied twice to find out what the service compares.
const LARGEST_TRIAL: u64 = 8 << 20;

/// One version of one object, as a copy's headers name it.
pub(super) struct Origin<'a> {
    pub store: &'a S3Store,
    pub from: &'a Meta,
    /// `bucket/key`, percent-encoded.
    pub path: String,
    pub tag: Tag,
}

impl Origin<'_> {
    /// The source's metadata, if it is still that version.
    async fn still(&self) -> Result<Meta> {
        let now = self.store.head("copy", &self.from.key).await?;
        if now.tag.as_ref() == Some(&self.tag) {
            return Ok(now);
        }
        Err(self.changed(now.tag))
    }

    pub(super) fn changed(&self, found: Option<Tag>) -> Error {
        self.store.folder.error(
            ErrorKind::PreconditionFailed { found },
            "copy",
            &self.from.key,
            "the source is no longer the version that was listed",
        )
    }
}

/// Why there is no copy.
pub(super) enum Refusal {
    /// The service doesn't copy between these buckets: the bytes must go through here.
    Impossible,
    Failed(Error),
}

impl S3Store {
    pub(super) async fn copy_here(
        &self,
        source: &Self,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        let account = &self.shared.account;
        if !Arc::ptr_eq(account, &source.shared.account) {
            return Ok(None);
        }
        let pair = (
            source.shared.bucket_name.clone(),
            self.shared.bucket_name.clone(),
        );
        let is_conditional = options.precondition != Precondition::None;
        let onto_itself = pair.0 == pair.1
            && source.folder.full(from.key.as_str()) == self.folder.full(key.as_str());
        if onto_itself
            || (is_conditional && !account.vendor.late_conditions)
            || !is_proven(options, from)
            || lock(&account.uncopyable).contains(&pair)
        {
            return Ok(None);
        }
        // Found first, so that its own retries aren't multiplied by ours.
        self.client("copy").await?;
        let tag = match &from.tag {
            Some(tag) => tag.clone(),
            None => match source.head("copy", &from.key).await?.tag {
                Some(tag) => tag,
                None => return Ok(None),
            },
        };
        let name = format!("{}/{}", pair.0, source.folder.full(from.key.as_str()));
        let origin = Origin {
            store: source,
            from,
            path: utf8_percent_encode(&name, PLAIN).to_string(),
            tag,
        };
        self.check_source(&origin, key).await?;
        let copied = if from.size > account.tuning().largest_copy {
            self.copy_parts(&origin, key, options).await
        } else {
            self.copy_whole(&origin, key, options).await
        };
        match copied {
            Ok(meta) => Ok(Some(meta)),
            Err(Refusal::Failed(error)) => Err(error),
            Err(Refusal::Impossible) => {
                tracing::debug!(from = pair.0, to = pair.1, "no server-side copies here");
                lock(&account.uncopyable).insert(pair);
                Ok(None)
            }
        }
    }

    /// Where the service doesn't compare the source's version itself, as Ceph 16 and moto don't,
    /// compares it beforehand, unless the tag of the copy will tell afterwards. Which it is, the
    /// first copy finds out, and the others wait for that.
    async fn check_source(&self, origin: &Origin<'_>, key: &Key) -> Result<()> {
        let account = &self.shared.account;
        if account.vendor.late_conditions {
            return Ok(());
        }
        if account.source_conditions.get().is_none() && origin.from.size > LARGEST_TRIAL {
            return origin.still().await.map(drop);
        }
        let full = self.folder.full(key.as_str());
        let mut compared = false;
        let learn = async || {
            origin.still().await?;
            compared = true;
            let honours = self.honours_source_condition(origin, key).await;
            honours.map_err(|failure| self.copy_error(origin, key, &full, failure))
        };
        let honours = Box::pin(account.source_conditions.get_or_try_init(learn)).await;
        match honours {
            Ok(true) => Ok(()),
            Ok(false) if md5_in(&origin.tag, None).is_some() || compared => Ok(()),
            Ok(false) => origin.still().await.map(drop),
            // A failed trial teaches nothing; the copy itself will meet and report it.
            Err(_) if compared => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks for a version that doesn't exist: where that succeeds, it makes the very copy that is
    /// wanted.
    async fn honours_source_condition(
        &self,
        origin: &Origin<'_>,
        key: &Key,
    ) -> Result<bool, Failure> {
        let nowhere = Origin {
            store: origin.store,
            from: origin.from,
            path: origin.path.clone(),
            tag: Tag("0".repeat(32)),
        };
        let full = self.folder.full(key.as_str());
        let answer = self
            .copy_once(&nowhere, &full, &WriteOptions::default())
            .await;
        match answer {
            Ok(_) => Ok(false),
            Err(failure) if failure.status() == Some(412) => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    async fn copy_whole(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Meta, Refusal> {
        let full = self.new_name("copy", key).map_err(Refusal::Failed)?;
        let uncertain = AtomicBool::new(false);
        let impossible = AtomicBool::new(false);
        let policy = &self.shared.account.tuning().retry;
        let attempt = |_| async {
            let sent = self.copy_once(origin, &full, options).await;
            sent.map_err(|failure| {
                uncertain.fetch_or(failure.is_uncertain(), Ordering::Relaxed);
                impossible.store(is_impossible(&failure), Ordering::Relaxed);
                self.copy_error(origin, key, &full, failure)
            })
        };
        let answer = match policy.run(attempt).await {
            Ok(answer) => answer,
            Err(_) if impossible.load(Ordering::Relaxed) => return Err(Refusal::Impossible),
            Err(error) if matches!(error.kind(), ErrorKind::PreconditionFailed { .. }) => {
                let uncertain = uncertain.load(Ordering::Relaxed);
                let settled = self.settle_copy(origin, key, options, error, uncertain);
                return settled.await.map_err(Refusal::Failed);
            }
            Err(error) => return Err(Refusal::Failed(error)),
        };
        let tag = answer
            .copy_object_result()
            .and_then(|result| result.e_tag())
            .and_then(tag_of);
        self.check_copy(origin, key, tag.as_ref(), &answer)
            .await
            .map_err(Refusal::Failed)?;
        let checksum = tag
            .as_ref()
            .and_then(|tag| md5_in(tag, answer.server_side_encryption()));
        Ok(Meta {
            key: key.clone(),
            modified: None,
            tag,
            checksum,
            ..origin.from.clone()
        })
    }

    async fn copy_once(
        &self,
        origin: &Origin<'_>,
        full: &str,
        options: &WriteOptions,
    ) -> Result<CopyObjectOutput, Failure> {
        let encryption = self.encryption().await.map_err(Failure::ours)?;
        let failure = match self.send_copy(origin, full, options, &encryption).await {
            Err(failure)
                if failure.is_refused_feature() && self.may_drop_encryption(&encryption) =>
            {
                failure
            }
            result => return result,
        };
        tracing::debug!(?failure, "trying the copy without an encryption header");
        let plain = Encryption::default();
        let answer = self.send_copy(origin, full, options, &plain).await?;
        self.drop_encryption();
        Ok(answer)
    }

    async fn send_copy(
        &self,
        origin: &Origin<'_>,
        full: &str,
        options: &WriteOptions,
        encryption: &Encryption,
    ) -> Result<CopyObjectOutput, Failure> {
        let conditions = Conditions::new(&options.precondition, false);
        let client = self.client("copy").await.map_err(Failure::ours)?;
        let request = client
            .copy_object()
            .bucket(&self.shared.bucket_name)
            .key(full)
            .copy_source(&origin.path)
            .copy_source_if_match(quoted(&origin.tag))
            .metadata_directive(MetadataDirective::Copy)
            .set_acl(self.shared.acl.clone())
            .set_server_side_encryption(encryption.algorithm.clone())
            .set_ssekms_key_id(encryption.key.clone())
            .set_if_none_match(conditions.if_none_match)
            .set_if_match(conditions.if_match);
        request.send().await.map_err(|error| Failure::of(&error))
    }

    pub(super) fn copy_error(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        full: &str,
        failure: Failure,
    ) -> Error {
        if failure.is(&["NoSuchKey", "NotFound"]) {
            return Error::not_found("copy", &origin.store.folder.url, &origin.from.key);
        }
        failure.into_error(&self.call("copy", "s3:PutObject", Some((key, full))))
    }

    /// A copy was refused for a condition: on the source, or on the target.
    async fn settle_copy(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        options: &WriteOptions,
        refusal: Error,
        uncertain: bool,
    ) -> Result<Meta> {
        let source = origin.still().await?;
        let refusal = match options.precondition {
            Precondition::IfAbsent => self.folder.error(
                ErrorKind::AlreadyExists,
                "copy",
                key,
                "the object exists already",
            ),
            _ => refusal,
        };
        let written = Written {
            size: source.size,
            tag: source.checksum.is_some().then(|| origin.tag.clone()),
            md5: source.checksum.clone(),
        };
        match Box::pin(self.settle(key, &written, options, refusal, uncertain)).await? {
            Settled::Ours(meta) => Ok(*meta),
            Settled::Misread(refusal) => Err(refusal),
        }
    }

    /// Makes sure of what was copied: Ceph and moto ignore the condition on the source, and with
    /// KMS a tag is no MD5, which only a HEAD tells.
    async fn check_copy(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        tag: Option<&Tag>,
        answer: &CopyObjectOutput,
    ) -> Result<()> {
        if tag == Some(&origin.tag) {
            return Ok(());
        }
        let copied = tag.and_then(|tag| md5_in(tag, answer.server_side_encryption()));
        let comparable = copied.is_some() && md5_in(&origin.tag, None).is_some();
        if !comparable && self.shared.account.vendor.late_conditions {
            return Ok(());
        }
        let source = origin.still().await?;
        if !comparable || source.checksum.is_none() {
            return Ok(());
        }
        let message = format!(
            "the copy has other bytes than the source: its ETag isn't {}",
            origin.tag.0
        );
        Err(self.folder.error(ErrorKind::Corrupt, "copy", key, message))
    }
}

/// Whether what the source is known to be already shows what the caller wants proven; else the
/// bytes must be read.
fn is_proven(options: &WriteOptions, from: &Meta) -> bool {
    options.checksum.is_none() || options.checksum == from.checksum
}

pub(super) fn is_impossible(failure: &Failure) -> bool {
    matches!(failure.status(), Some(301 | 307 | 403 | 405 | 501))
        || failure.is(&[
            "AccessDenied",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "InvalidRegion",
            "InvalidRequest",
            "NotImplemented",
        ])
}
