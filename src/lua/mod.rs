//! The Lua runtime: the VM that scripts run in, and the modules they see.
//!
//! A VM lives on one thread, in a current-thread runtime; everything it waits for runs on the
//! host's multi-thread runtime. A module is one file in `modules` and one line in its list.

pub mod api;
pub mod backend;
mod check;
#[cfg(test)]
mod contract_tests;
mod data;
mod error;
mod error_object;
mod file_state;
mod flags;
pub mod generate;
mod host;
mod inspect;
pub mod lexer;
mod manifest;
#[expect(
    clippy::needless_pass_by_value,
    reason = "functions take what mlua hands over"
)]
mod modules;
mod prompt;
mod render;
mod require;
mod script;
mod shard;
mod source;
mod suite;
#[cfg(test)]
mod testing;
mod traceback;
#[cfg(test)]
mod traps;
mod vm;
mod watch;
mod yaml_data;
mod yaml_text;

use mlua::Lua;

use crate::units;

pub use check::{Finding, Rule, STACK as CHECK_STACK};
pub use error::{ScriptError, Stop};
pub use file_state::FileState;
pub use host::{Host, NoTerminal, OnStuck, OpenPrompt, Output, Profile, Resolve, Terminal};
pub use manifest::Manifest;
pub use modules::MODULES;
pub use require::Embedded;
pub use script::Exit;
pub use shard::Shard;
pub use source::Source;
pub use suite::Test;
pub use watch::{Asked, Held, Stopper};

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

    /// The files that the script's modules came from, and those where they were looked for first.
    pub fn module_files(&self) -> Vec<FileState> {
        self.modules.files()
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
        self.stoppable(script::run(&self.lua, source, args)).await
    }

    /// What a script declares that it needs; `None` for one that declares nothing because it
    /// runs from top to bottom. Its `main` isn't run, and it ends where it begins to work.
    ///
    /// # Errors
    /// A mistake in the script or in what it declares.
    pub async fn declared(&self, source: &Source) -> Result<Option<Manifest>, ScriptError> {
        self.modules.set_root(source.folder.clone());
        self.stoppable(script::declared(&self.lua, source)).await
    }

    /// What is wrong with a script, as far as that can be told without running it, in the order of
    /// its lines. The thread must have [`CHECK_STACK`].
    pub fn check(&self, source: &Source) -> Vec<Finding> {
        check::check(&self.lua, source)
    }

    /// The tests of a file, in the order of their lines.
    ///
    /// # Errors
    /// What the file raised, or that it returns no tests.
    pub async fn tests(&self, source: &Source) -> Result<Vec<Test>, ScriptError> {
        self.modules.set_root(source.folder.clone());
        self.stoppable(suite::tests(&self.lua, source)).await
    }

    /// Runs one test of a file.
    ///
    /// # Errors
    /// What it raised, or why it was stopped.
    pub async fn run_test(&self, source: &Source, name: &str) -> Result<(), ScriptError> {
        self.modules.set_root(source.folder.clone());
        self.stoppable(suite::run(&self.lua, source, name)).await
    }

    /// The line of a file in which an error was raised, or that led there.
    pub fn line(error: &ScriptError, file: &str) -> Option<usize> {
        suite::line(error, file)
    }

    /// An error as a terminal shows it: message, line of the script, causes, calls, hint.
    pub fn render(&self, error: &ScriptError) -> String {
        render::render(error, &vm::of(&self.lua).sources.borrow())
    }

    /// Does something that can be stopped; within something else that can, only this is.
    ///
    /// # Errors
    /// Its own, or why it was stopped.
    pub async fn stoppable<T>(
        &self,
        work: impl Future<Output = Result<T, ScriptError>>,
    ) -> Result<T, ScriptError> {
        let run = self.stopper.start(vm::of(&self.lua).host.timeout);
        let result = tokio::select! {
            biased;
            reason = run.stopped() => Err(ScriptError::stopped(reason)),
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
