//! `kstate run --watch`: runs a script again whenever it, or what it requires, has changed.

use std::sync::Arc;
use std::time::Duration;

use super::Global;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::interrupts::interrupted;
use super::run::Run;
use crate::lua::FileState;
use crate::session::Mode;
use crate::store::registry::Env;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_millis(200);

/// Runs a script until somebody interrupts it. Each run is one of its own, with its own stores and
/// journal.
pub(super) fn run(run: &Run, global: &Global, mode: Mode) -> Result<u8, Failure> {
    let mut script = None;
    loop {
        let context = Arc::new(Context::new(Env::of_process(), global, mode)?);
        // Looked for once: an editor may take it away for a moment.
        let path = match script {
            Some(path) => path,
            None => run.script_path(&context)?,
        };
        let Some(io) = context.io() else {
            return Err(Failure::silent(Exit::FAILED));
        };
        // From now on, so that none is lost between the script's end and the wait for a change.
        let interrupt = io.spawn(interrupted());
        let mut files = vec![FileState::now(path.clone())];
        script = Some(path);
        let (modules, ended) = run.once(&context);
        files.extend(modules);
        context.conclude(matches!(ended, Ok(Exit::DONE)));
        let code = match ended {
            Ok(code) => code,
            Err(failure) => failure.report(context.log_format),
        };
        if code == Exit::INTERRUPTED {
            return Ok(code);
        }
        tracing::info!("ended with {code}; runs again when a file changes, Ctrl-C ends it");
        context.interruptible(async {
            tokio::select! {
                _ = interrupt => Err(Failure::new(Exit::INTERRUPTED, "interrupted")),
                () = change(&files) => Ok(()),
            }
        })?;
    }
}

/// Waits until one of the files is another one.
async fn change(files: &[FileState]) {
    loop {
        if let Some(file) = files.iter().find(|file| file.has_changed()) {
            tracing::info!("{} has changed", file.path().display());
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}
