//! Two listings side by side: an ordered merge-join, with both sides read ahead in parallel.

use std::cmp::Ordering;
use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Filter, SyncOptions};
use crate::store::{Entry, Error, ErrorKind, Key, ListOptions, Meta, Result, Store, is_reserved};

/// How many entries of a listing are read ahead: about one page of most services.
const AHEAD: usize = 1000;

/// Which names take part in a walk. kstate's own never do.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) below: String,
    pub(super) all_of: Vec<Filter>,
    pub(super) none_of: Vec<Filter>,
}

impl Scope {
    pub(super) fn new(below: &str, filter: &Filter) -> Self {
        Self {
            below: below.to_owned(),
            all_of: vec![filter.clone()],
            none_of: Vec::new(),
        }
    }

    /// All that a run may touch.
    pub(super) fn whole(options: &SyncOptions) -> Self {
        Self {
            none_of: options.hold_back.iter().cloned().collect(),
            ..Self::new(&options.below, &options.filter)
        }
    }

    fn takes(&self, name: &str) -> bool {
        let relative = if self.below.is_empty() {
            Some(name)
        } else {
            name.strip_prefix(&self.below)
                .and_then(|rest| rest.strip_prefix('/'))
        };
        let Some(relative) = relative else {
            return false;
        };
        !is_reserved(name)
            && self.all_of.iter().all(|filter| filter.takes(relative))
            && !self.none_of.iter().any(|filter| filter.takes(relative))
    }
}

/// Makes sure that `below` can be listed.
pub(super) fn check_folder(below: &str) -> Result<()> {
    if !below.is_empty() {
        Key::parse(below)?;
    }
    Ok(())
}

/// One listing, read ahead by a task that ends with it.
pub(super) struct Feed {
    entries: mpsc::Receiver<Line>,
    head: Option<Entry>,
    ended: bool,
    may_be_missing: bool,
    url: String,
    _pump: JoinSet<()>,
}

/// `None` is the proper end; a channel that closes without it belongs to a pump that died.
type Line = Result<Option<Entry>>;

impl Feed {
    pub(super) fn open(store: &Arc<dyn Store>, scope: Scope) -> Self {
        let (sender, entries) = mpsc::channel(AHEAD);
        let mut pump = JoinSet::new();
        pump.spawn(run_pump(Arc::clone(store), scope, sender));
        Self {
            entries,
            head: None,
            ended: false,
            may_be_missing: false,
            url: store.url().to_owned(),
            _pump: pump,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Entry>> {
        self.fill().await?;
        Ok(self.head.take())
    }

    async fn fill(&mut self) -> Result<()> {
        if self.head.is_some() || self.ended {
            return Ok(());
        }
        match self.entries.recv().await {
            Some(Ok(Some(entry))) => self.head = Some(entry),
            Some(Ok(None)) => self.ended = true,
            Some(Err(error)) if self.may_be_missing && *error.kind() == ErrorKind::NotFound => {
                self.ended = true;
            }
            Some(Err(error)) => return Err(error),
            None => {
                return Err(
                    Error::new(ErrorKind::Other, "list", "the listing broke off")
                        .at(&self.url, None),
                );
            }
        }
        Ok(())
    }
}

async fn run_pump(store: Arc<dyn Store>, scope: Scope, sender: mpsc::Sender<Line>) {
    let mut listing = store.list(ListOptions::recursive(&scope.below));
    let mut last = String::new();
    while let Some(entry) = listing.next().await {
        let entry = entry.and_then(|entry| in_order(store.url(), &mut last, entry));
        if entry.as_ref().is_ok_and(|entry| !scope.takes(entry.name())) {
            continue;
        }
        let failed = entry.is_err();
        if sender.send(entry.map(Some)).await.is_err() || failed {
            return;
        }
    }
    // When nobody listens any more nobody misses the end.
    let _ = sender.send(Ok(None)).await;
}

/// A join of unordered listings would call present objects absent.
fn in_order(url: &str, last: &mut String, entry: Entry) -> Result<Entry> {
    if entry.name() <= last.as_str() {
        let message = format!(
            "the listing is not in byte order: {:?} came after {last:?}",
            entry.name()
        );
        return Err(Error::new(ErrorKind::Corrupt, "list", message).at(url, None));
    }
    entry.name().clone_into(last);
    Ok(entry)
}

/// Something under a name that is no key.
#[derive(Debug)]
pub(super) struct Foreign {
    pub(super) name: String,
    pub(super) size: Option<u64>,
    pub(super) reason: String,
}

impl Foreign {
    /// Web consoles make folders visible by empty objects whose names end in a slash.
    pub(super) fn is_folder_marker(&self) -> bool {
        self.name.ends_with('/') && self.size == Some(0)
    }
}

/// What the join finds next, in byte order of the names.
#[derive(Debug)]
pub(super) enum Step {
    Source(Meta),
    Target(Meta),
    Both(Meta, Meta),
    ForeignSource(Foreign),
    ForeignTarget(Foreign),
}

/// The merge-join of two listings.
pub(super) struct Join {
    source: Feed,
    target: Feed,
}

impl Join {
    pub(super) fn open(source: &Arc<dyn Store>, target: &Arc<dyn Store>, scope: &Scope) -> Self {
        Self {
            source: Feed::open(source, scope.clone()),
            target: Feed::open(target, scope.clone()),
        }
    }

    /// A join for writing to the target: a folder that comes with its first object has none yet.
    pub(super) fn open_to_write(
        source: &Arc<dyn Store>,
        target: &Arc<dyn Store>,
        scope: &Scope,
    ) -> Self {
        let mut join = Self::open(source, target, scope);
        join.target.may_be_missing = target.capabilities().hierarchical;
        join
    }

    pub(super) async fn next(&mut self) -> Result<Option<Step>> {
        self.source.fill().await?;
        self.target.fill().await?;
        let order = match (&self.source.head, &self.target.head) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(source), Some(target)) => order(source, target),
        };
        let source = (order.is_le()).then(|| self.source.head.take()).flatten();
        let target = (order.is_ge()).then(|| self.target.head.take()).flatten();
        Ok(step(source, target))
    }
}

