//! `swift://`: the object store of `OpenStack`, by its own API, with its `ETag`s as tags.
//!
//! Its servers check conditions each for itself and agree later, so no condition on a write holds
//! whatever the timing: none is claimed.

mod account;
mod catalogue;
mod container;
mod copy;
mod delete;
mod error;
mod info;
mod list;
mod login;
mod manifest;
mod meta;
mod read;
mod segments;
mod sign_in;
mod sweep;
mod write;

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::HeaderMap;
use http::request::Builder;
use http::{Request, Response, header};

use self::account::Account;
use self::container::Container;
use self::error::{NO_CONTAINER, SERVICE};
use self::info::Info;
use self::read::Wanted;
use super::folder::Folder;
use super::registry::Kind;
use super::rest::{Call, Failure, Site, Told, encoded, encoded_path};
use super::{
    Algorithm, Body, Capabilities, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object,
    Place, Precondition, ReadOptions, Result, Store, StoreUrl, WriteOptions, pages, resume,
};

pub use self::account::Clients;

/// What people need to know.
pub(super) const KIND: Kind = Kind {
    schemes: &["swift"],
    summary: "OpenStack Swift, and services that speak as it does",
    form: "CONTAINER/PREFIX",
    options: &["cloud", "region", "endpoint", "credentials_file"],
    beside: &[
        "times at which objects expire",
        "older versions",
        "links (symlink) and content encodings",
    ],
    environment: &[
        (
            "OS_CLOUD",
            "the cloud in clouds.yaml and secure.yaml, before all that follows",
        ),
        (
            "OS_CLIENT_CONFIG_FILE, OS_CLIENT_SECURE_FILE",
            "these files, before those here, in ~/.config/openstack and in /etc/openstack",
        ),
        (
            "OS_AUTH_URL, OS_USERNAME or OS_USERID, OS_PASSWORD, OS_PROJECT_NAME or OS_TENANT_ID, \
             OS_USER_DOMAIN_NAME, OS_PROJECT_DOMAIN_NAME, OS_DOMAIN_NAME …",
            "a user of Keystone, in the names of kOps and of OpenStack",
        ),
        (
            "OS_APPLICATION_CREDENTIAL_ID, OS_APPLICATION_CREDENTIAL_SECRET",
            "an application credential instead of a password",
        ),
        (
            "OS_REGION_NAME, OS_INTERFACE, OS_CACERT",
            "which endpoint of the catalogue, and whose certificates count",
        ),
        (
            "KOPS_OS_TLS_INSECURE_SKIP_VERIFY",
            "true or 1: no certificate is checked",
        ),
        ("ST_AUTH, ST_USER, ST_KEY", "a user of TempAuth"),
        (
            "OPENSTACK_CREDENTIAL_FILE",
            "kOps's INI file, instead of ~/.openstack/config",
        ),
    ],
};

/// The longest name of an object in bytes, the store's own prefix included, as Swift comes.
const LONGEST_NAME: usize = 1024;

/// What reading takes, and what writing does: lists of who may, on the container.
const READ: &str = "X-Container-Read";
const WRITE: &str = "X-Container-Write";

/// Asks all replicas for the newest version, where an older one could lead astray.
const NEWEST: &str = "x-newest";

/// How often a missing object is looked for: a server that is just replacing one may not see it.
const LOOKS: u32 = 2;

/// A container, or a folder in one.
#[derive(Clone)]
pub struct SwiftStore {
    account: Arc<Account>,
    container: Arc<Container>,
    site: Site,
    folder: Folder,
}

impl SwiftStore {
    fn at_url(url: &StoreUrl, account: Arc<Account>) -> Self {
        Self {
            container: account.container(&url.authority),
            site: Site {
                service: &SERVICE,
                host: account.host().into(),
                bucket: url.authority.as_str().into(),
            },
            folder: Folder::of(url),
            account,
        }
    }

