//! Places as manifests name them, made comparable.

use std::fmt;

use crate::store::{StoreUrl, split_authority};

/// A place that a manifest names: a URL or a path, without what makes no difference (a trailing
/// slash, `file://`, options). Prints as kOps writes it: a bare path for a file store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    scheme: String,
    authority: String,
    segments: Vec<String>,
    is_absolute: bool,
}

impl Location {
    /// Reads a URL or a path. What has no `://` is a path, as for kOps.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap_or(("file", text));
        if scheme == "file" {
            return Self {
                scheme: scheme.to_owned(),
                authority: String::new(),
                segments: segments(rest),
                is_absolute: rest.starts_with('/'),
            };
        }
        let rest = rest.split('?').next().unwrap_or(rest);
        let (authority, path) = split_authority(scheme, rest);
        Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            segments: segments(path),
            is_absolute: true,
        }
    }

    /// Whether kOps can run a cluster from here: whether its nodes can read the place
    /// (`IsClusterReadable` in kOps's util/pkg/vfs).
    #[must_use]
    pub fn can_run_clusters(&self) -> bool {
        let schemes = [
            "s3",
            "do",
            "scw",
            "linode",
            "hos",
            "gs",
            "azureblob",
            "swift",
        ];
        schemes.contains(&self.scheme.as_str())
    }

    /// The way from here to `other`: empty when they are the same place, `None` when `other` is
    /// neither this place nor below it.
    #[must_use]
    pub fn below(&self, other: &Self) -> Option<String> {
        let is_same_root = self.scheme == other.scheme
            && self.authority == other.authority
            && self.is_absolute == other.is_absolute;
        let rest = other.segments.strip_prefix(self.segments.as_slice())?;
        is_same_root.then(|| rest.join("/"))
    }

    /// The place at a relative path below this one.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let mut joined = self.clone();
        joined.segments.extend(segments(path));
        joined
    }

    /// Whether a free text names this place's bucket (or, for a file store, this folder): as a
    /// URL, as an ARN, as a host name, or all by itself.
    #[must_use]
    pub fn is_mentioned_in(&self, text: &str) -> bool {
        if self.scheme == "file" {
            if !self.is_absolute || self.segments.is_empty() {
                return false;
            }
            let (text, path) = (squeezed(text), self.to_string());
            return occurs(&text, &path, |before| !is_name(before))
                || occurs(&text, &format!("file://{path}"), |before| !is_name(before));
        }
        text.trim() == self.authority
            || occurs(text, &self.authority, |before| matches!(before, '/' | ':'))
            || text.contains(&format!("{}.s3", self.authority))
    }

    /// Whether a text names this very place or something below it: as kOps writes it, as a URL
    /// or as an ARN.
    #[must_use]
    pub fn is_named_in(&self, text: &str) -> bool {
        let shown = self.to_string();
        if self.scheme == "file" {
            return self.is_mentioned_in(text);
        }
        let path = shown.split_once("://").map_or("", |(_, path)| path);
        let text = squeezed(text);
        occurs(&text, &shown, |before| !is_name(before))
            || occurs(&text, path, |before| before == ':')
    }
}

impl From<&StoreUrl> for Location {
    fn from(url: &StoreUrl) -> Self {
        Self::parse(&url.to_string())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.segments.join("/");
        match (self.scheme.as_str(), path.as_str()) {
            ("file", path) if self.is_absolute => write!(f, "/{path}"),
            ("file", "") => f.write_str("."),
            ("file", path) => f.write_str(path),
            (scheme, "") => write!(f, "{scheme}://{}", self.authority),
            (scheme, path) => write!(f, "{scheme}://{}/{path}", self.authority),
        }
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|segment| !segment.is_empty() && *segment != ".")
        .map(str::to_owned)
        .collect()
}

/// A text with one slash where several say the same: those behind a scheme stay.
fn squeezed(text: &str) -> String {
    let mut squeezed = String::with_capacity(text.len());
    let mut is_open = false;
    for c in text.chars() {
        let is_again = c == '/' && squeezed.ends_with('/') && !is_open;
        is_open = c == ':' || (is_open && c == '/');
        if !is_again {
            squeezed.push(c);
        }
    }
    squeezed
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || "._-/".contains(c)
}

