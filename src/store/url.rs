//! Store URLs: `scheme://bucket/prefix?option=value`, and bare paths.

use std::collections::BTreeMap;

use super::{Error, ErrorKind, Key, Result, registry};

/// The options on a store's URL, or beside it in kstate's own configuration.
pub type UrlOptions = BTreeMap<String, String>;

/// A parsed store URL. Its `Display` is the URL as it may be shown and written anywhere: without
/// the options; a bare path for a file store, as kOps writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    /// The scheme in lower case, `file` for a bare path.
    pub scheme: String,
    /// What follows `//` up to the next slash: the bucket; empty for `file`. For `k8s` and
    /// `azureblob` up to the slash after the next: the context, which may be empty, and the
    /// namespace; the account and the container.
    pub authority: String,
    /// The folder in the bucket, without a slash at either end; for `file` the path as given.
    pub path: String,
    /// How to reach the store. Never shown, never written to a manifest.
    pub options: UrlOptions,
}

/// What each option means, by which unknown ones are told.
pub(crate) const OPTIONS: &[(&str, &str)] = &[
    ("profile", "the profile in the AWS configuration files"),
    ("region", "the bucket's region"),
    (
        "endpoint",
        "the service's URL, such as https://nyc3.digitaloceanspaces.com",
    ),
    ("role_arn", "a role to assume"),
    ("external_id", "the external id that the role asks for"),
    (
        "access_key_env",
        "the name of the environment variable with the access key id",
    ),
    (
        "secret_key_env",
        "the name of the environment variable with the secret access key, or an Azure account's key",
    ),
    (
        "sas_token_env",
        "the name of the environment variable with the shared access signature, for azureblob",
    ),
    (
        "path_style",
        "true: the bucket in the path, not in the host name",
    ),
    ("acl", "the canned ACL of every object written"),
    ("sse", "AES256, aws:kms or none, instead of kOps's rule"),
    ("sse_kms_key_id", "the KMS key for sse=aws:kms"),
    (
        "credentials_file",
        "a service account's key file, for gs://; an INI file as kOps reads it, for swift://",
    ),
    ("cloud", "the cloud in clouds.yaml, for swift://"),
    ("context", "the context in the kubeconfig, for k8s"),
    ("kubeconfig", "the kubeconfig file, instead of KUBECONFIG"),
];

/// What an option means to the stores of a scheme.
pub(crate) fn option_doc(scheme: &str, name: &str) -> &'static str {
    match (scheme, name) {
        ("gs", "credentials_file") => "a service account's key file",
        ("swift", "credentials_file") => "an INI file as kOps reads it",
        ("swift", "cloud") => "the cloud in clouds.yaml",
        ("swift", "region") => "the region of the endpoint in the catalogue",
        ("swift", "endpoint") => "the account's URL, instead of the one in the catalogue",
        ("azureblob", "secret_key_env") => {
            "the name of the environment variable with the account's key"
        }
        ("azureblob", "sas_token_env") => {
            "the name of the environment variable with the shared access signature"
        }
        ("gs" | "azureblob" | "oss", "endpoint") => {
            "the service's URL, instead of the vendor's own"
        }
        ("s3", "secret_key_env") => {
            "the name of the environment variable with the secret access key"
        }
        _ => OPTIONS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, doc)| doc),
    }
}

const SECRETS: &[&str] = &[
    "access_key",
    "access_key_id",
    "secret",
    "secret_key",
    "secret_access_key",
    "session_token",
    "token",
    "password",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "sig",
    "sas_token",
];

