//! Deleting, one by one and a thousand at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::operation::delete_objects::DeleteObjectsOutput;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::{StreamExt, stream};

use super::error::Failure;
use super::{S3Store, quoted};
use crate::store::xml::is_sayable;
use crate::store::{Algorithm, Checksum, Error, ErrorKind, Key, Precondition, Result};

/// How many keys one request can name.
const BATCH: usize = 1000;
/// How many requests are in flight at once.
const AT_ONCE: usize = 4;
/// As many, where each deletes one object.
const SINGLES_AT_ONCE: usize = 16;

impl S3Store {
    pub(super) async fn delete_one(&self, key: &Key, precondition: &Precondition) -> Result<()> {
        let if_match = match precondition {
            Precondition::None => None,
            Precondition::IfMatch(tag) if self.shared.account.vendor.delete_if_match => {
                Some(quoted(tag))
            }
            Precondition::IfMatch(_) => {
                let message = format!(
                    "{} isn't known to check conditions on deletes",
                    self.shared.account.vendor.name
                );
                return Err(self
                    .folder
                    .error(ErrorKind::Unsupported, "delete", key, message));
            }
            Precondition::IfAbsent => {
                let message = "deleting what is absent means nothing";
                return Err(self
                    .folder
                    .error(ErrorKind::Invalid, "delete", key, message));
            }
        };
        // Found first, so that its own retries aren't multiplied by ours.
        self.client("delete").await?;
        let full = self.folder.full(key.as_str());
        let uncertain = AtomicBool::new(false);
        let attempt = |_| self.send_delete(key, &full, if_match.as_deref(), &uncertain);
        let policy = &self.shared.account.tuning().retry;
        match policy.run(attempt).await {
            Err(error) if matches!(error.kind(), ErrorKind::PreconditionFailed { .. }) => {
                let found = self
                    .head("delete", key)
                    .await
                    .ok()
                    .and_then(|meta| meta.tag);
                Err(self.folder.overtaken("delete", key, found))
            }
            result => result,
        }
    }

    async fn send_delete(
        &self,
        key: &Key,
        full: &str,
        if_match: Option<&str>,
        uncertain: &AtomicBool,
    ) -> Result<()> {
        let client = self.client("delete").await?;
        let answer = client
            .delete_object()
            .bucket(&self.shared.bucket_name)
            .key(full)
            .set_if_match(if_match.map(str::to_owned))
            .send()
            .await;
        let Err(error) = answer else {
            return Ok(());
        };
        let failure = Failure::of(&error);
        let is_gone = failure.status() == Some(404) && !failure.is(&["NoSuchBucket"]);
        if is_gone {
            // An earlier attempt whose answer was lost may have deleted it.
            return match if_match {
                Some(_) if !uncertain.load(Ordering::Relaxed) => {
                    Err(self.folder.overtaken("delete", key, None))
                }
                _ => Ok(()),
            };
        }
        if failure.is_uncertain() {
            uncertain.store(true, Ordering::Relaxed);
        }
        Err(failure.into_error(&self.call("delete", "s3:DeleteObject", Some((key, full)))))
    }

    pub(super) async fn delete_all(&self, keys: Vec<Key>) -> Vec<Error> {
        let (keys, unspeakable): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|key| is_sayable(&self.folder.full(key.as_str())));
        let batches: Vec<Vec<Key>> = keys.chunks(BATCH).map(<[Key]>::to_vec).collect();
        let mut failures: Vec<Error> = stream::iter(batches)
            .map(|batch| self.delete_batch(batch))
            .buffered(AT_ONCE)
            .flat_map(stream::iter)
            .collect()
            .await;
        failures.extend(self.delete_singly(unspeakable).await);
        failures
    }

    async fn delete_batch(&self, keys: Vec<Key>) -> Vec<Error> {
        let names: Vec<String> = keys
            .iter()
            .map(|key| self.folder.full(key.as_str()))
            .collect();
        let by_name: HashMap<&str, &Key> = names.iter().map(String::as_str).zip(&keys).collect();
        let policy = &self.shared.account.tuning().retry;
        let answer = match policy.run(|_| self.send_batch(&names)).await {
            Ok(answer) => answer,
            // Not every service has this call, and not every one takes every key in it.
            Err(error) if !error.is_retryable() => return self.delete_singly(keys).await,
            Err(error) => {
                return keys
                    .iter()
                    .map(|key| relabel(&error, &self.folder.url, key))
                    .collect();
            }
        };
        let mut failures = Vec::new();
        let mut again = Vec::new();
        for refused in answer.errors() {
            let name = refused.key().unwrap_or_default();
            let Some(key) = by_name.get(name).copied() else {
                failures.push(self.stray(name));
                continue;
            };
            let failure = Failure::told(
                refused.code().unwrap_or_default(),
                refused.message().unwrap_or_default(),
            );
            if failure.is(&["NoSuchKey"]) {
                continue;
            }
            let call = self.call("delete", "s3:DeleteObject", Some((key, name)));
            let error = failure.into_error(&call);
            if error.is_retryable() {
                again.push(key.clone());
            } else {
                failures.push(error);
            }
        }
        failures.extend(self.delete_singly(again).await);
        failures
    }

    async fn send_batch(&self, names: &[String]) -> Result<DeleteObjectsOutput> {
        let call = self.call("delete", "s3:DeleteObject", None);
        let invalid = |error| Error::new(ErrorKind::Invalid, "delete", format!("{error}"));
        let objects = names
            .iter()
            .map(|name| ObjectIdentifier::builder().key(name).build())
            .collect::<Result<Vec<_>, _>>()
            .map_err(invalid)?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true);
        let request = self
            .client("delete")
            .await?
            .delete_objects()
            .bucket(&self.shared.bucket_name)
            .delete(delete.build().map_err(invalid)?)
            .customize();
        let request = if self.shared.account.vendor.sdk_checksums {
            request
        } else {
            // Older services insist on this header here and know no other.
            request.mutate_request(|request| {
                let body = request.body().bytes().unwrap_or_default();
                let md5 = Checksum::of(Algorithm::Md5, body);
                let value = BASE64_STANDARD.encode(md5.value);
                request.headers_mut().insert("content-md5", value);
            })
        };
        let answer = request.send().await;
        answer.map_err(|error| Failure::of(&error).into_error(&call))
    }

    async fn delete_singly(&self, keys: Vec<Key>) -> Vec<Error> {
        stream::iter(keys)
            .map(|key| async move { self.delete_one(&key, &Precondition::None).await })
            .buffered(SINGLES_AT_ONCE)
            .filter_map(|result| async { result.err() })
            .collect()
            .await
    }

    fn stray(&self, name: &str) -> Error {
        let message = format!("the service speaks of '{name}', which it wasn't asked to delete");
        Error::new(ErrorKind::Corrupt, "delete", message).at(&self.folder.url, None)
    }
}

/// The failure of a whole request as that of one of its keys.
fn relabel(error: &Error, store: &str, key: &Key) -> Error {
    let copy = error.clone();
    copy.at(store, Some(key.as_str()))
}
