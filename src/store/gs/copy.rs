//! Copies that the service makes itself: `objects.rewrite`, within and between buckets, of any
//! size. Metadata goes with the object.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, header};
use serde::Deserialize;

use super::GsStore;
use super::meta::Resource;
use super::write::{Written, if_generation};
use crate::store::rest::{encoded, query};
use crate::store::{Error, ErrorKind, Key, Meta, Result, Tag, WriteOptions};

/// <https://docs.cloud.google.com/storage/docs/json_api/v1/objects/rewrite>
#[derive(Deserialize)]
struct Rewrite {
    #[serde(default)]
    done: bool,
    #[serde(default, rename = "rewriteToken")]
    token: Option<String>,
    #[serde(default)]
    resource: Option<Resource>,
}

impl GsStore {
    pub(super) async fn copy_here(
        &self,
        source: &Self,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        let name = self.new_name("copy", key)?;
        let from_name = source.folder.full(from.key.as_str());
        let onto_itself = source.site.bucket == self.site.bucket && from_name == name;
        let is_proven = options.checksum.is_none() || options.checksum == from.checksum;
        if !Arc::ptr_eq(&self.account, &source.account) || onto_itself || !is_proven {
            return Ok(None);
        }
        let tag = match &from.tag {
            Some(tag) => tag.clone(),
            None => match source.resource("copy", &from.key).await?.tag {
                Some(tag) => tag,
                None => return Ok(None),
            },
        };
        let place = format!(
            "{}/o/{}/rewriteTo/b/{}/o/{}",
            source.bucket_url(),
            encoded(&from_name),
            self.site.bucket,
            encoded(&name)
        );
        let url = |token: Option<&str>| {
            let query = query([
                ("ifSourceGenerationMatch", Some(tag.0.as_str())),
                ("ifGenerationMatch", if_generation(&options.precondition)),
                ("rewriteToken", token),
            ]);
            format!("{place}{query}")
        };
        let uncertain = AtomicBool::new(false);
        let refused = AtomicBool::new(false);
        let copied = self.rewrite(url, key, options, &uncertain, &refused).await;
        let resource = match copied {
            Ok(resource) => resource,
            // Who may read there and write here may still not do both in one call.
            Err(_) if refused.load(Ordering::Relaxed) => return Ok(None),
            Err(error) if error.is_conflict() => {
                let uncertain = uncertain.load(Ordering::Relaxed);
                let settled = self.settle_copy((source, from, &tag), key, error, uncertain);
                return settled.await.map(Some);
            }
            Err(error) => return Err(error),
        };
        match &from.checksum {
            Some(sum) => {
                let written = Written {
                    size: from.size,
                    sum: sum.clone(),
                };
                self.written(key, resource, &written).await.map(Some)
            }
            None => Ok(resource.into_meta(key)),
        }
    }

    /// A copy was refused: because the source is another version, or because of the condition
    /// here, which may have met our own copy.
    async fn settle_copy(
        &self,
        (source, from, tag): (&Self, &Meta, &Tag),
        key: &Key,
        refusal: Error,
        uncertain: bool,
    ) -> Result<Meta> {
        let there = source.resource("copy", &from.key).await?;
        if there.tag.as_ref() != Some(tag) {
            return Err(source.folder.overtaken("copy", &from.key, there.tag));
        }
        let now = self.resource("copy", key).await.ok();
        let is_ours = |now: &Meta| now.checksum.is_some() && now.checksum == there.checksum;
        match now {
            Some(now) if uncertain && is_ours(&now) => Ok(now),
            _ if *refusal.kind() == ErrorKind::AlreadyExists => Err(refusal),
            now => {
                let found = now.and_then(|now| now.tag);
                Err(self.folder.overtaken("copy", key, found))
            }
        }
    }

    /// Large objects take several calls, each going on where the one before stopped.
    async fn rewrite(
        &self,
        url: impl Fn(Option<&str>) -> String,
        key: &Key,
        options: &WriteOptions,
        uncertain: &AtomicBool,
        refused: &AtomicBool,
    ) -> Result<Resource> {
        let mut token: Option<String> = None;
        loop {
            let step = |_| async {
                let request = Request::post(url(token.as_deref()));
                let request = request.header(header::CONTENT_LENGTH, 0);
                let call =
                    self.site
                        .call(&self.folder, "copy", "storage.objects.create", Some(key));
                let request = call.built(request, Bytes::new())?;
                let answer = match self.account.call(request).await {
                    Ok(answer) => self.json::<Rewrite>(answer).await,
                    Err(failure) => Err(failure),
                };
                answer.map_err(|failure| {
                    let status = failure.status();
                    refused.store(matches!(status, Some(403 | 501)), Ordering::Relaxed);
                    self.write_error(key, failure, options, uncertain)
                })
            };
            match self.account.tuning.retry.run(step).await {
                Ok(Rewrite {
                    done: true,
                    resource: Some(resource),
                    ..
                }) => return Ok(resource),
                Ok(Rewrite {
                    token: Some(next),
                    done: false,
                    ..
                }) => token = Some(next),
                Ok(_) => {
                    let message = "the service neither copied nor goes on";
                    return Err(self.folder.error(ErrorKind::Corrupt, "copy", key, message));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
