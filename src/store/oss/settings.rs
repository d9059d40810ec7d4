//! What a store's URL and the environment say of where the service is, and who asks it.

use url::{Host, Url};

use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Result, StoreUrl};

/// What all hosts of the service end in.
const DOMAIN: &str = ".aliyuncs.com";

/// Where the service is, and whose name requests are signed in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    /// Scheme and host without a slash at the end; none where they follow from the region.
    endpoint: Option<String>,
    /// As in `cn-hangzhou`; none where the machine must be asked for its own.
    pub region: Option<String>,
    /// Whether the region is asked within Alibaba Cloud.
    is_internal: bool,
    /// The environment variables with the key and its secret, where the URL names them.
    pub keys: Option<(String, String)>,
}

/// What requests to one bucket begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub url: String,
    /// Whether the bucket is part of the host name rather than of the path.
    pub is_virtual_host: bool,
}

impl Settings {
    /// The options, then `OSS_REGION` (with or without `oss-`) and `ALIYUN_OSS_INTERNAL` as kOps
    /// read them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when one of them can't be what it is to be.
    pub(super) fn of(url: &StoreUrl, env: &Env) -> Result<Self> {
        let option = |name: &str| url.options.get(name).map(String::as_str);
        let invalid =
            |message: String| Error::new(ErrorKind::Invalid, "open", message).at(url, None);
        if !is_label(&url.authority) {
            let message = format!("'{}' can't be the name of a bucket", url.authority);
            return Err(invalid(message).hint("it has small letters, digits and '-'"));
        }
        let endpoint = match option("endpoint") {
            None => None,
            Some(text) => match endpoint(text) {
                Some(endpoint) => Some(endpoint),
                None => {
                    return Err(invalid(format!("the endpoint '{text}' is no URL"))
                        .hint("write it as https://oss-cn-hangzhou.aliyuncs.com"));
                }
            },
        };
        let spelled = endpoint.as_deref().and_then(region_in);
        let region = option("region").or(spelled).or(env.get("OSS_REGION"));
        let region = region.map(|name| name.strip_prefix("oss-").unwrap_or(name));
        if let Some(name) = region.filter(|name| !is_label(name)) {
            return Err(invalid(format!("'{name}' can't be a region"))
                .hint("write it as cn-hangzhou, in ?region= or OSS_REGION"));
        }
        let keys = match (option("access_key_env"), option("secret_key_env")) {
            (None, None) => None,
            (Some(id), Some(secret)) => Some((id.to_owned(), secret.to_owned())),
            _ => {
                let message = "access_key_env and secret_key_env are only useful together";
                return Err(invalid(message.to_owned()));
            }
        };
        Ok(Self {
            region: region.map(str::to_owned),
            endpoint,
            is_internal: env.get("ALIYUN_OSS_INTERNAL").is_some(),
            keys,
        })
    }

    /// What tells services apart. A bucket's name belongs to one bucket in all regions.
    pub(super) fn service(&self) -> &str {
        match self.endpoint.as_deref() {
            Some(endpoint) if !endpoint.ends_with(DOMAIN) => endpoint,
            _ => "aliyuncs.com",
        }
    }

    /// The host, as errors name it.
    pub(super) fn host(&self) -> String {
        match (&self.endpoint, &self.region) {
            (None, None) => "Alibaba Cloud OSS".to_owned(),
            (_, region) => {
                let endpoint = self.endpoint(region.as_deref().unwrap_or_default());
                let (_, host) = endpoint.split_once("://").unwrap_or_default();
                host.to_owned()
            }
        }
    }

    fn endpoint(&self, region: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None if self.is_internal => format!("https://oss-{region}-internal{DOMAIN}"),
            None => format!("https://oss-{region}{DOMAIN}"),
        }
    }

    /// Where a bucket is: a host of its own, but a path where the endpoint has no name, as in
    /// Alibaba's own clients.
    pub(super) fn base(&self, region: &str, bucket: &str) -> Base {
        let endpoint = self.endpoint(region);
        let host = Url::parse(&endpoint).ok();
        let is_virtual_host = host
            .as_ref()
            .and_then(Url::host)
            .is_some_and(|host| matches!(host, Host::Domain(name) if name != "localhost"));
        let url = match endpoint.split_once("://") {
            Some((scheme, host)) if is_virtual_host => format!("{scheme}://{bucket}.{host}"),
            _ => format!("{endpoint}/{bucket}"),
        };
        Base {
            url,
            is_virtual_host,
        }
    }
}

