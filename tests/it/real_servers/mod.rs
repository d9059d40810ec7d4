//! Servers that others wrote: moto, Ceph's radosgw, and emulators of other clouds.
//! `tests/servers/README.md` says how to run these tests, and what each of the servers honours.

mod access;
mod azurite;
mod contract;
mod etcd;
mod gcs;
mod large;
mod locks;
mod policy;
mod scripts;
mod swift;
mod webdav;

use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use futures::{StreamExt, TryStreamExt, stream};
use kstate::store::s3::{Clients, S3Store, Tuning};
use kstate::store::{Key, StoreUrl};

use crate::support::{Desk, Ended, Tree};

/// Names of buckets that only this crate's tests would think of.
fn unique() -> String {
    format!("kstate-test-{:016x}", fastrand::u64(..))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run this as `tests/servers/with all -- \
             cargo test --locked --test it real_servers -- --ignored`"
        )
    })
}

/// One account at one server.
#[derive(Clone)]
struct Service {
    endpoint: String,
    region: String,
    /// The names of the variables that hold the keys.
    keys: [String; 2],
}

impl Service {
    fn moto() -> Self {
        Self::of("MOTO", "")
    }

    /// As Alice.
    fn radosgw() -> Self {
        Self::of("RADOSGW", "")
    }

    fn radosgw_as_bob() -> Self {
        Self::of("RADOSGW", "BOB_")
    }

    fn of(server: &str, user: &str) -> Self {
        Self {
            endpoint: variable(&format!("KSTATE_{server}_ENDPOINT")),
            region: variable(&format!("KSTATE_{server}_REGION")),
            keys: ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY"]
                .map(|key| format!("KSTATE_{server}_{user}{key}")),
        }
    }

    /// The environment that a [`url`](Self::url) needs.
    fn env(&self) -> Vec<(String, String)> {
        let keys = self.keys.iter();
        keys.map(|name| (name.clone(), variable(name))).collect()
    }

    /// A store's URL, which names everything but the keys themselves.
    fn url(&self, place: &str) -> String {
        let [id, secret] = &self.keys;
        format!(
            "s3://{place}?endpoint={}&region={}&access_key_env={id}&secret_key_env={secret}",
            self.endpoint, self.region
        )
    }

    fn open(&self, place: &str, tuning: Tuning) -> S3Store {
        let mut env = self.env();
        env.push(("AWS_EC2_METADATA_DISABLED".into(), "true".into()));
        let url = StoreUrl::parse(&self.url(place)).expect("a URL");
        let clients = Clients::with(env.into_iter().collect(), tuning);
        clients.open(&url).expect("a store")
    }

    /// A client without anything of ours.
    fn client(&self) -> Client {
        let [id, secret] = self.keys.each_ref().map(|name| variable(name));
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .endpoint_url(&self.endpoint)
            .credentials_provider(Credentials::new(id, secret, None, None, "tests"))
            .request_checksum_calculation(
                aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired,
            )
            .force_path_style(true)
            .build();
        Client::from_conf(config)
    }

    /// A bucket of the test's own.
    async fn bucket(&self) -> String {
        let name = unique();
        let made = self.client().create_bucket().bucket(&name).send().await;
        made.unwrap_or_else(|error| panic!("{}: {error:?}", self.endpoint));
        name
    }

    /// What a bucket holds.
    async fn tree(&self, bucket: &str) -> Tree {
        let client = self.client();
        let mut pages = client
            .list_objects_v2()
            .bucket(bucket)
            .into_paginator()
            .send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.expect("a page");
            keys.extend(page.contents.into_iter().flatten().filter_map(|o| o.key));
        }
        let read = |key: String| async {
            let got = client.get_object().bucket(bucket).key(&key).send().await?;
            let bytes = got.body.collect().await.expect("a body").to_vec();
            Ok::<_, aws_sdk_s3::Error>((key, bytes))
        };
        let objects = stream::iter(keys).map(read).buffer_unordered(8);
        objects.try_collect().await.expect("the objects")
    }
}

/// Runs the binary with the keys of all these services.
fn run(desk: &Desk, services: &[&Service], args: &[&str]) -> Ended {
    let mut command = desk.kstate(args);
    for service in services {
        command.envs(service.env());
    }
    Ended::of(command)
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

/// Bytes without a pattern that a part size could hide in.
fn noise(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes
}

/// Compares contents without printing them.
#[track_caller]
fn assert_same(found: &Path, wanted: &[u8]) {
    let found = std::fs::read(found).expect("the file");
    assert_eq!(found.len(), wanted.len());
    assert!(found == wanted, "other bytes");
}
