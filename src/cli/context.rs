//! What every command is given.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::backend::register;
use super::exit::{Exit, Failure};
use super::interrupts::{end_now, interrupted};
use super::output::LogFormat;
use super::run::Held;
use super::{Global, permissions};
use crate::config::mask::{mask, mask_args};
use crate::config::settings::Settings;
use crate::config::state_store::{self, Inputs, Resolution, Warning};
use crate::lua::backend::Served;
use crate::session::{Mode, Session, journal};
use crate::store::registry::{Env, Registry};
use crate::store::{Key, Store, StoreUrl};

/// How long an interrupted command may take to leave both sides clean.
const GRACE: Duration = Duration::from_secs(1);

/// The run's session and settings, and the threads that do its I/O.
#[expect(clippy::struct_excessive_bools, reason = "each is one flag")]
pub(super) struct Context {
    pub(super) session: Arc<Session>,
    pub(super) settings: Settings,
    pub(super) inputs: Inputs,
    pub(super) json: bool,
    pub(super) yes: bool,
    pub(super) quiet: bool,
    pub(super) log_format: LogFormat,
    /// What a script printed while nothing is to be shown.
    pub(super) held: Held,
    /// The run's changes were told in words of its own.
    is_summed_up: AtomicBool,
    /// How journals are kept; `None` without a folder for them.
    pub(super) journal: Option<journal::Settings>,
    pub(super) wants_journal: bool,
    warned: Once,
    /// The backends that are written in Lua.
    pub(super) backends: Vec<Served>,
    /// Those that were named by a flag.
    named_backends: Vec<PathBuf>,
    runtime: Option<Runtime>,
}

impl Context {
    pub(super) fn new(env: Env, global: &Global, mode: Mode) -> Result<Self, Failure> {
        let settings = Settings::load(&env)?;
        let journal = journal(&env, global, mode, &settings)?;
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("kstate-io")
            .build()
            .map_err(|error| {
                Failure::new(Exit::FAILED, format!("cannot start threads: {error}"))
            })?;
        let registry = Arc::new(Registry::new(env));
        let backends = register(&registry, &settings, &global.backend, runtime.handle())?;
        let mut context = Self {
            settings,
            inputs: Inputs {
                state_flag: global.state.clone(),
                config_flag: global.config.clone(),
            },
            session: Arc::new(Session::over(Arc::clone(&registry), mode)),
            json: global.json,
            yes: global.yes,
            quiet: global.quiet,
            log_format: global.log_format,
            held: Held::default(),
            is_summed_up: AtomicBool::new(false),
            journal,
            wants_journal: !global.no_journal,
            warned: Once::new(),
            backends,
            named_backends: global.backend.clone(),
            runtime: Some(runtime),
        };
        let grants = permissions::grants(&context, &global.stores, &global.script)?;
        let session = Session::over(registry, mode).granting(grants);
        context.session = Arc::new(match &context.journal {
            Some(settings) => session.journaled(settings.clone(), work()),
            None => session,
        });
        Ok(context)
    }

    /// A registry with the same backends, that shares nothing with this run's.
    pub(super) fn another_registry(&self) -> Result<Arc<Registry>, Failure> {
        let registry = Arc::new(Registry::new(self.env().clone()));
        if let Some(io) = self.io() {
            register(&registry, &self.settings, &self.named_backends, io)?;
        }
        Ok(registry)
    }

    /// Ends the run's journal, and tells what was changed and how to take it back.
    pub(super) fn conclude(&self, complete: bool) {
        self.session.finish(complete);
        if self.is_summed_up.load(Ordering::Relaxed) {
            if let Some(id) = self.session.journal_id() {
                self.prune(id);
            }
        } else {
            self.tell_changes(&self.session);
        }
    }

    /// Tells what the run changed in other words than all commands do.
    pub(super) fn sum_up(&self, tell: impl FnOnce()) {
        self.is_summed_up.store(true, Ordering::Relaxed);
        tell();
    }

    /// Waits for work of another session, and tells what it changed, also when it is stopped.
    pub(super) async fn concluding<T>(
        &self,
        session: &Session,
        work: impl Future<Output = T>,
    ) -> T {
        let told = Told {
            context: self,
            session,
        };
        let result = work.await;
        drop(told);
        result
    }

    /// Tells on standard error what a session changed and how to take it back, and makes room for
    /// the next one.
    fn tell_changes(&self, session: &Session) {
        let changes = session.changes();
        if changes.is_empty() {
            return;
        }
        let Some(id) = session.journal_id() else {
            tracing::info!("{changes}");
            if self.wants_journal && self.journal.is_none() {
                tracing::warn!(
                    "no journal was kept, so this can't be undone: set HOME or XDG_STATE_HOME"
                );
            }
            return;
        };
        tracing::info!("{changes}; undo with: kstate undo {id}");
        self.prune(id);
    }

