//! The side of a backend that is in its VM: its functions, called for the stores at one URL.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::config::Config;
use crate::lua::error::ScriptError;
use crate::lua::error_object::ErrorObject;
use crate::lua::vm;

/// A call on its way into the VM.
pub(super) type Job =
    Box<dyn FnOnce(Result<Rc<Served>, ScriptError>) -> LocalBoxFuture<'static, ()> + Send>;

/// Does what comes, many at a time, until nobody can ask any more and all of it is done.
pub(super) async fn serve(
    served: Result<Rc<Served>, ScriptError>,
    mut jobs: mpsc::UnboundedReceiver<Job>,
) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => {
                    running.spawn_local(job(served.clone()));
                }
                None => break,
            },
            Some(_) = running.join_next() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// A backend's functions, for the stores at one URL.
pub(super) struct Served {
    pub(super) lua: Lua,
    functions: Table,
    config: Config,
    time: Duration,
    /// What the backend's functions get first: what `open` returned.
    this: OnceCell<Value>,
    /// Runs a loop of Lua's over an iterator: `each(sink, flush, f, s, c, closer)`.
    each: Function,
}

/// Lua closes an iterator itself, also when the loop is cancelled.
const EACH: &str = "
local sink, flush, f, s, c, closer = ...
for item in f, s, c, closer do
  if sink(item) then flush() end
end";

impl Served {
    pub(super) fn new(
        lua: &Lua,
        functions: Table,
        config: Config,
        time: Duration,
    ) -> Result<Self, ScriptError> {
        let globals = vm::of(lua).public.clone();
        Ok(Self {
            each: vm::load(lua, vm::PRELUDE, EACH, globals)?,
            lua: lua.clone(),
            functions,
            config,
            time,
            this: OnceCell::new(),
        })
    }

    /// The backend's name.
    pub(super) fn name(&self) -> &str {
        self.config.scheme()
    }

    /// Calls a function with what `open` returned and these arguments.
    pub(super) async fn call(
        &self,
        name: &'static str,
        clock: &Clock,
        arguments: impl IntoLuaMulti,
    ) -> Result<MultiValue, ScriptError> {
        let this = self.this.get_or_try_init(|| self.open()).await?.clone();
        let mut values = arguments.into_lua_multi(&self.lua)?;
        values.push_front(this);
        self.run(name, clock, values).await
    }

    async fn open(&self) -> Result<Value, ScriptError> {
        let config = self.config.to_lua(&self.lua)?;
        if self.functions.raw_get::<Value>("open")?.is_nil() {
            return Ok(Value::Table(config));
        }
        let opened = self.run("open", &Clock::new(), config).await?;
        match opened.into_iter().next() {
            None | Some(Value::Nil) => {
                Err(self.nonsense("open", "nothing", "what the other functions get as 'self'"))
            }
            Some(this) => Ok(this),
        }
    }

    async fn run(
        &self,
        name: &'static str,
        clock: &Clock,
        arguments: impl IntoLuaMulti,
    ) -> Result<MultiValue, ScriptError> {
        let function: Value = self.functions.raw_get(name)?;
        let work = vm::call(&self.lua, function, arguments);
        let results = self.within(name, clock, work).await?;
        // What is expected may be returned instead of raised, as kstate's own functions do.
        match (results.front(), results.get(1)) {
            (Some(Value::Nil | Value::Boolean(false)), Some(Value::UserData(error)))
                if error.is::<ErrorObject>() =>
            {
                Err(ScriptError::from_value(
                    &self.lua,
                    &Value::UserData(error.clone()),
                ))
            }
            _ => Ok(results),
        }
    }

    /// Goes through what a function returned as an iterator. `sink` takes each item, and says
    /// whether `flush` should wait before the next one.
    pub(super) async fn each(
        &self,
        name: &'static str,
        clock: &Clock,
        (sink, flush): (Function, Function),
        iterator: MultiValue,
    ) -> Result<(), ScriptError> {
        let mut arguments = MultiValue::from_iter([Value::Function(sink), Value::Function(flush)]);
        arguments.extend(iterator);
        let work = vm::call(&self.lua, self.each.clone(), arguments);
        self.within(name, clock, work).await.map(drop)
    }

