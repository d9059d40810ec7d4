//! A body on its way into a store: in pieces, counted and summed as it passes, and held to what
//! was announced of it.

use std::sync::Arc;

use super::pieces::{Buffers, Piece, Pieces};
use super::{Algorithm, Body, Checksum, Error, ErrorKind, Hasher, Key, Result, WriteOptions};

/// The body of one write.
pub(super) struct Incoming {
    pieces: Pieces,
    is_in_memory: bool,
    announced: Option<u64>,
    /// How many bytes were handed on.
    given: u64,
    sum: Hasher,
    /// What the caller wants the bytes to add up to, and what they do so far.
    wanted: Option<(Checksum, Hasher)>,
    url: String,
    key: Key,
}

impl Incoming {
    /// The body of `key` in the store at `url`; `algorithm` is what [`finish`](Self::finish) gives.
    pub(super) fn new(
        body: Body,
        options: &WriteOptions,
        algorithm: Algorithm,
        (url, key): (&str, &Key),
    ) -> Self {
        let wanted = options.checksum.clone();
        Self {
            is_in_memory: matches!(body, Body::Bytes(_)),
            announced: body.size(),
            given: 0,
            pieces: Pieces::new(body),
            sum: Hasher::new(algorithm),
            wanted: wanted.map(|sum| {
                let hasher = Hasher::new(sum.algorithm);
                (sum, hasher)
            }),
            url: url.to_owned(),
            key: key.clone(),
        }
    }

    /// The number of all bytes, where it is known beforehand.
    pub(super) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The next piece: of this size in bytes, or what is left.
    pub(super) async fn next(&mut self, size: u64, buffers: &Arc<Buffers>) -> Result<Piece> {
        let left = self.announced.map(|all| all.saturating_sub(self.given));
        // A body that is longer than announced is told by its next piece.
        let size = left.map_or(size, |left| size.min(left.max(1)));
        let room = if self.is_in_memory {
            Piece::without_room()
        } else {
            buffers.room(size).await
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let piece = self.pieces.next(size, room).await?;
        self.given += piece.bytes.len() as u64;
        self.sum.update(&piece.bytes);
        if let Some((_, hasher)) = &mut self.wanted {
            hasher.update(&piece.bytes);
        }
        Ok(piece)
    }

    /// Whether nothing more comes.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when more comes than was announced.
    pub(super) async fn at_end(&mut self) -> Result<bool> {
        let at_end = self.pieces.at_end().await?;
        match self.announced {
            Some(size) if self.pieces.seen > size => Err(self.wrong_size(size)),
            _ => Ok(at_end),
        }
    }

    /// The checksum of all bytes; to be called before the last piece is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the bytes are not what was announced.
    pub(super) fn finish(self) -> Result<Checksum> {
        if let Some(size) = self.announced.filter(|size| *size != self.pieces.seen) {
            return Err(self.wrong_size(size));
        }
        if let Some((wanted, hasher)) = self.wanted
            && hasher.finish() != wanted
        {
            let message = "the bytes don't have the expected checksum; nothing was written";
            return Err(Error::new(ErrorKind::Corrupt, "write", message)
                .at(&self.url, Some(self.key.as_str())));
        }
        Ok(self.sum.finish())
    }

    fn wrong_size(&self, announced: u64) -> Error {
        let seen = self.pieces.seen;
        let message = format!("the body has {seen} bytes instead of the announced {announced}");
        Error::new(ErrorKind::Corrupt, "write", message).at(&self.url, Some(self.key.as_str()))
    }
}
