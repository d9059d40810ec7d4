//! `azureblob://account/container/prefix`: Azure Blob Storage, with its entity tags as tags. The
//! form of the URL is that of kOps since 1.36.

mod account;
mod blocks;
mod copy;
mod credentials;
mod error;
mod list;
mod meta;
mod read;
mod settings;
mod write;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request};

use self::account::Account;
use self::error::SERVICE;
use self::read::Wanted;
use self::write::conditional;
use super::folder::Folder;
use super::registry::Kind;
use super::rest::{Answer, Call, Site, encoded, encoded_path};
use super::{
    Algorithm, Body, Capabilities, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object,
    Place, Precondition, ReadOptions, Result, Store, StoreUrl, WriteOptions, delete_each, pages,
    resume,
};

pub use self::account::Clients;

/// What people need to know of these stores.
pub(super) const KIND: Kind = Kind {
    schemes: &["azureblob"],
    summary: "Azure Blob Storage; where nobody is named, as whoever did `az login` or as the \
              machine",
    form: "ACCOUNT/CONTAINER/PREFIX",
    options: &["endpoint", "secret_key_env", "sas_token_env"],
    beside: &[
        "index tags",
        "access tiers",
        "encryption scopes",
        "snapshots and older versions",
    ],
    environment: &[
        (
            "AZURE_STORAGE_CONNECTION_STRING",
            "the account's key or a shared access signature, and its endpoint",
        ),
        (
            "AZURE_STORAGE_KEY",
            "the account's key; of AZURE_STORAGE_ACCOUNT alone, where that is set",
        ),
        ("AZURE_STORAGE_SAS_TOKEN", "a shared access signature"),
        (
            "AZURE_TENANT_ID, AZURE_CLIENT_ID",
            "who asks, with AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH or \
             AZURE_FEDERATED_TOKEN_FILE",
        ),
    ],
};

/// Permissions of the role `Storage Blob Data Contributor`, as Azure names them.
const READ: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read";
const WRITE: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write";
const DELETE: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete";

/// The longest name of an object in characters, the store's own prefix included:
/// <https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>.
const LONGEST_NAME: usize = 1024;

/// The most segments of a name.
const MOST_SEGMENTS: usize = 254;

/// How many objects are deleted at once.
const DELETES_AT_ONCE: usize = 32;

/// A container, or a folder in one.
#[derive(Clone)]
pub struct AzureStore {
    account: Arc<Account>,
    site: Site,
    folder: Folder,
}

impl AzureStore {
    fn new(url: &StoreUrl, container: &str, account: Arc<Account>) -> Self {
        Self {
            site: Site {
                service: &SERVICE,
                host: account.settings.host().into(),
                bucket: container.into(),
            },
            folder: Folder::of(url),
            account,
        }
    }

    fn container_url(&self) -> String {
        let container = encoded(&self.site.bucket);
        format!("{}/{container}", self.account.settings.endpoint)
    }

    fn blob_url(&self, key: &Key) -> String {
        let name = encoded_path(&self.folder.full(key.as_str()));
        format!("{}/{name}", self.container_url())
    }

    fn call<'a>(
        &'a self,
        operation: &'static str,
        action: &'static str,
        key: Option<&'a Key>,
    ) -> Call<'a> {
        self.site.call(&self.folder, operation, action, key)
    }

    /// Refuses a name that no object can get.
    fn check_name(&self, operation: &'static str, key: &Key) -> Result<()> {
        match self.refuses(key) {
            Some(why) => Err(self
                .folder
                .error(ErrorKind::InvalidKey, operation, key, why)),
            None => Ok(()),
        }
    }

    async fn head_answer(&self, operation: &'static str, key: &Key) -> Result<Answer> {
        let url = self.blob_url(key);
        let call = self.call(operation, READ, Some(key));
        let attempt = |_| async {
            let request = call.built(Request::head(&url), Bytes::new())?;
            let answer = self.account.call(request).await;
            answer.map_err(|failure| failure.into_error(&call))
        };
        self.account.tuning.retry.run(attempt).await
    }

    async fn head(&self, operation: &'static str, key: &Key) -> Result<Meta> {
        let answer = self.head_answer(operation, key).await?;
        let size = answer.length().ok_or_else(|| {
            let message = "the answer has no length";
            self.folder
                .error(ErrorKind::Corrupt, operation, key, message)
        })?;
        self.told(operation, key, size, answer.headers())
    }

    /// The metadata in the headers of an answer about a whole object of this size.
    fn told(
        &self,
        operation: &'static str,
        key: &Key,
        size: u64,
        headers: &HeaderMap,
    ) -> Result<Meta> {
        if meta::is_folder(headers) {
            return Err(Error::not_found(operation, &self.folder.url, key)
                .hint("there is a folder of that name"));
        }
        let meta = meta::of_headers(key, size, headers);
        if meta.tag.is_none() {
            return Err(self.no_tag(operation, key));
        }
        Ok(meta)
    }

    fn no_tag(&self, operation: &'static str, key: &Key) -> Error {
        let message = "the answer has no ETag";
        self.folder
            .error(ErrorKind::Corrupt, operation, key, message)
    }

    async fn delete_one(&self, key: &Key, precondition: &Precondition) -> Result<()> {
        let url = self.blob_url(key);
        let call = self.call("delete", DELETE, Some(key));
        let uncertain = AtomicBool::new(false);
        let is_conditional = matches!(precondition, Precondition::IfMatch(_));
        let attempt = |_| async {
            let request = conditional(Request::delete(&url), precondition);
            let request = call.built(request, Bytes::new())?;
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
            Err(error) if error.is_conflict() => {
                let now = self.head("delete", key).await.ok();
                let found = now.and_then(|now| now.tag);
                Err(self.folder.overtaken("delete", key, found))
            }
            result => result,
        }
    }
}

#[async_trait]
impl Store for AzureStore {
    fn url(&self) -> &str {
        &self.folder.url
    }

    fn place(&self) -> Place {
        self.folder
            .place(format!("azureblob+{}", self.container_url()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            if_absent: true,
            if_match: true,
            proven_conditions: self.account.settings.is_azure(),
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
            max_size: Some(blocks::LARGEST_OBJECT),
        }
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            folder: self.folder.at(folder),
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.head("stat", key).await
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

    /// Beside too long ones, names that the service changes: it takes dots off the ends of
    /// segments, and a backslash for a slash. Azurite can't list what XML can't hold.
    fn refuses(&self, key: &Key) -> Option<String> {
        let full = self.folder.full(key.as_str());
        let length = full.chars().count();
        if length > LONGEST_NAME {
            return Some(format!(
                "its name has {length} characters, and {LONGEST_NAME} is the most"
            ));
        }
        if full.split('/').count() > MOST_SEGMENTS {
            return Some(format!("its name has more than {MOST_SEGMENTS} segments"));
        }
        if full.split('/').any(|segment| segment.ends_with('.')) {
            return Some("a segment of its name ends in a dot, which Azure drops".to_owned());
        }
        let bad = |c: &char| matches!(c, '\\' | '\u{fffe}' | '\u{ffff}') || c.is_control();
        let bad = full.chars().find(bad);
        bad.map(|bad| format!("its name has {bad:?}, which not every blob's name can have"))
    }
}
