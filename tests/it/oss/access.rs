//! Where the service is, who asks it, and what it says to strangers.

use std::sync::Arc;

use futures::TryStreamExt;
use kstate::store::oss::Clients;
use kstate::store::{Error, ListOptions, ReadOptions, Store, StoreUrl};

use super::{ENVIRONMENT, KEY, REGION, create, key, open, put, quick, scene};
use crate::oss_double::{self, IDENTITY, ROLE};
use crate::support::{Desk, Ended};

fn open_as(env: &[(&str, &str)], url: &str) -> Arc<dyn Store> {
    let clients = Clients::with(env.iter().copied().collect(), quick());
    let url = StoreUrl::parse(url).expect("a literal URL");
    Arc::new(clients.open(&url).expect("a store"))
}

async fn asked(env: &[(&str, &str)], url: &str) -> Result<(), Error> {
    put(&open_as(env, url), "k", "x").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_under_every_name() {
    let double = oss_double::start();
    let endpoint = double.endpoint();
    let url = format!("oss://bucket?endpoint={endpoint}");
    let [region, ..] = ENVIRONMENT;
    let wrong = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "another");
    for env in [
        &ENVIRONMENT[..],
        // kOps's names come first.
        &[
            &ENVIRONMENT[..],
            &[wrong, ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "another's")],
        ]
        .concat(),
        &[
            region,
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY.0),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", KEY.1),
        ],
        &[
            region,
            ("OSS_ACCESS_KEY_ID", KEY.0),
            ("OSS_ACCESS_KEY_SECRET", KEY.1),
        ],
        &[
            region,
            ("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", &endpoint),
        ],
        // The region is the machine's own.
        &[(
            "ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT",
            endpoint.as_str(),
        )],
    ] {
        asked(env, &url)
            .await
            .unwrap_or_else(|error| panic!("{env:?}: {error:?}"));
    }
    let named = format!("{url}&region={REGION}&access_key_env=A&secret_key_env=B");
    asked(&[("A", KEY.0), ("B", KEY.1)], &named)
        .await
        .expect("named variables");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_takes_the_role_that_its_environment_names() {
    let double = oss_double::start();
    let url = format!("oss://bucket?endpoint={}", double.endpoint());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("token");
    let [region, ..] = ENVIRONMENT;
    let endpoint = double.endpoint();
    let env = [
        region,
        ("ALIBABA_CLOUD_STS_ENDPOINT", endpoint.as_str()),
        ("ALIBABA_CLOUD_ROLE_ARN", ROLE),
        (
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
            "acs:ram::1:oidc-provider/x",
        ),
        (
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
            file.to_str().expect("UTF-8"),
        ),
    ];
    std::fs::write(&file, IDENTITY).expect("a file");
    asked(&env, &url).await.expect("the pod's role");
    std::fs::write(&file, "another").expect("a file");
    // It is meant, so that nobody else is asked.
    let error = asked(&env, &url).await.expect_err("another pod");
    assert_eq!(error.kind().name(), "permission_denied", "{error}");
    assert!(error.to_string().contains("no such identity"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_is_told_what_to_set() {
    let double = oss_double::start();
    let url = format!("oss://bucket?endpoint={}", double.endpoint());
    let nobody = [("AWS_EC2_METADATA_DISABLED", "true")];
    let [region, id, _] = ENVIRONMENT;
    let error = asked(&[nobody[0], region], &url).await.expect_err("nobody");
    assert_eq!(error.kind().name(), "permission_denied", "{error}");
    let hint = error.hint_text().unwrap_or_default();
    assert!(hint.contains("ALIYUN_ACCESS_KEY_ID"), "{hint}");
    let error = asked(&nobody, &url).await.expect_err("nowhere");
    assert_eq!(error.kind().name(), "invalid", "{error}");
    assert!(
        error.to_string().contains("set OSS_REGION or ?region="),
        "{error}"
    );
    let secret = ("ALIYUN_ACCESS_KEY_SECRET", "a wrong secret");
    let error = asked(&[region, id, secret], &url)
        .await
        .expect_err("a wrong secret");
    assert_eq!(error.kind().name(), "permission_denied", "{error}");
    assert!(
        error.to_string().contains("SignatureDoesNotMatch"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("a wrong secret"));
    let elsewhere = format!("{url}&region=cn-beijing");
    let error = asked(&ENVIRONMENT, &elsewhere)
        .await
        .expect_err("another region");
    assert!(error.to_string().contains("signing region"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_elsewhere_is_told_with_its_endpoint() {
    let (double, store) = scene();
    double.service().moved_to = Some("oss-cn-beijing.aliyuncs.com".to_owned());
    let error = store.stat(&key("k")).await.expect_err("elsewhere");
    assert_eq!(error.kind().name(), "invalid", "{error}");
    let text = error.to_string();
    assert!(
        text.contains("the bucket is at oss-cn-beijing.aliyuncs.com"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named() {
    let double = oss_double::start();
    let store = open(&double, "oss://nowhere/state");
    let listed = store
        .list(ListOptions::default())
        .try_collect::<Vec<_>>()
        .await;
    let created = create(&store, "k", "x").await;
    for error in [
        store.stat(&key("k")).await.expect_err("no bucket"),
        store
            .read(&key("k"), ReadOptions::default())
            .await
            .err()
            .expect("no bucket"),
        listed.expect_err("no bucket"),
        created.expect_err("no bucket"),
    ] {
        assert_eq!(error.kind().name(), "not_found");
        assert!(!error.is_missing_key(), "{error}");
        assert!(
            error.to_string().contains("no such bucket 'nowhere'"),
            "{error}"
        );
    }
}

#[test]
fn no_secret_is_in_any_log() {
    let double = oss_double::start();
    let desk = Desk::new();
    for query in ["", "&access_key_env=A&secret_key_env=B"] {
        let store = format!("oss://bucket?endpoint={}{query}", double.endpoint());
        let mut command = desk.kstate(&["-vv", "ls", &store]);
        command.envs(ENVIRONMENT).env("A", KEY.0).env("B", KEY.1);
        let ended = Ended::of(command).with(0);
        assert!(!ended.stderr.contains(KEY.1), "{}", ended.stderr);
    }
}
