//! A lock that is a lease of the service itself: whoever replaces the free lease, or an expired
//! one, by its version holds it. The number of its transitions is the fencing number.

use super::record::Record;
use super::site::Site;
use super::tend::{Attempt, Hold, Renewal};
use super::watch::Watch;
use crate::store::{Error, ErrorKind, Lease, Leases, Result, Tag};

/// Tries once to take the lock.
pub(super) async fn attempt(
    site: &Site,
    record: &mut Record,
    watch: &mut Watch,
) -> Result<Attempt> {
    let leases = leases(site)?;
    let found = leases.lease(&site.name).await?;
    if let Some((tag, lease)) = &found
        && lease.holder.is_some()
    {
        let key = site.key()?;
        let other = site.parse(&key, &lease.note)?;
        if other.id == record.id {
            // An earlier try of ours whose answer was lost.
            *record = other;
            return Ok(Attempt::Won(Hold::Lease(tag.clone())));
        }
        let Some(why) = watch.expired(&key, tag, &other, &site.me) else {
            return Ok(Attempt::Held(Box::new(other)));
        };
        let home = site.home.url();
        tracing::debug!(
            "taking over the lock '{}' on {home} from {}: {why}",
            site.name,
            other.holder
        );
    }
    let (tag, before) = match found {
        Some((tag, lease)) => (Some(tag), lease.transitions),
        None => (None, 0),
    };
    record.fencing = u64::from(before) + 1;
    let lease = lease(record);
    match leases.put_lease(&site.name, &lease, tag.as_ref()).await {
        Ok(tag) => Ok(Attempt::Won(Hold::Lease(tag))),
        Err(error) if error.is_conflict() => Ok(Attempt::Again),
        Err(error) => Err(error),
    }
}

/// Writes the record anew over the version `tag`.
pub(super) async fn renew(site: &Site, record: &Record, tag: &Tag) -> Result<Renewal> {
    let leases = leases(site)?;
    let lease = lease(record);
    let error = match leases.put_lease(&site.name, &lease, Some(tag)).await {
        Ok(tag) => return Ok(Renewal::Kept(Hold::Lease(tag))),
        Err(error) => error,
    };
    let Some((tag, now)) = leases.lease(&site.name).await? else {
        return Ok(Renewal::Lost(
            "its lease is gone: somebody deleted it".to_owned(),
        ));
    };
    if now.holder.is_none() {
        return Ok(Renewal::Lost(
            "its lease is free: somebody broke it".to_owned(),
        ));
    }
    let now = site.parse(&site.key()?, &now.note)?;
    Ok(if now.id != record.id {
        Renewal::Lost(format!("{} took it over", now.holder))
    } else if now.renewals == record.renewals {
        Renewal::Kept(Hold::Lease(tag))
    } else if error.is_conflict() {
        // An earlier try whose answer was lost came before it.
        Renewal::Behind(Hold::Lease(tag))
    } else {
        return Err(error);
    })
}

/// Frees the lease, if it is still held by `id`.
pub(super) async fn release(site: &Site, id: &str) -> Result<()> {
    let leases = leases(site)?;
    loop {
        let Some((tag, lease)) = leases.lease(&site.name).await? else {
            return Ok(());
        };
        let is_ours = Record::parse(lease.note.as_bytes()).is_ok_and(|record| record.id == id);
        if lease.holder.is_none() || !is_ours {
            return Ok(());
        }
        match free(leases, &site.name, lease, &tag).await {
            // A renewal on its way came first, or somebody else.
            Err(error) if error.is_conflict() => {}
            result => return result,
        }
    }
}

/// Frees the version `tag` of a lease, whoever holds it.
pub(super) async fn take_away(leases: &dyn Leases, name: &str, tag: &Tag) -> Result<()> {
    match leases.lease(name).await? {
        Some((_, lease)) => free(leases, name, lease, tag).await,
        None => Ok(()),
    }
}

async fn free(leases: &dyn Leases, name: &str, lease: Lease, tag: &Tag) -> Result<()> {
    let freed = Lease {
        holder: None,
        note: String::new(),
        ..lease
    };
    leases.put_lease(name, &freed, Some(tag)).await.map(drop)
}

fn leases(site: &Site) -> Result<&dyn Leases> {
    site.home.leases().ok_or_else(|| {
        let message = "the service has no leases";
        Error::new(ErrorKind::Unsupported, "lock", message).at(site.home.url(), None)
    })
}

fn lease(record: &Record) -> Lease {
    Lease {
        holder: Some(record.holder.to_string()),
        ttl: record.ttl(),
        acquired: record.acquired.into(),
        renewed: record.renewed.into(),
        transitions: u32::try_from(record.fencing).unwrap_or(u32::MAX),
        note: String::from_utf8_lossy(&record.to_bytes()).into_owned(),
    }
}
