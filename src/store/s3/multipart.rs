//! Uploads in parts: a few in flight, each retried alone, none left behind.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadOutput;
use aws_sdk_s3::operation::create_multipart_upload::CreateMultipartUploadOutput;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{FutureExt, TryStreamExt, stream};

use super::encryption::Encryption;
use super::error::Failure;
use super::write::{Conditions, OCTETS, Settled, Written};
use super::{S3Store, md5_in, tag_of};
use crate::store::pieces::{Piece, Pieces};
use crate::store::{
    Algorithm, Checksum, ErrorKind, Hasher, Key, Meta, Precondition, Result, Tag, WriteOptions,
};

/// S3's limit: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
pub(super) const MOST_PARTS: u64 = 10_000;

/// An upload that the service keeps until it is completed or aborted; dropping it aborts it.
pub(super) struct Upload {
    pub client: Client,
    pub bucket: String,
    pub key: String,
    pub id: String,
    open: bool,
}

/// A part that the service has.
#[derive(Debug)]
pub(super) struct Part {
    pub number: i32,
    /// Its size in bytes.
    pub size: u64,
    pub done: CompletedPart,
    /// Its MD5, where it is known.
    pub md5: Option<Checksum>,
}

/// What is still to be sent.
struct Feed {
    pieces: Pieces,
    first: Option<Piece>,
    number: i32,
    announced: Option<u64>,
    sum: Option<Hasher>,
}

impl S3Store {
    pub(super) async fn put_parts(
        &self,
        key: &Key,
        full: &str,
        first: Piece,
        pieces: Pieces,
        announced: Option<u64>,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let mut upload = self.start(key, full, options, None).await?;
        let result = async {
            let parts = self
                .send_parts(key, &upload, first, pieces, announced, options)
                .await?;
            let written = sum_up(&parts, options);
            self.complete(key, &mut upload, parts, written, options)
                .await
        }
        .await;
        if result.is_err() {
            upload.abort().await;
        }
        result
    }

    /// Refuses what can't go up in parts: under a condition that the service wouldn't check.
    pub(super) fn check_parts(&self, key: &Key, options: &WriteOptions) -> Result<()> {
        let account = &self.shared.account;
        if options.precondition == Precondition::None || account.vendor.late_conditions {
            return Ok(());
        }
        let message = format!(
            "{} isn't known to check conditions on uploads in parts, and the object is larger \
             than the {} that go in one request",
            account.vendor.name,
            crate::text::human_size(account.tuning().largest_conditional)
        );
        Err(self
            .folder
            .error(ErrorKind::Unsupported, "write", key, message)
            .hint("write it without a condition, after making sure that nobody else writes it"))
    }

    /// Begins an upload, with everything that belongs to the object but its bytes.
    pub(super) async fn start(
        &self,
        key: &Key,
        full: &str,
        options: &WriteOptions,
        tagging: Option<String>,
    ) -> Result<Upload> {
        let call = self.call("write", "s3:PutObject", Some((key, full)));
        let policy = &self.shared.account.tuning().retry;
        let begin = |_| async {
            let begun = self.start_once(full, options, tagging.as_deref()).await;
            begun.map_err(|failure| failure.into_error(&call))
        };
        let answer = policy.run(begin).await?;
        let Some(id) = answer.upload_id() else {
            let message = "the service began an upload without naming it";
            return Err(self.folder.error(ErrorKind::Corrupt, "write", key, message));
        };
        Ok(Upload {
            client: self.client("write").await?.clone(),
            bucket: self.shared.bucket_name.clone(),
            key: full.to_owned(),
            id: id.to_owned(),
            open: true,
        })
    }

    async fn start_once(
        &self,
        full: &str,
        options: &WriteOptions,
        tagging: Option<&str>,
    ) -> Result<CreateMultipartUploadOutput, Failure> {
        let encryption = self.encryption().await.map_err(Failure::ours)?;
        let failure = match self.send_start(full, options, tagging, &encryption).await {
            Err(failure)
                if failure.is_refused_feature() && self.may_drop_encryption(&encryption) =>
            {
                failure
            }
            result => return result,
        };
        tracing::debug!(?failure, "trying the upload without an encryption header");
        let answer = self
            .send_start(full, options, tagging, &Encryption::default())
            .await?;
        self.drop_encryption();
        Ok(answer)
    }