impl StoreUrl {
    /// Parses a URL or a path, with kOps's reading of both: what has no `://` is a path, a
    /// scheme is case-sensitive, empty segments at the end don't count. Whether the scheme is
    /// one we know is the registry's business.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a URL without a bucket, with credentials in it, or with an
    /// option that doesn't exist.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Self::file(text);
        };
        if scheme == "file" {
            return Self::file(rest);
        }
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let shown = format!("{scheme}://{location}");
        let (authority, path) = split_authority(scheme, location);
        // kubeadm's contexts are called USER@CLUSTER.
        if authority.contains('@') && scheme != "k8s" {
            return Err(secret_in_url(&shown[..shown.len() - location.len()]));
        }
        let options = parse_options(scheme, query).map_err(|error| error.at(&shown, None))?;
        if authority.is_empty() {
            let form = match scheme {
                "k8s" => "[CONTEXT]/NAMESPACE/PREFIX",
                "azureblob" => "ACCOUNT/CONTAINER/PREFIX",
                _ => "BUCKET/PREFIX",
            };
            return Err(invalid("the URL names no bucket")
                .at(&shown, None)
                .hint(format!("write it as {scheme}://{form}")));
        }
        let path = path.trim_end_matches('/');
        if !path.is_empty() {
            Key::parse(path).map_err(|bad| {
                invalid(format!("its path can't be a prefix: {}", bad.reason)).at(&shown, None)
            })?;
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            options,
        })
    }

    /// Checks that there is no option but these, which the kind of store has.
    pub(super) fn takes_options(&self, known: &[&str]) -> Result<()> {
        match self
            .options
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            None => Ok(()),
            Some(name) => Err(
                invalid(format!("{}:// has no option '{name}'", self.scheme))
                    .at(self, None)
                    .hint(match known {
                        [] => "it has no options".to_owned(),
                        _ => format!("its options are {}", known.join(", ")),
                    }),
            ),
        }
    }

    fn file(path: &str) -> Result<Self> {
        if path.is_empty() {
            return Err(invalid("the path is empty"));
        }
        if path.contains('\0') {
            return Err(invalid("the path contains a NUL byte"));
        }
        let trimmed = path.trim_end_matches('/');
        Ok(Self {
            scheme: "file".into(),
            authority: String::new(),
            path: if trimmed.is_empty() { "/" } else { trimmed }.to_owned(),
            options: UrlOptions::new(),
        })
    }

    /// Splits the last segment off, for commands that name one object by its full URL. `None`
    /// when the URL has no path to split.
    #[must_use]
    pub fn split_object(&self) -> Option<(Self, Key)> {
        let (parent, name) = match self.path.rsplit_once('/') {
            Some(("", name)) if self.scheme == "file" => ("/", name),
            Some(split) => split,
            None if self.scheme == "file" => (".", self.path.as_str()),
            None => ("", self.path.as_str()),
        };
        let key = Key::parse(name).ok()?;
        let store = Self {
            path: parent.to_owned(),
            ..self.clone()
        };
        Some((store, key))
    }

    /// Checks that every option of a store of ours is known, and that none is a credential. What
    /// else a store of another scheme may be told is its backend's business.
    pub(crate) fn check_options(scheme: &str, options: &UrlOptions) -> Result<()> {
        let is_secret = |name: &String| SECRETS.contains(&name.to_ascii_lowercase().as_str());
        if options.keys().any(is_secret) {
            return Err(secret_in_url(""));
        }
        for name in options.keys() {
            if registry::is_ours(scheme) && !OPTIONS.iter().any(|(known, _)| known == name) {
                let near = crate::text::did_you_mean(name, OPTIONS.iter().map(|(known, _)| *known));
                let known: Vec<_> = OPTIONS.iter().map(|(known, _)| *known).collect();
                return Err(invalid(format!("there is no store option '{name}'{near}"))
                    .hint(format!("the options are {}", known.join(", "))));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.scheme == "file" {
            return f.write_str(&self.path);
        }
        write!(f, "{}://{}", self.scheme, self.authority)?;
        if self.path.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.path)
    }
}

