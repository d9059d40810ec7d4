//! Listings as iterators. Pages are fetched ahead by one batch, and no more once the loop ends.

use std::cell::RefCell;
use std::collections::VecDeque;

use futures::StreamExt;
use mlua::{
    AnyUserData, Lua, MetaMethod, MultiValue, Table, UserData, UserDataFields, UserDataMethods,
    Value,
};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::convert;
use crate::lua::api::{self, Class, Def, Param, Type};
use crate::lua::vm;
use crate::store::{self, Entry};

/// How many entries cross the threads at once.
const BATCH: usize = 256;

/// A listing in a script's hands.
pub(super) struct Listing {
    /// Sends the batches; gone when the listing is closed.
    pump: RefCell<Option<Pump>>,
    ahead: Mutex<Ahead>,
}

struct Ahead {
    batches: mpsc::Receiver<Vec<store::Result<Entry>>>,
    entries: VecDeque<store::Result<Entry>>,
}

struct Pump(JoinHandle<()>);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listing {
    /// Begins a listing.
    pub(super) fn start(lua: &Lua, entries: store::Listing) -> Self {
        let (send, batches) = mpsc::channel(1);
        let pump = vm::of(lua).host.io.spawn(async move {
            let mut batches = entries.ready_chunks(BATCH);
            while let Some(batch) = batches.next().await {
                if send.send(batch).await.is_err() {
                    return;
                }
            }
        });
        Self {
            pump: RefCell::new(Some(Pump(pump))),
            ahead: Mutex::new(Ahead {
                batches,
                entries: VecDeque::new(),
            }),
        }
    }

    async fn next(&self) -> store::Result<Option<Entry>> {
        let mut ahead = self.ahead.lock().await;
        while self.pump.borrow().is_some() {
            if let Some(entry) = ahead.entries.pop_front() {
                return entry.map(Some);
            }
            match ahead.batches.recv().await {
                Some(batch) => ahead.entries.extend(batch),
                None => self.close(),
            }
        }
        Ok(None)
    }

    fn close(&self) {
        self.pump.take();
    }
}

impl UserData for Listing {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        api::class(fields, &CLASS);
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_meta_method(MetaMethod::Call, |lua, this, _: MultiValue| async move {
            match this.next().await? {
                Some(entry) => convert::entry(&lua, &entry).map(Value::Table),
                None => Ok(Value::Nil),
            }
        });
        methods.add_meta_method(MetaMethod::Close, |_, this, _: MultiValue| {
            this.close();
            Ok(())
        });
    }
}

/// What a function that lists returns: the iterator, and itself as what the loop closes.
pub(super) fn for_loop(lua: &Lua, listing: Listing) -> mlua::Result<MultiValue> {
    let listing = Value::UserData(lua.create_userdata(listing)?);
    Ok(MultiValue::from_iter([
        listing.clone(),
        Value::Nil,
        Value::Nil,
        listing,
    ]))
}

/// The listing's methods.
pub(super) static CLASS: Class = Class {
    name: "Listing",
    summary: "A listing, for `for entry in store:list() do … end`. An entry is an object's \
              metadata (`key`, `size`, `modified`, `tag`, `checksum`), or has a `prefix` when \
              something lies below that name, or is `foreign` with a `reason` when it is \
              nothing that a key can name.",
    fields: &[],
    methods: &[COLLECT],
    call: "fun(): kstate.Entry?",
};

const COLLECT: Def = Def {
    name: "Listing:collect",
    summary: "Reads the rest of a listing into a list.",
    body: "",
    params: &[Param::optional(
        "most",
        Type::Integer,
        "no more than this many entries",
    )],
    options: &[],
    returns: &[("kstate.Entry[]", "the entries")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"
local store = kstate.store.open("memfs://collect")
store:write("a", "1")
assert(store:list():collect()[1].key == "a")
"#,
    make: |def, lua| def.wait(lua, collect),
};

async fn collect(lua: Lua, (this, most): (AnyUserData, Option<usize>)) -> mlua::Result<Table> {
    let this = this.borrow::<Listing>()?;
    let most = most.unwrap_or(usize::MAX);
    let list = lua.create_table()?;
    for _ in 0..most {
        match this.next().await? {
            Some(entry) => list.raw_push(convert::entry(&lua, &entry)?)?,
            None => return Ok(list),
        }
    }
    this.close();
    Ok(list)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures::stream;

    use super::*;
    use crate::lua::Source;
    use crate::lua::testing::{Bench, with};
    use crate::store::{Error, ErrorKind, Key, Meta};

    /// Says when it is dropped.
    struct Guard(mpsc::Sender<()>);

    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    fn endless(taken: Arc<AtomicUsize>, dropped: mpsc::Sender<()>) -> store::Listing {
        let guard = Guard(dropped);
        let entries = std::iter::repeat_with(move || {
            let _ = &guard;
            let number = taken.fetch_add(1, Ordering::SeqCst);
            let key = Key::parse(&format!("k{number}")).unwrap();
            Ok(Entry::Object(Meta::new(key, 0)))
        });
        stream::iter(entries).boxed()
    }

    /// Runs a script whose global `listing` is the loop's iterator and what closes it.
    fn run(script: &str, entries: store::Listing) -> Result<(), crate::lua::ScriptError> {
        let source = Source::new("test.lua", script);
        with(Bench::new().host(), async |runtime| {
            let listing = Listing::start(&runtime.lua, entries);
            let listing = runtime.lua.create_userdata(listing).unwrap();
            let public = vm::of(&runtime.lua).public.clone();
            public.raw_set("listing", listing).unwrap();
            runtime.run_script(&source, &[]).await.map(drop)
        })
    }

    #[test]
    fn d8_a_loop_that_ends_early_asks_for_no_more() {
        for end in ["break", "error('x')", "kstate.exit(0)"] {
            let (send, dropped) = mpsc::channel();
            let taken = Arc::new(AtomicUsize::new(0));
            let script = format!(
                "for entry in listing, nil, nil, listing do
                   if entry.key == 'k2' then {end} end
                 end"
            );
            let _ = run(&script, endless(Arc::clone(&taken), send));
            dropped.recv().unwrap();
            let taken = taken.load(Ordering::SeqCst);
            assert!((3..=4 * BATCH).contains(&taken), "{end}: {taken}");
        }
    }

    #[test]
    fn d8_a_listing_that_breaks_off_is_an_error() {
        let gone = Error::new(ErrorKind::Unavailable, "list", "connection reset");
        let key = Key::parse("a").unwrap();
        let entries = [Ok(Entry::Object(Meta::new(key, 1))), Err(gone)];
        let error = run(
            "for entry in listing, nil, nil, listing do assert(entry.key == 'a') end",
            stream::iter(entries).boxed(),
        )
        .unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), ("unavailable", true));
    }
}
