//! `gs://`: Google Cloud Storage, by its JSON API, with generations as tags.

mod account;
mod copy;
mod error;
mod list;
mod meta;
mod read;
mod resumable;
mod write;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use serde::de::DeserializeOwned;

use self::account::Account;
use self::error::SERVICE;
use self::meta::Resource;
use self::read::Wanted;
use self::write::if_generation;
use super::folder::Folder;
use super::registry::Kind;
use super::rest::{Answer, Call, Failure, Site, encoded, query};
use super::{
    Algorithm, Body, Capabilities, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object,
    Place, Precondition, ReadOptions, Result, Store, StoreUrl, WriteOptions, delete_each, pages,
    resume,
};

pub use self::account::Clients;

/// What people need to know.
pub(super) const KIND: Kind = Kind {
    schemes: &["gs"],
    summary: "Google Cloud Storage",
    form: "BUCKET/PREFIX",
    options: &["endpoint", "credentials_file"],
    beside: &[
        "ACLs",
        "encryption keys (CMEK)",
        "holds",
        "storage classes",
        "older generations",
    ],
    environment: &[
        (
            "GOOGLE_APPLICATION_CREDENTIALS",
            "the credentials' file, before what gcloud keeps and what the machine is",
        ),
        (
            "STORAGE_EMULATOR_HOST",
            "an emulator, asked without credentials",
        ),
    ],
};

/// The longest name of an object in bytes, the store's own prefix included:
/// <https://docs.cloud.google.com/storage/docs/objects#naming>.
const LONGEST_NAME: usize = 1024;

/// How many objects are deleted at once.
const DELETES_AT_ONCE: usize = 32;

/// A bucket, or a folder in one.
#[derive(Clone)]
pub struct GsStore {
    account: Arc<Account>,
    site: Site,
    folder: Folder,
}

impl GsStore {
    fn at_url(url: &StoreUrl, account: Arc<Account>) -> Self {
        Self {
            site: Site {
                service: &SERVICE,
                host: account.host().into(),
                bucket: url.authority.as_str().into(),
            },
            folder: Folder::of(url),
            account,
        }
    }

    /// The name of an object to be written:
    /// <https://docs.cloud.google.com/storage/docs/objects#naming>.
    fn new_name(&self, operation: &'static str, key: &Key) -> Result<String> {
        match self.refuses(key) {
            Some(why) => Err(self
                .folder
                .error(ErrorKind::InvalidKey, operation, key, why)),
            None => Ok(self.folder.full(key.as_str())),
        }
    }

    /// The bucket in the JSON API.
    fn bucket_url(&self) -> String {
        let bucket = encoded(&self.site.bucket);
        format!("{}/storage/v1/b/{bucket}", self.account.endpoint)
    }

