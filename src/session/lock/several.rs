//! Doing something while several locks are held.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::session::Session;
use crate::session::plan::PlannedLock;
use crate::store::{Place, Result, Store};

impl Session {
    /// Takes the locks that an earlier run held, and does some work under them. The loss of one
    /// ends the work.
    ///
    /// # Errors
    /// As [`Session::lock`]; [`ErrorKind::LockLost`](crate::store::ErrorKind::LockLost); those of
    /// the work.
    pub(in crate::session) async fn under_locks<'a, T: Send + 'a>(
        &self,
        mut locks: Vec<(Arc<dyn Store>, &PlannedLock)>,
        wait: Duration,
        work: impl Future<Output = Result<T>> + Send + 'a,
    ) -> Result<T> {
        // Two runs that want the same ones ask for them in the same order.
        locks.sort_by_cached_key(|(store, lock)| (Place::of(&**store, ""), lock.name.clone()));
        let mut work: BoxFuture<'a, Result<T>> = work.boxed();
        for (store, lock) in locks {
            let guard = self.lock(&store, &lock.name, &lock.options(wait)).await?;
            work = guard.protect(work).map(Result::flatten).boxed();
        }
        work.await
    }
}
