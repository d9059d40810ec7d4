//! How to reach the API server: from the kubeconfig files as kubectl reads them, or as a pod.

use std::path::Path;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::client::Tuning;
use super::settings::Settings;
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Result};

/// What a client is made from. Reads files, and asks nobody.
///
/// # Errors
/// [`ErrorKind::Invalid`] when there is no configuration, or none that can be used.
pub(super) fn load(settings: &Settings, env: &Env, tuning: &Tuning) -> Result<Config> {
    let mut config = match kubeconfig(settings)? {
        Some(files) => from_files(settings, files, env)?,
        None if settings.context.is_none() && !settings.names_file => in_cluster(env, tuning)?,
        None => return Err(no_files(settings)),
    };
    config.connect_timeout = Some(tuning.connect_timeout);
    config.read_timeout = Some(tuning.answer_timeout);
    config.write_timeout = Some(tuning.answer_timeout);
    // Else a connection that lay in the pool would time out at once.
    config.reset_reader_on_write = true;
    // Our own know which requests may be repeated.
    config.default_retry = false;
    Ok(config)
}

/// All kubeconfig files that are there, as one.
fn kubeconfig(settings: &Settings) -> Result<Option<Kubeconfig>> {
    let mut merged: Option<Kubeconfig> = None;
    for path in &settings.kubeconfig {
        if !path.exists() && !settings.names_file {
            continue;
        }
        let next = Kubeconfig::read_from(path).and_then(|next| match merged.take() {
            Some(merged) => merged.merge(next),
            None => Ok(next),
        });
        merged = Some(next.map_err(|error| {
            let why = match error {
                // Its words may show a line with a token.
                KubeconfigError::Parse(_) => "it is no YAML, or not of this form".to_owned(),
                error => error.to_string(),
            };
            invalid(format!("the kubeconfig {}: {why}", path.display()))
                .hint("`kubectl config view` shows what kubectl makes of it")
        })?);
    }
    Ok(merged)
}

fn from_files(settings: &Settings, files: Kubeconfig, env: &Env) -> Result<Config> {
    let wanted = settings.context.as_ref().or(files.current_context.as_ref());
    let Some(wanted) = wanted.filter(|name| !name.is_empty()).cloned() else {
        return Err(invalid("the kubeconfig has no current context").hint(
            "name one, as k8s://CONTEXT/NAMESPACE, or set it: kubectl config use-context NAME",
        ));
    };
    let names: Vec<&str> = files.contexts.iter().map(|named| &*named.name).collect();
    if !names.contains(&&*wanted) {
        let near = crate::text::did_you_mean(&wanted, names.iter().copied());
        let message = format!("the kubeconfig has no context '{wanted}'{near}");
        return Err(invalid(message).hint(format!(
            "it has {}; k8s:///NAMESPACE, with three slashes, means the current one",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        )));
    }
    let options = KubeConfigOptions {
        context: Some(wanted.clone()),
        ..KubeConfigOptions::default()
    };
    let own_proxy = own_proxy(&files, &wanted);
    let loaded = Config::from_custom_kubeconfig(files, &options);
    // It has nothing to wait for.
    let loaded = futures::executor::block_on(loaded);
    let mut config = loaded
        .map_err(|error| invalid(format!("the context '{wanted}' in the kubeconfig: {error}")))?;
    if !own_proxy {
        config.proxy_url = proxy(&config.cluster_url, env)?;
    }
    Ok(config)
}

/// Whether the cluster of a context has a proxy of its own.
fn own_proxy(files: &Kubeconfig, context: &str) -> bool {
    let context = files.contexts.iter().find(|named| named.name == context);
    let cluster = context
        .and_then(|named| named.context.as_ref())
        .map(|c| &c.cluster);
    let cluster = files
        .clusters
        .iter()
        .find(|named| Some(&named.name) == cluster);
    cluster
        .and_then(|named| named.cluster.as_ref())
        .is_some_and(|cluster| {
            cluster
                .proxy_url
                .as_ref()
                .is_some_and(|url| !url.is_empty())
        })
}

