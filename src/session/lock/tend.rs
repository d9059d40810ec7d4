//! The life of one lock, on a task of its own: taken, renewed, given back. Whoever waits for it
//! or holds it may go away at any moment; the task sees that and clears up.

use std::time::Duration;

use tokio::sync::oneshot;

use super::clock::Moment;
use super::held::{Entry, Held};
use super::record::Record;
use super::site::Site;
use super::strength::Strength;
use super::watch::Watch;
use super::{advisory, atomic, leased};
use crate::store::{Error, ErrorKind, RESERVED, Result, Tag};

/// What one try to take a lock came to.
pub(super) enum Attempt {
    Won(Hold),
    /// Somebody else has it.
    Held(Box<Record>),
    /// Somebody was faster, or gave it back just now.
    Again,
}

/// What a holder knows of its own object.
pub(super) enum Hold {
    Atomic(Tag),
    Lease(Tag),
    Advisory,
}

/// What a renewal came to.
pub(super) enum Renewal {
    Kept(Hold),
    /// The lock is still held, in this version, but not renewed.
    Behind(Hold),
    /// The reason.
    Lost(String),
}

/// The longest pause between two looks at a lock that somebody else holds.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How often a race may be lost beyond the time to wait.
const RACES: usize = 100;

/// Takes the lock, tells `ready`, renews it, and gives it back when `stop` is dropped.
pub(super) async fn tend(
    site: Site,
    record: Record,
    wait: Duration,
    entry: Entry,
    ready: oneshot::Sender<Result<Record>>,
    stop: oneshot::Receiver<()>,
) {
    let mut lock = Lock { site, record, stop };
    let hold = match lock.take(wait, &entry).await {
        Ok(Some(hold)) => hold,
        Ok(None) => return,
        Err(error) => {
            if !matches!(
                error.kind(),
                ErrorKind::Locked | ErrorKind::PermissionDenied { .. }
            ) {
                // An object whose writing was not answered may be there.
                let _ = lock.clear().await;
            }
            // Nobody is there to hear it when the run was stopped.
            let _ = ready.send(Err(error));
            return;
        }
    };
    let hold = match ready.send(Ok(lock.record.clone())) {
        Ok(()) => lock.keep(hold, &entry.held).await,
        Err(_) => hold,
    };
    if let Err(error) = lock.give_back(&hold).await {
        let Site { name, home, .. } = &lock.site;
        tracing::warn!(
            "the lock '{name}' on {} couldn't be given back and stays for {} s: {error}",
            home.url(),
            lock.record.ttl
        );
    }
}

struct Lock {
    site: Site,
    record: Record,
    stop: oneshot::Receiver<()>,
}

impl Lock {
    /// Takes the lock; gives `None` when nobody wants it any more.
    async fn take(&mut self, wait: Duration, entry: &Entry) -> Result<Option<Hold>> {
        let start = Moment::now();
        let mut watch = Watch::default();
        let mut told: Option<Box<Record>> = None;
        let mut pause = Duration::from_millis(50);
        let mut races = 0;
        loop {
            let sent = Moment::now();
            let attempt = self.attempt(&mut watch).await?;
            let is_over = Moment::now().since(start) >= wait;
            match attempt {
                Attempt::Won(hold) => {
                    let until = sent.after(self.record.ttl());
                    if Moment::now() < until {
                        entry.held.extend(until);
                        // An entry is for one acquisition.
                        let _ = entry.held.id.set(self.record.id.clone());
                        return Ok(Some(hold));
                    }
                    // Taking it took longer than it lasts.
                    self.give_back(&hold).await?;
                }
                Attempt::Held(other) => {
                    if let Some(home) = entry.locks().home_of(&other.id) {
                        return Err(self.held_by_us(&home));
                    }
                    if is_over {
                        return Err(self.held_by(&other));
                    }
                    if told.as_ref().is_none_or(|told| told.id != other.id) {
                        self.say_waiting(&other);
                        told = Some(other);
                    }
                }
                Attempt::Again => {
                    races += 1;
                    if is_over && races > RACES {
                        return Err(self.error("others take it again and again"));
                    }
                    pause = Duration::from_millis(50);
                }
            }
            let pause_now = pause.mul_f64(0.2 + fastrand::f64() * 0.8);
            let left = wait.saturating_sub(Moment::now().since(start));
            // The last look is at the very end of the wait.
            let pause_now = if left.is_zero() {
                pause_now
            } else {
                pause_now.min(left)
            };
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            if self.is_stopped_within(pause_now).await {
                return Ok(None);
            }
        }
    }

