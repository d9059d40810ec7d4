//! Finding out whether a store can be written, and whether it keeps its word on preconditions.
//!
//! Some services answer 200 to a conditional write and overwrite all the same, so what a lock or
//! a compare-and-swap stands on is tried before it is trusted.

use futures::future::join_all;

use super::{
    Body, Error, ErrorKind, Key, Precondition, RESERVED, ReadOptions, Result, Store, Tag,
    WriteOptions,
};

/// What a store was seen to honour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// A second [`Precondition::IfAbsent`] write was refused.
    pub if_absent: bool,
    /// A [`Precondition::IfMatch`] write was accepted with the right tag and refused with a stale one.
    pub if_match: bool,
}

/// Writes, rewrites and deletes one small object of its own below [`RESERVED`], and tells what
/// the store honoured. Leaves nothing behind.
///
/// # Errors
/// The store's own, when it can't be written or its object can't be deleted.
pub async fn probe(store: &dyn Store) -> Result<Verdict> {
    let key = Key::parse(&format!("{RESERVED}/probe/{:016x}", fastrand::u64(..)))?;
    let verdict = try_conditions(store, &key).await;
    let cleaned = store.delete(&key, Precondition::None).await;
    let verdict = verdict?;
    cleaned?;
    Ok(verdict)
}

async fn try_conditions(store: &dyn Store, key: &Key) -> Result<Verdict> {
    let write =
        async |text: &'static str, options| store.write(key, Body::from(text), options).await;
    let first = match write("first", WriteOptions::if_absent()).await {
        Ok(meta) => Some(meta),
        Err(error) if *error.kind() == ErrorKind::Unsupported => None,
        Err(error) => return Err(error),
    };
    let if_absent = match first {
        Some(_) => refused(write("again", WriteOptions::if_absent()).await)?,
        None => false,
    };
    let old = write("old", WriteOptions::default()).await?.tag;
    let new = write("new", WriteOptions::default()).await?.tag;
    let found = store.read(key, ReadOptions::default()).await?;
    if found.body.collect(u64::MAX).await? != "new" {
        let message = "it answered that an object was written, but has another one";
        return Err(Error::new(ErrorKind::Corrupt, "write", message)
            .at(store.url(), Some(key.as_str()))
            .hint("don't trust this store with anything before that is explained"));
    }
    let if_match = match (old, new) {
        (Some(old), Some(new)) => accepts_only(store, key, old, new).await?,
        _ => false,
    };
    Ok(Verdict {
        if_absent,
        if_match,
    })
}

async fn accepts_only(store: &dyn Store, key: &Key, stale: Tag, current: Tag) -> Result<bool> {
    let swap = async |tag| {
        store
            .write(key, Body::from("swapped"), WriteOptions::if_match(tag))
            .await
    };
    if !refused(swap(stale).await)? {
        return Ok(false);
    }
    Ok(!refused(swap(current).await)?)
}

/// How many write at once in a race.
const RACERS: usize = 16;

/// How many races there are of each kind.
const ROUNDS: usize = 4;

/// Lets many conditional writes of one object run into each other: servers exist that check
/// conditions one after the other as they should, and let two win that come at once. Gives what
/// was seen when the store didn't keep its word, `None` when it did. Leaves nothing behind.
///
/// # Errors
/// As [`probe`].
pub async fn race(store: &dyn Store) -> Result<Option<String>> {
    let verdict = probe(store).await?;
    if !verdict.if_absent {
        return Ok(Some(
            "it let a create-if-absent overwrite an object".to_owned(),
        ));
    }
    if !verdict.if_match {
        return Ok(Some(
            "it let a stale compare-and-swap through, or refused a good one".to_owned(),
        ));
    }
    for _ in 0..ROUNDS {
        let key = Key::parse(&format!("{RESERVED}/probe/{:016x}", fastrand::u64(..)))?;
        let seen = race_once(store, &key).await;
        let cleaned = store.delete(&key, Precondition::None).await;
        let seen = seen?;
        cleaned?;
        if seen.is_some() {
            return Ok(seen);
        }
    }
    Ok(None)
}

