//! Accounts: one signed call, and how another account's service may read here.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request};
use reqsign_azure_storage::{
    Credential, RequestSigner, ServiceSasResource, ServiceSharedAccessSignature,
    StaticCredentialProvider,
};
use reqsign_core::Signer;
use reqsign_core::time::Timestamp;

use super::AzureStore;
use super::credentials::SignedIn;
use super::error::SERVICE;
use super::settings::{Secret, Settings, place};
use crate::store::pieces::Buffers;
use crate::store::registry::Env;
use crate::store::rest::{Accounts, Answer, Client, Failure, Tuning, context, query};
use crate::store::{Result, StoreUrl};

/// The version of the API that every request asks for.
const VERSION: &str = "2023-11-03";

/// For how long another account's service may read an object that it is to copy.
const READABLE: Duration = Duration::from_hours(1);

/// The clients of one process. Stores with the same endpoint and credentials share one.
pub struct Clients(Accounts<Settings, Account>);

/// One account under one set of credentials.
pub(super) struct Account {
    pub settings: Settings,
    pub tuning: Tuning,
    pub buffers: Arc<Buffers>,
    /// The endpoints from which this account was seen not to copy.
    pub uncopyable: Mutex<HashSet<String>>,
    client: Client,
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
    /// [`ErrorKind::Invalid`](crate::store::ErrorKind::Invalid) when the URL names no container,
    /// or a setting can't work.
    pub fn open(&self, url: &StoreUrl) -> Result<AzureStore> {
        let (account, container) = place(url, &self.0.env)?;
        let settings = Settings::new(url, account, &self.0.env)?;
        let account = self.0.get(settings, |settings, client| {
            Ok(self.account(settings, client))
        })?;
        Ok(AzureStore::new(url, container, account))
    }

    fn account(&self, settings: Settings, client: Client) -> Account {
        let context = context(&self.0.env, &client);
        let signer = match &settings.secret {
            Secret::Key(key) => {
                let key = StaticCredentialProvider::new_shared_key(&settings.account, key);
                Signer::new(context, key, RequestSigner::new())
            }
            Secret::Sas(sas) => {
                let sas = StaticCredentialProvider::new_sas_token(sas);
                Signer::new(context, sas, RequestSigner::new())
            }
            Secret::Token => Signer::new(context, SignedIn, RequestSigner::new()),
        };
        Account {
            settings,
            tuning: self.0.tuning.clone(),
            buffers: Arc::clone(&self.0.buffers),
            uncopyable: Mutex::default(),
            client,
            signer,
        }
    }
}

impl Account {
    /// Sends a request as whoever runs this; only success is an answer.
    pub(super) async fn call(&self, request: Request<Bytes>) -> Result<Answer, Failure> {
        let answer = self.send(request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(Failure::of(answer, &SERVICE).await)
    }

    /// As [`call`](Self::call), with any status as an answer.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Answer, Failure> {
        let (mut parts, body) = request.into_parts();
        let headers = &mut parts.headers;
        headers.insert("x-ms-version", HeaderValue::from_static(VERSION));
        // The length is part of what is signed.
        if parts.method == Method::PUT {
            headers.insert(header::CONTENT_LENGTH, body.len().into());
        }
        // The signer panics at anything else.
        if let Some((name, _)) = headers.iter().find(|(_, value)| value.to_str().is_err()) {
            return Err(Failure::unsent(format!(
                "the header {name} takes ASCII only"
            )));
        }
        let signed = self.signer.sign(&mut parts, None).await;
        signed.map_err(|error| Failure::credentials(&error))?;
        self.client.send(Request::from_parts(parts, body)).await
    }

    /// An object's URL and, where that alone doesn't do, the header by which a service may read
    /// it in our name.
    pub(super) async fn readable(
        &self,
        container: &str,
        url: &str,
    ) -> Result<(String, Option<HeaderValue>), Failure> {
        if let Secret::Key(key) = &self.settings.secret {
            let signature = self.signature(container, key)?;
            return Ok((format!("{url}{signature}"), None));
        }
        // A shared access signature goes into the URL, a token into the header.
        let request = Request::get(url).body(());
        let (mut parts, ()) = request
            .map_err(|error| Failure::unsent(error.to_string()))?
            .into_parts();
        let signed = self.signer.sign(&mut parts, None).await;
        signed.map_err(|error| Failure::credentials(&error))?;
        let token = parts.headers.remove(header::AUTHORIZATION);
        Ok((parts.uri.to_string(), token))
    }

    /// A query that lets its bearer read in a container.
    fn signature(&self, container: &str, key: &str) -> Result<String, Failure> {
        let is_plain = self.settings.endpoint.starts_with("http:");
        let signature = ServiceSharedAccessSignature::new(
            self.settings.account.clone(),
            key.to_owned(),
            ServiceSasResource::Container {
                container: container.to_owned(),
            },
            "r".to_owned(),
            Timestamp::now() + READABLE,
        );
        let signature = signature.with_protocol(if is_plain { "https,http" } else { "https" });
        let pairs = signature.token();
        let pairs = pairs.map_err(|error| Failure::credentials(&error))?;
        Ok(query(pairs.iter().map(|(name, value)| {
            (name.as_str(), Some(value.as_str()))
        })))
    }
}
