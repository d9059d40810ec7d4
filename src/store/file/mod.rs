//! Bare paths and `file://`: objects as files below a folder, laid out as kOps lays them out.
//!
//! A write is made aside, checked, put on the disk and renamed, so that a reader, a crash or a
//! power cut sees the old bytes or the new. Conditions hold against every process that comes
//! through here ([`commit`]), and [`Precondition::IfAbsent`] against every program.

mod commit;
mod list;
mod read;
mod stage;
#[cfg(test)]
mod tests;
mod tree;
mod trouble;
mod version;

use std::any::Any;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Once, OnceLock};

use async_trait::async_trait;
use bytes::BytesMut;
use futures::{StreamExt, TryStreamExt, stream};

use super::registry::Kind;
use super::{
    Body, Capabilities, Entry, Error, ErrorKind, Key, ListOptions, Listing, Meta, Object, Place,
    Precondition, ReadOptions, Result, Store, StoreUrl, WriteOptions,
};
use list::Walk;
use stage::Staged;
use tree::{Tree, is_staging};
use trouble::{Context, Trouble};

/// What people need to know.
pub(super) const KIND: Kind = Kind {
    schemes: &["file"],
    summary: "a folder of this machine, laid out as kOps lays it out; its path alone will do",
    form: "/PATH",
    options: &[],
    beside: &["owners, modes and times"],
    environment: &[],
};

/// The longest path in bytes: `PATH_MAX` of Linux without its NUL and the leading slash.
const MAX_PATH: usize = 4094;

/// The longest name in a folder in bytes: `NAME_MAX`.
const MAX_NAME: usize = 255;

/// How many entries a listing takes at once.
const BATCH: usize = 256;

/// How many bytes of a stream are written at once.
const CHUNK: usize = 1 << 20;

/// A folder in a file system as a store.
#[derive(Clone)]
pub struct FileStore {
    tree: Arc<Tree>,
    /// The folder below the tree's top, without a slash at either end.
    prefix: String,
    url: String,
    place: Place,
}

impl FileStore {
    /// Opens the folder at a path, relative ones from the working directory. It need not exist:
    /// the first write makes it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the path is relative and there is no working directory.
    pub fn open(url: &StoreUrl) -> Result<Self> {
        Self::open_with(url, true)
    }

    /// The same, with a choice whether a write that has returned survives a power cut. Without
    /// it writes are still atomic for readers, and about as fast as the memory they land in.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(url: &StoreUrl, durable: bool) -> Result<Self> {
        let root = std::path::absolute(&url.path).map_err(|error| {
            Error::new(ErrorKind::Invalid, "open", error.to_string()).at(url, None)
        })?;
        let shown = root.to_string_lossy();
        let shown = match shown.trim_end_matches('/') {
            "" => "/",
            shown => shown,
        };
        Ok(Self {
            url: shown.to_owned(),
            prefix: String::new(),
            place: place_of(&root),
            tree: Arc::new(Tree {
                root: resolve(&root),
                durable,
                staging: OnceLock::new(),
                swept: Once::new(),
            }),
        })
    }

    fn path(&self, key: &str) -> String {
        let below = Place {
            root: String::new(),
            prefix: self.prefix.clone(),
        };
        below.full_key(key)
    }

    fn context(&self, operation: &'static str, key: Option<&Key>) -> Context {
        Context {
            operation,
            store: self.url.clone(),
            key: key.map(Key::to_string),
        }
    }

    /// The path of an object that may be there; the staging folder holds none.
    fn existing(&self, key: &Key) -> Result<String, Trouble> {
        let path = self.path(key.as_str());
        if is_staging(&path) {
            Err(Trouble::Missing)
        } else {
            Ok(path)
        }
    }

    fn accepts(&self, operation: &'static str, key: &Key) -> Result<()> {
        match self.refuses(key) {
            None => Ok(()),
            Some(reason) => Err(Error::new(ErrorKind::InvalidKey, operation, reason)
                .at(&self.url, Some(key.as_str()))),
        }
    }

    async fn commit(
        &self,
        context: Context,
        staged: Staged,
        key: &Key,
        announced: Option<u64>,
        options: WriteOptions,
    ) -> Result<Meta> {
        let (path, key) = (self.path(key.as_str()), key.clone());
        blocking(context, move || {
            finish(staged, &path, key, announced, &options)
        })
        .await
    }
}