/// Of two under one name the foreign one goes first and alone.
fn order(source: &Entry, target: &Entry) -> Ordering {
    let is_object = |entry| matches!(entry, &Entry::Object(_));
    source.name().cmp(target.name()).then_with(|| {
        let foreign_first = is_object(source).cmp(&is_object(target));
        match foreign_first {
            Ordering::Equal if !is_object(source) => Ordering::Less,
            order => order,
        }
    })
}

fn step(source: Option<Entry>, target: Option<Entry>) -> Option<Step> {
    match (source.map(split), target.map(split)) {
        (Some(Ok(source)), Some(Ok(target))) => Some(Step::Both(source, target)),
        (Some(Ok(source)), _) => Some(Step::Source(source)),
        (Some(Err(foreign)), _) => Some(Step::ForeignSource(foreign)),
        (None, Some(Ok(target))) => Some(Step::Target(target)),
        (None, Some(Err(foreign))) => Some(Step::ForeignTarget(foreign)),
        (None, None) => None,
    }
}

pub(super) fn split(entry: Entry) -> Result<Meta, Foreign> {
    match entry {
        Entry::Object(meta) => Ok(meta),
        Entry::Foreign { name, size, reason } => Err(Foreign { name, size, reason }),
        Entry::Prefix(name) => Err(Foreign {
            name,
            size: None,
            reason: "a recursive listing gave a folder".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Body, StoreUrl, WriteOptions, mem};

    async fn store(name: &str, keys: &[&str]) -> Arc<dyn Store> {
        let url = StoreUrl::parse(&format!("memfs://{name}")).unwrap();
        let store = mem::Buckets::default().open(&url);
        for key in keys {
            let key = Key::parse(key).unwrap();
            let options = WriteOptions::default();
            store.write(&key, Body::from("x"), options).await.unwrap();
        }
        Arc::new(store)
    }

    async fn walked(source: &[&str], target: &[&str], scope: Scope) -> Vec<String> {
        let (source, target) = (store("a", source).await, store("b", target).await);
        let mut join = Join::open(&source, &target, &scope);
        let mut seen = Vec::new();
        while let Some(step) = join.next().await.unwrap() {
            seen.push(match step {
                Step::Source(meta) => format!("<{}", meta.key),
                Step::Target(meta) => format!(">{}", meta.key),
                Step::Both(source, target) => format!("={}{}", source.key, target.key),
                other => format!("{other:?}"),
            });
        }
        seen
    }

    #[tokio::test]
    async fn a_slash_is_a_byte_like_any_other() {
        let keys = ["a-b", "a/b", "a0"];
        let seen = walked(&keys, &["a/b", "a/c", "a0"], Scope::default()).await;
        assert_eq!(seen, ["<a-b", "=a/ba/b", ">a/c", "=a0a0"]);
    }

    #[tokio::test]
    async fn our_own_keys_and_other_folders_take_no_part() {
        let keys = [".kstate/locks/x", ".kstate2", "c1/a", "c10/a", "c1/b/c"];
        let all = walked(&keys, &[".kstate/y"], Scope::default()).await;
        assert_eq!(all, ["<.kstate2", "<c1/a", "<c1/b/c", "<c10/a"]);
        let scope = Scope::new("c1", &Filter::only(&["*"]).unwrap());
        assert_eq!(walked(&keys, &["c1/a"], scope).await, ["=c1/ac1/a"]);
    }
}
