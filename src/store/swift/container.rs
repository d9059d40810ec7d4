//! What is known of a container in this process.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use crate::store::{Result, lock};

#[derive(Default)]
pub(super) struct Container {
    /// Whether it was seen to be there.
    seen: AtomicBool,
    /// The names of the objects for which there are segments.
    segmented: Mutex<HashSet<String>>,
    /// Whether those were found that were there before.
    searched: OnceCell<()>,
    swept: AtomicBool,
}

impl Container {
    pub(super) fn is_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    pub(super) fn see(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// Whether nobody has cleared away yet; from now on somebody has.
    pub(super) fn is_to_sweep(&self) -> bool {
        !self.swept.swap(true, Ordering::Relaxed)
    }

    /// Whether an object may have segments; `load` finds out for all, once.
    pub(super) async fn has_segments(
        &self,
        name: &str,
        load: impl Future<Output = Result<HashSet<String>>>,
    ) -> Result<bool> {
        let search = async {
            let found = load.await;
            found.map(|found| lock(&self.segmented).extend(found))
        };
        self.searched.get_or_try_init(|| search).await?;
        Ok(lock(&self.segmented).contains(name))
    }

    /// Takes note that an object has segments, or has none any more.
    pub(super) fn note(&self, name: &str, has_segments: bool) {
        let mut segmented = lock(&self.segmented);
        if has_segments {
            segmented.insert(name.to_owned());
        } else {
            segmented.remove(name);
        }
    }
}
