//! The shipped scripts, run as a user runs them.

pub(crate) mod configure;
mod doctor;
mod git;
mod kill;
mod move_bucket;
pub(crate) mod policy;
mod refusals;
mod retire_bucket;
mod ring;
mod two_trees;
mod upkeep;

use std::ffi::OsStr;
use std::process::Command;

use crate::s3_double::S3Double;
use crate::support::{Desk, Ended, Tree, changed_lines, clusters};

/// The script as the README names it.
pub(crate) const MOVE: &str = "scripts/move_bucket.lua";
pub(crate) const RETIRE: &str = "scripts/retire_bucket.lua";

/// Moves all clusters, with `more` flags.
pub(crate) fn move_all(desk: &Desk, from: &str, to: &str, more: &[&str]) -> Ended {
    Ended::of(moving(desk, from, to, more))
}

/// [`move_all`], with a double as the S3 there is.
pub(crate) fn move_on(
    desk: &Desk,
    double: &S3Double,
    from: &str,
    to: &str,
    more: &[&str],
) -> Ended {
    let mut run = moving(desk, from, to, more);
    run.envs(double.env());
    Ended::of(run)
}

fn moving(desk: &Desk, from: &str, to: &str, more: &[&str]) -> Command {
    let mut args = vec![
        "run",
        MOVE,
        "--from",
        from,
        "--to",
        to,
        "--all-clusters",
        "--yes",
    ];
    args.extend(more);
    desk.kstate(&args)
}

/// Checks that `copy` is `original` moved to `place`: the same bytes but for each `config`, and
/// there only the line that names the place.
#[track_caller]
pub(crate) fn assert_moved(original: &Tree, copy: &Tree, place: &str) {
    let names = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(original), names(copy));
    for (key, bytes) in original {
        let Some(cluster) = key
            .strip_suffix("/config")
            .filter(|name| !name.contains('/'))
        else {
            assert!(copy[key] == *bytes, "{key} differs");
            continue;
        };
        let changed = changed_lines(bytes, &copy[key]);
        let (gone, new): (Vec<_>, Vec<_>) = changed.iter().partition(|line| line.starts_with('-'));
        assert!(
            gone.len() <= 1 && gone.iter().all(|line| line.contains("configBase:")),
            "{changed:?}"
        );
        // An empty value keeps the quotes that it had.
        let new: Vec<String> = new.iter().map(|line| line.replace('"', "")).collect();
        assert_eq!(
            new,
            [format!("+  configBase: {place}/{cluster}")],
            "{cluster}"
        );
    }
    assert!(!clusters(copy).is_empty());
}

/// Moves the clusters of a tree to each of the places and back: they come back as they were.
#[track_caller]
pub(crate) fn assert_comes_back(
    desk: &Desk,
    tree: &Tree,
    places: &[&str],
    env: &[(impl AsRef<OsStr>, impl AsRef<OsStr>)],
) {
    desk.write_tree("old", tree);
    let (mut from, back) = (desk.arg("old"), desk.arg("back"));
    for to in places.iter().chain([&&*back]) {
        let mut moving = moving(desk, &from, to, &[]);
        moving.envs(env.iter().map(|(name, value)| (name, value)));
        Ended::of(moving).with(0);
        (*to).clone_into(&mut from);
    }
    assert_moved(tree, &desk.tree("back"), &back);
}

/// A double with an old bucket that holds a tree and a new one that holds nothing.
pub(crate) fn double_with(tree: &Tree) -> S3Double {
    let double = S3Double::builder()
        .bucket("old-state-store")
        .bucket("new-state-store")
        .start();
    fill(&double, tree);
    double
}

pub(crate) fn fill(double: &S3Double, tree: &Tree) {
    for (key, bytes) in tree {
        double.put("old-state-store", key, bytes.clone());
    }
}

/// What a bucket holds.
pub(crate) fn bucket(double: &S3Double, name: &str) -> Tree {
    let keys = double.keys(name).into_iter();
    keys.map(|key| {
        let bytes = double.get(name, &key).expect("an object").to_vec();
        (key, bytes)
    })
    .collect()
}

/// Whether an S3 operation changes something.
pub(crate) fn is_write(operation: &str) -> bool {
    !["Get", "Head", "List"]
        .iter()
        .any(|reads| operation.starts_with(reads))
}
