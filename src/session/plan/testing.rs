//! Plans for tests, as a run would make them.

use bytes::Bytes;

use super::{
    CopyOf, Expects, Origin, Plan, PlannedChange, PlannedLock, PlannedStore, SeenListing,
    SeenObject, Step,
};
use crate::session::lock::Strength;
use crate::store::{Algorithm, Checksum};

/// A plan that grows step by step.
pub(crate) struct Draft(pub(crate) Plan);

impl Draft {
    /// A plan over stores in buckets.
    pub(crate) fn over(urls: &[&str]) -> Self {
        let store = |url: &&str| {
            let (scheme, rest) = url.split_once("://").expect("a URL");
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            PlannedStore {
                url: (*url).to_owned(),
                options: [].into(),
                root: format!("{scheme}://{bucket}"),
                prefix: prefix.to_owned(),
            }
        };
        Self(Plan {
            origin: Origin {
                id: "7f3a0123456789ab".to_owned(),
                kstate: "0.1.0".to_owned(),
                created: "2026-06-01T09:30:00Z".to_owned(),
                who: "ann@ops".to_owned(),
                script: "resize.lua".to_owned(),
                script_sha256: Checksum::of(Algorithm::Sha256, b"-- a script").hex(),
                args: Vec::new(),
            },
            stores: urls.iter().map(store).collect(),
            ..Plan::default()
        })
    }

    fn keep(&mut self, bytes: &[u8]) -> String {
        let sha256 = Checksum::of(Algorithm::Sha256, bytes).hex();
        let bytes = Bytes::copy_from_slice(bytes);
        self.0.contents.insert(sha256.clone(), bytes);
        sha256
    }

    /// The last step on an object.
    fn last(&self, store: usize, key: &str) -> Option<(usize, &Step)> {
        let object = self.0.full_key(store, key);
        let mut steps = self.0.steps.iter().enumerate().rev();
        steps.find(|(_, step)| self.0.full_key(step.store, &step.key) == object)
    }

    fn step(
        &mut self,
        store: usize,
        key: &str,
        before: Option<&[u8]>,
        change: PlannedChange,
    ) -> &mut Step {
        let after = self.0.steps.len();
        let (expects, size) = match self.last(store, key) {
            Some((
                _,
                Step {
                    change: PlannedChange::Delete,
                    ..
                },
            )) => (Expects::Absent, None),
            Some((
                at,
                Step {
                    change: PlannedChange::Write { size, .. } | PlannedChange::Copy { size, .. },
                    ..
                },
            )) => (Expects::Step(at), Some(*size)),
            None => match before {
                Some(before) => (
                    Expects::Tag(format!("etag-of-{key}")),
                    Some(before.len() as u64),
                ),
                None => (Expects::Absent, None),
            },
        };
        let is_text =
            |bytes: &&[u8]| std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'));
        let before = before.filter(is_text).map(|before| self.keep(before));
        self.0.observed.objects.push(SeenObject {
            store,
            key: key.to_owned(),
            version: size.map(|size| format!("{size}")),
        });
        self.0.steps.push(Step {
            after,
            store,
            key: key.to_owned(),
            expects,
            size_before: size,
            before,
            change,
        });
        self.0.steps.last_mut().expect("it was just pushed")
    }

    /// Writes an object that had these bytes before, or wasn't there.
    pub(crate) fn write(
        &mut self,
        store: usize,
        key: &str,
        before: Option<&[u8]>,
        bytes: &[u8],
    ) -> &mut Self {
        let change = PlannedChange::Write {
            content: self.keep(bytes),
            size: bytes.len() as u64,
            content_type: None,
            user: [].into(),
        };
        self.step(store, key, before, change);
        self
    }

    /// As [`write`](Self::write), of texts.
    pub(crate) fn edit(&mut self, store: usize, key: &str, before: &str, text: &str) -> &mut Self {
        self.write(store, key, Some(before.as_bytes()), text.as_bytes())
    }

    /// Gives the last write a content type and user metadata.
    pub(crate) fn labelled(&mut self, mime: &str, labels: &[(&str, &str)]) -> &mut Self {
        if let Some(Step {
            change: PlannedChange::Write {
                content_type, user, ..
            },
            ..
        }) = self.0.steps.last_mut()
        {
            *content_type = Some(mime.to_owned());
            let labels = labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            user.extend(labels);
        }
        self
    }

    /// Copies an object of another store, maybe over one with these bytes.
    pub(crate) fn copy(
        &mut self,
        (from, source): (usize, &str),
        (to, key): (usize, &str),
        before: Option<&[u8]>,
        size: u64,
    ) -> &mut Self {
        let change = PlannedChange::Copy {
            store: from,
            key: source.to_owned(),
            version: CopyOf::Tag("etag-of-source".to_owned()),
            size,
        };
        self.step(to, key, before, change);
        self
    }

    /// Deletes an object that has these bytes.
    pub(crate) fn delete(&mut self, store: usize, key: &str, before: Option<&[u8]>) -> &mut Self {
        self.step(store, key, before, PlannedChange::Delete);
        self
    }

    /// Says that an object was read and is there.
    pub(crate) fn read(&mut self, store: usize, key: &str) -> &mut Self {
        self.0.observed.objects.push(SeenObject {
            store,
            key: key.to_owned(),
            version: Some("v".to_owned()),
        });
        self
    }

    /// Lists a folder, under a lock.
    pub(crate) fn list_locked(&mut self, store: usize, below: &str, lock: &str) -> &mut Self {
        self.0.observed.listings.push(SeenListing {
            store,
            below: below.to_owned(),
            one_level: false,
            after: None,
            until: None,
            others: Vec::new(),
        });
        self.0.locks.push(PlannedLock {
            store,
            name: lock.to_owned(),
            ttl_ms: 30_000,
            min_strength: Strength::Advisory,
        });
        self
    }
}
