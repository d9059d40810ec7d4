//! What a journal's files hold.
//!
//! `run.json` says what the run was, `log.jsonl` has a line for everything that it was about to do
//! and for what came of it, `objects/` the larger bytes that were replaced, and `end.json`, written
//! last, the counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::session::plan::{PlannedLock, PlannedStore};
use crate::store::{Precondition, Tag};

/// What a run was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name: 8 hex digits.
    pub id: String,
    /// The version of kstate.
    pub kstate: String,
    /// When it made its first change: RFC 3339, in UTC.
    pub started: String,
    /// `user@host`.
    pub who: String,
    /// The process.
    pub pid: u32,
    /// What was run.
    pub work: Work,
}

/// What was run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The command line, with secrets hidden.
    pub command: String,
    /// The SHA-256 of the script's text, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_sha256: Option<String>,
    /// The plan that it applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The run that it took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// RFC 3339, in UTC.
    pub ended: String,
    /// Whether everything that it set out to do is done: an apply or undo that is not may be run
    /// again.
    pub complete: bool,
    /// How many objects it made, changed and deleted.
    pub changes: Changes,
}

/// How many objects were changed, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Objects where there were none.
    pub created: u64,
    /// Objects with other bytes.
    pub changed: u64,
    /// Objects that are gone.
    pub deleted: u64,
    /// Objects that were written without a look at what was there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub written: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            created,
            changed,
            deleted,
            written,
        } = self;
        write!(f, "{created} created, {changed} changed, {deleted} deleted")?;
        match written {
            0 => Ok(()),
            written => write!(f, ", {written} written"),
        }
    }
}

impl Changes {
    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::session) enum Line {
    /// A store, by the number that later lines use.
    Store { number: usize, store: PlannedStore },
    /// A lock that the run holds from here on.
    Lock(PlannedLock),
    /// Something is about to be done.
    Begin(Box<Begin>),
    /// All bytes of a streamed write have been seen; it is not complete before this is on the
    /// disk.
    Body { op: usize, sha256: String },
    /// It is done.
    Done { op: usize, tag: Option<String> },
    /// It was not done, and never will be.
    Void { op: usize },
    /// It may have been done.
    Unclear { op: usize },
}

/// Something that is about to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::session) struct Begin {
    pub(in crate::session) op: usize,
    pub(in crate::session) store: usize,
    pub(in crate::session) key: String,
    pub(in crate::session) old: Old,
    pub(in crate::session) new: New,
}

/// What was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::session) enum Old {
    Absent,
    Object {
        tag: Option<String>,
        size: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        user: BTreeMap<String, String>,
        kept: Kept,
    },
}

impl Old {
    /// What holds while it is still there; `None` when nothing tells its version.
    pub(in crate::session) fn as_precondition(&self) -> Option<Precondition> {
        match self {
            Self::Absent => Some(Precondition::IfAbsent),
            Self::Object { tag, .. } => tag.clone().map(Tag).map(Precondition::IfMatch),
        }
    }

    /// Its tag; `None` when there was nothing.
    pub(in crate::session) fn tag(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Object { tag, .. } => tag.clone(),
        }
    }
}

/// Where the bytes are that were there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::session) enum Kept {
    /// Here, in base64.
    Bytes(String),
    /// In this file of the journal.
    File { name: String, sha256: String },
    /// In the store, as an old version.
    Version(String),
    /// Nowhere.
    Nothing,
}

/// What is to be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::session) enum New {
    Write {
        /// In hex; `None` for a stream, whose sum comes in a line of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    Copy {
        /// The source's store, when the run opened it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        store: Option<usize>,
        key: String,
        tag: Option<String>,
        size: u64,
        /// `md5:` and the hex digits, where the source publishes one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checksum: Option<String>,
    },
    Delete,
}
