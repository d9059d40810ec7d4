//! Whose name requests are signed in: AWS's default chain over the environment handed down.
//!
//! The chain is put together here instead of by `aws_config::load_defaults`, because that reads
//! the process environment, and because the instance metadata service is asked only on an EC2
//! instance, as kOps does: elsewhere asking it costs seconds.

use std::sync::Arc;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_s3::config::SharedHttpClient;
use aws_types::os_shim_internal::Fs;
use futures::FutureExt;

use super::profiles::Profiles;
use super::settings::{Keys, Settings};
use crate::store::registry::Env;

const SESSION: &str = "kstate";

/// Puts the chain together; credentials are fetched when the first request is signed.
pub(super) async fn provider(
    settings: &Settings,
    env: &Env,
    profiles: &Profiles,
    http: &SharedHttpClient,
    region: &str,
) -> SharedCredentialsProvider {
    let conf = ProviderConfig::without_region()
        .with_region(Some(Region::new(region.to_owned())))
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(http.clone());
    let base = match &settings.keys {
        Keys::Variables { id, secret } => match (env.get(id), env.get(secret)) {
            (Some(id), Some(secret)) => fixed(id, secret, None),
            _ => none(format!("{id} and {secret} are not set")),
        },
        Keys::Profile(profile) => {
            SharedCredentialsProvider::new(from_profile(profile, env, profiles, &conf))
        }
        Keys::Chain => chain(env, profiles, &conf),
    };
    match &settings.role_arn {
        Some(role) => assume(role, settings, http, region, base).await,
        None => base,
    }
}

fn chain(env: &Env, profiles: &Profiles, conf: &ProviderConfig) -> SharedCredentialsProvider {
    let named = env.get("AWS_PROFILE");
    let from_env = match (
        env.get("AWS_ACCESS_KEY_ID"),
        env.get("AWS_SECRET_ACCESS_KEY"),
    ) {
        (Some(id), Some(secret)) => fixed(id, secret, env.get("AWS_SESSION_TOKEN")),
        _ => none("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"),
    };
    let profile = named.unwrap_or("default");
    let mut chain = CredentialsProviderChain::first_try("Environment", from_env)
        .or_else("Profile", from_profile(profile, env, profiles, conf));
    if let (Some(token), Some(role)) = (
        env.get("AWS_WEB_IDENTITY_TOKEN_FILE"),
        env.get("AWS_ROLE_ARN"),
    ) {
        let identity = StaticConfiguration {
            web_identity_token_file: token.into(),
            role_arn: role.to_owned(),
            session_name: env
                .get("AWS_ROLE_SESSION_NAME")
                .unwrap_or(SESSION)
                .to_owned(),
        };
        chain = chain.or_else(
            "WebIdentityToken",
            WebIdentityTokenCredentialsProvider::builder()
                .configure(conf)
                .static_configuration(identity)
                .build(),
        );
    }
    let in_container = [
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    if in_container.iter().any(|name| env.get(name).is_some()) {
        let ecs = EcsCredentialsProvider::builder().configure(conf).build();
        chain = chain.or_else("EcsContainer", ecs);
    }
    if may_ask_instance(env) {
        let imds = ImdsCredentialsProvider::builder().configure(conf).build();
        chain = chain.or_else("Ec2InstanceMetadata", imds);
    }
    SharedCredentialsProvider::new(chain)
}

fn from_profile(
    profile: &str,
    env: &Env,
    profiles: &Profiles,
    conf: &ProviderConfig,
) -> ProfileFileCredentialsProvider {
    let mut builder = ProfileFileCredentialsProvider::builder()
        .configure(conf)
        .profile_name(profile)
        .profile_files(profiles.files());
    let from_env = match (
        env.get("AWS_ACCESS_KEY_ID"),
        env.get("AWS_SECRET_ACCESS_KEY"),
    ) {
        (Some(id), Some(secret)) => fixed(id, secret, env.get("AWS_SESSION_TOKEN")),
        _ => none("the profile takes credentials from the environment, where there are none"),
    };
    builder = builder.with_custom_provider("Environment", from_env);
    if !may_ask_instance(env) {
        let absent = none("the profile takes credentials from an EC2 instance, and this is none");
        builder = builder.with_custom_provider("Ec2InstanceMetadata", absent);
    }
    builder.build()
}

async fn assume(
    role: &str,
    settings: &Settings,
    http: &SharedHttpClient,
    region: &str,
    base: SharedCredentialsProvider,
) -> SharedCredentialsProvider {
    let conf = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http.clone())
        .region(Region::new(region.to_owned()))
        .build();
    let mut builder = AssumeRoleProvider::builder(role)
        .configure(&conf)
        .session_name(SESSION);
    if let Some(id) = &settings.external_id {
        builder = builder.external_id(id);
    }
    SharedCredentialsProvider::new(builder.build_from_provider(base).await)
}

fn fixed(id: &str, secret: &str, token: Option<&str>) -> SharedCredentialsProvider {
    let token = token.map(str::to_owned);
    SharedCredentialsProvider::new(Credentials::new(id, secret, token, None, "environment"))
}

fn none(why: impl Into<String>) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Nothing(Arc::new(why.into())))
}

/// A link of the chain that has no credentials, and says why.
#[derive(Clone, Debug)]
struct Nothing(Arc<String>);

impl ProvideCredentials for Nothing {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let result: provider::Result = Err(CredentialsError::not_loaded(self.0.to_string()));
        future::ProvideCredentials::ready(result)
    }
}

/// Whether to look for an instance role: kOps asks the metadata service only on EC2.
fn may_ask_instance(env: &Env) -> bool {
    let disabled = env
        .get("AWS_EC2_METADATA_DISABLED")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    !disabled && is_ec2()
}

/// See <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html>.
fn is_ec2() -> bool {
    let starts = |path: &str, with: &str| {
        // The shim reads synchronously, so the future never waits.
        Fs::real()
            .read_to_end(path)
            .now_or_never()
            .and_then(Result::ok)
            .is_some_and(|text| {
                text.get(..with.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
            })
    };
    starts("/sys/devices/virtual/dmi/id/product_uuid", "ec2")
        || starts("/sys/hypervisor/uuid", "ec2")
        || starts("/sys/devices/virtual/dmi/id/sys_vendor", "Amazon EC2")
}
