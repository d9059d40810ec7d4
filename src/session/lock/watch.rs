//! Whether a lock that somebody else holds is free again.

use std::collections::HashMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::clock::Moment;
use super::holder::Holder;
use super::record::Record;
use crate::store::{Key, Tag};

/// By how much the clocks of two machines may differ, at least.
const SKEW: Duration = Duration::from_secs(30);

/// What a waiter has seen of the locks that it waits for.
#[derive(Default)]
pub(super) struct Watch(HashMap<String, (Tag, Moment)>);

impl Watch {
    /// Why a lock is free although its object is there; `None` when it is not.
    pub(super) fn expired(
        &mut self,
        key: &Key,
        tag: &Tag,
        record: &Record,
        me: &Holder,
    ) -> Option<&'static str> {
        let now = Moment::now();
        let seen = self
            .0
            .entry(key.as_str().to_owned())
            .or_insert_with(|| (tag.clone(), now));
        if seen.0 != *tag {
            *seen = (tag.clone(), now);
        }
        if now.since(seen.1) >= record.ttl() {
            return Some("it was not renewed in time");
        }
        expired(record, me)
    }
}

/// Why a lock is free, as far as one look can tell.
pub(super) fn expired(record: &Record, me: &Holder) -> Option<&'static str> {
    if record.holder.is_gone(me) {
        return Some("its process is gone");
    }
    let ttl = record.ttl();
    let patience = ttl + ttl.max(SKEW);
    (OffsetDateTime::now_utc() - record.renewed > patience).then_some("it was not renewed for long")
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn by_the_holders_clock_a_lock_is_old_only_beyond_any_difference_of_clocks() {
        let mut held = record();
        for (ttl, age, is_old) in [
            (2, 31, false),
            (2, 33, true),
            (60, 119, false),
            (60, 121, true),
        ] {
            held.ttl = ttl;
            held.renewed = OffsetDateTime::now_utc() - Duration::from_secs(age);
            assert_eq!(
                expired(&held, &record().holder).is_some(),
                is_old,
                "{ttl} {age}"
            );
        }
        held.renewed = OffsetDateTime::now_utc() + Duration::from_hours(1);
        assert_eq!(expired(&held, &record().holder), None);
    }

    #[test]
    fn a_lock_that_changes_while_it_is_watched_lives() {
        let key = Key::parse("a").unwrap();
        let mut held = record();
        // Any time at all is more than this.
        held.ttl = 0;
        let mut watch = Watch::default();
        let me = record().holder;
        let mut look = |tag: &str| {
            watch
                .expired(&key, &Tag(tag.to_owned()), &held, &me)
                .is_some()
        };
        assert!(look("1") && look("1"));
        held.ttl = 3600;
        let mut watch = Watch::default();
        let mut look = |tag: &str| {
            watch
                .expired(&key, &Tag(tag.to_owned()), &held, &me)
                .is_some()
        };
        assert!(!look("1") && !look("2") && !look("2"));
    }
}
