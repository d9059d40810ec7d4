//! How trees get from one store to another: listed side by side, compared, copied, verified.
//!
//! Everything here stands on the [`Store`](crate::store::Store) contract alone. Memory is bounded: listings are
//! merge-joined as they stream, large bodies stream, and reports keep counts and samples.
//! Dropping a future stops its work; what was written whole stays.

mod check;
mod compare;
mod copy;
mod delta;
mod diff;
mod filter;
mod observe;
mod relay;
mod report;
mod stream;
mod sweep;
mod sync;
mod text;
mod verify;
mod walk;

use std::fmt;

pub use check::{Ahead, precheck};
pub use compare::{Evidence, Method};
pub use copy::{Copied, Route, copy_object};
pub use delta::{DeltaOptions, delta_sync};
pub use diff::{CompareOptions, Difference, Kind, diff};
pub use filter::Filter;
pub use observe::{Observer, Outcome};
pub use report::{Note, Report, Sample, Verified};
pub use sync::sync;
pub use text::{Mask, TextDiff, TextOptions, text_diff};
pub use verify::verify_trees;

use crate::store;

/// How many objects are on their way at once unless told otherwise.
pub const CONCURRENCY: usize = 32;

/// What takes part in a [`sync`] and how it is done.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// Only this folder, on both sides; empty for all.
    pub below: String,
    /// Which keys, relative to `below`, take part.
    pub filter: Filter,
    /// Keys that are left alone although the filter takes them: neither copied nor deleted.
    pub hold_back: Option<Filter>,
    /// What is copied before all else: each of these is complete before the next one starts,
    /// and the pass ends at one that can't be completed.
    pub first: Vec<Filter>,
    /// How many objects are on their way at once.
    pub concurrency: usize,
    /// How it is decided whether an object needs to be copied.
    pub compare: Evidence,
    /// How each copy is verified.
    pub verify: Evidence,
    /// Delete what only the target has, after everything else succeeded.
    pub delete: bool,
    /// Delete nothing when it would be more objects than this.
    pub max_delete: Option<u64>,
    /// Allow `delete` to empty the target because the source has nothing.
    pub allow_empty_source: bool,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            below: String::new(),
            filter: Filter::default(),
            hold_back: None,
            first: Vec::new(),
            concurrency: CONCURRENCY,
            compare: Evidence::Checksum,
            verify: Evidence::Checksum,
            delete: false,
            max_delete: None,
            allow_empty_source: false,
        }
    }
}

/// A run that had to stop: why, and what was done until then.
#[derive(Debug)]
pub struct Error {
    /// What was done.
    pub report: Box<Report>,
    /// What stopped it. [`ErrorKind::InvalidKey`](store::ErrorKind::InvalidKey) means that the
    /// target can't hold some objects, which `report.refused` names; nothing was copied then.
    pub cause: store::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
