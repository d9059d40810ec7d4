//! SDK clients, one for each account and region, and what is known of each bucket.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, IdentityCache, Region as SdkRegion, RequestChecksumCalculation,
    ResponseChecksumValidation, SharedHttpClient, StalledStreamProtectionConfig,
    retry::RetryConfig, timeout::TimeoutConfig,
};
use tokio::sync::OnceCell;

use super::encryption::Encryption;
use super::profiles::Profiles;
use super::settings::{self, Region, Settings};
use super::vendor::Vendor;
use super::{BucketStore, S3Store, credentials, http};
use crate::store::pieces::Buffers;
use crate::store::registry::Env;
use crate::store::{Result, StoreUrl, lock, retry};

/// What can be set for a whole process, with the defaults for production.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// How passing troubles are met. The SDK's own retries are off.
    pub retry: retry::Policy,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for the first byte of an answer, the sending of the request included.
    pub answer_timeout: Duration,
    /// The size of an upload's parts in bytes, unless the object needs larger ones. What is no
    /// longer than one part goes up in one request.
    pub part_size: u64,
    /// How many parts of one object are in flight at once.
    pub parts_at_once: usize,
    /// The longest body in bytes that is held in memory so that a condition can go with a single
    /// request, on services that don't check conditions at the end of a multipart upload.
    pub largest_conditional: u64,
    /// How many bytes of streamed bodies may be in memory at once, over all uploads; no less
    /// than one part.
    pub memory: u64,
    /// The longest object in bytes that one `CopyObject` copies; AWS's limit is 5 GiB.
    pub largest_copy: u64,
    /// The size in bytes of the parts by which longer objects are copied.
    pub copy_part_size: u64,
    /// Takes every endpoint for AWS: for tests that stand in for it on loopback.
    pub assume_aws: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            retry: retry::Policy::default(),
            connect_timeout: Duration::from_millis(3100),
            answer_timeout: Duration::from_mins(2),
            part_size: 8 << 20,
            parts_at_once: 4,
            largest_conditional: 32 << 20,
            memory: 32 << 20,
            largest_copy: 5 << 30,
            copy_part_size: 512 << 20,
            assume_aws: false,
        }
    }
}

/// The S3 clients of one process. Stores with the same endpoint and credentials share one.
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    env: Env,
    tuning: Tuning,
    profiles: OnceLock<Profiles>,
    http: OnceLock<SharedHttpClient>,
    buffers: Arc<Buffers>,
    accounts: Mutex<HashMap<Settings, Arc<Account>>>,
}

/// One service under one set of credentials.
pub(super) struct Account {
    clients: Clients,
    pub settings: Settings,
    pub vendor: &'static Vendor,
    /// The service as errors name it.
    pub service: String,
    /// The region that the credentials chain calls STS in, and that unknown buckets are asked in.
    first_region: String,
    base: OnceCell<Builder>,
    by_region: Mutex<HashMap<String, Client>>,
    /// By name and by the region that the URL gives, if it does.
    buckets: Mutex<Buckets>,
    /// Pairs of buckets between which the service refused to copy.
    pub uncopyable: Mutex<HashSet<(String, String)>>,
    /// `If-Match` was seen to need the tag without quotes: Ceph 16 compares the raw header.
    pub bare_tags: AtomicBool,
    /// Whether `x-amz-copy-source-if-match` was seen to be honoured.
    pub source_conditions: OnceCell<bool>,
}

type Buckets = HashMap<(String, Option<String>), Arc<Bucket>>;

