//! What the process around a script lends to it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use mlua::Table;

use super::Runtime;
use super::error::{ScriptError, Stop};
use super::shard::Shard;
use crate::config::state_store::{self, Inputs, Resolution};
use crate::session::Session;
use crate::session::permissions::Wanted;
use crate::store::{self, StoreUrl};
use crate::transfer::Observer;

/// The person at the other end, if there is one.
pub trait Terminal: Send + Sync + 'static {
    /// Whether somebody reads what is printed and can answer.
    fn is_interactive(&self) -> bool;

    /// Shows a question and waits for a line; `None` when there is no more input. May block.
    ///
    /// # Errors
    /// Those of reading and writing.
    fn ask(&self, question: &str) -> io::Result<Option<String>>;

    /// What is left of standard input, but no more than `limit` bytes. May block.
    ///
    /// # Errors
    /// Those of reading.
    fn input(&self, limit: u64) -> io::Result<Vec<u8>>;
}

/// No terminal: cron, a pipe, a test.
pub struct NoTerminal;

impl Terminal for NoTerminal {
    fn is_interactive(&self) -> bool {
        false
    }

    fn ask(&self, _question: &str) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn input(&self, _limit: u64) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

/// Where a script's output goes. When the reader goes away (`| head`), the rest is dropped: a
/// script that moves state doesn't stop half-way because nobody looks.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Option<Box<dyn Write + Send>>>>);

impl Output {
    /// Output to this writer.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(writer)))))
    }

    /// Writes all bytes and flushes.
    ///
    /// # Errors
    /// Those of the writer, except that the reader is gone.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = slot.as_mut() else {
            return Ok(());
        };
        match writer.write_all(bytes).and_then(|()| writer.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                *slot = None;
                Ok(())
            }
            result => result,
        }
    }
}

/// Called on another thread when a script that must stop doesn't, because it is inside a C
/// function that no hook can see. It is expected to say so and to end the process.
pub type OnStuck = Arc<dyn Fn(Stop) + Send + Sync>;

/// Reads the name of a store.
pub type Resolve = Arc<dyn Fn(&str) -> store::Result<StoreUrl> + Send + Sync>;

/// Opens a prompt in the middle of a script, with these globals, until the person leaves it.
pub type OpenPrompt =
    Arc<dyn Fn(Runtime, Table) -> LocalBoxFuture<'static, Result<(), ScriptError>> + Send + Sync>;

/// What a VM is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A script, or the prompt.
    Script,
    /// A backend: it opens no stores but works on those that it is given, also on what is
    /// kstate's own in them, and answers nobody but the calls of its own stores.
    Backend,
}

impl Profile {
    /// How what runs here is granted a value of a flag such as `allow-http`, as a hint.
    pub(super) fn granted_by(self, flag: &'static str, value: &str) -> String {
        match self {
            Self::Script => Wanted::new(flag, value).to_string(),
            Self::Backend => {
                let (name, field) = (flag.replace('-', "_"), flag.trim_start_matches("allow-"));
                format!(
                    "declare it in the backend, with permissions = {{ {field} = {{ {value:?} }} }}, and \
                     grant it under 'backends:' in kstate's configuration, with '{name}: [{value:?}]'"
                )
            }
        }
    }
}

/// What the process lends to a script.
#[derive(Clone)]
pub struct Host {
    /// What the VM is for.
    pub profile: Profile,
    /// The multi-thread runtime on which all I/O runs.
    pub io: tokio::runtime::Handle,
    /// The stores, and what becomes of writes to them.
    pub session: Arc<Session>,
    /// What a script means by the name of a store: a URL, a path, or a name of the user's.
    pub resolve: Resolve,
    /// The names of the user's stores, in byte order.
    pub stores: Vec<String>,
    /// Where the state store is, and why.
    pub state_store: Arc<dyn Fn() -> Resolution + Send + Sync>,
    /// Who hears of the progress of a transfer.
    pub observe: Arc<dyn Fn() -> Arc<dyn Observer> + Send + Sync>,
    /// Where `print` goes.
    pub stdout: Output,
    /// The person, if there is one.
    pub terminal: Arc<dyn Terminal>,
    /// Answer every confirmation with yes.
    pub assume_yes: bool,
    /// A script's `--json` flag is on without being typed.
    pub json: bool,
    /// The most memory the VM may take, in bytes; bodies of objects in flight don't count.
    pub memory_limit: usize,
    /// The run's share of the work, when several runs divide it.
    pub shard: Option<Arc<Shard>>,
    /// How long a script may run.
    pub timeout: Option<Duration>,
    /// How long a script that must stop may take to do so.
    pub grace: Duration,
    /// What happens to one that doesn't.
    pub on_stuck: OnStuck,
    /// How usage lines name the way the script was started, such as `kstate run move_bucket`.
    pub program: String,
    /// What `kstate.debug.repl` opens; `None` where nobody can type.
    pub prompt: Option<OpenPrompt>,
    /// What `--help` of a script says after its own flags.
    pub help_footer: Option<String>,
}

impl Host {
    /// A host with no terminal, no limits but the memory's, and output to `stdout`.
    #[must_use]
    pub fn new(io: tokio::runtime::Handle, session: Arc<Session>, stdout: Output) -> Self {
        Self {
            profile: Profile::Script,
            io,
            resolve: Arc::new(StoreUrl::parse),
            stores: Vec::new(),
            state_store: {
                let session = Arc::clone(&session);
                Arc::new(move || state_store::resolve(&Inputs::default(), session.env()))
            },
            session,
            observe: Arc::new(|| Arc::new(())),
            stdout,
            terminal: Arc::new(NoTerminal),
            assume_yes: false,
            json: false,
            memory_limit: 1 << 30,
            shard: None,
            timeout: None,
            grace: Duration::from_secs(5),
            on_stuck: Arc::new(|_| {}),
            program: "kstate run".to_owned(),
            prompt: None,
            help_footer: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_but_a_full_disk_is() {
        let output = Output::new(Closed);
        assert!(output.write(b"a").is_ok() && output.write(b"b").is_ok());
        assert!(Output::new(Full).write(b"a").is_err());
    }
}
