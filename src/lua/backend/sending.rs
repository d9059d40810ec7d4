//! The bytes of a write on their way into the VM: counted and checked, and let go to the last
//! only when they are what was announced.

use bytes::Bytes;
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::store::{
    Algorithm, Body, Capabilities, Checksum, Error, ErrorKind, Hasher, Precondition, Result,
    WriteOptions,
};
use crate::text::human_size;

/// What crosses into the VM: a chunk, or the end with the checksum of all of it.
pub(in crate::lua) type Part = Result<Chunk>;

/// A piece of a body.
pub(in crate::lua) enum Chunk {
    Bytes(Bytes),
    End(Option<Checksum>),
}

/// The most bytes that a write may have.
#[derive(Clone, Copy)]
pub(in crate::lua) struct Limits {
    most: u64,
    /// What it is the most for.
    of: &'static str,
}

impl Limits {
    pub(in crate::lua) fn new(able: &Capabilities, precondition: &Precondition) -> Self {
        let of_all = able.max_size.unwrap_or(u64::MAX);
        match able.max_conditional {
            Some(most) if most < of_all && *precondition != Precondition::None => Self {
                most,
                of: "conditions hold for there",
            },
            _ => Self {
                most: of_all,
                of: "the store takes",
            },
        }
    }

    fn check(self, size: u64) -> Result<()> {
        if size <= self.most {
            return Ok(());
        }
        let Self { most, of } = self;
        let most = human_size(most);
        let message = format!("it has more than {most}, which is the most that {of}");
        Err(Error::new(ErrorKind::Unsupported, "write", message))
    }
}

/// A body that a backend can take.
pub(in crate::lua) enum Sending {
    /// All of it, checked.
    Whole(Bytes, Option<Checksum>),
    /// A stream, which is checked before its last chunk comes.
    Stream {
        size: Option<u64>,
        parts: mpsc::Receiver<Part>,
    },
}

impl Sending {
    /// Prepares the body of a write; `wanted` is the checksum that the backend's answer may be
    /// compared with.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the bytes at hand are not what was announced,
    /// [`ErrorKind::Unsupported`] when they are known to be too many.
    pub(in crate::lua) fn new(
        io: &Handle,
        body: Body,
        options: &WriteOptions,
        wanted: Option<Algorithm>,
        limits: Limits,
    ) -> Result<Self> {
        let expected = options.checksum.clone();
        limits.check(body.size().unwrap_or(0))?;
        match body {
            Body::Bytes(bytes) => {
                if let Some(expected) = &expected
                    && Checksum::of(expected.algorithm, &bytes) != *expected
                {
                    return Err(wrong_checksum());
                }
                let sum = wanted.map(|algorithm| Checksum::of(algorithm, &bytes));
                Ok(Self::Whole(bytes, sum))
            }
            Body::Stream { size, stream } => {
                let (send, parts) = mpsc::channel(1);
                let check = Check {
                    size,
                    limits,
                    expected: expected.map(|sum| (Hasher::new(sum.algorithm), sum)),
                    wanted: wanted.map(Hasher::new),
                    seen: 0,
                };
                // A stream may need the reactor that its connection belongs to.
                io.spawn(pump(stream, check, send));
                Ok(Self::Stream { size, parts })
            }
        }
    }
}

struct Check {
    size: Option<u64>,
    limits: Limits,
    expected: Option<(Hasher, Checksum)>,
    wanted: Option<Hasher>,
    seen: u64,
}

impl Check {
    fn add(&mut self, chunk: &Bytes) -> Result<()> {
        self.seen += chunk.len() as u64;
        if let Some((hasher, _)) = &mut self.expected {
            hasher.update(chunk);
        }
        if let Some(hasher) = &mut self.wanted {
            hasher.update(chunk);
        }
        match self.size {
            Some(size) if self.seen > size => Err(wrong_length()),
            _ => self.limits.check(self.seen),
        }
    }

    fn end(self) -> Result<Option<Checksum>> {
        if self.size.is_some_and(|size| size != self.seen) {
            return Err(wrong_length());
        }
        if let Some((hasher, sum)) = self.expected
            && hasher.finish() != sum
        {
            return Err(wrong_checksum());
        }
        Ok(self.wanted.map(Hasher::finish))
    }
}

async fn pump(
    mut stream: futures::stream::BoxStream<'static, Result<Bytes>>,
    mut check: Check,
    send: mpsc::Sender<Part>,
) {
    let mut held: Option<Bytes> = None;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.and_then(|chunk| check.add(&chunk).map(|()| chunk));
        let next = match chunk {
            Ok(chunk) if chunk.is_empty() => continue,
            Ok(chunk) => held.replace(chunk).map(|before| Ok(Chunk::Bytes(before))),
            Err(error) => Some(Err(error)),
        };
        let Some(next) = next else {
            continue;
        };
        let is_last = next.is_err();
        if send.send(next).await.is_err() || is_last {
            return;
        }
    }
    let sum = match check.end() {
        Ok(sum) => sum,
        Err(error) => {
            let _ = send.send(Err(error)).await;
            return;
        }
    };
    if let Some(last) = held
        && send.send(Ok(Chunk::Bytes(last))).await.is_err()
    {
        return;
    }
    let _ = send.send(Ok(Chunk::End(sum))).await;
}

fn wrong_length() -> Error {
    let message = "the body has another length than announced";
    Error::new(ErrorKind::Corrupt, "write", message)
}

fn wrong_checksum() -> Error {
    let message = "the bytes don't have the expected checksum";
    Error::new(ErrorKind::Corrupt, "write", message)
}
