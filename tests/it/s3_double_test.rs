//! The S3 double keeps what it promises, seen through the AWS SDK.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod access;
mod faults;
mod listings;
mod multipart;
mod objects;
mod personalities;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::{Client, Config};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::s3_double::S3Double;

/// A client that asks once.
fn client(double: &S3Double) -> Client {
    client_of(double, "main", &double.secret_key(), "us-east-1")
}

fn client_of(double: &S3Double, access_key: &str, secret_key: &str, region: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(double.endpoint())
        .force_path_style(true)
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// The status and error code of a refused request.
fn refusal<T: std::fmt::Debug, E: ProvideErrorMetadata>(
    result: Result<T, SdkError<E, HttpResponse>>,
) -> (u16, String) {
    let error = result.expect_err("a refusal");
    let status = error
        .raw_response()
        .map_or(0, |response| response.status().as_u16());
    (status, error.code().unwrap_or_default().to_owned())
}

async fn text(output: GetObjectOutput) -> String {
    let bytes = output.body.collect().await.expect("the body").into_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Serves a bucket until it is stopped, for benches and other clients:
/// `cargo nextest run --run-ignored only --no-capture serve_for_others`.
#[test]
#[ignore = "runs until it is stopped"]
fn serve_for_others() {
    let double = S3Double::builder().bucket("bench").bucket("other").start();
    for (name, value) in double.env() {
        println!("export {name}={value}");
    }
    std::thread::park();
}
