//! Reading a log back, also one whose writer was killed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream;

use super::{Begin, Kept, Line, Next, OBJECTS};
use crate::session::plan::{PlannedLock, PlannedStore};
use crate::store::{Algorithm, Body, Error, ErrorKind, Hasher, Result};

/// Everything that a log says.
pub(in crate::session) struct Log {
    pub(in crate::session) stores: HashMap<usize, PlannedStore>,
    pub(in crate::session) locks: Vec<PlannedLock>,
    /// In the order in which they began.
    pub(in crate::session) ops: Vec<Op>,
    pub(in crate::session) next: Next,
    folder: PathBuf,
}

/// A change, and what came of it.
pub(in crate::session) struct Op {
    pub(in crate::session) begin: Begin,
    /// The sum of a streamed body, once all of it had been seen.
    pub(in crate::session) body: Option<String>,
    pub(in crate::session) state: State,
    /// The line at which it began.
    pub(in crate::session) began: usize,
    /// The line that says what came of it.
    pub(in crate::session) ended: Option<usize>,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::session) enum State {
    Done(Option<String>),
    Void,
    /// It may have been done: its writer was killed, or the other side didn't answer.
    Unclear,
}

impl Log {
    /// Reads a log up to the room that was made for more. A last line that was cut is as if it had
    /// not been written: nothing that it announces was begun.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(super::LOG);
        let failed = |error: io::Error| unreadable(&path, error.to_string()).because(error);
        let mut log = Self {
            stores: HashMap::new(),
            locks: Vec::new(),
            ops: Vec::new(),
            next: Next {
                op: 0,
                store: 0,
                length: 0,
            },
            folder: folder.to_owned(),
        };
        let mut by_number = HashMap::new();
        let mut file = BufReader::new(open(&path).map_err(failed)?);
        let mut text = Vec::new();
        for number in 0.. {
            text.clear();
            let length = file.read_until(b'\n', &mut text).map_err(failed)?;
            if text.pop() != Some(b'\n') || text.contains(&0) {
                break;
            }
            let line = serde_json::from_slice(&text)
                .map_err(|error| unreadable(&path, format!("line {}: {error}", number + 1)))?;
            log.take(number, line, &mut by_number);
            log.next.length += length as u64;
        }
        Ok(log)
    }

    fn take(&mut self, number: usize, line: Line, by_number: &mut HashMap<usize, usize>) {
        let (op, state) = match line {
            Line::Store { number, store } => {
                self.next.store = self.next.store.max(number + 1);
                self.stores.insert(number, store);
                return;
            }
            Line::Lock(lock) => {
                self.locks.push(lock);
                return;
            }
            Line::Begin(begin) => {
                self.next.op = self.next.op.max(begin.op + 1);
                by_number.insert(begin.op, self.ops.len());
                self.ops.push(Op {
                    begin: *begin,
                    body: None,
                    state: State::Unclear,
                    began: number,
                    ended: None,
                });
                return;
            }
            Line::Body { op, sha256 } => {
                if let Some(op) = by_number.get(&op).and_then(|at| self.ops.get_mut(*at)) {
                    op.body = Some(sha256);
                }
                return;
            }
            Line::Done { op, tag } => (op, State::Done(tag)),
            Line::Void { op } => (op, State::Void),
            Line::Unclear { op } => (op, State::Unclear),
        };
        if let Some(op) = by_number.get(&op).and_then(|at| self.ops.get_mut(*at)) {
            op.state = state;
            op.ended = Some(number);
        }
    }

    /// The bytes that were replaced; `None` when they are in the store, or nowhere.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when they are not what was kept.
    pub(in crate::session) fn kept(&self, kept: &Kept) -> Result<Option<Body>> {
        match kept {
            Kept::Version(_) | Kept::Nothing => Ok(None),
            Kept::Bytes(text) => BASE64_STANDARD
                .decode(text)
                .map(|bytes| Some(Body::Bytes(bytes.into())))
                .map_err(|error| unreadable(&self.folder, error.to_string())),
            Kept::File { name, sha256 } => {
                let path = self.file(name)?;
                let failed = |error: io::Error| unreadable(&path, error.to_string()).because(error);
                let mut file = open(&path).map_err(failed)?;
                let mut hasher = Hasher::new(Algorithm::Sha256);
                let size = each_chunk(&mut file, |chunk| hasher.update(chunk)).map_err(failed)?;
                if hasher.finish().hex() != *sha256 {
                    let message = "its bytes are not those that were kept";
                    return Err(unreadable(&path, message.to_owned()));
                }
                file.rewind().map_err(failed)?;
                Ok(Some(stream_of(file, size, path)))
            }
        }
    }

    fn file(&self, name: &str) -> Result<PathBuf> {
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if plain {
            return Ok(self.folder.join(OBJECTS).join(name));
        }
        Err(unreadable(
            &self.folder,
            format!("it names the file {name:?}"),
        ))
    }
}

const CHUNK: usize = 1 << 20;

/// Shows all of a file, and gives its length.
fn each_chunk(file: &mut File, mut show: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut size = 0;
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(size),
            length => {
                show(&chunk[..length]);
                size += length as u64;
            }
        }
    }
}

/// A file's bytes as a body.
fn stream_of(file: File, size: u64, path: PathBuf) -> Body {
    let chunks = stream::try_unfold((file, path), async |(mut file, path)| {
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; CHUNK];
            let length = file.read(&mut chunk)?;
            chunk.truncate(length);
            Ok::<_, io::Error>((chunk, file))
        });
        let read = read.await.map_err(io::Error::other).flatten();
        let (chunk, file) =
            read.map_err(|error| unreadable(&path, error.to_string()).because(error))?;
        Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), (file, path))))
    });
    Body::stream(Some(size), chunks)
}

#[expect(clippy::disallowed_methods, reason = "the journal's own file")]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

fn unreadable(path: &Path, message: String) -> Error {
    Error::new(ErrorKind::Corrupt, "read the journal", message)
        .at(path.display(), None)
        .hint("what it kept can be looked at by hand; nothing was changed")
}
