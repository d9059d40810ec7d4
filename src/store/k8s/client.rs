//! One client for each cluster and user.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::{Client, Config};

use super::error::Failure;
use super::settings::{self, Settings};
use super::{K8sStore, config};
use crate::store::registry::Env;
use crate::store::{Result, StoreUrl, retry};

/// What can be set for a whole process, with the defaults for production.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// How passing troubles are met. The client's own retries are off.
    pub retry: retry::Policy,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for any byte of an answer.
    pub answer_timeout: Duration,
    /// How many objects a page of a listing has.
    pub page: u32,
    /// The most bytes of an object in one Secret. The API server takes 1 MiB of data:
    /// <https://kubernetes.io/docs/concepts/configuration/secret/>.
    pub piece: usize,
    /// What an interrupted write left is removed when it is so old by the API server's clock.
    pub collect_after: Duration,
    /// A write that takes longer than this is given up; much shorter than
    /// [`collect_after`](Self::collect_after), so that nobody removes what is still being written.
    pub write_within: Duration,
    /// Where a pod finds its service account.
    pub service_account: PathBuf,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            retry: retry::Policy::default(),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_mins(1),
            page: 500,
            piece: 900 << 10,
            collect_after: Duration::from_hours(24),
            write_within: Duration::from_hours(1),
            service_account: "/var/run/secrets/kubernetes.io/serviceaccount".into(),
        }
    }
}

/// The Kubernetes clients of one process. Stores of one context share one.
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    env: Env,
    tuning: Tuning,
    accounts: Mutex<HashMap<Settings, Arc<Account>>>,
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
        Self(Arc::new(Inner {
            env,
            tuning,
            accounts: Mutex::default(),
        }))
    }

    /// Opens the store at a URL. The kubeconfig is read; nothing is asked of the network.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::store::ErrorKind) when the URL or the kubeconfig can't work.
    pub fn open(&self, url: &StoreUrl) -> Result<K8sStore> {
        let Inner { env, tuning, .. } = &*self.0;
        let (settings, namespace) = settings::read(url, env)?;
        let mut accounts = self
            .0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let account = if let Some(account) = accounts.get(&settings) {
            Arc::clone(account)
        } else {
            let config = config::load(&settings, env, tuning);
            let config = config.map_err(|error| error.at(url, None))?;
            let account = Arc::new(Account::new(config, tuning.clone()));
            accounts.insert(settings, Arc::clone(&account));
            account
        };
        Ok(K8sStore::new(url, account, namespace))
    }
}

/// One user of one cluster.
pub(super) struct Account {
    pub tuning: Tuning,
    /// The API server's URL.
    pub server: String,
    config: Config,
    client: tokio::sync::Mutex<Option<Client>>,
    /// The namespaces that were looked through for leftovers.
    swept: Mutex<HashSet<String>>,
}

impl Account {
    fn new(config: Config, tuning: Tuning) -> Self {
        let server = config.cluster_url.to_string();
        Self {
            server: server.trim_end_matches('/').to_owned(),
            tuning,
            config,
            client: tokio::sync::Mutex::default(),
            swept: Mutex::default(),
        }
    }

    /// The client, made at the first call and when its certificate has expired.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let mut slot = self.client.lock().await;
        if let Some(client) = &*slot
            && client
                .valid_until()
                .is_none_or(|until| Timestamp::now() < until)
        {
            return Ok(client.clone());
        }
        let config = self.config.clone();
        // It may run a program that asks for a password.
        let made = tokio::task::spawn_blocking(|| Client::try_from(config)).await;
        let client = match made {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(Failure::of(&error)),
            Err(error) => return Err(Failure::Credentials(error.to_string())),
        };
        *slot = Some(client.clone());
        Ok(client)
    }

    /// Whether a new client might be somebody whom the server knows: a program gives credentials
    /// that end without having said when.
    pub(super) async fn log_in_again(&self) -> bool {
        let may = self.config.auth_info.exec.is_some();
        if may {
            *self.client.lock().await = None;
        }
        may
    }

    /// Whether this is the first look for leftovers in a namespace.
    pub(super) fn begins_sweep(&self, namespace: &str) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.insert(namespace.to_owned())
    }
}
