//! The bytes of an object on their way, and the checksums taken of them as they pass.

use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use md5::{Digest, Md5};
use sha2::Sha256;

use super::{Error, ErrorKind, Result};

/// How a checksum was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MD5, 16 bytes.
    Md5,
    /// SHA-256, 32 bytes.
    Sha256,
    /// CRC-32C (Castagnoli), 4 bytes, big-endian.
    Crc32c,
    /// CRC-64 of ECMA-182 as Alibaba Cloud has it (CRC-64/XZ), 8 bytes, big-endian.
    Crc64Ecma,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha256, Self::Crc32c, Self::Crc64Ecma];

    /// The name as people and `--json` see it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
            Self::Crc32c => "crc32c",
            Self::Crc64Ecma => "crc64ecma",
        }
    }

    /// The length of a digest in bytes.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 => 32,
            Self::Crc32c => 4,
            Self::Crc64Ecma => 8,
        }
    }
}

/// A checksum of a whole object's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: Algorithm,
    /// The digest.
    pub value: Vec<u8>,
}

impl Checksum {
    /// The checksum of bytes at hand.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The MD5 that is written in hex; `None` when it is none.
    #[must_use]
    pub fn md5_of_hex(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|digit| digit.to_digit(16)?.try_into().ok())
            .collect();
        let digits = digits.filter(|digits| digits.len() == 32)?;
        Some(Self {
            algorithm: Algorithm::Md5,
            value: digits
                .chunks(2)
                .map(|pair| pair[0] << 4 | pair[1])
                .collect(),
        })
    }

    /// The digest in lower-case hex.
    #[must_use]
    pub fn hex(&self) -> String {
        use std::fmt::Write;
        self.value.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A running checksum.
pub enum Hasher {
    /// MD5 so far.
    Md5(Md5),
    /// SHA-256 so far.
    Sha256(Box<Sha256>),
    /// CRC-32C so far.
    Crc32c(u32),
    /// CRC-64 so far.
    Crc64Ecma(Box<crc_fast::Digest>),
}

impl Hasher {
    /// A checksum of nothing yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Sha256 => Self::Sha256(Box::new(Sha256::new())),
            Algorithm::Crc32c => Self::Crc32c(0),
            Algorithm::Crc64Ecma => {
                Self::Crc64Ecma(Box::new(crc_fast::Digest::new(CrcAlgorithm::Crc64Xz)))
            }
        }
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(state) => state.update(bytes),
            Self::Sha256(state) => state.update(bytes),
            Self::Crc32c(state) => *state = crc32c::crc32c_append(*state, bytes),
            Self::Crc64Ecma(state) => state.update(bytes),
        }
    }

    /// The checksum of everything added.
    #[must_use]
    pub fn finish(self) -> Checksum {
        match self {
            Self::Md5(state) => Checksum {
                algorithm: Algorithm::Md5,
                value: state.finalize().to_vec(),
            },
            Self::Sha256(state) => Checksum {
                algorithm: Algorithm::Sha256,
                value: state.finalize().to_vec(),
            },
            Self::Crc32c(state) => Checksum {
                algorithm: Algorithm::Crc32c,
                value: state.to_be_bytes().to_vec(),
            },
            Self::Crc64Ecma(state) => Checksum {
                algorithm: Algorithm::Crc64Ecma,
                value: state.finalize().to_be_bytes().to_vec(),
            },
        }
    }
}

/// An object's bytes: at hand, or a stream that is read once.
pub enum Body {
    /// All of them; a write of such a body can be tried again.
    Bytes(Bytes),
    /// A stream, with its length in bytes where that is known beforehand.
    Stream {
        /// The length in bytes.
        size: Option<u64>,
        /// The chunks; an error ends it.
        stream: BoxStream<'static, Result<Bytes>>,
    },
}

impl Body {
    /// A body that is read as it comes.
    pub fn stream(
        size: Option<u64>,
        stream: impl futures::Stream<Item = Result<Bytes>> + Send + 'static,
    ) -> Self {
        Self::Stream {
            size,
            stream: stream.boxed(),
        }
    }

    /// The length in bytes, where it is known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream { size, .. } => *size,
        }
    }

    /// The chunks.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        match self {
            Self::Bytes(bytes) => stream::once(async { Ok(bytes) }).boxed(),
            Self::Stream { stream, .. } => stream,
        }
    }

    /// All bytes at once.
    ///
    /// # Errors
    /// The stream's own error; [`ErrorKind::Unsupported`] when there are more than `limit` bytes.
    pub async fn collect(self, limit: u64) -> Result<Bytes> {
        let too_large = || {
            Error::new(
                ErrorKind::Unsupported,
                "read",
                format!(
                    "the object is larger than {limit} bytes, which is the limit for reading it whole"
                ),
            )
        };
        match self {
            Self::Bytes(bytes) if bytes.len() as u64 <= limit => Ok(bytes),
            Self::Bytes(_) => Err(too_large()),
            Self::Stream { size, mut stream } => {
                if size.is_some_and(|size| size > limit) {
                    return Err(too_large());
                }
                let mut first: Option<Bytes> = None;
                let mut rest = BytesMut::new();
                while let Some(chunk) = stream.next().await.transpose()? {
                    match &first {
                        None => first = Some(chunk),
                        Some(start) => {
                            if rest.is_empty() {
                                rest.extend_from_slice(start);
                            }
                            rest.extend_from_slice(&chunk);
                        }
                    }
                    if rest.len() as u64 > limit {
                        return Err(too_large());
                    }
                }
                if !rest.is_empty() {
                    return Ok(rest.freeze());
                }
                match first {
                    Some(only) if only.len() as u64 > limit => Err(too_large()),
                    only => Ok(only.unwrap_or_default()),
                }
            }
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::Bytes(Bytes::from_static(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_match_their_published_vectors() {
        let hex = |algorithm| Checksum::of(algorithm, b"123456789").hex();
        assert_eq!(hex(Algorithm::Md5), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(hex(Algorithm::Crc32c), "e3069283");
        assert_eq!(hex(Algorithm::Crc64Ecma), "995dc9bbdf1939fa");
        for algorithm in Algorithm::ALL {
            assert_eq!(hex(algorithm).len(), 2 * algorithm.length());
        }
        assert_eq!(
            hex(Algorithm::Sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
    }

    #[tokio::test]
    async fn collects_chunks_up_to_the_limit() {
        let body = |chunks: &[&'static str]| {
            let chunks: Vec<_> = chunks
                .iter()
                .map(|c| Ok(Bytes::from_static(c.as_bytes())))
                .collect();
            Body::stream(None, stream::iter(chunks))
        };
        assert_eq!(body(&["ab", "", "c"]).collect(3).await.unwrap(), "abc");
        assert_eq!(body(&[]).collect(0).await.unwrap(), "");
        assert!(body(&["ab", "cd"]).collect(3).await.is_err());
        assert!(body(&["abcd"]).collect(3).await.is_err());
    }
}
