//! How objects lie in a namespace.
//!
//! | what | Secret | holds |
//! |---|---|---|
//! | an object | `ks-` and a hash of its key, type `kstate.dev/object` | `data.object`, its bytes; or `data.chunks`, the names of its chunks |
//! | a chunk | `ks-chunk-` and a hash of its write and its bytes, type `kstate.dev/chunk`, immutable | `data.chunk` |
//!
//! The key is the one in the namespace, with the prefix of the store, so that all stores of a
//! namespace see the same objects. Hashes are the SHA-256 in base32 in lower case, which any key
//! makes a name of: a name may have neither slashes nor upper-case letters. Bytes are compressed
//! where that makes them fewer. A chunk belongs to one write of one object and is shared with no
//! other: what a write leaves can go without a look at what others still need.

use std::collections::BTreeMap;
use std::time::SystemTime;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::store::{Algorithm, Checksum, Key, Meta, Tag};

/// The type of an object's Secret.
pub(super) const OBJECT_TYPE: &str = "kstate.dev/object";
/// The type of a chunk's Secret.
pub(super) const CHUNK_TYPE: &str = "kstate.dev/chunk";

/// The entry in the data that holds an object's bytes.
pub(super) const OBJECT: &str = "object";
/// The entry in the data that names the chunks of a large object.
pub(super) const CHUNKS: &str = "chunks";
/// The entry in the data that holds a chunk's bytes.
pub(super) const CHUNK: &str = "chunk";

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const KSTATE: &str = "kstate";
/// A label: what the object is to us.
const ROLE: &str = "kstate.dev/role";
/// A label: a hash of the first segment of the key, which makes listings of a folder short.
const TOP: &str = "kstate.dev/top";
/// A label of objects that have chunks, and of chunks: the write that they belong to.
const WRITE_LABEL: &str = "kstate.dev/chunks-of";
/// The key in the namespace.
pub(super) const KEY: &str = "kstate.dev/key";
const SIZE: &str = "kstate.dev/size";
const SHA256: &str = "kstate.dev/sha256";
const MODIFIED: &str = "kstate.dev/modified";
const CONTENT_TYPE: &str = "kstate.dev/content-type";
const USER: &str = "kstate.dev/user-metadata";
/// How the bytes are compressed; missing when they aren't.
const ENCODING: &str = "kstate.dev/encoding";
const GZIP: &str = "gzip";
/// The write by which a repeated request knows itself again when its answer was lost.
const WRITE: &str = "kstate.dev/write";

/// What a Secret or Lease of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Object,
    Chunk,
    Lock,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Chunk => "chunk",
            Self::Lock => "lock",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Object => "ks-",
            Self::Chunk => "ks-chunk-",
            Self::Lock => "ks-lock-",
        }
    }

    /// The name of what has this key.
    pub(super) fn name_of(self, full: &str) -> String {
        format!("{}{}", self.prefix(), hash(&[full.as_bytes()]))
    }

    /// The labels of what has this key.
    pub(super) fn labels(self, full: &str) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (MANAGED_BY.to_owned(), KSTATE.to_owned()),
            (ROLE.to_owned(), self.name().to_owned()),
        ]);
        if self != Self::Chunk {
            labels.insert(TOP.to_owned(), top(full));
        }
        labels
    }

    /// Selects all of this role that may lie below a folder.
    pub(super) fn selector(self, folder: &str) -> String {
        let all = format!("{MANAGED_BY}={KSTATE},{ROLE}={}", self.name());
        match folder {
            "" => all,
            folder => format!("{all},{TOP}={}", top(folder)),
        }
    }

    /// Selects all of this role that have to do with chunks.
    pub(super) fn with_chunks(self) -> String {
        format!("{},{WRITE_LABEL}", self.selector(""))
    }

    /// Selects all of this role that belong to one write.
    pub(super) fn of_write(self, write: &str) -> String {
        format!("{}={write}", self.with_chunks())
    }
}

/// The name of a chunk, by which its bytes are known to be the ones that were written.
pub(super) fn chunk_name(write: &str, bytes: &[u8]) -> String {
    format!(
        "{}{}",
        Role::Chunk.prefix(),
        hash(&[write.as_bytes(), bytes])
    )
}

/// The labels of a chunk.
pub(super) fn chunk_labels(write: &str) -> BTreeMap<String, String> {
    let mut labels = Role::Chunk.labels("");
    labels.insert(WRITE_LABEL.to_owned(), write.to_owned());
    labels
}

