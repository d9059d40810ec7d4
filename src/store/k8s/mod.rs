//! `k8s://[context]/namespace/prefix`: a tree of files in the Secrets of a namespace.
//!
//! [`layout`] tells how an object lies there. A tag is the Secret's uid and resource version:
//! whoever changes a label or an annotation of it makes another version, although the bytes are
//! the same. All conditions are the API server's own, and it checks them in one step with the
//! write.

mod call;
mod chunks;
mod client;
mod config;
mod delete;
mod encode;
mod error;
mod layout;
mod lease;
mod list;
mod rbac;
mod read;
mod settings;
mod write;

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;

use self::client::Account;
use super::folder::Folder;
use super::registry::Kind;
use super::{
    Algorithm, Body, Capabilities, Error, Key, Leases, ListOptions, Listing, Meta, Object, Place,
    Precondition, ReadOptions, Result, Store, StoreUrl, WriteOptions, delete_each,
};

pub use self::client::{Clients, Tuning};
pub use self::rbac::rbac;

/// What people need to know.
pub(super) const KIND: Kind = Kind {
    schemes: &["k8s"],
    summary: "Secrets of a Kubernetes namespace",
    form: "[CONTEXT]/NAMESPACE/PREFIX",
    options: &["context", "kubeconfig"],
    beside: &["labels and annotations of others"],
    environment: &[
        (
            "KUBECONFIG",
            "the kubeconfig files; default: ~/.kube/config",
        ),
        (
            "KUBERNETES_SERVICE_HOST",
            "set within a cluster, where the service account is used when there is no kubeconfig",
        ),
    ],
};

/// How many objects are deleted at once.
const DELETES_AT_ONCE: usize = 8;

/// The longest key in bytes, the store's own prefix included. All annotations of an object may
/// have 256 KiB.
const LONGEST_KEY: usize = 1024;

/// The largest object in bytes: seventy chunks, all of which a read holds in memory.
const LARGEST: u64 = 64 << 20;

/// etcd keeps no more by default, with everything else of the cluster:
/// <https://etcd.io/docs/v3.6/dev-guide/limit/>.
const CAPACITY: u64 = 2 << 30;

/// What all of its stores can do.
#[must_use]
pub fn capabilities() -> Capabilities {
    Capabilities {
        if_absent: true,
        if_match: true,
        proven_conditions: true,
        delete_if_match: true,
        copy_conditions: false,
        max_conditional: None,
        verified_writes: true,
        checksum: Some(Algorithm::Sha256),
        server_copy: false,
        hierarchical: false,
        metadata: true,
        ephemeral: false,
        max_key: Some(LONGEST_KEY),
        max_size: Some(LARGEST),
    }
}

/// A namespace, or a folder in one.
#[derive(Clone)]
pub struct K8sStore {
    shared: Arc<Shared>,
    folder: Folder,
}

/// What a store and all its folders have in common.
struct Shared {
    account: Arc<Account>,
    namespace: String,
}

impl K8sStore {
    fn new(url: &StoreUrl, account: Arc<Account>, namespace: String) -> Self {
        Self {
            shared: Arc::new(Shared { account, namespace }),
            folder: Folder::of(url),
        }
    }

    fn tuning(&self) -> &Tuning {
        &self.shared.account.tuning
    }
}

#[async_trait]
impl Store for K8sStore {
    fn url(&self) -> &str {
        &self.folder.url
    }

    fn place(&self) -> Place {
        let Shared { account, namespace } = &*self.shared;
        self.folder
            .place(format!("k8s+{}/{namespace}", account.server))
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn capacity(&self) -> Option<u64> {
        Some(CAPACITY)
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            shared: Arc::clone(&self.shared),
            folder: self.folder.at(folder),
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.head(key).await
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        self.get(key, options).await
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
        list::listing(self.clone(), options)
    }

    async fn copy_from(
        &self,
        _: &Arc<dyn Store>,
        _: &Meta,
        _: &Key,
        _: &WriteOptions,
    ) -> Result<Option<Meta>> {
        Ok(None)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    fn backend(&self) -> &dyn Any {
        self
    }
}
