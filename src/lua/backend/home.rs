//! Where a backend's VM is: on a thread of its own, or with the script that made the backend.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Function, Lua, Table, Value};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::config::Config;
use super::definition::FUNCTIONS;
use super::instance::Limits;
use super::object::BackendObject;
use super::serve::{Job, Served, serve};
use crate::lua::error::ScriptError;
use crate::lua::host::Profile;
use crate::lua::require::Asker;
use crate::lua::watch::Stopper;
use crate::lua::{Host, Output, Runtime, STACK, Source, block_on, source, vm};
use crate::session::permissions::Grants;
use crate::session::{Mode, Session};
use crate::store::registry::Env;

/// What is needed to serve the stores at one URL.
pub(super) struct Start {
    pub(super) config: Config,
    pub(super) limits: Limits,
    pub(super) jobs: mpsc::UnboundedReceiver<Job>,
    pub(super) stopper: Arc<Mutex<Option<Stopper>>>,
}

/// Where a backend's VM is.
#[derive(Clone)]
pub(super) enum Home {
    /// On a thread of its own, with what it was granted and no more.
    Thread {
        source: Arc<Source>,
        env: Env,
        grants: Grants,
        io: Handle,
    },
    /// In the VM of the script that made it.
    Script(mpsc::UnboundedSender<Start>),
}

impl Home {
    pub(super) fn start(&self, start: Start) -> Result<(), ScriptError> {
        match self {
            Self::Script(starts) => starts.send(start).map_err(|_| {
                ScriptError::new("other", "the script that made the backend has ended")
            }),
            Self::Thread {
                source,
                env,
                grants,
                io,
            } => {
                let (source, grants) = (Arc::clone(source), grants.clone());
                let session = Session::new(env.clone(), Mode::Direct).granting(grants);
                let host = host(io.clone(), session, start.limits);
                let spawned = std::thread::Builder::new()
                    .name("kstate-backend".to_owned())
                    .stack_size(STACK)
                    .spawn(move || block_on(run(source, host, start)));
                spawned.map(drop).map_err(|error| {
                    ScriptError::new("other", format!("cannot start a thread: {error}"))
                })
            }
        }
    }
}

fn host(io: Handle, session: Session, limits: Limits) -> Host {
    let mut host = Host::new(io, Arc::new(session), Output::new(Log::default()));
    host.profile = Profile::Backend;
    host.memory_limit = limits.memory;
    host.grace = limits.grace;
    host
}

/// The thread of a backend.
async fn run(source: Arc<Source>, host: Host, start: Start) {
    let Start {
        config,
        limits,
        jobs,
        stopper,
    } = start;
    let runtime = match Runtime::new(host) {
        Ok(runtime) => runtime,
        Err(error) => return serve(Err(error), jobs).await,
    };
    let kept = runtime.stopper();
    let _run = kept.start(None);
    *stopper.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept.clone());
    let lua = &runtime.lua;
    let loading = tokio::time::timeout(limits.time, load(lua, &source)).await;
    let functions = loading.unwrap_or_else(|_| {
        let (name, time) = (&source.name, limits.time);
        let message = format!("{name} took longer than {time:?} to load");
        Err(ScriptError::new("timeout", message))
    });
    let loaded = functions.and_then(|functions| Served::new(lua, functions, config, limits.time));
    let loaded = loaded.map(std::rc::Rc::new);
    serve(loaded, jobs).await;
}

/// Runs a backend's file; gives its functions.
async fn load(lua: &Lua, source: &Source) -> Result<Table, ScriptError> {
    let chunk = source::compile(lua, &source.name, &source.text, Asker::default())?;
    let results = vm::call(lua, chunk, ()).await?;
    let returned = results.front().and_then(Value::as_userdata);
    match returned.and_then(|data| data.borrow::<BackendObject>().ok()) {
        Some(backend) => Ok(backend.functions.clone()),
        None => Err(ScriptError::invalid(format!(
            "{} returned something else than kstate.backend{{ … }}",
            source.name
        ))),
    }
}

/// Lets a backend that a script made run in the script's own VM, as long as that lives.
pub(super) fn in_script(lua: &Lua, functions: &Table) -> Home {
    let (send, mut starts) = mpsc::unbounded_channel::<Start>();
    let (lua, functions) = (lua.clone(), functions.clone());
    tokio::task::spawn_local(async move {
        while let Some(start) = starts.recv().await {
            let Start {
                config,
                limits,
                jobs,
                ..
            } = start;
            let served = Served::new(&lua, functions.clone(), config, limits.time);
            tokio::task::spawn_local(serve(served.map(std::rc::Rc::new), jobs));
        }
    });
    Home::Script(send)
}

/// The functions in the table of a backend.
pub(super) fn functions_of(lua: &Lua, fields: &Table) -> mlua::Result<Table> {
    let functions = lua.create_table()?;
    for name in FUNCTIONS {
        functions.raw_set(name, fields.raw_get::<Option<Function>>(name)?)?;
    }
    Ok(functions)
}

/// What a backend prints is no result of the run's.
#[derive(Default)]
struct Log(Vec<u8>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = String::from_utf8_lossy(&self.0).into_owned();
        tracing::info!("a backend says: {}", text.trim_end());
        self.0.clear();
        Ok(())
    }
}
