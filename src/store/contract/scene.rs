//! What every check needs: the store under short names, and ways to say what went wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::task::{JoinError, JoinSet};

use super::super::{
    Body, Capabilities, Checksum, Entry, Error, ErrorKind, Key, ListOptions, Meta, Precondition,
    ReadOptions, Result, Store, Tag, WriteOptions, is_reserved,
};
use super::Options;
use crate::text::is_unseen;

/// Why a check ended before its end.
pub(super) enum Stop {
    Failed(String),
    NotClaimed(String),
}

pub(super) type Verdict<T = ()> = Result<T, Stop>;

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(in_words(&error))
    }
}

impl From<JoinError> for Stop {
    fn from(error: JoinError) -> Self {
        Self::Failed(format!("the backend panicked: {error}"))
    }
}

/// An error with what to do about it.
fn in_words(error: &Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

pub(super) fn fail<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(why.into()))
}

pub(super) fn ensure(holds: bool, otherwise: &str) -> Verdict {
    if holds { Ok(()) } else { fail(otherwise) }
}

/// A value as it stands in a complaint.
pub(super) trait Shown {
    fn shown(&self) -> String;
}

impl Shown for u64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for usize {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for &str {
    fn shown(&self) -> String {
        format!("'{self}'")
    }
}

impl Shown for Tag {
    fn shown(&self) -> String {
        self.0.as_str().shown()
    }
}

impl Shown for Checksum {
    fn shown(&self) -> String {
        format!("{} {}", self.algorithm.name(), self.hex())
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "nothing".to_owned(), T::shown)
    }
}

impl Shown for BTreeMap<String, String> {
    fn shown(&self) -> String {
        let pairs = self.iter().map(|(name, value)| format!("{name}={value}"));
        format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
    }
}

pub(super) fn ensure_eq<T: PartialEq + Shown>(what: &str, found: &T, wanted: &T) -> Verdict {
    if found == wanted {
        return Ok(());
    }
    fail(format!(
        "{what}: {} instead of {}",
        found.shown(),
        wanted.shown()
    ))
}

/// Compares contents, and repeats only what is short.
pub(super) fn ensure_bytes(what: &str, found: &[u8], wanted: &[u8]) -> Verdict {
    if found == wanted {
        return Ok(());
    }
    let short = |bytes| {
        let text = std::str::from_utf8(bytes).ok()?;
        (text.len() <= 40 && !text.contains(is_unseen)).then_some(text)
    };
    if let (Some(found), Some(wanted)) = (short(found), short(wanted)) {
        return ensure_eq(what, &found, &wanted);
    }
    let same = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    fail(format!(
        "{what}: {} bytes instead of {}, the first {same} of them alike",
        found.len(),
        wanted.len()
    ))
}

/// Compares names, and tells only the first difference.
pub(super) fn ensure_names(what: &str, found: &[String], wanted: &[String]) -> Verdict {
    if found == wanted {
        return Ok(());
    }
    let same = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let name = |names: &[String]| names.get(same).map(String::as_str).shown();
    fail(format!(
        "{what}: {} names instead of {}; at place {}: {} instead of {}",
        found.len(),
        wanted.len(),
        same + 1,
        name(found),
        name(wanted)
    ))
}

/// The error of something that must fail for one reason alone (an [`ErrorKind::name`]).
pub(super) fn ensure_fails<T>(what: &str, result: Result<T>, wanted: &str) -> Verdict<Error> {
    match result {
        Err(error) if error.kind().name() == wanted => Ok(error),
        Err(error) => fail(format!(
            "{what}: {} instead of {wanted}: {}",
            error.kind().name(),
            in_words(&error)
        )),
        Ok(_) => fail(format!("{what}: succeeded instead of {wanted}")),
    }
}

pub(super) fn tag_of(meta: &Meta) -> Verdict<Tag> {
    match &meta.tag {
        Some(tag) => Ok(tag.clone()),
        None => fail(format!("the metadata of '{}' has no tag", meta.key)),
    }
}

/// Bytes without a pattern that a part size could hide in.
pub(super) fn noise(seed: u64, size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes.into()
}

pub(super) fn strings<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

