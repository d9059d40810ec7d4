//! Copies within the store, metadata, and deleting many.

use std::collections::BTreeMap;

use super::super::{Entry, Key, ListOptions, Meta, Result, WriteOptions};
use super::Named;
use super::scene::{
    Scene, Stop, Verdict, ensure, ensure_bytes, ensure_eq, ensure_fails, ensure_names, noise,
    strings, tag_of,
};

pub(super) const CHECKS: &[Named] = &[
    ("a copy within the store has the same bytes", |s| {
        Box::pin(copy(s))
    }),
    ("a copy is of the version that was asked for", |s| {
        Box::pin(copy_stale(s))
    }),
    ("a copy keeps its preconditions", |s| {
        Box::pin(copy_conditions(s))
    }),
    ("content type and user metadata are kept", |s| {
        Box::pin(metadata(s))
    }),
    ("many objects are deleted at once", |s| {
        Box::pin(delete_many(s))
    }),
];

async fn copy_within(
    scene: &Scene,
    from: &Meta,
    to: &str,
    options: &WriteOptions,
) -> Result<Option<Meta>> {
    let to = Key::parse(to)?;
    scene
        .store
        .copy_from(&scene.store, from, &to, options)
        .await
}

fn needs_copies(scene: &Scene) -> Verdict {
    if scene.can().server_copy {
        return Ok(());
    }
    Err(Stop::NotClaimed("copies without streaming".into()))
}

async fn copy(scene: Scene) -> Verdict {
    let bytes = noise(5, 100_000);
    let from = scene.put("from/k", bytes.clone()).await?;
    let copied = copy_within(&scene, &from, "to/k", &WriteOptions::default()).await?;
    let Some(copied) = copied else {
        scene.ensure_missing("to/k").await?;
        needs_copies(&scene)?;
        return Err(Stop::Failed(
            "claims copies and declines the simplest".into(),
        ));
    };
    ensure_bytes("the copy", &scene.get("to/k").await?, &bytes)?;
    ensure_bytes("the original", &scene.get("from/k").await?, &bytes)?;
    ensure_eq("the copy's key", &copied.key.as_str(), &"to/k")?;
    ensure_eq("the copy's size", &copied.size, &100_000)?;
    let told = tag_of(&scene.stat("to/k").await?)?;
    ensure_eq("the copy's tag", &tag_of(&copied)?, &told)
}

async fn copy_stale(scene: Scene) -> Verdict {
    needs_copies(&scene)?;
    let stale = scene.put("from", "old").await?;
    scene.put("from", "new").await?;
    let result = copy_within(&scene, &stale, "to", &WriteOptions::default()).await;
    ensure_fails(
        "copying a version that is gone",
        result,
        "precondition_failed",
    )?;
    scene.ensure_missing("to").await
}

async fn copy_conditions(scene: Scene) -> Verdict {
    needs_copies(&scene)?;
    let from = scene.put("from", "new").await?;
    let there = tag_of(&scene.put("to", "old").await?)?;
    if !scene.can().copy_conditions {
        // Declining is fine: then the caller streams under the same condition.
        let result = copy_within(&scene, &from, "to", &WriteOptions::if_absent()).await;
        ensure(
            !matches!(result, Ok(Some(_))),
            "a copy ignored its precondition",
        )?;
        ensure_bytes("what existed", &scene.get("to").await?, b"old")?;
        return Err(Stop::NotClaimed("preconditions on copies".into()));
    }
    if scene.can().if_absent {
        let result = copy_within(&scene, &from, "to", &WriteOptions::if_absent()).await;
        ensure_fails("copying over what exists", result, "already_exists")?;
        ensure_bytes("what existed", &scene.get("to").await?, b"old")?;
    }
    if scene.can().if_match {
        scene.put("to", "now").await?;
        let options = WriteOptions::if_match(there);
        let result = copy_within(&scene, &from, "to", &options).await;
        ensure_fails(
            "copying over another version",
            result,
            "precondition_failed",
        )?;
        ensure_bytes("the current version", &scene.get("to").await?, b"now")?;
    }
    Ok(())
}

async fn metadata(scene: Scene) -> Verdict {
    let user = BTreeMap::from([
        ("plain".to_owned(), "value".to_owned()),
        ("two-words".to_owned(), "a b".to_owned()),
    ]);
    let options = WriteOptions {
        content_type: Some("text/plain".into()),
        user: user.clone(),
        ..WriteOptions::default()
    };
    scene.write("k", "x", options).await?;
    if !scene.can().metadata {
        ensure_bytes("the bytes", &scene.get("k").await?, b"x")?;
        return Err(Stop::NotClaimed("content type and user metadata".into()));
    }
    let told = scene.stat("k").await?;
    ensure_eq(
        "the content type",
        &told.content_type.as_deref(),
        &Some("text/plain"),
    )?;
    ensure_eq("the user metadata", &told.user, &user)?;
    scene.put("k", "y").await?;
    let told = scene.stat("k").await?;
    ensure(
        told.user.is_empty(),
        "an overwrite kept the old user metadata",
    )
}

async fn delete_many(scene: Scene) -> Verdict {
    // More than S3 deletes in one call, in the case of a large suite.
    let doomed: Vec<_> = (0..scene.options.many / 2)
        .map(|number| format!("x/{number:05}"))
        .collect();
    scene.fill(&doomed).await?;
    scene.put("stays", "x").await?;
    let mut keys = vec![Key::parse("never/was").map_err(super::super::Error::from)?];
    for entry in scene.list(ListOptions::recursive("x")).await? {
        if let Entry::Object(meta) = entry {
            keys.push(meta.key);
        }
    }
    ensure_eq("the number of objects", &keys.len(), &(doomed.len() + 1))?;
    if let Some(error) = scene.store.delete_many(keys).await.into_iter().next() {
        return Err(error.into());
    }
    let names = scene.names(ListOptions::default()).await?;
    ensure_names("what is left", &names, &strings(["stays"]))
}
