//! Listings, on the side of the VM.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Value};
use tokio::sync::mpsc;

use super::serve::{Clock, Served};
use super::values;
use crate::lua::error::ScriptError;
use crate::store::{Entry, Result};

/// How many entries cross the threads at once.
const BATCH: usize = 256;

/// Where entries go.
type Batches = mpsc::Sender<Vec<Result<Entry>>>;

/// Sends what `list` gives, page by page or as its iterator comes.
pub(super) async fn list(
    vm: Rc<Served>,
    folder: String,
    one_level: bool,
    start: Option<String>,
    to: Batches,
) -> std::result::Result<(), ScriptError> {
    let clock = Rc::new(Clock::new());
    let mut next = Value::Nil;
    loop {
        let how = vm.lua.create_table()?;
        how.raw_set("one_level", one_level.then_some(true))?;
        how.raw_set("start_after", start.as_deref())?;
        how.raw_set("next", next.clone())?;
        let results = vm.call("list", &clock, (folder.as_str(), how)).await?;
        let page = match results.front() {
            Some(Value::Function(_) | Value::UserData(_)) => {
                return iterate(&vm, &clock, results, to).await;
            }
            Some(Value::Table(page)) => page,
            other => {
                let what = values::shown(other);
                return Err(vm.nonsense("list", &what, "an iterator or a page { items, next }"));
            }
        };
        let Ok(Value::Table(items)) = page.raw_get::<Value>("items") else {
            return Err(vm.nonsense("list", "a table without 'items'", "a page { items, next }"));
        };
        let mut batch = Vec::with_capacity(items.raw_len());
        for item in items.sequence_values::<Value>() {
            batch.push(Ok(entry(&vm, &item?)?));
        }
        // A list ends for Lua where something is missing in it, and the rest would be lost.
        if items.pairs::<Value, Value>().count() != batch.len() {
            return Err(vm.faulty("list", "'items' that are no list, or one with a nil in it"));
        }
        let _ = clock.stopped(to.send(batch)).await;
        let before = std::mem::replace(&mut next, page.raw_get("next")?);
        if next.is_nil() {
            return Ok(());
        }
        if next == before {
            return Err(vm.faulty("list", "the same 'next' twice"));
        }
    }
}

fn entry(vm: &Served, value: &Value) -> std::result::Result<Entry, ScriptError> {
    values::entry(value).map_err(|fault| vm.faulty("list", &fault))
}

async fn iterate(
    vm: &Rc<Served>,
    clock: &Rc<Clock>,
    iterator: MultiValue,
    to: Batches,
) -> std::result::Result<(), ScriptError> {
    let batch = Rc::new(RefCell::new(Vec::with_capacity(BATCH)));
    let sink = {
        let (batch, vm) = (Rc::clone(&batch), Rc::downgrade(vm));
        move |_: &Lua, value: Value| {
            let Some(vm) = vm.upgrade() else {
                return Ok(true);
            };
            let mut batch = batch.borrow_mut();
            batch.push(Ok(entry(&vm, &value)?));
            Ok(batch.len() == BATCH)
        }
    };
    let flush = flush(vm, clock, &batch, &to)?;
    let functions = (vm.lua.create_function(sink)?, flush);
    let ended = vm.each("list", clock, functions, iterator).await;
    // What came before an error is told before it.
    let rest = batch.take();
    if !rest.is_empty() {
        let _ = clock.stopped(to.send(rest)).await;
    }
    ended
}

/// Sends a full batch.
fn flush(
    vm: &Served,
    clock: &Rc<Clock>,
    batch: &Rc<RefCell<Vec<Result<Entry>>>>,
    to: &Batches,
) -> mlua::Result<Function> {
    // The function lives until Lua collects it, and must not keep the listing open until then.
    let (clock, batch, to) = (Rc::clone(clock), Rc::clone(batch), to.downgrade());
    vm.lua.create_async_function(move |_, ()| {
        let (clock, full, to) = (Rc::clone(&clock), batch.take(), to.upgrade());
        async move {
            if let Some(to) = to {
                let _ = clock.stopped(to.send(full)).await;
            }
            Ok(())
        }
    })
}
