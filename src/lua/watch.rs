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
    runs: Mutex<Runs>,
    changed: Condvar,
    grace: Duration,
    on_stuck: OnStuck,
}

#[derive(Default)]
struct Runs {
    /// How many are going on, each within the one before it.
    count: usize,
    /// How many wait for a person, whose time isn't theirs.
    held: usize,
}

impl Stopper {
    pub(super) fn new(grace: Duration, on_stuck: OnStuck) -> Self {
        Self(Arc::new(Shared {
            asked: watch::Sender::new(None),
            runs: Mutex::default(),
            changed: Condvar::new(),
            grace,
            on_stuck,
        }))
    }

    /// Asks the innermost run to stop. When it has not done so within the grace time, the host's
    /// `on_stuck` is called.
    pub fn stop(&self, reason: Stop) -> Asked {
        let run = self.runs().count;
        self.stop_run(run, reason)
    }

    /// Asks a run to stop, and those within it.
    fn stop_run(&self, run: usize, reason: Stop) -> Asked {
        if run == 0 || self.runs().count < run {
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
                if !this.ends_within(run, this.0.grace, |_| false) {
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
        if runs.count == 0 {
            self.0.asked.send_replace(None);
        }
        runs.count += 1;
        let run = runs.count;
        drop(runs);
        if let Some(timeout) = timeout {
            let this = self.clone();
            thread::spawn(move || {
                if !this.ends_within(run, timeout, |runs| runs.held > 0) {
                    this.stop_run(run, Stop::TimedOut);
                }
            });
        }
        Run {
            stopper: self.clone(),
            number: run,
        }
    }

    /// No run's time goes on until the guard is dropped.
    pub fn hold(&self) -> Held {
        self.runs().held += 1;
        self.0.changed.notify_all();
        Held(self.clone())
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, Runs> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a run ends in this time, while the clock doesn't stand still.
    fn ends_within(&self, run: usize, mut left: Duration, stands: fn(&Runs) -> bool) -> bool {
        let mut runs = self.runs();
        while runs.count >= run {
            if left.is_zero() {
                return false;
            }
            let changed = &self.0.changed;
            if stands(&runs) {
                runs = changed.wait(runs).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let start = Instant::now();
            let waited = changed.wait_timeout(runs, left);
            runs = waited.unwrap_or_else(PoisonError::into_inner).0;
            left = left.saturating_sub(start.elapsed());
        }
        true
    }
}

/// The time of a person, for which a script waits.
pub struct Held(Stopper);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.runs().held -= 1;
        self.0.0.changed.notify_all();
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
        runs.count -= 1;
        let outer = runs.count;
        // The run around this one goes on, unless it is asked too.
        if outer > 0 {
            let asked = &self.stopper.0.asked;
            asked.send_if_modified(|asked| asked.take_if(|(run, _)| *run > outer).is_some());
        }
        drop(runs);
        self.stopper.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_person_is_not_the_scripts() {
        let time = Duration::from_millis(20);
        let stopper = Stopper::new(Duration::from_mins(1), Arc::new(|_| {}));
        let held = stopper.hold();
        let _run = stopper.start(Some(time));
        let mut asked = stopper.0.asked.subscribe();
        let waits = async {
            tokio::time::timeout(3 * time, asked.changed())
                .await
                .is_err()
        };
        assert!(super::super::block_on(waits).unwrap());
        drop(held);
        super::super::block_on(asked.changed()).unwrap().unwrap();
        assert_eq!(stopper.asked(), Some(Stop::TimedOut));
    }
}