    fn prune(&self, run: &str) {
        let Some(settings) = &self.journal else {
            return;
        };
        let (age, size) = self.retention();
        match journal::prune_behind(run, &settings.folder, age, size) {
            Ok(pruned) if !pruned.is_empty() => {
                let ids: Vec<_> = pruned.iter().map(|run| run.about.id.as_str()).collect();
                tracing::info!(
                    "old journals were removed, and their runs can't be undone any more: {}",
                    ids.join(", ")
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("old journals stay: {error}"),
        }
    }

    /// How long journals stay, and how many bytes all of them may take.
    pub(super) fn retention(&self) -> (Duration, u64) {
        let said = self.settings.journal;
        let age = said.keep.unwrap_or(journal::KEEP);
        (age, said.max_size.unwrap_or(journal::MAX_ALL))
    }

    pub(super) fn env(&self) -> &Env {
        self.session.env()
    }

    pub(super) fn dry_run(&self) -> bool {
        self.session.mode() != Mode::Direct
    }

    /// The threads that do I/O.
    pub(super) fn io(&self) -> Option<&Handle> {
        self.runtime.as_ref().map(Runtime::handle)
    }

    pub(super) fn state_store(&self) -> Resolution {
        state_store::resolve(&self.inputs, self.env())
    }

    /// The URL that a name means: a URL, a path, a named store, or `state`.
    pub(super) fn url(&self, text: &str) -> crate::store::Result<StoreUrl> {
        let below = match text.split_once(':') {
            Some(("state", below)) if !below.starts_with("//") => below,
            None if text == "state" => "",
            _ => return self.settings.store_url(text),
        };
        let mut url = self.state_url()?;
        let below = below.trim_matches('/');
        if !below.is_empty() {
            url.path = match url.path.as_str() {
                "" => below.to_owned(),
                path => format!("{}/{below}", path.trim_end_matches('/')),
            };
        }
        Ok(url)
    }

    /// The state store, with what is confusing about it told once.
    fn state_url(&self) -> crate::store::Result<StoreUrl> {
        if let Some(name) = self.inputs.state_flag.as_deref()
            && self.settings.names(name)
        {
            return self.settings.store_url(name);
        }
        let found = self.state_store();
        let url = found.store_url()?;
        self.warned.call_once(|| {
            for Warning { message, fix } in &found.warnings {
                tracing::warn!("{message}; {fix}");
            }
        });
        Ok(url)
    }

    /// The store that an argument means; the state store when there is none.
    pub(super) fn store(&self, text: Option<&str>) -> Result<Arc<dyn Store>, Failure> {
        let url = self.url(text.unwrap_or("state"))?;
        Ok(self.session.open(&url)?)
    }

    /// The store and key of an argument that means one object.
    pub(super) fn object(&self, text: &str) -> Result<(Arc<dyn Store>, Key), Failure> {
        let url = self.url(text)?;
        let (store, key) = url
            .split_object()
            .ok_or_else(|| Failure::usage(format!("'{url}' names a store, not an object in it")))?;
        Ok((self.session.open(&store)?, key))
    }

    /// Runs a command until it ends or is interrupted. The first interrupt drops it, which
    /// cancels what it was doing; the second ends the process.
    pub(super) fn interruptible<T>(
        &self,
        command: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some(runtime) = &self.runtime else {
            return Err(Failure::silent(Exit::FAILED));
        };
        runtime.block_on(async {
            tokio::select! {
                result = command => result,
                () = interrupted() => {
                    self.end_on_second_interrupt();
                    Err(Failure::new(
                        Exit::INTERRUPTED,
                        "interrupted; what was done stays done, run it again to go on",
                    ))
                }
            }
        })
    }

    /// From now on an interrupt ends the process at once.
    pub(super) fn end_on_second_interrupt(&self) {
        if let Some(io) = self.io() {
            io.spawn(async {
                interrupted().await;
                end_now(Exit::INTERRUPTED);
            });
        }
    }
}

/// How a journal is kept; `None` when there is none.
fn journal(
    env: &Env,
    global: &Global,
    mode: Mode,
    settings: &Settings,
) -> Result<Option<journal::Settings>, Failure> {
    let Some(folder) = journal::Settings::folder(env) else {
        if global.require_undo && mode == Mode::Direct {
            return Err(Failure::refused(
                "nothing could be undone: there is no folder for a journal",
            )
            .hint("set HOME or XDG_STATE_HOME"));
        }
        return Ok(None);
    };
    Ok(Some(journal::Settings {
        require_undo: global.require_undo,
        keep: mode == Mode::Direct && !global.no_journal,
        max_object: settings.journal.max_object.unwrap_or(journal::MAX_OBJECT),
        ..journal::Settings::new(folder)
    }))
}

/// What this process was given on its command line.
pub(super) fn arguments() -> Vec<String> {
    let args = std::env::args_os().skip(1);
    args.map(|arg| arg.to_string_lossy().into_owned()).collect()
}

/// What this process was asked to do.
pub(super) fn work() -> journal::Work {
    let args = mask_args(arguments());
    journal::Work {
        command: mask(&args.join(" ")),
        ..journal::Work::default()
    }
}

/// Tells what a session changed when the work on it ends or is dropped.
struct Told<'a> {
    context: &'a Context,
    session: &'a Session,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.context.tell_changes(self.session);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // What was stopped in the middle gives its locks back meanwhile.
            let given_back =
                async { tokio::time::timeout(GRACE, self.session.locks_given_back()).await };
            // A lock that stays frees itself in time.
            let _ = runtime.block_on(given_back);
            runtime.shutdown_timeout(GRACE);
        }
    }
}