/// The write that chunks, or an object with chunks, belong to.
pub(super) fn write_of_chunks(object: &ObjectMeta) -> Option<&str> {
    let labels = object.labels.as_ref()?;
    labels.get(WRITE_LABEL).map(String::as_str)
}

fn top(full: &str) -> String {
    let first = full.split('/').next().unwrap_or(full);
    let mut label = hash(&[first.as_bytes()]);
    label.truncate(26);
    label
}

/// SHA-256 of some texts in base32 (RFC 4648) in lower case.
fn hash(parts: &[&[u8]]) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut hasher = crate::store::Hasher::new(Algorithm::Sha256);
    for part in parts {
        hasher.update(part);
    }
    let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0);
    for byte in hasher.finish().value {
        held = held << 8 | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(DIGITS[(held >> bits & 31) as usize]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(DIGITS[(held << (5 - bits) & 31) as usize]));
    }
    text
}

/// A version of an object, as tags tell it. The chunks' write goes with it, so that whoever
/// replaces the version knows what to clear away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub uid: String,
    /// The Secret's resource version.
    pub resource: String,
    pub chunks: Option<String>,
}

impl Version {
    pub(super) fn of(object: &ObjectMeta) -> Option<Self> {
        Some(Self {
            uid: object.uid.clone()?,
            resource: object.resource_version.clone()?,
            chunks: write_of_chunks(object).map(str::to_owned),
        })
    }

    pub(super) fn tag(&self) -> Tag {
        let Self {
            uid,
            resource,
            chunks,
        } = self;
        Tag(match chunks {
            Some(write) => format!("{uid}:{resource}:{write}"),
            None => format!("{uid}:{resource}"),
        })
    }

    /// The version that a tag names; `None` when no object here ever had it.
    pub(super) fn parse(tag: &Tag) -> Option<Self> {
        let mut parts = tag.0.splitn(3, ':');
        Some(Self {
            uid: parts.next()?.to_owned(),
            resource: parts.next()?.to_owned(),
            chunks: parts.next().map(str::to_owned),
        })
    }
}

/// What an object's Secret says of it beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The key in the namespace.
    pub full: String,
    pub size: u64,
    /// Of the bytes before they were compressed, in hex.
    pub sha256: String,
    pub modified: SystemTime,
    pub content_type: Option<String>,
    pub user: BTreeMap<String, String>,
    pub is_gzip: bool,
    /// The write that made it.
    pub write: String,
    pub has_chunks: bool,
}

impl Head {
    /// The metadata of the Secret.
    pub(super) fn to_object(&self) -> ObjectMeta {
        let text = |name: &str, value: String| (name.to_owned(), value);
        let modified = OffsetDateTime::from(self.modified).format(&Rfc3339);
        let mut annotations = BTreeMap::from([
            text(KEY, self.full.clone()),
            text(SIZE, self.size.to_string()),
            text(SHA256, self.sha256.clone()),
            text(WRITE, self.write.clone()),
        ]);
        annotations.extend(modified.ok().map(|modified| text(MODIFIED, modified)));
        annotations.extend(
            self.content_type
                .clone()
                .map(|kind| text(CONTENT_TYPE, kind)),
        );
        if !self.user.is_empty() {
            // A map of texts is always JSON.
            let user = serde_json::to_string(&self.user).unwrap_or_default();
            annotations.insert(USER.to_owned(), user);
        }
        if self.is_gzip {
            annotations.insert(ENCODING.to_owned(), GZIP.to_owned());
        }
        let mut labels = Role::Object.labels(&self.full);
        if self.has_chunks {
            labels.insert(WRITE_LABEL.to_owned(), self.write.clone());
        }
        ObjectMeta {
            name: Some(Role::Object.name_of(&self.full)),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }
    }

