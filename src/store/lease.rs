//! Leases that a service hands out itself.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::{Result, Tag};

/// Who holds a lease, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The holder, as the service's own tools show it; none when the lease is free.
    pub holder: Option<String>,
    /// So long it holds after its last renewal.
    pub ttl: Duration,
    /// When it was taken, by the holder's clock.
    pub acquired: SystemTime,
    /// When it was last renewed, by the holder's clock.
    pub renewed: SystemTime,
    /// How often it was taken; never goes back while the lease exists.
    pub transitions: u32,
    /// What the holder wants to be known beside.
    pub note: String,
}

/// The leases of a store: small records with names that are there for locks, and that the
/// service's own tools know.
#[async_trait]
pub trait Leases: Send + Sync {
    /// A lease with its version; `None` when there never was one. A free one is still there.
    async fn lease(&self, name: &str) -> Result<Option<(Tag, Lease)>>;

    /// All leases of the store that somebody holds, by name.
    async fn held(&self) -> Result<Vec<(String, Tag, Lease)>>;

    /// Creates a lease, or replaces the version `over` of it. Gives its new version.
    ///
    /// # Errors
    /// A [conflict](super::Error::is_conflict) when it is there already, or is another version.
    async fn put_lease(&self, name: &str, lease: &Lease, over: Option<&Tag>) -> Result<Tag>;
}
