//! The VM profile: which Lua a script gets, and what it can't reach.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::task::Poll;

use mlua::chunk::ChunkMode;
use mlua::{
    Function, HookTriggers, IntoLua, IntoLuaMulti, Lua, LuaOptions, MultiValue, StdLib, Table,
    Value, VmState,
};
use tokio::task::JoinHandle;

use super::error::{ScriptError, Stop};
use super::error_object::ErrorObject;
use super::host::Host;
use super::watch::Stopper;
use super::{inspect, modules};
use crate::session::Mode;
use crate::session::permissions::Grants;
use crate::store::Store;

/// The name of the prelude, which is no script's own.
pub(super) const PRELUDE: &str = "kstate:prelude";

/// How many instructions run between two looks at the rest of the world.
const INSTRUCTIONS: u32 = 100_000;

/// What the host knows of one VM. It lives in the VM, so that every function finds it there.
pub(super) struct Vm {
    /// What the process lends.
    pub(super) host: Host,
    /// The texts of all chunks by name, for errors that show the line.
    pub(super) sources: RefCell<HashMap<String, String>>,
    /// What the script may do: what was granted to the run, and to a shipped script by its
    /// manifest.
    pub(super) grants: RefCell<Grants>,
    /// Whether the script is only asked what it declares, and does nothing.
    pub(super) is_declaring: Cell<bool>,
    /// The globals of scripts.
    pub(super) public: Table,
    /// What stops the script.
    pub(super) stopper: Stopper,
    /// Where the instruction hook found the VM at work.
    pub(super) busy_at: Cell<Option<String>>,
    /// Whether the script made coroutines: a wait in one is only ended by collecting it.
    coroutines: Cell<bool>,
    freeze: Function,
    call: Function,
}

impl Vm {
    /// Whether nothing is written.
    pub(super) fn is_dry_run(&self) -> bool {
        self.host.session.mode() != Mode::Direct
    }

    /// Stops a script that is only asked what it declares where it would begin to work.
    pub(super) fn may_work(&self) -> Result<(), ScriptError> {
        if self.is_declaring.get() {
            return Err(ScriptError::stopped(Stop::Exit(0)));
        }
        Ok(())
    }
}

/// How many coroutines are kept for the next calls. A backend answers as many at once as a transfer
/// has lanes, and a new coroutine for each object was a good part of what its calls cost.
const KEPT_THREADS: usize = 64;

/// Makes a VM with every module.
pub(super) fn create(host: Host, stopper: Stopper) -> mlua::Result<Lua> {
    let libraries = StdLib::COROUTINE
        | StdLib::TABLE
        | StdLib::STRING
        | StdLib::UTF8
        | StdLib::MATH
        | StdLib::OS;
    let options = LuaOptions::new().thread_pool_size(KEPT_THREADS);
    let lua = Lua::new_with(libraries, options)?;
    lua.set_memory_limit(host.memory_limit)?;
    hook(&lua, stopper.clone())?;
    reserve_errors(&lua)?;

    let prelude = lua
        .load(include_str!("prelude.lua"))
        .set_name(format!("={PRELUDE}"))
        .set_mode(ChunkMode::Text);
    let (public, freeze, call): (Table, Function, Function) =
        prelude.call((lua.globals(), helpers(&lua)?))?;
    lua.set_app_data(Rc::new(Vm {
        grants: RefCell::new(host.session.grants().clone()),
        is_declaring: Cell::new(false),
        host,
        sources: RefCell::default(),
        public,
        stopper,
        busy_at: Cell::new(None),
        coroutines: Cell::new(false),
        freeze,
        call,
    }));
    modules::install(&lua)?;
    Ok(lua)
}

/// Gives other tasks their turn during a long computation, and ends a script that must stop
/// even where it can't be suspended, such as in a comparator of `table.sort`.
fn hook(lua: &Lua, stopper: Stopper) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
    // Lua calls the hook again at the very next instruction of a thread that yielded in it. When
    // that thread is closed instead of resumed, this is the first one of a `<close>` handler.
    let yielded = Cell::new(false);
    lua.set_global_hook(triggers, move |lua, debug| match stopper.asked() {
        Some(_) if yielded.replace(false) => Ok(VmState::Continue),
        Some(reason) => Err(ScriptError::stopped(reason).into()),
        None => {
            yielded.set(true);
            if let (Some(file), Some(line)) = (debug.source().short_src, debug.current_line())
                && file != PRELUDE
                && let Some(vm) = lua.app_data_ref::<Rc<Vm>>()
            {
                vm.busy_at.set(Some(format!("{file}:{line}")));
            }
            Ok(VmState::Yield)
        }
    })
}

/// How deep callbacks may be nested when the hook runs.
const NESTED: usize = 16;

/// Fills the pool from which mlua takes the room for a callback's error. A hook that finds it
/// empty makes room below the locals of the function it interrupts, which moves its `<close>`
/// variables away from where Lua looks for them. The pool takes back what a callback that
/// succeeds didn't use, so nested calls fill it.
fn reserve_errors(lua: &Lua) -> mlua::Result<()> {
    let nest = lua.create_function(|_, (nest, depth): (Function, usize)| match depth {
        0 => Ok(()),
        _ => nest.call::<()>((nest.clone(), depth - 1)),
    })?;
    nest.call((nest.clone(), NESTED))
}

