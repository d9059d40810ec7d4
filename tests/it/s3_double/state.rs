//! Buckets, objects and their versions. Everything here happens under one lock.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use s3s::dto::{Checksum, PublicAccessBlockConfiguration, ServerSideEncryptionConfiguration};
use s3s::{S3Result, s3_error};

use super::content::Content;

/// What an object carries besides its bytes, set by whoever wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) storage_class: Option<String>,
    /// `x-amz-meta-*`, without that prefix.
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// `x-amz-server-side-encryption`.
    pub(crate) sse: Option<String>,
    pub(crate) kms_key: Option<String>,
    /// The canned ACL; `private` when none was given.
    pub(crate) acl: Option<String>,
}

/// An object as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) content: Content,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) modified: SystemTime,
    pub(crate) attributes: Attributes,
    /// The checksums that came with the upload.
    pub(crate) checksum: Checksum,
    /// The access key that wrote it.
    pub(crate) owner: String,
}

impl Object {
    pub(crate) fn new(content: Content, attributes: Attributes, owner: &str) -> Self {
        Self {
            etag: content.etag(),
            content,
            modified: SystemTime::now(),
            attributes,
            checksum: Checksum::default(),
            owner: owner.to_owned(),
        }
    }

    /// The whole content in memory.
    pub(crate) fn bytes(&self) -> Bytes {
        self.content.bytes()
    }
}

/// One version of an object.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// `null` for one written while versioning was not enabled.
    pub(crate) id: String,
    /// `None`: a delete marker.
    pub(crate) object: Option<Arc<Object>>,
    pub(crate) modified: SystemTime,
}

/// What [`Bucket::delete`] did.
#[derive(Default)]
pub(crate) struct Deleted {
    pub(crate) marker: Option<bool>,
    pub(crate) version: Option<String>,
}

/// A bucket with its settings.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) region: String,
    pub(crate) created: SystemTime,
    /// `Enabled`, `Suspended`, or never set.
    pub(crate) versioning: Option<String>,
    pub(crate) encryption: Option<ServerSideEncryptionConfiguration>,
    pub(crate) policy: Option<String>,
    pub(crate) public_access: Option<PublicAccessBlockConfiguration>,
    /// Versions by key, the newest last; never empty.
    objects: BTreeMap<String, Vec<Version>>,
    /// How many generated objects there are besides the real ones.
    pub(crate) synthetic: u64,
}

impl Bucket {
    pub(crate) fn new(region: &str, versioned: bool) -> Self {
        Self {
            region: region.to_owned(),
            created: SystemTime::now(),
            versioning: versioned.then(|| "Enabled".to_owned()),
            encryption: None,
            policy: None,
            public_access: None,
            objects: BTreeMap::new(),
            synthetic: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.synthetic == 0
    }

    /// The current version, if it is not a delete marker.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<Object>> {
        if let Some(versions) = self.objects.get(key) {
            return versions.last()?.object.clone();
        }
        let n = synthetic_number(key).filter(|n| *n < self.synthetic)?;
        Some(synthetic_object(n))
    }

    pub(crate) fn versions(&self, key: &str) -> &[Version] {
        self.objects.get(key).map_or(&[], Vec::as_slice)
    }

    /// A certain version, or the current one, with its id where the bucket has versions.
    pub(crate) fn find(
        &self,
        key: &str,
        id: Option<&str>,
    ) -> S3Result<(Arc<Object>, Option<String>)> {
        let Some(id) = id else {
            let id = self.versions(key).last().map(|version| version.id.clone());
            let object = self
                .get(key)
                .ok_or_else(|| s3_error!(NoSuchKey, "no such key: {key}"))?;
            return Ok((object, id.filter(|_| self.versioning.is_some())));
        };
        let version = self.versions(key).iter().find(|version| version.id == id);
        match version.map(|version| version.object.clone()) {
            Some(Some(object)) => Ok((object, Some(id.to_owned()))),
            Some(None) => Err(s3_error!(
                MethodNotAllowed,
                "a delete marker has no content"
            )),
            None => Err(s3_error!(NoSuchVersion, "no such version: {id}")),
        }
    }

