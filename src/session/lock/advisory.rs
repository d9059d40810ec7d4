//! A lock for stores whose conditional writes can't be trusted: each asker announces itself under
//! a name of its own, waits until others must have seen that, and looks whom it sees.
//!
//! One that is held wins over all that ask; of those that ask the smallest id wins, the others
//! withdraw and try again. A holder looks once more after it has said that it holds, so that of
//! two that couldn't see each other before, one sees the other then.

use std::time::Duration;

use super::clock::Moment;
use super::record::{Record, State};
use super::site::{Site, remove_version};
use super::tend::{Attempt, Hold, Renewal};
use super::watch::Watch;
use crate::store::{Precondition, Result};

/// How long an announcement takes at least until everybody sees it.
const SETTLES: Duration = Duration::from_millis(200);

/// Tries once to take the lock.
pub(super) async fn attempt(
    site: &Site,
    record: &mut Record,
    watch: &mut Watch,
) -> Result<Attempt> {
    let others = rivals(site, record, watch).await?;
    if let Some(holder) = held(&others) {
        return Ok(Attempt::Held(Box::new(holder.clone())));
    }
    for other in &others {
        record.overtake(other);
    }
    let own = site.announcement(&record.id)?;
    record.state = State::Asking;
    let before = Moment::now();
    site.write(&own, record, Precondition::None).await?;
    // A slow store is slow for the others too.
    let took = Moment::now().since(before);
    tokio::time::sleep(SETTLES.max(took * 2)).await;

    let others = rivals(site, record, watch).await?;
    if let Some(stronger) = held(&others).or_else(|| smaller(&others, record)) {
        return withdraw(site, record, stronger.clone()).await;
    }
    for other in &others {
        record.overtake(other);
    }
    record.state = State::Held;
    record.renumber();
    site.write(&own, record, Precondition::None).await?;
    let others = rivals(site, record, watch).await?;
    if let Some(stronger) = smaller(&others, record) {
        return withdraw(site, record, stronger.clone()).await;
    }
    Ok(Attempt::Won(Hold::Advisory))
}

fn held(others: &[Record]) -> Option<&Record> {
    others.iter().find(|other| other.state == State::Held)
}

fn smaller<'a>(others: &'a [Record], own: &Record) -> Option<&'a Record> {
    others.iter().find(|other| other.id < own.id)
}

async fn withdraw(site: &Site, record: &Record, stronger: Record) -> Result<Attempt> {
    site.remove(&site.announcement(&record.id)?, &record.id)
        .await?;
    Ok(match stronger.state {
        State::Held => Attempt::Held(Box::new(stronger)),
        State::Asking => Attempt::Again,
    })
}

/// Who else asks for the lock or holds it. What an expired one left is cleared away.
async fn rivals(site: &Site, record: &Record, watch: &mut Watch) -> Result<Vec<Record>> {
    let mut rivals = Vec::new();
    for (key, tag, other) in site.announced(&record.id).await? {
        if let Some(why) = watch.expired(&key, &tag, &other, &site.me) {
            tracing::debug!("clearing away the lock of {}: {why}", other.holder);
            match remove_version(&*site.home, &key, tag).await {
                // Somebody else has cleared it away.
                Err(error) if error.is_conflict() => {}
                result => result?,
            }
        } else {
            rivals.push(other);
        }
    }
    // Whoever trusts the store more takes its lock without an announcement.
    let key = site.key()?;
    if let Some((tag, other)) = site.read(&key).await?
        && watch.expired(&key, &tag, &other, &site.me).is_none()
    {
        rivals.push(other);
    }
    Ok(rivals)
}

/// Writes the record anew, if it is still there and nobody took the lock over.
pub(super) async fn renew(site: &Site, record: &Record) -> Result<Renewal> {
    let own = site.announcement(&record.id)?;
    if site.read(&own).await?.is_none() {
        let reason = "its object is gone: somebody broke it or took it over";
        return Ok(Renewal::Lost(reason.to_owned()));
    }
    site.write(&own, record, Precondition::None).await?;
    let others = site.announced(&record.id).await?.into_iter();
    let newer = others
        .map(|(_, _, other)| other)
        .find(|other| other.state == State::Held && other.fencing > record.fencing);
    Ok(match newer {
        Some(newer) => Renewal::Lost(format!("{} took it over", newer.holder)),
        None => Renewal::Kept(Hold::Advisory),
    })
}

/// Takes the announcement away.
pub(super) async fn release(site: &Site, id: &str) -> Result<()> {
    site.remove(&site.announcement(id)?, id).await
}
