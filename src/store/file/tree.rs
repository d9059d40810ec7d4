//! The folders and files below a store's top. Every path is walked name by name from the top,
//! following no link, so that nothing leads out of it, not even while it is being changed.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::super::RESERVED;
use super::trouble::{Trouble, on, on_std};
use super::version;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// Where half-written files are, below [`RESERVED`].
pub(super) const STAGING: &str = "tmp";

/// A store's top folder.
pub(super) struct Tree {
    /// The absolute path, with no link in it when the store was opened: one that is put there
    /// later is not followed.
    pub(super) root: PathBuf,
    /// Whether a write is on the disk when it returns.
    pub(super) durable: bool,
    /// The folder for half-written files, once one was needed.
    pub(super) staging: OnceLock<PathBuf>,
    /// Whether that folder was cleared of what crashes left.
    pub(super) swept: Once,
}

/// A regular file: where it really is, and what it is.
pub(super) struct Located {
    folder: Option<OwnedFd>,
    name: String,
    pub(super) stat: Stat,
}

/// The folder and the name of a path; the folder is empty for what lies at the top.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whether a path is the staging folder of some store, or lies in it.
pub(super) fn is_staging(path: &str) -> bool {
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        if name == RESERVED && names.peek() == Some(&STAGING) {
            return true;
        }
    }
    false
}

/// Folders as kOps makes them, but for those of keys, tokens, backups and files with credentials,
/// and all below them.
fn mode_of(folder: &str) -> Mode {
    const SECRET: [&str; 6] = [
        "private",
        "secrets",
        "backups",
        "manifests",
        "igconfig",
        "kops-controller.addons.k8s.io",
    ];
    let is_secret = |name| SECRET.contains(&name);
    if folder.split('/').any(is_secret) {
        Mode::RWXU
    } else {
        Mode::from_raw_mode(0o755)
    }
}

impl Tree {
    pub(super) fn path(&self, path: &str) -> String {
        self.root
            .join(path)
            .to_string_lossy()
            .trim_end_matches('/')
            .to_owned()
    }

