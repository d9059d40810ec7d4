//! Copies that the service makes itself, within an account. Metadata goes with the object.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, header};

use super::info::LARGEST_OBJECT;
use super::{SwiftStore, WRITE, meta};
use crate::store::rest::encoded_path;
use crate::store::{Checksum, ErrorKind, Key, Meta, Precondition, Result, Tag, WriteOptions};

/// What came of asking for a copy.
enum Copied {
    Done(HeaderMap),
    /// It can't be made so; the caller streams.
    Declined,
    /// The source is another version by now, or gone.
    Stale,
}

impl SwiftStore {
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
        let is_possible = Arc::ptr_eq(&self.account, &source.account)
            && options.precondition == Precondition::None
            && from.size <= LARGEST_OBJECT;
        if onto_itself || !is_proven || !is_possible {
            return Ok(None);
        }
        let from = match &from.tag {
            Some(_) => from,
            None => &source.head("copy", &from.key).await?,
        };
        let Some(tag) = &from.tag else {
            return Ok(None);
        };
        let old = self.segments_of(key, &name, options).await?;
        let copied = self.copy(source, (from, tag), (key, &name)).await?;
        let headers = match copied {
            Copied::Done(headers) => headers,
            Copied::Declined => return Ok(None),
            Copied::Stale => {
                let now = source.head("copy", &from.key).await?;
                return Err(source.folder.overtaken("copy", &from.key, now.tag));
            }
        };
        self.forget(&name, old).await;
        let stored = headers.get(header::ETAG);
        let stored = stored.and_then(|value| meta::tag(value.to_str().ok()?));
        let sum = stored.as_ref().and_then(|tag| Checksum::md5_of_hex(&tag.0));
        // Of one made of segments it isn't known before.
        if stored.is_none() || (from.checksum.is_some() && from.checksum != sum) {
            let message = "the service copied something else than was asked for";
            return Err(self.folder.error(ErrorKind::Corrupt, "copy", key, message));
        }
        Ok(Some(Meta {
            tag: stored,
            checksum: sum,
            modified: None,
            key: key.clone(),
            ..from.clone()
        }))
    }

    /// Conditions on it are conditions on the source:
    /// <https://docs.openstack.org/api-ref/object-store/#copy-object>.
    async fn copy(
        &self,
        source: &Self,
        (from, Tag(tag)): (&Meta, &Tag),
        (key, name): (&Key, &str),
    ) -> Result<Copied> {
        let from_name = source.folder.full(from.key.as_str());
        let place = encoded_path(&format!("{}/{from_name}", source.site.bucket));
        let call = self.call("copy", WRITE, Some(key));
        let attempt = |_| async {
            let request = Request::put(self.path(name))
                .header(header::CONTENT_LENGTH, 0)
                .header(header::IF_MATCH, format!("\"{tag}\""))
                .header("x-copy-from", format!("/{place}"));
            match self.once(request, Bytes::new()).await {
                Ok((headers, _)) => Ok(Copied::Done(headers)),
                Err(failure) => match failure.status() {
                    // A missing one is either end's; the source says so itself.
                    Some(404 | 412) if self.is_there().await => Ok(Copied::Stale),
                    // Who may read there and write here may still not do both in one call.
                    Some(403 | 413 | 501) => Ok(Copied::Declined),
                    _ => Err(self.error(failure, &call).await),
                },
            }
        };
        self.account.tuning.retry.run(attempt).await
    }
}
