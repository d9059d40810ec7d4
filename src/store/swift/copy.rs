//! Copies that the service makes itself, within an account. Metadata goes with the object.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, header};

use super::write::is_stored;
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
            && options.precondition == Precondition::None;
        if onto_itself || !is_proven || !is_possible || !self.is_joinable(from.size).await? {
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
        let copy = match from.checksum {
            Some(_) => {
                let tag = meta::tag_in(&headers);
                Meta {
                    checksum: tag.as_ref().and_then(|tag| Checksum::md5_of_hex(&tag.0)),
                    tag,
                    modified: None,
                    key: key.clone(),
                    ..from.clone()
                }
            }
            // Of one made of segments no sum is known before: its size tells.
            None => self.head("copy", key).await?,
        };
        let is_other = from.checksum.is_some() && copy.checksum != from.checksum;
        if is_other || copy.size != from.size {
            let message = "the service copied something else than was asked for";
            return Err(self.folder.error(ErrorKind::Corrupt, "copy", key, message));
        }
        self.forget(&name, old).await;
        Ok(Some(copy))
    }

    /// Conditions on it are conditions on the source:
    /// <https://docs.openstack.org/api-ref/object-store/#copy-object>; Ceph has a name of its own
    /// for them.
    async fn copy(
        &self,
        source: &Self,
        (from, Tag(tag)): (&Meta, &Tag),
        (key, name): (&Key, &str),
    ) -> Result<Copied> {
        let from_name = source.folder.full(from.key.as_str());
        let place = encoded_path(&format!("{}/{from_name}", source.site.bucket));
        let call = self.call("copy", WRITE, Some(key));
        let condition = format!("\"{tag}\"");
        let wanted = from.checksum.as_ref().and(from.tag.as_ref());
        let attempt = |_| async {
            let request = Request::put(self.path(name))
                .header(header::CONTENT_LENGTH, 0)
                .header(header::IF_MATCH, &condition)
                .header("copy-if-match", &condition)
                .header("x-copy-from", format!("/{place}"));
            match self.once(request, Bytes::new()).await {
                Ok(answer) if is_stored(&answer) => Ok(Copied::Done(answer.into_parts().0.headers)),
                Ok(_) => {
                    let there = self.what_is_there(&call, name, wanted).await;
                    there.map(Copied::Done)
                }
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
