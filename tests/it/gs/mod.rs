//! The Google Cloud Storage backend against a service in this process.

mod contract;
mod faults;
mod use_cases;

use std::sync::Arc;
use std::time::Duration;

use kstate::store::gs::Clients;
use kstate::store::registry::Env;
use kstate::store::rest::Tuning;
use kstate::store::retry::Policy;
use kstate::store::{Key, Store, StoreUrl};

use crate::gs_double::{self, Gs};
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
        part_size: 256 << 10,
        memory: 4 << 20,
        ..Tuning::default()
    }
}

/// A store at the double, its token from the double's metadata server.
fn open(double: &Double<Gs>, url: &str) -> Arc<dyn Store> {
    let endpoint = double.endpoint();
    let host = endpoint.trim_start_matches("http://").to_owned();
    let env: Env = [("GCE_METADATA_HOST", host)].into_iter().collect();
    let url = format!("{url}?endpoint={endpoint}");
    let url = StoreUrl::parse(&url).expect("a literal URL");
    Arc::new(Clients::with(env, quick()).open(&url).expect("a store"))
}

fn scene() -> (Double<Gs>, Arc<dyn Store>) {
    let double = gs_double::start();
    let store = open(&double, "gs://bucket/state");
    (double, store)
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}
