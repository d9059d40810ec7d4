//! Settings: where an account is and who asks, by the URL and the environment.

use std::collections::HashMap;
use std::net::IpAddr;

use http::Uri;

use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Result, StoreUrl};

/// The ends of the hosts that are Azure's own, whose word on conditions is kept:
/// <https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-endpoints>.
const AZURE: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.storage.azure.net",
];

/// How one account is reached, and as whom.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    pub account: String,
    /// The account's URL, without a slash at the end.
    pub endpoint: String,
    pub secret: Secret,
}

/// What the calls are signed with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Secret {
    /// The account's key, in Base64.
    Key(String),
    /// A shared access signature, which is the query of a URL.
    Sas(String),
    /// The token of whoever is signed in.
    Token,
}

/// The account and the container that a URL names: `azureblob://account/container/prefix`, the
/// form of kOps since 1.36.
///
/// # Errors
/// [`ErrorKind::Invalid`] when either is missing or can't be one.
pub(super) fn place<'a>(url: &'a StoreUrl, env: &Env) -> Result<(&'a str, &'a str)> {
    let (account, container) = url
        .authority
        .split_once('/')
        .unwrap_or((&url.authority, ""));
    let wrong = if container.is_empty() {
        "the URL names no container".to_owned()
    } else if !is_container(container) {
        format!("'{container}' can't be the name of a container")
    } else if !url.options.contains_key("endpoint") && !is_account(account) {
        format!("'{account}' can't be the name of a storage account")
    } else {
        return Ok((account, container));
    };
    let form = match env.get("AZURE_STORAGE_ACCOUNT") {
        Some(account) => {
            let url = url.to_string();
            let (scheme, place) = url.split_once("://").unwrap_or_default();
            format!("{scheme}://{account}/{}", place.trim_end_matches('/'))
        }
        None => "azureblob://ACCOUNT/CONTAINER/PREFIX".to_owned(),
    };
    let hint = format!("since kOps 1.36 the account stands in the URL: write it as {form}");
    let error = Error::new(ErrorKind::Invalid, "open", wrong).at(url, None);
    Err(error.hint(hint))
}

/// <https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-name>
fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// <https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata#container-names>
fn is_container(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_plain = (3..=63).contains(&name.len()) && name.bytes().all(plain);
    (is_plain && !name.starts_with('-')) || ["$root", "$web", "$logs"].contains(&name)
}

impl Settings {
    /// The options, then what Azure's own programs read: `AZURE_STORAGE_CONNECTION_STRING`,
    /// `AZURE_STORAGE_KEY` (of `AZURE_STORAGE_ACCOUNT`, where that is set) and
    /// `AZURE_STORAGE_SAS_TOKEN`. What is there for another account is not for this one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when an option names no variable, or the endpoint is no URL.
    pub(super) fn new(url: &StoreUrl, account: &str, env: &Env) -> Result<Self> {
        let connection = Connection::of(env, account);
        let given = url.options.get("endpoint").cloned();
        let endpoint = match given.or_else(|| connection.endpoint(account)) {
            Some(endpoint) => {
                account_url(&endpoint, account).ok_or_else(|| not_a_url(&endpoint).at(url, None))?
            }
            None => format!("https://{account}.blob.core.windows.net"),
        };
        let named = named(url, "secret_key_env", env)?.map(Secret::Key);
        let named = match named {
            None => named_sas(url, env)?,
            named => named,
        };
        let secret = named.or_else(|| connection.secret());
        let secret = secret.or_else(|| of_env(account, env));
        Ok(Self {
            account: account.to_owned(),
            endpoint,
            secret: secret.unwrap_or(Secret::Token),
        })
    }

    /// The host, with its port, as errors name it.
    pub(super) fn host(&self) -> &str {
        let (_, place) = self.endpoint.split_once("://").unwrap_or_default();
        place.split('/').next().unwrap_or_default()
    }

    /// Whether it is Azure itself.
    pub(super) fn is_azure(&self) -> bool {
        self.endpoint.starts_with("https://") && AZURE.iter().any(|end| self.host().ends_with(end))
    }
}

fn named_sas(url: &StoreUrl, env: &Env) -> Result<Option<Secret>> {
    Ok(named(url, "sas_token_env", env)?.map(|sas| Secret::sas(&sas)))
}

