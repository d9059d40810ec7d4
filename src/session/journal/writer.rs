//! The log on its way to the disk: one thread writes what all tasks say, and makes it durable for
//! all of them at once.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use tokio::sync::oneshot;

/// Lines for the log, and who waits for them to be on the disk.
struct Message {
    lines: Vec<u8>,
    durable: Option<oneshot::Sender<Result<(), String>>>,
}

/// The log's writing end.
pub(super) struct Writer {
    queue: Mutex<Option<Sender<Message>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A log that is locked against all other processes.
pub(super) struct Locked(File);

impl Locked {
    /// Opens a log, which is made when there is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self(file))
    }
}

impl Writer {
    /// Goes on with a log behind its first `length` bytes; what else it had is dropped.
    pub(super) fn start(log: Locked, length: u64) -> io::Result<Self> {
        let log = Tail::of(log.0, length)?;
        let (send, receive) = channel();
        let thread = std::thread::Builder::new()
            .name("kstate-journal".to_owned())
            .spawn(move || write_all(log, &receive))?;
        Ok(Self {
            queue: Mutex::new(Some(send)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Appends lines. Returns when they are on the disk.
    pub(super) async fn append_durably(&self, lines: Vec<u8>) -> Result<(), String> {
        let (durable, done) = oneshot::channel();
        self.send(Message {
            lines,
            durable: Some(durable),
        });
        done.await
            .unwrap_or_else(|_| Err("the journal is closed".to_owned()))
    }

    /// Appends lines. They survive this process, and a power cut as soon as anything after them
    /// was made durable.
    pub(super) fn append(&self, lines: Vec<u8>) {
        self.send(Message {
            lines,
            durable: None,
        });
    }

    fn send(&self, message: Message) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = &*queue {
            // The thread ends only when the queue is closed; a waiter learns it from its channel.
            let _ = queue.send(message);
        }
    }

    /// Waits until everything is on the disk; nothing can be appended any more.
    pub(super) fn close(&self) {
        let take = |queue: &Mutex<Option<Sender<Message>>>| {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.take()
        };
        drop(take(&self.queue));
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // It has no way to panic that would leave something to be said.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// How long to wait for more to write when the last sync was no longer ago than this.
const GATHER: Duration = Duration::from_millis(1);

fn write_all(mut log: Tail, queue: &Receiver<Message>) {
    let mut lines = Vec::new();
    let mut waiting = Vec::new();
    let mut synced: Option<Instant> = None;
    while let Ok(first) = queue.recv() {
        // Others are about to ask for the same: one sync for all of them costs no more.
        if synced.is_some_and(|at| at.elapsed() < GATHER) {
            std::thread::sleep(GATHER);
        }
        for message in std::iter::once(first).chain(queue.try_iter()) {
            lines.extend_from_slice(&message.lines);
            waiting.extend(message.durable);
        }
        let written = log.append(&lines, !waiting.is_empty());
        if let (Err(error), true) = (&written, waiting.is_empty()) {
            tracing::warn!("cannot write to the journal: {error}");
            // What comes later may refer to it.
            log.broken = true;
        }
        if !waiting.is_empty() {
            synced = Some(Instant::now());
        }
        lines.clear();
        for waiter in waiting.drain(..) {
            let told = written.as_ref().map_err(ToString::to_string);
            // Who was cancelled meanwhile needs no answer.
            let _ = waiter.send(told.copied());
        }
    }
    if let Err(error) = log.close() {
        tracing::warn!("cannot write to the journal: {error}");
    }
}

/// The least and the most room that is made at once, in bytes.
const ROOM: std::ops::RangeInclusive<u64> = 64 << 10..=4 << 20;

/// Where a log grows. It is written over zeros that are on the disk already, so that making lines
/// durable need not change the file's length, which costs a file system twice as much.
struct Tail {
    file: File,
    /// Where the lines end, in bytes.
    end: u64,
    /// Where the zeros end.
    room: u64,
    /// What is in the file is not known any more.
    broken: bool,
}

impl Tail {
    fn of(file: File, end: u64) -> io::Result<Self> {
        file.set_len(end)?;
        Ok(Self {
            file,
            end,
            room: end,
            broken: false,
        })
    }

    fn append(&mut self, lines: &[u8], durably: bool) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to it failed"));
        }
        let written = self.write(lines, durably);
        if written.is_ok() {
            self.end += lines.len() as u64;
        } else {
            // Half a line must not stand before the next one.
            self.room = self.end;
            self.broken |= self.file.set_len(self.end).is_err();
        }
        written
    }

    fn write(&mut self, lines: &[u8], durably: bool) -> io::Result<()> {
        let end = self.end + lines.len() as u64;
        if end > self.room {
            let more = self.end.clamp(*ROOM.start(), *ROOM.end());
            let zeros = vec![0; usize::try_from(end - self.room + more).unwrap_or(usize::MAX)];
            self.file.write_all_at(&zeros, self.room)?;
            self.room += zeros.len() as u64;
        }
        self.file.write_all_at(lines, self.end)?;
        if durably && let Err(error) = self.file.sync_data() {
            // Linux may drop what it could not write, and call the next sync a success.
            self.broken = true;
            return Err(error);
        }
        Ok(())
    }

    fn close(self) -> io::Result<()> {
        if !self.broken {
            self.file.set_len(self.end)?;
        }
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(path: &Path) -> Tail {
        Tail::of(Locked::open(path).expect("a log").0, 0).expect("empty")
    }

    #[test]
    fn a_closed_log_has_its_lines_and_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = tail(&path);
        let line = vec![b'x'; 1 << 16];
        for _ in 0..5 {
            log.append(&line, true).expect("written");
        }
        log.close().expect("closed");
        assert_eq!(std::fs::metadata(&path).expect("the log").len(), 5 << 16);
    }
}