/// The proxy that Go programs would take: `HTTPS_PROXY` unless `NO_PROXY` excepts the server,
/// and never for this machine itself.
fn proxy(server: &Uri, env: &Env) -> Result<Option<Uri>> {
    let either = |name: &str| {
        env.get(name)
            .or_else(|| env.get(&name.to_ascii_lowercase()))
    };
    let Some(proxy) = either("HTTPS_PROXY").filter(|_| server.scheme_str() == Some("https")) else {
        return Ok(None);
    };
    let matcher = Matcher::builder()
        .https(proxy)
        .no(either("NO_PROXY").unwrap_or_default())
        .build();
    if is_loopback(server.host().unwrap_or_default()) || matcher.intercept(server).is_none() {
        return Ok(None);
    }
    let with_scheme = if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    };
    let parsed = with_scheme.parse();
    // Not shown: it may hold a password.
    parsed
        .map(Some)
        .map_err(|_| invalid("HTTPS_PROXY is no URL"))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// As a pod's service account, from what the kubelet puts into each container:
/// <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>.
fn in_cluster(env: &Env, tuning: &Tuning) -> Result<Config> {
    let (Some(host), Some(port)) = (
        env.get("KUBERNETES_SERVICE_HOST"),
        env.get("KUBERNETES_SERVICE_PORT"),
    ) else {
        return Err(
            invalid("there is no kubeconfig, and this is no pod in a cluster")
                .hint("set KUBECONFIG, write ~/.kube/config, or name a file with ?kubeconfig=PATH"),
        );
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let server = format!("https://{host}:{port}");
    let server: Uri = server.parse().map_err(|_| {
        invalid(format!(
            "KUBERNETES_SERVICE_HOST and _PORT make no URL: {server}"
        ))
    })?;
    let file = |name: &str| {
        let path = tuning.service_account.join(name);
        require(&path).map(|()| path)
    };
    let mut config = Config::new(server);
    config.root_cert_file = Some(file("ca.crt")?);
    config.auth_info.token_file = file("token")?.to_str().map(str::to_owned);
    Ok(config)
}

fn require(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let message = format!(
        "this is a pod without a service account: {} is missing",
        path.display()
    );
    Err(invalid(message).hint("give the pod a service account (automountServiceAccountToken)"))
}

fn no_files(settings: &Settings) -> Error {
    let paths = settings
        .kubeconfig
        .iter()
        .map(|path| path.display().to_string());
    let message = match paths.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "there is no kubeconfig".to_owned(),
        paths => format!("there is no kubeconfig at {paths}"),
    };
    invalid(message).hint("set KUBECONFIG, or name a file with ?kubeconfig=PATH")
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "open", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_taken_as_go_programs_take_them() {
        let proxied = |server: &'static str, env: &[(&str, &str)]| {
            let env: Env = env.iter().copied().collect();
            let proxy = proxy(&Uri::from_static(server), &env).unwrap();
            proxy.map(|proxy| proxy.to_string())
        };
        let set = ("HTTPS_PROXY", "proxy.example:3128");
        let wanted = Some("http://proxy.example:3128/".to_owned());
        assert_eq!(proxied("https://k.example:6443", &[set]), wanted);
        for (server, no) in [
            ("http://k.example", ""),
            ("https://127.0.0.1:6443", ""),
            ("https://localhost:6443", ""),
            ("https://k.example", "k.example"),
            ("https://10.1.2.3", "10.0.0.0/8"),
        ] {
            assert_eq!(proxied(server, &[set, ("no_proxy", no)]), None, "{server}");
        }
    }

    #[test]
    fn a_pod_is_its_service_account() {
        let folder = tempfile::tempdir().unwrap();
        let tuning = Tuning {
            service_account: folder.path().to_owned(),
            ..Tuning::default()
        };
        let env: Env = [
            ("KUBERNETES_SERVICE_HOST", "fd00::1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
        ]
        .into_iter()
        .collect();
        let settings = Settings {
            kubeconfig: vec![folder.path().join("none")],
            names_file: false,
            context: None,
        };
        let error = load(&settings, &env, &tuning).unwrap_err();
        assert!(error.to_string().contains("ca.crt is missing"), "{error}");
        #[expect(clippy::disallowed_methods, reason = "tests write files")]
        for name in ["ca.crt", "token"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let config = load(&settings, &env, &tuning).unwrap();
        assert_eq!(config.cluster_url, "https://[fd00::1]:443/");
        assert_eq!(config.root_cert_file, Some(folder.path().join("ca.crt")));
        let error = load(&settings, &Env::default(), &tuning).unwrap_err();
        assert!(error.hint_text().unwrap().contains("KUBECONFIG"));
        let named = Settings {
            context: Some("a".into()),
            ..settings
        };
        let error = load(&named, &env, &tuning).unwrap_err();
        assert!(error.to_string().contains("no kubeconfig at"), "{error}");
    }
}
