//! Buckets, and the versions of their objects.

use std::collections::BTreeMap;

use bytes::Bytes;
use kstate::store::{Algorithm, Checksum};

/// Whether a bucket keeps what is overwritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Versioning {
    #[default]
    Never,
    Enabled,
    Suspended,
}

#[derive(Default)]
pub(crate) struct Bucket {
    pub(crate) versioning: Versioning,
    /// The versions of each object, the current one last.
    objects: BTreeMap<String, Vec<Version>>,
}

struct Version {
    id: String,
    /// None for a delete marker.
    object: Option<Object>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: String,
    /// User metadata.
    pub(crate) user: BTreeMap<String, String>,
    pub(crate) etag: String,
    pub(crate) kind: Kind,
}

/// How an object came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Normal,
    Multipart,
}

/// What was written while no versions were kept.
const NULL: &str = "null";

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Multipart => "Multipart",
        }
    }
}

impl Object {
    /// What one request writes.
    pub(crate) fn normal(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            etag: md5_hex(&bytes),
            content_type: "application/octet-stream".to_owned(),
            bytes,
            ..Self::default()
        }
    }
}

pub(super) fn md5_hex(bytes: &[u8]) -> String {
    Checksum::of(Algorithm::Md5, bytes)
        .hex()
        .to_ascii_uppercase()
}

impl Bucket {
    pub(crate) fn current(&self, name: &str) -> Option<&Object> {
        self.objects.get(name)?.last()?.object.as_ref()
    }

    /// The id of the current version, as answers tell it.
    pub(super) fn current_id(&self, name: &str) -> Option<String> {
        let last = self.objects.get(name)?.last()?;
        self.told(&last.id)
    }

    pub(super) fn version(&self, name: &str, id: &str) -> Option<&Object> {
        let mut versions = self.objects.get(name)?.iter();
        versions.find(|version| version.id == id)?.object.as_ref()
    }

    /// Names and current objects, in byte order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Object)> {
        let names = self.objects.keys();
        names.filter_map(|name| Some((name.as_str(), self.current(name)?)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Gives the id of the version, as the answer tells it. `id` is a new one.
    pub(crate) fn put(&mut self, name: &str, object: Object, id: String) -> Option<String> {
        self.push(name, Some(object), id)
    }

    pub(super) fn delete(&mut self, name: &str, id: String) -> Option<String> {
        if self.versioning == Versioning::Never {
            self.objects.remove(name);
            return None;
        }
        self.push(name, None, id)
    }

    fn push(&mut self, name: &str, object: Option<Object>, id: String) -> Option<String> {
        let versions = self.objects.entry(name.to_owned()).or_default();
        let id = match self.versioning {
            Versioning::Enabled => id,
            _ => NULL.to_owned(),
        };
        versions.retain(|version| version.id != id);
        versions.push(Version {
            id: id.clone(),
            object,
        });
        self.told(&id)
    }

    fn told(&self, id: &str) -> Option<String> {
        (self.versioning != Versioning::Never).then(|| id.to_owned())
    }

    /// Whether a write of this object is refused to who forbids to overwrite. A bucket that keeps
    /// versions, or once did, ignores that:
    /// <https://www.alibabacloud.com/help/en/oss/developer-reference/putobject>.
    pub(super) fn protects(&self, name: &str) -> bool {
        self.versioning == Versioning::Never && self.current(name).is_some()
    }
}
