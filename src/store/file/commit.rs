//! The moment a file takes or loses its name: under the lock of its folder, so that comparing a
//! version and replacing it are one step for every process.

use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FlockOperation, RenameFlags, Stat};
use rustix::io::Errno;

use super::super::{Precondition, Tag};
use super::stage::Staged;
use super::tree::{Tree, split};
use super::trouble::{Trouble, on};
use super::version;

/// How often a folder may vanish between being made and being used.
const ATTEMPTS: usize = 1000;

/// How long another process may hold a folder's lock. Ours hold it for a few system calls.
const PATIENCE: Duration = Duration::from_secs(30);

impl Staged {
    /// Gives the file its name, if the precondition holds.
    pub(super) fn commit(mut self, path: &str, wanted: &Precondition) -> Result<Stat, Trouble> {
        let (parent, name) = split(path);
        for _ in 0..ATTEMPTS {
            let folder = match wanted {
                Precondition::IfMatch(_) => self.tree.folder(parent),
                _ => self.tree.make_folder(parent),
            };
            let folder = match (folder, wanted) {
                (Err(Trouble::Missing | Trouble::NoStore), Precondition::IfMatch(_)) => {
                    return Err(Trouble::OtherVersion(None));
                }
                (Err(Trouble::Missing), _) => continue,
                (folder, _) => folder?,
            };
            match self.rename(&folder, path, wanted) {
                // The folder was removed meanwhile: its last object was deleted.
                Err(Trouble::Missing) => {}
                Err(trouble) => {
                    drop(folder);
                    self.tree.remove_empty(parent);
                    return Err(trouble);
                }
                Ok(stat) => {
                    self.keep();
                    self.tree.sync(&folder, parent)?;
                    return Ok(stat);
                }
            }
        }
        Err(Trouble::Locked(self.tree.path(if parent.is_empty() {
            name
        } else {
            parent
        })))
    }

    fn rename(&self, folder: &OwnedFd, path: &str, wanted: &Precondition) -> Result<Stat, Trouble> {
        let name = split(path).1;
        let _lock = lock(
            &self.tree,
            folder,
            path,
            matches!(wanted, Precondition::IfMatch(_)),
        )?;
        if let Precondition::IfMatch(tag) = wanted {
            compare(&self.tree, folder, path, tag)?;
        }
        let renamed = match self.try_rename(folder, name, wanted) {
            Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) if is_folder(folder, name) => {
                // kOps leaves empty folders behind; those don't count as anything.
                match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
                    Ok(()) => self.try_rename(folder, name, wanted),
                    Err(_) => return Err(Trouble::Occupied(self.tree.path(path))),
                }
            }
            renamed => renamed,
        };
        match renamed {
            Ok(()) => rustix::fs::fstat(&self.file).map_err(on(self.tree.path(path))),
            Err(Errno::EXIST) => Err(Trouble::Exists),
            Err(Errno::XDEV) => Err(Trouble::OtherDevice(self.path())),
            Err(errno) => Err(on(self.tree.path(path))(errno)),
        }
    }

    fn try_rename(&self, folder: &OwnedFd, name: &str, wanted: &Precondition) -> Result<(), Errno> {
        if *wanted != Precondition::IfAbsent {
            return rustix::fs::renameat(&self.folder, &self.name, folder, name);
        }
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.folder, &self.name, folder, name, flags) {
            // Some network file systems can't; a link is as exclusive.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                link(&self.folder, &self.name, folder, name)
            }
            renamed => renamed,
        }
    }
}

fn link(from: &OwnedFd, old: &str, to: &OwnedFd, new: &str) -> Result<(), Errno> {
    rustix::fs::linkat(from, old, to, new, AtFlags::empty())?;
    rustix::fs::unlinkat(from, old, AtFlags::empty())
}

fn is_folder(folder: &OwnedFd, name: &str) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| version::kind(&stat) == rustix::fs::FileType::Directory)
}

fn compare(tree: &Tree, folder: &OwnedFd, path: &str, wanted: &Tag) -> Result<(), Trouble> {
    match tree.locate_in(folder, path) {
        Ok(found) if version::tag(&found.stat) == *wanted => Ok(()),
        Ok(found) => Err(Trouble::OtherVersion(Some(version::tag(&found.stat)))),
        Err(Trouble::Missing) => Err(Trouble::OtherVersion(None)),
        Err(trouble) => Err(trouble),
    }
}

/// Deletes a file, if it is the version asked for, and the folders that are empty then.
pub(super) fn delete(tree: &Tree, path: &str, wanted: &Precondition) -> Result<(), Trouble> {
    let (parent, name) = split(path);
    let gone = match wanted {
        Precondition::None => Ok(()),
        _ => Err(Trouble::OtherVersion(None)),
    };
    let folder = match tree.folder(parent) {
        Err(Trouble::Missing | Trouble::Occupied(_)) => return gone,
        folder => folder?,
    };
    let conditional = matches!(wanted, Precondition::IfMatch(_));
    let held = lock(tree, &folder, path, conditional)?;
    match wanted {
        Precondition::None => {}
        Precondition::IfMatch(tag) => compare(tree, &folder, path, tag)?,
        Precondition::IfAbsent => return Err(Trouble::Exists),
    }
    match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
        Ok(()) => tree.sync(&folder, parent)?,
        // EISDIR and EPERM are what Linux and POSIX say of a folder, which is no object.
        Err(Errno::NOENT | Errno::NAMETOOLONG) => return gone,
        Err(Errno::ISDIR | Errno::PERM) if is_folder(&folder, name) => return gone,
        Err(errno) => return Err(on(tree.path(path))(errno)),
    }
    drop(held);
    tree.remove_empty(parent);
    Ok(())
}

/// A folder's lock; `None` where there are no locks and none is needed.
struct Lock<'a>(&'a OwnedFd);

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(self.0, FlockOperation::Unlock);
    }
}

/// Locks the folder of a path. It lies on the folder itself, so that no file is left behind.
fn lock<'a>(
    tree: &Tree,
    folder: &'a OwnedFd,
    path: &str,
    needed: bool,
) -> Result<Option<Lock<'a>>, Trouble> {
    let shown = || tree.path(split(path).0);
    let start = Instant::now();
    let mut pause = Duration::from_micros(50);
    loop {
        match rustix::fs::flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(Lock(folder))),
            Err(Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(5));
            }
            Err(Errno::WOULDBLOCK) => return Err(Trouble::Locked(shown())),
            Err(Errno::INTR) => {}
            // NFS locks only what is open for writing, which a folder never is: EBADF.
            Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::BADF) => {
                return if needed {
                    Err(Trouble::NoLocks(shown()))
                } else {
                    Ok(None)
                };
            }
            Err(errno) => return Err(on(shown())(errno)),
        }
    }
}
