//! Accounts: where the service is, who asks, and one signed call.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use reqsign_core::{ProvideCredentialChain, Signer};
use reqsign_google::{
    Credential, DefaultCredentialProvider, FileCredentialProvider, RequestSigner,
};

use super::GsStore;
use super::error::SERVICE;
use crate::store::pieces::Buffers;
use crate::store::registry::Env;
use crate::store::rest::{Accounts, Answer, Client, Failure, Tuning, context};
use crate::store::{Error, ErrorKind, Result, StoreUrl};

const ENDPOINT: &str = "https://storage.googleapis.com";

const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

/// The clients of one process. Stores with the same endpoint and credentials share one.
pub struct Clients(Accounts<Settings, Account>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Settings {
    endpoint: String,
    is_emulator: bool,
    credentials_file: Option<String>,
}

/// One service under one set of credentials.
pub(super) struct Account {
    /// Scheme and host, without a slash at the end.
    pub endpoint: String,
    /// Whether it is Google's own service, which keeps its word on conditions.
    pub is_google: bool,
    pub tuning: Tuning,
    pub buffers: Arc<Buffers>,
    client: Client,
    /// None for an emulator, which asks nobody who they are.
    signer: Option<Signer<Credential>>,
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
    /// [`ErrorKind::Invalid`] when the endpoint is no URL.
    pub fn open(&self, url: &StoreUrl) -> Result<GsStore> {
        let account = self.0.get(self.settings(url)?, |settings, client| {
            Ok(self.account(settings, client))
        })?;
        Ok(GsStore::at_url(url, account))
    }

    /// The option, then `STORAGE_EMULATOR_HOST` with or without a scheme, as Google's own
    /// clients read it.
    fn settings(&self, url: &StoreUrl) -> Result<Settings> {
        let emulator = self.0.env.get("STORAGE_EMULATOR_HOST");
        let option = url.options.get("endpoint").map(String::as_str);
        let given = option.or(emulator);
        let endpoint = match given {
            None => ENDPOINT.to_owned(),
            Some(host) if host.contains("://") => host.trim_end_matches('/').to_owned(),
            Some(host) => format!("http://{}", host.trim_end_matches('/')),
        };
        let is_url = endpoint.parse::<http::Uri>();
        if !is_url.is_ok_and(|parsed| parsed.host().is_some() && parsed.query().is_none()) {
            let message = format!("the endpoint '{endpoint}' is no URL");
            return Err(Error::new(ErrorKind::Invalid, "open", message)
                .at(url, None)
                .hint("write it as https://HOST, with ?endpoint= or in STORAGE_EMULATOR_HOST"));
        }
        Ok(Settings {
            is_emulator: option.is_none() && emulator.is_some(),
            endpoint,
            credentials_file: url.options.get("credentials_file").cloned(),
        })
    }

    fn account(&self, settings: Settings, client: Client) -> Account {
        let mut chain = ProvideCredentialChain::new();
        chain = match &settings.credentials_file {
            Some(file) => chain.push(FileCredentialProvider::new(file).with_scope(SCOPE)),
            None => chain.push(DefaultCredentialProvider::new()),
        };
        let request_signer = RequestSigner::new("storage").with_scope(SCOPE);
        let signer = (!settings.is_emulator).then(|| {
            let context = context(&self.0.env, &client);
            Signer::new(context, chain, request_signer)
        });
        Account {
            is_google: settings.endpoint == ENDPOINT,
            endpoint: settings.endpoint,
            tuning: self.0.tuning.clone(),
            buffers: Arc::clone(&self.0.buffers),
            client,
            signer,
        }
    }
}

impl Account {
    /// The host, as errors name it.
    pub(super) fn host(&self) -> &str {
        let (_, host) = self.endpoint.split_once("://").unwrap_or_default();
        host
    }

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
        if let Some(signer) = &self.signer {
            let signed = signer.sign(&mut parts, None).await;
            signed.map_err(|error| Failure::credentials(&error))?;
        }
        self.client.send(Request::from_parts(parts, body)).await
    }
}