/// Runs all futures at the same time, on as many threads as there are.
pub(super) async fn together<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Verdict<Vec<T>> {
    let mut tasks: JoinSet<T> = futures.into_iter().collect();
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result?);
    }
    Ok(results)
}

/// The store under test.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) store: Arc<dyn Store>,
    pub(super) options: Options,
}

impl Scene {
    pub(super) fn can(&self) -> Capabilities {
        self.store.capabilities()
    }

    pub(super) async fn write(
        &self,
        key: &str,
        body: impl Into<Body>,
        options: WriteOptions,
    ) -> Result<Meta> {
        self.store
            .write(&Key::parse(key)?, body.into(), options)
            .await
    }

    pub(super) async fn put(&self, key: &str, body: impl Into<Body>) -> Result<Meta> {
        self.write(key, body, WriteOptions::default()).await
    }

    pub(super) async fn read(&self, key: &str, options: ReadOptions) -> Result<Bytes> {
        let object = self.store.read(&Key::parse(key)?, options).await?;
        object.body.collect(u64::MAX).await
    }

    pub(super) async fn get(&self, key: &str) -> Result<Bytes> {
        self.read(key, ReadOptions::default()).await
    }

    pub(super) async fn stat(&self, key: &str) -> Result<Meta> {
        self.store.stat(&Key::parse(key)?).await
    }

    pub(super) async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.store.delete(&Key::parse(key)?, precondition).await
    }

    pub(super) async fn list(&self, options: ListOptions) -> Result<Vec<Entry>> {
        let listing = self.store.list(options);
        let listing = listing.try_filter(|entry| std::future::ready(!is_reserved(entry.name())));
        listing.try_collect().await
    }

    pub(super) async fn names(&self, options: ListOptions) -> Result<Vec<String>> {
        let entries = self.list(options).await?;
        Ok(entries
            .iter()
            .map(|entry| entry.name().to_owned())
            .collect())
    }

    /// Writes many small objects, some at a time.
    pub(super) async fn fill(&self, keys: &[String]) -> Verdict {
        let writes = keys.iter().cloned().map(|key| {
            let scene = self.clone();
            async move { scene.put(&key, key.clone().into_bytes()).await }
        });
        let writes: Vec<_> = writes.collect();
        let mut writes = futures::stream::iter(writes).buffer_unordered(16);
        while writes.try_next().await?.is_some() {}
        Ok(())
    }

    /// Ends the check where the store doesn't claim [`Precondition::IfAbsent`], after seeing
    /// that it says so.
    pub(super) async fn needs_if_absent(&self) -> Verdict {
        if self.can().if_absent {
            return Ok(());
        }
        let result = self.write("new", "x", WriteOptions::if_absent()).await;
        ensure_fails("creating without the ability to", result, "unsupported")?;
        self.ensure_missing("new").await?;
        Err(Stop::NotClaimed("create-if-absent".into()))
    }

    /// Ends the check where the store doesn't claim [`Precondition::IfMatch`] on writes.
    pub(super) async fn needs_if_match(&self) -> Verdict {
        if self.can().if_match {
            return Ok(());
        }
        let tag = tag_of(&self.put("old", "old").await?)?;
        let result = self.write("old", "x", WriteOptions::if_match(tag)).await;
        ensure_fails("swapping without the ability to", result, "unsupported")?;
        ensure_bytes("after a refused swap", &self.get("old").await?, b"old")?;
        Err(Stop::NotClaimed("compare-and-swap".into()))
    }

    /// Ends the check where the store doesn't claim [`Precondition::IfMatch`] on deletes.
    pub(super) async fn needs_delete_if_match(&self) -> Verdict {
        if self.can().delete_if_match {
            return Ok(());
        }
        let tag = tag_of(&self.put("old", "old").await?)?;
        let result = self.delete("old", Precondition::IfMatch(tag)).await;
        ensure_fails(
            "deleting a version without the ability to",
            result,
            "unsupported",
        )?;
        ensure_bytes("after a refused delete", &self.get("old").await?, b"old")?;
        Err(Stop::NotClaimed("compare-and-delete".into()))
    }

    pub(super) async fn ensure_missing(&self, key: &str) -> Verdict {
        match self.stat(key).await {
            Err(error) if *error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => fail(format!("'{key}' is there, and should not be")),
        }
    }
}