impl std::str::FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// Splits what names the bucket from the folder in it.
pub(crate) fn split_authority<'a>(scheme: &str, location: &'a str) -> (&'a str, &'a str) {
    let segments = match scheme {
        "k8s" | "azureblob" => 2,
        _ => 1,
    };
    match location.match_indices('/').nth(segments - 1) {
        Some((at, _)) => (&location[..at], &location[at + 1..]),
        None => (location, ""),
    }
}

fn parse_options(scheme: &str, query: &str) -> Result<UrlOptions> {
    let mut options = UrlOptions::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value)
            .decode_utf8()
            .map_err(|_| invalid(format!("the option '{name}' is not UTF-8")))?;
        options.insert(name.to_owned(), value.into_owned());
    }
    StoreUrl::check_options(scheme, &options)?;
    Ok(options)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "use the store", message)
}

fn secret_in_url(store: &str) -> Error {
    invalid("credentials don't belong in a URL: it ends up in process lists, histories and logs")
        .at(store, None)
        .hint("name a profile (?profile=NAME), or environment variables (?access_key_env=A&secret_key_env=B, ?sas_token_env=C)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        StoreUrl::parse(text).map_or_else(|error| format!("error: {error}"), |url| url.to_string())
    }

    #[test]
    fn reads_urls_as_kops_does() {
        for (text, expected) in [
            ("s3://b", "s3://b"),
            ("s3://b/", "s3://b"),
            ("s3://b//", "s3://b"),
            ("s3://b/x/y/", "s3://b/x/y"),
            ("b", "b"),
            ("s3:b", "s3:b"),
            ("/srv/state/", "/srv/state"),
            ("file:///srv/state", "/srv/state"),
            ("file://rel", "rel"),
            ("/", "/"),
            ("/a?b", "/a?b"),
            ("memfs://x/y", "memfs://x/y"),
            ("k8s:///ns", "k8s:///ns"),
            ("k8s:///ns/x/y/", "k8s:///ns/x/y"),
            ("k8s://admin@kind/ns/x", "k8s://admin@kind/ns/x"),
            (
                "s3://b/x?region=eu-west-1&endpoint=http%3A%2F%2F127.0.0.1%3A1",
                "s3://b/x",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_can_only_be_a_mistake() {
        for text in [
            "",
            "s3://",
            "s3:///b",
            "s3://b/../c",
            "s3://b/x//y",
            "s3://b?regoin=x",
        ] {
            assert!(
                shown(text).starts_with("error: "),
                "{text}: {}",
                shown(text)
            );
        }
        assert!(shown("s3://b?regoin=x").contains("region"));
    }

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        for text in [
            "s3://AKIA:s3cr3t@b/x",
            "s3://b?secret_access_key=s3cr3t",
            "s3://b?Token=s3cr3t",
            "azureblob://acc/container?sv=1&sig=s3cr3t",
            "etcd://h?password=s3cr3t",
        ] {
            let text = shown(text);
            assert!(text.starts_with("error: "), "{text}");
            assert!(!text.contains("s3cr3t"), "{text}");
        }
    }

    #[test]
    fn splits_the_object_off() {
        let split = |text: &str| {
            let url = StoreUrl::parse(text).expect("a literal URL");
            url.split_object()
                .map(|(store, key)| (store.to_string(), key.to_string()))
        };
        assert_eq!(split("s3://b/x/y"), Some(("s3://b/x".into(), "y".into())));
        assert_eq!(split("s3://b/x"), Some(("s3://b".into(), "x".into())));
        assert_eq!(split("s3://b"), None);
        assert_eq!(split("k8s:///n/x"), Some(("k8s:///n".into(), "x".into())));
        assert_eq!(split("k8s:///n"), None);
        assert_eq!(
            split("azureblob://a/c/x"),
            Some(("azureblob://a/c".into(), "x".into()))
        );
        assert_eq!(split("azureblob://a/c"), None);
        assert_eq!(split("/x"), Some(("/".into(), "x".into())));
        assert_eq!(split("x"), Some((".".into(), "x".into())));
    }
}