impl Secret {
    fn sas(text: &str) -> Self {
        Self::Sas(text.trim_start_matches('?').to_owned())
    }
}

/// What the variable holds that an option names.
fn named(url: &StoreUrl, option: &str, env: &Env) -> Result<Option<String>> {
    let Some(variable) = url.options.get(option) else {
        return Ok(None);
    };
    let value = env.get(variable).ok_or_else(|| {
        let message = format!("the variable {variable}, which ?{option}= names, is not set");
        Error::new(ErrorKind::Invalid, "open", message).at(url, None)
    })?;
    Ok(Some(value.to_owned()))
}

fn of_env(account: &str, env: &Env) -> Option<Secret> {
    if env
        .get("AZURE_STORAGE_ACCOUNT")
        .is_some_and(|other| other != account)
    {
        return None;
    }
    let key = env.get("AZURE_STORAGE_KEY");
    let key = key.map(|key| Secret::Key(key.to_owned()));
    key.or_else(|| env.get("AZURE_STORAGE_SAS_TOKEN").map(Secret::sas))
}

/// A connection string: `Name=value;Other=value`, the names in lower case.
/// <https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>
struct Connection(HashMap<String, String>);

impl Connection {
    /// The one in the environment; an empty one where that is another account's.
    fn of(env: &Env, account: &str) -> Self {
        let text = env
            .get("AZURE_STORAGE_CONNECTION_STRING")
            .unwrap_or_default();
        let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        let pairs =
            pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        let all = Self(pairs.collect());
        // One with a signature names its account in the endpoint alone.
        let is_ours = match (all.get("accountname"), all.get("blobendpoint")) {
            (Some(name), _) => name == account,
            (None, Some(endpoint)) => account_url(endpoint, account).is_some_and(|endpoint| {
                let (_, place) = endpoint.split_once("://").unwrap_or_default();
                place.split(['.', '/']).any(|word| word == account)
            }),
            (None, None) => false,
        };
        if is_ours { all } else { Self(HashMap::new()) }
    }

    fn get(&self, name: &str) -> Option<&String> {
        self.0.get(name)
    }

    fn endpoint(&self, account: &str) -> Option<String> {
        let suffix = || {
            let suffix = self.get("endpointsuffix")?;
            let protocol = self.get("defaultendpointsprotocol");
            let protocol = protocol.map_or("https", String::as_str);
            Some(format!("{protocol}://{account}.blob.{suffix}"))
        };
        self.get("blobendpoint").cloned().or_else(suffix)
    }

    fn secret(&self) -> Option<Secret> {
        let key = self.get("accountkey").cloned().map(Secret::Key);
        key.or_else(|| {
            self.get("sharedaccesssignature")
                .map(|sas| Secret::sas(sas))
        })
    }
}

/// Shows of an endpoint only what can't hold a secret.
fn not_a_url(endpoint: &str) -> Error {
    let shown = endpoint.split(['?', '@']).next().unwrap_or_default();
    let message = format!("the endpoint '{shown}' is not the URL of a blob service");
    Error::new(ErrorKind::Invalid, "open", message).hint(
        "write it as https://ACCOUNT.blob.core.windows.net or http://127.0.0.1:10000/ACCOUNT, \
         without a query",
    )
}