    async fn attempt(&mut self, watch: &mut Watch) -> Result<Attempt> {
        let Self { site, record, .. } = self;
        let fresh = Record::new(record.holder.clone(), record.strength, record.ttl());
        let id = std::mem::take(&mut record.id);
        *record = Record { id, ..fresh };
        match record.strength {
            Strength::Advisory => advisory::attempt(site, record, watch).await,
            Strength::Lease => leased::attempt(site, record, watch).await,
            Strength::Atomic => atomic::attempt(site, record, watch).await,
        }
    }

    /// Renews the lock until it is lost or nobody wants it any more.
    async fn keep(&mut self, mut hold: Hold, lease: &Held) -> Hold {
        let ttl = self.record.ttl();
        let mut pause = ttl / 3;
        loop {
            if self.is_stopped_within(pause).await {
                return hold;
            }
            if lease.why_lost().is_some() {
                break;
            }
            let sent = Moment::now();
            let renewed = self.record.renewed();
            let left = lease.until().since(sent);
            let renewal = tokio::time::timeout(left, self.renew(&renewed, &hold)).await;
            match renewal {
                Ok(Ok(Renewal::Kept(kept))) => {
                    (hold, self.record) = (kept, renewed);
                    lease.extend(sent.after(ttl));
                    pause = ttl / 3;
                }
                Ok(Ok(Renewal::Behind(now))) => {
                    hold = now;
                    self.record.renewals = renewed.renewals;
                    pause = Duration::ZERO;
                }
                Ok(Ok(Renewal::Lost(reason))) => {
                    lease.lose(reason);
                    break;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the lock '{}' isn't renewed yet", self.site.name);
                    // Whatever the next answer is, the next try has another number.
                    self.record.renewals = renewed.renewals;
                    pause = (ttl / 12).min(Duration::from_secs(1));
                }
                Err(_) => lease.lose("it couldn't be renewed in time"),
            }
        }
        // The protected function is being stopped; only then is it given back.
        let _ = (&mut self.stop).await;
        hold
    }

    async fn renew(&self, renewed: &Record, hold: &Hold) -> Result<Renewal> {
        match hold {
            Hold::Atomic(tag) => atomic::renew(&self.site, renewed, tag).await,
            Hold::Lease(tag) => leased::renew(&self.site, renewed, tag).await,
            Hold::Advisory => advisory::renew(&self.site, renewed).await,
        }
    }

    async fn give_back(&self, hold: &Hold) -> Result<()> {
        match hold {
            Hold::Atomic(tag) => atomic::release(&self.site, &self.record.id, tag).await,
            Hold::Lease(_) => leased::release(&self.site, &self.record.id).await,
            Hold::Advisory => advisory::release(&self.site, &self.record.id).await,
        }
    }

    /// Takes away what may be there of a try that failed.
    async fn clear(&self) -> Result<()> {
        let key = match self.record.strength {
            Strength::Advisory => self.site.announcement(&self.record.id)?,
            Strength::Lease => return leased::release(&self.site, &self.record.id).await,
            Strength::Atomic => self.site.key()?,
        };
        self.site.remove(&key, &self.record.id).await
    }

    async fn is_stopped_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, &mut self.stop).await.is_ok()
    }

    fn say_waiting(&self, other: &Record) {
        let Site { name, home, .. } = &self.site;
        tracing::info!(
            "waiting for the lock '{name}' on {}: {}",
            home.url(),
            described(other)
        );
    }

    fn held_by(&self, other: &Record) -> Error {
        self.error(&described(other)).hint(format!(
            "wait for it, or when its holder is really gone: kstate lock break {} {}",
            self.site.home.url(),
            self.site.name
        ))
    }

    /// What lies at one place has one lock, whatever the place is called.
    fn held_by_us(&self, home: &str) -> Error {
        let message = format!(
            "this run holds it already, as the one of {home}: both lead to the same place, by other \
             endpoints or other credentials"
        );
        self.error(&message)
            .hint("name two places that are apart, or one of them only")
    }

    fn error(&self, message: &str) -> Error {
        let key = format!("{RESERVED}/locks/{}", self.site.name);
        Error::new(ErrorKind::Locked, "lock", message).at(self.site.home.url(), Some(&key))
    }
}

/// Who holds a lock, for people.
fn described(record: &Record) -> String {
    use time::format_description::well_known::Rfc3339;
    let since = record
        .acquired
        .replace_nanosecond(0)
        .unwrap_or(record.acquired);
    let Record {
        holder, strength, ..
    } = record;
    match since.format(&Rfc3339) {
        Ok(since) => format!("held by {holder} since {since}, {strength}"),
        Err(_) => format!("held by {holder}, {strength}"),
    }
}
