//! Accounts and buckets: who asks, where, and one signed call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http::request::Builder;
use http::{Method, Request, Uri};
use reqsign_aliyun_oss::{Credential, RequestSigner, SigningVersion};
use reqsign_core::{Context, Signer};
use tokio::sync::OnceCell;

use super::credentials::{WhoAsks, with_names_of_today};
use super::error::SERVICE;
use super::settings::Settings;
use super::versions::Versions;
use super::{OssStore, metadata};
use crate::store::pieces::Buffers;
use crate::store::registry::Env;
use crate::store::rest::{Accounts, Answer, Client, Failure, Tuning, context};
use crate::store::{Result, StoreUrl, lock};

/// The clients of one process. Stores with the same endpoint and credentials share one.
pub struct Clients(Accounts<Settings, Account>);

/// One service under one set of credentials.
pub(super) struct Account {
    pub settings: Settings,
    pub tuning: Tuning,
    pub buffers: Arc<Buffers>,
    client: Client,
    context: Context,
    signer: Signer<Credential>,
    /// The region, where the machine has to tell it.
    region: OnceCell<String>,
    buckets: Mutex<HashMap<String, Arc<Bucket>>>,
}

/// A bucket under one set of credentials.
#[derive(Default)]
pub(super) struct Bucket {
    reached: OnceCell<Reached>,
    pub versions: Versions,
}

/// How requests get to a bucket.
struct Reached {
    base: String,
    signer: Signer<Credential>,
}

impl Clients {
    /// Clients for the stores of this environment. Nothing is read or asked yet.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self::with(env, Tuning::default())
    }

    /// As [`new`](Self::new), with other settings than the defaults.
    #[must_use]
    pub fn with(env: Env, tuning: Tuning) -> Self {
        Self(Accounts::new(env, tuning))
    }

    /// Opens the store at a URL; nothing is asked of the network.
    ///
    /// # Errors
    /// [`Invalid`](crate::store::ErrorKind::Invalid) when an option can't be what it is to be.
    pub fn open(&self, url: &StoreUrl) -> Result<OssStore> {
        let settings = Settings::of(url, &self.0.env)?;
        let account = self
            .0
            .get(settings, |settings, client| self.account(settings, client));
        let account = account.map_err(|error| error.at(url, None))?;
        Ok(OssStore::at_url(url, account))
    }

    fn account(&self, settings: Settings, client: Client) -> Result<Account> {
        let Accounts {
            env,
            tuning,
            buffers,
            ..
        } = &self.0;
        let context = context(&with_names_of_today(env), &client);
        let asks = WhoAsks::of(&settings, env)?;
        Ok(Account {
            signer: Signer::new(context.clone(), asks, RequestSigner::new("")),
            settings,
            tuning: tuning.clone(),
            buffers: Arc::clone(buffers),
            client,
            context,
            region: OnceCell::new(),
            buckets: Mutex::default(),
        })
    }
}

impl Account {
    /// What is known of a bucket, shared by all stores in it.
    pub(super) fn bucket(&self, name: &str) -> Arc<Bucket> {
        let mut buckets = lock(&self.buckets);
        Arc::clone(buckets.entry(name.to_owned()).or_default())
    }

    async fn region(&self) -> Result<&str, Failure> {
        if let Some(region) = &self.settings.region {
            return Ok(region);
        }
        let ask = || metadata::region(&self.context);
        self.region.get_or_try_init(ask).await.map(String::as_str)
    }

    async fn reach(&self, bucket: &str) -> Result<Reached, Failure> {
        let region = self.region().await?;
        let base = self.settings.base(region, bucket);
        // It needs the bucket's name only to take it off the host.
        let hosted = if base.is_virtual_host { bucket } else { "" };
        let signer = RequestSigner::new(hosted)
            .with_region(region)
            .with_signing_version(SigningVersion::V4);
        Ok(Reached {
            base: base.url,
            signer: self.signer.clone().with_request_signer(signer),
        })
    }
}

impl OssStore {
    /// Sends a request, whose path is that in the bucket, as whoever runs this; only success is
    /// an answer.
    pub(super) async fn send(&self, request: Builder, body: Bytes) -> Result<Answer, Failure> {
        let answer = self.send_any(request, body).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(Failure::of(answer, &SERVICE).await)
    }

    /// As [`send`](Self::send), with any status as an answer.
    pub(super) async fn send_any(&self, request: Builder, body: Bytes) -> Result<Answer, Failure> {
        let unsent = |error: http::Error| Failure::unsent(error.to_string());
        let (account, bucket) = (&self.account, &self.site.bucket);
        let reach = || account.reach(bucket);
        let reached = self.bucket.reached.get_or_try_init(reach).await?;
        let (mut parts, body) = request.body(body).map_err(unsent)?.into_parts();
        let uri = format!("{}{}", reached.base, parts.uri).parse::<Uri>();
        parts.uri = uri.map_err(|error| unsent(error.into()))?;
        // Signed too: the service refuses a signature that names no further header as empty.
        // https://www.alibabacloud.com/help/en/oss/support/0002-00000209
        let host = parts
            .uri
            .authority()
            .map(|host| HeaderValue::from_str(host.as_str()));
        if let Some(Ok(host)) = host {
            parts.headers.insert(HOST, host);
        }
        // A request without a body doesn't tell its length by itself.
        if matches!(parts.method, Method::PUT | Method::POST) {
            parts.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        let signed = reached.signer.sign(&mut parts, None).await;
        signed.map_err(|error| Failure::credentials(&error))?;
        account.client.send(Request::from_parts(parts, body)).await
    }
}
