//! A backend in Lua as a store.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use mlua::Value;
use tokio::sync::mpsc;

use super::definition::{Lists, at_most};
use super::instance::Instance;
use super::reading::{self, Read};
use super::sending::{Limits, Sending};
use super::serve::Clock;
use super::writing::{conditions_to_lua, write, written};
use super::{failure, listing, paging, values};
use crate::lua::error::ScriptError;
use crate::store::{
    Body, Capabilities, Entry, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object, Place,
    Precondition, ReadOptions, Result, Store, Tag, WriteOptions, delete_each,
};

/// Up to which size in bytes a stream is read whole, where only a look before and one behind it
/// tell that it is of one version: then it can be read again.
const WHOLE: u64 = 8 << 20;

/// How many objects are deleted at once.
const DELETES_AT_ONCE: usize = 16;

/// How often a read begins anew when the object changes under it.
const TRIES: usize = 5;

/// A folder of a store of a backend's.
#[derive(Clone)]
pub(super) struct LuaStore {
    instance: Arc<Instance>,
    url: String,
    /// The folder, which stands before every key.
    prefix: String,
    root: String,
}

impl LuaStore {
    pub(super) fn new(instance: Arc<Instance>, url: String, prefix: String, root: String) -> Self {
        Self {
            instance,
            url,
            prefix,
            root,
        }
    }

    /// What an object has there, and on the store that it wraps.
    pub(super) fn beside(&self) -> Vec<String> {
        let mut names = self.instance.definition.beside.clone();
        if let Some(inner) = self.inner() {
            names.extend(super::beside(&**inner));
        }
        names
    }

    /// The store that it wraps.
    fn inner(&self) -> Option<&Arc<dyn Store>> {
        let wraps = self.instance.definition.wraps.as_deref();
        wraps.and_then(|option| self.instance.config.store(option))
    }

    /// The key as the backend knows it.
    fn full(&self, key: &Key) -> String {
        self.place().full_key(key.as_str())
    }

    fn unsupported(&self, operation: &'static str, key: &Key, what: &str) -> Error {
        let name = &self.instance.name;
        let message = format!("the backend '{name}' can't {what}");
        Error::new(ErrorKind::Unsupported, operation, message).at(&self.url, Some(key.as_str()))
    }

    fn failed(&self, error: &ScriptError, operation: &'static str, key: Option<&Key>) -> Error {
        let made = failure::to_store(error, &self.instance.name, operation);
        // A missing bucket is told without a key, which only the backend knows to be missing.
        let is_whole = error.kind() == "not_found" && error.key().is_none();
        made.at(&self.url, key.filter(|_| !is_whole).map(Key::as_str))
    }

    fn check_precondition(
        &self,
        operation: &'static str,
        key: &Key,
        precondition: &Precondition,
        able: (bool, bool),
    ) -> Result<()> {
        match precondition {
            Precondition::IfAbsent if !able.0 => {
                Err(self.unsupported(operation, key, "write only where nothing is (if_absent)"))
            }
            Precondition::IfMatch(_) if !able.1 => Err(self.unsupported(
                operation,
                key,
                &format!("{operation} only one version (if_match)"),
            )),
            _ => Ok(()),
        }
    }

    fn check_writes(&self, operation: &'static str, key: &Key) -> Result<()> {
        if !self.instance.definition.abilities.writes {
            return Err(self.unsupported(operation, key, &format!("{operation}: it is read only")));
        }
        match self.refuses(key) {
            Some(why) => {
                Err(Error::new(ErrorKind::InvalidKey, operation, why)
                    .at(&self.url, Some(key.as_str())))
            }
            None => Ok(()),
        }
    }

    async fn told(&self, key: &Key, operation: &'static str) -> Result<Meta> {
        let (full, named) = (self.full(key), key.clone());
        let asked = self.instance.ask(move |vm| {
            Box::pin(async move {
                let results = vm.call("stat", &Clock::new(), full).await?;
                match results.front() {
                    None | Some(Value::Nil) => Ok(None),
                    Some(Value::Table(table)) => {
                        let meta = values::meta(table, named, None);
                        let meta = meta.map_err(|fault| vm.faulty("stat", &fault))?;
                        if meta.tag.is_none() {
                            return Err(vm.faulty("stat", "no 'tag', by which versions are told"));
                        }
                        Ok(Some(meta))
                    }
                    other => Err(vm.nonsense("stat", &values::shown(other), "a table or nil")),
                }
            })
        });
        match asked.await {
            Ok(Some(meta)) => Ok(meta),
            Ok(None) => Err(Error::not_found(operation, &self.url, key)),
            Err(error) => Err(self.failed(&error, operation, Some(key))),
        }
    }

