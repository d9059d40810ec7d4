//! Writing: one `PutObject` for what is no longer than a part, else a multipart upload.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::types::ServerSideEncryption;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::encryption::Encryption;
use super::error::Failure;
use super::{S3Store, md5_in, quoted, tag_of};
use crate::store::mark::{MARK, marked, unmarked};
use crate::store::pieces::{Piece, Pieces};
use crate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Key, Meta, Precondition, Result, Tag, WriteOptions,
};

/// kOps writes this type, and so does AWS when none is given.
pub(super) const OCTETS: &str = "application/octet-stream";

/// What the service must have stored when a write got through.
pub(super) struct Written {
    pub size: u64,
    /// The tag that a service gives to these bytes where its tags are MD5s, where that is known.
    pub tag: Option<Tag>,
    /// The MD5 of all bytes, where it is known.
    pub md5: Option<Checksum>,
}

/// The headers of a conditional write.
#[derive(Default)]
pub(super) struct Conditions {
    pub if_none_match: Option<String>,
    pub if_match: Option<String>,
}

/// How a refused conditional write turns out on a closer look.
pub(super) enum Settled {
    /// An earlier attempt, whose answer was lost, did write it.
    Ours(Box<Meta>),
    /// The object is the wanted version: the service read the condition in another way.
    Misread(Error),
}

impl S3Store {
    pub(super) async fn put(&self, key: &Key, body: Body, options: &WriteOptions) -> Result<Meta> {
        let options = &marked(options);
        let full = self.new_name("write", key)?;
        // Found first, so that its own retries aren't multiplied by ours.
        self.client("write").await?;
        let announced = body.size();
        let limit = self.single_limit(&options.precondition);
        if announced.is_some_and(|size| size > limit as u64) {
            self.check_parts(key, options)?;
        }
        let size = announced.map_or(limit, |size| {
            limit.min(usize::try_from(size).unwrap_or(limit))
        });
        let first = match &body {
            Body::Bytes(_) => Piece::without_room(),
            Body::Stream { .. } => self.shared.account.buffers().room(size as u64).await,
        };
        let mut pieces = Pieces::new(body);
        let first = pieces.next(size, first).await?;
        if !pieces.at_end().await? {
            if size < limit {
                self.check_size(key, announced, pieces.seen)?;
            }
            self.check_parts(key, options)?;
            return self
                .put_parts(key, &full, first, pieces, announced, options)
                .await;
        }
        self.check_size(key, announced, pieces.seen)?;
        let md5 = Checksum::of(Algorithm::Md5, &first.bytes);
        self.check_sum(key, options, |algorithm| match algorithm {
            Algorithm::Md5 => md5.clone(),
            other => Checksum::of(other, &first.bytes),
        })?;
        self.put_single(key, &full, &first.bytes, md5, options)
            .await
    }

