//! Which service, which credentials and which region a URL and the environment mean.
//!
//! | endpoint from | keys from (unless the URL names them) |
//! |---|---|
//! | `?endpoint=` | `S3_ACCESS_KEY_ID`, unless `S3_ENDPOINT` names another service; else the AWS chain |
//! | `S3_ENDPOINT` | `S3_ACCESS_KEY_ID` and `S3_SECRET_ACCESS_KEY`, which kOps requires |
//! | `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, the profile | the AWS chain |
//! | nothing: AWS | the AWS chain |
//!
//! The keys of one service are never sent to another. On an `s3://` URL `?profile=` means "as
//! the AWS configuration says", so `S3_ENDPOINT` doesn't apply to it.

use ::http::Uri;

use super::profiles::Profiles;
use super::vendor::Vendor;
use crate::store::registry::Env;
use crate::store::{Error, ErrorKind, Result, StoreUrl};

const FIRST_REGION: &str = "us-east-1";

/// Everything that decides which client serves a store. Stores with equal settings share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    /// The service's URL without a slash at the end; none for AWS's own endpoints.
    pub endpoint: Option<String>,
    pub keys: Keys,
    pub role_arn: Option<String>,
    pub external_id: Option<String>,
    pub path_style: bool,
    /// The scheme decides the vendor of an endpoint that no vendor's host name matches.
    pub scheme: &'static str,
}

/// Where credentials come from. Holds names only, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Keys {
    /// Two environment variables.
    Variables { id: String, secret: String },
    /// One profile of the AWS configuration files.
    Profile(String),
    /// The AWS default chain.
    Chain,
}

/// In which region the bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Region {
    /// Known, or of no importance.
    Fixed(String),
    /// To be asked for, in a first call that is signed for this region.
    Discover(String),
}

enum Origin {
    Option,
    Kops,
    Aws,
}

/// Reads a URL's options and the environment.
///
/// # Errors
/// [`ErrorKind::Invalid`] when something required is missing or contradicts itself.
pub(super) fn read(url: &StoreUrl, env: &Env, profiles: &Profiles) -> Result<(Settings, Region)> {
    let option = |name: &str| {
        url.options
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    };
    let profile = Profiles::selected(option("profile"), env);
    if let Some(named) = option("profile")
        && let Some(fault) = profiles.missing(named)
    {
        return Err(invalid(url, fault).hint("`aws configure list-profiles` lists them"));
    }
    let (endpoint, origin) = endpoint(url, env, profiles, &profile)?;
    let keys = keys(url, env, endpoint.as_deref(), &origin)?;
    let host = endpoint.as_deref().and_then(host);
    let vendor = Vendor::of(&url.scheme, host.as_deref());
    let path_style = match option("path_style") {
        None => endpoint.is_some() && !vendor.virtual_hosts,
        Some("true") => true,
        Some("false") => false,
        Some(other) => {
            return Err(invalid(url, format!("path_style can't be '{other}'"))
                .hint("write path_style=true or path_style=false"));
        }
    };
    let from_aws = || {
        env.get("AWS_REGION")
            .or_else(|| env.get("AWS_DEFAULT_REGION"))
            .filter(|_| option("profile").is_none())
            .map(str::to_owned)
            .or_else(|| profiles.property(&profile, "region"))
    };
    let region = match (option("region"), &endpoint) {
        (Some(region), _) => Region::Fixed(region.to_owned()),
        (None, None) => Region::Discover(from_aws().unwrap_or_else(|| FIRST_REGION.into())),
        (None, Some(_)) => {
            let spelled = host.as_deref().and_then(|host| vendor.region_in(host));
            let region = match origin {
                Origin::Aws => None,
                Origin::Kops | Origin::Option => env.get("S3_REGION"),
            };
            let region = region.or(spelled).map(str::to_owned);
            Region::Fixed(match origin {
                Origin::Kops => region.unwrap_or_else(|| FIRST_REGION.into()),
                _ => region
                    .or_else(from_aws)
                    .unwrap_or_else(|| FIRST_REGION.into()),
            })
        }
    };
    let settings = Settings {
        endpoint,
        keys,
        role_arn: option("role_arn").map(str::to_owned),
        external_id: option("external_id").map(str::to_owned),
        path_style,
        scheme: vendor.scheme.unwrap_or("s3"),
    };
    if settings.external_id.is_some() && settings.role_arn.is_none() {
        return Err(invalid(url, "external_id is given without role_arn"));
    }
    Ok((settings, region))
}

