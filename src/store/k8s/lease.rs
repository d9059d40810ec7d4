//! Locks: a `Lease` of `coordination.k8s.io` each, as controllers elect their leaders by. The
//! holder's record stands in an annotation. A lease that was given back stays, without a holder,
//! so that the number of its transitions goes on.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

use super::K8sStore;
use super::call::{About, Resource};
use super::layout::{KEY, Role, Version, marks, write_of};
use crate::store::{Error, ErrorKind, Lease, Leases, RESERVED, Result, Tag};

/// The annotation with the holder's note.
const NOTE: &str = "kstate.dev/lock";

impl K8sStore {
    /// The keys of locks, for errors and as what their names are made of.
    fn lock_key(name: &str) -> String {
        format!("{RESERVED}/locks/{name}")
    }

    fn object(&self, name: &str, lease: &Lease, over: Option<&Version>, write: &str) -> Object {
        let full = self.folder.full(&Self::lock_key(name));
        let mut annotations = marks(&full, write);
        annotations.insert(NOTE.to_owned(), lease.note.clone());
        let holder = lease.holder.clone();
        Object {
            metadata: ObjectMeta {
                name: Some(Role::Lock.name_of(&full)),
                labels: Some(Role::Lock.labels(&full)),
                annotations: Some(annotations),
                uid: over.map(|version| version.uid.clone()),
                resource_version: over.map(|version| version.resource.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                // As controllers do that give one back; the API server wants no 0.
                holder_identity: Some(holder.unwrap_or_default()),
                lease_duration_seconds: i32::try_from(lease.ttl.as_secs().max(1)).ok(),
                acquire_time: time(lease.acquired),
                renew_time: time(lease.renewed),
                lease_transitions: i32::try_from(lease.transitions).ok(),
                ..LeaseSpec::default()
            }),
        }
    }
}

#[async_trait]
impl Leases for K8sStore {
    async fn lease(&self, name: &str) -> Result<Option<(Tag, Lease)>> {
        let key = Self::lock_key(name);
        let about = About {
            operation: "lock",
            key: Some(&key),
        };
        let object = Role::Lock.name_of(&self.folder.full(&key));
        let found = self.get_one::<Object>(about, Resource::Leases, &object);
        Ok(found.await?.as_ref().and_then(parse))
    }

    async fn held(&self) -> Result<Vec<(String, Tag, Lease)>> {
        let about = About {
            operation: "list the locks of",
            key: None,
        };
        let folder = self.folder.full(&Self::lock_key(""));
        let selector = Role::Lock.selector(&folder);
        let keep = |object: Object| {
            let full = object.metadata.annotations.as_ref()?.get(KEY)?;
            let name = full.strip_prefix(&folder)?.to_owned();
            let (tag, lease) = parse(&object)?;
            lease.holder.is_some().then_some((name, tag, lease))
        };
        let found = self.pages(about, Resource::Leases, &selector, keep).await?;
        let mut held = found.items;
        held.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(held)
    }

    async fn put_lease(&self, name: &str, lease: &Lease, over: Option<&Tag>) -> Result<Tag> {
        let key = Self::lock_key(name);
        let about = About {
            operation: "lock",
            key: Some(&key),
        };
        let error = |kind, message: &str| {
            Error::new(kind, "lock", message).at(&self.folder.url, Some(&key))
        };
        let over = match over.map(Version::parse) {
            Some(None) => {
                let kind = ErrorKind::PreconditionFailed { found: None };
                return Err(error(kind, "it was never this version"));
            }
            over => over.flatten(),
        };
        let write = format!("{:032x}", fastrand::u128(..));
        let object = self.object(name, lease, over.as_ref(), &write);
        let named = Role::Lock.name_of(&self.folder.full(&key));
        let written = if over.is_some() {
            self.replace(about, Resource::Leases, &named, &object).await
        } else {
            self.create(about, Resource::Leases, &object).await
        };
        let metadata = match written {
            Ok(written) => written.metadata,
            Err(refused) if refused.is_conflict() => {
                let now = self.get_one::<Object>(about, Resource::Leases, &named);
                match now.await? {
                    // An earlier attempt, whose answer was lost, wrote it.
                    Some(now) if write_of(&now.metadata) == Some(&write) => now.metadata,
                    _ if over.is_none() => return Err(refused.error),
                    now => {
                        let found = now.and_then(|now| Some(Version::of(&now.metadata)?.tag()));
                        let kind = ErrorKind::PreconditionFailed { found };
                        return Err(error(kind, "the lease is no longer the one that was read"));
                    }
                }
            }
            Err(refused) => return Err(refused.error),
        };
        let version = Version::of(&metadata);
        let version = version.ok_or_else(|| error(ErrorKind::Corrupt, "the lease has no version"));
        Ok(version?.tag())
    }
}

/// A lease and its version.
fn parse(object: &Object) -> Option<(Tag, Lease)> {
    let tag = Version::of(&object.metadata)?.tag();
    let spec = object.spec.clone().unwrap_or_default();
    let count = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok());
    let time = |time: Option<MicroTime>| time.map_or(SystemTime::UNIX_EPOCH, |time| time.0.into());
    let empty = BTreeMap::new();
    let annotations = object.metadata.annotations.as_ref().unwrap_or(&empty);
    let lease = Lease {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        ttl: Duration::from_secs(count(spec.lease_duration_seconds).unwrap_or(0).into()),
        acquired: time(spec.acquire_time),
        renewed: time(spec.renew_time),
        transitions: count(spec.lease_transitions).unwrap_or(0),
        note: annotations.get(NOTE).cloned().unwrap_or_default(),
    };
    Some((tag, lease))
}

fn time(time: SystemTime) -> Option<MicroTime> {
    Timestamp::try_from(time).ok().map(MicroTime)
}
