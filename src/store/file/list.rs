//! Listings: depth first, in byte order of whole names, one folder's names in memory at a time.

use std::ffi::CString;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType};

use super::super::{Entry, Key, ListOptions, Place, RESERVED};
use super::tree::{STAGING, Tree, is_staging};
use super::trouble::{Trouble, on};
use super::version;

/// A walk that stands still between two batches.
pub(super) struct Walk {
    tree: Arc<Tree>,
    /// What the store's own folder is below the top, with a slash at its end, or empty.
    own: String,
    one_level: bool,
    start_after: Option<String>,
    stack: Vec<Frame>,
}

/// A folder whose names are being told.
struct Frame {
    folder: OwnedFd,
    /// Its path below the top, with a slash at its end, or empty.
    prefix: String,
    names: std::vec::IntoIter<Name>,
}

/// A name in a folder; folders have a slash at their end, so that they sort as their objects do.
struct Name {
    shown: String,
    raw: CString,
}

impl Name {
    fn is_folder(&self) -> bool {
        self.shown.ends_with('/')
    }
}

impl Walk {
    /// Starts a listing; `own` is the store's folder below the top.
    pub(super) fn start(
        tree: Arc<Tree>,
        own: &str,
        options: &ListOptions,
    ) -> Result<Self, Trouble> {
        let below = Place {
            root: String::new(),
            prefix: own.to_owned(),
        }
        .full_key(&options.below);
        let start_after = options.start_after.as_ref();
        let with_slash = |path: &str| match path {
            "" => String::new(),
            path => format!("{path}/"),
        };
        let own = with_slash(own);
        let mut walk = Self {
            one_level: options.one_level,
            start_after: start_after.map(|start| format!("{own}{start}")),
            own,
            stack: Vec::new(),
            tree,
        };
        if is_staging(&below) {
            return Ok(walk);
        }
        match walk.tree.folder(&below) {
            Ok(folder) => walk.push(folder, with_slash(&below))?,
            // What is missing, or an object, has nothing below it.
            Err(Trouble::Missing | Trouble::Occupied(_)) => {}
            Err(trouble) => return Err(trouble),
        }
        Ok(walk)
    }

    fn push(&mut self, folder: OwnedFd, prefix: String) -> Result<(), Trouble> {
        let names = names_in(&self.tree, &folder, &prefix)?.into_iter();
        self.stack.push(Frame {
            folder,
            prefix,
            names,
        });
        Ok(())
    }

    /// The next entries, at most `most`; fewer than that mean that these are the last.
    pub(super) fn batch(&mut self, most: usize) -> Result<Vec<Entry>, Trouble> {
        let mut entries = Vec::new();
        while entries.len() < most {
            let Some(frame) = self.stack.last_mut() else {
                break;
            };
            let Some(name) = frame.names.next() else {
                self.stack.pop();
                continue;
            };
            let path = format!("{}{}", frame.prefix, name.shown);
            if self.is_before(&path) {
                continue;
            }
            if name.is_folder() {
                self.enter(&path, &mut entries)?;
            } else if let Some(entry) = self.describe(&path, &name)? {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// Whether a name, with all that lies below it if it is a folder, is before the start.
    fn is_before(&self, path: &str) -> bool {
        self.start_after.as_ref().is_some_and(|start| {
            path <= start.as_str() && !(path.ends_with('/') && start.starts_with(path))
        })
    }

    fn enter(&mut self, path: &str, entries: &mut Vec<Entry>) -> Result<(), Trouble> {
        let Some(folder) = self.open(path)? else {
            return Ok(());
        };
        if !self.one_level {
            return self.push(folder, path.to_owned());
        }
        if self.holds_any(folder, path)? {
            entries.push(Entry::Prefix(path[self.own.len()..].to_owned()));
        }
        Ok(())
    }

    /// Opens a folder of the frame on top; `None` when it is gone.
    fn open(&self, path: &str) -> Result<Option<OwnedFd>, Trouble> {
        let Some(frame) = self.stack.last() else {
            return Ok(None);
        };
        let name = path[frame.prefix.len()..].trim_end_matches('/');
        match self.tree.enter(&frame.folder, name, path) {
            Err(Trouble::Missing | Trouble::Occupied(_)) => Ok(None),
            folder => folder.map(Some),
        }
    }

    /// Whether anything after the start lies in a folder, at any depth.
    fn holds_any(&self, folder: OwnedFd, path: &str) -> Result<bool, Trouble> {
        let mut inside = Self {
            tree: Arc::clone(&self.tree),
            own: self.own.clone(),
            one_level: false,
            start_after: self.start_after.clone(),
            stack: Vec::new(),
        };
        inside.push(folder, path.to_owned())?;
        inside.batch(1).map(|first| !first.is_empty())
    }

    /// The entry for a name that is no folder; `None` when it is gone: others write here too.
    fn describe(&self, path: &str, name: &Name) -> Result<Option<Entry>, Trouble> {
        let Some(frame) = self.stack.last() else {
            return Ok(None);
        };
        let shown = &path[self.own.len()..];
        let foreign = |reason: &str, size| {
            Ok(Some(Entry::Foreign {
                name: shown.to_owned(),
                size,
                reason: reason.to_owned(),
            }))
        };
        if name.raw.to_str().is_err() {
            let stat = rustix::fs::statat(&frame.folder, &name.raw, AtFlags::SYMLINK_NOFOLLOW);
            return foreign(
                "its name is not UTF-8",
                stat.ok().map(|stat| version::size(&stat)),
            );
        }
        match self.tree.locate_in(&frame.folder, path) {
            Ok(found) => match Key::parse(shown) {
                Ok(key) => Ok(Some(Entry::Object(version::meta(key, &found.stat)))),
                Err(bad) => foreign(bad.reason, Some(version::size(&found.stat))),
            },
            Err(Trouble::Missing) => Ok(None),
            Err(Trouble::Foreign { reason, .. }) => foreign(&format!("it {reason}"), None),
            Err(trouble) => Err(trouble),
        }
    }
}

/// The names in a folder in byte order, without the staging folder.
fn names_in(tree: &Tree, folder: &OwnedFd, prefix: &str) -> Result<Vec<Name>, Trouble> {
    let failed = || on(tree.path(prefix));
    let is_reserved =
        prefix == format!("{RESERVED}/") || prefix.ends_with(&format!("/{RESERVED}/"));
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let raw = entry.file_name();
        if matches!(raw.to_bytes(), b"." | b"..") {
            continue;
        }
        if is_reserved && raw.to_bytes() == STAGING.as_bytes() {
            continue;
        }
        let mut shown = raw.to_string_lossy().into_owned();
        if raw.to_str().is_ok() && is_folder(folder, &entry) {
            shown.push('/');
        }
        names.push(Name {
            shown,
            raw: raw.to_owned(),
        });
    }
    names.sort_unstable_by(|a, b| (&a.shown, &a.raw).cmp(&(&b.shown, &b.raw)));
    Ok(names)
}

fn is_folder(folder: &OwnedFd, entry: &rustix::fs::DirEntry) -> bool {
    match entry.file_type() {
        // Some file systems don't say it here.
        FileType::Unknown => {
            rustix::fs::statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| version::kind(&stat) == FileType::Directory)
        }
        kind => kind == FileType::Directory,
    }
}
