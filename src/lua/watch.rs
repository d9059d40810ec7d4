//! Stopping a script: at the next instruction hook or wait, or, when it is deep in C code, by
//! way of a thread that watches from outside.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::error::Stop;
use super::host::OnStuck;

/// Whether a run was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It was, just now.
    Now,
    /// It had been, and hasn't stopped yet.
    Before,
    /// Nothing runs.
    Nobody,
}

/// Asks the script of one runtime to stop; from any thread, a signal handler's task included.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

struct Shared {
    /// Why to stop, and the outermost run that must.
    asked: watch::Sender<Option<(usize, Stop)>>,
    /// How many runs are going on, each within the one before it.
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

    /// Asks the innermost run to stop. When it has not done so within the grace time, the host's
    /// `on_stuck` is called.
    pub fn stop(&self, reason: Stop) -> Asked {
        let run = *self.runs();
        self.stop_run(run, reason)
    }

    /// Asks a run to stop, and those within it.
    fn stop_run(&self, run: usize, reason: Stop) -> Asked {
        if run == 0 || *self.runs() < run {
            return Asked::Nobody;
        }
        let mut asked = Asked::Now;
        self.0.asked.send_modify(|before| match before {
            Some((outer, _)) if *outer <= run => asked = Asked::Before,
            _ => *before = Some((run, reason)),
        });
        if asked == Asked::Now {
            let this = self.clone();
            thread::spawn(move || {
                if !this.ends_within(run, this.0.grace) {
                    (this.0.on_stuck)(reason);
                }
            });
        }
        asked
    }

    /// Why the innermost run must stop, once it must.
    pub(super) fn asked(&self) -> Option<Stop> {
        self.0.asked.borrow().map(|(_, reason)| reason)
    }

    /// A run from now until the guard is dropped, stopped when it takes longer than `timeout`.
    pub(super) fn start(&self, timeout: Option<Duration>) -> Run {
        let mut runs = self.runs();
        if *runs == 0 {
            self.0.asked.send_replace(None);
        }
        *runs += 1;
        let run = *runs;
        drop(runs);
        if let Some(timeout) = timeout {
            let this = self.clone();
            thread::spawn(move || {
                if !this.ends_within(run, timeout) {
                    this.stop_run(run, Stop::TimedOut);
                }
            });
        }
        Run {
            stopper: self.clone(),
            number: run,
        }
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, usize> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends_within(&self, run: usize, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut runs = self.runs();
        while *runs >= run {
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

/// One run of a script, or of something within it.
pub(super) struct Run {
    stopper: Stopper,
    /// How many runs there are up to this one.
    number: usize,
}

impl Run {
    /// Waits until the run must stop.
    pub(super) async fn stopped(&self) -> Stop {
        let mut asked = self.stopper.0.asked.subscribe();
        loop {
            if let Some((run, reason)) = *asked.borrow_and_update()
                && run <= self.number
            {
                return reason;
            }
            // `self` holds the sender, so the channel can't close.
            let _ = asked.changed().await;
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut runs = self.stopper.runs();
        *runs -= 1;
        let outer = *runs;
        // The run around this one goes on, unless it is asked too.
        if outer > 0 {
            let asked = &self.stopper.0.asked;
            asked.send_if_modified(|asked| asked.take_if(|(run, _)| *run > outer).is_some());
        }
        drop(runs);
        self.stopper.0.ended.notify_all();
    }
}