    async fn send_start(
        &self,
        full: &str,
        options: &WriteOptions,
        tagging: Option<&str>,
        encryption: &Encryption,
    ) -> Result<CreateMultipartUploadOutput, Failure> {
        let client = self.client("write").await.map_err(Failure::ours)?;
        let request = client
            .create_multipart_upload()
            .bucket(&self.shared.bucket_name)
            .key(full)
            .content_type(options.content_type.as_deref().unwrap_or(OCTETS))
            .set_metadata(
                (!options.user.is_empty()).then(|| options.user.clone().into_iter().collect()),
            )
            .set_tagging(tagging.map(str::to_owned))
            .set_acl(self.shared.acl.clone())
            .set_server_side_encryption(encryption.algorithm.clone())
            .set_ssekms_key_id(encryption.key.clone());
        request.send().await.map_err(|error| Failure::of(&error))
    }

    async fn send_parts(
        &self,
        key: &Key,
        upload: &Upload,
        first: Piece,
        pieces: Pieces,
        announced: Option<u64>,
        options: &WriteOptions,
    ) -> Result<Vec<Part>> {
        let feed = Feed {
            pieces,
            first: Some(first),
            number: 0,
            announced,
            sum: options
                .checksum
                .as_ref()
                .map(|sum| Hasher::new(sum.algorithm)),
        };
        let at_once = self.shared.account.tuning().parts_at_once;
        let bodies = stream::try_unfold(feed, |feed| self.feed(key, feed, options));
        let sending = bodies
            .map_ok(|(number, piece)| self.send_part(key, upload, number, piece))
            .try_buffer_unordered(at_once)
            .try_collect();
        // Boxed, because the compiler can't tell later that this is `Send`.
        let mut parts: Vec<Part> = sending.boxed().await?;
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    /// The next part. What is wrong with the body as a whole shows here, before it is completed.
    async fn feed(
        &self,
        key: &Key,
        mut feed: Feed,
        options: &WriteOptions,
    ) -> Result<Option<((i32, Piece), Feed)>> {
        let size = self.part_size(feed.announced, feed.number);
        let buffers = self.shared.account.buffers();
        let empty = buffers.room(size as u64);
        let piece = match feed.first.take() {
            Some(first) => first,
            None => feed.pieces.next(size, empty.await).await?,
        };
        if piece.bytes.is_empty() {
            self.check_size(key, feed.announced, feed.pieces.seen)?;
            if let Some(sum) = feed.sum.take() {
                self.check_sum(key, options, |_| sum.finish())?;
            }
            return Ok(None);
        }
        if feed.announced.is_some_and(|size| feed.pieces.seen > size) {
            self.check_size(key, feed.announced, feed.pieces.seen)?;
        }
        if let Some(sum) = &mut feed.sum {
            sum.update(&piece.bytes);
        }
        feed.number += 1;
        Ok(Some(((feed.number, piece), feed)))
    }

    /// Parts grow with the object when its size is known, else with every thousand of them. The
    /// first one is as small as any.
    fn part_size(&self, announced: Option<u64>, number: i32) -> usize {
        let least = self.shared.account.tuning().part_size;
        let size = match announced {
            Some(size) => least.max(size.div_ceil(MOST_PARTS - 1)),
            None => least << (number / 1000),
        };
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    async fn send_part(
        &self,
        key: &Key,
        upload: &Upload,
        number: i32,
        piece: Piece,
    ) -> Result<Part> {
        let account = &self.shared.account;
        let bytes = &piece.bytes;
        let md5 = self.md5_beside(key, bytes.clone()).await?;
        let header = (!account.vendor.sdk_checksums).then(|| BASE64_STANDARD.encode(&md5.value));
        let send = |_| async {
            let request = upload
                .client
                .upload_part()
                .bucket(&upload.bucket)
                .key(&upload.key)
                .upload_id(&upload.id)
                .part_number(number)
                .set_content_md5(header.clone())
                .body(bytes.clone().into());
            request.send().await.map_err(|error| {
                Failure::of(&error).into_error(&self.call(
                    "write",
                    "s3:PutObject",
                    Some((key, &upload.key)),
                ))
            })
        };
        let answer = account.tuning().retry.run(send).await?;
        let tag = answer.e_tag().and_then(tag_of);
        let theirs = tag
            .as_ref()
            .and_then(|tag| md5_in(tag, answer.server_side_encryption()));
        if theirs.is_some_and(|theirs| theirs != md5) {
            let message = format!("the service stored other bytes than were sent in part {number}");
            return Err(self.folder.error(ErrorKind::Corrupt, "write", key, message));
        }
        let done = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .set_checksum_crc32(answer.checksum_crc32)
            .set_checksum_crc32_c(answer.checksum_crc32_c)
            .set_checksum_crc64_nvme(answer.checksum_crc64_nvme)
            .build();
        Ok(Part {
            number,
            size: bytes.len() as u64,
            done,
            md5: Some(md5),
        })
    }

    /// The MD5 of a part, computed on another thread: here it would hold up the other parts.
    async fn md5_beside(&self, key: &Key, bytes: Bytes) -> Result<Checksum> {
        tokio::task::spawn_blocking(move || Checksum::of(Algorithm::Md5, &bytes))
            .await
            .map_err(|stopped| {
                self.folder
                    .error(ErrorKind::Other, "write", key, stopped.to_string())
            })
    }

    /// Makes the object of its parts.
    pub(super) async fn complete(
        &self,
        key: &Key,
        upload: &mut Upload,
        parts: Vec<Part>,
        written: Written,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let uncertain = AtomicBool::new(false);
        let parts: Vec<_> = parts.into_iter().map(|part| part.done).collect();
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let policy = &self.shared.account.tuning().retry;
        let attempt = |_| async {
            let sent = self.send_complete(upload, &parts, options).await;
            sent.map_err(|failure| self.write_error(key, &upload.key, failure, options, &uncertain))
        };
        let uncertain = || uncertain.load(Ordering::Relaxed);
        match policy.run(attempt).await {
            Ok(answer) => {
                upload.open = false;
                let tag = answer.e_tag().and_then(tag_of);
                self.written(key, written, tag, answer.server_side_encryption(), options)
            }
            // Not every failure after a lost or senseless answer is about the object: a second
            // attempt finds no such upload, and moto's answer has a name that the SDK can't read.
            Err(error) if error.is_conflict() || uncertain() => {
                let settled =
                    Box::pin(self.settle(key, &written, options, error, uncertain())).await?;
                match settled {
                    Settled::Ours(meta) => {
                        upload.open = false;
                        Ok(*meta)
                    }
                    Settled::Misread(refusal) => Err(refusal),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn send_complete(
        &self,
        upload: &Upload,
        parts: &CompletedMultipartUpload,
        options: &WriteOptions,
    ) -> Result<CompleteMultipartUploadOutput, Failure> {
        let conditions = Conditions::new(&options.precondition, false);
        let request = upload
            .client
            .complete_multipart_upload()
            .bucket(&upload.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .multipart_upload(parts.clone())
            .set_if_none_match(conditions.if_none_match)
            .set_if_match(conditions.if_match);
        request.send().await.map_err(|error| Failure::of(&error))
    }
}

impl Upload {
    /// Throws away what was sent. A failure is only logged: the write has failed already.
    pub(super) async fn abort(&mut self) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        send_abort(&self.client, &self.bucket, &self.key, &self.id).await;
    }
}

async fn send_abort(client: &Client, bucket: &str, key: &str, id: &str) {
    let request = client
        .abort_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(id);
    if let Err(error) = request.send().await {
        let failure = Failure::of(&error);
        if failure.is(&["NoSuchUpload"]) {
            return;
        }
        tracing::warn!(
            bucket,
            key,
            upload = id,
            ?failure,
            "an unfinished upload was left behind"
        );
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let (client, bucket) = (self.client.clone(), std::mem::take(&mut self.bucket));
        let (key, id) = (std::mem::take(&mut self.key), std::mem::take(&mut self.id));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { send_abort(&client, &bucket, &key, &id).await });
        }
    }
}

/// The tag that AWS gives to an object of these parts, where each one's MD5 is known: the MD5 of
/// their MD5s, and their number.
pub(super) fn sum_up(parts: &[Part], options: &WriteOptions) -> Written {
    let md5s: Option<Vec<&Checksum>> = parts.iter().map(|part| part.md5.as_ref()).collect();
    let tag = md5s.map(|md5s| {
        let mut sum = Hasher::new(Algorithm::Md5);
        for md5 in md5s {
            sum.update(&md5.value);
        }
        Tag(format!("{}-{}", sum.finish().hex(), parts.len()))
    });
    let checked = options.checksum.clone();
    Written {
        size: parts.iter().map(|part| part.size).sum(),
        tag,
        md5: checked.filter(|sum| sum.algorithm == Algorithm::Md5),
    }
}