    /// Changes an object in place, as tagging and ACLs do.
    pub(crate) fn change(
        &mut self,
        key: &str,
        id: Option<&str>,
        change: impl FnOnce(&mut Attributes),
    ) -> S3Result<()> {
        self.find(key, id)?;
        let versions = self.objects.get_mut(key);
        let version = versions.and_then(|versions| match id {
            Some(id) => versions.iter_mut().find(|version| version.id == id),
            None => versions.last_mut(),
        });
        let Some(object) = version.and_then(|version| version.object.as_mut()) else {
            return Err(s3_error!(
                NotImplemented,
                "generated objects can't be changed"
            ));
        };
        change(&mut Arc::make_mut(object).attributes);
        Ok(())
    }

    /// Makes `object` the current version; answers its version id where the bucket has versions.
    pub(crate) fn put(
        &mut self,
        key: &str,
        object: Arc<Object>,
        fresh_id: String,
    ) -> Option<String> {
        self.push(key, Some(object), fresh_id)
    }

    fn push(&mut self, key: &str, object: Option<Arc<Object>>, fresh_id: String) -> Option<String> {
        let enabled = self.versioning.as_deref() == Some("Enabled");
        let id = if enabled { fresh_id } else { "null".to_owned() };
        let versions = self.objects.entry(key.to_owned()).or_default();
        versions.retain(|version| version.id != id);
        versions.push(Version {
            id: id.clone(),
            object,
            modified: SystemTime::now(),
        });
        self.versioning.is_some().then_some(id)
    }

    /// Deletes a version, or hides the current one behind a marker, or deletes for good where
    /// the bucket has no versions. What is not there is deleted, too.
    pub(crate) fn delete(&mut self, key: &str, id: Option<&str>, fresh_id: String) -> Deleted {
        let Some(id) = id else {
            if self.versioning.is_some() {
                let version = self.push(key, None, fresh_id);
                return Deleted {
                    marker: Some(true),
                    version,
                };
            }
            self.objects.remove(key);
            return Deleted::default();
        };
        let mut deleted = Deleted {
            marker: None,
            version: Some(id.to_owned()),
        };
        if let Some(versions) = self.objects.get_mut(key) {
            let gone = versions.iter().find(|version| version.id == id);
            deleted.marker = gone
                .filter(|version| version.object.is_none())
                .map(|_| true);
            versions.retain(|version| version.id != id);
            if versions.is_empty() {
                self.objects.remove(key);
            }
        }
        deleted
    }

    /// The first key after `from` that has versions, with them, the newest last.
    pub(crate) fn next_versions(&self, from: Bound<&str>) -> Option<(&str, &[Version])> {
        self.objects
            .range::<str, _>((from, Bound::Unbounded))
            .next()
            .map(|(key, versions)| (key.as_str(), versions.as_slice()))
    }

    /// The first object after `from` in key order.
    pub(crate) fn next(&self, from: Bound<&str>) -> Option<(String, Arc<Object>)> {
        let real = self
            .objects
            .range::<str, _>((from, Bound::Unbounded))
            .find_map(|(key, versions)| Some((key, versions.last()?.object.as_ref()?)));
        let generated = self.next_synthetic(from);
        match (real, generated) {
            (Some((key, object)), Some(n)) if *key <= synthetic_key(n) => {
                Some((key.clone(), object.clone()))
            }
            (_, Some(n)) => Some((synthetic_key(n), synthetic_object(n))),
            (Some((key, object)), None) => Some((key.clone(), object.clone())),
            (None, None) => None,
        }
    }