fn endpoint(
    url: &StoreUrl,
    env: &Env,
    profiles: &Profiles,
    profile: &str,
) -> Result<(Option<String>, Origin)> {
    let by_profile = url.options.contains_key("profile");
    if let Some(endpoint) = url.options.get("endpoint").filter(|text| !text.is_empty()) {
        return Ok((Some(checked(url, "endpoint", endpoint)?), Origin::Option));
    }
    if url.scheme != "s3" || !by_profile {
        if let Some(endpoint) = env.get("S3_ENDPOINT") {
            return Ok((Some(checked(url, "S3_ENDPOINT", endpoint)?), Origin::Kops));
        }
        if url.scheme != "s3" {
            return Err(invalid(
                url,
                format!("{}:// needs the service's endpoint, and S3_ENDPOINT is not set", url.scheme),
            )
            .hint("export S3_ENDPOINT=https://HOST as for kOps, or put ?endpoint=https://HOST on the URL"));
        }
    }
    let ignored = env
        .get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if ignored {
        return Ok((None, Origin::Aws));
    }
    for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        if let Some(endpoint) = env.get(name) {
            return Ok((Some(checked(url, name, endpoint)?), Origin::Aws));
        }
    }
    match profiles.endpoint(profile) {
        Some(endpoint) => Ok((Some(checked(url, "endpoint_url", &endpoint)?), Origin::Aws)),
        None => Ok((None, Origin::Aws)),
    }
}

/// A full URI, which kOps demands too, in one spelling.
fn checked(url: &StoreUrl, name: &str, endpoint: &str) -> Result<String> {
    let wrong = |why: &str| {
        Err(
            invalid(url, format!("{name} is '{endpoint}', {why}")).hint(format!(
                "write it as a full URI, such as {name}=https://s3.example.com"
            )),
        )
    };
    if endpoint.contains('@') {
        return Err(invalid(
            url,
            format!("{name} contains '@': credentials don't belong in it"),
        ));
    }
    let Ok(uri) = endpoint.trim_end_matches('/').parse::<Uri>() else {
        return wrong("which is no valid URI");
    };
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority())
    else {
        return wrong("which is not a full http:// or https:// URI");
    };
    if uri.query().is_some() {
        return wrong("which has a query");
    }
    let default = if scheme == "http" { 80 } else { 443 };
    let port = authority
        .port_u16()
        .filter(|port| *port != default)
        .map_or_else(String::new, |port| format!(":{port}"));
    let host = authority.host().to_ascii_lowercase();
    Ok(format!(
        "{scheme}://{host}{port}{}",
        uri.path().trim_end_matches('/')
    ))
}

fn keys(url: &StoreUrl, env: &Env, endpoint: Option<&str>, origin: &Origin) -> Result<Keys> {
    let option = |name: &str| url.options.get(name).filter(|value| !value.is_empty());
    match (option("access_key_env"), option("secret_key_env")) {
        (Some(id), Some(secret)) => return variables(url, env, id, secret),
        (None, None) => {}
        _ => {
            return Err(invalid(
                url,
                "access_key_env and secret_key_env are only useful together",
            ));
        }
    }
    if let Some(profile) = option("profile") {
        return Ok(Keys::Profile(profile.clone()));
    }
    let kops = || variables(url, env, "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY");
    match origin {
        Origin::Kops => kops(),
        Origin::Option if env.get("S3_ACCESS_KEY_ID").is_some() => {
            let theirs = env.get("S3_ENDPOINT");
            let same = theirs.is_none_or(|theirs| {
                checked(url, "S3_ENDPOINT", theirs).ok().as_deref() == endpoint
            });
            if same { kops() } else { Ok(Keys::Chain) }
        }
        _ => Ok(Keys::Chain),
    }
}

