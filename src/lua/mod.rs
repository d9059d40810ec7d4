//! The Lua runtime: the VM that scripts run in, and the modules they see.
//!
//! A VM lives on one thread, in a current-thread runtime; everything it waits for runs on the
//! host's multi-thread runtime. A module is one file in `modules` and one line in its list.

pub mod api;
pub mod backend;
#[cfg(test)]
mod contract_tests;
mod data;
mod error;
mod error_object;
mod flags;
pub mod generate;
mod host;
mod inspect;
mod manifest;
#[expect(
    clippy::needless_pass_by_value,
    reason = "functions take what mlua hands over"
)]
mod modules;
mod render;
mod require;
mod script;
mod shard;
mod source;
#[cfg(test)]
mod testing;
mod traceback;
#[cfg(test)]
mod traps;
mod vm;
mod watch;
mod yaml_data;
mod yaml_text;

use mlua::{Function, Lua, MultiValue, Value};

use crate::units;

pub use error::{ScriptError, Stop};
pub use host::{Host, NoTerminal, OnStuck, Output, Profile, Resolve, Terminal};
pub use manifest::Manifest;
pub use modules::MODULES;
pub use require::Embedded;
pub use script::Exit;
pub use shard::Shard;
pub use source::Source;
pub use watch::Stopper;

use require::{Asker, Modules};

/// A VM and what it stands on. Everything here runs on the thread that made it, within a tokio
/// runtime; see [`block_on`].
pub struct Runtime {
    lua: Lua,
    stopper: Stopper,
    modules: Modules,
}

impl Runtime {
    /// Makes a VM.
    ///
    /// # Errors
    /// Only when memory is out.
    pub fn new(host: Host) -> Result<Self, ScriptError> {
        let stopper = Stopper::new(host.grace, host.on_stuck.clone());
        let lua = vm::create(host, stopper.clone())?;
        let modules = Modules::default();
        lua.set_app_data(modules.clone());
        let public = &vm::of(&lua).public;
        public.raw_set("require", require::function(&lua, Asker::default())?)?;
        Ok(Self {
            lua,
            stopper,
            modules,
        })
    }

    /// Scripts may `require` these modules too.
    pub fn embed(&self, modules: Embedded) {
        self.modules.set_embedded(modules);
    }

    /// What stops the script, from any thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Runs a script with its arguments to the end. Dropping the future stops the script at
    /// its next wait, with its `<close>` variables closed.
    ///
    /// # Errors
    /// What the script raised, a mistake in its arguments, or why it was stopped.
    pub async fn run_script(&self, source: &Source, args: &[String]) -> Result<Exit, ScriptError> {
        self.modules.set_root(source.folder.clone());
        self.within(script::run(&self.lua, source, args)).await
    }

    /// What a script declares that it needs; `None` for one that declares nothing because it
    /// runs from top to bottom. Its `main` isn't run, and it ends where it begins to work.
    ///
    /// # Errors
    /// A mistake in the script or in what it declares.
    pub async fn declared(&self, source: &Source) -> Result<Option<Manifest>, ScriptError> {
        self.modules.set_root(source.folder.clone());
        self.within(script::declared(&self.lua, source)).await
    }

    /// Runs a piece of Lua in the shared globals, where it may make new ones: an expression, or
    /// statements. For the prompt and for `-e`.
    ///
    /// # Errors
    /// As [`run_script`](Self::run_script); syntax errors say whether more input could help
    /// (see [`is_incomplete`](Self::is_incomplete)).
    pub async fn eval(&self, name: &str, text: &str) -> Result<MultiValue, ScriptError> {
        let chunk = self.eval_chunk(name, text)?;
        self.within(vm::call(&self.lua, chunk, ())).await
    }

    fn eval_chunk(&self, name: &str, text: &str) -> Result<Function, ScriptError> {
        let vm = vm::of(&self.lua);
        vm.sources
            .borrow_mut()
            .insert(name.to_owned(), text.to_owned());
        let expression = format!("return {text}");
        vm::load(&self.lua, name, &expression, vm.public.clone())
            .or_else(|_| vm::load(&self.lua, name, text, vm.public.clone()))
            .map_err(ScriptError::from)
    }

    /// Whether a piece of Lua is the beginning of a longer one.
    pub fn is_incomplete(&self, text: &str) -> bool {
        let public = vm::of(&self.lua).public.clone();
        let load = |text: &str| vm::load(&self.lua, "input", text, public.clone());
        if load(&format!("return {text}")).is_ok() {
            return false;
        }
        matches!(
            load(text),
            Err(mlua::Error::SyntaxError { incomplete_input: true, message })
                // A quoted string can't go on in the next line.
                if !message.contains("unfinished string")
        )
    }

    /// A value as `print` shows it.
    pub fn show(&self, value: &Value) -> String {
        inspect::pretty(value, inspect::DEPTH)
    }

    /// An error as a terminal shows it: message, line of the script, causes, calls, hint.
    pub fn render(&self, error: &ScriptError) -> String {
        render::render(error, &vm::of(&self.lua).sources.borrow())
    }

    /// Runs something that can be stopped.
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, ScriptError>>,
    ) -> Result<T, ScriptError> {
        let _run = self.stopper.start(vm::of(&self.lua).host.timeout);
        let result = tokio::select! {
            biased;
            reason = self.stopper.wait() => Err(ScriptError::stopped(reason)),
            result = work => result,
        };
        if result.is_err() {
            vm::reap(&self.lua);
        }
        result
    }
}

/// The stack that a thread with a VM needs, as the main thread has it: Lua lets scripts nest 200
/// calls through Rust, and ends what goes deeper with an error.
pub const STACK: usize = 8 << 20;

/// Runs a future that uses a VM on this thread, whose stack must have [`STACK`].
///
/// # Errors
/// When the system refuses what a runtime needs.
pub fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, future))
}
