//! The log on its way to the disk: one thread writes what all tasks say, and makes it durable for
//! all of them at once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

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

impl Writer {
    /// Opens a log to append to it. No other process may have it open.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let (send, receive) = channel();
        let thread = std::thread::Builder::new()
            .name("kstate-journal".to_owned())
            .spawn(move || write_all(file, &receive))?;
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

fn write_all(mut file: File, queue: &Receiver<Message>) {
    let mut lines = Vec::new();
    let mut waiting = Vec::new();
    while let Ok(first) = queue.recv() {
        for message in std::iter::once(first).chain(queue.try_iter()) {
            lines.extend_from_slice(&message.lines);
            waiting.extend(message.durable);
        }
        let written = write(&mut file, &lines, !waiting.is_empty());
        if let (Err(error), true) = (&written, waiting.is_empty()) {
            tracing::warn!("cannot write to the journal: {error}");
        }
        lines.clear();
        for waiter in waiting.drain(..) {
            let told = written.as_ref().map_err(ToString::to_string);
            // Who was cancelled meanwhile needs no answer.
            let _ = waiter.send(told.copied());
        }
    }
    if let Err(error) = file.sync_data() {
        tracing::warn!("cannot write to the journal: {error}");
    }
}

fn write(file: &mut File, lines: &[u8], durably: bool) -> io::Result<()> {
    file.write_all(lines)?;
    if durably {
        file.sync_data()?;
    }
    Ok(())
}
