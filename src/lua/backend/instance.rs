//! The stores of a backend at one URL, and the VM that answers for them: started when it is first
//! asked, and anew after it broke.

use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::config::Config;
use super::definition::Definition;
use super::home::{Home, Start};
use super::serve::{Job, Served, is_out_of_memory};
use crate::lua::error::{ScriptError, Stop};
use crate::lua::watch::Stopper;
use crate::store::StoreUrl;

/// What a backend may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long one call may take, or one step of a listing or of a body.
    pub time: Duration,
    /// How long a VM that must stop may take to do so.
    pub grace: Duration,
    /// The most memory of a VM in bytes; bodies on their way don't count.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_mins(1),
            grace: Duration::from_secs(2),
            memory: 1 << 30,
        }
    }
}

/// The stores at one URL.
pub(super) struct Instance {
    /// The backend's name: the scheme of the URL.
    pub(super) name: String,
    pub(super) definition: Arc<Definition>,
    pub(super) config: Config,
    pub(super) limits: Limits,
    pub(super) io: tokio::runtime::Handle,
    pub(super) home: Home,
    /// Whether `read` gave the metadata too when it was last asked.
    pub(super) read_tells: AtomicBool,
    /// Where `list` stands in the backend's file, once it was called.
    pub(super) list_at: OnceLock<String>,
    worker: Mutex<Option<Arc<Worker>>>,
}

/// A VM that was started.
struct Worker {
    jobs: mpsc::UnboundedSender<Job>,
    /// What stops it, once it has been made; a script's own VM is stopped by nobody here.
    stopper: Arc<Mutex<Option<Stopper>>>,
}

impl Instance {
    pub(super) fn new(
        name: &str,
        definition: Arc<Definition>,
        config: Config,
        limits: Limits,
        io: tokio::runtime::Handle,
        home: Home,
    ) -> Self {
        Self {
            name: name.to_owned(),
            definition,
            config,
            limits,
            io,
            home,
            read_tells: AtomicBool::default(),
            list_at: OnceLock::new(),
            worker: Mutex::default(),
        }
    }

    /// Where its stores really are. One that wraps another is where that is, but in other words;
    /// any other is told by its URL with all options.
    pub(super) fn root(&self, url: &StoreUrl) -> String {
        let wraps = self.definition.wraps.as_deref();
        if let Some(inner) = wraps.and_then(|option| self.config.store(option)) {
            let place = inner.place();
            return format!("{}+{}/{}", self.name, place.root, place.prefix);
        }
        let options = url.options.iter();
        let options: Vec<_> = options
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{}://{}?{}", self.name, url.authority, options.join("&"))
    }

    /// A panic elsewhere can't leave the slot half-changed: each change is one assignment.
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Worker>>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn worker(&self) -> Result<Arc<Worker>, ScriptError> {
        let mut slot = self.slot();
        if let Some(worker) = slot.as_ref().filter(|worker| !worker.jobs.is_closed()) {
            return Ok(Arc::clone(worker));
        }
        let (jobs, queue) = mpsc::unbounded_channel();
        let stopper = Arc::default();
        self.home.start(Start {
            config: self.config.clone(),
            limits: self.limits,
            jobs: queue,
            stopper: Arc::clone(&stopper),
        })?;
        let worker = Arc::new(Worker { jobs, stopper });
        *slot = Some(Arc::clone(&worker));
        Ok(worker)
    }

    /// The next call gets a new VM.
    fn retire(&self, worker: &Arc<Worker>) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|now| Arc::ptr_eq(now, worker)) {
            *slot = None;
        }
    }

    /// Does something in the VM. Dropping the wait ends it there.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(Rc<Served>) -> LocalBoxFuture<'static, Result<T, ScriptError>>
        + Send
        + 'static,
    ) -> Result<T, ScriptError> {
        let worker = self.worker()?;
        let (mut send, receive) = oneshot::channel();
        let job: Job = Box::new(move |served| {
            Box::pin(async move {
                let work = async { work(served?).await };
                let result = tokio::select! {
                    biased;
                    () = send.closed() => return,
                    result = work => result,
                };
                let _ = send.send(result);
            })
        });
        let _ = worker.jobs.send(job);
        let result = self.answer(&worker, receive).await;
        if let Err(error) = &result
            && (is_out_of_memory(error) || error.stop().is_some())
        {
            self.retire(&worker);
        }
        result
    }

    /// Waits for an answer as long as the VM is alive: one that is inside a C function, or in a
    /// loop that can't be suspended, answers nobody.
    async fn answer<T>(
        &self,
        worker: &Arc<Worker>,
        mut answer: oneshot::Receiver<Result<T, ScriptError>>,
    ) -> Result<T, ScriptError> {
        let gone = |_| Err(ScriptError::new("other", "its VM ended before it answered"));
        loop {
            tokio::select! {
                biased;
                result = &mut answer => return result.unwrap_or_else(gone),
                () = tokio::time::sleep(self.limits.time) => {}
            }
            let (send, pong) = oneshot::channel::<()>();
            let question: Job = Box::new(move |_| {
                let _ = send.send(());
                Box::pin(std::future::ready(()))
            });
            let _ = worker.jobs.send(question);
            if tokio::time::timeout(self.limits.grace, pong).await.is_ok() {
                continue;
            }
            self.retire(worker);
            if let Some(stopper) = &*worker
                .stopper
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
            {
                stopper.stop(Stop::TimedOut);
            }
            let time = self.limits.time;
            return match tokio::time::timeout(self.limits.grace, answer).await {
                Ok(Ok(Err(error))) if error.stop().is_some() => Err(ScriptError::new(
                    "timeout",
                    format!("it took longer than {time:?}, and was stopped"),
                )
                .traced(error.traceback().unwrap_or_default())),
                Ok(result) => result.unwrap_or_else(gone),
                Err(_) => Err(ScriptError::new(
                    "timeout",
                    format!(
                        "it took longer than {time:?} inside one long call, such as a string match, and was given up"
                    ),
                )),
            };
        }
    }
}
