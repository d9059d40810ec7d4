//! What stands in a lock's object.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::holder::Holder;
use super::strength::Strength;

/// The only form there is so far.
const VERSION: u32 = 1;

/// The longest text in a record, so that a message stays one.
const LONGEST: usize = 256;

/// A lock as its object says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub(super) version: u32,
    /// Tells this acquisition from all others.
    pub id: String,
    /// Who holds it.
    pub holder: Holder,
    /// Grows with every acquisition of the lock.
    pub fencing: u64,
    /// What the lock is worth.
    pub strength: Strength,
    /// Whether it is held already.
    pub state: State,
    /// So many seconds after its last renewal it is free.
    pub ttl: u64,
    /// When it was taken.
    #[serde(with = "rfc3339")]
    pub acquired: OffsetDateTime,
    /// When it was last renewed, by the holder's clock.
    #[serde(with = "rfc3339")]
    pub renewed: OffsetDateTime,
    /// How often it was renewed.
    pub renewals: u64,
}

/// How far an acquisition is; only advisory locks are announced before they are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Announced.
    Asking,
    /// Held.
    Held,
}

impl Record {
    /// A record of an acquisition that begins now.
    pub(super) fn new(holder: Holder, strength: Strength, ttl: Duration) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            version: VERSION,
            id: format!("{:032x}", fastrand::u128(..)),
            holder,
            fencing: u64::try_from(now.unix_timestamp_nanos() / 1000).unwrap_or(1),
            strength,
            state: State::Held,
            ttl: ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0),
            acquired: now,
            renewed: now,
            renewals: 0,
        }
    }

    /// The same acquisition, once more.
    #[must_use]
    pub(super) fn renewed(&self) -> Self {
        Self {
            renewals: self.renewals + 1,
            renewed: OffsetDateTime::now_utc(),
            ..self.clone()
        }
    }

    /// Takes the number of this moment: whoever held the lock before had an earlier one, also when
    /// it began to ask later.
    pub(super) fn renumber(&mut self) {
        let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000;
        self.fencing = self.fencing.max(u64::try_from(now).unwrap_or(1));
    }

    /// Takes a number above that of another acquisition.
    pub(super) fn overtake(&mut self, other: &Self) {
        self.renumber();
        self.fencing = self.fencing.max(other.fencing.saturating_add(1));
    }

    /// How long it holds without a renewal.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl)
    }

    /// The object's bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Nothing in it can't be JSON.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads an object; else says why it can't be a lock's.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let json: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))?;
        match json.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                return Err(format!(
                    "it is of version {version}, and this kstate knows version {VERSION}"
                ));
            }
            None => return Err("it has no version".to_owned()),
        }
        let record: Self = serde_json::from_value(json).map_err(|error| error.to_string())?;
        let texts = [
            &record.id,
            &record.holder.user,
            &record.holder.host,
            &record.holder.run,
        ];
        if texts.iter().any(|text| !is_text(text)) {
            return Err("a name in it is empty, too long, or no text".to_owned());
        }
        if record.ttl == 0 {
            return Err("its ttl is 0".to_owned());
        }
        Ok(record)
    }
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control)
}

mod rfc3339 {
    use super::{Deserialize, Deserializer, OffsetDateTime, Rfc3339, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &OffsetDateTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = time.format(&Rfc3339).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        deserializer: D,
    ) -> Result<OffsetDateTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::registry::Env;

    pub(in crate::session::lock) fn record() -> Record {
        let holder = Holder::here(&Env::default(), "7f3a");
        Record::new(holder, Strength::Atomic, Duration::from_millis(1500))
    }

    #[test]
    fn is_read_back_as_it_was_written() {
        let record = record();
        assert_eq!(Record::parse(&record.to_bytes()), Ok(record.clone()));
        assert_eq!(record.ttl, 2, "whole seconds, and no less than asked for");
    }

    #[test]
    fn its_number_grows_also_when_the_clock_is_behind() {
        let mut behind = record();
        let mut other = record();
        other.fencing = behind.fencing + 1_000_000;
        behind.overtake(&other);
        assert_eq!(behind.fencing, other.fencing + 1);
        let mut ahead = record();
        ahead.overtake(&Record {
            fencing: 7,
            ..record()
        });
        assert!(ahead.fencing > 1_000_000_000_000_000, "microseconds");
    }

    #[test]
    fn what_is_not_exactly_a_record_is_refused() {
        let good = String::from_utf8(record().to_bytes()).expect("JSON is text");
        for (from, to, why) in [
            ("{", "", "no JSON"),
            ("\"version\": 1", "\"version\": 2", "version 2"),
            ("\"version\": 1,", "", "no version"),
            ("\"renewals\": 0", "\"renewals\": 0, \"more\": 1", "more"),
            ("\"renewals\": 0", "\"renewals\": -1", "-1"),
            ("\"ttl\": 2", "\"ttl\": 0", "ttl"),
            ("\"run\": \"7f3a\"", "\"run\": \"\\u001b[2J\"", "no text"),
            ("\"run\": \"7f3a\"", "\"run\": \"\"", "no text"),
            ("\"acquired\": \"2", "\"acquired\": \"x2", ""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            let error = Record::parse(bad.as_bytes()).expect_err(&bad);
            assert!(error.contains(why), "{error}");
        }
        assert!(Record::parse(b"").is_err());
    }
}