/// Whether `name` stands in `text` as a whole name, after a character that `opens` it.
fn occurs(text: &str, name: &str, opens: fn(char) -> bool) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        before.is_none_or(opens) && after.is_none_or(|c| c == '/' || !is_name(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(above: &str, other: &str) -> Option<String> {
        Location::parse(above).below(&Location::parse(other))
    }

    #[test]
    fn compares_places_not_spellings() {
        for (above, other, way) in [
            ("s3://b", "s3://b/c", Some("c")),
            ("s3://b/", "s3://b//c/", Some("c")),
            ("s3://b/c", "s3://b/c/", Some("")),
            ("s3://b?region=x", "s3://b/c", Some("c")),
            ("s3://b/pro", "s3://b/prod", None),
            ("s3://b", "s3://bb", None),
            ("k8s:///ns", "k8s:///ns/x/c", Some("x/c")),
            ("k8s:///ns", "k8s://ctx/ns/c", None),
            ("s3://b", "do://b/c", None),
            ("s3://b/c", "s3://b", None),
            ("/srv/s", "file:///srv/s/c", Some("c")),
            ("file:///srv/s/", "/srv/./s/c/d", Some("c/d")),
            ("/srv/s", "srv/s/c", None),
            ("/", "/srv", Some("srv")),
        ] {
            assert_eq!(below(above, other).as_deref(), way, "{above} {other}");
        }
    }

    #[test]
    fn prints_as_kops_writes() {
        for (text, shown) in [
            ("file:///srv/s/", "/srv/s"),
            ("s3://b/", "s3://b"),
            ("k8s:///ns/", "k8s:///ns"),
            ("k8s:///ns/x/", "k8s:///ns/x"),
            ("s3://b/x/?profile=p", "s3://b/x"),
            ("/", "/"),
            ("rel/x", "rel/x"),
        ] {
            assert_eq!(Location::parse(text).to_string(), shown);
        }
        assert_eq!(Location::parse("/srv").join("a/b").to_string(), "/srv/a/b");
    }

    #[test]
    fn finds_its_bucket_in_free_text() {
        let bucket = Location::parse("s3://prod/c.example.com");
        for text in [
            "arn:aws:s3:::prod/*",
            "aws s3 cp s3://prod/x .",
            "prod",
            "\"arn:aws:s3:::prod\"",
            "https://prod.s3.amazonaws.com/x",
        ] {
            assert!(bucket.is_mentioned_in(text), "{text}");
        }
        for text in [
            "the prod cluster",
            "s3://production/x",
            "s3://my/product",
            "s3://prod.x/y",
        ] {
            assert!(!bucket.is_mentioned_in(text), "{text}");
        }
        for (text, named) in [
            ("--store=s3://prod/c.example.com/backups", true),
            ("s3://prod/c.example.com", true),
            ("--store=s3://prod//c.example.com/backups", true),
            ("arn:aws:s3:::prod/c.example.com/*", true),
            ("s3://prod/c.example.com2", false),
            ("s3://prod/other", false),
        ] {
            assert_eq!(bucket.is_named_in(text), named, "{text}");
        }
        let namespace = Location::parse("k8s:///state/c.example.com");
        assert!(namespace.is_mentioned_in("kstate ls k8s:///state"));
        assert!(!namespace.is_mentioned_in("https://example.com/x:y"));
        let folder = Location::parse("/srv/state");
        for text in [
            "cat /srv/state/c/config",
            "base: file:///srv/state/c",
            "base: file:///srv//state",
            "base: '/srv//state/c'",
        ] {
            assert!(folder.is_named_in(text), "{text}");
        }
        assert!(!folder.is_named_in("file:///mnt/srv/state"));
        assert!(!folder.is_mentioned_in("cat /srv/state2 /mnt/srv/state"));
    }
}
