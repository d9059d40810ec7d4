//! `kstate rm`

use std::io::{IsTerminal, Write};

use clap::Args;
use futures::TryStreamExt;

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::store::{Entry, Key, ListOptions, Precondition, Store, is_reserved};
use crate::text;

/// How many objects are deleted with one call.
const BATCH: usize = 1000;

/// Deletes an object; with -r everything below a folder, after asking.
#[derive(Args)]
pub(super) struct Rm {
    /// The object's URL or path; with -r a store's or folder's
    target: String,
    /// Everything below
    #[arg(short, long)]
    recursive: bool,
}

impl Rm {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        if !self.recursive {
            let (store, key) = context.object(&self.target)?;
            // A missing object is told, because a mistyped name looks just like one.
            store.stat(&key).await?;
            store.delete(&key, Precondition::None).await?;
            return Ok(Exit::DONE);
        }
        let store = context.store(Some(&self.target))?;
        let count = count(&*store).await?;
        if count == 0 {
            tracing::info!("{} is empty", store.url());
            return Ok(Exit::DONE);
        }
        let question = format!(
            "Delete {} below {}?",
            text::count(count, "object"),
            store.url()
        );
        confirm(context, question).await?;
        let deleted = delete_all(&*store).await?;
        tracing::info!("{} deleted", text::count(deleted, "object"));
        Ok(Exit::DONE)
    }
}

async fn count(store: &dyn Store) -> Result<u64, Failure> {
    let mut listing = store.list(ListOptions::default());
    let mut count = 0;
    while let Some(entry) = listing.try_next().await? {
        if let Entry::Foreign { name, reason, .. } = &entry {
            return Err(
                Failure::refused(format!("{name:?} can't be deleted: {reason}"))
                    .hint("nothing was deleted; remove it with the store's own tools first"),
            );
        }
        count += u64::from(!is_reserved(entry.name()));
    }
    Ok(count)
}

async fn delete_all(store: &dyn Store) -> Result<u64, Failure> {
    let mut listing = store.list(ListOptions::default());
    let (mut batch, mut deleted): (Vec<Key>, u64) = (Vec::new(), 0);
    loop {
        let entry = listing.try_next().await?;
        let last = entry.is_none();
        if let Some(Entry::Object(meta)) = entry
            && !is_reserved(meta.key.as_str())
        {
            batch.push(meta.key);
        }
        if batch.len() == BATCH || last {
            let keys = std::mem::take(&mut batch);
            deleted += keys.len() as u64;
            if let Some(error) = store.delete_many(keys).await.into_iter().next() {
                return Err(error.into());
            }
        }
        if last {
            return Ok(deleted);
        }
    }
}

/// Asks on a terminal; without one only `--yes` is a yes. A dry run needs none.
pub(super) async fn confirm(context: &Context, question: String) -> Result<(), Failure> {
    if context.yes || context.dry_run() {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::refused(format!("not confirmed: {question}"))
            .hint("nobody can be asked here; --yes says yes beforehand"));
    }
    // Ctrl-C must work while it is waited for the answer, which can't be cancelled.
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        write!(std::io::stderr(), "{question} [y/N] ")?;
        std::io::stdin().read_line(&mut answer)?;
        std::io::Result::Ok(answer)
    });
    match asked.await.map(Result::unwrap_or_default) {
        Ok(answer) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::refused("not confirmed; nothing was changed")),
    }
}
