//! Many writers and readers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::super::{Error, ListOptions, Precondition, Result, WriteOptions};
use super::Named;
use super::scene::{
    Scene, Verdict, ensure, ensure_bytes, ensure_eq, ensure_names, fail, tag_of, together,
};

pub(super) const CHECKS: &[Named] = &[
    ("of many that create an object exactly one wins", |s| {
        Box::pin(one_creates(s))
    }),
    ("of many that swap none loses an update", |s| {
        Box::pin(counter(s))
    }),
    ("of many that delete a version exactly one wins", |s| {
        Box::pin(one_deletes(s))
    }),
    (
        "a reader sees one version whole while it is overwritten",
        |s| Box::pin(whole_versions(s)),
    ),
    ("writers of neighbours don't disturb each other", |s| {
        Box::pin(neighbours(s))
    }),
];

/// Enough rounds that a check-then-write shows.
const ROUNDS: usize = 4;

/// Whether a conditional operation won; a conflict is a loss, anything else an error.
fn won<T>(result: Result<T>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn one_creates(scene: Scene) -> Verdict {
    scene.needs_if_absent().await?;
    for round in 0..ROUNDS {
        let key = format!("race/{round}");
        let racers = (0..scene.options.racers).map(|racer| {
            let (scene, key) = (scene.clone(), key.clone());
            async move {
                let mine = format!("racer {racer}").into_bytes();
                let created = scene
                    .write(&key, mine.clone(), WriteOptions::if_absent())
                    .await;
                won(created).map(|won| won.then_some(mine))
            }
        });
        let results: Result<Vec<_>, Error> = together(racers).await?.into_iter().collect();
        let winners: Vec<_> = results?.into_iter().flatten().collect();
        ensure_eq("the number of winners", &winners.len(), &1)?;
        ensure_bytes(
            "what the winner wrote",
            &scene.get(&key).await?,
            &winners[0],
        )?;
    }
    Ok(())
}

async fn one_deletes(scene: Scene) -> Verdict {
    scene.needs_delete_if_match().await?;
    for _ in 0..ROUNDS {
        let tag = tag_of(&scene.put("race/k", "x").await?)?;
        let racers = (0..scene.options.racers).map(|_| {
            let (scene, tag) = (scene.clone(), tag.clone());
            async move { won(scene.delete("race/k", Precondition::IfMatch(tag)).await) }
        });
        let results: Result<Vec<_>, Error> = together(racers).await?.into_iter().collect();
        let winners = results?.into_iter().filter(|won| *won).count();
        ensure_eq("the number of winners", &winners, &1)?;
    }
    scene.ensure_missing("race/k").await
}

async fn counter(scene: Scene) -> Verdict {
    scene.needs_if_match().await?;
    scene.put("counter", "0").await?;
    let racers = (0..scene.options.swappers).map(|_| {
        let scene = scene.clone();
        async move {
            for _ in 0..ROUNDS {
                increment(&scene).await?;
            }
            Verdict::Ok(())
        }
    });
    for result in together(racers).await? {
        result?;
    }
    let wanted = (scene.options.swappers * ROUNDS).to_string();
    ensure_bytes(
        "the counter",
        &scene.get("counter").await?,
        wanted.as_bytes(),
    )
}

async fn increment(scene: &Scene) -> Verdict {
    loop {
        let tag = tag_of(&scene.stat("counter").await?)?;
        let options = super::super::ReadOptions {
            range: None,
            if_match: Some(tag.clone()),
        };
        let old = match scene.read("counter", options).await {
            Err(error) if error.is_conflict() => continue,
            old => old?,
        };
        let number = std::str::from_utf8(&old)
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        let Some(number) = number else {
            return fail("the counter is no number any more");
        };
        let next = (number + 1).to_string().into_bytes();
        if won(scene
            .write("counter", next, WriteOptions::if_match(tag))
            .await)?
        {
            return Ok(());
        }
    }
}

/// A version that tells from its first byte how long it is, and that every byte repeats.
fn version(number: u8) -> Bytes {
    vec![number; 30_000 + usize::from(number) * 5000].into()
}

/// Writers go on for as long as readers read, so that each read meets a write.
async fn whole_versions(scene: Scene) -> Verdict {
    const VERSIONS: u8 = 24;
    scene.put("a/k", version(1)).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let writers = [1, 2].map(|writer: u8| {
        let (scene, stop) = (scene.clone(), Arc::clone(&stop));
        async move {
            for number in (1..=VERSIONS).cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                scene
                    .put("a/k", version(number.wrapping_mul(writer)))
                    .await?;
                tokio::task::yield_now().await;
            }
            Verdict::Ok(())
        }
    });
    let writers = tokio::spawn(together(writers));
    let readers = [(); 4].map(|()| {
        let scene = scene.clone();
        async move {
            for _ in 0..VERSIONS {
                let bytes = scene.get("a/k").await?;
                let first = bytes.first().copied().unwrap_or_default();
                ensure(
                    bytes == version(first),
                    "a read gave a version in part, or parts of two",
                )?;
                tokio::task::yield_now().await;
            }
            Verdict::Ok(())
        }
    });
    let read = together(readers).await;
    stop.store(true, Ordering::Relaxed);
    let written = writers.await??;
    read?.into_iter().chain(written).collect()
}

/// Folders come and go where a store has real ones, while others write into them.
async fn neighbours(scene: Scene) -> Verdict {
    let writers = (0..8).map(|writer| {
        let scene = scene.clone();
        async move {
            let key = format!("a/b/{writer}");
            for _ in 0..ROUNDS * 4 {
                scene.delete(&key, Precondition::None).await?;
                scene.put(&key, key.clone().into_bytes()).await?;
            }
            Verdict::Ok(())
        }
    });
    for result in together(writers).await? {
        result?;
    }
    let wanted: Vec<_> = (0..8).map(|writer| format!("a/b/{writer}")).collect();
    let names = scene.names(ListOptions::default()).await?;
    ensure_names("the names", &names, &wanted)
}