/// What is known of one bucket.
#[derive(Default)]
pub(super) struct Bucket {
    pub client: OnceCell<Client>,
    pub encryption: OnceCell<Encryption>,
    /// The service refused the encryption header that kOps's rule calls for.
    pub encryption_refused: AtomicBool,
    pub exists: OnceCell<()>,
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
            buffers: Arc::new(Buffers::new(tuning.memory, tuning.part_size)),
            env,
            tuning,
            profiles: OnceLock::new(),
            http: OnceLock::new(),
            accounts: Mutex::default(),
        }))
    }

    /// Opens the store at a URL; nothing is asked of the network.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::store::ErrorKind) when the URL's options and the
    /// environment leave something open or contradict each other.
    pub fn open(&self, url: &StoreUrl) -> Result<S3Store> {
        let (settings, region) = settings::read(url, &self.0.env, self.profiles())?;
        let first_region = match &region {
            Region::Fixed(region) | Region::Discover(region) => region.clone(),
        };
        // AWS is where regions must be found, whatever its endpoint.
        let region = match region {
            Region::Fixed(first) if self.finds_regions(url) => Region::Discover(first),
            region => region,
        };
        let account = Arc::clone(
            lock(&self.0.accounts)
                .entry(settings.clone())
                .or_insert_with(|| Arc::new(self.account(settings, first_region))),
        );
        S3Store::open(url, account, region, &self.0.env)
    }

    /// Opens the settings of the bucket at a URL.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_settings(&self, url: &StoreUrl) -> Result<BucketStore> {
        let bucket = StoreUrl {
            scheme: "s3".to_owned(),
            path: String::new(),
            ..url.clone()
        };
        Ok(BucketStore::new(self.open(&bucket)?, url))
    }

    fn finds_regions(&self, url: &StoreUrl) -> bool {
        self.0.tuning.assume_aws && !url.options.contains_key("region")
    }

    fn account(&self, settings: Settings, first_region: String) -> Account {
        Account {
            clients: self.clone(),
            vendor: if self.0.tuning.assume_aws {
                &super::vendor::AWS
            } else {
                settings.vendor()
            },
            service: settings.service(),
            settings,
            first_region,
            base: OnceCell::new(),
            by_region: Mutex::default(),
            buckets: Mutex::default(),
            uncopyable: Mutex::default(),
            bare_tags: AtomicBool::new(false),
            source_conditions: OnceCell::new(),
        }
    }

    fn profiles(&self) -> &Profiles {
        self.0.profiles.get_or_init(|| Profiles::load(&self.0.env))
    }

    fn http(&self) -> &SharedHttpClient {
        self.0.http.get_or_init(|| http::client(&self.0.env))
    }
}

impl Account {
    pub(super) fn tuning(&self) -> &Tuning {
        &self.clients.0.tuning
    }

    /// The memory for streamed bodies.
    pub(super) fn buffers(&self) -> &Arc<Buffers> {
        &self.clients.0.buffers
    }

    /// The bucket of this name; stores that fix its region differently don't share it.
    pub(super) fn bucket(&self, name: &str, region: &Region) -> Arc<Bucket> {
        let fixed = match region {
            Region::Fixed(region) => Some(region.clone()),
            Region::Discover(_) => None,
        };
        let mut buckets = lock(&self.buckets);
        Arc::clone(buckets.entry((name.to_owned(), fixed)).or_default())
    }

    /// The client for a region.
    pub(super) async fn client(&self, region: &str) -> Client {
        if let Some(client) = lock(&self.by_region).get(region) {
            return client.clone();
        }
        let base = self.base.get_or_init(|| self.base()).await;
        let made = || {
            let region = SdkRegion::new(region.to_owned());
            Client::from_conf(base.clone().region(region).build())
        };
        lock(&self.by_region)
            .entry(region.to_owned())
            .or_insert_with(made)
            .clone()
    }

    async fn base(&self) -> Builder {
        let Inner { env, tuning, .. } = &*self.clients.0;
        let http = self.clients.http();
        let profiles = self.clients.profiles();
        let provider =
            credentials::provider(&self.settings, env, profiles, http, &self.first_region).await;
        let builder = aws_sdk_s3::config::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http.clone())
            .credentials_provider(provider)
            .identity_cache(IdentityCache::lazy().build())
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(tuning.connect_timeout)
                    .read_timeout(tuning.answer_timeout)
                    .build(),
            )
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().build())
            .force_path_style(self.settings.path_style);
        let builder = if self.vendor.sdk_checksums {
            builder
        } else {
            builder
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        };
        match &self.settings.endpoint {
            Some(endpoint) => builder.endpoint_url(endpoint),
            None => builder.use_dual_stack(true),
        }
    }
}
