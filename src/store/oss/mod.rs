//! `oss://`: Alibaba Cloud OSS, by its own API. Objects can be created under a condition, where
//! the bucket keeps no versions; nothing can be compared and swapped.

mod account;
mod copy;
mod credentials;
mod delete;
mod error;
mod list;
mod meta;
mod metadata;
mod multipart;
mod read;
mod settings;
mod versions;
mod write;

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::request::Builder;
use http::{HeaderMap, Request};
use serde::de::DeserializeOwned;

use self::account::{Account, Bucket};
use self::error::SERVICE;
use self::meta::of_headers;
use self::read::Wanted;
use super::folder::Folder;
use super::mark::MARK;
use super::registry::Kind;
use super::rest::{Answer, Call, Failure, Site, encoded_path};
use super::{
    Algorithm, Body, Capabilities, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object,
    Place, Precondition, ReadOptions, Result, Store, StoreUrl, WriteOptions, pages, resume, xml,
};

pub use self::account::Clients;

/// What people need to know.
pub(super) const KIND: Kind = Kind {
    schemes: &["oss"],
    summary: "Alibaba Cloud OSS",
    form: "BUCKET/PREFIX",
    options: &["endpoint", "region", "access_key_env", "secret_key_env"],
    beside: &[
        "ACLs",
        "encryption settings (SSE)",
        "tags, where the service can't copy at once",
        "storage classes",
        "older versions",
    ],
    environment: &[
        (
            "OSS_REGION",
            "the bucket's region, such as cn-hangzhou; else the one that this machine is in",
        ),
        (
            "ALIYUN_OSS_INTERNAL",
            "anything: reach it from within Alibaba Cloud",
        ),
        (
            "ALIYUN_ACCESS_KEY_ID, ALIYUN_ACCESS_KEY_SECRET",
            "keys, as in kOps, before those of today's names",
        ),
        (
            "ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, \
             ALIBABA_CLOUD_SECURITY_TOKEN",
            "keys, before the files of Alibaba's tools and what the machine is",
        ),
        (
            "ALIBABA_CLOUD_ROLE_ARN",
            "a role to assume with them, or by ALIBABA_CLOUD_OIDC_PROVIDER_ARN and \
             ALIBABA_CLOUD_OIDC_TOKEN_FILE",
        ),
    ],
};

/// The longest name of an object in bytes, the store's own prefix included:
/// <https://www.alibabacloud.com/help/en/oss/user-guide/object-naming-conventions>.
const LONGEST_NAME: usize = 1023;

/// A bucket, or a folder in one.
#[derive(Clone)]
pub struct OssStore {
    account: Arc<Account>,
    bucket: Arc<Bucket>,
    site: Site,
    folder: Folder,
}

impl OssStore {
    fn at_url(url: &StoreUrl, account: Arc<Account>) -> Self {
        Self {
            bucket: account.bucket(&url.authority),
            site: Site {
                service: &SERVICE,
                host: account.settings.host().into(),
                bucket: url.authority.as_str().into(),
            },
            folder: Folder::of(url),
            account,
        }
    }

    /// The name of an object in the bucket.
    fn full(&self, key: &Key) -> String {
        self.folder.full(key.as_str())
    }

    /// An object's path in a request.
    fn path(&self, key: &Key) -> String {
        format!("/{}", encoded_path(&self.full(key)))
    }

    /// The path of an object to be written.
    fn new_path(&self, operation: &'static str, key: &Key) -> Result<String> {
        match self.refuses(key) {
            Some(why) => Err(self
                .folder
                .error(ErrorKind::InvalidKey, operation, key, why)),
            None => Ok(self.path(key)),
        }
    }