/// Whether it can be part of a host name.
fn is_label(name: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.chars().all(is_fit)
}

/// An endpoint as it was given, with a scheme and nothing behind the host.
fn endpoint(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&full).ok()?;
    let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_http = matches!(url.scheme(), "http" | "https");
    (is_plain && is_http && url.has_host() && url.username().is_empty()).then_some(full)
}

/// The region that a host name of the service spells out.
fn region_in(endpoint: &str) -> Option<&str> {
    let (_, host) = endpoint.split_once("://")?;
    let region = host.strip_suffix(DOMAIN)?.strip_prefix("oss-")?;
    let region = region.strip_suffix("-internal").unwrap_or(region);
    (region != "accelerate" && region != "accelerate-overseas").then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str, env: &[(&str, &str)]) -> Result<Settings> {
        let env = env.iter().copied().collect();
        Settings::of(&StoreUrl::parse(text).expect("a URL"), &env)
    }

    #[test]
    fn buckets_are_where_kops_found_them_and_where_the_options_say() {
        let hangzhou = ("OSS_REGION", "oss-cn-hangzhou");
        let internal = ("ALIYUN_OSS_INTERNAL", "true");
        for (text, env, url) in [
            (
                "oss://b",
                &[hangzhou][..],
                "https://b.oss-cn-hangzhou.aliyuncs.com",
            ),
            (
                "oss://b",
                &[hangzhou, internal],
                "https://b.oss-cn-hangzhou-internal.aliyuncs.com",
            ),
            (
                "oss://b?region=eu-central-1",
                &[hangzhou],
                "https://b.oss-eu-central-1.aliyuncs.com",
            ),
            (
                "oss://b?endpoint=oss-cn-beijing-internal.aliyuncs.com",
                &[hangzhou],
                "https://b.oss-cn-beijing-internal.aliyuncs.com",
            ),
            (
                "oss://b?endpoint=http://127.0.0.1:1/",
                &[hangzhou, internal],
                "http://127.0.0.1:1/b",
            ),
            (
                "oss://b?endpoint=http://localhost:1",
                &[hangzhou],
                "http://localhost:1/b",
            ),
            (
                "oss://b?endpoint=https://oss.example.com",
                &[hangzhou],
                "https://b.oss.example.com",
            ),
        ] {
            let settings = settings(text, env).expect(text);
            let region = settings.region.clone().expect(text);
            let base = settings.base(&region, "b");
            assert_eq!(base.url, url);
            assert_eq!(base.is_virtual_host, url.contains("//b."), "{text}");
            assert!(
                !region.starts_with("oss-") && !region.contains("internal"),
                "{region}"
            );
        }
        let accelerated = settings("oss://b?endpoint=oss-accelerate.aliyuncs.com", &[hangzhou]);
        assert_eq!(
            accelerated.expect("valid").region.as_deref(),
            Some("cn-hangzhou")
        );
        assert_eq!(settings("oss://b", &[]).expect("valid").region, None);
    }

    #[test]
    fn one_bucket_is_one_place_however_it_is_reached() {
        let service = |text: &str| settings(text, &[]).expect(text).service().to_owned();
        assert_eq!(service("oss://b?region=cn-hangzhou"), "aliyuncs.com");
        assert_eq!(
            service("oss://b?endpoint=oss-cn-hangzhou-internal.aliyuncs.com"),
            "aliyuncs.com"
        );
        assert_eq!(
            service("oss://b?endpoint=http://127.0.0.1:1"),
            "http://127.0.0.1:1"
        );
    }

    #[test]
    fn what_cant_be_is_refused() {
        for (text, env, what) in [
            ("oss://My_Bucket", &[][..], "name of a bucket"),
            ("oss://b#c", &[], "name of a bucket"),
            ("oss://b?endpoint=nonsense://x", &[], "no URL"),
            ("oss://b?endpoint=https://h/path", &[], "no URL"),
            (
                "oss://b",
                &[("OSS_REGION", "cn/hangzhou")],
                "can't be a region",
            ),
            ("oss://b?access_key_env=A", &[], "only useful together"),
        ] {
            let error = settings(text, env).expect_err(text);
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