    fn next_synthetic(&self, from: Bound<&str>) -> Option<u64> {
        let n = match from {
            Bound::Unbounded => 0,
            Bound::Included(key) => {
                first_number(self.synthetic, |n| synthetic_key(n).as_str() >= key)
            }
            Bound::Excluded(key) => match synthetic_number(key) {
                Some(n) => n + 1,
                None => first_number(self.synthetic, |n| synthetic_key(n).as_str() > key),
            },
        };
        (n < self.synthetic).then_some(n)
    }
}

/// The smallest number below `count` for which `holds`, which stays true from there on.
fn first_number(count: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// The key of a generated object: a thousand to a folder, in the order of their numbers.
pub(crate) fn synthetic_key(n: u64) -> String {
    format!("synthetic/{:06}/{:03}", n / 1000, n % 1000)
}

fn synthetic_number(key: &str) -> Option<u64> {
    let (folder, file) = key.strip_prefix("synthetic/")?.split_once('/')?;
    let n = folder.parse::<u64>().ok()? * 1000 + file.parse::<u64>().ok()?;
    (synthetic_key(n) == key).then_some(n)
}

fn synthetic_object(n: u64) -> Arc<Object> {
    let mut object = Object::new(
        Content::synthetic(64, n),
        Attributes::default(),
        "synthetic",
    );
    object.modified = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    Arc::new(object)
}

/// A part of an upload.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) content: Content,
    pub(crate) digest: [u8; 16],
    pub(crate) modified: SystemTime,
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) attributes: Attributes,
    pub(crate) owner: String,
    pub(crate) initiated: SystemTime,
    pub(crate) parts: BTreeMap<i32, Part>,
}

/// A rule that refuses an action.
#[derive(Clone, Debug)]
pub(crate) struct Deny {
    pub(crate) access_key: String,
    /// As in a policy, without `s3:`; `*` for all.
    pub(crate) action: String,
    pub(crate) bucket: String,
    pub(crate) prefix: String,
}

/// All there is.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) buckets: BTreeMap<String, Bucket>,
    /// By upload id.
    pub(crate) uploads: BTreeMap<String, Upload>,
    pub(crate) denies: Vec<Deny>,
    last_id: u64,
}

impl State {
    /// An id that was never given before; later ones sort after earlier ones.
    pub(crate) fn fresh_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}{:012}", self.last_id)
    }

    pub(crate) fn bucket(&self, name: &str) -> S3Result<&Bucket> {
        let bucket = self.buckets.get(name);
        bucket.ok_or_else(|| s3_error!(NoSuchBucket, "no such bucket: {name}"))
    }

    pub(crate) fn bucket_mut(&mut self, name: &str) -> S3Result<&mut Bucket> {
        let bucket = self.buckets.get_mut(name);
        bucket.ok_or_else(|| s3_error!(NoSuchBucket, "no such bucket: {name}"))
    }

    pub(crate) fn put(
        &mut self,
        bucket: &str,
        key: &str,
        object: Object,
    ) -> S3Result<Option<String>> {
        let id = self.fresh_id("v");
        Ok(self.bucket_mut(bucket)?.put(key, Arc::new(object), id))
    }

    /// `AccessDenied`, worded as AWS does, when a rule refuses the action.
    pub(crate) fn allow(&self, who: &str, action: &str, bucket: &str, key: &str) -> S3Result<()> {
        let refused = self.denies.iter().any(|deny| {
            deny.access_key == who
                && (deny.action == "*" || deny.action == action)
                && deny.bucket == bucket
                && key.starts_with(&deny.prefix)
        });
        if !refused {
            return Ok(());
        }
        let resource = if key.is_empty() {
            bucket.to_owned()
        } else {
            format!("{bucket}/{key}")
        };
        Err(s3_error!(
            AccessDenied,
            "User: arn:aws:iam::123456789012:user/{who} is not authorized to perform: s3:{action} \
             on resource: \"arn:aws:s3:::{resource}\" with an explicit deny"
        ))
    }
}
