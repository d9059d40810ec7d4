//! Bodies in pieces, and the memory for them, bounded over all uploads. Parts' buffers are used
//! again: as threads hand them to each other, they would pile up in glibc's allocator to twice
//! the bound.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Body, Result, lock};

pub(super) struct Buffers {
    /// In bytes, over all pieces.
    limit: u64,
    /// The bytes of the buffers that are kept.
    part: usize,
    /// The KiB that are free.
    room: Arc<Semaphore>,
    idle: Mutex<Vec<BytesMut>>,
}

/// Some bytes of a body, and the room that they take.
pub(super) struct Piece {
    pub bytes: Bytes,
    room: Option<(Arc<Buffers>, OwnedSemaphorePermit)>,
}

impl Buffers {
    /// At most `limit` bytes, mostly in parts of the same size.
    pub(super) fn new(limit: u64, part: u64) -> Self {
        Self {
            limit,
            part: usize::try_from(part).unwrap_or(usize::MAX),
            room: Arc::new(Semaphore::new(permits(limit) as usize)),
            idle: Mutex::default(),
        }
    }

    /// Waits until there is room for this many bytes; more than there can be take all of it.
    pub(super) async fn room(self: &Arc<Self>, bytes: u64) -> Piece {
        let permits = permits(bytes.min(self.limit));
        let permit = Arc::clone(&self.room).acquire_many_owned(permits).await;
        Piece {
            bytes: Bytes::new(),
            // It fails only when it is closed, which it never is.
            room: permit.ok().map(|permit| (Arc::clone(self), permit)),
        }
    }
}

/// What a number of bytes takes of the semaphore.
fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX >> 4)
}

impl Piece {
    /// For bytes that are in memory anyway.
    pub(super) fn without_room() -> Self {
        Self {
            bytes: Bytes::new(),
            room: None,
        }
    }

    /// An empty buffer for this many bytes.
    pub(super) fn buffer(&self, size: usize) -> BytesMut {
        let idle = match &self.room {
            Some((buffers, _)) if buffers.part == size => lock(&buffers.idle).pop(),
            _ => None,
        };
        idle.unwrap_or_else(|| BytesMut::with_capacity(size))
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let Some((buffers, _)) = &self.room else {
            return;
        };
        if let Ok(mut buffer) = std::mem::take(&mut self.bytes).try_into_mut()
            && buffer.capacity() == buffers.part
        {
            buffer.clear();
            lock(&buffers.idle).push(buffer);
        }
    }
}

/// The bytes of a body in pieces of a chosen size.
pub(super) struct Pieces {
    stream: BoxStream<'static, Result<Bytes>>,
    /// The rest of the last chunk.
    chunk: Bytes,
    ended: bool,
    /// How many bytes have come in so far.
    pub seen: u64,
}

impl Pieces {
    pub(super) fn new(body: Body) -> Self {
        Self {
            stream: body.into_stream(),
            chunk: Bytes::new(),
            ended: false,
            seen: 0,
        }
    }

    /// Fills a piece to exactly this size; the last one may be shorter or empty. What lies
    /// within one chunk is not copied.
    pub(super) async fn next(&mut self, size: usize, mut piece: Piece) -> Result<Piece> {
        let mut joined: Option<BytesMut> = None;
        while !self.at_end().await? {
            let missing = size - joined.as_ref().map_or(0, BytesMut::len);
            let next = self.chunk.split_to(self.chunk.len().min(missing));
            let full = next.len() == missing;
            match &mut joined {
                Some(joined) => joined.extend_from_slice(&next),
                None if full || self.at_end().await? => {
                    piece.bytes = next;
                    return Ok(piece);
                }
                None => {
                    let mut buffer = piece.buffer(size);
                    buffer.extend_from_slice(&next);
                    joined = Some(buffer);
                }
            }
            if full {
                break;
            }
        }
        piece.bytes = joined.unwrap_or_default().freeze();
        Ok(piece)
    }

    /// Whether nothing more comes.
    pub(super) async fn at_end(&mut self) -> Result<bool> {
        if self.chunk.is_empty()
            && let Some(chunk) = self.pull().await?
        {
            self.chunk = chunk;
        }
        Ok(self.chunk.is_empty())
    }

    /// The next chunk that isn't empty.
    async fn pull(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            match self.stream.next().await.transpose()? {
                None => self.ended = true,
                Some(chunk) if chunk.is_empty() => {}
                Some(chunk) => {
                    self.seen += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, stream};

    use super::*;

    #[tokio::test]
    async fn room_is_bounded_and_comes_back() {
        let buffers = Arc::new(Buffers::new(4096, 2048));
        let (first, second) = (buffers.room(2048).await, buffers.room(1).await);
        assert!(buffers.room(4096).now_or_never().is_none());
        drop((first, second));
        assert!(buffers.room(1 << 40).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_part_is_filled_into_a_buffer_that_was_used_before() {
        let buffers = Arc::new(Buffers::new(4096, 2048));
        let mut piece = buffers.room(2048).await;
        let mut buffer = piece.buffer(2048);
        let place = buffer.as_ptr();
        buffer.extend_from_slice(b"abc");
        piece.bytes = buffer.freeze();
        let sent = piece.bytes.clone();
        drop(sent);
        drop(piece);
        let again = buffers.room(2048).await.buffer(2048);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    fn pieces(chunks: &[&'static str]) -> Pieces {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())))
            .collect();
        Pieces::new(Body::stream(None, stream::iter(chunks)))
    }

    #[tokio::test]
    async fn pieces_have_the_size_asked_for_whatever_comes() {
        for chunks in [
            &["abcdefgh"][..],
            &["a", "bc", "", "defg", "h"],
            &["abc", "defgh"],
        ] {
            let mut pieces = pieces(chunks);
            let mut seen = Vec::new();
            while !pieces.at_end().await.unwrap() {
                let piece = pieces.next(3, Piece::without_room()).await.unwrap();
                seen.push(piece.bytes.clone());
            }
            assert_eq!(seen, ["abc", "def", "gh"]);
            assert_eq!(pieces.seen, 8);
        }
    }

    #[tokio::test]
    async fn one_chunk_is_handed_on_without_a_copy() {
        let bytes = Bytes::from(vec![7; 100]);
        let mut pieces = Pieces::new(bytes.clone().into());
        let piece = pieces.next(1000, Piece::without_room()).await.unwrap();
        assert_eq!(piece.bytes.as_ptr(), bytes.as_ptr());
        assert!(pieces.at_end().await.unwrap());
    }
}