    /// The longest body in bytes that goes up in one request.
    fn single_limit(&self, precondition: &Precondition) -> usize {
        let tuning = self.shared.account.tuning();
        let is_conditional = *precondition != Precondition::None;
        let limit = if is_conditional && !self.shared.account.vendor.late_conditions {
            tuning.largest_conditional.max(tuning.part_size)
        } else {
            tuning.part_size
        };
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    pub(super) fn check_size(&self, key: &Key, announced: Option<u64>, seen: u64) -> Result<()> {
        match announced {
            Some(size) if size != seen => {
                let message = format!("the body has {seen} bytes instead of the announced {size}");
                Err(self.folder.error(ErrorKind::Corrupt, "write", key, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_sum(
        &self,
        key: &Key,
        options: &WriteOptions,
        sum: impl FnOnce(Algorithm) -> Checksum,
    ) -> Result<()> {
        match &options.checksum {
            Some(wanted) if sum(wanted.algorithm) != *wanted => {
                let message = "the bytes don't have the expected checksum; nothing was written";
                Err(self.folder.error(ErrorKind::Corrupt, "write", key, message))
            }
            _ => Ok(()),
        }
    }

    async fn put_single(
        &self,
        key: &Key,
        full: &str,
        bytes: &Bytes,
        md5: Checksum,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let written = Written {
            size: bytes.len() as u64,
            tag: Some(Tag(md5.hex())),
            md5: Some(md5),
        };
        let known = &self.shared.account.bare_tags;
        let mut bare = known.load(Ordering::Relaxed);
        let mut may_switch = true;
        loop {
            let conditions = Conditions::new(&options.precondition, bare);
            let uncertain = AtomicBool::new(false);
            let policy = &self.shared.account.tuning().retry;
            let attempt = |_| async {
                let sent = self
                    .put_once(full, bytes, &written, options, &conditions)
                    .await;
                sent.map_err(|failure| self.write_error(key, full, failure, options, &uncertain))
            };
            let refusal = match policy.run(attempt).await {
                Ok(answer) => {
                    known.store(bare, Ordering::Relaxed);
                    let tag = answer.e_tag().and_then(tag_of);
                    let encryption = answer.server_side_encryption();
                    return self.written(key, written, tag, encryption, options);
                }
                Err(error) if error.is_conflict() => error,
                Err(error) => return Err(error),
            };
            let uncertain = uncertain.load(Ordering::Relaxed);
            match Box::pin(self.settle(key, &written, options, refusal, uncertain)).await? {
                Settled::Ours(meta) => return Ok(*meta),
                Settled::Misread(_) if may_switch => {
                    may_switch = false;
                    bare = !bare;
                }
                Settled::Misread(refusal) => return Err(refusal),
            }
        }
    }

    /// One request, and one more without the encryption header where only that was refused.
    async fn put_once(
        &self,
        full: &str,
        bytes: &Bytes,
        written: &Written,
        options: &WriteOptions,
        conditions: &Conditions,
    ) -> Result<PutObjectOutput, Failure> {
        let encryption = self.encryption().await.map_err(Failure::ours)?;
        let failure = match self
            .send_put(full, bytes, written, options, conditions, &encryption)
            .await
        {
            Err(failure)
                if failure.is_refused_feature() && self.may_drop_encryption(&encryption) =>
            {
                failure
            }
            result => return result,
        };
        tracing::debug!(?failure, "trying the write without an encryption header");
        let plain = Encryption::default();
        let answer = self
            .send_put(full, bytes, written, options, conditions, &plain)
            .await?;
        self.drop_encryption();
        Ok(answer)
    }

    async fn send_put(
        &self,
        full: &str,
        bytes: &Bytes,
        written: &Written,
        options: &WriteOptions,
        conditions: &Conditions,
        encryption: &Encryption,
    ) -> Result<PutObjectOutput, Failure> {
        let shared = &self.shared;
        let md5 = written
            .md5
            .as_ref()
            .filter(|_| !shared.account.vendor.sdk_checksums);
        let request = self
            .client("write")
            .await
            .map_err(Failure::ours)?
            .put_object()
            .bucket(&shared.bucket_name)
            .key(full)
            .content_type(options.content_type.as_deref().unwrap_or(OCTETS))
            .set_metadata(
                (!options.user.is_empty()).then(|| options.user.clone().into_iter().collect()),
            )
            .set_acl(shared.acl.clone())
            .set_server_side_encryption(encryption.algorithm.clone())
            .set_ssekms_key_id(encryption.key.clone())
            .set_content_md5(md5.map(|md5| BASE64_STANDARD.encode(&md5.value)))
            .set_if_none_match(conditions.if_none_match.clone())
            .set_if_match(conditions.if_match.clone())
            .body(bytes.clone().into());
        request.send().await.map_err(|error| Failure::of(&error))
    }

    /// What a failed write means under its precondition.
    pub(super) fn write_error(
        &self,
        key: &Key,
        full: &str,
        failure: Failure,
        options: &WriteOptions,
        uncertain: &AtomicBool,
    ) -> Error {
        if failure.is_uncertain() {
            uncertain.store(true, Ordering::Relaxed);
        }
        let is_missing = failure.is(&["NoSuchKey"]);
        let error = failure.into_error(&self.call("write", "s3:PutObject", Some((key, full))));
        match (&options.precondition, error.kind()) {
            (Precondition::IfAbsent, ErrorKind::PreconditionFailed { .. }) => self.folder.error(
                ErrorKind::AlreadyExists,
                "write",
                key,
                "the object exists already",
            ),
            // AWS answers 404 to If-Match on a key that isn't there.
            (Precondition::IfMatch(_), ErrorKind::NotFound) if is_missing => {
                self.folder.overtaken("write", key, None)
            }
            _ => error,
        }
    }

    /// A conditional write was refused: finds out by whom it was beaten. When an earlier attempt's
    /// outcome is unknown, that may be itself.
    pub(super) async fn settle(
        &self,
        key: &Key,
        written: &Written,
        options: &WriteOptions,
        refusal: Error,
        uncertain: bool,
    ) -> Result<Settled> {
        let wanted = match &options.precondition {
            Precondition::IfMatch(tag) => Some(tag),
            _ if !uncertain => return Err(refusal),
            _ => None,
        };
        let mut now = match self.head_marked("write", key).await {
            Ok(now) => now,
            Err(error) if error.is_missing_key() && wanted.is_some() => {
                return Err(self.folder.overtaken("write", key, None));
            }
            Err(_) => return Err(refusal),
        };
        if wanted.is_some() && now.tag.as_ref() == wanted {
            return Ok(Settled::Misread(refusal));
        }
        let mark = now.user.remove(MARK);
        let is_ours = match options.user.get(MARK) {
            Some(ours) => mark.as_ref() == Some(ours),
            // A copy can't be marked: it carries over what the source has.
            None => now.tag.is_some() && now.tag == written.tag,
        };
        if uncertain && is_ours && now.size == written.size {
            let checksum = written.md5.clone();
            return Ok(Settled::Ours(Box::new(Meta { checksum, ..now })));
        }
        match wanted {
            Some(_) => Err(self.folder.overtaken("write", key, now.tag)),
            None => Err(refusal),
        }
    }

    /// The metadata of a write, after comparing what the service says it stored.
    pub(super) fn written(
        &self,
        key: &Key,
        written: Written,
        tag: Option<Tag>,
        encryption: Option<&ServerSideEncryption>,
        options: &WriteOptions,
    ) -> Result<Meta> {
        if let (Some(tag), Some(sent)) = (&tag, &written.tag)
            && is_comparable(tag, sent, encryption)
            && !tag.0.eq_ignore_ascii_case(&sent.0)
        {
            let message = format!(
                "the service stored other bytes than were sent: its ETag is {}, not {}",
                tag.0, sent.0
            );
            return Err(self.folder.error(ErrorKind::Corrupt, "write", key, message));
        }
        Ok(Meta {
            tag,
            checksum: written.md5,
            content_type: Some(options.content_type.as_deref().unwrap_or(OCTETS).to_owned()),
            user: unmarked(&options.user),
            ..Meta::new(key.clone(), written.size)
        })
    }
}

/// Whether a tag is made of MD5s, in the same way as the one that was computed.
fn is_comparable(tag: &Tag, sent: &Tag, encryption: Option<&ServerSideEncryption>) -> bool {
    let parts = |tag: &Tag| match tag.0.split_once('-') {
        Some((digest, count)) => (Tag(digest.to_owned()), Some(count.to_owned())),
        None => (tag.clone(), None),
    };
    let ((digest, count), (_, expected)) = (parts(tag), parts(sent));
    count == expected && md5_in(&digest, encryption).is_some()
}

impl Conditions {
    /// With `bare` the tag goes without quotes: Ceph 16 compares the raw header with its tag.
    pub(super) fn new(precondition: &Precondition, bare: bool) -> Self {
        match precondition {
            Precondition::None => Self::default(),
            Precondition::IfAbsent => Self {
                if_none_match: Some("*".to_owned()),
                if_match: None,
            },
            Precondition::IfMatch(tag) => Self {
                if_none_match: None,
                if_match: Some(if bare { tag.0.clone() } else { quoted(tag) }),
            },
        }
    }
}