    fn other_version(&self, operation: &'static str, key: &Key, found: Option<Tag>) -> Error {
        let message = "the object is no longer the version that was read";
        Error::new(ErrorKind::PreconditionFailed { found }, operation, message)
            .at(&self.url, Some(key.as_str()))
    }

    /// One try to read; `None` when the object changed meanwhile.
    async fn read_once(&self, key: &Key, options: &ReadOptions) -> Result<Option<Object>> {
        let able = self.instance.definition.abilities;
        let wanted = options.if_match.as_ref();
        let tells = &self.instance.read_tells;
        let before = if tells.load(Ordering::Relaxed) {
            None
        } else {
            Some(self.told(key, "read").await?)
        };
        let call = reading::Call {
            key: self.full(key),
            range: options.range.clone().filter(|_| able.range),
            if_match: options.if_match.clone().filter(|_| able.read_if_match),
        };
        let named = key.clone();
        let asked = self
            .instance
            .ask(move |vm| Box::pin(reading::read(vm, named, call)));
        let found = asked.await;
        let found = found.map_err(|error| self.failed(&error, "read", Some(key)))?;
        let Some(Read { meta, mut body }) = found else {
            return Err(Error::not_found("read", &self.url, key));
        };
        let meta = meta.filter(|meta| meta.tag.is_some());
        tells.store(meta.is_some(), Ordering::Relaxed);
        let meta = match (meta, before) {
            (Some(meta), _) => meta,
            (None, None) => return Ok(None),
            // What is read is of the version that is there before and after.
            (None, Some(before)) => {
                if before.size <= WHOLE {
                    let whole = body.collect(u64::MAX).await;
                    body = Body::Bytes(
                        whole.map_err(|error| error.at(&self.url, Some(key.as_str())))?,
                    );
                }
                body = match body {
                    Body::Bytes(_) if self.told(key, "read").await?.tag != before.tag => {
                        return Ok(None);
                    }
                    body @ Body::Bytes(_) => body,
                    Body::Stream { stream, .. } => {
                        Body::stream(None, stream.chain(self.unchanged(key, before.tag.clone())))
                    }
                };
                before
            }
        };
        if let Some(wanted) = wanted
            && meta.tag.as_ref() != Some(wanted)
        {
            return Err(self.other_version("read", key, meta.tag));
        }
        let (url, key) = (self.url.clone(), key.clone());
        let place = move |error: Error| error.at(&url, Some(key.as_str()));
        let body = match &options.range {
            Some(range) if able.range => reading::exactly(body, &meta, Some(range), place)?,
            Some(range) => reading::part(reading::exactly(body, &meta, None, place)?, range),
            None => reading::exactly(body, &meta, None, place)?,
        };
        Ok(Some(Object { meta, body }))
    }