    pub(super) fn open_root(&self) -> Result<OwnedFd, Trouble> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        rustix::fs::open(&self.root, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => Trouble::NoStore,
            Errno::NOTDIR | Errno::LOOP if self.root.is_symlink() => Trouble::Foreign {
                path: self.path(""),
                reason: "has become a symbolic link since the store was opened",
            },
            Errno::NOTDIR => Trouble::Foreign {
                path: self.path(""),
                reason: "is not a folder",
            },
            errno => on(self.path(""))(errno),
        })
    }

    fn make_root(&self) -> Result<OwnedFd, Trouble> {
        match self.open_root() {
            Err(Trouble::NoStore) => {}
            opened => return opened,
        }
        make_all(&self.root, 0o755, self.durable)?;
        self.open_root()
    }

    /// Makes what was done in a folder last.
    pub(super) fn sync(&self, folder: &OwnedFd, path: &str) -> Result<(), Trouble> {
        if !self.durable {
            return Ok(());
        }
        rustix::fs::fsync(folder).map_err(on(self.path(path)))
    }

    /// Opens a folder that must be there.
    pub(super) fn folder(&self, path: &str) -> Result<OwnedFd, Trouble> {
        let mut folder = self.open_root()?;
        for (name, so_far) in steps(path) {
            folder = self.enter(&folder, name, so_far)?;
        }
        Ok(folder)
    }

    /// Opens a folder, and makes it and its parents where they are missing.
    /// [`Trouble::Missing`] means that somebody removed one meanwhile: try again.
    pub(super) fn make_folder(&self, path: &str) -> Result<OwnedFd, Trouble> {
        let mut folder = self.make_root()?;
        for (name, so_far) in steps(path) {
            folder = match self.enter(&folder, name, so_far) {
                Err(Trouble::Missing) => {
                    match rustix::fs::mkdirat(&folder, name, mode_of(so_far)) {
                        Ok(()) => self.sync(&folder, so_far)?,
                        Err(Errno::EXIST) => {}
                        Err(errno) => return Err(on(self.path(so_far))(errno)),
                    }
                    self.enter(&folder, name, so_far)?
                }
                entered => entered?,
            };
        }
        Ok(folder)
    }

    /// Opens the folder `name` in `parent`, if it is one and no link to one.
    pub(super) fn enter(
        &self,
        parent: &OwnedFd,
        name: &str,
        path: &str,
    ) -> Result<OwnedFd, Trouble> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(folder) => Ok(folder),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(self.no_folder(parent, name, path)),
            Err(Errno::NAMETOOLONG) => Err(Trouble::Missing),
            Err(errno) => Err(on(self.path(path))(errno)),
        }
    }

    fn no_folder(&self, parent: &OwnedFd, name: &str, path: &str) -> Trouble {
        let path = self.path(path);
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if version::kind(&stat) == FileType::Symlink => Trouble::Foreign {
                path,
                reason: "is a symbolic link, and none is followed below the store's own folder; \
                         open the store at what it points to",
            },
            Ok(_) => Trouble::Occupied(path),
            Err(errno) => on(path)(errno),
        }
    }

    /// Removes a folder if it is empty, then its parent, up to the top.
    pub(super) fn remove_empty(&self, path: &str) {
        let mut path = path;
        while !path.is_empty() {
            let (parent, name) = split(path);
            let Ok(folder) = self.folder(parent) else {
                return;
            };
            if rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR).is_err() {
                return;
            }
            path = parent;
        }
    }

    /// Finds the regular file at a path, also behind a link that stays in the store.
    pub(super) fn locate(&self, path: &str) -> Result<Located, Trouble> {
        let (parent, _) = split(path);
        let folder = match self.folder(parent) {
            Err(Trouble::Occupied(_)) => return Err(Trouble::Missing),
            folder => folder?,
        };
        let found = self.locate_in(&folder, path)?;
        Ok(Located {
            folder: found.folder.or(Some(folder)),
            ..found
        })
    }

    /// The same, with the path's folder at hand.
    pub(super) fn locate_in(&self, folder: &OwnedFd, path: &str) -> Result<Located, Trouble> {
        let name = split(path).1;
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NAMETOOLONG) => return Err(Trouble::Missing),
            stat => stat.map_err(on(self.path(path)))?,
        };
        let reason = match version::kind(&stat) {
            FileType::RegularFile => {
                return Ok(Located {
                    folder: None,
                    name: name.to_owned(),
                    stat,
                });
            }
            FileType::Directory => return Err(Trouble::Missing),
            FileType::Symlink => return self.behind_link(path),
            FileType::Socket => "is a socket",
            FileType::Fifo => "is a named pipe",
            _ => "is a device",
        };
        Err(self.foreign(path, reason))
    }

    fn foreign(&self, path: &str, reason: &'static str) -> Trouble {
        Trouble::Foreign {
            path: self.path(path),
            reason,
        }
    }

    fn behind_link(&self, path: &str) -> Result<Located, Trouble> {
        let root = self.root.canonicalize().map_err(on_std(self.path("")))?;
        let Ok(target) = self.root.join(path).canonicalize() else {
            return Err(self.foreign(path, "is a symbolic link to nothing"));
        };
        let Some(target) = target.strip_prefix(&root).ok().and_then(Path::to_str) else {
            return Err(self.foreign(path, "is a symbolic link that leads out of the store"));
        };
        if is_staging(target) {
            return Err(self.foreign(path, "is a symbolic link to a half-written file"));
        }
        // What was resolved is walked without following links: a link put there since shows.
        let (parent, name) = split(target);
        let folder = self.folder(parent)?;
        let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(on(self.path(target)))?;
        match version::kind(&stat) {
            FileType::RegularFile => Ok(Located {
                folder: Some(folder),
                name: name.to_owned(),
                stat,
            }),
            FileType::Directory => Err(self.foreign(path, "is a symbolic link to a folder")),
            _ => Err(self.foreign(path, "is a symbolic link to something that is no file")),
        }
    }

    /// Opens the regular file at a path for reading.
    pub(super) fn open(&self, path: &str) -> Result<(File, Stat), Trouble> {
        let Located {
            folder: Some(folder),
            name,
            ..
        } = self.locate(path)?
        else {
            return Err(Trouble::Missing);
        };
        // Without waiting: what was a file a moment ago may be a pipe now.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &name, flags, Mode::empty())
            .map_err(on(self.path(path)))?;
        let stat = rustix::fs::fstat(&file).map_err(on(self.path(path)))?;
        if version::kind(&stat) != FileType::RegularFile {
            return Err(self.foreign(path, "is no file any more"));
        }
        Ok((File::from(file), stat))
    }
}

/// The names of a path, each with the path up to it.
fn steps(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut at = 0;
    path.split('/')
        .filter(|name| !name.is_empty())
        .map(move |name| {
            at += name.len() + 1;
            (name, &path[..at - 1])
        })
}

/// Makes a folder with all its parents, and makes them last.
pub(super) fn make_all(path: &Path, mode: u32, durable: bool) -> Result<(), Trouble> {
    let missing: Vec<_> = path
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        match std::fs::DirBuilder::new().mode(mode).create(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(on_std(folder.display())(error));
            }
            _ => {}
        }
        if let (true, Some(parent)) = (durable, folder.parent()) {
            let opened = rustix::fs::open(parent, FOLDER, Mode::empty());
            opened
                .and_then(rustix::fs::fsync)
                .map_err(on(parent.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_walked_name_by_name() {
        assert_eq!(steps("").count(), 0);
        let walked: Vec<_> = steps("a/bc/d").collect();
        assert_eq!(walked, [("a", "a"), ("bc", "a/bc"), ("d", "a/bc/d")]);
    }

    #[test]
    fn staging_is_two_names_in_a_row() {
        assert!(is_staging(".kstate/tmp"));
        assert!(is_staging("a/.kstate/tmp/x"));
        assert!(!is_staging(".kstate/lock/tmp"));
        assert!(!is_staging("a.kstate/tmp"));
    }

    #[test]
    fn folders_of_keys_and_tokens_are_their_owners_alone() {
        for (folder, mode) in [
            ("c/pki", 0o755),
            ("c/pki/private", 0o700),
            ("c/pki/private/kubernetes-ca", 0o700),
            ("c/secrets", 0o700),
            ("c/secrets-of-mine", 0o755),
            ("c/manifests/etcd", 0o700),
            ("c/addons", 0o755),
        ] {
            assert_eq!(mode_of(folder), Mode::from_raw_mode(mode), "{folder}");
        }
    }
}
