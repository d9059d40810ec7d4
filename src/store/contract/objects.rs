//! Single objects: writing, reading, overwriting, deleting.

use std::ops::Range;

use super::super::{Error, Key, Precondition, ReadOptions, Tag};
use super::Named;
use super::scene::{Scene, Verdict, ensure, ensure_bytes, ensure_eq, ensure_fails, noise, tag_of};

pub(super) const CHECKS: &[Named] = &[
    ("a read gives what was written", |s| Box::pin(round_trip(s))),
    ("an object may be empty", |s| Box::pin(empty(s))),
    ("an overwrite replaces all bytes", |s| {
        Box::pin(overwrite(s))
    }),
    ("a tag stays while the bytes stay", |s| {
        Box::pin(stable_tag(s))
    }),
    ("a tag changes with the bytes, also at the same size", |s| {
        Box::pin(changing_tag(s))
    }),
    ("a read gives just the range asked for", |s| {
        Box::pin(ranges(s))
    }),
    ("a read gives just the version asked for", |s| {
        Box::pin(read_if_match(s))
    }),
    ("a missing key is told by its name", |s| {
        Box::pin(missing(s))
    }),
    ("a deleted object is gone, and can be deleted again", |s| {
        Box::pin(delete(s))
    }),
];

async fn round_trip(scene: Scene) -> Verdict {
    let wanted = noise(1, 10_000);
    let written = scene.put("a/b/c", wanted.clone()).await?;
    let told = scene.stat("a/b/c").await?;
    for meta in [&written, &told] {
        ensure_eq("the key", &meta.key.as_str(), &"a/b/c")?;
        ensure_eq("the size", &meta.size, &10_000)?;
    }
    ensure_eq("the tag after a write", &tag_of(&told)?, &tag_of(&written)?)?;
    ensure_bytes("the bytes", &scene.get("a/b/c").await?, &wanted)?;
    let object = scene.store.read(&told.key, ReadOptions::default()).await?;
    ensure_eq("the size in a read", &object.meta.size, &10_000)?;
    ensure_eq("the tag in a read", &tag_of(&object.meta)?, &tag_of(&told)?)
}

async fn empty(scene: Scene) -> Verdict {
    scene.put("empty", "").await?;
    ensure_eq("the size", &scene.stat("empty").await?.size, &0)?;
    ensure_bytes("the bytes", &scene.get("empty").await?, b"")
}

async fn overwrite(scene: Scene) -> Verdict {
    scene.put("k", noise(1, 5000)).await?;
    scene.put("k", "short").await?;
    ensure_eq("the size", &scene.stat("k").await?.size, &5)?;
    ensure_bytes("the bytes", &scene.get("k").await?, b"short")
}

async fn stable_tag(scene: Scene) -> Verdict {
    let written = tag_of(&scene.put("k", "one").await?)?;
    scene.put("other", "two").await?;
    scene.get("k").await?;
    ensure_eq("the tag", &tag_of(&scene.stat("k").await?)?, &written)
}

async fn changing_tag(scene: Scene) -> Verdict {
    let mut last: Option<Tag> = None;
    for text in ["one", "two", "six", "ten"] {
        let written = tag_of(&scene.put("k", text).await?)?;
        let told = tag_of(&scene.stat("k").await?)?;
        ensure_eq("the tag after a write", &told, &written)?;
        ensure(
            last.as_ref() != Some(&told),
            "the tag didn't change with the bytes",
        )?;
        last = Some(told);
    }
    Ok(())
}

async fn ranges(scene: Scene) -> Verdict {
    let whole = noise(2, 1000);
    let tag = tag_of(&scene.put("k", whole.clone()).await?)?;
    let cases: [(Range<u64>, &[u8]); 7] = [
        (0..1000, &whole),
        (0..1, &whole[..1]),
        (10..20, &whole[10..20]),
        (999..1000, &whole[999..]),
        (990..2000, &whole[990..]),
        (1000..1001, b""),
        (5..5, b""),
    ];
    for (range, wanted) in cases {
        let options = ReadOptions {
            range: Some(range.clone()),
            if_match: Some(tag.clone()),
        };
        let key = Key::parse("k").map_err(Error::from)?;
        let object = scene.store.read(&key, options).await?;
        ensure_eq(
            "the whole object's size in a ranged read",
            &object.meta.size,
            &1000,
        )?;
        let found = object.body.collect(u64::MAX).await?;
        ensure_bytes(&format!("bytes {range:?} of 1000"), &found, wanted)?;
    }
    scene.put("empty", "").await?;
    let options = ReadOptions {
        range: Some(0..10),
        if_match: None,
    };
    let found = scene.read("empty", options).await?;
    ensure_bytes("a range of an empty object", &found, b"")
}

async fn read_if_match(scene: Scene) -> Verdict {
    let only = |tag: Tag| ReadOptions {
        range: None,
        if_match: Some(tag),
    };
    let old = tag_of(&scene.put("k", "old").await?)?;
    let found = scene.read("k", only(old.clone())).await?;
    ensure_bytes("the current version", &found, b"old")?;
    let new = tag_of(&scene.put("k", "new").await?)?;
    let stale = scene.read("k", only(old)).await;
    ensure_fails(
        "reading a version that is gone",
        stale,
        "precondition_failed",
    )?;
    let found = scene.read("k", only(new)).await?;
    ensure_bytes("the new version", &found, b"new")
}

async fn missing(scene: Scene) -> Verdict {
    scene.put("here/x", "x").await?;
    for key in ["nothing", "here/y", "here/x/y", "no/such/folder", "here"] {
        let told = ensure_fails("stat of a missing key", scene.stat(key).await, "not_found")?;
        ensure_eq("the key in the error", &told.key(), &Some(key))?;
        let told = ensure_fails("read of a missing key", scene.get(key).await, "not_found")?;
        ensure_eq("the key in the error", &told.key(), &Some(key))?;
    }
    Ok(())
}

async fn delete(scene: Scene) -> Verdict {
    scene.put("a/b", "x").await?;
    scene.put("a/c", "y").await?;
    for _ in 0..2 {
        scene.delete("a/b", Precondition::None).await?;
        scene.ensure_missing("a/b").await?;
    }
    scene.delete("never/was", Precondition::None).await?;
    scene.delete("a/c/never", Precondition::None).await?;
    scene.delete("a", Precondition::None).await?;
    ensure_bytes("its neighbour", &scene.get("a/c").await?, b"y")
}