fn finish(
    mut staged: Staged,
    path: &str,
    key: Key,
    announced: Option<u64>,
    options: &WriteOptions,
) -> Result<Meta, Trouble> {
    staged.finish(announced, options.checksum.as_ref())?;
    let stat = staged.commit(path, &options.precondition)?;
    Ok(version::meta(key, &stat))
}

/// The path with the links in its existing part resolved, and without `..` in the rest: what a
/// path with `..` behind a missing folder leads to must be known before that folder is made.
fn resolve(path: &Path) -> PathBuf {
    let mut real = PathBuf::from("/");
    for step in path.components() {
        match step {
            Component::ParentDir => {
                real.pop();
            }
            Component::Normal(name) => {
                real.push(name);
                real = real.canonicalize().unwrap_or(real);
            }
            _ => {}
        }
    }
    real
}

/// Where a file or folder really is.
#[must_use]
pub fn place_of(path: &Path) -> Place {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Place {
        root: "file".into(),
        prefix: resolve(&absolute)
            .to_string_lossy()
            .trim_matches('/')
            .to_owned(),
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(
    context: Context,
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|trouble| context.error(trouble)),
        Err(stopped) => {
            let error = Error::new(ErrorKind::Other, context.operation, stopped.to_string());
            Err(error.at(&context.store, context.key.as_deref()))
        }
    }
}

#[async_trait]
impl Store for FileStore {
    fn url(&self) -> &str {
        &self.url
    }

    fn place(&self) -> Place {
        self.place.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            if_absent: true,
            if_match: true,
            proven_conditions: true,
            delete_if_match: true,
            copy_conditions: true,
            max_conditional: None,
            verified_writes: false,
            checksum: None,
            server_copy: true,
            hierarchical: true,
            metadata: false,
            ephemeral: false,
            max_key: Some(MAX_PATH),
            max_size: None,
        }
    }

    fn at(&self, folder: &str) -> Arc<dyn Store> {
        if folder.is_empty() {
            return Arc::new(self.clone());
        }
        Arc::new(Self {
            url: format!("{}/{folder}", self.url.trim_end_matches('/')),
            prefix: self.path(folder),
            place: Place {
                prefix: self.place.full_key(folder),
                ..self.place()
            },
            ..self.clone()
        })
    }

    async fn stat(&self, key: &Key) -> Result<Meta> {
        let (store, key) = (self.clone(), key.clone());
        blocking(self.context("stat", Some(&key)), move || {
            let found = store.tree.locate(&store.existing(&key)?)?;
            Ok(version::meta(key, &found.stat))
        })
        .await
    }

    async fn read(&self, key: &Key, options: ReadOptions) -> Result<Object> {
        let context = self.context("read", Some(key));
        let (store, key) = (self.clone(), key.clone());
        blocking(context.clone(), move || {
            let path = store.existing(&key)?;
            read::open(&store.tree, &path, key, options, context)
        })
        .await
    }

    async fn write(&self, key: &Key, body: Body, options: WriteOptions) -> Result<Meta> {
        self.accepts("write", key)?;
        let context = self.context("write", Some(key));
        let tree = Arc::clone(&self.tree);
        let (announced, mut stream) = match body {
            Body::Bytes(bytes) => {
                let (path, key) = (self.path(key.as_str()), key.clone());
                return blocking(context, move || {
                    let mut staged = Staged::new(&tree, options.checksum.as_ref())?;
                    staged.append(&bytes)?;
                    finish(staged, &path, key, None, &options)
                })
                .await;
            }
            Body::Stream { size, stream } => (size, stream),
        };
        let checksum = options.checksum.clone();
        let open = move || Staged::new(&tree, checksum.as_ref());
        let mut staged = blocking(context.clone(), open).await?;
        let mut waiting = BytesMut::new();
        while let Some(chunk) = stream.try_next().await? {
            waiting.extend_from_slice(&chunk);
            if waiting.len() >= CHUNK {
                let bytes = waiting.split();
                let append = move || staged.append(&bytes).map(|()| staged);
                staged = blocking(context.clone(), append).await?;
            }
        }
        let append = move || staged.append(&waiting).map(|()| staged);
        staged = blocking(context.clone(), append).await?;
        self.commit(context, staged, key, announced, options).await
    }

    async fn delete(&self, key: &Key, precondition: Precondition) -> Result<()> {
        let (store, key) = (self.clone(), key.clone());
        blocking(self.context("delete", Some(&key)), move || {
            match (store.existing(&key), &precondition) {
                (Ok(path), _) => commit::delete(&store.tree, &path, &precondition),
                (Err(_), Precondition::None) => Ok(()),
                (Err(_), _) => Err(Trouble::OtherVersion(None)),
            }
        })
        .await
    }

    fn list(&self, options: ListOptions) -> Listing {
        let context = self.context("list", None);
        let (tree, own) = (Arc::clone(&self.tree), self.prefix.clone());
        let start = move || Walk::start(tree, &own, &options);
        stream::once(blocking(context.clone(), start))
            .map_ok(move |walk| batches(walk, context.clone()))
            .try_flatten()
            .boxed()
    }

    async fn copy_from(
        &self,
        source: &Arc<dyn Store>,
        from: &Meta,
        key: &Key,
        options: &WriteOptions,
    ) -> Result<Option<Meta>> {
        let Some(origin) = source.backend().downcast_ref::<Self>().cloned() else {
            return Ok(None);
        };
        self.accepts("copy", key)?;
        let (tree, path, key) = (Arc::clone(&self.tree), self.path(key.as_str()), key.clone());
        let (from, options) = (from.clone(), options.clone());
        let reading = origin.context("copy", Some(&from.key));
        let staged = blocking(reading, move || {
            let mut staged = Staged::new(&tree, options.checksum.as_ref())?;
            let size = copy_into(&mut staged, &origin, &from)?;
            Ok((staged, size, options))
        });
        let (staged, size, options) = staged.await?;
        let context = self.context("copy", Some(&key));
        let written = blocking(context, move || {
            finish(staged, &path, key, Some(size), &options)
        });
        written.await.map(Some)
    }

    fn backend(&self) -> &dyn Any {
        self
    }

    fn refuses(&self, key: &Key) -> Option<String> {
        let path = self.path(key.as_str());
        if is_staging(&path) {
            return Some("half-written files are kept under that name".into());
        }
        if let Some(long) = path.split('/').find(|name| name.len() > MAX_NAME) {
            let length = long.len();
            return Some(format!(
                "one of its names has {length} bytes, and {MAX_NAME} is the most in a file system"
            ));
        }
        let length = self.place.full_key(key.as_str()).len();
        (length > MAX_PATH)
            .then(|| format!("its path has {length} bytes, and {MAX_PATH} is the most"))
    }
}

