//! Keys: the names of objects, relative to the store they live in.

use std::fmt;

/// The name of an object: UTF-8, `/`-separated, never empty, with no empty, `.` or `..`
/// segment, no NUL and no leading or trailing slash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

/// Why a string is not a [`Key`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidKey {
    /// The string that was refused.
    pub key: String,
    /// What is wrong with it, as the end of a sentence.
    pub reason: &'static str,
}

impl Key {
    /// Checks and makes a key.
    ///
    /// # Errors
    /// [`InvalidKey`] says which rule the string breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        match Self::fault(text) {
            None => Ok(Self(text.into())),
            Some(reason) => Err(InvalidKey {
                key: text.to_owned(),
                reason,
            }),
        }
    }

    fn fault(text: &str) -> Option<&'static str> {
        if text.is_empty() {
            return Some("a key must not be empty");
        }
        if text.contains('\0') {
            return Some("a key must not contain a NUL byte");
        }
        if text.starts_with('/') {
            return Some("a key must not start with a slash");
        }
        if text.ends_with('/') {
            return Some("a key must not end with a slash");
        }
        text.split('/').find_map(|segment| match segment {
            "" => Some("a key must not contain an empty segment ('//')"),
            "." | ".." => Some("a key must not contain a '.' or '..' segment"),
            _ => None,
        })
    }

    /// The key as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// This key below `prefix`; an empty prefix gives the key itself.
    ///
    /// # Errors
    /// [`InvalidKey`] when the prefix is not itself a valid key.
    pub fn below(&self, prefix: &str) -> Result<Self, InvalidKey> {
        if prefix.is_empty() {
            return Ok(self.clone());
        }
        Self::parse(&format!("{prefix}/{}", self.0))
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::str::FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_kops_writes() {
        for key in [
            "c.example.com/config",
            "c/secrets/system:dns",
            "c/addons/a b/ü.yaml",
            "c/backups/etcd/main/2026-01-01T00:00:00Z-000001/_etcd_backup.meta",
            "..a/b..",
        ] {
            assert_eq!(Key::parse(key).map(|k| k.to_string()), Ok(key.to_owned()));
        }
    }

    #[test]
    fn refuses_what_a_store_could_misread() {
        for key in ["", "/a", "a/", "a//b", "./a", "a/../b", "..", "a/.", "a\0b"] {
            assert!(Key::parse(key).is_err(), "{key:?}");
        }
    }
}
