//! Writing: one `POST` for what fits into a Secret, else its chunks first and the object last, so
//! that a reader sees the old bytes or the new.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::call::{About, Refused, Resource};
use super::chunks::Written;
use super::encode::{Encoder, Source, smaller};
use super::layout::{CHUNKS, Chunk, Head, OBJECT, OBJECT_TYPE, Role, Version, write_of};
use super::{K8sStore, LARGEST};
use crate::store::{Body, Error, ErrorKind, Key, Meta, Precondition, Result, Tag, WriteOptions};

/// kOps writes this type when none is given.
const OCTETS: &str = "application/octet-stream";

/// How often a write without a condition meets others' before it gives up.
const RACES: u32 = 100;

/// An object on its way.
struct Upload<'a> {
    store: &'a K8sStore,
    key: &'a Key,
    options: &'a WriteOptions,
    head: Head,
    began: (Instant, SystemTime),
}

/// What a write came to.
struct Committed {
    object: Secret,
    /// The version that it replaced, where there was one.
    replaced: Option<Version>,
}

impl K8sStore {
    pub(super) async fn put(&self, key: &Key, body: Body, options: &WriteOptions) -> Result<Meta> {
        let full = self.new_name(key)?;
        let head = Head {
            full,
            size: 0,
            sha256: String::new(),
            modified: SystemTime::now(),
            content_type: Some(options.content_type.as_deref().unwrap_or(OCTETS).to_owned()),
            user: options.user.clone(),
            is_gzip: false,
            write: format!("{:032x}", fastrand::u128(..)),
            has_chunks: false,
        };
        let upload = Upload {
            store: self,
            key,
            options,
            head,
            began: (Instant::now(), SystemTime::now()),
        };
        upload.run(body).await
    }

    /// The name in the namespace of an object to be written.
    fn new_name(&self, key: &Key) -> Result<String> {
        match crate::store::Store::refuses(self, key) {
            Some(reason) => Err(self
                .folder
                .error(ErrorKind::InvalidKey, "write", key, reason)),
            None => Ok(self.folder.full(key.as_str())),
        }
    }
}

