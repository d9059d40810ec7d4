//! Uploads in segments: a few in flight, each retried alone, none left behind.
//!
//! What fits into one object is put together by the service, so that it is one: others (kOps,
//! `etcd-manager`) know nothing of segments, and its tag is its checksum. What doesn't keeps them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, header};

use super::manifest::{SEGMENTS, Segment, etag, manifest};
use super::write::{Unwritten, Written, is_new};
use super::{LONGEST_NAME, SwiftStore};
use crate::store::incoming::Incoming;
use crate::store::pieces::Piece;
use crate::store::rest::encoded_path;
use crate::store::{
    Algorithm, Checksum, ErrorKind, Key, Meta, Precondition, Result, Tag, WriteOptions,
};

/// How many segments are sent at once.
const AT_ONCE: usize = 4;

/// The largest object in bytes that the service puts together: more takes longer than an answer
/// is waited for.
const LARGEST_JOINED: u64 = 1 << 30;

/// The manifest that the service puts an object together by, among the segments.
const MANIFEST: &str = "manifest";

/// Segments on their way; dropping it clears them away.
struct Upload {
    store: SwiftStore,
    key: Key,
    /// The object's full name.
    name: String,
    folder: String,
    /// How many there may be.
    most: u64,
    /// How many were begun.
    begun: AtomicUsize,
    is_open: bool,
}

impl SwiftStore {
    /// Whether the service makes an object of this size of segments, or of another object, while
    /// an answer is waited for.
    pub(super) async fn is_joinable(&self, size: u64) -> Result<bool> {
        let tuning = &self.account.tuning;
        if size <= tuning.part_size {
            return Ok(true);
        }
        let largest = tuning.largest_copy.unwrap_or(LARGEST_JOINED);
        Ok(size <= self.info().await?.largest_object.min(largest))
    }

    pub(super) async fn put_segments(
        &self,
        key: &Key,
        name: &str,
        first: Piece,
        body: Incoming,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let mut upload = self.begin(key, name).await?;
        let result = upload.run(first, body, options).await;
        upload.end().await;
        result
    }

    async fn begin(&self, key: &Key, name: &str) -> Result<Upload> {
        let id = fastrand::u128(..);
        let folder = format!("{SEGMENTS}{name}/{id:032x}");
        let refused = |why| {
            let error = self.folder.error(ErrorKind::Unsupported, "write", key, why);
            Err(error)
        };
        if folder.len() + "/".len() + MANIFEST.len() > LONGEST_NAME {
            return refused(
                "its name is too long for the segments that an object of this size takes",
            );
        }
        let Some(most) = self.info().await?.most_segments else {
            return refused(
                "it is larger than a part, and the service has no static large objects",
            );
        };
        self.sweep().await;
        Ok(Upload {
            store: self.clone(),
            key: key.clone(),
            name: name.to_owned(),
            folder,
            most,
            begun: AtomicUsize::new(0),
            is_open: true,
        })
    }
}

impl Upload {
    async fn run(
        &mut self,
        first: Piece,
        mut body: Incoming,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let segments = self.send_all(first, &mut body).await?;
        let whole = body.finish()?;
        let size = segments.iter().map(|segment| segment.size).sum();
        let store = self.store.clone();
        let old = store.segments_of(&self.key, &self.name, options).await?;
        let meta = if store.is_joinable(size).await? {
            self.join(&segments, Written::of(size, whole), options)
                .await?
        } else {
            self.keep(&segments, size, options).await?
        };
        store.remove(old).await;
        store.container.note(&self.name, !self.is_open);
        Ok(meta)
    }

