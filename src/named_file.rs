//! Files that the user names beside the stores: plans, and the keys that open them.

use std::io::{self, Read};
use std::path::Path;

use crate::store::{Error, ErrorKind};

/// The bytes of a file, or of standard input when the path is `-`.
#[expect(
    clippy::disallowed_methods,
    reason = "files that the user names: plans and age keys"
)]
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path)
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
