//! Writing a file aside, whole and checked, before it takes its name.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::super::{Checksum, Hasher, RESERVED};
use super::tree::{STAGING, Tree, make_all};
use super::trouble::{Trouble, on, on_std};
use super::version;

/// How long a half-written file of a process that is gone stays, for the case that the process
/// lives where we can't see it (in another container, on another host).
const STALE: Duration = Duration::from_hours(1);
const STALE_ELSEWHERE: Duration = Duration::from_hours(24);

/// How often the staging folder may vanish between being made and being used.
const ATTEMPTS: usize = 1000;

/// How far up a cluster is looked for.
const LEVELS: usize = 8;

/// A file that is being written, gone when dropped.
pub(super) struct Staged {
    pub(super) file: File,
    pub(super) folder: OwnedFd,
    pub(super) name: String,
    pub(super) tree: Arc<Tree>,
    size: u64,
    hasher: Option<Hasher>,
    renamed: bool,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

impl Staged {
    pub(super) fn new(tree: &Arc<Tree>, checksum: Option<&Checksum>) -> Result<Self, Trouble> {
        let name = format!(
            "{}-{}-{:016x}",
            boot(),
            std::process::id(),
            fastrand::u64(..)
        );
        let (folder, file) = create(tree, &name)?;
        Ok(Self {
            file,
            folder,
            name,
            tree: Arc::clone(tree),
            size: 0,
            hasher: checksum.map(|checksum| Hasher::new(checksum.algorithm)),
            renamed: false,
        })
    }

    pub(super) fn path(&self) -> String {
        staging_path(&self.tree).display().to_string()
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(on_std(self.path()))
    }

    /// Takes all of a file, as shared blocks where the file system can.
    pub(super) fn copy(&mut self, from: &mut File) -> Result<(), Trouble> {
        self.size += std::io::copy(from, &mut self.file).map_err(on_std(self.path()))?;
        Ok(())
    }

    pub(super) fn needs_bytes(&self) -> bool {
        self.hasher.is_some()
    }

    /// Checks what was written and puts it on the disk.
    pub(super) fn finish(
        &mut self,
        announced: Option<u64>,
        checksum: Option<&Checksum>,
    ) -> Result<(), Trouble> {
        if let Some(announced) = announced.filter(|announced| *announced != self.size) {
            return Err(Trouble::Corrupt(format!(
                "the body has {} bytes, and {announced} were announced",
                self.size
            )));
        }
        if let (Some(wanted), Some(hasher)) = (checksum, self.hasher.take())
            && hasher.finish() != *wanted
        {
            return Err(Trouble::Corrupt(
                "the bytes don't have the expected checksum".into(),
            ));
        }
        rustix::fs::futimens(&self.file, &version::stamp()).map_err(on(self.path()))?;
        if self.tree.durable {
            rustix::fs::fsync(&self.file).map_err(on(self.path()))?;
        }
        Ok(())
    }

    /// The file has its name now, and stays.
    pub(super) fn keep(&mut self) {
        self.renamed = true;
    }
}

/// Nothing of ours may lie below a cluster, where `kops delete cluster` would refuse it: beside
/// the cluster then, else at the store's top.
fn staging_path(tree: &Tree) -> &Path {
    tree.staging.get_or_init(|| {
        let is_cluster = |folder: &&Path| {
            folder.join("config").is_file() && folder.join("instancegroup").is_dir()
        };
        let cluster = tree
            .root
            .ancestors()
            .take(LEVELS + 1)
            .filter(is_cluster)
            .last();
        let top = cluster.and_then(Path::parent).unwrap_or(&tree.root);
        top.join(RESERVED).join(STAGING)
    })
}

/// Creates a file in the staging folder, which another store may remove at any time, as each
/// does when it is done.
fn create(tree: &Tree, name: &str) -> Result<(OwnedFd, File), Trouble> {
    let path = staging_path(tree).display().to_string();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    for _ in 0..ATTEMPTS {
        let folder = match open_staging(tree) {
            Err(Trouble::Missing) => continue,
            folder => folder?,
        };
        match rustix::fs::openat(&folder, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => return Ok((folder, File::from(file))),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(on(&path)(errno)),
        }
    }
    let reason = "can't be made, or goes as soon as it is made";
    Err(Trouble::Foreign { path, reason })
}

/// Opens the staging folder, and makes it where it is missing. [`Trouble::Missing`] means that
/// somebody removed it meanwhile.
fn open_staging(tree: &Tree) -> Result<OwnedFd, Trouble> {
    let path = staging_path(tree);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = path.ancestors().nth(2).unwrap_or(path);
    // Step by step, so that none of the folders is a link to somewhere else.
    let open = || {
        let top = rustix::fs::open(top, flags, Mode::empty())?;
        let reserved = rustix::fs::openat(&top, RESERVED, flags, Mode::empty())?;
        rustix::fs::openat(&reserved, STAGING, flags, Mode::empty())
    };
    let folder = match open() {
        Err(Errno::NOENT) => {
            if let Some(parent) = path.parent() {
                make_all(parent, 0o755, tree.durable)?;
            }
            make_all(path, 0o700, false)?;
            open()
        }
        folder => folder,
    };
    let folder = folder.map_err(on(path.display()))?;
    tree.swept.call_once(|| remove_stale(&folder));
    Ok(folder)
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Some(path) = self.staging.get()
            && !path.parent().is_some_and(Path::is_symlink)
        {
            let removed = std::fs::remove_dir(path);
            if let (Ok(()), Some(parent)) = (removed, path.parent()) {
                let _ = std::fs::remove_dir(parent);
            }
        }
    }
}

/// Removes what processes that died left half-written. Nobody reads these, so what can't be
/// removed may stay.
fn remove_stale(folder: &OwnedFd) {
    let Ok(entries) = Dir::read_from(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let age = version::modified(&stat).and_then(|at| SystemTime::now().duration_since(at).ok());
        let limit = name.to_str().ok().and_then(patience);
        if let (Some(age), Some(limit)) = (age, limit)
            && age > limit
        {
            tracing::debug!(name = %name.to_string_lossy(), "removing a half-written file of a dead process");
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
        }
    }
}

/// How old a half-written file must be before it can go; `None` while its writer lives, and for
/// a name that isn't ours.
fn patience(name: &str) -> Option<Duration> {
    let mut parts = name.split('-');
    let (host, pid, _random) = (parts.next()?, parts.next()?, parts.next()?);
    let pid = Pid::from_raw(pid.parse().ok()?)?;
    if host != boot() {
        return Some(STALE_ELSEWHERE);
    }
    let gone = rustix::process::test_kill_process(pid) == Err(Errno::SRCH);
    gone.then_some(STALE)
}

/// What tells this start of this host from others; process ids are unique only in there.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "the kernel's own, no state")]
        let id = std::fs::read_to_string(PathBuf::from("/proc/sys/kernel/random/boot_id"));
        let id: String = id
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_hexdigit)
            .collect();
        id.get(..12).unwrap_or("unknown").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a process id that is surely gone"
    )]
    fn only_the_dead_leave_stale_files() {
        let living = format!("{}-{}-0", boot(), std::process::id());
        assert_eq!(patience(&living), None);
        let mut child = std::process::Command::new("true")
            .spawn()
            .expect("a process");
        child.wait().expect("its end");
        assert_eq!(
            patience(&format!("{}-{}-0", boot(), child.id())),
            Some(STALE)
        );
        assert_eq!(patience("otherboot-1-0"), Some(STALE_ELSEWHERE));
        assert_eq!(patience("notes.txt"), None);
    }
}