    /// How errors name a call.
    fn call<'a>(
        &'a self,
        operation: &'static str,
        action: &'static str,
        key: Option<&'a Key>,
    ) -> Call<'a> {
        self.site.call(&self.folder, operation, action, key)
    }

    /// A request, and its answer in XML with the headers.
    async fn send_for_xml<T: DeserializeOwned>(
        &self,
        request: Builder,
        body: Bytes,
        root: &str,
    ) -> Result<(T, HeaderMap), Failure> {
        let answer = self.send(request, body).await?;
        let headers = answer.headers().clone();
        let bytes = answer.bytes().await?;
        let read = xml::read(&bytes, root).map_err(Failure::nonsense)?;
        Ok((read, headers))
    }

    /// A request without a body, retried.
    async fn ask(&self, call: Call<'_>, request: impl Fn() -> Builder) -> Result<Answer> {
        let attempt = |_| async {
            let answer = self.send(request(), Bytes::new()).await;
            answer.map_err(|failure| failure.into_error(&call))
        };
        self.account.tuning.retry.run(attempt).await
    }

    /// A request without a body, retried, and its answer in XML.
    async fn ask_xml<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        root: &str,
        request: impl Fn() -> Builder,
    ) -> Result<T> {
        let attempt = |_| async {
            let answer = self.send_for_xml(request(), Bytes::new(), root).await;
            answer.map_err(|failure| failure.into_error(&call))
        };
        let (answered, _) = self.account.tuning.retry.run(attempt).await?;
        Ok(answered)
    }

    /// One `HeadObject`: the object's size, and all headers.
    async fn head_headers(&self, operation: &'static str, key: &Key) -> Result<(u64, HeaderMap)> {
        let path = self.path(key);
        let call = self.call(operation, "oss:GetObject", Some(key));
        let answer = self.ask(call, || Request::head(&path)).await?;
        let size = answer.length().ok_or_else(|| {
            let message = "the answer has no length";
            self.folder
                .error(ErrorKind::Corrupt, operation, key, message)
        })?;
        Ok((size, answer.headers().clone()))
    }

    async fn head(&self, operation: &'static str, key: &Key) -> Result<Meta> {
        let mut meta = self.head_marked(operation, key).await?;
        meta.user.remove(MARK);
        Ok(meta)
    }

    /// As [`head`](Self::head), with the mark of the write among the user metadata.
    async fn head_marked(&self, operation: &'static str, key: &Key) -> Result<Meta> {
        let (size, headers) = self.head_headers(operation, key).await?;
        Ok(of_headers(key, size, &headers))
    }

    async fn get(&self, key: &Key, version: Option<&str>, options: ReadOptions) -> Result<Object> {
        let wanted = Wanted {
            store: self.clone(),
            key: key.clone(),
            version: version.map(str::to_owned),
        };
        resume::read(wanted, options).await
    }
}

#[async_trait]
impl Store for OssStore {
    fn url(&self) -> &str {
        &self.folder.url
    }

    fn place(&self) -> Place {
        let service = self.account.settings.service();
        self.folder
            .place(format!("oss+{service}/{}", self.site.bucket))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            if_absent: self.bucket.versions.let_create(),
            if_match: false,
            proven_conditions: false,
            delete_if_match: false,
            copy_conditions: true,
            max_conditional: None,
            verified_writes: true,
            checksum: Some(Algorithm::Md5),
            server_copy: true,
            hierarchical: false,
            metadata: true,
            ephemeral: false,
            max_key: Some(LONGEST_NAME),
            // Of parts of at most 5 GiB.
            max_size: Some(multipart::MOST_PARTS * (5 << 30)),
        }
    }

    async fn learn(&self) -> Result<()> {
        self.ask_versions().await
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
        self.get(key, None, options).await
    }

    async fn read_version(&self, key: &Key, version: &str) -> Result<Object> {
        self.get(key, Some(version), ReadOptions::default()).await
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        self.put(key, body, &options).await
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        self.delete_one(key, &precondition).await
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Vec<Error> {
        self.delete_all(keys).await
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

    /// Beside too long ones, names that the service doesn't take.
    fn refuses(&self, key: &Key) -> Option<String> {
        let full = self.full(key);
        if full.len() > LONGEST_NAME {
            let length = full.len();
            return Some(format!(
                "its name has {length} bytes, and {LONGEST_NAME} is the most"
            ));
        }
        full.starts_with('\\')
            .then(|| "its name begins with a backslash".to_owned())
    }
}
