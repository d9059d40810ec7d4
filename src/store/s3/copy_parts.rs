//! Server-side copies of objects that are too long for one `CopyObject`.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::types::CompletedPart;
use futures::{StreamExt, TryStreamExt, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::copy::{Origin, Refusal, is_impossible};
use super::error::Failure;
use super::multipart::{MOST_PARTS, Part, Upload, sum_up};
use super::{S3Store, md5_in, quoted, tag_of};
use crate::store::{Key, Meta, Result, WriteOptions};

impl S3Store {
    /// Copies in parts, which carry over nothing but the bytes: the rest is sent anew.
    pub(super) async fn copy_parts(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Meta, Refusal> {
        let failed = Refusal::Failed;
        let source = origin.store;
        let from_key = &origin.from.key;
        let head = source.head("copy", from_key).await.map_err(failed)?;
        if head.tag.as_ref() != Some(&origin.tag) {
            return Err(failed(origin.changed(head.tag)));
        }
        let options = WriteOptions {
            precondition: options.precondition.clone(),
            content_type: head.content_type.clone(),
            user: head.user.clone(),
            ..WriteOptions::default()
        };
        let full = self.new_name("copy", key).map_err(failed)?;
        let tagging = source.tagging(from_key).await.map_err(failed)?;
        let mut upload = self
            .start(key, &full, &options, tagging)
            .await
            .map_err(failed)?;
        let result = async {
            let parts = self.send_copies(origin, key, &upload, head.size).await?;
            let written = sum_up(&parts, &options);
            self.complete(key, &mut upload, parts, written, &options)
                .await
                .map_err(Refusal::Failed)
        }
        .await;
        if result.is_err() {
            upload.abort().await;
        }
        result
    }

    async fn send_copies(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        upload: &Upload,
        size: u64,
    ) -> Result<Vec<Part>, Refusal> {
        let tuning = self.shared.account.tuning();
        let step = tuning.copy_part_size.max(size.div_ceil(MOST_PARTS));
        let parts = (1..).zip(0..size.div_ceil(step));
        let mut parts: Vec<Part> = stream::iter(parts)
            .map(|(number, index)| {
                let range = index * step..size.min((index + 1) * step);
                self.send_part_copy(origin, key, upload, number, range)
            })
            .buffer_unordered(tuning.parts_at_once)
            .try_collect()
            .await?;
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    async fn send_part_copy(
        &self,
        origin: &Origin<'_>,
        key: &Key,
        upload: &Upload,
        number: i32,
        range: std::ops::Range<u64>,
    ) -> Result<Part, Refusal> {
        let impossible = AtomicBool::new(false);
        let send = |_| async {
            let request = upload
                .client
                .upload_part_copy()
                .bucket(&upload.bucket)
                .key(&upload.key)
                .upload_id(&upload.id)
                .part_number(number)
                .copy_source(&origin.path)
                .copy_source_if_match(quoted(&origin.tag))
                .copy_source_range(format!("bytes={}-{}", range.start, range.end - 1));
            // Ceph 16 answers 411 to a PUT whose empty body is not announced.
            let request = request.customize().mutate_request(|request| {
                request.headers_mut().insert("content-length", "0");
            });
            request.send().await.map_err(|error| {
                let failure = Failure::of(&error);
                impossible.store(is_impossible(&failure), Ordering::Relaxed);
                self.copy_error(origin, key, &upload.key, failure)
            })
        };
        let policy = &self.shared.account.tuning().retry;
        let answer = match policy.run(send).await {
            Ok(answer) => answer,
            Err(_) if impossible.load(Ordering::Relaxed) => return Err(Refusal::Impossible),
            Err(error) => return Err(Refusal::Failed(error)),
        };
        let result = answer
            .copy_part_result
            .unwrap_or_else(|| aws_sdk_s3::types::CopyPartResult::builder().build());
        let tag = result.e_tag.as_deref().and_then(tag_of);
        let encryption = answer.server_side_encryption.as_ref();
        let md5 = tag.and_then(|tag| md5_in(&tag, encryption));
        let done = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(result.e_tag)
            .set_checksum_crc32(result.checksum_crc32)
            .set_checksum_crc32_c(result.checksum_crc32_c)
            .set_checksum_crc64_nvme(result.checksum_crc64_nvme)
            .build();
        Ok(Part {
            number,
            size: range.end - range.start,
            done,
            md5,
        })
    }

    /// An object's tags as a header has them; none where the service has no tags, or doesn't
    /// show them to us.
    async fn tagging(&self, key: &Key) -> Result<Option<String>> {
        let full = self.folder.full(key.as_str());
        let policy = &self.shared.account.tuning().retry;
        let ask = |_| async {
            let client = self.client("copy").await?;
            let answer = client
                .get_object_tagging()
                .bucket(&self.shared.bucket_name)
                .key(&full)
                .send()
                .await;
            match answer {
                Ok(answer) => Ok(answer.tag_set),
                Err(error) => {
                    let call = self.call("copy", "s3:GetObjectTagging", Some((key, &full)));
                    let error = Failure::of(&error).into_error(&call);
                    if error.is_retryable() {
                        return Err(error);
                    }
                    tracing::debug!(%error, "the tags of the source can't be read");
                    Ok(Vec::new())
                }
            }
        };
        let tags = policy.run(ask).await?;
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<String> = tags
            .iter()
            .map(|tag| format!("{}={}", encoded(tag.key()), encoded(tag.value())))
            .collect();
        Ok((!pairs.is_empty()).then(|| pairs.join("&")))
    }
}
