//! The Alibaba Cloud OSS backend against a service in this process.

mod access;
mod contract;
mod faults;
mod use_cases;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use kstate::store::oss::Clients;
use kstate::store::rest::Tuning;
use kstate::store::retry::Policy;
use kstate::store::{Body, Key, Meta, Result, Store, StoreUrl, WriteOptions};

use crate::http_double::Double;
use crate::oss_double::{self, KEY, Oss, REGION};

/// Many attempts without the pauses, and small parts.
fn quick() -> Tuning {
    Tuning {
        retry: Policy {
            attempts: 4,
            first_pause: Duration::from_micros(10),
            longest_pause: Duration::from_micros(50),
            total: Duration::from_secs(30),
        },
        part_size: 128 << 10,
        memory: 4 << 20,
        largest_copy: Some(256 << 10),
        ..Tuning::default()
    }
}

/// What kOps's users have in their environment.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("OSS_REGION", "oss-cn-hangzhou"),
    ("ALIYUN_ACCESS_KEY_ID", KEY.0),
    ("ALIYUN_ACCESS_KEY_SECRET", KEY.1),
];

/// The clients of one process.
fn clients() -> Clients {
    Clients::with(ENVIRONMENT.into_iter().collect(), quick())
}

fn open_with(clients: &Clients, double: &Double<Oss>, url: &str) -> Arc<dyn Store> {
    let url = format!("{url}?endpoint={}", double.endpoint());
    let url = StoreUrl::parse(&url).expect("a literal URL");
    Arc::new(clients.open(&url).expect("a store"))
}

fn open(double: &Double<Oss>, url: &str) -> Arc<dyn Store> {
    open_with(&clients(), double, url)
}

fn scene() -> (Double<Oss>, Arc<dyn Store>) {
    scene_with(&clients())
}

fn scene_with(clients: &Clients) -> (Double<Oss>, Arc<dyn Store>) {
    let double = oss_double::start();
    double.service().largest_copy = 256 << 10;
    let store = open_with(clients, &double, "oss://bucket/state");
    (double, store)
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

async fn put(store: &Arc<dyn Store>, name: &str, body: impl Into<Body>) -> Result<Meta> {
    let options = WriteOptions::default();
    store.write(&key(name), body.into(), options).await
}

/// Writes an object that isn't there.
async fn create(store: &Arc<dyn Store>, name: &str, body: impl Into<Body>) -> Result<Meta> {
    let options = WriteOptions::if_absent();
    store.write(&key(name), body.into(), options).await
}

fn noise(size: usize) -> bytes::Bytes {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes.into()
}
