//! The Azure Blob Storage backend against a service in this process.

mod access;
mod contract;
mod copies;
mod faults;
mod use_cases;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kstate::store::azureblob::Clients;
use kstate::store::registry::Env;
use kstate::store::rest::Tuning;
use kstate::store::retry::Policy;
use kstate::store::{Body, Key, Meta, ReadOptions, Result, Store, StoreUrl, WriteOptions};

use crate::azure_double::{self, Azure, key_of};
use crate::http_double::Double;

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

/// Stores at the double that share their clients, each signed by its account's key.
struct Opener<'a> {
    double: &'a Double<Azure>,
    clients: Clients,
}

impl<'a> Opener<'a> {
    fn new(double: &'a Double<Azure>, tuning: Tuning) -> Self {
        let keys =
            azure_double::ACCOUNTS.map(|account| (format!("KEY_{account}"), key_of(account)));
        Self {
            double,
            clients: Clients::with(keys.into_iter().collect(), tuning),
        }
    }

    fn open(&self, account: &str, place: &str) -> Arc<dyn Store> {
        let endpoint = self.double.endpoint();
        let url = format!(
            "azureblob://{account}/{place}?endpoint={endpoint}&secret_key_env=KEY_{account}"
        );
        open_with(&self.clients, &url)
    }
}

fn open_with(clients: &Clients, url: &str) -> Arc<dyn Store> {
    let url = StoreUrl::parse(url).expect("a literal URL");
    Arc::new(clients.open(&url).expect("a store"))
}

/// A store at the double in this environment, with nothing but the endpoint on its URL.
fn open_as(double: &Double<Azure>, env: Env) -> Arc<dyn Store> {
    let endpoint = double.endpoint();
    let url = format!("azureblob://first/container/state?endpoint={endpoint}");
    open_with(&Clients::with(env, quick()), &url)
}

fn scene() -> (Double<Azure>, Arc<dyn Store>) {
    let double = azure_double::start();
    let store = Opener::new(&double, quick()).open("first", "container/state");
    (double, store)
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

fn noise(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes.into()
}

async fn write(
    store: &Arc<dyn Store>,
    name: &str,
    body: impl Into<Body>,
    options: WriteOptions,
) -> Result<Meta> {
    store.write(&key(name), body.into(), options).await
}

/// Writes an object whatever is there.
async fn put(store: &Arc<dyn Store>, name: &str, body: impl Into<Body>) -> Meta {
    let wrote = write(store, name, body, WriteOptions::default()).await;
    wrote.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The bytes of an object.
async fn get(store: &Arc<dyn Store>, name: &str) -> Bytes {
    let object = store.read(&key(name), ReadOptions::default()).await;
    let body = object.expect("an object").body;
    body.collect(u64::MAX).await.expect("the bytes")
}

/// Bytes that come in pieces, so that they go up in blocks.
fn streamed(bytes: &Bytes) -> Body {
    let pieces: Vec<_> = bytes.chunks(20_000).map(Bytes::copy_from_slice).collect();
    Body::stream(None, futures::stream::iter(pieces.into_iter().map(Ok)))
}
