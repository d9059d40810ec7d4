//! Names that stores and their protocols are known to trip over.

use super::super::{Entry, Key, ListOptions};
use super::Named;
use super::scene::{
    Scene, Verdict, ensure, ensure_bytes, ensure_eq, ensure_fails, ensure_names, strings, tag_of,
};

pub(super) const CHECKS: &[Named] = &[
    ("odd names are kept to the byte", |s| Box::pin(odd(s))),
    ("the longest name is kept, and a longer one refused", |s| {
        Box::pin(longest(s))
    }),
    ("what a listing tells is what a stat tells", |s| {
        Box::pin(same_metadata(s))
    }),
    ("a folder is the same store under shorter names", |s| {
        Box::pin(folders(s))
    }),
];

const ODD: [&str; 35] = [
    "a b",
    " leading",
    "trailing ",
    "a  b",
    "a+b",
    "a%b",
    "a%2Fb",
    "a%20b",
    "a&b",
    "a&amp;b",
    "a=b",
    "a?b",
    "a#b",
    "a:b",
    "a~b",
    "a*b",
    "a(b)",
    "a'b",
    "a\"b",
    "a<b>",
    "a\\b",
    "a,b;c",
    "a@b!$",
    "[a]{b}|^`",
    "a..b",
    "..a",
    "a.",
    "a...",
    ".hidden",
    "-dash",
    "Ünïcödé",
    "日本語/キー",
    // The same letter, composed and decomposed: two names.
    "caf\u{e9}",
    "cafe\u{301}",
    "🦀",
];

async fn odd(scene: Scene) -> Verdict {
    let mut keys = ODD.map(str::to_owned).to_vec();
    keys.push(format!("long/{}/{}", "s".repeat(200), "ü".repeat(100)));
    keys.push("t.example.com/secrets/system:dns".to_owned());
    let mut wanted = Vec::new();
    for key in keys {
        let parsed = Key::parse(&key).map_err(super::super::Error::from)?;
        if scene.store.refuses(&parsed).is_some() {
            let result = scene.put(&key, "x").await;
            ensure_fails("writing a refused name", result, "invalid_key")?;
            continue;
        }
        scene.put(&key, key.clone().into_bytes()).await?;
        wanted.push(key);
    }
    wanted.sort_unstable();
    let listed = scene.names(ListOptions::default()).await?;
    ensure_names("the names", &listed, &wanted)?;
    for key in &wanted {
        ensure_bytes(key, &scene.get(key).await?, key.as_bytes())?;
        ensure_eq(
            "the key in its metadata",
            &scene.stat(key).await?.key.as_str(),
            &key.as_str(),
        )?;
    }
    for key in &wanted {
        scene.delete(key, super::super::Precondition::None).await?;
        scene.ensure_missing(key).await?;
    }
    Ok(())
}

/// A name of so many bytes, in segments that a file system can hold.
fn name_of(length: usize) -> String {
    let name: String = (1..=length)
        .map(|at| if at % 200 == 0 { '/' } else { 'n' })
        .collect();
    match name.strip_suffix('/') {
        Some(start) => format!("{start}n"),
        None => name,
    }
}

async fn longest(scene: Scene) -> Verdict {
    let taken = scene.store.place().full_key("x").len() - 1;
    let most = scene.can().max_key.unwrap_or(1024 + taken);
    ensure(
        most > taken,
        "the store's own prefix is longer than its longest name",
    )?;
    let key = name_of(most - taken);
    scene.put(&key, "long").await?;
    ensure_bytes("under the longest name", &scene.get(&key).await?, b"long")?;
    let listed = scene.names(ListOptions::default()).await?;
    ensure_names("the longest name", &listed, &[key])?;
    if scene.can().max_key.is_some() {
        let result = scene.put(&name_of(most - taken + 1), "x").await;
        ensure_fails("a longer name than the longest", result, "invalid_key")?;
    }
    Ok(())
}

async fn same_metadata(scene: Scene) -> Verdict {
    for (key, text) in [("a", "one"), ("b/c", "two, longer"), ("b/d", "")] {
        scene.put(key, text).await?;
    }
    let mut objects = 0_usize;
    for entry in scene.list(ListOptions::default()).await? {
        let Entry::Object(listed) = entry else {
            continue;
        };
        objects += 1;
        let told = scene.stat(listed.key.as_str()).await?;
        let tag = tag_of(&told)?;
        ensure_eq("the size", &listed.size, &told.size)?;
        ensure_eq("the tag", listed.tag.as_ref().unwrap_or(&tag), &tag)?;
        if let (Some(listed), Some(told)) = (&listed.checksum, &told.checksum) {
            ensure_eq("the checksum", listed, told)?;
        }
    }
    ensure_eq("the number of objects", &objects, &3)
}

async fn folders(scene: Scene) -> Verdict {
    scene.put("a/b/one", "one").await?;
    scene.put("a/bc", "no part of it").await?;
    let inner = Scene {
        store: scene.store.at("a").at("b"),
        ..scene.clone()
    };
    ensure_bytes("from inside", &inner.get("one").await?, b"one")?;
    inner.put("deep/two", "two").await?;
    ensure_bytes("from outside", &scene.get("a/b/deep/two").await?, b"two")?;
    let names = inner.names(ListOptions::default()).await?;
    ensure_names("the names inside", &names, &strings(["deep/two", "one"]))?;
    let names = inner.names(ListOptions::recursive("deep")).await?;
    ensure_names(
        "the names below a folder inside",
        &names,
        &strings(["deep/two"]),
    )?;
    ensure_eq(
        "the same tag",
        &tag_of(&inner.stat("one").await?)?,
        &tag_of(&scene.stat("a/b/one").await?)?,
    )?;
    let missing = ensure_fails(
        "a missing key inside",
        inner.get("a/b/one").await,
        "not_found",
    )?;
    ensure_eq("the key in the error", &missing.key(), &Some("a/b/one"))?;
    ensure(
        scene.store.place().contains(&inner.store.place())
            && inner.store.place() == scene.store.at("a/b").place(),
        "the folder's place is not the one in the store",
    )?;
    ensure_eq(
        "the folder's URL",
        &inner.store.url(),
        &format!("{}/a/b", scene.store.url().trim_end_matches('/')).as_str(),
    )?;
    ensure_eq(
        "the folder of nothing",
        &scene.store.at("").url(),
        &scene.store.url(),
    )?;
    let gone = Scene {
        store: scene.store.at("no/such"),
        ..scene
    };
    let names = gone.names(ListOptions::default()).await?;
    ensure_names("the names in a folder of nothing", &names, &[])
}
