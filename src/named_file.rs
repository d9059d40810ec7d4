//! Files that the user names beside the stores: plans, the keys that open them, scripts, and what
//! is told of a run.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::store::{Error, ErrorKind};

/// The bytes of a file, or of standard input when the path is `-`.
#[expect(
    clippy::disallowed_methods,
    reason = "files that the user names: plans, age keys and scripts"
)]
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path)
}

/// The text of a file; `None` when there is none.
pub(crate) fn text(path: &Path) -> io::Result<Option<String>> {
    let bytes = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Writes a file that isn't there yet, and the folders above it.
pub(crate) fn create(path: &Path, text: &str) -> io::Result<()> {
    folders(path)?;
    File::create_new(path)?.write_all(text.as_bytes())
}

/// Writes a file, whatever was there, and the folders above it.
#[expect(
    clippy::disallowed_methods,
    reason = "files that the user asks for by name: reports, and what an editor needs"
)]
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    folders(path)?;
    std::fs::write(path, text)
}

/// Gives a file a name that is free, and says which: `NAME.old`, `NAME.old2` …
#[expect(
    clippy::disallowed_methods,
    reason = "scripts and what an editor needs: what makes room for one is moved here alone"
)]
pub(crate) fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let name = |number: u32| match number {
        1 => format!("{}.old", file.display()),
        _ => format!("{}.old{number}", file.display()),
    };
    let free = (1..).map(|number| PathBuf::from(name(number)));
    let free = free.filter(|path| !path.exists()).take(1);
    let free: PathBuf = free.collect();
    std::fs::rename(file, &free)?;
    Ok(free)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the folders of a file that the user names"
)]
fn folders(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// Why a file can't be read, and what to do.
pub(crate) fn unreadable(path: &Path, operation: &'static str, error: &io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "check its name"),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::PermissionDenied {
                action: None,
                resource: None,
            },
            "ask its owner for it; it is readable by them alone",
        ),
        _ => (ErrorKind::Other, "check that it is a file"),
    };
    Error::new(kind, operation, error.to_string())
        .at(path.display(), None)
        .hint(hint)
}

/// Writes a file as a whole: a reader sees what was there before or all of the new bytes, also
/// after a power cut. Its permissions are `mode`, whatever the process takes away from new files.
///
/// # Errors
/// Those of `write` and of the file system; nothing is changed then.
pub(crate) fn write_whole(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let target = target(path)?;
    let temporary = temporary_beside(&target);
    let written = write_new(&temporary, mode, write);
    let result = written.and_then(|()| rename(&temporary, &target));
    if result.is_err() {
        remove(&temporary);
    }
    result
}

/// The file that a path leads to: a link stays a link. Nothing but a file is ever replaced.
fn target(path: &Path) -> io::Result<PathBuf> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => std::fs::canonicalize(path),
        Ok(_) => Err(io::Error::other("it exists and is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.file_name().is_some() => {
            Ok(path.to_owned())
        }
        Err(error) => Err(error),
    }
}

/// A name that ends unlike the file's: whoever collects `*.prom` doesn't take half of one.
fn temporary_beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{:016x}.tmp", fastrand::u64(..)))
}

fn write_new(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(mode & 0o600)
        .open(path)?;
    write(&file)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

#[expect(clippy::disallowed_methods, reason = "the file that the user names")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    let folder = to.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[expect(clippy::disallowed_methods, reason = "our own half-written file")]
fn remove(path: &Path) {
    // Nothing to tell: the error that led here is the reason.
    let _ = std::fs::remove_file(path);
}
