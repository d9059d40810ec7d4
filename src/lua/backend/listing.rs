//! Listings that a backend doesn't make itself, from those that it makes, and the proof that they
//! are in order.

use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt};

use crate::store::{Entry, Error, ErrorKind, Listing, Result};

/// How deep folders may lie in each other: one that contains itself would have no end.
const DEPTH: usize = 1000;

fn corrupt(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, "list", message)
}

/// Ends a listing at its first error.
pub(super) fn until_error(listing: BoxStream<'static, Result<Entry>>) -> Listing {
    listing
        .scan(false, |failed, entry| {
            let item = (!*failed).then_some(entry);
            *failed = matches!(item, Some(Err(_)));
            std::future::ready(item)
        })
        .boxed()
}

/// A listing whose names must be below a folder (with its slash, or empty), each after the one
/// before. Of a backend that says that it doesn't sort, they are sorted here.
pub(super) fn in_order(listing: Listing, folder: String, sorted: bool) -> Listing {
    let checked = listing.map(move |entry| {
        let entry = entry?;
        if entry.name().starts_with(&folder) && entry.name() != folder {
            return Ok(entry);
        }
        let (name, folder) = (entry.name(), folder.trim_end_matches('/'));
        Err(corrupt(format!(
            "'list' gave '{name}', which is not below '{folder}'"
        )))
    });
    if !sorted {
        return sort(checked.boxed());
    }
    let mut last: Option<String> = None;
    let ordered = checked.map(move |entry| {
        let entry = entry?;
        let name = entry.name();
        if let Some(last) = &last
            && last.as_str() >= name
        {
            return Err(corrupt(format!("'list' gave '{name}' after '{last}'")).hint(
                "it must list each name once, in byte order; with capabilities = { sorted = false } kstate sorts",
            ));
        }
        last = Some(name.to_owned());
        Ok(entry)
    });
    until_error(ordered.boxed())
}

fn sort(listing: Listing) -> Listing {
    stream::once(async move {
        let mut entries = Vec::new();
        let mut listing = listing;
        while let Some(entry) = listing.next().await {
            match entry {
                Ok(entry) => entries.push(entry),
                Err(error) => return vec![Err(error)],
            }
        }
        entries.sort_by(|a, b| a.name().cmp(b.name()));
        let twice = entries
            .windows(2)
            .find(|pair| pair[0].name() == pair[1].name());
        if let Some(name) = twice.map(|pair| pair[0].name()) {
            return vec![Err(corrupt(format!("'list' gave '{name}' twice")))];
        }
        entries.into_iter().map(Ok).collect()
    })
    .flat_map(stream::iter)
    .boxed()
}

/// What comes after a name.
pub(super) fn after(listing: Listing, start: Option<String>) -> Listing {
    let Some(start) = start else {
        return listing;
    };
    listing
        .filter(move |entry| {
            let passes = entry.as_ref().map_or(true, |entry| {
                // A name with a slash at its end is a folder that was told before.
                entry.name() > start.as_str()
                    && !(start.ends_with('/') && entry.name().starts_with(&start))
            });
            std::future::ready(passes)
        })
        .boxed()
}

/// The next level of a listing of all levels.
pub(super) fn fold(listing: Listing, folder: String) -> Listing {
    let mut last: Option<String> = None;
    listing
        .filter_map(move |entry| {
            let next = match &entry {
                Ok(entry) => entry.name()[folder.len()..].split_once('/'),
                Err(_) => None,
            };
            let item = match next {
                None => Some(entry),
                Some((next, _)) => {
                    let name = format!("{folder}{next}/");
                    let is_new = last.as_ref() != Some(&name);
                    last = Some(name.clone());
                    is_new.then_some(Ok(Entry::Prefix(name)))
                }
            };
            std::future::ready(item)
        })
        .boxed()
}

/// How many folders are looked into at once.
const LOOKS: usize = 16;

/// The next level without the folders in which nothing lies, by a look at what is `below` each.
pub(super) fn without_empty(
    level: Listing,
    below: impl Fn(String) -> Listing + Send + 'static,
) -> Listing {
    let looks = level.map(move |entry| {
        let inside = match &entry {
            Ok(Entry::Prefix(name)) => Some(below(name.clone())),
            _ => None,
        };
        async move {
            match inside {
                None => Some(entry),
                Some(mut inside) => match inside.next().await? {
                    Err(error) => Some(Err(error)),
                    Ok(_) => Some(entry),
                },
            }
        }
    });
    let full = looks.buffered(LOOKS).filter_map(std::future::ready);
    until_error(full.boxed())
}

