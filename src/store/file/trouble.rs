//! What a file system refuses, in words that tell what to do.

use std::fmt;

use rustix::io::Errno;

use super::super::{Error, ErrorKind, Tag};

/// What stands in the way of an operation, before it is known which operation that is.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The store's own folder doesn't exist.
    NoStore,
    /// No such object, or a folder on the way to it doesn't exist.
    Missing,
    /// A file is where a folder must be, or a folder where the object must be.
    Occupied(String),
    /// Something is there that is no object of ours.
    Foreign { path: String, reason: &'static str },
    /// The object exists and must not.
    Exists,
    /// The object isn't the version asked for.
    OtherVersion(Option<Tag>),
    /// The bytes aren't what was announced.
    Corrupt(String),
    /// Another process holds a folder's lock for too long.
    Locked(String),
    /// The file system has no locks.
    NoLocks(String),
    /// The staging folder lies on another device.
    OtherDevice(String),
    /// The system call failed.
    Io { errno: Errno, path: String },
}

/// For `map_err`: a failed system call on a path.
pub(super) fn on(path: impl fmt::Display) -> impl FnOnce(Errno) -> Trouble {
    move |errno| match errno {
        Errno::NOENT => Trouble::Missing,
        errno => Trouble::Io {
            errno,
            path: path.to_string(),
        },
    }
}

/// For `map_err`: a failed call of the standard library on a path.
pub(super) fn on_std(path: impl fmt::Display) -> impl FnOnce(std::io::Error) -> Trouble {
    move |error| on(path)(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Which operation on which object met it.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) operation: &'static str,
    pub(super) store: String,
    pub(super) key: Option<String>,
}

impl Context {
    pub(super) fn error(&self, trouble: Trouble) -> Error {
        let key = match trouble {
            Trouble::NoStore => None,
            _ => self.key.as_deref(),
        };
        self.describe(trouble).at(&self.store, key)
    }

    fn describe(&self, trouble: Trouble) -> Error {
        let new = |kind, message: String| Error::new(kind, self.operation, message);
        match trouble {
            Trouble::NoStore => new(ErrorKind::NotFound, "there is no such folder".into())
                .hint("check the path; the first write makes the folder"),
            Trouble::Missing => new(ErrorKind::NotFound, "no such object".into()),
            Trouble::Occupied(path) => new(
                ErrorKind::Unsupported,
                format!("a file system can't hold an object and others below it, and '{path}' is in the way"),
            )
            .hint("rename or delete the one that isn't needed"),
            Trouble::Foreign { path, reason } => {
                new(ErrorKind::Unsupported, format!("'{path}' {reason}"))
            }
            Trouble::Exists => new(ErrorKind::AlreadyExists, "the object exists already".into()),
            Trouble::OtherVersion(found) => new(
                ErrorKind::PreconditionFailed { found },
                "the object is no longer the version that was read".into(),
            ),
            Trouble::Corrupt(what) => new(ErrorKind::Corrupt, what),
            Trouble::Locked(path) => new(
                ErrorKind::Unavailable,
                format!("another program holds the lock on the folder '{path}'"),
            )
            .hint("see who with: lsof +d, or fuser -v"),
            Trouble::NoLocks(path) => new(
                ErrorKind::Unsupported,
                format!("the file system of '{path}' has no locks, which compare-and-swap needs"),
            ),
            Trouble::OtherDevice(path) => new(
                ErrorKind::Unsupported,
                format!("'{path}', where files are written before they are renamed into place, is on another file system"),
            )
            .hint("open the store at a folder whose parent is on the same file system"),
            Trouble::Io { errno, path } => self.io(errno, &path),
        }
    }

    fn io(&self, errno: Errno, path: &str) -> Error {
        let new = |kind, message: String| Error::new(kind, self.operation, message);
        let denied = || ErrorKind::PermissionDenied {
            action: Some(self.operation.to_owned()),
            resource: Some(path.to_owned()),
        };
        match errno {
            Errno::ACCESS | Errno::PERM => new(denied(), format!("permission denied on '{path}'"))
                .hint("check who owns it and its mode: ls -ld"),
            Errno::ROFS => new(
                denied(),
                format!("the file system of '{path}' is read-only"),
            ),
            Errno::NOSPC => new(
                ErrorKind::Other,
                format!("no space left on the device of '{path}'"),
            )
            .hint("free some space (df -h, df -i) and run it again; the old object is untouched"),
            Errno::DQUOT => new(
                ErrorKind::Other,
                format!("the disk quota at '{path}' is used up"),
            )
            .hint("free some space (quota -s) and run it again; the old object is untouched"),
            Errno::FBIG => new(
                ErrorKind::Other,
                format!("'{path}' would be larger than the file system or the process may write"),
            )
            .hint("see ulimit -f"),
            Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL => new(
                ErrorKind::InvalidKey,
                format!("the file system refuses the name '{path}': {errno}"),
            ),
            Errno::MFILE | Errno::NFILE => new(
                ErrorKind::Unavailable,
                format!("too many open files, at '{path}'"),
            )
            .hint("see ulimit -n"),
            errno => new(ErrorKind::Other, format!("'{path}': {errno}")),
        }
        .because(std::io::Error::from(errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(errno: Errno) -> Error {
        let context = Context {
            operation: "write",
            store: "/srv/state".into(),
            key: Some("c/config".into()),
        };
        context.error(on("/srv/state/c")(errno))
    }

    #[test]
    fn refusals_name_action_and_path() {
        for errno in [Errno::ACCESS, Errno::PERM, Errno::ROFS] {
            let wanted = ErrorKind::PermissionDenied {
                action: Some("write".into()),
                resource: Some("/srv/state/c".into()),
            };
            assert_eq!(*error(errno).kind(), wanted);
        }
        assert!(error(Errno::ROFS).to_string().contains("read-only"));
    }

    #[test]
    fn a_full_disk_says_so_and_is_not_tried_again() {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            let error = error(errno);
            assert!(!error.is_retryable());
            assert!(
                error
                    .hint_text()
                    .is_some_and(|hint| hint.contains("untouched"))
            );
        }
        assert_eq!(
            error(Errno::NOSPC).to_string(),
            "cannot write /srv/state/c/config: no space left on the device of '/srv/state/c'"
        );
    }

    #[test]
    fn what_is_missing_is_the_object() {
        assert!(error(Errno::NOENT).is_missing_key());
    }
}