    /// Ends what takes longer than it may, and says where it was.
    async fn within<T>(
        &self,
        name: &'static str,
        clock: &Clock,
        work: impl Future<Output = Result<T, ScriptError>>,
    ) -> Result<T, ScriptError> {
        let vm = vm::of(&self.lua);
        let last_line = Cell::new(None);
        let mut work = pin!(work);
        let mut watched = pin!(poll_fn(|context| {
            vm.busy_at.take();
            let polled = work.as_mut().poll(context);
            last_line.set(vm.busy_at.take());
            polled
        }));
        loop {
            tokio::select! {
                biased;
                result = &mut watched => return result.map_err(|error| {
                    if !is_out_of_memory(&error) {
                        return error;
                    }
                    let at = last_line.take().unwrap_or_else(|| self.place_of(name));
                    ScriptError::new("other", format!("'{name}' got not enough memory, at {at}"))
                        .hint("the backend reached the memory limit of its VM; let it keep less at a time")
                }),
                () = tokio::time::sleep_until(clock.end(self.time)) => {
                    if clock.is_over(self.time) {
                        let at = last_line.take().unwrap_or_else(|| self.place_of(name));
                        let time = self.time;
                        return Err(ScriptError::new(
                            "timeout",
                            format!("'{name}' took longer than {time:?}, and was stopped at {at}"),
                        ));
                    }
                }
            }
        }
    }

    /// Where a function stands in the backend's file.
    pub(super) fn place_of(&self, name: &str) -> String {
        let function = self.functions.raw_get::<Function>(name);
        let info = function.map(|function| function.info());
        match info.map(|info| (info.short_src, info.line_defined)) {
            Ok((Some(file), Some(line))) => format!("{file}:{line}"),
            _ => name.to_owned(),
        }
    }

    /// What a function returned can't be what it should be.
    pub(super) fn nonsense(&self, name: &str, what: &str, instead_of: &str) -> ScriptError {
        let at = self.place_of(name);
        ScriptError::new(
            "corrupt",
            format!("{at}: '{name}' returned {what} instead of {instead_of}"),
        )
    }

    /// An entry, a chunk or a field that a function gave can't be one.
    pub(super) fn faulty(&self, name: &str, fault: &str) -> ScriptError {
        let at = self.place_of(name);
        ScriptError::new("corrupt", format!("{at}: '{name}' gave {fault}"))
    }
}

/// Whether a VM that had no more memory raised it.
pub(super) fn is_out_of_memory(error: &ScriptError) -> bool {
    error.message().contains("not enough memory")
}

/// How long a call has been at work, without the time in which it waited for its caller.
pub(in crate::lua) struct Clock {
    since: Cell<Instant>,
    waits: Cell<usize>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            since: Cell::new(Instant::now()),
            waits: Cell::new(0),
        }
    }

    /// Stands still while the caller of the backend is waited for, and begins anew then.
    pub(in crate::lua) async fn stopped<T>(&self, wait: impl Future<Output = T>) -> T {
        struct Going<'a>(&'a Clock);
        impl Drop for Going<'_> {
            fn drop(&mut self) {
                self.0.waits.set(self.0.waits.get() - 1);
                self.0.since.set(Instant::now());
            }
        }
        self.waits.set(self.waits.get() + 1);
        let _going = Going(self);
        wait.await
    }

    /// When it is over, unless it is stopped before.
    fn end(&self, time: Duration) -> Instant {
        let from = if self.waits.get() > 0 {
            Instant::now()
        } else {
            self.since.get()
        };
        from + time
    }

    fn is_over(&self, time: Duration) -> bool {
        self.waits.get() == 0 && self.since.get().elapsed() >= time
    }
}