/// The account's URL. Emulators, which have no host of the account's own, have it in the path.
fn account_url(endpoint: &str, account: &str) -> Option<String> {
    let endpoint = endpoint.trim_end_matches('/');
    let uri: Uri = endpoint.parse().ok()?;
    let authority = uri.authority()?;
    let host = authority.host();
    if !matches!(uri.scheme_str(), Some("http" | "https"))
        || uri.query().is_some()
        || authority.as_str().contains('@')
    {
        return None;
    }
    let host = host.trim_matches(['[', ']']);
    let is_machine = host == "localhost" || host.parse::<IpAddr>().is_ok();
    Some(if is_machine && uri.path() == "/" {
        format!("{endpoint}/{account}")
    } else {
        endpoint.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECTION: &str = "AZURE_STORAGE_CONNECTION_STRING";

    fn settings(url: &str, variables: &[(&str, &str)]) -> Result<Settings> {
        let env = variables.iter().copied().collect();
        let url = StoreUrl::parse(url).expect("a URL");
        let (account, _) = place(&url, &env)?;
        Settings::new(&url, account, &env)
    }

    #[test]
    fn the_account_is_in_the_host_or_in_the_path() {
        for (endpoint, expected) in [
            (
                "https://acc.blob.core.windows.net/",
                Some("https://acc.blob.core.windows.net"),
            ),
            (
                "https://blobs.example.com",
                Some("https://blobs.example.com"),
            ),
            ("http://127.0.0.1:10000", Some("http://127.0.0.1:10000/acc")),
            (
                "http://localhost:10000/",
                Some("http://localhost:10000/acc"),
            ),
            ("http://[::1]:10000", Some("http://[::1]:10000/acc")),
            ("http://azurite:10000/acc", Some("http://azurite:10000/acc")),
            ("127.0.0.1:10000", None),
            ("https://u:p@h", None),
            ("https://h?sig=s3cr3t", None),
        ] {
            assert_eq!(
                account_url(endpoint, "acc").as_deref(),
                expected,
                "{endpoint}"
            );
        }
        let shown = not_a_url("https://h?sig=s3cr3t").to_string();
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }

    #[test]
    fn secrets_are_found_and_those_of_another_account_are_not_used() {
        let own = "AccountName=acc;AccountKey=a2V5Cg==;EndpointSuffix=core.chinacloudapi.cn";
        let others = own.replace("=acc;", "=another;");
        let signed =
            "BlobEndpoint=https://acc.blob.core.windows.net;SharedAccessSignature=sv=1&sig=x";
        let local = "AccountName=acc;AccountKey=k;BlobEndpoint=http://127.0.0.1:1/acc;";
        for (variables, expected) in [
            (&[][..], "https://acc.blob.core.windows.net token"),
            (
                &[("AZURE_STORAGE_KEY", "k")],
                "https://acc.blob.core.windows.net key k",
            ),
            (
                &[("AZURE_STORAGE_ACCOUNT", "acc"), ("AZURE_STORAGE_KEY", "k")],
                "https://acc.blob.core.windows.net key k",
            ),
            (
                &[
                    ("AZURE_STORAGE_ACCOUNT", "another"),
                    ("AZURE_STORAGE_KEY", "k"),
                ],
                "https://acc.blob.core.windows.net token",
            ),
            (
                &[("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=x")],
                "https://acc.blob.core.windows.net sas sv=1&sig=x",
            ),
            (
                &[(CONNECTION, own)],
                "https://acc.blob.core.chinacloudapi.cn key a2V5Cg==",
            ),
            (
                &[(CONNECTION, &others)],
                "https://acc.blob.core.windows.net token",
            ),
            (
                &[(CONNECTION, signed)],
                "https://acc.blob.core.windows.net sas sv=1&sig=x",
            ),
            (&[(CONNECTION, local)], "http://127.0.0.1:1/acc key k"),
        ] {
            let found = settings("azureblob://acc/container/prefix", variables);
            let Settings {
                endpoint, secret, ..
            } = found.expect("settings");
            let secret = match secret {
                Secret::Key(key) => format!("key {key}"),
                Secret::Sas(sas) => format!("sas {sas}"),
                Secret::Token => "token".to_owned(),
            };
            assert_eq!(format!("{endpoint} {secret}"), expected, "{variables:?}");
        }
    }

    #[test]
    fn the_form_before_kops_1_36_is_told_from_todays() {
        for url in [
            "azureblob://container",
            "azureblob://container/",
            "azureblob://container/c.example.com",
            "azureblob://my-container/clusters",
        ] {
            let told = |variables: &[(&str, &str)]| {
                let error = settings(url, variables).err().expect(url);
                assert_eq!(*error.kind(), ErrorKind::Invalid);
                error.hint_text().unwrap_or_default().to_owned()
            };
            assert!(
                told(&[]).contains("azureblob://ACCOUNT/CONTAINER/PREFIX"),
                "{url}"
            );
            let told = told(&[("AZURE_STORAGE_ACCOUNT", "acc")]);
            let ours = url
                .trim_end_matches('/')
                .replace("azureblob://", "azureblob://acc/");
            assert!(told.ends_with(&ours), "{told}");
        }
        assert!(settings("azureblob://acc/$web?secret_key_env=NONE", &[]).is_err());
    }
}