fn variables(url: &StoreUrl, env: &Env, id: &str, secret: &str) -> Result<Keys> {
    for name in [id, secret] {
        if env.get(name).is_none() {
            let why = if name.starts_with("S3_") {
                " cannot be empty when S3_ENDPOINT is not empty"
            } else {
                ", which the URL names for its credentials, is not set"
            };
            return Err(invalid(url, format!("{name}{why}")).hint(format!(
                "export {id} and {secret}, or name a profile with ?profile=NAME"
            )));
        }
    }
    Ok(Keys::Variables {
        id: id.to_owned(),
        secret: secret.to_owned(),
    })
}

impl Settings {
    pub(super) fn vendor(&self) -> &'static Vendor {
        let host = self.endpoint.as_deref().and_then(host);
        Vendor::of(self.scheme, host.as_deref())
    }

    /// The service as errors name it.
    pub(super) fn service(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => "AWS".to_owned(),
        }
    }

    /// The service as it counts for telling whether two stores are the same: all of AWS's
    /// endpoints in one partition lead to the same buckets.
    pub(super) fn root(&self, region: &Region) -> String {
        let (Region::Fixed(region) | Region::Discover(region)) = region;
        match &self.endpoint {
            Some(endpoint) if !self.vendor().is_aws() => endpoint.clone(),
            _ if region.starts_with("cn-") => "aws-cn".to_owned(),
            _ if region.starts_with("us-gov-") => "aws-us-gov".to_owned(),
            _ => "aws".to_owned(),
        }
    }
}

fn host(endpoint: &str) -> Option<String> {
    let uri = endpoint.parse::<Uri>().ok()?;
    uri.host().map(str::to_owned)
}

