//! Reading: one `GET` for what fits into a Secret; of a larger object all chunks are there before
//! the first byte is given out, so that an overwrite meanwhile can't break it off.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;

use super::K8sStore;
use super::call::{About, Resource};
use super::chunks::AT_ONCE;
use super::encode::{Decoder, unpack};
use super::layout::{CHUNK, CHUNKS, Chunk, Head, OBJECT, Role, Version, chunk_name};
use crate::store::{
    Algorithm, Body, Checksum, Error, ErrorKind, Hasher, Key, Meta, Object, ReadOptions, Result,
};

/// How often an object may be overwritten while its chunks are read.
const RESTARTS: usize = 20;

/// Where the bytes of an object are.
enum Payload {
    /// All of them, as they are stored.
    Whole(Bytes),
    Chunks(Vec<Chunk>),
}

/// What is read of an object.
struct Plan<'a> {
    store: &'a K8sStore,
    key: &'a Key,
    head: Head,
    /// Only these bytes of it.
    range: Option<Range<u64>>,
}

impl K8sStore {
    pub(super) async fn head(&self, key: &Key) -> Result<Meta> {
        let about = About {
            operation: "stat",
            key: Some(key.as_str()),
        };
        let name = Role::Object.name_of(&self.folder.full(key.as_str()));
        let Some(found) = self.look(about, &name).await? else {
            return Err(Error::not_found("stat", &self.folder.url, key));
        };
        let head = Head::parse(&found).map_err(|fault| self.changed("stat", key, &fault))?;
        Ok(head.meta(key.clone(), Version::of(&found).as_ref()))
    }

    pub(super) async fn get(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        let mut last = None;
        for _ in 0..RESTARTS {
            let secret = self.secret(key).await?;
            let version = Version::of(&secret.metadata);
            let tag = version.as_ref().map(Version::tag);
            if let Some(wanted) = &options.if_match
                && tag.as_ref() != Some(wanted)
            {
                return Err(self.folder.overtaken("read", key, tag));
            }
            let head = Head::parse(&secret.metadata);
            let head = head.map_err(|fault| self.changed("read", key, &fault))?;
            let meta = head.clone().meta(key.clone(), version.as_ref());
            let plan = Plan {
                store: self,
                key,
                range: options.range.clone().map(|range| {
                    let end = range.end.min(head.size);
                    range.start.min(end)..end
                }),
                head,
            };
            let body = match plan.payload(secret)? {
                Payload::Whole(bytes) => Some(plan.whole(bytes)?),
                Payload::Chunks(chunks) => plan.chunks(&chunks).await?,
            };
            match body {
                Some(body) => return Ok(Object { meta, body }),
                None if last == version => break,
                // It was replaced while its chunks were read.
                None => last = version,
            }
        }
        let message = "one of its chunks is gone";
        Err(self
            .folder
            .error(ErrorKind::Corrupt, "read", key, message)
            .hint("somebody deleted a Secret of this store; write the object again"))
    }

    async fn secret(&self, key: &Key) -> Result<Secret> {
        let about = About {
            operation: "read",
            key: Some(key.as_str()),
        };
        let name = Role::Object.name_of(&self.folder.full(key.as_str()));
        let found = self.get_one(about, Resource::Secrets, &name).await?;
        found.ok_or_else(|| Error::not_found("read", &self.folder.url, key))
    }

    /// An object whose Secret somebody edited.
    fn changed(&self, operation: &'static str, key: &Key, fault: &str) -> Error {
        let name = Role::Object.name_of(&self.folder.full(key.as_str()));
        self.folder
            .error(
                ErrorKind::Corrupt,
                operation,
                key,
                format!("the Secret {name}: {fault}"),
            )
            .hint("write the object again, or delete it")
    }
}

