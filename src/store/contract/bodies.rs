//! Bodies that stream, that are large, and that don't keep what they promised.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::super::{
    Algorithm, Body, Checksum, Error, ErrorKind, Hasher, Key, ListOptions, ReadOptions, Result,
    WriteOptions,
};
use super::Named;
use super::scene::{
    Scene, Verdict, ensure_bytes, ensure_eq, ensure_fails, ensure_names, fail, noise,
};

pub(super) const CHECKS: &[Named] = &[
    ("a stream of unknown length is written whole", |s| {
        Box::pin(unknown_size(s))
    }),
    ("a large object comes back as it was written", |s| {
        Box::pin(large(s))
    }),
    ("a write can be checked by any checksum", |s| {
        Box::pin(right_checksum(s))
    }),
    ("a wrong checksum writes nothing", |s| {
        Box::pin(wrong_checksum(s))
    }),
    ("a body that breaks off writes nothing", |s| {
        Box::pin(broken_body(s))
    }),
    (
        "a body of another length than announced writes nothing",
        |s| Box::pin(wrong_length(s)),
    ),
];

const CHUNK: u64 = 1 << 20;

/// The bytes of a large object in chunks, the same for the same seed.
fn chunks(seed: u64, size: u64) -> impl Iterator<Item = Bytes> + Send {
    (0..size.div_ceil(CHUNK)).map(move |index| {
        let length = CHUNK.min(size - index * CHUNK);
        noise(seed + index, usize::try_from(length).unwrap_or(0))
    })
}

fn checksum(chunks: impl Iterator<Item = Bytes>) -> Checksum {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    chunks.for_each(|chunk| hasher.update(&chunk));
    hasher.finish()
}

async fn unknown_size(scene: Scene) -> Verdict {
    let parts =
        ["", "one ", "", "two ", "three"].map(|part| Ok(Bytes::from_static(part.as_bytes())));
    let meta = scene
        .put("k", Body::stream(None, stream::iter(parts)))
        .await?;
    ensure_eq("the size", &meta.size, &13)?;
    ensure_bytes("the bytes", &scene.get("k").await?, b"one two three")?;
    scene
        .put("none", Body::stream(None, stream::empty()))
        .await?;
    ensure_bytes("of an empty stream", &scene.get("none").await?, b"")
}

async fn large(scene: Scene) -> Verdict {
    let size = scene.options.large_size;
    let wanted = checksum(chunks(7, size));
    for (name, announced) in [("known", Some(size)), ("unknown", None)] {
        let body = Body::stream(announced, stream::iter(chunks(7, size).map(Ok)));
        let options = WriteOptions {
            checksum: Some(wanted.clone()),
            ..WriteOptions::default()
        };
        let meta = scene.write(name, body, options).await?;
        ensure_eq("the size", &meta.size, &size)?;
        let key = Key::parse(name).map_err(Error::from)?;
        let object = scene.store.read(&key, ReadOptions::default()).await?;
        let mut stream = object.body.into_stream();
        let mut hasher = Hasher::new(Algorithm::Sha256);
        while let Some(chunk) = stream.try_next().await? {
            hasher.update(&chunk);
        }
        ensure_eq("the checksum read back", &hasher.finish(), &wanted)?;
    }
    let middle = ReadOptions {
        range: Some(size / 2..size / 2 + 10),
        if_match: None,
    };
    let whole: Vec<u8> = chunks(7, size)
        .flatten()
        .skip(usize::try_from(size / 2).unwrap_or(0))
        .take(10)
        .collect();
    ensure_bytes(
        "ten bytes of its middle",
        &scene.read("unknown", middle).await?,
        &whole,
    )
}

async fn right_checksum(scene: Scene) -> Verdict {
    for algorithm in Algorithm::ALL {
        let options = WriteOptions {
            checksum: Some(Checksum::of(algorithm, b"content")),
            ..WriteOptions::default()
        };
        let name = algorithm.name();
        scene.write(name, "content", options).await?;
        ensure_bytes(name, &scene.get(name).await?, b"content")?;
    }
    Ok(())
}

async fn wrong_checksum(scene: Scene) -> Verdict {
    let text = Bytes::from_static(b"content");
    for algorithm in Algorithm::ALL {
        let options = WriteOptions {
            checksum: Some(Checksum::of(algorithm, b"another content")),
            ..WriteOptions::default()
        };
        let what = format!("content with a wrong {}", algorithm.name());
        let whole = || Body::from(text.clone());
        refused(&scene, &what, whole, &options, Some("corrupt")).await?;
        let streamed = || Body::stream(None, stream::iter([Ok(text.clone())]));
        refused(&scene, &what, streamed, &options, Some("corrupt")).await?;
    }
    Ok(())
}

async fn broken_body(scene: Scene) -> Verdict {
    // Half the large size: by then a store that uploads in parts has sent some.
    let half = scene.options.large_size / 2;
    let cases = [
        (0, None),
        (10, None),
        (10, Some(20)),
        (half, None),
        (half, Some(half * 2)),
    ];
    for (before, announced) in cases {
        let body = || {
            let cut: Result<Bytes> = Err(Error::new(ErrorKind::Other, "read", "the line is cut"));
            let arrives = stream::iter(chunks(3, before).map(Ok));
            Body::stream(announced, arrives.chain(stream::iter([cut])))
        };
        let of = announced.map_or_else(String::new, |bytes| format!(" of {bytes}"));
        let what = format!("a body that breaks off after {before}{of} bytes");
        refused(&scene, &what, body, &WriteOptions::default(), None).await?;
    }
    Ok(())
}

async fn wrong_length(scene: Scene) -> Verdict {
    let large = scene.options.large_size.min(CHUNK * 2);
    for (announced, real) in [(20, 10), (1, 0), (10, 11), (large, large / 2)] {
        let body = || Body::stream(Some(announced), stream::iter(chunks(3, real).map(Ok)));
        let what = format!("{real} bytes announced as {announced}");
        refused(
            &scene,
            &what,
            body,
            &WriteOptions::default(),
            Some("corrupt"),
        )
        .await?;
    }
    Ok(())
}

/// Writes what must not be written, once over an object and once where there is none.
async fn refused(
    scene: &Scene,
    what: &str,
    body: impl Fn() -> Body + Send + Sync,
    options: &WriteOptions,
    kind: Option<&str>,
) -> Verdict {
    scene.put("old", "old").await?;
    for key in ["old", "folder/new"] {
        let result = scene.write(key, body(), options.clone()).await;
        match (result, kind) {
            (Ok(_), _) => fail(format!("{what} was written")),
            (result, Some(kind)) => ensure_fails(what, result, kind).map(drop),
            (Err(_), None) => Ok(()),
        }?;
    }
    ensure_bytes(
        &format!("the object after {what}"),
        &scene.get("old").await?,
        b"old",
    )?;
    let names = scene.names(ListOptions::default()).await?;
    ensure_names(
        &format!("what is there after {what}"),
        &names,
        &["old".to_owned()],
    )
}