    /// The end of a body, which is an error when the object is another version by then.
    fn unchanged(
        &self,
        key: &Key,
        tag: Option<Tag>,
    ) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        let (store, key) = (self.clone(), key.clone());
        let check = async move {
            match store.told(&key, "read").await {
                Ok(now) if now.tag == tag => None,
                Ok(_) => {
                    let message = "the object changed while it was read";
                    Some(Err(Error::new(ErrorKind::Unavailable, "read", message)))
                }
                Err(error) => Some(Err(error)),
            }
        };
        stream::once(check).filter_map(std::future::ready)
    }

    /// The listing of the backend itself, of one level or of all, with its own names.
    fn raw(&self, below: &str, one_level: bool, start: Option<String>) -> Listing {
        let folder = below.trim_end_matches('/').to_owned();
        let with_slash = match folder.as_str() {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let able = self.instance.definition.abilities;
        let start = start.filter(|_| able.start_after);
        let (send, batches) = mpsc::channel::<Vec<Result<Entry>>>(1);
        let store = self.clone();
        let pump = self.instance.io.spawn(async move {
            let (to, instance) = (send.clone(), Arc::clone(&store.instance));
            let asked = store.instance.ask(move |vm| {
                instance.list_at.get_or_init(|| vm.place_of("list"));
                Box::pin(paging::list(vm, folder, one_level, start, to))
            });
            if let Err(error) = asked.await {
                let error = store.failed(&error, "list", None);
                let _ = send.send(vec![Err(error)]).await;
            }
        });
        let abort = Abort(pump);
        let entries = stream::unfold((batches, abort), |(mut batches, abort)| async {
            let batch = batches.recv().await?;
            Some((stream::iter(batch), (batches, abort)))
        });
        let store = self.clone();
        listing::in_order(entries.flatten().boxed(), with_slash, able.sorted)
            .map(move |entry| {
                entry.map_err(|error| match error.store() {
                    "" => store.out_of_order(&error),
                    _ => error,
                })
            })
            .boxed()
    }

    /// A fault that shows only in the listing as a whole.
    fn out_of_order(&self, error: &Error) -> Error {
        let (name, at) = (&self.instance.name, self.instance.list_at.get());
        let at = at.map(|at| format!("{at}: ")).unwrap_or_default();
        let message = format!("the backend '{name}' failed: {at}{}", error.message());
        let made = Error::new(error.kind().clone(), "list", message).at(&self.url, None);
        match error.hint_text() {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }

    /// All below a folder, from listings of one level each.
    fn walk(&self, below: &str, start: Option<String>) -> Listing {
        let store = self.clone();
        listing::walk(below, start, move |folder| store.raw(&folder, true, None))
    }

    fn own(&self, entry: Entry) -> Result<Entry> {
        let strip = match self.prefix.len() {
            0 => return Ok(entry),
            length => length + 1,
        };
        let rest = |name: &str| name.get(strip..).unwrap_or_default().to_owned();
        Ok(match entry {
            Entry::Prefix(name) => Entry::Prefix(rest(&name)),
            Entry::Foreign { name, size, reason } => Entry::Foreign {
                name: rest(&name),
                size,
                reason,
            },
            Entry::Object(meta) => Entry::Object(Meta {
                key: Key::parse(&rest(meta.key.as_str()))?,
                ..meta
            }),
        })
    }

    /// What a write gave, with what the backend left out. A tag that is asked for afterwards may
    /// be somebody else's, which nobody may take for what they wrote.
    async fn written(&self, key: &Key, meta: Meta) -> Result<Meta> {
        if meta.tag.is_some() {
            return Ok(meta);
        }
        if self.instance.definition.capabilities.if_match {
            let name = &self.instance.name;
            let message = format!(
                "the backend '{name}' failed: 'write' gave no 'tag', which a backend with if_match must"
            );
            return Err(
                Error::new(ErrorKind::Corrupt, "write", message).at(&self.url, Some(key.as_str()))
            );
        }
        let told = self.told(key, "write").await?;
        let is_ours = told.size == meta.size;
        Ok(if is_ours { told } else { meta })
    }
}

/// A task that ends with whoever waits for it.
struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Store for LuaStore {
    fn url(&self) -> &str {
        &self.url
    }

    fn place(&self) -> Place {
        Place {
            root: self.root.clone(),
            prefix: self.prefix.clone(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        let own = self.instance.definition.capabilities.clone();
        match self.inner() {
            None => own,
            Some(inner) => {
                let mut can = inner.capabilities();
                // It counts its own folder too, which our names are without.
                let taken = inner.place().full_key("x").len() - 1;
                can.max_key = can.max_key.map(|most| most.saturating_sub(taken));
                at_most(&own, &can)
            }
        }
    }

    fn refuses(&self, key: &Key) -> Option<String> {
        let full = Key::parse(&self.full(key)).ok()?;
        let length = full.as_str().len();
        match self.capabilities().max_key {
            Some(most) if length > most => Some(format!(
                "its name has {length} bytes, and {most} is the most"
            )),
            _ => self.inner()?.refuses(&full),
        }
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        if folder.is_empty() {
            return Arc::new(self.clone());
        }
        Arc::new(Self {
            url: format!("{}/{folder}", self.url),
            prefix: self.place().full_key(folder),
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        self.told(key, "stat").await
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        for _ in 0..TRIES {
            if let Some(object) = self.read_once(key, &options).await? {
                return Ok(object);
            }
        }
        let message = format!("the object changed {TRIES} times while it was read");
        Err(Error::new(ErrorKind::Unavailable, "read", message).at(&self.url, Some(key.as_str())))
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        let able = self.capabilities();
        self.check_writes("write", key)?;
        let conditions = (able.if_absent, able.if_match);
        self.check_precondition("write", key, &options.precondition, conditions)?;
        let here = |error: Error| error.at(&self.url, Some(key.as_str()));
        let limits = Limits::new(&able, &options.precondition);
        let body = Sending::new(&self.instance.io, body, &options, able.checksum, limits);
        let body = body.map_err(here)?;
        let (full, named) = (self.full(key), key.clone());
        let asked = self
            .instance
            .ask(move |vm| Box::pin(write(vm, full, named, body, options)));
        match asked.await {
            Ok(Ok(meta)) => self.written(key, meta).await,
            Ok(Err(error)) => Err(match error.store() {
                "" => here(error),
                _ => error,
            }),
            Err(error) => Err(self.failed(&error, "write", Some(key))),
        }
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        self.check_writes("delete", key)?;
        let able = self.capabilities();
        let conditions = (false, able.delete_if_match);
        self.check_precondition("delete", key, &precondition, conditions)?;
        let full = self.full(key);
        let asked = self.instance.ask(move |vm| {
            Box::pin(async move {
                let options = vm.lua.create_table()?;
                conditions_to_lua(&options, &precondition)?;
                vm.call("delete", &Clock::new(), (full, options)).await?;
                Ok(())
            })
        });
        match asked.await {
            Err(error) if error.kind() == "not_found" && error.key().is_some() => Ok(()),
            asked => asked.map_err(|error| self.failed(&error, "delete", Some(key))),
        }
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Vec<Error> {
        delete_each(self, keys, DELETES_AT_ONCE).await
    }

    fn list(&self, options: ListOptions) -> Listing {
        let place = self.place();
        let below = place.full_key(&options.below);
        let start = options
            .start_after
            .as_ref()
            .map(|start| place.full_key(start));
        let folder = match below.as_str() {
            "" => String::new(),
            below => format!("{below}/"),
        };
        let lists = self.instance.definition.abilities.lists;
        let found = match (options.one_level, lists) {
            (false, Lists::Recursive | Lists::Both) => {
                listing::after(self.raw(&below, false, start.clone()), start)
            }
            (true, Lists::Recursive) => {
                let all = listing::after(self.raw(&below, false, start.clone()), start);
                listing::fold(all, folder)
            }
            (true, Lists::OneLevel | Lists::Both) => {
                let level = listing::fold(self.raw(&below, true, start.clone()), folder);
                let level = listing::after(level, start);
                if self.instance.definition.abilities.empty_folders {
                    let store = self.clone();
                    listing::without_empty(level, move |folder| store.walk(&folder, None))
                } else {
                    level
                }
            }
            (false, Lists::OneLevel) => listing::after(self.walk(&below, start.clone()), start),
        };
        let store = self.clone();
        let own = found.map(move |entry| store.own(entry?));
        listing::until_error(own.boxed())
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        let Some(origin) = source.backend().downcast_ref::<Self>() else {
            return Ok(None);
        };
        let able = self.capabilities();
        let is_conditional = options.precondition != Precondition::None;
        if !able.server_copy
            || !Arc::ptr_eq(&origin.instance, &self.instance)
            || is_conditional && !able.copy_conditions
        {
            return Ok(None);
        }
        self.check_writes("copy", key)?;
        let (from_key, to_key) = (origin.full(&from.key), self.full(key));
        let (from_tag, precondition) = (from.tag.clone(), options.precondition.clone());
        let (named, size) = (key.clone(), from.size);
        let asked = self.instance.ask(move |vm| {
            Box::pin(async move {
                let how = vm.lua.create_table()?;
                conditions_to_lua(&how, &precondition)?;
                how.raw_set("source_if_match", from_tag.map(|tag| tag.0))?;
                let results = vm
                    .call("copy", &Clock::new(), (from_key, to_key, how))
                    .await?;
                written(&vm, "copy", &results, named, size)
            })
        });
        let asked = asked.await;
        let meta = asked.map_err(|error| self.failed(&error, "copy", Some(key)))?;
        self.written(key, meta).await.map(Some)
    }

    fn backend(&self) -> &dyn Any {
        self
    }
}