impl Upload<'_> {
    async fn run(mut self, body: Body) -> Result<Meta> {
        let piece = self.store.tuning().piece;
        let mut source = Source::new(body, self.options.checksum.as_ref());
        self.check_size(source.announced.unwrap_or(0))?;
        let first = source.fill(piece).await?;
        let packed = smaller(&first);
        self.head.is_gzip = packed.is_some();
        if source.at_end().await? {
            self.sum_up(source)?;
            let entry = (OBJECT, packed.unwrap_or(first));
            return Ok(self.commit(entry).await?);
        }
        let write = self.head.write.clone();
        let written = Written::new(self.store, self.key, &write);
        let sent = self.send_chunks(source, first, &written).await;
        let (chunks, last) = match sent {
            Ok(sent) => sent,
            Err(error) => {
                written.take_back().await;
                return Err(error);
            }
        };
        if chunks.is_empty() {
            return Ok(self.commit((OBJECT, last)).await?);
        }
        let names = serde_json::to_vec(&chunks).map_err(|error| self.other(error.to_string()))?;
        match self.commit((CHUNKS, names.into())).await {
            Ok(meta) => {
                self.store.sweep().await;
                Ok(meta)
            }
            Err(refused) => {
                // Unless the object may name them by now.
                if !refused.uncertain {
                    written.take_back().await;
                }
                Err(refused.error)
            }
        }
    }

    /// Writes all chunks; or none, and gives the bytes, when compressed they fit into a Secret.
    async fn send_chunks(
        &mut self,
        mut source: Source,
        first: Bytes,
        written: &Written<'_>,
    ) -> Result<(Vec<Chunk>, Bytes)> {
        let piece = self.store.tuning().piece;
        let mut encoder = Encoder::new(self.head.is_gzip);
        encoder.write(&first);
        drop(first);
        let mut chunks = Vec::new();
        loop {
            while let Some(bytes) = encoder.piece(piece) {
                chunks.push(written.send(bytes).await?);
            }
            let Some(bytes) = source.next(piece).await? else {
                break;
            };
            self.check_size(source.seen)?;
            if source.announced.is_some_and(|size| source.seen > size) {
                break;
            }
            encoder.write(&bytes);
        }
        self.sum_up(source)?;
        // At its end the encoder may give more than one piece.
        let mut last = encoder.finish();
        while last.len() > piece {
            chunks.push(written.send(last.split_to(piece)).await?);
        }
        if chunks.is_empty() {
            return Ok((chunks, last));
        }
        if !last.is_empty() {
            chunks.push(written.send(last).await?);
        }
        self.head.has_chunks = true;
        self.check_time()?;
        Ok((chunks, Bytes::new()))
    }

    fn check_size(&self, size: u64) -> Result<()> {
        if size <= LARGEST {
            return Ok(());
        }
        let message = format!(
            "it has more than {}, and that is the most that this store takes",
            crate::text::human_size(LARGEST)
        );
        Err(self.error(ErrorKind::Unsupported, message))
    }

    /// Checks what is known at the end of the bytes, and notes it.
    fn sum_up(&mut self, source: Source) -> Result<()> {
        let (announced, seen) = (source.announced, source.seen);
        if let Some(size) = announced.filter(|size| *size != seen) {
            let message = if seen > size {
                format!("the body has more than the announced {size} bytes")
            } else {
                format!("the body has {seen} bytes instead of the announced {size}")
            };
            return Err(self.error(ErrorKind::Corrupt, message));
        }
        let (sha256, is_wanted) = source.finish();
        if !is_wanted {
            let message = "the bytes don't have the expected checksum; nothing was written";
            return Err(self.error(ErrorKind::Corrupt, message));
        }
        self.head.size = seen;
        self.head.sha256 = sha256;
        Ok(())
    }

    /// Nobody may have taken the chunks for leftovers by now.
    fn check_time(&self) -> Result<()> {
        let (began, by_calendar) = self.began;
        let slept = by_calendar.elapsed().unwrap_or(Duration::MAX);
        if began.elapsed().max(slept) < self.store.tuning().write_within {
            return Ok(());
        }
        let message = "the write took so long that its chunks may have been cleared away";
        Err(self
            .other(message)
            .hint("nothing was written; run it again"))
    }

    /// Writes the object itself, and clears away what it replaced.
    async fn commit(&self, (name, bytes): (&str, Bytes)) -> Result<Meta, Refused> {
        let data = BTreeMap::from([(name.to_owned(), ByteString(bytes.into()))]);
        let secret = Secret {
            metadata: self.head.to_object(),
            data: Some(data),
            type_: Some(OBJECT_TYPE.to_owned()),
            ..Secret::default()
        };
        let Committed { object, replaced } = self.send(&secret).await?;
        if object.data != secret.data {
            let message = "the API server stored other bytes than were sent";
            return Err(Refused::maybe_done(self.error(ErrorKind::Corrupt, message)));
        }
        if let Some(write) = replaced.and_then(|version| version.chunks) {
            self.store.drop_chunks(self.key, &write).await;
        }
        let version = Version::of(&object.metadata);
        Ok(self.head.clone().meta(self.key.clone(), version.as_ref()))
    }

    async fn send(&self, secret: &Secret) -> Result<Committed, Refused> {
        match &self.options.precondition {
            Precondition::IfAbsent => self.create(secret).await,
            Precondition::IfMatch(tag) => self.swap(secret, tag).await,
            Precondition::None => self.overwrite(secret).await,
        }
    }

    /// Whatever is there, as long as nobody writes in between.
    async fn overwrite(&self, secret: &Secret) -> Result<Committed, Refused> {
        for _ in 0..RACES {
            match self.create(secret).await {
                Err(refused) if refused.is(&ErrorKind::AlreadyExists) => {}
                result => return result,
            }
            let there = self.there().await.map_err(Refused::maybe_done)?;
            let Some(there) = there else {
                continue;
            };
            if write_of(&there) == Some(&self.head.write) {
                return Ok(Self::own(secret, there, None));
            }
            let version = Version::of(&there).ok_or_else(|| {
                let message = "what is there has no version";
                Refused::maybe_done(self.error(ErrorKind::Corrupt, message))
            })?;
            match self.replace(secret, version).await {
                Err(refused) if refused.is_conflict() => {}
                result => return result,
            }
        }
        let error = self.error(ErrorKind::Unavailable, "others write it again and again");
        Err(Refused::maybe_done(error))
    }

    async fn swap(&self, secret: &Secret, tag: &Tag) -> Result<Committed, Refused> {
        let mut uncertain = false;
        if let Some(version) = Version::parse(tag) {
            match self.replace(secret, version).await {
                Err(refused) if refused.is_conflict() => uncertain = refused.uncertain,
                result => return result,
            }
        }
        let there = self.there().await.map_err(Refused::maybe_done)?;
        let found = there.and_then(|there| Some(Version::of(&there)?.tag()));
        Err(Refused {
            uncertain,
            ..Refused::maybe_done(self.store.folder.overtaken("write", self.key, found))
        })
    }

    async fn create(&self, secret: &Secret) -> Result<Committed, Refused> {
        let created = self.store.create(self.about(), Resource::Secrets, secret);
        match created.await {
            Ok(object) => Ok(Committed {
                object,
                replaced: None,
            }),
            Err(refused) if refused.is(&ErrorKind::AlreadyExists) => {
                self.or_own(secret, refused, None).await
            }
            Err(refused) => Err(refused),
        }
    }

    async fn replace(&self, secret: &Secret, version: Version) -> Result<Committed, Refused> {
        let mut secret = secret.clone();
        secret.metadata.uid = Some(version.uid.clone());
        secret.metadata.resource_version = Some(version.resource.clone());
        let name = secret.metadata.name.clone().unwrap_or_default();
        let replaced = self
            .store
            .replace(self.about(), Resource::Secrets, &name, &secret);
        match replaced.await {
            Ok(object) => Ok(Committed {
                object,
                replaced: Some(version),
            }),
            Err(refused) if refused.is_conflict() => {
                self.or_own(&secret, refused, Some(version)).await
            }
            Err(refused) => Err(refused),
        }
    }

    /// A refusal, unless it was an earlier attempt of this write that came first.
    async fn or_own(
        &self,
        secret: &Secret,
        refused: Refused,
        replaced: Option<Version>,
    ) -> Result<Committed, Refused> {
        if !refused.uncertain {
            return Err(refused);
        }
        let there = match self.there().await {
            Ok(Some(there)) if write_of(&there) == Some(&self.head.write) => there,
            _ => return Err(refused),
        };
        Ok(Self::own(secret, there, replaced))
    }

    /// What an earlier attempt wrote, whose answer was lost.
    fn own(secret: &Secret, there: ObjectMeta, replaced: Option<Version>) -> Committed {
        let object = Secret {
            metadata: there,
            ..secret.clone()
        };
        Committed { object, replaced }
    }

    async fn there(&self) -> Result<Option<ObjectMeta>> {
        let name = Role::Object.name_of(&self.head.full);
        self.store.look(self.about(), &name).await
    }

    fn about(&self) -> About<'_> {
        About {
            operation: "write",
            key: Some(self.key.as_str()),
        }
    }

    fn other(&self, message: impl Into<String>) -> Error {
        self.error(ErrorKind::Other, message)
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        self.store.folder.error(kind, "write", self.key, message)
    }
}
