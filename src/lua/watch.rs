//! Stopping a script: at the next instruction hook or wait, or, when it is deep in C code, by
//! way of a thread that watches from outside.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::error::Stop;
use super::host::OnStuck;

/// Asks the script of one runtime to stop; from any thread, a signal handler's task included.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

struct Shared {
    asked: watch::Sender<Option<Stop>>,
    /// How many runs are going on.
    runs: Mutex<usize>,
    ended: Condvar,
    grace: Duration,
    on_stuck: OnStuck,
}

impl Stopper {
    pub(super) fn new(grace: Duration, on_stuck: OnStuck) -> Self {
        Self(Arc::new(Shared {
            asked: watch::Sender::new(None),
            runs: Mutex::new(0),
            ended: Condvar::new(),
            grace,
            on_stuck,
        }))
    }

    /// Asks the running script to stop. When it has not done so within the grace time, the
    /// host's `on_stuck` is called. Does nothing when no script runs.
    pub fn stop(&self, reason: Stop) {
        if *self.runs() == 0 || self.asked().is_some() {
            return;
        }
        self.0.asked.send_replace(Some(reason));
        let this = self.clone();
        thread::spawn(move || {
            if !this.ends_within(this.0.grace) {
                (this.0.on_stuck)(reason);
            }
        });
    }

    /// Why the script must stop, once it must.
    pub(super) fn asked(&self) -> Option<Stop> {
        *self.0.asked.borrow()
    }

    /// Waits until the script must stop.
    pub(super) async fn wait(&self) -> Stop {
        let mut asked = self.0.asked.subscribe();
        loop {
            if let Some(reason) = *asked.borrow_and_update() {
                return reason;
            }
            // `self` holds the sender, so the channel can't close.
            let _ = asked.changed().await;
        }
    }

    /// A run from now until the guard is dropped, stopped when it takes longer than `timeout`.
    pub(super) fn start(&self, timeout: Option<Duration>) -> Run {
        let mut runs = self.runs();
        if *runs == 0 {
            self.0.asked.send_replace(None);
        }
        *runs += 1;
        drop(runs);
        if let Some(timeout) = timeout {
            let this = self.clone();
            thread::spawn(move || {
                if !this.ends_within(timeout) {
                    this.stop(Stop::TimedOut);
                }
            });
        }
        Run(self.clone())
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, usize> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends_within(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut runs = self.runs();
        while *runs > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            runs = self
                .0
                .ended
                .wait_timeout(runs, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

/// One run of a script.
pub(super) struct Run(Stopper);

impl Drop for Run {
    fn drop(&mut self) {
        *self.0.runs() -= 1;
        self.0.0.ended.notify_all();
    }
}
