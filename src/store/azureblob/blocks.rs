//! Objects of several blocks: `Put Block`, and the list of them that makes the object. Blocks
//! that end up in no list are gone after a week.

use std::fmt::Write;
use std::sync::atomic::AtomicBool;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{FutureExt, TryStreamExt, stream};
use http::Request;

use super::AzureStore;
use super::write::{Written, base64};
use crate::store::incoming::Incoming;
use crate::store::pieces::Piece;
use crate::store::rest::query;
use crate::store::{Algorithm, Checksum, Error, Key, Meta, Result, WriteOptions};

/// The most blocks of an object:
/// <https://learn.microsoft.com/azure/storage/blobs/scalability-targets>.
pub(super) const MOST_BLOCKS: u64 = 50_000;

/// The largest object in bytes: as many blocks of 4,000 MiB.
pub(super) const LARGEST_OBJECT: u64 = MOST_BLOCKS * (4000 << 20);

/// How many blocks of one object are under way at once.
pub(super) const BLOCKS_AT_ONCE: usize = 4;

/// Blocks that the service has.
pub(super) struct Blocks {
    pub upload: Upload,
    /// How many there are, in order from 0.
    pub count: u64,
    pub written: Written,
}

/// Blocks of other uploads to the same name lie in the same heap: each has its own names.
#[derive(Clone, Copy)]
pub(super) struct Upload(u64);

impl Upload {
    pub(super) fn new() -> Self {
        Self(fastrand::u64(..))
    }

    /// All ids of one object must have the same length.
    fn block_id(self, number: u64) -> String {
        BASE64_STANDARD.encode(format!("kstate-{:016x}-{number:08}", self.0))
    }
}

/// A body that is sent in blocks.
struct Feed {
    first: Option<Piece>,
    body: Incoming,
    number: u64,
    size: u64,
}

impl AzureStore {
    pub(super) async fn put_blocks(
        &self,
        key: &Key,
        first: Piece,
        body: Incoming,
        announced: Option<u64>,
    ) -> Result<Blocks> {
        let upload = Upload::new();
        let least = self.account.tuning.part_size;
        let mut feed = Feed {
            first: Some(first),
            body,
            number: 0,
            // The first one is as small as any.
            size: announced.map_or(least, |size| least.max(size.div_ceil(MOST_BLOCKS - 1))),
        };
        let blocks = stream::try_unfold(&mut feed, |feed| async {
            let block = self.next_block(feed).await?;
            Ok::<_, Error>(block.map(|block| (block, feed)))
        });
        let sending = blocks
            .map_ok(|(number, piece)| async move {
                let url = self.block_url(key, upload, number);
                self.put_block(key, &url, &piece.bytes).await?;
                Ok(piece.bytes.len() as u64)
            })
            .try_buffer_unordered(BLOCKS_AT_ONCE)
            .try_fold(0, |sum, size| std::future::ready(Ok(sum + size)));
        // Boxed, because the compiler can't tell later that this is `Send`.
        let size = sending.boxed().await?;
        let md5 = Some(feed.body.finish()?);
        Ok(Blocks {
            upload,
            count: feed.number,
            written: Written { size, md5 },
        })
    }

    async fn next_block(&self, feed: &mut Feed) -> Result<Option<(u64, Piece)>> {
        let piece = match feed.first.take() {
            Some(first) => first,
            None if feed.body.at_end().await? => return Ok(None),
            None => {
                // Where the size isn't known beforehand, blocks grow.
                let size = feed.size << (feed.number / 10_000).min(8);
                feed.body.next(size, &self.account.buffers).await?
            }
        };
        let number = feed.number;
        feed.number += 1;
        Ok(Some((number, piece)))
    }

    pub(super) fn block_url(&self, key: &Key, upload: Upload, number: u64) -> String {
        let id = upload.block_id(number);
        let query = query([("comp", Some("block")), ("blockid", Some(&id))]);
        format!("{}{query}", self.blob_url(key))
    }

    async fn put_block(&self, key: &Key, url: &str, bytes: &Bytes) -> Result<()> {
        let md5 = base64(&Checksum::of(Algorithm::Md5, bytes));
        let call = self.call("write", super::WRITE, Some(key));
        let send = |_| async {
            let request = Request::put(url).header("content-md5", &md5);
            let request = call.built(request, bytes.clone())?;
            let answer = self.account.call(request).await;
            answer.map_err(|failure| {
                let (options, uncertain) = (WriteOptions::default(), AtomicBool::default());
                self.write_error("write", key, failure, &options, &uncertain)
            })
        };
        self.account.tuning.retry.run(send).await.map(drop)
    }

    /// Makes the object of its blocks.
    pub(super) async fn commit_blocks(
        &self,
        key: &Key,
        blocks: Blocks,
        options: &WriteOptions,
    ) -> Result<Meta> {
        let mut list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>".to_owned();
        for number in 0..blocks.count {
            let id = blocks.upload.block_id(number);
            // Writing to a String can't fail.
            let _ = write!(list, "<Latest>{id}</Latest>");
        }
        list.push_str("</BlockList>");
        let query = query([("comp", Some("blocklist"))]);
        let url = format!("{}{query}", self.blob_url(key));
        let request = || Request::put(&url);
        self.commit(key, request, list.into(), &blocks.written, options)
            .await
    }
}