    /// What an answer says, in JSON.
    async fn json<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, Failure> {
        let bytes = answer.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::nonsense(error.to_string()))
    }

    /// A request without a body, retried, and its answer in JSON.
    async fn ask_json<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        request: impl Fn() -> http::request::Builder,
    ) -> Result<T> {
        let attempt = |_| async {
            let request = call.built(request(), Bytes::new())?;
            let answer = match self.account.call(request).await {
                Ok(answer) => self.json(answer).await,
                Err(failure) => Err(failure),
            };
            answer.map_err(|failure| failure.into_error(&call))
        };
        self.account.tuning.retry.run(attempt).await
    }

    async fn resource_once(&self, operation: &'static str, key: &Key) -> Result<Resource> {
        let name = encoded(&self.folder.full(key.as_str()));
        let url = format!("{}/o/{name}", self.bucket_url());
        let call = self
            .site
            .call(&self.folder, operation, "storage.objects.get", Some(key));
        self.ask_json(call, || Request::get(&url)).await
    }

    async fn resource(&self, operation: &'static str, key: &Key) -> Result<Meta> {
        let resource = self.resource_once(operation, key).await?;
        resource.into_meta(key).ok_or_else(|| {
            let message = "the answer has no size";
            self.folder
                .error(ErrorKind::Corrupt, operation, key, message)
        })
    }

    async fn delete_one(&self, key: &Key, precondition: &Precondition) -> Result<()> {
        let name = encoded(&self.folder.full(key.as_str()));
        let query = query([("ifGenerationMatch", if_generation(precondition))]);
        let url = format!("{}/o/{name}{query}", self.bucket_url());
        let call = self
            .site
            .call(&self.folder, "delete", "storage.objects.delete", Some(key));
        let uncertain = AtomicBool::new(false);
        let is_conditional = matches!(precondition, Precondition::IfMatch(_));
        let attempt = |_| async {
            let request = call.built(Request::delete(&url), Bytes::new())?;
            let Err(failure) = self.account.call(request).await else {
                return Ok(());
            };
            let is_gone = failure.status() == Some(404) && !failure.is(SERVICE.no_bucket);
            if is_gone {
                // An earlier attempt whose answer was lost may have deleted it.
                return if is_conditional && !uncertain.load(Ordering::Relaxed) {
                    Err(self.folder.overtaken("delete", key, None))
                } else {
                    Ok(())
                };
            }
            uncertain.fetch_or(failure.is_uncertain(), Ordering::Relaxed);
            Err(failure.into_error(&call))
        };
        match self.account.tuning.retry.run(attempt).await {
            Err(error) if error.is_conflict() => match self.resource("delete", key).await {
                Ok(now) => Err(self.folder.overtaken("delete", key, now.tag)),
                Err(missing) if missing.is_missing_key() && uncertain.load(Ordering::Relaxed) => {
                    Ok(())
                }
                Err(missing) if missing.is_missing_key() => {
                    Err(self.folder.overtaken("delete", key, None))
                }
                Err(_) => Err(error),
            },
            result => result,
        }
    }
}

#[async_trait]
impl Store for GsStore {
    fn url(&self) -> &str {
        &self.folder.url
    }

    fn place(&self) -> Place {
        let Site { bucket, .. } = &self.site;
        self.folder
            .place(format!("gs+{}/{bucket}", self.account.endpoint))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            if_absent: true,
            if_match: true,
            proven_conditions: self.account.is_google,
            delete_if_match: true,
            copy_conditions: true,
            max_conditional: None,
            verified_writes: true,
            checksum: Some(Algorithm::Md5),
            server_copy: true,
            hierarchical: false,
            metadata: true,
            ephemeral: false,
            max_key: Some(LONGEST_NAME),
            // https://docs.cloud.google.com/storage/quotas#objects
            max_size: Some(5 << 40),
        }
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            folder: self.folder.at(folder),
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.resource("stat", key).await
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        let wanted = Wanted {
            store: self.clone(),
            key: key.clone(),
        };
        resume::read(wanted, options).await
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        self.put(key, body, &options).await
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        self.delete_one(key, &precondition).await
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Vec<Error> {
        delete_each(self, keys, DELETES_AT_ONCE).await
    }

    fn list(&self, options: ListOptions) -> Listing {
        pages::listing(self.clone(), &self.folder, options)
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        match source.backend().downcast_ref::<Self>() {
            Some(source) => self.copy_here(source, from, key, options).await,
            None => Ok(None),
        }
    }

    fn backend(&self) -> &dyn Any {
        self
    }

    /// Beside too long ones, names that the service doesn't take:
    /// <https://docs.cloud.google.com/storage/docs/objects#naming>.
    fn refuses(&self, key: &Key) -> Option<String> {
        let full = self.folder.full(key.as_str());
        if full.len() > LONGEST_NAME {
            let length = full.len();
            return Some(format!(
                "its name has {length} bytes, and {LONGEST_NAME} is the most"
            ));
        }
        if full.contains(['\r', '\n']) {
            return Some("its name holds a line break".to_owned());
        }
        full.starts_with(".well-known/acme-challenge/")
            .then(|| "the service keeps .well-known/acme-challenge/ for itself".to_owned())
    }
}
