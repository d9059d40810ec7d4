//! The Swift backend against a service in this process.

mod contract;
mod faults;
mod large;
mod logins;
mod use_cases;

pub(crate) use contract::NOT_CLAIMED;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kstate::store::registry::Env;
use kstate::store::rest::Tuning;
use kstate::store::retry::Policy;
use kstate::store::swift::Clients;
use kstate::store::{Body, Key, Meta, Result, Store, StoreUrl, WriteOptions};

use crate::http_double::Double;
use crate::swift_double::{self, Swift};

/// Many attempts without the pauses, and small parts.
fn quick() -> Tuning {
    Tuning {
        retry: Policy {
            attempts: 4,
            first_pause: Duration::from_micros(10),
            longest_pause: Duration::from_micros(50),
            total: Duration::from_secs(30),
        },
        part_size: 64 << 10,
        memory: 1 << 20,
        ..Tuning::default()
    }
}

/// What kOps reads, for the project p1 in the region One.
fn variables(double: &Double<Swift>) -> Vec<(String, String)> {
    let values = [
        ("OS_AUTH_URL", format!("{}/v3", double.endpoint())),
        ("OS_USERNAME", "demo".to_owned()),
        ("OS_PASSWORD", "demopass".to_owned()),
        ("OS_TENANT_ID", "p1".to_owned()),
        ("OS_REGION_NAME", "One".to_owned()),
    ];
    values
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
}

/// The clients of a process of its own.
fn clients(double: &Double<Swift>) -> Clients {
    let env: Env = variables(double).into_iter().collect();
    Clients::with(env, quick())
}

fn open(clients: &Clients, url: &str) -> Arc<dyn Store> {
    let url = StoreUrl::parse(url).expect("a literal URL");
    Arc::new(clients.open(&url).expect("a store"))
}

fn scene() -> (Double<Swift>, Arc<dyn Store>) {
    let double = swift_double::start();
    let store = open(&clients(&double), "swift://container/state");
    (double, store)
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

async fn write(
    store: &Arc<dyn Store>,
    name: &str,
    body: impl Into<Body>,
    options: WriteOptions,
) -> Result<Meta> {
    store.write(&key(name), body.into(), options).await
}

/// Bytes without a pattern that a part size could hide in.
fn noise(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes.into()
}

/// The names in the container `container`.
fn names(double: &Double<Swift>) -> Vec<String> {
    double
        .service()
        .objects("container")
        .keys()
        .cloned()
        .collect()
}
