//! Deleting: one object, one with its segments, and many at once.

use std::collections::HashSet;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, header};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{SwiftStore, WRITE};
use crate::store::{Error, ErrorKind, Key, Result};

/// How many objects one request deletes at most, so that its answer comes in time.
const BULK: usize = 1000;

/// How many such requests there are at once.
const BULKS_AT_ONCE: usize = 4;

/// How many objects are deleted at once where each takes a request.
const DELETES_AT_ONCE: usize = 32;

/// <https://docs.openstack.org/api-ref/object-store/#bulk-delete>
#[derive(Deserialize)]
struct Answered {
    #[serde(rename = "Response Status")]
    status: String,
    #[serde(default, rename = "Response Body")]
    body: String,
    /// Paths and what became of them.
    #[serde(default, rename = "Errors")]
    errors: Vec<(String, String)>,
}

impl Answered {
    fn is_success(&self) -> bool {
        self.status.split(' ').next() == Some("200")
    }

    /// The names of those that were not deleted; nothing when that can't be told.
    fn left(&self, container: &str) -> Option<Vec<String>> {
        let left = self.errors.iter().map(|(path, _)| {
            let path = percent_decode_str(path).decode_utf8().ok()?;
            let name = path.strip_prefix(container)?;
            Some(name.to_owned())
        });
        left.collect()
    }
}

impl SwiftStore {
    pub(super) async fn delete_one(&self, key: &Key) -> Result<()> {
        let name = self.folder.full(key.as_str());
        let call = self.call("delete", WRITE, Some(key));
        let segments = if self.may_have_segments(&name).await? {
            self.named_segments(call, &name).await?
        } else {
            Vec::new()
        };
        // The manifest alone: it may name segments of others.
        let path = self.path(&name);
        match self.ask(call, || Request::delete(&path)).await {
            Ok(_) => {}
            Err(error) if error.is_missing_key() => {}
            Err(error) => return Err(error),
        }
        self.forget(&name, segments).await;
        Ok(())
    }

    pub(super) async fn delete_all(&self, keys: Vec<Key>) -> Vec<Error> {
        let mut names = Vec::new();
        for key in &keys {
            let name = self.folder.full(key.as_str());
            // What is wrong here shows again when they are deleted one by one.
            if matches!(self.may_have_segments(&name).await, Ok(false)) {
                names.push(name);
            }
        }
        let deletable: HashSet<String> = names.iter().cloned().collect();
        let left: HashSet<String> = self.delete_bulks(names).await.into_iter().collect();
        let keys = keys.into_iter().filter(|key| {
            let name = self.folder.full(key.as_str());
            !deletable.contains(&name) || left.contains(&name)
        });
        let deletes = stream::iter(keys).map(|key| async move {
            let deleted = self.delete_one(&key).await;
            deleted.err()
        });
        deletes
            .buffer_unordered(DELETES_AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await
    }

    /// Deletes objects, by their full names, that nobody waits for.
    pub(super) async fn remove(&self, names: Vec<String>) {
        for name in self.delete_bulks(names).await {
            let path = self.path(&name);
            let deleted = self.ask(self.call("write", WRITE, None), || Request::delete(&path));
            match deleted.await {
                Err(error) if *error.kind() != ErrorKind::NotFound => {
                    tracing::warn!(%error, "the segment {name} was left behind");
                }
                _ => {}
            }
        }
    }

    /// Deletes as many as the service deletes in few requests; gives those that it didn't.
    async fn delete_bulks(&self, names: Vec<String>) -> Vec<String> {
        if names.len() < 2 {
            return names;
        }
        let most = match self.info().await {
            Ok(info) => info.most_deletes,
            Err(_) => None,
        };
        let Some(most) = most else {
            return names;
        };
        let chunks: Vec<Vec<String>> = names
            .chunks(most.clamp(1, BULK))
            .map(<[String]>::to_vec)
            .collect();
        let bulks = stream::iter(chunks).map(|names| self.delete_bulk(names));
        let left = bulks.buffer_unordered(BULKS_AT_ONCE);
        left.map(stream::iter).flatten().collect().await
    }

    async fn delete_bulk(&self, names: Vec<String>) -> Vec<String> {
        let lines: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        let body = Bytes::from(lines.join("\n"));
        let attempt = |_| async {
            let request = Request::post("/?bulk-delete")
                .header(header::CONTENT_TYPE, "text/plain")
                .header(header::ACCEPT, "application/json");
            let answer = self.once(request, body.clone()).await;
            answer.map_err(|failure| failure.into_error(&self.call("delete", WRITE, None)))
        };
        let answered = match self.account.tuning.retry.run(attempt).await {
            Ok(answer) => serde_json::from_slice::<Answered>(answer.body()).ok(),
            Err(error) => {
                tracing::debug!(%error, "deleting one by one instead");
                None
            }
        };
        match answered {
            Some(answered) if answered.is_success() => Vec::new(),
            // An answer with words is about all of them.
            Some(answered) if answered.body.is_empty() => {
                let container = format!("/{}/", self.site.bucket);
                answered.left(&container).unwrap_or(names)
            }
            _ => names,
        }
    }
}
