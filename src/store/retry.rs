//! Trying again: what, how often and for how long.

use std::time::{Duration, Instant};

use super::{Error, Result};

/// The bounds of trying again. Only [retryable](Error::is_retryable) errors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many calls in all, at least one.
    pub attempts: u32,
    /// The longest first pause; each next one may be twice as long. The real pause is random
    /// between nothing and that ("full jitter"), so that many clients don't march in step.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// No new attempt starts after this time since the first.
    pub total: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            total: Duration::from_secs(90),
        }
    }
}

impl Policy {
    /// Calls `operation` until it succeeds, fails for good, or the bounds are reached. The
    /// argument counts the attempts from 1, so that a conditional write knows when it may be
    /// meeting its own earlier try.
    ///
    /// # Errors
    /// The last attempt's error.
    pub async fn run<T, F>(&self, mut operation: impl FnMut(u32) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let start = Instant::now();
        let mut attempt = 1;
        loop {
            let error = match operation(attempt).await {
                Err(error) if error.is_retryable() => error,
                result => return result,
            };
            let pause = self.pause(attempt);
            if attempt >= self.attempts || start.elapsed() + pause > self.total {
                return Err(give_up(error, attempt));
            }
            tracing::debug!(%error, attempt, ?pause, "trying again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    fn pause(&self, attempt: u32) -> Duration {
        let most = self
            .first_pause
            .saturating_mul(1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX))
            .min(self.longest_pause);
        most.mul_f64(fastrand::f64())
    }
}

fn give_up(error: Error, attempts: u32) -> Error {
    if attempts == 1 || error.hint_text().is_some() {
        return error;
    }
    error.hint(format!(
        "gave up after {attempts} attempts; what is done stays done, run it again when the service answers"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ErrorKind;

    const QUICK: Policy = Policy {
        attempts: 4,
        first_pause: Duration::from_micros(1),
        longest_pause: Duration::from_micros(4),
        total: Duration::from_secs(5),
    };

    async fn attempts_on(kind: ErrorKind) -> u32 {
        let mut seen = 0;
        let result: Result<()> = QUICK
            .run(|attempt| {
                seen = attempt;
                let kind = kind.clone();
                async { Err(Error::new(kind, "read", "no")) }
            })
            .await;
        assert!(result.is_err());
        seen
    }

    #[tokio::test]
    async fn only_passing_troubles_are_tried_again() {
        assert_eq!(attempts_on(ErrorKind::Throttled).await, 4);
        assert_eq!(attempts_on(ErrorKind::Unavailable).await, 4);
        assert_eq!(attempts_on(ErrorKind::Other).await, 1);
        assert_eq!(attempts_on(ErrorKind::AlreadyExists).await, 1);
    }

    #[tokio::test]
    async fn the_total_time_is_bounded() {
        let policy = Policy {
            total: Duration::ZERO,
            first_pause: Duration::from_mins(1),
            longest_pause: Duration::from_mins(1),
            ..QUICK
        };
        let result: Result<()> = policy
            .run(|_| async { Err(Error::new(ErrorKind::Throttled, "read", "slow down")) })
            .await;
        assert!(result.is_err());
    }

    #[test]
    fn pauses_stay_below_the_longest() {
        let policy = Policy::default();
        for attempt in 1..100 {
            assert!(policy.pause(attempt) <= policy.longest_pause);
        }
    }
}
