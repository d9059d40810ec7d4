//! The user's own configuration files on this machine: the only files that this module's
//! neighbours read and write.

use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// The text of a file.
#[expect(
    clippy::disallowed_methods,
    reason = "the user's own configuration files"
)]
pub(super) fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}

/// Replaces a file's text as a whole: a reader sees the old text or the new, also after a power
/// cut. Mode and owner stay; of a symbolic link the target is replaced, not the link.
#[expect(
    clippy::disallowed_methods,
    reason = "the user's own configuration files"
)]
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let target = std::fs::canonicalize(path)?;
    let temporary = temporary_beside(&target);
    let written = write_new(&temporary, &target, text);
    let result = written.and_then(|()| std::fs::rename(&temporary, &target));
    if result.is_err() {
        // Nothing to tell: the error above is the reason.
        let _ = std::fs::remove_file(&temporary);
        return result;
    }
    let folder = target.parent().unwrap_or(Path::new("/"));
    std::fs::File::open(folder)?.sync_all()
}

fn write_new(temporary: &Path, target: &Path, text: &str) -> io::Result<()> {
    let was = std::fs::metadata(target)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)?;
    file.write_all(text.as_bytes())?;
    let is = file.metadata()?;
    if (is.uid(), is.gid()) != (was.uid(), was.gid()) {
        fchown(&file, Some(was.uid()), Some(was.gid()))?;
    }
    file.set_permissions(was.permissions())?;
    file.sync_all()
}

fn temporary_beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{:016x}.tmp", fastrand::u64(..)))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests' own files")]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn replaces_the_target_of_a_link_and_keeps_its_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::write(&real, "old").expect("written");
        std::fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).expect("a mode");
        symlink("real", &link).expect("a link");
        replace(&link, "new").expect("replaced");
        assert_eq!(read(&real).expect("a text"), "new");
        assert!(link.is_symlink());
        let mode = std::fs::metadata(&real)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640);
        let names = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 2, "no temporary file is left");
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing");
        assert!(replace(&missing, "new").is_err());
        let is_folder = folder.path().join("folder");
        std::fs::create_dir(&is_folder).expect("a folder");
        assert!(replace(&is_folder, "new").is_err());
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("a folder").count(),
            1
        );
    }
}
