//! How much a run changed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::journal::{Changes, Log, New, Old, State};

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Created,
    Changed,
    Deleted,
    /// Written without a look at what was there.
    Written,
    /// An object of kstate's own.
    Uncounted,
}

impl Fate {
    pub(super) fn of_write(old: &Old) -> Self {
        match old {
            Old::Absent => Self::Created,
            Old::Object { .. } => Self::Changed,
        }
    }
}

/// Counts of what a run did, by all its tasks.
#[derive(Default)]
pub(super) struct Tally {
    created: AtomicU64,
    changed: AtomicU64,
    deleted: AtomicU64,
    written: AtomicU64,
}

impl Tally {
    pub(super) fn count(&self, fate: Fate) {
        self.count_many(fate, 1);
    }

    pub(super) fn count_many(&self, fate: Fate, number: u64) {
        let counter = match fate {
            Fate::Created => &self.created,
            Fate::Changed => &self.changed,
            Fate::Deleted => &self.deleted,
            Fate::Written => &self.written,
            Fate::Uncounted => return,
        };
        counter.fetch_add(number, Ordering::Relaxed);
    }

    /// Counts what an interrupted run did before.
    pub(super) fn recall(&self, log: &Log) {
        for op in &log.ops {
            if matches!(op.state, State::Done(_)) {
                self.count(match op.begin.new {
                    New::Delete => Fate::Deleted,
                    New::Write { .. } | New::Copy { .. } => Fate::of_write(&op.begin.old),
                });
            }
        }
    }

    pub(super) fn changes(&self) -> Changes {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Changes {
            created: read(&self.created),
            changed: read(&self.changed),
            deleted: read(&self.deleted),
            written: read(&self.written),
        }
    }
}