/// What the prelude needs from Rust.
fn helpers(lua: &Lua) -> mlua::Result<Table> {
    let helpers = lua.create_table()?;
    helpers.set(
        "fix",
        lua.create_function(|lua, value: Value| {
            let error = ScriptError::from_value(lua, &value);
            let stop = error.stop().is_some();
            let fixed = match value {
                Value::Error(_) => error.to_value(lua)?,
                other => other,
            };
            Ok((fixed, stop))
        })?,
    )?;
    helpers.set(
        "traced",
        lua.create_function(|lua, value: Value| {
            let trace = lua.traceback(None, 1)?.to_string_lossy();
            let error = ScriptError::from_value(lua, &value).traced(&trace);
            lua.create_userdata(ErrorObject(error))
        })?,
    )?;
    helpers.set(
        "show",
        lua.create_function(|_, value: Value| Ok(inspect::one_line(&value)))?,
    )?;
    helpers.set(
        "coroutine_made",
        lua.create_function(|lua, ()| {
            of(lua).coroutines.set(true);
            Ok(())
        })?,
    )?;
    Ok(helpers)
}

/// What the host knows of this VM.
#[expect(clippy::expect_used, reason = "set when the VM is made, never removed")]
pub(super) fn of(lua: &Lua) -> Rc<Vm> {
    Rc::clone(&*lua.app_data_ref::<Rc<Vm>>().expect("a VM of ours"))
}

/// A read-only view of a table, under the name that complaints give it.
pub(super) fn freeze(lua: &Lua, contents: Table, name: &str) -> mlua::Result<Table> {
    of(lua).freeze.call((contents, name))
}

/// Calls a function of the script, or what can be called like one: what it raises comes back whole, with a traceback.
pub(super) async fn call(
    lua: &Lua,
    function: impl IntoLua,
    arguments: impl IntoLuaMulti,
) -> Result<MultiValue, ScriptError> {
    let mut values = arguments.into_lua_multi(lua)?;
    values.push_front(function.into_lua(lua)?);
    let mut results: MultiValue = of(lua).call.call_async(values).await?;
    if let Some(Value::Boolean(true)) = results.pop_front() {
        return Ok(results);
    }
    let raised = results.pop_front().unwrap_or_default();
    Err(ScriptError::from_value(lua, &raised))
}

/// Runs a future on the I/O runtime. Dropping the wait ends the future.
pub(super) async fn on_io<T: Send + 'static>(
    lua: &Lua,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, ScriptError> {
    struct Abort<T>(JoinHandle<T>);
    impl<T> Drop for Abort<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    of(lua).may_work()?;
    let mut task = Abort(of(lua).host.io.spawn(future));
    (&mut task.0)
        .await
        .map_err(|error| ScriptError::new("other", format!("an internal task failed: {error}")))
}

/// As [`on_io`], for a call of a store. One in this process's memory answers at once, and the way
/// to another thread and back would take ten times as long as the answer.
pub(super) async fn on_store<T: Send + 'static>(
    lua: &Lua,
    store: &dyn Store,
    call: impl Future<Output = T> + Send + 'static,
) -> Result<T, ScriptError> {
    if !store.capabilities().ephemeral {
        return on_io(lua, call).await;
    }
    of(lua).may_work()?;
    let mut call = Box::pin(call);
    let first = std::future::poll_fn(|context| {
        let _io = of(lua).host.io.enter();
        Poll::Ready(call.as_mut().poll(context))
    });
    match first.await {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => on_io(lua, call).await,
    }
}

/// Ends what cancelled functions left waiting inside coroutines of the script.
pub(super) fn reap(lua: &Lua) {
    if of(lua).coroutines.get() {
        // The first pass finds them, the second frees what their finalizers held.
        let _ = lua.gc_collect();
        let _ = lua.gc_collect();
    }
}

/// Loads text as a function with these globals.
pub(super) fn load(lua: &Lua, name: &str, text: &str, globals: Table) -> mlua::Result<Function> {
    lua.load(text)
        .set_name(format!("@{name}"))
        .set_mode(ChunkMode::Text)
        .set_environment(globals)
        .into_function()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::testing::{Bench, with};
    use super::*;

    /// Says when it is dropped.
    struct Guard(mpsc::Sender<&'static str>);

    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }

    #[test]
    fn c3_io_ends_when_nobody_waits_for_it_any_more() {
        let (send, receive) = mpsc::channel();
        with(Bench::new().host(), async |runtime| {
            let guard = Guard(send.clone());
            let endless = async move {
                let _ = guard.0.send("started");
                std::future::pending::<()>().await;
            };
            let wait = on_io(&runtime.lua, endless);
            let over = tokio::time::timeout(Duration::from_millis(1), wait).await;
            assert!(over.is_err());
        });
        // It may be ended before it began: then it is dropped all the same.
        let first = receive.recv().unwrap();
        assert!(first == "dropped" || receive.recv().unwrap() == "dropped");
    }

    #[test]
    fn c3_a_panic_in_io_is_an_error() {
        with(Bench::new().host(), async |runtime| {
            let error = on_io(&runtime.lua, async { panic!("a bug") }).await;
            let error: ScriptError = error.map(|(): ()| ()).unwrap_err();
            assert!(error.message().contains("internal task failed"), "{error}");
        });
    }
}
