//! Which keys take part: include and exclude globs.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::store::{Error, ErrorKind, Result};

/// Include and exclude globs over whole keys, relative to the folder that is walked.
///
/// `*` and `?` stay within a segment, `**` crosses segments, `{a,b}` and `[a-z]` as in a shell.
/// A pattern that ends in a slash means everything below that folder. A key takes part when an
/// include matches it (or there is none) and no exclude does.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Filter {
    /// A filter of these patterns; both lists empty take every key.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with the pattern that can't be read.
    pub fn new<P: AsRef<str>>(include: &[P], exclude: &[P]) -> Result<Self> {
        Ok(Self {
            include: set(include)?,
            exclude: set(exclude)?,
        })
    }

    /// A filter that takes what one of these patterns matches.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn only<P: AsRef<str>>(include: &[P]) -> Result<Self> {
        Self::new(include, &[])
    }

    /// Whether a key takes part.
    #[must_use]
    pub fn takes(&self, key: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(key))
            && !self.exclude.as_ref().is_some_and(|set| set.is_match(key))
    }
}

fn set<P: AsRef<str>>(patterns: &[P]) -> Result<Option<GlobSet>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(glob(pattern.as_ref())?);
    }
    builder.build().map(Some).map_err(unreadable)
}

fn glob(pattern: &str) -> Result<Glob> {
    let below = pattern.ends_with('/').then(|| format!("{pattern}**"));
    GlobBuilder::new(below.as_deref().unwrap_or(pattern))
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(unreadable)
}

fn unreadable(error: globset::Error) -> Error {
    Error::new(ErrorKind::Invalid, "read the pattern", error.to_string())
        .because(error)
        .hint("'*' matches within a folder, '**/' any folders; escape a literal one with '\\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(include: &[&str], exclude: &[&str], key: &str) -> bool {
        Filter::new(include, exclude).unwrap().takes(key)
    }

    #[test]
    fn no_patterns_take_everything() {
        assert!(Filter::default().takes("a/b"));
        assert!(takes(&[], &[], "a/b"));
    }

    #[test]
    fn a_star_stays_within_its_folder() {
        assert!(takes(&["instancegroup/*"], &[], "instancegroup/nodes"));
        assert!(!takes(&["instancegroup/*"], &[], "instancegroup/a/b"));
        assert!(!takes(&["config"], &[], "backups/config"));
        assert!(takes(&["**/config"], &[], "backups/config"));
    }

    #[test]
    fn excludes_win() {
        assert!(!takes(&["pki/**"], &["pki/private/"], "pki/private/ca/k"));
        assert!(takes(&["pki/**"], &["pki/private/"], "pki/issued/ca/k"));
        assert!(takes(&[], &["backups/"], "backups"));
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_named() {
        let error = Filter::only(&["a[b"]).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("a[b"), "{error}");
    }
}
