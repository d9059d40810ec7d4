//! Bytes on their way into Secrets and out of them.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::store::{Algorithm, Body, Checksum, Hasher, Result};

/// The bytes of a write, counted and summed up as they are taken.
pub(super) struct Source {
    stream: BoxStream<'static, Result<Bytes>>,
    /// What was read and not yet taken.
    rest: Bytes,
    pub announced: Option<u64>,
    pub seen: u64,
    sha256: Hasher,
    /// What the caller wants checked beside.
    wanted: Option<(Checksum, Hasher)>,
}

impl Source {
    pub(super) fn new(body: Body, wanted: Option<&Checksum>) -> Self {
        Self {
            announced: body.size(),
            stream: body.into_stream(),
            rest: Bytes::new(),
            seen: 0,
            sha256: Hasher::new(Algorithm::Sha256),
            wanted: wanted.map(|sum| (sum.clone(), Hasher::new(sum.algorithm))),
        }
    }

    /// The next bytes, at most `most`; none at the end.
    pub(super) async fn next(&mut self, most: usize) -> Result<Option<Bytes>> {
        while self.rest.is_empty() {
            match self.stream.next().await {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(None),
            }
        }
        let bytes = self.rest.split_to(most.min(self.rest.len()));
        self.seen += bytes.len() as u64;
        self.sha256.update(&bytes);
        if let Some((_, hasher)) = &mut self.wanted {
            hasher.update(&bytes);
        }
        Ok(Some(bytes))
    }

    /// As many bytes as `most`, or all there are.
    pub(super) async fn fill(&mut self, most: usize) -> Result<Bytes> {
        let Some(first) = self.next(most).await? else {
            return Ok(Bytes::new());
        };
        let mut filled = Vec::new();
        while let Some(more) = self.next_unless(most - first.len() - filled.len()).await? {
            filled.extend_from_slice(&more);
        }
        if filled.is_empty() {
            return Ok(first);
        }
        Ok([&first[..], &filled[..]].concat().into())
    }

    async fn next_unless(&mut self, most: usize) -> Result<Option<Bytes>> {
        match most {
            0 => Ok(None),
            most => self.next(most).await,
        }
    }

    /// Whether there is nothing more.
    pub(super) async fn at_end(&mut self) -> Result<bool> {
        while self.rest.is_empty() {
            match self.stream.next().await {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// The SHA-256 of all bytes in hex, and whether they are what the caller wanted.
    pub(super) fn finish(self) -> (String, bool) {
        let is_wanted = match self.wanted {
            Some((sum, hasher)) => hasher.finish() == sum,
            None => true,
        };
        (self.sha256.finish().hex(), is_wanted)
    }
}

/// The bytes compressed, if that makes them fewer.
pub(super) fn smaller(bytes: &Bytes) -> Option<Bytes> {
    let mut encoder = Encoder::new(true);
    encoder.write(bytes);
    let packed = encoder.finish();
    (packed.len() < bytes.len()).then_some(packed)
}

/// Bytes as they are stored.
pub(super) enum Encoder {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    pub(super) fn new(is_gzip: bool) -> Self {
        if is_gzip {
            Self::Gzip(GzEncoder::new(Vec::new(), Compression::default()))
        } else {
            Self::Plain(Vec::new())
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(held) => held.extend_from_slice(bytes),
            // Writing to a Vec cannot fail.
            Self::Gzip(encoder) => drop(encoder.write_all(bytes)),
        }
    }

    /// The next full piece, if there is one.
    pub(super) fn piece(&mut self, size: usize) -> Option<Bytes> {
        let held = match self {
            Self::Plain(held) => held,
            Self::Gzip(encoder) => encoder.get_mut(),
        };
        if held.len() < size {
            return None;
        }
        let rest = held.split_off(size);
        Some(std::mem::replace(held, rest).into())
    }

    /// What is left.
    pub(super) fn finish(self) -> Bytes {
        match self {
            Self::Plain(held) => held.into(),
            // As above.
            Self::Gzip(encoder) => encoder.finish().unwrap_or_default().into(),
        }
    }
}

/// Stored bytes as they were before.
///
/// # Errors
/// When they are no gzip.
pub(super) fn unpack(stored: Bytes, is_gzip: bool) -> std::io::Result<Bytes> {
    let mut decoder = Decoder::new(is_gzip);
    let bytes = decoder.feed(stored)?;
    let rest = decoder.finish()?;
    if rest.is_empty() {
        return Ok(bytes);
    }
    Ok([bytes, rest].concat().into())
}

/// Bytes as they were before they were stored.
pub(super) enum Decoder {
    Plain,
    Gzip(Box<GzDecoder<Vec<u8>>>),
}

impl Decoder {
    pub(super) fn new(is_gzip: bool) -> Self {
        if is_gzip {
            Self::Gzip(Box::new(GzDecoder::new(Vec::new())))
        } else {
            Self::Plain
        }
    }

    /// What these stored bytes make.
    ///
    /// # Errors
    /// When they are no gzip.
    pub(super) fn feed(&mut self, stored: Bytes) -> std::io::Result<Bytes> {
        match self {
            Self::Plain => Ok(stored),
            Self::Gzip(decoder) => {
                decoder.write_all(&stored)?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
        }
    }

    /// What is left at the end.
    ///
    /// # Errors
    /// When the end is missing.
    pub(super) fn finish(self) -> std::io::Result<Bytes> {
        match self {
            Self::Plain => Ok(Bytes::new()),
            Self::Gzip(decoder) => decoder.finish().map(Bytes::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[test]
    fn pieces_put_together_are_the_bytes_again() {
        let mut noise = vec![0; 10_000];
        fastrand::Rng::with_seed(3).fill(&mut noise);
        for bytes in [noise, b"again and again ".repeat(2000)] {
            for is_gzip in [false, true] {
                let mut encoder = Encoder::new(is_gzip);
                let mut pieces = Vec::new();
                for part in bytes.chunks(777) {
                    encoder.write(part);
                    while let Some(piece) = encoder.piece(100) {
                        pieces.push(piece);
                    }
                }
                pieces.push(encoder.finish());
                let mut decoder = Decoder::new(is_gzip);
                let mut whole = Vec::new();
                for piece in pieces {
                    whole.extend_from_slice(&decoder.feed(piece).unwrap());
                }
                whole.extend_from_slice(&decoder.finish().unwrap());
                assert!(whole == bytes);
            }
        }
    }

    #[test]
    fn only_what_gets_smaller_is_compressed() {
        assert!(smaller(&Bytes::from_static(b"x")).is_none());
        let text = Bytes::from(b"kind: Cluster\n".repeat(50));
        assert!(smaller(&text).unwrap().len() < 100);
    }

    #[tokio::test]
    async fn a_source_is_filled_across_its_parts() {
        let parts = ["", "ab", "cde", "", "f"].map(|part| Ok(Bytes::from_static(part.as_bytes())));
        let body = Body::stream(Some(6), stream::iter(parts));
        let wanted = Checksum::of(Algorithm::Md5, b"abcdef");
        let mut source = Source::new(body, Some(&wanted));
        assert_eq!(source.fill(4).await.unwrap(), "abcd");
        assert!(!source.at_end().await.unwrap());
        assert_eq!(source.fill(4).await.unwrap(), "ef");
        assert!(source.at_end().await.unwrap());
        assert_eq!((source.seen, source.announced), (6, Some(6)));
        assert!(source.finish().1);
    }
}
