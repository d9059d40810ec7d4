//! Azurite: Microsoft's own emulator of the blob service.

use std::sync::Arc;

use http::Request;
use kstate::store::azureblob::Clients;
use kstate::store::contract::{self, Options};
use kstate::store::rest::Tuning;
use kstate::store::{Store, StoreUrl, WriteOptions};
use reqsign_azure_storage::{RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};

use super::contract::options;
use super::{key, noise, unique, variable};
use crate::scripts::assert_comes_back;
use crate::support::{Desk, assert_verdict, sample};

/// One account.
struct Account {
    name: String,
    key: String,
    endpoint: String,
}

impl Account {
    fn first() -> Self {
        Self::of("")
    }

    fn second() -> Self {
        Self::of("SECOND_")
    }

    fn of(which: &str) -> Self {
        let part = |name: &str| variable(&format!("KSTATE_AZURITE_{which}{name}"));
        Self {
            name: part("ACCOUNT"),
            key: part("KEY"),
            endpoint: part("ENDPOINT"),
        }
    }

    /// A container of the test's own.
    async fn container(&self) -> String {
        let name = unique();
        let url = format!("{}/{name}?restype=container", self.endpoint);
        let request = Request::put(url)
            .header("x-ms-version", "2023-11-03")
            .header("content-length", 0);
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        let credential = StaticCredentialProvider::new_shared_key(&self.name, &self.key);
        let signer = Signer::new(Context::new(), credential, RequestSigner::new());
        let done = signer.sign(&mut parts, None).await;
        done.expect("a signature");
        let request = Request::from_parts(parts, "").try_into();
        let client = reqwest::Client::new();
        let answer = client.execute(request.expect("a request")).await;
        let answer = answer.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        name
    }

    /// A store's URL, which names everything but the key itself.
    fn url(&self, place: &str) -> String {
        let Self { name, endpoint, .. } = self;
        format!("azureblob://{name}/{place}?endpoint={endpoint}&secret_key_env=KEY_OF_{name}")
    }

    fn env(&self) -> (String, String) {
        (format!("KEY_OF_{}", self.name), self.key.clone())
    }
}

/// Stores of both accounts that share their clients.
fn clients(largest_copy: Option<u64>) -> Clients {
    let env = [Account::first().env(), Account::second().env()];
    let tuning = Tuning {
        part_size: 5 << 20,
        largest_copy,
        // Its pages are as long as Azure's, and it takes its time over long listings.
        page: Some(100),
        ..Tuning::default()
    };
    Clients::with(env.into_iter().collect(), tuning)
}

fn store(clients: &Clients, url: &str) -> Arc<dyn Store> {
    let url = StoreUrl::parse(url).expect("a URL");
    Arc::new(clients.open(&url).expect("a store"))
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn azurite_passes_and_everything_is_claimed() {
    let account = Account::first();
    let url = account.url(&format!("{}/state", account.container().await));
    let options = Options {
        many: 350,
        ..options()
    };
    let report = contract::run(store(&clients(None), &url), options).await;
    println!("{report}");
    assert_verdict(&report, &[], &[]);
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn azurite_copies_between_accounts_and_what_is_too_large_is_streamed() {
    let (first, second) = (Account::first(), Account::second());
    let urls = [
        first.url(&first.container().await),
        second.url(&second.container().await),
    ];
    let options = WriteOptions {
        user: [("two-words".to_owned(), "ü".to_owned())].into(),
        ..WriteOptions::default()
    };
    // Blocks are not copied.
    for (largest, is_copied) in [(None, true), (Some(50_000), false)] {
        let clients = clients(largest);
        let [here, there] = urls.each_ref().map(|url| store(&clients, url));
        let wrote = here
            .write(&key("k"), noise(100_000).into(), options.clone())
            .await;
        let from = wrote.expect("a write");
        let copied = there
            .copy_from(&here, &from, &key("c"), &WriteOptions::default())
            .await;
        let copied = copied.expect("no failure");
        assert_eq!(copied.is_some(), is_copied);
        let Some(copied) = copied else { continue };
        let told = there.stat(&key("c")).await.expect("the copy");
        assert_eq!((told.tag, &told.user), (copied.tag, &options.user));
    }
}

#[ignore = "needs the servers of tests/servers"]
#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_from_one_account_of_azurite_to_the_other() {
    let (first, second) = (Account::first(), Account::second());
    let here = first.url(&format!("{}/state", first.container().await));
    let there = second.url(&format!("{}/state", second.container().await));
    let env = [first.env(), second.env()];
    assert_comes_back(&Desk::new(), &sample(), &[&here, &there], &env);
}
