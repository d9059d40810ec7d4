//! Preconditions, one at a time.

use super::super::{ErrorKind, Precondition, Tag, WriteOptions};
use super::Named;
use super::scene::{Scene, Shown, Verdict, ensure_bytes, ensure_fails, fail, tag_of};

pub(super) const CHECKS: &[Named] = &[
    ("if-absent creates a new object", |s| Box::pin(create(s))),
    ("if-absent leaves an existing object alone", |s| {
        Box::pin(create_existing(s))
    }),
    ("if-match replaces the version it names", |s| {
        Box::pin(swap(s))
    }),
    ("if-match leaves every other version alone", |s| {
        Box::pin(swap_stale(s))
    }),
    ("if-match creates nothing", |s| Box::pin(swap_missing(s))),
    ("delete-if-match deletes the version it names", |s| {
        Box::pin(delete_match(s))
    }),
    ("delete-if-match leaves every other version alone", |s| {
        Box::pin(delete_stale(s))
    }),
];

async fn create(scene: Scene) -> Verdict {
    scene.needs_if_absent().await?;
    scene
        .write("a/new", "first", WriteOptions::if_absent())
        .await?;
    ensure_bytes("what was created", &scene.get("a/new").await?, b"first")?;
    scene.delete("a/new", Precondition::None).await?;
    scene
        .write("a/new", "again", WriteOptions::if_absent())
        .await?;
    ensure_bytes("after a delete", &scene.get("a/new").await?, b"again")
}

async fn create_existing(scene: Scene) -> Verdict {
    scene.needs_if_absent().await?;
    scene.put("k", "old").await?;
    let again = scene.write("k", "new", WriteOptions::if_absent()).await;
    ensure_fails("creating what exists", again, "already_exists")?;
    ensure_bytes("what existed", &scene.get("k").await?, b"old")
}

async fn swap(scene: Scene) -> Verdict {
    scene.needs_if_match().await?;
    let first = tag_of(&scene.put("k", "one").await?)?;
    let second = scene
        .write("k", "two", WriteOptions::if_match(first))
        .await?;
    let told = tag_of(&scene.stat("k").await?)?;
    scene
        .write("k", "six", WriteOptions::if_match(told))
        .await?;
    ensure_bytes("after two swaps", &scene.get("k").await?, b"six")?;
    let late = WriteOptions::if_match(tag_of(&second)?);
    let late = scene.write("k", "ten", late).await;
    ensure_fails("swapping the last but one", late, "precondition_failed").map(drop)
}

async fn swap_stale(scene: Scene) -> Verdict {
    scene.needs_if_match().await?;
    let stale = tag_of(&scene.put("k", "old").await?)?;
    let current = tag_of(&scene.put("k", "now").await?)?;
    let result = scene.write("k", "bad", WriteOptions::if_match(stale)).await;
    let error = ensure_fails("swapping a stale version", result, "precondition_failed")?;
    ensure_found(error.kind(), Some(&current))?;
    ensure_bytes("the current version", &scene.get("k").await?, b"now")
}

async fn swap_missing(scene: Scene) -> Verdict {
    scene.needs_if_match().await?;
    let gone = tag_of(&scene.put("a/k", "old").await?)?;
    scene.delete("a/k", Precondition::None).await?;
    let result = scene
        .write("a/k", "bad", WriteOptions::if_match(gone))
        .await;
    let error = ensure_fails("swapping what is gone", result, "precondition_failed")?;
    ensure_found(error.kind(), None)?;
    scene.ensure_missing("a/k").await
}

async fn delete_match(scene: Scene) -> Verdict {
    scene.needs_delete_if_match().await?;
    let tag = tag_of(&scene.put("a/k", "x").await?)?;
    scene
        .delete("a/k", Precondition::IfMatch(tag.clone()))
        .await?;
    scene.ensure_missing("a/k").await?;
    let again = scene.delete("a/k", Precondition::IfMatch(tag)).await;
    let error = ensure_fails(
        "deleting a version of nothing",
        again,
        "precondition_failed",
    )?;
    ensure_found(error.kind(), None)
}

async fn delete_stale(scene: Scene) -> Verdict {
    scene.needs_delete_if_match().await?;
    let stale = tag_of(&scene.put("k", "old").await?)?;
    let current = tag_of(&scene.put("k", "now").await?)?;
    let result = scene.delete("k", Precondition::IfMatch(stale)).await;
    let error = ensure_fails("deleting a stale version", result, "precondition_failed")?;
    ensure_found(error.kind(), Some(&current))?;
    ensure_bytes("the current version", &scene.get("k").await?, b"now")
}

/// A service may not say which version it found; a wrong one is worse than none.
fn ensure_found(kind: &ErrorKind, there: Option<&Tag>) -> Verdict {
    match kind {
        ErrorKind::PreconditionFailed { found: Some(found) } if Some(found) != there => {
            let (found, there) = (found.shown(), there.cloned().shown());
            fail(format!(
                "the error names the version {found}, and {there} is there"
            ))
        }
        _ => Ok(()),
    }
}