/// All levels, from listings of one level each. What lies before `start` is not looked into.
pub(super) fn walk(
    folder: &str,
    start: Option<String>,
    level: impl Fn(String) -> Listing + Send + 'static,
) -> Listing {
    let open = VecDeque::from([level(folder.to_owned())]);
    let state = Some((open, level, start));
    let walked = stream::unfold(state, |state| async move {
        let (mut open, level, start) = state?;
        loop {
            let entry = match open.back_mut()?.next().await {
                None => {
                    open.pop_back();
                    continue;
                }
                Some(Ok(Entry::Prefix(name))) => {
                    let is_past = start.as_ref().is_some_and(|start| {
                        name.as_str() < start.as_str() && !start.starts_with(&name)
                    });
                    if is_past {
                        continue;
                    }
                    if open.len() >= DEPTH {
                        let error = corrupt(format!("'{name}' lies too deep"));
                        return Some((Err(error), None));
                    }
                    open.push_back(level(name));
                    continue;
                }
                Some(entry) => entry,
            };
            let rest = entry.is_ok().then_some((open, level, start));
            return Some((entry, rest));
        }
    });
    walked.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Key, Meta};

    fn listing(names: &[&str]) -> Listing {
        let entries: Vec<_> = names
            .iter()
            .map(|name| match name.strip_suffix('/') {
                Some(_) => Ok(Entry::Prefix((*name).to_owned())),
                None => Ok(Entry::Object(Meta::new(Key::parse(name).unwrap(), 0))),
            })
            .collect();
        stream::iter(entries).boxed()
    }

    async fn names(listing: Listing) -> Vec<String> {
        let shown = |entry: Result<Entry>| match entry {
            Ok(entry) => entry.name().to_owned(),
            Err(error) => format!("error: {}", error.message()),
        };
        listing.map(shown).collect().await
    }

    #[tokio::test]
    async fn a_listing_out_of_order_ends_with_an_error() {
        let check = |given: &'static [&'static str], folder: &str, sorted| {
            names(in_order(listing(given), folder.to_owned(), sorted))
        };
        assert_eq!(check(&["a", "a!", "a/"], "", true).await, ["a", "a!", "a/"]);
        assert_eq!(
            check(&["b", "a", "c"], "", true).await,
            ["b", "error: 'list' gave 'a' after 'b'"]
        );
        assert_eq!(
            check(&["a", "a"], "", true).await,
            ["a", "error: 'list' gave 'a' after 'a'"]
        );
        assert_eq!(check(&["b", "a"], "", false).await, ["a", "b"]);
        assert_eq!(
            check(&["b", "a", "b"], "", false).await,
            ["error: 'list' gave 'b' twice"]
        );
        assert_eq!(
            check(&["c/a", "c1/a", "c2"], "c/", true).await,
            ["c/a", "error: 'list' gave 'c1/a', which is not below 'c'"]
        );
    }

    #[tokio::test]
    async fn a_folder_with_nothing_at_any_depth_is_left_out() {
        let tree = |folder: String| {
            let names: &[&str] = match folder.as_str() {
                "" => &["a/", "b", "c/", "d/"],
                "a/" => &["a/x/"],
                "c/" => &["c/x/", "c/y/"],
                "c/y/" => &["c/y/z"],
                _ => &[],
            };
            listing(names)
        };
        let below = move |folder: String| walk(&folder, None, tree);
        let full = without_empty(tree(String::new()), below);
        assert_eq!(names(full).await, ["b", "c/"]);
        let fails = |_| stream::iter([Err(corrupt("cut".to_owned()))]).boxed();
        let cut = without_empty(listing(&["a", "b/", "c"]), fails);
        assert_eq!(names(cut).await, ["a", "error: cut"]);
    }

    #[tokio::test]
    async fn one_kind_of_listing_is_made_from_the_other() {
        let all = ["a", "a!/x", "a-b/c", "a/b/c", "a/d", "b"];
        let folded = names(fold(listing(&all), String::new())).await;
        assert_eq!(folded, ["a", "a!/", "a-b/", "a/", "b"]);
        let level = |folder: String| {
            let names: &[&str] = match folder.as_str() {
                "" => &["a", "a!/", "a-b/", "a/", "b"],
                "a!/" => &["a!/x"],
                "a-b/" => &["a-b/c"],
                "a/" => &["a/b/", "a/d"],
                "a/b/" => &["a/b/c"],
                _ => &[],
            };
            listing(names)
        };
        assert_eq!(names(walk("", None, level)).await, all);
        let start = Some("a-b/c".to_owned());
        let rest = after(walk("", start.clone(), level), start);
        assert_eq!(names(rest).await, ["a/b/c", "a/d", "b"]);
        let endless = walk("", None, |folder| listing(&[&format!("{folder}x/")]));
        assert!(names(endless).await[0].contains("too deep"));
    }
}
