//! The Kubernetes backend against an API server in this process.
#![expect(clippy::expect_used, reason = "a test that panics has failed")]

mod access;
mod contract;
mod faults;
mod large;
mod listing;
mod locks;
mod moves;
mod objects;

use std::sync::Arc;
use std::time::Duration;

use kstate::store::k8s::{Clients, Tuning};
use kstate::store::registry::Env;
use kstate::store::retry::Policy;
use kstate::store::{Body, Error, Key, Meta, ReadOptions, Result, Store, StoreUrl, WriteOptions};

use crate::k8s_double::K8sDouble;
use crate::support::Desk;

const NAMESPACE: &str = "state";

/// Many attempts without the pauses, and small pieces and pages.
fn quick() -> Tuning {
    Tuning {
        retry: Policy {
            attempts: 4,
            first_pause: Duration::from_micros(10),
            longest_pause: Duration::from_micros(50),
            total: Duration::from_secs(30),
        },
        page: 7,
        piece: 10_000,
        ..Tuning::default()
    }
}

/// The store at a URL for whoever has this kubeconfig.
fn open_with(kubeconfig: &str, tuning: Tuning, at: &str) -> Arc<dyn Store> {
    let desk = Desk::new();
    desk.write("kubeconfig", kubeconfig);
    let clients = Clients::with(env_of(&desk), tuning);
    Arc::new(clients.open(&url(at)).expect("a store"))
}

fn env_of(desk: &Desk) -> Env {
    let pairs = [
        ("KUBECONFIG", desk.arg("kubeconfig")),
        ("HOME", desk.arg("")),
    ];
    pairs.into_iter().collect()
}

fn url(text: &str) -> StoreUrl {
    StoreUrl::parse(text).expect("a literal URL")
}

fn open(double: &K8sDouble, user: &str, tuning: Tuning, at: &str) -> Arc<dyn Store> {
    open_with(&double.kubeconfig(user), tuning, at)
}

/// A server with the namespace `state`, and a store on the folder `x` in it.
fn scene() -> (K8sDouble, Arc<dyn Store>) {
    let double = K8sDouble::builder().namespace(NAMESPACE).start();
    let store = open(&double, "admin", quick(), "k8s:///state/x");
    (double, store)
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

async fn put(
    store: &Arc<dyn Store>,
    name: &str,
    bytes: impl Into<Vec<u8>>,
    options: WriteOptions,
) -> Result<Meta> {
    store
        .write(&key(name), Body::from(bytes.into()), options)
        .await
}

async fn write(store: &Arc<dyn Store>, name: &str, bytes: impl Into<Vec<u8>>) -> Meta {
    let written = put(store, name, bytes, WriteOptions::default()).await;
    written.expect("a write")
}

async fn read(store: &Arc<dyn Store>, name: &str) -> Result<Vec<u8>> {
    let object = store.read(&key(name), ReadOptions::default()).await?;
    Ok(object.body.collect(1 << 30).await?.to_vec())
}

async fn names(store: &Arc<dyn Store>) -> Vec<String> {
    use futures::TryStreamExt;
    let listing = store.list(kstate::store::ListOptions::default());
    let entries: Result<Vec<_>, Error> = listing.try_collect().await;
    let entries = entries.expect("a listing");
    entries
        .iter()
        .map(|entry| entry.name().to_owned())
        .collect()
}

/// Bytes that can't be compressed, the same for the same seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// The Secrets of chunks.
fn chunks(double: &K8sDouble) -> Vec<String> {
    double.names("secrets", NAMESPACE, "ks-chunk-")
}