fn invalid(url: &StoreUrl, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "open", message).at(url, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, env: &[(&str, &str)]) -> Result<(Settings, Region)> {
        let env: Env = env.iter().copied().collect();
        let config = "[profile prod]\nregion = eu-west-1\n\
            [profile local]\nendpoint_url = http://127.0.0.1:3\n";
        let profiles = Profiles::parse(config.to_owned(), String::new());
        read(&StoreUrl::parse(url).unwrap(), &env, &profiles)
    }

    fn refusal(url: &str, env: &[(&str, &str)]) -> String {
        settings(url, env).unwrap_err().to_string()
    }

    const KOPS: [(&str, &str); 3] = [
        ("S3_ENDPOINT", "https://nyc3.digitaloceanspaces.com/"),
        ("S3_ACCESS_KEY_ID", "id"),
        ("S3_SECRET_ACCESS_KEY", "secret"),
    ];

    fn kops_keys() -> Keys {
        Keys::Variables {
            id: "S3_ACCESS_KEY_ID".into(),
            secret: "S3_SECRET_ACCESS_KEY".into(),
        }
    }

    #[test]
    fn plain_s3_is_aws_with_its_chain_and_a_region_to_find() {
        let (aws, region) = settings("s3://b/x", &[("AWS_REGION", "eu-west-1")]).unwrap();
        assert_eq!(aws.endpoint, None);
        assert_eq!(aws.keys, Keys::Chain);
        assert!(!aws.path_style);
        assert_eq!(region, Region::Discover("eu-west-1".into()));
        let (_, region) = settings("s3://b?region=eu-north-1", &[]).unwrap();
        assert_eq!(region, Region::Fixed("eu-north-1".into()));
    }

    #[test]
    fn kops_variables_redirect_every_scheme_of_the_family() {
        for url in ["s3://b", "do://b", "scw://b", "linode://b", "hos://b"] {
            let (spaces, region) = settings(url, &KOPS).unwrap();
            assert_eq!(
                spaces.endpoint.as_deref(),
                Some("https://nyc3.digitaloceanspaces.com")
            );
            assert_eq!(spaces.keys, kops_keys());
            assert!(spaces.path_style);
            assert_eq!(region, Region::Fixed("us-east-1".into()));
            assert_eq!(spaces.vendor().name, "DigitalOcean Spaces");
        }
    }

    #[test]
    fn the_other_schemes_need_an_endpoint() {
        let text = refusal("do://b", &[]);
        assert!(text.contains("S3_ENDPOINT"), "{text}");
        assert!(settings("do://b?endpoint=https://x.example", &[]).is_ok());
    }

    #[test]
    fn kops_keys_must_come_with_its_endpoint() {
        let text = refusal("s3://b", &KOPS[..2]);
        assert!(
            text.contains("S3_SECRET_ACCESS_KEY cannot be empty when S3_ENDPOINT is not empty"),
            "{text}"
        );
    }

    #[test]
    fn endpoints_must_be_full_uris() {
        for endpoint in [
            "nyc3.digitaloceanspaces.com",
            "ftp://x",
            "https://a:b@x",
            "https://x?y",
        ] {
            let env = [("S3_ENDPOINT", endpoint), KOPS[1], KOPS[2]];
            let text = refusal("s3://b", &env);
            assert!(text.contains("S3_ENDPOINT"), "{text}");
        }
    }

    #[test]
    fn the_keys_of_one_service_are_not_sent_to_another() {
        let (other, _) = settings("s3://b?endpoint=https://other.example", &KOPS).unwrap();
        assert_eq!(other.keys, Keys::Chain);
        let (same, _) = settings(
            "s3://b?endpoint=https://NYC3.digitaloceanspaces.com:443",
            &KOPS,
        )
        .unwrap();
        assert_eq!(same.keys, kops_keys());
        let (alone, _) = settings("s3://b?endpoint=https://other.example", &KOPS[1..]).unwrap();
        assert_eq!(alone.keys, kops_keys());
    }

    #[test]
    fn a_profile_means_the_aws_configuration() {
        let (aws, region) = settings("s3://b?profile=prod", &KOPS).unwrap();
        assert_eq!(region, Region::Discover("eu-west-1".into()));
        assert_eq!(aws.endpoint, None);
        assert_eq!(aws.keys, Keys::Profile("prod".into()));
        let (spaces, _) = settings("do://b?profile=prod", &KOPS).unwrap();
        assert!(spaces.endpoint.is_some());
        let (local, _) = settings("s3://b", &[("AWS_PROFILE", "local")]).unwrap();
        assert_eq!(local.endpoint.as_deref(), Some("http://127.0.0.1:3"));
        assert!(refusal("s3://b?profile=prdo", &[]).contains("did you mean 'prod'?"));
    }

    #[test]
    fn aws_endpoint_variables_are_honoured() {
        let env = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2"),
        ];
        let (local, region) = settings("s3://b", &env).unwrap();
        assert_eq!(local.endpoint.as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(local.keys, Keys::Chain);
        assert_eq!(region, Region::Fixed("us-east-1".into()));
        let ignore = [env[0], ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
        assert_eq!(settings("s3://b", &ignore).unwrap().0.endpoint, None);
    }

    #[test]
    fn named_variables_must_be_set_and_come_in_pairs() {
        let both = "s3://b?access_key_env=A&secret_key_env=B";
        assert!(refusal(both, &[("A", "1")]).contains("B, which the URL names"));
        assert!(settings(both, &[("A", "1"), ("B", "2")]).is_ok());
        assert!(refusal("s3://b?access_key_env=A", &[("A", "1")]).contains("together"));
    }

    #[test]
    fn all_of_aws_is_one_place_and_every_endpoint_its_own() {
        let root = |url: &str, env: &[(&str, &str)]| {
            let (settings, region) = settings(url, env).unwrap();
            settings.root(&region)
        };
        assert_eq!(root("s3://b", &[]), "aws");
        assert_eq!(
            root("s3://b?endpoint=https://s3.eu-west-1.amazonaws.com", &[]),
            "aws"
        );
        assert_eq!(root("s3://b?region=cn-north-1", &[]), "aws-cn");
        assert_eq!(root("do://b", &KOPS), "https://nyc3.digitaloceanspaces.com");
    }

    #[test]
    fn scaleway_regions_are_read_off_the_endpoint() {
        let (_, region) = settings("scw://b?endpoint=https://s3.fr-par.scw.cloud", &[]).unwrap();
        assert_eq!(region, Region::Fixed("fr-par".into()));
    }
}
