//! Deleting, one by one and a thousand at once.

use std::collections::HashSet;
use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Request;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::OssStore;
use crate::store::{Algorithm, Checksum, Error, ErrorKind, Key, Precondition, Result, xml};

/// How many objects one request can name.
const BATCH: usize = 1000;
/// How many requests are in flight at once.
const AT_ONCE: usize = 4;
/// As many, where each deletes one object.
const SINGLES_AT_ONCE: usize = 16;

/// <https://www.alibabacloud.com/help/en/oss/developer-reference/deletemultipleobjects>
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Deleted {
    deleted: Vec<Name>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Name {
    key: String,
}

impl OssStore {
    pub(super) async fn delete_one(&self, key: &Key, precondition: &Precondition) -> Result<()> {
        if *precondition == Precondition::IfAbsent {
            let message = "deleting what is absent means nothing";
            return Err(self
                .folder
                .error(ErrorKind::Invalid, "delete", key, message));
        }
        self.check_condition("delete", key, precondition).await?;
        let path = self.path(key);
        let call = self.call("delete", "oss:DeleteObject", Some(key));
        match self.ask(call, || Request::delete(&path)).await {
            Err(error) if error.is_missing_key() => Ok(()),
            result => result.map(drop),
        }
    }

    pub(super) async fn delete_all(&self, keys: Vec<Key>) -> Vec<Error> {
        let (keys, unspeakable): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|key| xml::is_sayable(&self.full(key)));
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

    /// What the service doesn't say that it deleted is deleted once more, which tells why not.
    async fn delete_batch(&self, keys: Vec<Key>) -> Vec<Error> {
        let names: Vec<String> = keys.iter().map(|key| self.full(key)).collect();
        let deleted = match self.send_batch(&names).await {
            Ok(deleted) => deleted,
            Err(error) if !error.is_retryable() => HashSet::new(),
            Err(error) => {
                let relabel = |key: &Key| {
                    error
                        .clone()
                        .at(self.folder.url.clone(), Some(key.as_str()))
                };
                return keys.iter().map(relabel).collect();
            }
        };
        let left = names.iter().zip(keys);
        let left = left.filter_map(|(name, key)| (!deleted.contains(name)).then_some(key));
        self.delete_singly(left.collect()).await
    }

    /// Deletes objects; gives the names of those that are gone.
    async fn send_batch(&self, names: &[String]) -> Result<HashSet<String>> {
        let mut list = String::from("<Delete><Quiet>false</Quiet>");
        for name in names {
            let name = xml::escaped(name);
            // Writing to a String cannot fail.
            let _ = write!(list, "<Object><Key>{name}</Key></Object>");
        }
        list.push_str("</Delete>");
        let list = Bytes::from(list);
        let md5 = BASE64_STANDARD.encode(Checksum::of(Algorithm::Md5, &list).value);
        let call = self.call("delete", "oss:DeleteObject", None);
        let attempt = |_| async {
            let request = Request::post("/?delete&encoding-type=url").header("content-md5", &md5);
            let sent = self.send_for_xml::<Deleted>(request, list.clone(), "DeleteResult");
            sent.await.map_err(|failure| failure.into_error(&call))
        };
        let (answered, _) = self.account.tuning.retry.run(attempt).await?;
        let names = answered.deleted.into_iter().filter_map(|name| {
            let name = percent_decode_str(&name.key).decode_utf8().ok()?;
            Some(name.into_owned())
        });
        Ok(names.collect())
    }

    async fn delete_singly(&self, keys: Vec<Key>) -> Vec<Error> {
        stream::iter(keys)
            .map(|key| async move { self.delete_one(&key, &Precondition::None).await })
            .buffered(SINGLES_AT_ONCE)
            .filter_map(|result| async { result.err() })
            .collect()
            .await
    }
}