/// Many create one object, then many replace it.
async fn race_once(store: &dyn Store, key: &Key) -> Result<Option<String>> {
    let (winners, tag) = winners(store, key, "create", &Precondition::IfAbsent).await?;
    if winners != 1 {
        let seen = format!("of {RACERS} that created an object at once {winners} won");
        return Ok(Some(seen));
    }
    let Some(tag) = tag else {
        return Ok(Some(
            "the one that created an object at once with others was overwritten".to_owned(),
        ));
    };
    let (winners, tag) = self::winners(store, key, "swap", &Precondition::IfMatch(tag)).await?;
    Ok(match (winners, tag) {
        (1, Some(_)) => None,
        (1, None) => {
            Some("the one that replaced an object at once with others was overwritten".to_owned())
        }
        _ => Some(format!(
            "of {RACERS} that replaced an object at once {winners} won"
        )),
    })
}

/// How many of those that write at once win, and the tag of the object if it is the last winner's.
async fn winners(
    store: &dyn Store,
    key: &Key,
    what: &str,
    condition: &Precondition,
) -> Result<(usize, Option<Tag>)> {
    let racers = (0..RACERS).map(|racer| async move {
        let text = format!("{what} {racer}");
        let options = WriteOptions {
            precondition: condition.clone(),
            ..WriteOptions::default()
        };
        let written = store
            .write(key, Body::from(text.clone().into_bytes()), options)
            .await;
        Ok::<_, Error>((!refused(written)?).then_some(text))
    });
    let mut won = Vec::new();
    for outcome in join_all(racers).await {
        won.extend(outcome?);
    }
    let found = store.read(key, ReadOptions::default()).await?;
    let tag = found.meta.tag.clone();
    let text = found.body.collect(1024).await?;
    let is_winners = won.last().is_some_and(|last| text == last.as_bytes());
    Ok((won.len(), tag.filter(|_| is_winners)))
}

/// Whether a conditional write was refused for its condition; a store that can't check it at all
/// counts as one that didn't refuse.
fn refused<T>(result: Result<T, Error>) -> Result<bool> {
    match result {
        Ok(_) => Ok(false),
        Err(error) if error.is_conflict() => Ok(true),
        Err(error) if *error.kind() == ErrorKind::Unsupported => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::store::contract::broken::{Broken, Fault};
    use crate::store::{ListOptions, StoreUrl, mem};

    #[tokio::test]
    async fn trusts_memory_and_leaves_nothing() {
        let url = StoreUrl::parse("memfs://probe").expect("a literal URL");
        let store = mem::Buckets::default().open(&url);
        let verdict = probe(&store).await.expect("a memory store can be written");
        assert_eq!(
            verdict,
            Verdict {
                if_absent: true,
                if_match: true
            }
        );
        assert_eq!(store.list(ListOptions::default()).count().await, 0);
    }

    #[tokio::test]
    async fn a_race_shows_what_one_write_after_the_other_doesnt() {
        for (fault, what) in [
            (Fault::IgnoresIfAbsent, "let a create-if-absent overwrite"),
            (
                Fault::ChecksThenCreates,
                "that created an object at once 16 won",
            ),
            (
                Fault::ChecksThenSwaps,
                "that replaced an object at once 16 won",
            ),
        ] {
            let store = Broken::new(fault);
            let seen = race(&store).await.expect("it can be written");
            let seen = seen.expect("it doesn't keep its word");
            assert!(seen.contains(what), "{seen}");
            assert_eq!(store.list(ListOptions::default()).count().await, 0);
        }
        let store = Broken::new(Fault::None);
        assert_eq!(race(&store).await.expect("it can be written"), None);
        assert_eq!(store.list(ListOptions::default()).count().await, 0);
    }
}
