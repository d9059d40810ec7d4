//! A store whose writes reach it, once the gate lets them through.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;

use super::gate::Gate;
use crate::store::{
    Body, Capabilities, Error, Key, ListOptions, Listing, Meta, Object, Place, Precondition,
    ReadOptions, Result, Store, StoreUrl, WriteOptions,
};

/// A store behind the run's [`Gate`].
#[derive(Clone)]
pub(super) struct Direct {
    base: Arc<dyn Store>,
    opened_at: Arc<StoreUrl>,
    gate: Arc<Gate>,
}

impl Direct {
    pub(super) fn new(base: Arc<dyn Store>, url: &StoreUrl, gate: Arc<Gate>) -> Self {
        Self {
            base,
            opened_at: Arc::new(url.clone()),
            gate,
        }
    }
}

#[async_trait]
impl Store for Direct {
    fn url(&self) -> &str {
        self.base.url()
    }

    fn place(&self) -> Place {
        self.base.place()
    }

    fn capabilities(&self) -> Capabilities {
        self.base.capabilities()
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        Arc::new(Self {
            base: self.base.at(folder),
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.base.stat(key).await
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        self.base.read(key, options).await
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        self.gate.admit("write", &*self.base, key)?;
        let body = self.gate.follow(&self.base, key, body);
        self.base.write(key, body, options).await
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        self.gate.admit("delete", &*self.base, key)?;
        self.base.delete(key, precondition).await
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Vec<Error> {
        let mut failures = Vec::new();
        let mut admitted = Vec::with_capacity(keys.len());
        for key in keys {
            match self.gate.admit("delete", &*self.base, &key) {
                Ok(()) => admitted.push(key),
                Err(denied) => failures.push(denied),
            }
        }
        failures.extend(self.base.delete_many(admitted).await);
        failures
    }

    fn list(&self, options: ListOptions) -> Listing {
        self.base.list(options)
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        self.gate.admit("copy", &*self.base, key)?;
        self.base.copy_from(source, from, key, options).await
    }

    fn backend(&self) -> &dyn Any {
        self.base.backend()
    }

    fn opened_at(&self) -> Option<&StoreUrl> {
        Some(&self.opened_at)
    }

    fn refuses(&self, key: &Key) -> Option<String> {
        self.base.refuses(key)
    }
}
