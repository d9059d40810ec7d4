//! Trying again while a service is unavailable.

use std::time::{Duration, Instant};

use crate::cli::exit::Failure;
use crate::cli::interrupts::Requests;
use crate::units::human_duration;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// The attempts that are left, of whatever the job does.
pub(super) struct Retries {
    left: u32,
    pause: Duration,
    /// When all of it must have ended.
    pub(super) deadline: Option<Instant>,
    pub(super) requests: Requests,
    /// What failed before the pause that goes on.
    waiting: Option<Failure>,
}

impl Retries {
    pub(super) fn new(
        left: u32,
        pause: Duration,
        deadline: Option<Instant>,
        requests: Requests,
    ) -> Self {
        Self {
            left,
            pause,
            deadline,
            requests,
            waiting: None,
        }
    }

    /// How much time is left.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits before another attempt; gives the failure back when there is to be none.
    pub(super) async fn wait(&mut self, failure: Failure) -> Result<(), Failure> {
        let now = self
            .pause
            .min(LONGEST_PAUSE)
            .mul_f64(0.8 + fastrand::f64() * 0.4);
        let is_late = self.deadline.is_some_and(|end| Instant::now() + now >= end);
        if !failure.may_pass || self.left == 0 || is_late {
            return Err(failure);
        }
        let (message, again) = (failure.message(), human_duration(now));
        let left = self.left;
        tracing::warn!("{message}; again in {again}, attempts left: {left}");
        self.left -= 1;
        self.pause = self.pause.saturating_mul(2);
        self.waiting = Some(failure);
        if let Ok(asked) = tokio::time::timeout(now, self.requests.wait()).await {
            return Err(asked);
        }
        self.waiting = None;
        Ok(())
    }

    /// What failed before the pause, when that was never ended: the lock was lost meanwhile.
    pub(super) fn broken_off(&mut self) -> Option<Failure> {
        self.waiting.take()
    }
}
