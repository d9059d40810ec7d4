//! What Ctrl-C and requests to terminate mean.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcsetattr};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::exit::{Exit, Failure};
use crate::lua::{Asked, Stop, Stopper};

/// The terminal as it was before a line editor took it.
static TERMINAL: OnceLock<Termios> = OnceLock::new();

/// From now on the terminal is put back as it is now when the process ends at once.
pub(super) fn remember_terminal() {
    if let Ok(now) = rustix::termios::tcgetattr(std::io::stdin()) {
        // It is the same each time.
        let _ = TERMINAL.set(now);
    }
}

/// Ends the process at once: the person asked twice, or a script can't be stopped otherwise.
#[expect(clippy::exit, clippy::disallowed_methods, reason = "the last resort")]
pub(super) fn end_now(code: u8) -> ! {
    if let Some(before) = TERMINAL.get() {
        // It may be gone.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
    }
    std::process::exit(i32::from(code))
}

/// Waits for Ctrl-C or a request to terminate.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// From now on Ctrl-C ends the process no more. A line editor puts back what it found, so this must
/// be done before it begins.
fn catch(io: &Handle) {
    use tokio::signal::unix::{SignalKind, signal};
    let _io = io.enter();
    if let Err(error) = signal(SignalKind::interrupt()) {
        tracing::debug!("Ctrl-C can't be caught: {error}");
    }
}

/// What a prompt does when the process must end although nobody left it.
pub(super) trait Parting: Send + Sync + 'static {
    /// The prompt is to end with this code as soon as it can.
    fn ask(&self, code: u8);

    /// Ends the process at once, after the last that must be done.
    fn end(&self, code: u8) -> !;
}

/// Ctrl-C stops what is typed at a prompt, each time; a second one ends the process when the first
/// hasn't helped yet. A request to terminate, or a terminal that is closed, stops it too and ends
/// the prompt.
pub(super) fn stop_each(io: &Handle, stopper: &Stopper, parting: &Arc<dyn Parting>) {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = {
        // A line editor puts back what it found, so they must be caught before it begins.
        let _io = io.enter();
        [
            (SignalKind::interrupt(), None),
            (SignalKind::terminate(), Some(Exit::TERMINATED)),
            (SignalKind::hangup(), Some(Exit::HUNG_UP)),
        ]
        .map(|(kind, code)| (signal(kind), code))
    };
    let is_ending = Arc::new(AtomicBool::new(false));
    for (signal, code) in caught {
        let mut signal = match signal {
            Ok(signal) => signal,
            Err(error) => {
                tracing::debug!("a signal can't be caught: {error}");
                continue;
            }
        };
        let (stopper, parting) = (stopper.clone(), Arc::clone(parting));
        let is_ending = Arc::clone(&is_ending);
        io.spawn(async move {
            while signal.recv().await.is_some() {
                let is_first = match code {
                    Some(code) => {
                        parting.ask(code);
                        !is_ending.swap(true, Ordering::SeqCst)
                    }
                    None => false,
                };
                let must_end = match stopper.stop(Stop::Cancelled) {
                    Asked::Now => false,
                    Asked::Before => !is_first,
                    // The prompt waits for keys.
                    Asked::Nobody => code.is_some(),
                };
                if must_end {
                    let parting = Arc::clone(&parting);
                    // It waits for files.
                    std::thread::spawn(move || {
                        parting.end(code.unwrap_or(Exit::INTERRUPTED));
                    });
                }
            }
        });
    }
}

/// A script's requests to stop. The first one stops the script, or what waits for its turn to run
/// it; the second ends the process, unless the first stopped only what was typed at a prompt in the
/// script's middle.
#[derive(Clone)]
pub(super) struct Requests {
    script: Arc<Mutex<Option<Stopper>>>,
    told: watch::Receiver<bool>,
}

impl Requests {
    /// Hears of them from now on.
    pub(super) fn hear(io: &Handle) -> Self {
        catch(io);
        let (tell, told) = watch::channel(false);
        let requests = Self {
            script: Arc::default(),
            told,
        };
        let heard = requests.clone();
        io.spawn(async move {
            loop {
                interrupted().await;
                let asked = heard.script().as_ref().map(|it| it.stop(Stop::Cancelled));
                let is_first = match asked {
                    Some(Asked::Now) => true,
                    Some(Asked::Before) => false,
                    // It has ended, or hasn't begun.
                    Some(Asked::Nobody) | None => !tell.send_replace(true),
                };
                if !is_first {
                    end_now(Exit::INTERRUPTED);
                }
            }
        });
        requests
    }

    /// A panic elsewhere can't leave it half-changed.
    fn script(&self) -> MutexGuard<'_, Option<Stopper>> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work of a script, which requests stop from now on until it is done.
    pub(super) async fn stopping<T>(
        &self,
        stopper: Stopper,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        *self.script() = Some(stopper);
        let done = if *self.told.borrow() {
            Err(Self::failure())
        } else {
            work.await
        };
        *self.script() = None;
        done
    }

    /// Waits for one while no script runs.
    pub(super) async fn wait(&mut self) -> Failure {
        if self.told.wait_for(|told| *told).await.is_err() {
            std::future::pending::<()>().await;
        }
        Self::failure()
    }

    fn failure() -> Failure {
        Failure::new(Exit::INTERRUPTED, "interrupted").of_kind("cancelled")
    }
}