    /// One call, as errors name it: the host is known since somebody has signed in.
    fn call<'a>(
        &'a self,
        operation: &'static str,
        action: &'static str,
        key: Option<&'a Key>,
    ) -> Call<'a> {
        Call {
            host: self.account.host(),
            ..self.site.call(&self.folder, operation, action, key)
        }
    }

    /// The container, relative to the account.
    fn container_path(&self) -> String {
        format!("/{}", encoded(&self.site.bucket))
    }

    /// An object of this full name, relative to the account.
    fn path(&self, name: &str) -> String {
        format!("{}/{}", self.container_path(), encoded_path(name))
    }

    /// The name of an object to be written.
    fn new_name(&self, operation: &'static str, key: &Key) -> Result<String> {
        match self.refuses(key) {
            Some(why) => Err(self
                .folder
                .error(ErrorKind::InvalidKey, operation, key, why)),
            None => Ok(self.folder.full(key.as_str())),
        }
    }

    /// One request, and its whole answer.
    async fn once(&self, request: Builder, body: Bytes) -> Result<Response<Bytes>, Failure> {
        let request = request.body(body);
        let request = request.map_err(|error| Failure::unsent(error.to_string()))?;
        let answer = self.account.call(request).await?;
        self.container.see();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut whole = Response::new(answer.bytes().await?);
        (*whole.status_mut(), *whole.headers_mut()) = (status, headers);
        Ok(whole)
    }

    /// A request without a body, retried.
    async fn ask(&self, call: Call<'_>, request: impl Fn() -> Builder) -> Result<Response<Bytes>> {
        let attempt = |_| async {
            let answer = self.once(request(), Bytes::new()).await;
            match answer {
                Ok(answer) => Ok(answer),
                Err(failure) => Err(self.error(failure, &call).await),
            }
        };
        self.account.tuning.retry.run(attempt).await
    }

    /// What a failure means: a missing container looks like a missing object.
    async fn error(&self, failure: Failure, call: &Call<'_>) -> Error {
        match failure.status() {
            Some(404) if call.key.is_some() && !self.is_there().await => {
                let told = Told {
                    code: NO_CONTAINER.to_owned(),
                    ..Told::default()
                };
                Failure::told(404, told).into_error(call)
            }
            Some(413 | 507) => failure.into_error(call).hint(
                "there is no more room: a quota of the container or the account, or the disks",
            ),
            _ => failure.into_error(call),
        }
    }

    /// Whether what was not found may be there all the same.
    fn may_be_there(&self, error: &Error) -> bool {
        *error.kind() == ErrorKind::NotFound && self.container.is_seen()
    }

    /// Whether the container is there, as far as it may be looked at.
    async fn is_there(&self) -> bool {
        if self.container.is_seen() {
            return true;
        }
        let answer = self.once(Request::head(self.container_path()), Bytes::new());
        !answer
            .await
            .is_err_and(|failure| failure.status() == Some(404))
    }

    /// The headers of the newest version of an object of this full name.
    async fn newest(&self, call: Call<'_>, name: &str) -> Result<HeaderMap> {
        let path = self.path(name);
        let mut looks = 0;
        loop {
            looks += 1;
            let request = || Request::head(&path).header(NEWEST, "true");
            match self.ask(call, request).await {
                Ok(answer) => return Ok(answer.into_parts().0.headers),
                Err(error) if self.may_be_there(&error) && looks < LOOKS => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn head(&self, operation: &'static str, key: &Key) -> Result<Meta> {
        let call = self.call(operation, READ, Some(key));
        let headers = self.newest(call, &self.folder.full(key.as_str())).await?;
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        match length.map(|size| meta::of_headers(key, size, &headers)) {
            Some(meta) if meta.tag.is_some() => Ok(meta),
            _ => {
                let message = "the answer has no size, or no ETag";
                Err(self
                    .folder
                    .error(ErrorKind::Corrupt, operation, key, message))
            }
        }
    }

    /// No condition is checked in one step with a change.
    fn check_condition(
        &self,
        operation: &'static str,
        key: &Key,
        precondition: &Precondition,
    ) -> Result<()> {
        let message = match precondition {
            Precondition::None => return Ok(()),
            Precondition::IfAbsent => {
                "Swift's servers look each for itself whether an object exists, so that of many \
                 that create one several win"
            }
            Precondition::IfMatch(_) => "Swift compares no versions before a change",
        };
        Err(self
            .folder
            .error(ErrorKind::Unsupported, operation, key, message)
            .hint("look at the object first and write without a condition, under a lock"))
    }
}

#[async_trait]
impl Store for SwiftStore {
    fn url(&self) -> &str {
        &self.folder.url
    }

    fn place(&self) -> Place {
        let (account, container) = (self.account.place(), &self.site.bucket);
        self.folder.place(format!("swift+{account}/{container}"))
    }

    fn capabilities(&self) -> Capabilities {
        let part = self.account.tuning.part_size;
        let most = self.account.info.get().unwrap_or(&Info::AS_IT_COMES);
        Capabilities {
            if_absent: false,
            if_match: false,
            proven_conditions: false,
            delete_if_match: false,
            copy_conditions: false,
            max_conditional: None,
            verified_writes: true,
            checksum: Some(Algorithm::Md5),
            server_copy: true,
            hierarchical: false,
            metadata: true,
            ephemeral: false,
            max_key: Some(LONGEST_NAME),
            max_size: Some(most.largest_in_segments().unwrap_or(part)),
        }
    }

    async fn learn(&self) -> Result<()> {
        self.info().await.map(drop)
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
        self.check_condition("delete", key, &precondition)?;
        self.delete_one(key).await
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
}
