//! Deleting what only the target has, after all else went well.

use super::Outcome;
use super::sync::Run;
use super::walk::{Join, Scope, Step};
use crate::store::{Error, ErrorKind, Key, Result};
use crate::text::count;

/// What services delete in one request.
const BATCH: usize = 1000;

impl Run {
    /// Deletes what only the target has, when that is asked for and both trees were read whole
    /// and every copy succeeded. The trees are listed once more rather than held in memory, and
    /// never more is deleted than was counted before.
    pub(super) async fn sweep(&mut self) -> Result<()> {
        let extraneous = self.report.extraneous.count;
        if !self.options.delete || extraneous == 0 {
            return Ok(());
        }
        if !self.report.is_complete() {
            tracing::warn!(extraneous, "nothing is deleted, because not all was copied");
            return Ok(());
        }
        self.check_deletion(extraneous)?;
        let scope = Scope::whole(&self.options);
        let mut join = Join::open_to_write(&self.lane.source, &self.lane.target, &scope);
        let mut batch = Vec::new();
        let mut found = 0;
        while let Some(step) = join.next().await? {
            let Step::Target(meta) = step else {
                continue;
            };
            found += 1;
            if found > extraneous {
                return Err(self.refusal("more is missing in the source than a moment ago"));
            }
            batch.push(meta.key);
            if batch.len() == BATCH {
                self.delete(std::mem::take(&mut batch)).await?;
            }
        }
        self.delete(batch).await
    }

    fn check_deletion(&self, extraneous: u64) -> Result<()> {
        if self.report.objects == 0 && !self.options.allow_empty_source {
            return Err(self
                .refusal("the source has no objects, so all would be deleted")
                .hint(
                    "check the source's name; --allow-empty-source (allow_empty_source) goes on",
                ));
        }
        match self.options.max_delete {
            Some(most) if extraneous > most => {
                let what = count(extraneous, "object");
                let message = format!("{what} would be deleted, and {most} is the most allowed");
                Err(self.refusal(&message))
            }
            _ => Ok(()),
        }
    }

    fn refusal(&self, message: &str) -> Error {
        Error::new(ErrorKind::Invalid, "delete in", message)
            .at(self.lane.target.url(), None)
            .hint("all is copied; look at what only the target has before deleting it")
    }

    async fn delete(&mut self, batch: Vec<Key>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let failures = self.lane.target.delete_many(batch.clone()).await;
        // One that names no key would make an object that is still there look deleted.
        if let Some(error) = failures.iter().find(|error| error.key().is_none()) {
            return Err(error.clone());
        }
        for key in batch {
            let failure = failures.iter().find(|e| e.key() == Some(key.as_str()));
            let outcome = failure.map_or(Outcome::Deleted, |e| Outcome::Failed(e.clone()));
            self.record(&key, &outcome)?;
        }
        Ok(())
    }
}
