//! Versions of files: what tells one from the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat, Timespec, Timestamps, UTIME_OMIT};

use super::super::{Key, Meta, Tag};

/// The version that a file's metadata stands for. A rename gives a new inode, a change in place
/// new times, so that what other programs do shows as well.
pub(super) fn tag(stat: &Stat) -> Tag {
    Tag(format!(
        "{:x}-{:x}.{:x}-{:x}.{:x}-{:x}",
        stat.st_ino,
        stat.st_mtime,
        stat.st_mtime_nsec,
        stat.st_ctime,
        stat.st_ctime_nsec,
        stat.st_size
    ))
}

/// Whether an open file still has the bytes it had. Its change time doesn't count: that moves
/// also when the name is taken by a newer file.
pub(super) fn same_bytes(before: &Stat, after: &Stat) -> bool {
    (before.st_size, before.st_mtime, before.st_mtime_nsec)
        == (after.st_size, after.st_mtime, after.st_mtime_nsec)
}

pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn modified(stat: &Stat) -> Option<SystemTime> {
    let seconds = u64::try_from(stat.st_mtime).ok()?;
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).ok()?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
}

pub(super) fn meta(key: Key, stat: &Stat) -> Meta {
    Meta {
        modified: modified(stat),
        tag: Some(tag(stat)),
        ..Meta::new(key, size(stat))
    }
}

/// A time of last modification that no other write of this process has: the kernel's own clock
/// for files ticks every few milliseconds only, and inodes are used again at once.
pub(super) fn stamp() -> Timestamps {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let next = |last: u64| now.max(last.saturating_add(1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
        Some(next(last))
    });
    let unique = Duration::from_nanos(next(last.unwrap_or_else(|last| last)));
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: i64::try_from(unique.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: unique.subsec_nanos().into(),
        },
    }
}
