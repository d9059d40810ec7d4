//! Whether a file of a script is still as it was.

use std::path::PathBuf;
use std::time::SystemTime;

/// A file as it was at one moment, also when there was none.
#[derive(Clone, Debug)]
pub struct FileState {
    path: PathBuf,
    stamp: Stamp,
}

/// When a file was changed, and its size in bytes; `None` when there is none.
type Stamp = Option<(SystemTime, u64)>;

impl FileState {
    /// The file as it is now.
    #[must_use]
    pub fn now(path: PathBuf) -> Self {
        let stamp = stamp(&path);
        Self { path, stamp }
    }

    /// Whether it is another one since.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        stamp(&self.path) != self.stamp
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

fn stamp(path: &std::path::Path) -> Stamp {
    let metadata = path.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