    /// Reads the metadata of a Secret; else says what somebody did to it.
    pub(super) fn parse(object: &ObjectMeta) -> Result<Self, String> {
        let empty = BTreeMap::new();
        let annotations = object.annotations.as_ref().unwrap_or(&empty);
        let text = |name: &str| annotations.get(name).cloned();
        let need =
            |name: &str| text(name).ok_or_else(|| format!("its annotation {name} is missing"));
        let wrong = |name: &str| format!("its annotation {name} was changed");
        let full = need(KEY)?;
        if object.name.as_deref() != Some(&*Role::Object.name_of(&full)) {
            return Err(format!(
                "it is a copy of the Secret of '{full}' under another name"
            ));
        }
        let modified = text(MODIFIED).map(|text| OffsetDateTime::parse(&text, &Rfc3339));
        Ok(Self {
            full,
            size: need(SIZE)?.parse().map_err(|_| wrong(SIZE))?,
            sha256: need(SHA256)?,
            modified: match modified {
                Some(Ok(time)) => time.into(),
                _ => return Err(wrong(MODIFIED)),
            },
            content_type: text(CONTENT_TYPE),
            user: match text(USER) {
                Some(json) => serde_json::from_str(&json).map_err(|_| wrong(USER))?,
                None => BTreeMap::new(),
            },
            is_gzip: match text(ENCODING).as_deref() {
                None => false,
                Some(GZIP) => true,
                Some(other) => {
                    return Err(format!(
                        "it is compressed as '{other}', which this kstate can't read"
                    ));
                }
            },
            write: need(WRITE)?,
            has_chunks: write_of_chunks(object).is_some(),
        })
    }

    /// What the contract tells of the object.
    pub(super) fn meta(self, key: Key, version: Option<&Version>) -> Meta {
        Meta {
            modified: Some(self.modified),
            tag: version.map(Version::tag),
            checksum: bytes_of(&self.sha256).map(|value| Checksum {
                algorithm: Algorithm::Sha256,
                value,
            }),
            content_type: self.content_type,
            user: self.user,
            ..Meta::new(key, self.size)
        }
    }
}

/// The write that made what is there.
pub(super) fn write_of(object: &ObjectMeta) -> Option<&str> {
    let annotations = object.annotations.as_ref()?;
    annotations.get(WRITE).map(String::as_str)
}

/// Marks an object that is no [`Head`] with its key and its write.
pub(super) fn marks(full: &str, write: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (KEY.to_owned(), full.to_owned()),
        (WRITE.to_owned(), write.to_owned()),
    ])
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
    (0..64).step_by(2).map(digit).collect()
}

/// One line of the list of an object's chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub name: String,
    /// In bytes.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            full: "state/c/ü ✓".into(),
            size: 3,
            sha256: Checksum::of(Algorithm::Sha256, b"abc").hex(),
            modified: SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_500_000_000_123),
            content_type: Some("text/plain".into()),
            user: BTreeMap::from([("a".into(), "\u{1}\"é".into())]),
            is_gzip: true,
            write: "w".into(),
            has_chunks: true,
        }
    }

    #[test]
    fn names_are_hashes_as_base32_tools_make_them() {
        // printf abc | sha256sum | xxd -r -p | base32
        let wanted = "xj4bnp4pahh6uqkbidpf3lrceoyagyndsylxvhfucd7wd4qacwwq";
        assert_eq!(Role::Object.name_of("abc"), format!("ks-{wanted}"));
        assert!(chunk_name("w", b"x").len() <= 63);
        assert_ne!(chunk_name("w", b"x"), chunk_name("v", b"x"));
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = head();
        assert_eq!(Head::parse(&head.to_object()), Ok(head.clone()));
        let key = Key::parse("c/ü ✓").unwrap();
        let meta = head.meta(key, None);
        assert_eq!(meta.checksum, Some(Checksum::of(Algorithm::Sha256, b"abc")));
    }

    #[test]
    fn what_somebody_changed_is_told() {
        for (name, value, why) in [
            (SIZE, "-1", "size was changed"),
            (KEY, "other", "a copy"),
            (USER, "[]", "user-metadata was changed"),
            (ENCODING, "zstd", "can't read"),
        ] {
            let mut object = head().to_object();
            let annotations = object.annotations.as_mut().unwrap();
            annotations.insert(name.to_owned(), value.to_owned());
            let fault = Head::parse(&object).unwrap_err();
            assert!(fault.contains(why), "{fault}");
        }
    }

    #[test]
    fn a_tag_names_its_version() {
        for chunks in [None, Some("w".to_owned())] {
            let version = Version {
                uid: "7a-b".into(),
                resource: "42".into(),
                chunks,
            };
            assert_eq!(Version::parse(&version.tag()), Some(version));
        }
        assert_eq!(Version::parse(&Tag("md5".into())), None);
    }
}
