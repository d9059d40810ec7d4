//! The HTTP client that everything here shares: S3 itself, and the services that credentials
//! come from.

use aws_sdk_s3::config::{RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};

use crate::store::registry::Env;

const PROXIES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// One pool of connections, without a limit on idle ones. Proxies are used as Go programs such
/// as kOps use them, which the SDK doesn't by itself.
pub(super) fn client(env: &Env) -> SharedHttpClient {
    let tls = Provider::Rustls(CryptoMode::AwsLc);
    if !PROXIES.iter().any(|name| env.get(name).is_some()) {
        return Builder::new().tls_provider(tls).build_https();
    }
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder().proxy_config(ProxyConfig::from_env());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        builder.tls_provider(tls.clone()).build()
    })
}
