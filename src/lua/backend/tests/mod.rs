//! Backends as stores: by the book, and by authors who make mistakes.

mod contract;
mod figures;
mod grants;
mod mistakes;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;

use super::{Limits, Plugin};
use crate::lua::{ScriptError, Source};
use crate::session::permissions::Grants;
use crate::store::registry::{Env, Registry};
use crate::store::{
    Body, Error, Key, ListOptions, Meta, ReadOptions, Result, Store, StoreUrl, WriteOptions,
};

/// The tutorial's backend.
const SHELF: &str = include_str!("../../../../examples/backends/shelf.lua");

/// A registry with backends, and the threads that do their I/O.
struct Bench {
    io: tokio::runtime::Runtime,
    registry: Registry,
    limits: Limits,
}

impl Bench {
    fn new() -> Self {
        Self {
            io: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
            registry: Registry::new(Env::default()),
            limits: Limits::default(),
        }
    }

    /// Backends get little time and memory.
    fn strict() -> Self {
        Self {
            limits: Limits {
                time: Duration::from_millis(300),
                grace: Duration::from_millis(300),
                memory: 32 << 20,
            },
            ..Self::new()
        }
    }

    fn plugin(&self, source: Source, granted: Grants) -> std::result::Result<Plugin, ScriptError> {
        let env = self.registry.env().clone();
        let plugin = Plugin::new(source, env, |_| granted, self.io.handle().clone())?;
        Ok(plugin.limited(self.limits))
    }

    fn add(&self, name: &str, text: &str) {
        let plugin = self.plugin(Source::new(name, text), Grants::default());
        plugin.unwrap().register(&self.registry).unwrap();
    }

    /// The backends that ship with kstate.
    fn add_shipped(&self) {
        for (source, _) in crate::scripts::backends() {
            let plugin = self.plugin(source, Grants::default()).unwrap();
            plugin.register(&self.registry).unwrap();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "no run is needed for a store")]
    fn try_open(&self, url: &str) -> Result<Arc<dyn Store>> {
        self.registry.open(&StoreUrl::parse(url)?)
    }

    #[track_caller]
    fn open(&self, url: &str) -> Arc<dyn Store> {
        self.try_open(url).unwrap()
    }

    fn write(&self, store: &Arc<dyn Store>, key: &str, text: &'static str) -> Result<Meta> {
        let (key, how) = (Key::parse(key).unwrap(), WriteOptions::default());
        self.io.block_on(store.write(&key, Body::from(text), how))
    }

    fn read(&self, store: &Arc<dyn Store>, key: &str) -> Result<String> {
        let key = Key::parse(key).unwrap();
        self.io.block_on(async {
            let object = store.read(&key, ReadOptions::default()).await?;
            let bytes = object.body.collect(u64::MAX).await?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })
    }

    fn stat(&self, store: &Arc<dyn Store>, key: &str) -> Result<Meta> {
        self.io.block_on(store.stat(&Key::parse(key).unwrap()))
    }

    /// The names of a listing, and the error at its end.
    fn list(&self, store: &Arc<dyn Store>) -> (Vec<String>, Option<Error>) {
        let entries: Vec<_> = self
            .io
            .block_on(store.list(ListOptions::default()).collect());
        let (mut names, mut last) = (Vec::new(), None);
        for entry in entries {
            assert!(last.is_none(), "something after an error");
            match entry {
                Ok(entry) => names.push(entry.name().to_owned()),
                Err(error) => last = Some(error),
            }
        }
        (names, last)
    }
}
