//! The S3 backend against a service in this process.
#![expect(clippy::expect_used, reason = "a test that panics has failed")]

mod access;
mod conditions;
mod contract;
mod copying;
mod deleting;
mod listing;
mod reading;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use kstate::store::registry::Env;
use kstate::store::retry::Policy;
use kstate::store::s3::{Clients, Tuning};
use kstate::store::{Body, Key, Store, StoreUrl, WriteOptions};

use crate::s3_double::{Personality, S3Double};

/// Many attempts without the pauses.
fn quick() -> Tuning {
    Tuning {
        retry: Policy {
            attempts: 4,
            first_pause: Duration::from_micros(10),
            longest_pause: Duration::from_micros(50),
            total: Duration::from_secs(30),
        },
        ..Tuning::default()
    }
}

/// As [`quick`], with the rules for AWS.
fn aws() -> Tuning {
    Tuning {
        assume_aws: true,
        ..quick()
    }
}

fn clients(double: &S3Double, more: &[(&str, &str)], tuning: Tuning) -> Clients {
    let mut env = double.env();
    env.extend(
        more.iter()
            .map(|(name, value)| ((*name).into(), (*value).into())),
    );
    Clients::with(env.into_iter().collect::<Env>(), tuning)
}

fn open(clients: &Clients, url: &str) -> Arc<dyn Store> {
    let url = StoreUrl::parse(url).expect("a literal URL");
    Arc::new(clients.open(&url).expect("a store"))
}

/// The bucket `bucket` of a service, and a store on its folder `state`.
fn scene(personality: Personality, tuning: Tuning) -> (S3Double, Arc<dyn Store>) {
    let double = S3Double::builder()
        .personality(personality)
        .bucket("bucket")
        .start();
    let store = open(&clients(&double, &[], tuning), "s3://bucket/state");
    (double, store)
}

pub(crate) fn on_aws() -> (S3Double, Arc<dyn Store>) {
    scene(Personality::Aws, aws())
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a literal key")
}

async fn write(store: &Arc<dyn Store>, name: &str, text: &'static str) -> kstate::store::Meta {
    store
        .write(&key(name), Body::from(text), WriteOptions::default())
        .await
        .expect("a write")
}

async fn text(store: &Arc<dyn Store>, name: &str) -> String {
    let object = store
        .read(&key(name), kstate::store::ReadOptions::default())
        .await
        .expect("a read");
    let bytes = object.body.collect(1 << 30).await.expect("the body");
    String::from_utf8(bytes.to_vec()).expect("text")
}
