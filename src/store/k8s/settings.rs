//! Which cluster, which user and which namespace a URL and the environment mean.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Result, StoreUrl};

/// What decides which client serves a store. Stores with equal settings share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    /// The kubeconfig files, the first of which wins; those that don't exist don't count.
    pub kubeconfig: Vec<PathBuf>,
    /// The URL names the file, so that it must be there.
    pub names_file: bool,
    /// The context in them; the current one when the URL names none.
    pub context: Option<String>,
}

/// Reads a URL and the environment; gives the namespace with them.
///
/// # Errors
/// [`ErrorKind::Invalid`] when the namespace is missing or can't be one, or when the URL names
/// two contexts.
pub(super) fn read(url: &StoreUrl, env: &Env) -> Result<(Settings, String)> {
    let (context, namespace) = url
        .authority
        .split_once('/')
        .unwrap_or((&url.authority, ""));
    if let Some(fault) = namespace_fault(namespace) {
        return Err(invalid(url, fault).hint(
            "write it as k8s:///NAMESPACE/PREFIX, or as k8s://CONTEXT/NAMESPACE/PREFIX for \
             another context than the current one",
        ));
    }
    let context = percent_decode_str(context)
        .decode_utf8()
        .map_err(|_| invalid(url, "the name of the context is not UTF-8"))?;
    let option = |name: &str| url.options.get(name).filter(|value| !value.is_empty());
    let context = match (&*context, option("context")) {
        ("", None) => None,
        ("", Some(context)) => Some(context.clone()),
        (context, None) => Some(context.to_owned()),
        (context, Some(other)) if context == other => Some(other.clone()),
        (context, Some(other)) => {
            let message = format!("it names two contexts, '{context}' and '{other}'");
            return Err(invalid(url, message));
        }
    };
    let named = option("kubeconfig").map(PathBuf::from);
    let settings = Settings {
        names_file: named.is_some(),
        kubeconfig: match named {
            Some(file) => vec![file],
            None => kubeconfig(env),
        },
        context,
    };
    Ok((settings, namespace.to_owned()))
}

/// The files that kubectl would read.
fn kubeconfig(env: &Env) -> Vec<PathBuf> {
    match env.get("KUBECONFIG") {
        Some(list) => std::env::split_paths(list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect(),
        None => env
            .home()
            .map(|home| home.join(".kube/config"))
            .into_iter()
            .collect(),
    }
}

/// Why a text can't be a namespace's name (RFC 1123, as the API server checks it).
pub(super) fn namespace_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("the URL names no namespace".to_owned());
    }
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_good = name.len() <= 63
        && name.chars().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    (!is_good).then(|| {
        format!(
            "'{name}' can't be a namespace: at most 63 lower-case letters, digits and inner dashes"
        )
    })
}

fn invalid(url: &StoreUrl, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "open", message).at(url, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(url: &str, env: &[(&str, &str)]) -> Result<(Settings, String)> {
        let env: Env = env.iter().copied().collect();
        read(&StoreUrl::parse(url)?, &env)
    }

    #[test]
    fn contexts_come_from_the_url_its_option_or_nowhere() {
        for (url, wanted) in [
            ("k8s:///ns/x", None),
            ("k8s://kind-a/ns", Some("kind-a")),
            ("k8s://admin@kind/ns", Some("admin@kind")),
            (
                "k8s://arn%3Aaws%3Aeks%3Aeu-west-1%3A1%3Acluster%2Fprod/ns/x",
                Some("arn:aws:eks:eu-west-1:1:cluster/prod"),
            ),
            ("k8s:///ns?context=a/b:c", Some("a/b:c")),
            ("k8s://a/ns?context=a", Some("a")),
        ] {
            let (settings, namespace) = read_with(url, &[]).unwrap();
            assert_eq!(settings.context.as_deref(), wanted, "{url}");
            assert_eq!(namespace, "ns", "{url}");
        }
    }

    #[test]
    fn what_can_be_no_namespace_is_refused() {
        for (url, why) in [
            ("k8s://ns", "names no namespace"),
            ("k8s:///", "names no namespace"),
            ("k8s:///NS/x", "can't be a namespace"),
            ("k8s:///-a/x", "can't be a namespace"),
            ("k8s:///a.b/x", "can't be a namespace"),
            ("k8s://a/ns?context=b", "two contexts"),
        ] {
            let error = read_with(url, &[]).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains(why), "{url}: {error}");
        }
    }

    #[test]
    fn kubeconfig_files_are_those_that_kubectl_reads() {
        let files = |url: &str, env: &[(&str, &str)]| {
            let (settings, _) = read_with(url, env).unwrap();
            let paths = settings.kubeconfig.into_iter();
            paths
                .map(|path| path.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let home = ("HOME", "/home/ann");
        assert_eq!(files("k8s:///ns", &[home]), ["/home/ann/.kube/config"]);
        let list = ("KUBECONFIG", "/a::/b");
        assert_eq!(files("k8s:///ns", &[home, list]), ["/a", "/b"]);
        assert_eq!(files("k8s:///ns?kubeconfig=/c", &[list]), ["/c"]);
        assert_eq!(files("k8s:///ns", &[]), Vec::<String>::new());
    }
}
