//! Writing: metadata and bytes in one request for what is no longer than a part, else a
//! resumable upload.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, header};
use serde::Serialize;

use super::GsStore;
use super::meta::Resource;
use crate::store::incoming::Incoming;
use crate::store::mark::{MARK, marked};
use crate::store::rest::{Failure, query};
use crate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Key, Meta, Precondition, Result, WriteOptions,
};

/// kOps writes this type.
const OCTETS: &str = "application/octet-stream";

/// What a new object is to be.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wish<'a> {
    content_type: &'a str,
    metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5_hash: Option<String>,
}

impl Wish<'_> {
    fn of<'a>(options: &'a WriteOptions, md5: Option<&Checksum>) -> Wish<'a> {
        Wish {
            content_type: options.content_type.as_deref().unwrap_or(OCTETS),
            metadata: &options.user,
            md5_hash: md5.map(|md5| BASE64_STANDARD.encode(&md5.value)),
        }
    }

    pub(super) fn json(options: &WriteOptions, md5: Option<&Checksum>) -> Vec<u8> {
        // Strings in a map can't fail to serialize.
        serde_json::to_vec(&Wish::of(options, md5)).unwrap_or_default()
    }
}

/// What must have been stored when a write got through.
pub(super) struct Written {
    pub size: u64,
    pub sum: Checksum,
}

impl GsStore {
    pub(super) async fn put(&self, key: &Key, body: Body, options: &WriteOptions) -> Result<Meta> {
        let options = &marked(options);
        let name = self.new_name("write", key)?;
        let mut body = Incoming::new(body, options, Algorithm::Crc32c, (&self.folder.url, key));
        let account = &self.account;
        let first = body
            .next(account.tuning.part_size, &account.buffers)
            .await?;
        if !body.at_end().await? {
            return self.put_resumably(key, &name, first, body, options).await;
        }
        body.finish()?;
        self.put_single(key, &name, first.bytes.clone(), options)
            .await
    }

    async fn put_single(
        &self,
        key: &Key,
        name: &str,
        bytes: Bytes,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let written = Written {
            size: bytes.len() as u64,
            sum: Checksum::of(Algorithm::Md5, &bytes),
        };
        let boundary = format!("kstate{:032x}", fastrand::u128(..));
        let body = related(&boundary, &Wish::json(options, Some(&written.sum)), &bytes);
        let url = self.upload_url("multipart", name, options);
        let content_type = format!("multipart/related; boundary={boundary}");
        let uncertain = AtomicBool::new(false);
        let attempt = |_| async {
            let request = Request::post(&url).header(header::CONTENT_TYPE, &content_type);
            let call = self
                .site
                .call(&self.folder, "write", "storage.objects.create", Some(key));
            let request = call.built(request, body.clone())?;
            let resource = match self.account.call(request).await {
                Ok(answer) => self.json::<Resource>(answer).await,
                Err(failure) => Err(failure),
            };
            resource.map_err(|failure| self.write_error(key, failure, options, &uncertain))
        };
        match self.account.tuning.retry.run(attempt).await {
            Ok(resource) => self.written(key, resource, &written).await,
            Err(error) => {
                let uncertain = uncertain.load(Ordering::Relaxed);
                self.settle(key, &written, options, error, uncertain).await
            }
        }
    }

    /// Where a new object is sent to.
    pub(super) fn upload_url(&self, kind: &str, name: &str, options: &WriteOptions) -> String {
        let query = query([
            ("uploadType", Some(kind)),
            ("name", Some(name)),
            ("ifGenerationMatch", if_generation(&options.precondition)),
        ]);
        let (endpoint, bucket) = (&self.account.endpoint, &self.site.bucket);
        format!("{endpoint}/upload/storage/v1/b/{bucket}/o{query}")
    }

    /// What a failed write means under its precondition.
    pub(super) fn write_error(
        &self,
        key: &Key,
        failure: Failure,
        options: &WriteOptions,
        uncertain: &AtomicBool,
    ) -> Error {
        if failure.is_uncertain() {
            uncertain.store(true, Ordering::Relaxed);
        }
        let error = failure.into_error(&self.site.call(
            &self.folder,
            "write",
            "storage.objects.create",
            Some(key),
        ));
        match (&options.precondition, error.kind()) {
            (Precondition::IfAbsent, ErrorKind::PreconditionFailed { .. }) => {
                self.folder.exists("write", key)
            }
            _ => error,
        }
    }

    /// A conditional write was refused: finds out by whom it was beaten. When an earlier
    /// attempt's outcome is unknown, that may be itself.
    pub(super) async fn settle(
        &self,
        key: &Key,
        written: &Written,
        options: &WriteOptions,
        refusal: Error,
        uncertain: bool,
    ) -> Result<Meta> {
        let is_match = matches!(options.precondition, Precondition::IfMatch(_));
        if !refusal.is_conflict() || !(uncertain || is_match) {
            return Err(refusal);
        }
        let now = match self.resource_once("write", key).await {
            Ok(now) => now,
            Err(error) if error.is_missing_key() && is_match => {
                return Err(self.folder.overtaken("write", key, None));
            }
            Err(_) => return Err(refusal),
        };
        if uncertain && now.metadata.get(MARK) == options.user.get(MARK) {
            return self.written(key, now, written).await;
        }
        if is_match {
            Err(self.folder.overtaken("write", key, now.tag()))
        } else {
            Err(refusal)
        }
    }

    /// The metadata of a write, after comparing what the service says it stored.
    pub(super) async fn written(
        &self,
        key: &Key,
        resource: Resource,
        written: &Written,
    ) -> Result<Meta> {
        let stored = match written.sum.algorithm {
            Algorithm::Crc32c => resource.crc(),
            _ => resource.checksum(),
        };
        let is_other = stored.is_some_and(|stored| {
            stored.algorithm == written.sum.algorithm && stored != written.sum
        });
        let generation = resource.tag();
        let meta = resource.into_meta(key);
        let wrong = match &meta {
            None => Some("it doesn't say what it stored".to_owned()),
            Some(_) if is_other => Some("the checksums differ".to_owned()),
            Some(meta) if meta.size != written.size => {
                Some(format!("{} bytes instead of {}", meta.size, written.size))
            }
            Some(meta) if meta.tag.is_none() => Some("the object has no generation".to_owned()),
            Some(_) => None,
        };
        match (meta, wrong) {
            (Some(meta), None) => Ok(meta),
            (_, wrong) => {
                if let Some(tag) = generation {
                    // What can't be believed must not stay; the version before is gone already.
                    let _ = self.delete_one(key, &Precondition::IfMatch(tag)).await;
                }
                let message = format!(
                    "the service stored something else than was sent: {}",
                    wrong.unwrap_or_default()
                );
                Err(self.folder.error(ErrorKind::Corrupt, "write", key, message))
            }
        }
    }
}

/// The condition as the JSON API has it: generation 0 is no object.
pub(super) fn if_generation(precondition: &Precondition) -> Option<&str> {
    match precondition {
        Precondition::None => None,
        Precondition::IfAbsent => Some("0"),
        Precondition::IfMatch(tag) => Some(&tag.0),
    }
}

/// Metadata and bytes as one body:
/// <https://docs.cloud.google.com/storage/docs/uploading-objects#rest-upload-objects>.
fn related(boundary: &str, metadata: &[u8], bytes: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(bytes.len() + metadata.len() + 300);
    body.put_slice(
        format!("--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n").as_bytes(),
    );
    body.put_slice(metadata);
    body.put_slice(
        format!("\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n").as_bytes(),
    );
    body.put_slice(bytes);
    body.put_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body.freeze()
}
