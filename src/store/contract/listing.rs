//! Listings: complete, in order, and nothing that lies elsewhere.

use super::super::{Key, ListOptions};
use super::Named;
use super::scene::{Scene, Verdict, ensure_names, strings};

pub(super) const CHECKS: &[Named] = &[
    ("a listing is in byte order", |s| Box::pin(order(s))),
    ("a one-level listing folds what lies deeper", |s| {
        Box::pin(one_level(s))
    }),
    ("a folder holds nothing of a name that starts alike", |s| {
        Box::pin(whole_segments(s))
    }),
    ("a missing folder holds nothing", |s| Box::pin(nothing(s))),
    ("a listing starts after any name", |s| {
        Box::pin(start_after(s))
    }),
    ("a long listing is complete", |s| Box::pin(many(s))),
    ("a long listing of folders is complete", |s| {
        Box::pin(many_folders(s))
    }),
];

/// Names whose order differs between bytes, words and folders.
fn tricky(scene: &Scene) -> Vec<String> {
    let mut keys = strings([
        "A",
        "Z/a",
        "a!",
        "a!/x",
        "a",
        "a-b/c",
        "a-b/d/e",
        "a.b",
        "a/b",
        "a/b!",
        "a/b0",
        "a/c/d",
        "a/c/e/f",
        "a/c0",
        "a0",
        "a0/1",
        "aa",
        "b",
        "ü/x",
        "z/\u{10ffff}",
        "z/\u{ffff}",
        "é",
    ]);
    if scene.can().hierarchical {
        let folders: Vec<_> = keys.iter().map(|key| format!("{key}/")).collect();
        let all = keys.clone();
        let mut is_folder = folders
            .iter()
            .map(|folder| all.iter().any(|key| key.starts_with(folder)));
        keys.retain(|_| !is_folder.next().unwrap_or(false));
    }
    // Names that the store can't have are the business of another check.
    keys.retain(|key| Key::parse(key).is_ok_and(|key| scene.store.refuses(&key).is_none()));
    keys.sort_unstable();
    keys
}

/// What a listing of these sorted keys is, by the words of the contract.
fn expected(keys: &[String], options: &ListOptions) -> Vec<String> {
    let folder = match options.below.as_str() {
        "" => String::new(),
        below => format!("{below}/"),
    };
    let mut names = Vec::new();
    for key in keys {
        let Some(rest) = key.strip_prefix(&folder) else {
            continue;
        };
        if options
            .start_after
            .as_ref()
            .is_some_and(|start| key <= start)
        {
            continue;
        }
        let name = match rest.split_once('/') {
            Some((next, _)) if options.one_level => format!("{folder}{next}/"),
            _ => key.clone(),
        };
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    names
}

async fn ensure_listing(scene: &Scene, keys: &[String], options: ListOptions) -> Verdict {
    let wanted = expected(keys, &options);
    let after = options.start_after.as_deref();
    let what = format!(
        "{} below '{}'{}",
        if options.one_level {
            "one level"
        } else {
            "all"
        },
        options.below,
        after.map_or_else(String::new, |start| format!(" after '{start}'"))
    );
    ensure_names(&what, &scene.names(options).await?, &wanted)
}

async fn order(scene: Scene) -> Verdict {
    let keys = tricky(&scene);
    scene.fill(&keys).await?;
    for below in ["", "a", "a/c", "a/c/e", "a-b", "Z", "z"] {
        ensure_listing(&scene, &keys, ListOptions::recursive(below)).await?;
    }
    Ok(())
}

async fn one_level(scene: Scene) -> Verdict {
    let keys = tricky(&scene);
    scene.fill(&keys).await?;
    for below in ["", "a", "a/c", "a/c/e", "a-b", "Z", "z"] {
        let options = ListOptions {
            one_level: true,
            ..ListOptions::recursive(below)
        };
        ensure_listing(&scene, &keys, options).await?;
    }
    Ok(())
}

async fn whole_segments(scene: Scene) -> Verdict {
    let keys = strings(["c1-x/config", "c1/config", "c1/pki/a", "c10/config", "c1x"]);
    scene.fill(&keys).await?;
    for one_level in [false, true] {
        for below in ["c1", "c10", "c1/pki", "c"] {
            let options = ListOptions {
                one_level,
                ..ListOptions::recursive(below)
            };
            ensure_listing(&scene, &keys, options).await?;
        }
    }
    Ok(())
}

async fn nothing(scene: Scene) -> Verdict {
    scene.put("here/x", "x").await?;
    for below in ["there", "here/x", "here/x/y", "her", "here/y"] {
        for one_level in [false, true] {
            let options = ListOptions {
                one_level,
                ..ListOptions::recursive(below)
            };
            let names = scene.names(options).await?;
            ensure_names(&format!("the names below '{below}'"), &names, &[])?;
        }
    }
    Ok(())
}

async fn start_after(scene: Scene) -> Verdict {
    let keys = tricky(&scene);
    scene.fill(&keys).await?;
    let between = strings([
        "0",
        "a/",
        "a/b/zzz",
        "a/bb",
        "a-",
        "a/c/e",
        "zzz",
        "\u{10ffff}",
    ]);
    for start in keys
        .iter()
        .chain(&between)
        .filter(|name| !name.ends_with('/'))
    {
        for below in ["", "a", "a/c"] {
            let options = ListOptions {
                start_after: Some(start.clone()),
                ..ListOptions::recursive(below)
            };
            ensure_listing(&scene, &keys, options).await?;
        }
        // Whether a folder that starts before the name is told again, services disagree.
        if !start.contains('/') {
            let options = ListOptions {
                one_level: true,
                start_after: Some(start.clone()),
                ..ListOptions::default()
            };
            ensure_listing(&scene, &keys, options).await?;
        }
    }
    Ok(())
}

async fn many(scene: Scene) -> Verdict {
    let mut keys: Vec<_> = (0..scene.options.many)
        .map(|number| format!("many/{}/{number:05}", number % 3))
        .collect();
    keys.sort_unstable();
    scene.fill(&keys).await?;
    ensure_listing(&scene, &keys, ListOptions::default()).await?;
    ensure_listing(&scene, &keys, ListOptions::recursive("many/1")).await?;
    let middle = ListOptions {
        start_after: keys.get(keys.len() / 2).cloned(),
        ..ListOptions::default()
    };
    ensure_listing(&scene, &keys, middle).await
}

async fn many_folders(scene: Scene) -> Verdict {
    let keys: Vec<_> = (0..scene.options.many)
        .map(|number| format!("clusters/c{number:05}/config"))
        .collect();
    scene.fill(&keys).await?;
    let options = ListOptions {
        one_level: true,
        ..ListOptions::recursive("clusters")
    };
    ensure_listing(&scene, &keys, options).await?;
    let options = ListOptions {
        one_level: true,
        ..ListOptions::default()
    };
    ensure_listing(&scene, &keys, options).await
}
