//! A host for tests: no terminal, output kept.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::{Exit, Host, Output, Runtime, ScriptError, Source};
use crate::session::permissions::Grants;
use crate::session::{Mode, Session};
use crate::store::registry::Env;

/// A host whose I/O runtime lives as long as the test.
pub(super) struct Bench {
    io: tokio::runtime::Runtime,
    session: Arc<Session>,
    pub(super) printed: Printed,
}

/// What scripts printed.
#[derive(Clone, Default)]
pub(super) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            io,
            session: Arc::new(Session::new(Env::default(), Mode::Direct)),
            printed: Printed::default(),
        }
    }

    pub(super) fn host(&self) -> Host {
        let stdout = Output::new(self.printed.clone());
        Host::new(self.io.handle().clone(), Arc::clone(&self.session), stdout)
    }

    /// Later VMs have this environment.
    pub(super) fn set_env<const N: usize>(&mut self, variables: [(&str, &str); N]) {
        let env = Env::from_iter(variables);
        self.session = Arc::new(Session::new(env, Mode::Direct));
    }

    /// Later VMs may do this, and no more.
    pub(super) fn grant(&mut self, grants: Grants) {
        let session = Session::new(self.session.env().clone(), self.session.mode());
        self.session = Arc::new(session.granting(grants));
    }

    /// Later VMs write nothing.
    pub(super) fn set_dry_run(&mut self) {
        let (env, grants) = (self.session.env().clone(), self.session.grants().clone());
        self.session = Arc::new(Session::new(env, Mode::DryRun).granting(grants));
    }

    /// Runs a script in a new VM.
    pub(super) fn run(&self, text: &str) -> Result<Exit, ScriptError> {
        self.run_with(text, &[])
    }

    pub(super) fn run_with(&self, text: &str, args: &[&str]) -> Result<Exit, ScriptError> {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let source = Source::new("test.lua", text);
        with(self.host(), async move |runtime| {
            runtime.run_script(&source, &args).await
        })
    }
}

/// Does something with a new VM on this thread.
pub(super) fn with<T>(host: Host, work: impl AsyncFnOnce(&Runtime) -> T) -> T {
    super::block_on(async {
        let runtime = Runtime::new(host).unwrap();
        work(&runtime).await
    })
    .unwrap()
}

/// Runs a script that must end well.
#[track_caller]
pub(super) fn passes(text: &str) {
    let bench = Bench::new();
    if let Err(error) = bench.run(text) {
        panic!("{error}\n{}", error.traceback().unwrap_or_default());
    }
}

/// Runs a script that must fail.
#[track_caller]
pub(super) fn fails(text: &str) -> ScriptError {
    Bench::new().run(text).expect_err("the script should fail")
}