fn batches(walk: Walk, context: Context) -> Listing {
    stream::try_unfold(Some(walk), move |walk| next_batch(walk, context.clone()))
        .map_ok(|entries| stream::iter(entries).map(Ok))
        .try_flatten()
        .boxed()
}

async fn next_batch(
    walk: Option<Walk>,
    context: Context,
) -> Result<Option<(Vec<Entry>, Option<Walk>)>> {
    let Some(mut walk) = walk else {
        return Ok(None);
    };
    let next = blocking(context, move || {
        let entries = walk.batch(BATCH)?;
        let more = (entries.len() == BATCH).then_some(walk);
        Ok((entries, more))
    });
    next.await.map(Some)
}

/// Copies the version `from` of a file, and gives its size.
fn copy_into(staged: &mut Staged, origin: &FileStore, from: &Meta) -> Result<u64, Trouble> {
    use std::io::Read;
    let path = origin.existing(&from.key)?;
    let shown = origin.tree.path(&path);
    let (mut file, before) = origin.tree.open(&path)?;
    let tag = version::tag(&before);
    if from.tag.as_ref().is_some_and(|wanted| *wanted != tag) {
        return Err(Trouble::OtherVersion(Some(tag)));
    }
    if staged.needs_bytes() {
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk).map_err(trouble::on_std(&shown))? {
                0 => break,
                length => staged.append(&chunk[..length])?,
            }
        }
    } else {
        staged.copy(&mut file)?;
    }
    let after = rustix::fs::fstat(&file).map_err(trouble::on(&shown))?;
    if !version::same_bytes(&before, &after) {
        return Err(Trouble::OtherVersion(Some(version::tag(&after))));
    }
    Ok(version::size(&before))
}
