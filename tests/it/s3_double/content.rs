//! What objects hold: real bytes, or bytes generated while they are read.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use md5::{Digest, Md5};
use s3s::dto::StreamingBlob;

const CHUNK: u64 = 256 * 1024;

/// Bytes that may be far larger than memory: slices and copies share, nothing is materialised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Stored(Bytes),
    /// `len` bytes of the endless sequence that `seed` stands for, from `offset` on.
    Synthetic {
        seed: u64,
        offset: u64,
        len: u64,
    },
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::Stored(bytes) => bytes.len() as u64,
            Self::Synthetic { len, .. } => *len,
        }
    }

    fn slice(&self, range: Range<u64>) -> Self {
        match self {
            Self::Stored(bytes) => Self::Stored(bytes.slice(index(range.start)..index(range.end))),
            Self::Synthetic { seed, offset, .. } => Self::Synthetic {
                seed: *seed,
                offset: offset + range.start,
                len: range.end - range.start,
            },
        }
    }

    fn bytes(&self) -> Bytes {
        match self {
            Self::Stored(bytes) => bytes.clone(),
            Self::Synthetic { seed, offset, len } => generate(*seed, *offset, *len),
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self {
            segments: vec![Segment::Stored(bytes)],
        }
    }
}

impl FromIterator<Content> for Content {
    fn from_iter<I: IntoIterator<Item = Content>>(parts: I) -> Self {
        Self {
            segments: parts.into_iter().flat_map(|part| part.segments).collect(),
        }
    }
}

impl Content {
    /// The first `size` bytes of the sequence of `seed`.
    pub(crate) fn synthetic(size: u64, seed: u64) -> Self {
        Self {
            segments: vec![Segment::Synthetic {
                seed,
                offset: 0,
                len: size,
            }],
        }
    }

    /// Its size in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.segments.iter().map(Segment::len).sum()
    }

    /// The part that `range` names, which must lie within.
    pub(crate) fn slice(&self, range: Range<u64>) -> Self {
        let mut start = 0;
        let mut segments = Vec::new();
        for segment in &self.segments {
            let end = start + segment.len();
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                segments.push(segment.slice(from - start..to - start));
            }
            start = end;
        }
        Self { segments }
    }

    /// All of it in memory; for small objects only.
    pub(crate) fn bytes(&self) -> Bytes {
        self.chunks()
            .fold(Vec::new(), |mut all, chunk| {
                all.extend_from_slice(&chunk);
                all
            })
            .into()
    }

    /// Its bytes in pieces of at most 256 KiB, generated one by one.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Bytes> + use<> {
        self.clone().segments.into_iter().flat_map(|segment| {
            let len = segment.len();
            (0..len.div_ceil(CHUNK))
                .map(move |n| segment.slice(n * CHUNK..len.min((n + 1) * CHUNK)).bytes())
        })
    }

    /// A response body.
    pub(crate) fn stream(&self) -> StreamingBlob {
        StreamingBlob::wrap(futures::stream::iter(self.chunks().map(Ok::<_, io::Error>)))
    }

    /// The MD5 of stored bytes. Synthetic bytes are not read for it: they are told apart by a
    /// digest of what generates them, so it never equals the MD5 of the content.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let mut md5 = Md5::new();
        for segment in &self.segments {
            match segment {
                Segment::Stored(bytes) => md5.update(bytes),
                Segment::Synthetic { seed, offset, len } => {
                    md5.update(format!("synthetic {seed} {offset} {len}"));
                }
            }
        }
        md5.finalize().into()
    }

    /// The entity tag of this content stored in one piece. A synthetic object has the form of a
    /// multipart one, so that nobody takes its tag for the MD5 of the bytes.
    pub(crate) fn etag(&self) -> String {
        let stored = |segment| matches!(segment, &Segment::Stored(_));
        let suffix = if self.segments.iter().all(stored) {
            ""
        } else {
            "-1"
        };
        format!("{}{suffix}", hex(&self.digest()))
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("stored bytes are in memory")
}

fn generate(seed: u64, offset: u64, len: u64) -> Bytes {
    let first = offset / 8;
    let last = (offset + len).div_ceil(8);
    let words: Vec<u8> = (first..last)
        .flat_map(|n| word(seed, n).to_le_bytes())
        .collect();
    let skip = index(offset % 8);
    Bytes::from(words).slice(skip..skip + index(len))
}

/// `SplitMix64`: any word of the sequence without the ones before it.
fn word(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
