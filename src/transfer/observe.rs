//! What a run tells while it goes on, for progress bars and logs.

use super::{Method, Route};
use crate::store::{Error, Key};

/// How one object came out.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The target holds the same already.
    Unchanged {
        /// How that is known.
        method: Method,
    },
    /// It was copied and verified.
    Copied {
        /// Which way its bytes went.
        route: Route,
        /// How the copy was verified.
        method: Method,
        /// Its length in bytes.
        size: u64,
        /// It has user metadata that the target can't keep.
        metadata_dropped: bool,
    },
    /// It changed or went away while the run was under way; the next pass sees to it.
    Changed(Error),
    /// Somebody else wrote it in the target meanwhile; theirs was left as it is.
    Conflict(Error),
    /// It couldn't be compared, copied or verified.
    Failed(Error),
    /// Only the target had it, and it was deleted there.
    Deleted,
}

/// Hears of the progress of a run, from several threads. Calls must return at once.
pub trait Observer: Send + Sync + 'static {
    /// A pass begins; how much there is to do is not known yet.
    fn started(&self) {}
    /// So many objects of the source were listed so far in this pass.
    fn listed(&self, _objects: u64) {}
    /// There is work: from here to its end the source has so many objects and bytes, of which
    /// the target may have some.
    fn ahead(&self, _objects: u64, _bytes: u64) {}
    /// An object is being copied.
    fn object_started(&self, _key: &Key, _size: u64) {}
    /// So many bytes more passed through this process or were copied on the server.
    fn bytes(&self, _count: u64) {}
    /// An object is done.
    fn object_done(&self, _key: &Key, _outcome: &Outcome) {}
}

/// Nobody listens.
impl Observer for () {}