impl Plan<'_> {
    fn payload(&self, secret: Secret) -> Result<Payload> {
        let mut data = secret.data.unwrap_or_default();
        if let Some(bytes) = data.remove(OBJECT) {
            return Ok(Payload::Whole(bytes.0.into()));
        }
        let list = data.remove(CHUNKS);
        let list = list.and_then(|list| serde_json::from_slice(&list.0).ok());
        list.map(Payload::Chunks)
            .ok_or_else(|| self.corrupt("its data was changed"))
    }

    /// The bytes asked for, checked.
    fn whole(&self, stored: Bytes) -> Result<Body> {
        let unpacked = unpack(stored, self.head.is_gzip).ok();
        let unpacked = unpacked.filter(|bytes| {
            let sum = Checksum::of(Algorithm::Sha256, bytes);
            bytes.len() as u64 == self.head.size && sum.hex() == self.head.sha256
        });
        let bytes = unpacked.ok_or_else(|| self.corrupt(OTHER_BYTES))?;
        Ok(match &self.range {
            Some(range) => cut(&bytes, 0, range).into(),
            None => bytes.into(),
        })
    }

    /// The bytes asked for, unpacked as they are taken. `None` when a chunk is gone.
    async fn chunks(self, list: &[Chunk]) -> Result<Option<Body>> {
        let mut from = None;
        let mut at = 0;
        let mut needed = Vec::new();
        for chunk in list {
            let end = at + chunk.size;
            let is_needed = match &self.range {
                // What comes later in compressed bytes hangs on all before it.
                Some(range) if !self.head.is_gzip => range.start < end && at < range.end,
                Some(range) => !range.is_empty(),
                None => true,
            };
            if is_needed {
                from.get_or_insert(at);
                needed.push(chunk.clone());
            }
            at = end;
        }
        let chunks = stream::iter(needed).map(|chunk| self.chunk(chunk));
        let chunks: Vec<Option<Bytes>> = chunks.buffered(AT_ONCE).try_collect().await?;
        let Some(pieces) = chunks.into_iter().collect::<Option<Vec<Bytes>>>() else {
            return Ok(None);
        };
        let range = self.range.clone().unwrap_or(0..self.head.size);
        let length = range.end - range.start;
        let unpacking = Unpacking {
            pieces: pieces.into_iter(),
            decoder: Some(Decoder::new(self.head.is_gzip)),
            at: from.unwrap_or(0),
            // Each chunk was checked by its name.
            check: self.range.is_none().then(|| Hasher::new(Algorithm::Sha256)),
            corrupt: self.corrupt(OTHER_BYTES),
            head: self.head,
            range,
        };
        Ok(Some(Body::stream(Some(length), stream::iter(unpacking))))
    }

    async fn chunk(&self, chunk: Chunk) -> Result<Option<Bytes>> {
        let about = About {
            operation: "read",
            key: Some(self.key.as_str()),
        };
        let found = self.store.get_one(about, Resource::Secrets, &chunk.name);
        let Some(secret) = found.await? else {
            return Ok(None);
        };
        let secret: Secret = secret;
        let bytes = secret.data.unwrap_or_default().remove(CHUNK);
        match bytes {
            Some(bytes) if chunk_name(&self.head.write, &bytes.0) == chunk.name => {
                Ok(Some(bytes.0.into()))
            }
            _ => Err(self.corrupt("the bytes of a chunk were changed")),
        }
    }

    fn corrupt(&self, message: &str) -> Error {
        self.store
            .folder
            .error(ErrorKind::Corrupt, "read", self.key, message)
            .hint("somebody edited a Secret of this store; write the object again")
    }
}

const OTHER_BYTES: &str = "its bytes don't have the checksum that they were written with";

/// The bytes of chunks, one chunk after the other.
struct Unpacking {
    pieces: std::vec::IntoIter<Bytes>,
    /// None at the end.
    decoder: Option<Decoder>,
    /// Where in the object the next bytes are.
    at: u64,
    check: Option<Hasher>,
    head: Head,
    range: Range<u64>,
    corrupt: Error,
}

impl Iterator for Unpacking {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let unpacked = match self.pieces.next() {
            Some(piece) => self.decoder.as_mut()?.feed(piece),
            None => self.decoder.take()?.finish(),
        };
        let Ok(bytes) = unpacked else {
            self.decoder = None;
            return Some(Err(self.corrupt.clone()));
        };
        let start = self.at;
        self.at += bytes.len() as u64;
        if let Some(hasher) = &mut self.check {
            hasher.update(&bytes);
        }
        if self.decoder.is_none()
            && let Some(hasher) = self.check.take()
            && (self.at != self.head.size || hasher.finish().hex() != self.head.sha256)
        {
            return Some(Err(self.corrupt.clone()));
        }
        Some(Ok(cut(&bytes, start, &self.range)))
    }
}

/// The part of some bytes, which begin at `start` of the object, that lies in a range.
fn cut(bytes: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let length = bytes.len() as u64;
    let inside = |at: u64| usize::try_from(at.saturating_sub(start).min(length)).unwrap_or(0);
    bytes.slice(inside(range.start)..inside(range.end).max(inside(range.start)))
}