    async fn send_all(&self, first: Piece, body: &mut Incoming) -> Result<Vec<Segment>> {
        let failed = AtomicBool::new(false);
        let feed = stream::try_unfold((body, Some(first)), |(body, first)| async {
            let piece = match first {
                Some(first) => first,
                None if failed.load(Ordering::Relaxed) || body.at_end().await? => return Ok(None),
                None => {
                    let size = self.segment_size(body.announced());
                    body.next(size, &self.store.account.buffers).await?
                }
            };
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            Ok(Some(((number, piece), (body, None))))
        });
        let sending = feed.map(|next: Result<_>| async {
            let (number, piece) = next?;
            self.send(number, piece).await
        });
        // Boxed, because the compiler can't tell later that this is `Send`.
        let mut sending = sending.buffer_unordered(AT_ONCE).boxed();
        let mut segments = Vec::new();
        let mut failure = None;
        // Those on their way are waited for, so that none comes after all were cleared away.
        while let Some(sent) = sending.next().await {
            match sent {
                Ok(segment) => segments.push(segment),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    failure.get_or_insert(error);
                }
            }
        }
        segments.sort_by_key(|segment: &Segment| segment.number);
        failure.map_or(Ok(segments), Err)
    }

    /// Segments grow with the object when its size is known, else with every tenth of as many as
    /// there may be.
    fn segment_size(&self, announced: Option<u64>) -> u64 {
        let least = self.store.account.tuning.part_size;
        let most = self.most.max(1);
        let begun = self.begun.load(Ordering::Relaxed) as u64;
        announced.map_or(least << (10 * begun / most).min(10), |size| {
            least.max(size.div_ceil(most))
        })
    }

    fn name_of(&self, number: usize) -> String {
        format!("{}/{number:05}", self.folder)
    }

    async fn send(&self, number: usize, piece: Piece) -> Result<Segment> {
        let (store, name) = (&self.store, self.name_of(number));
        let md5 = self.md5_beside(piece.bytes.clone()).await?;
        let written = Written::of(piece.bytes.len() as u64, md5.clone());
        let plain = WriteOptions::default();
        let request = || Request::put(store.path(&name)).header(header::ETAG, &written.tag.0);
        let bytes = piece.bytes.clone();
        let sent = store.put_as((&self.key, &name), request, bytes, &written, &plain);
        sent.await.map_err(|failed| failed.error)?;
        Ok(Segment {
            number,
            name,
            md5,
            size: written.size,
        })
    }

    /// The MD5 of a segment, computed on another thread: here it would hold up the others.
    async fn md5_beside(&self, bytes: Bytes) -> Result<Checksum> {
        tokio::task::spawn_blocking(move || Checksum::of(Algorithm::Md5, &bytes))
            .await
            .map_err(|stopped| {
                let folder = &self.store.folder;
                folder.error(ErrorKind::Other, "write", &self.key, stopped.to_string())
            })
    }

    /// Makes an object of the segments that needs them no more: the service copies what a
    /// manifest of ours means.
    async fn join(
        &self,
        segments: &[Segment],
        written: Written,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let (store, key) = (&self.store, &self.key);
        // A condition on a copy is one on what is copied.
        if is_new(options) {
            match store.head("write", key).await {
                Ok(_) => return Err(store.folder.exists("write", key)),
                Err(error) if error.is_missing_key() => {}
                Err(error) => return Err(error),
            }
        }
        let name = format!("{}/{MANIFEST}", self.folder);
        let plain = WriteOptions::default();
        let made = self.put_manifest(&name, segments, written.size, &plain);
        made.await.map_err(|failed| failed.error)?;
        let container = &store.site.bucket;
        let from = format!("/{}", encoded_path(&format!("{container}/{name}")));
        let request = || {
            Request::put(store.path(&self.name))
                .header("x-copy-from", &from)
                .header("x-fresh-metadata", "true")
        };
        let options = WriteOptions {
            believed: Precondition::None,
            ..options.clone()
        };
        let joined = store.put_as((key, &self.name), request, Bytes::new(), &written, &options);
        joined.await.map_err(|failed| failed.error)
    }

    /// Makes an object that keeps its segments.
    async fn keep(
        &mut self,
        segments: &[Segment],
        size: u64,
        options: &WriteOptions,
    ) -> Result<Meta> {
        // From here on nobody knows whether they are somebody's, also when this is given up: a
        // later sweep does.
        self.is_open = false;
        self.store.container.note(&self.name, true);
        let made = self.put_manifest(&self.name, segments, size, options);
        made.await.map_err(|failed| {
            self.is_open = !failed.uncertain;
            failed.error
        })
    }

    async fn put_manifest(
        &self,
        name: &str,
        segments: &[Segment],
        size: u64,
        options: &WriteOptions,
    ) -> Result<Meta, Unwritten> {
        let store = &self.store;
        let etag = etag(segments);
        let written = Written {
            size,
            tag: Tag(etag.clone()),
            sum: None,
        };
        let path = format!("{}?multipart-manifest=put", store.path(name));
        let request = || Request::put(&path).header(header::ETAG, &etag);
        let manifest = manifest(&store.site.bucket, segments);
        store
            .put_as((&self.key, name), request, manifest, &written, options)
            .await
    }

    /// Clears away what no object needs.
    async fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.store.remove(self.names()).await;
        }
    }

    fn names(&self) -> Vec<String> {
        let begun = self.begun.load(Ordering::Relaxed);
        let segments = (0..begun).map(|number| self.name_of(number));
        segments
            .chain([format!("{}/{MANIFEST}", self.folder)])
            .collect()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let (store, names) = (self.store.clone(), self.names());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { store.remove(names).await });
        }
    }
}
