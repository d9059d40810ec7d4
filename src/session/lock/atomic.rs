//! A lock that stands on conditional writes: whoever creates the object holds it, whoever
//! replaces an expired one by its tag takes it over.

use super::record::Record;
use super::site::{Site, remove_version};
use super::tend::{Attempt, Hold, Renewal};
use super::watch::Watch;
use crate::store::{Precondition, Result, Tag};

/// Tries once to take the lock.
pub(super) async fn attempt(
    site: &Site,
    record: &mut Record,
    watch: &mut Watch,
) -> Result<Attempt> {
    let key = site.key()?;
    let created = site.write(&key, record, Precondition::IfAbsent).await;
    if let Ok(Some(tag)) = created {
        return settle(site, record, tag).await;
    }
    let lost_answer = match created {
        Err(error) if !error.is_conflict() && !error.is_retryable() => return Err(error),
        Err(error) if error.is_retryable() => Some(error),
        _ => None,
    };
    let Some((tag, other)) = site.read(&key).await? else {
        return lost_answer.map_or(Ok(Attempt::Again), Err);
    };
    if other.id == record.id {
        return settle(site, record, tag).await;
    }
    let Some(why) = watch.expired(&key, &tag, &other, &site.me) else {
        return Ok(Attempt::Held(Box::new(other)));
    };
    tracing::debug!(
        "taking over the lock '{}' on {} from {}: {why}",
        site.name,
        site.home.url(),
        other.holder
    );
    record.overtake(&other);
    let swapped = site.write(&key, record, Precondition::IfMatch(tag)).await;
    let lost_answer = match swapped {
        Err(error) if !error.is_conflict() && !error.is_retryable() => return Err(error),
        Err(error) if error.is_retryable() => Some(error),
        _ => None,
    };
    match site.read(&key).await? {
        Some((tag, now)) if now.id == record.id => won(site, record, tag).await,
        _ => lost_answer.map_or(Ok(Attempt::Again), Err),
    }
}

/// Writes the object that was just created once more, over itself: it is still ours then, and has
/// a number that was taken while nobody else could hold the lock.
async fn settle(site: &Site, record: &mut Record, tag: Tag) -> Result<Attempt> {
    let key = site.key()?;
    record.renumber();
    match site.write(&key, record, Precondition::IfMatch(tag)).await {
        Ok(Some(tag)) => return won(site, record, tag).await,
        Err(error) if !error.is_conflict() && !error.is_retryable() => return Err(error),
        _ => {}
    }
    match site.read(&key).await? {
        Some((tag, now)) if now.id == record.id && now.fencing == record.fencing => {
            won(site, record, tag).await
        }
        _ => Ok(Attempt::Again),
    }
}

/// Whoever trusts the store less announces its lock instead; one that is held already counts.
async fn won(site: &Site, record: &Record, tag: Tag) -> Result<Attempt> {
    if !site.home.capabilities().proven_conditions {
        let announced = site.announced(&record.id).await?;
        let mut watch = Watch::default();
        let rival = announced
            .into_iter()
            .find(|(key, tag, other)| watch.expired(key, tag, other, &site.me).is_none());
        if let Some((_, _, rival)) = rival {
            remove_version(&*site.home, &site.key()?, tag).await?;
            return Ok(Attempt::Held(Box::new(rival)));
        }
    }
    Ok(Attempt::Won(Hold::Atomic(tag)))
}

/// Writes the record anew over the version `tag`.
pub(super) async fn renew(site: &Site, record: &Record, tag: &Tag) -> Result<Renewal> {
    let key = site.key()?;
    let swapped = site
        .write(&key, record, Precondition::IfMatch(tag.clone()))
        .await;
    let error = match swapped {
        Ok(Some(tag)) => return Ok(Renewal::Kept(Hold::Atomic(tag))),
        Ok(None) => None,
        Err(error) if error.is_conflict() => None,
        Err(error) => Some(error),
    };
    match site.read(&key).await? {
        Some((tag, now)) if now.id == record.id && now.renewals == record.renewals => {
            Ok(Renewal::Kept(Hold::Atomic(tag)))
        }
        // This try came to nothing, or an earlier one whose answer was lost came before it.
        Some((tag, now)) if now.id == record.id => {
            error.map_or(Ok(Renewal::Behind(Hold::Atomic(tag))), Err)
        }
        Some((_, now)) => Ok(Renewal::Lost(format!("{} took it over", now.holder))),
        None => Ok(Renewal::Lost(
            "its object is gone: somebody broke it".to_owned(),
        )),
    }
}

/// Takes the object away, if it is still the one that was written.
pub(super) async fn release(site: &Site, id: &str, tag: &Tag) -> Result<()> {
    let key = site.key()?;
    match remove_version(&*site.home, &key, tag.clone()).await {
        // An earlier renewal whose answer was lost may have been ours.
        Err(error) if error.is_conflict() => site.remove(&key, id).await,
        result => result,
    }
}
