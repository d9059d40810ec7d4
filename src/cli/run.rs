//! `kstate run`

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;

use super::Global;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::interrupts::{Requests, end_now};
use super::job::Job;
use super::output::{LogFormat, show_operations};
use super::permissions::{self, ScriptGrants};
use crate::lua::{self, FileState, Host, Output, Runtime, ScriptError, Source, Stop, Terminal};
use crate::scripts;
use crate::units;

/// Runs a Lua script: a path, the name of a script in ./scripts or in the user's folder, or the
/// name of one that is built in, such as `move_bucket`. `-` reads it from standard input.
///
/// What follows the script's name belongs to the script; `--help` there shows its own flags.
/// Only --dry-run is taken out of it and works for every script.
#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) script: ScriptRun,
    /// Show what the script would be allowed to do and why; run nothing
    #[arg(long)]
    explain_permissions: bool,
    /// Run the script again whenever it, or what it requires, has changed
    #[arg(long, conflicts_with_all = ["explain_permissions", "Job"])]
    pub(super) watch: bool,
    #[command(flatten)]
    job: Job,
}

/// A script, and the bounds within which it runs.
#[derive(Args)]
pub(super) struct ScriptRun {
    /// Stop the script after this time, such as 30s or 2h (exit code 124)
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,
    /// The most memory that the script's own data may take
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = units::size)]
    memory: u64,
    #[command(flatten)]
    grants: ScriptGrants,
    /// The script and its arguments
    #[arg(
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "SCRIPT [ARGS]"
    )]
    pub(super) script: Vec<String>,
}

/// A script that ran.
pub(super) struct Ran {
    /// Its text.
    pub(super) source: Source,
    /// The files that its modules came from.
    modules: Vec<FileState>,
    /// How it ended.
    pub(super) ended: Result<u8, Failure>,
}

impl Run {
    pub(super) fn run(self, context: &Arc<Context>) -> Result<u8, Failure> {
        if self.explain_permissions {
            let (name, source) = self.script.find(context)?;
            let host = self.script.host("run", &name, context)?;
            return permissions::explain(context, host, &source);
        }
        self.once(context).1
    }

    /// Runs the script to its end; gives the files that its modules came from too.
    pub(super) fn once(&self, context: &Arc<Context>) -> (Vec<FileState>, Result<u8, Failure>) {
        let is_job = self.job.is_asked_for() || context.log_format == LogFormat::Json;
        let (modules, ended) = if is_job {
            self.job.run(&self.script, context)
        } else {
            match self.script.run("run", context) {
                Ok(Ran { modules, ended, .. }) => (modules, ended),
                Err(failure) => (Vec::new(), Err(failure)),
            }
        };
        let told = ended.and_then(|code| show_operations(context).map(|()| code));
        (modules, told)
    }

    /// The file of the script.
    pub(super) fn script_path(&self, context: &Context) -> Result<PathBuf, Failure> {
        let (name, source) = self.script.find(context)?;
        if source.folder.is_none() {
            return Err(
                Failure::usage(format!("{name} is no file, so it doesn't change"))
                    .hint(format!("kstate scripts eject {name} makes it one")),
            );
        }
        Ok(source.name.into())
    }
}

impl ScriptRun {
    /// Takes the flags of the runtime out of the script's arguments, up to a `--`. The script
    /// sees its `--json` too: both print in the same way then.
    pub(super) fn lift_flags(&mut self, global: &mut Global) {
        global.script = self.grants.clone();
        let mut own = true;
        self.script.retain(|arg| {
            own &= arg != "--";
            let dry_run = own && arg == "--dry-run";
            global.dry_run |= dry_run;
            global.json |= own && arg == "--json";
            !dry_run
        });
    }

    /// The script's name and text.
    pub(super) fn find(&self, context: &Context) -> Result<(String, Source), Failure> {
        let Some(name) = self.script.first() else {
            return Err(Failure::usage("no script named"));
        };
        Ok((name.clone(), find(name, context)?))
    }

    /// Runs the script to its end, for a command.
    pub(super) fn run(&self, command: &str, context: &Arc<Context>) -> Result<Ran, Failure> {
        let (name, source) = self.find(context)?;
        let host = self.host(command, &name, context)?;
        let requests = Requests::hear(&host.io);
        let (modules, ended) = here(async { Ok(self.attempt(host, &source, &requests).await) })?;
        context.held.show_unless_done(&ended);
        Ok(Ran {
            source,
            modules,
            ended,
        })
    }

    /// Runs the script once; gives the files that its modules came from too.
    pub(super) async fn attempt(
        &self,
        host: Host,
        source: &Source,
        requests: &Requests,
    ) -> (Vec<FileState>, Result<u8, Failure>) {
        let args = self.script.get(1..).unwrap_or_default();
        let runtime = match Runtime::new(host) {
            Ok(runtime) => runtime,
            Err(error) => return (Vec::new(), Err(told(&error, &error.to_string()))),
        };
        runtime.embed(scripts::module);
        let work = async {
            match runtime.run_script(source, args).await {
                Ok(exit) => Ok(exit.0),
                Err(error) => Err(told(&error, &runtime.render(&error))),
            }
        };
        let ended = requests.stopping(runtime.stopper(), work).await;
        (runtime.module_files(), ended)
    }

    /// Bounds for what is no script.
    pub(super) fn bounded(memory: u64) -> Self {
        Self {
            timeout: None,
            memory,
            grants: ScriptGrants::default(),
            script: Vec::new(),
        }
    }

    pub(super) fn host(
        &self,
        command: &str,
        name: &str,
        context: &Arc<Context>,
    ) -> Result<Host, Failure> {
        let Some(io) = context.io() else {
            return Err(Failure::silent(Exit::FAILED));
        };
        let stdout = if context.quiet && !context.json {
            Output::new(context.held.clone())
        } else {
            Output::new(std::io::stdout())
        };
        let mut host = Host::new(io.clone(), Arc::clone(&context.session), stdout);
        let (names, state) = (Arc::clone(context), Arc::clone(context));
        host.resolve = Arc::new(move |text| names.url(text));
        let stores = context.settings.stores();
        host.stores = stores.map(|(name, _)| name.to_owned()).collect();
        host.state_store = Arc::new(move || state.state_store());
        host.observe = {
            let shown = !context.quiet;
            Arc::new(move || super::progress::Progress::observer(shown))
        };
        host.terminal = Arc::new(Person);
        host.assume_yes = context.yes;
        host.json = context.json;
        host.timeout = self.timeout;
        host.memory_limit = usize::try_from(self.memory).unwrap_or(usize::MAX);
        host.program = format!("kstate {command} {name}");
        host.prompt = super::repl::in_script(context);
        host.help_footer =
            Some("--dry-run writes nothing anywhere and shows what would be done. kstate's other options, such\nas --state and --timeout, go before the script's name.\n".to_owned());
        host.on_stuck = Arc::new(|reason| {
            tracing::error!(
                "the script doesn't stop: it waits at a prompt or is inside one long call, such as a string match; ending the process",
            );
            end_now(match reason {
                Stop::TimedOut => Exit::TIMED_OUT,
                _ => Exit::INTERRUPTED,
            });
        });
        Ok(host)
    }
}

/// Does something with a VM on this thread.
pub(super) fn here<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    lua::block_on(work).unwrap_or_else(|error| {
        let message = format!("cannot start a thread: {error}");
        Err(Failure::new(Exit::FAILED, message))
    })
}

/// What a script printed under `--quiet`: shown only when it didn't end well.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<Vec<u8>>>);

impl Held {
    /// More than this is not kept.
    const MOST: usize = 8 << 20;

    pub(super) fn show_unless_done(&self, ended: &Result<u8, Failure>) {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if !matches!(ended, Ok(Exit::DONE)) {
            // A reader that went away has what it wanted.
            let _ = std::io::stdout().write_all(&bytes);
        }
    }
}

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Self::MOST.saturating_sub(held.len());
        held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The text of a script: a path, the name of one of the user's or of ours, or `-`.
pub(super) fn find(name: &str, context: &Context) -> Result<Source, Failure> {
    if name == "-" {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| {
            Failure::new(
                Exit::FAILED,
                format!("cannot read the script from standard input: {error}"),
            )
        })?;
        return Ok(Source::new("stdin", text));
    }
    let candidates = scripts::candidates(name, context.env());
    for path in &candidates {
        if path.is_file() {
            return Source::read(path).map_err(|error| told(&error, &error.to_string()));
        }
    }
    if let Some(text) = scripts::embedded(name) {
        return Ok(Source::shipped(name, text));
    }
    let looked: Vec<_> = candidates
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let known: Vec<_> = scripts::names().collect();
    let own = scripts::own_names(context.env());
    let names = own.iter().map(String::as_str).chain(known.iter().copied());
    let near = crate::text::did_you_mean(name, names);
    let yours = if own.is_empty() {
        String::new()
    } else {
        format!("; yours are {}", own.join(", "))
    };
    Err(
        Failure::usage(format!("there is no script '{name}'{near}")).hint(format!(
            "looked for {}{yours}; the built-in ones are {}",
            looked.join(", "),
            known.join(", ")
        )),
    )
}

/// A script's failure with the exit code that its kind stands for.
pub(super) fn told(error: &ScriptError, rendered: &str) -> Failure {
    let rendered = rendered.trim_end().trim_start_matches("error: ");
    let (message, hint) = match rendered.rsplit_once("\n\nhint: ") {
        Some((message, hint)) => (message, Some(hint)),
        None => (rendered, None),
    };
    let mut failure = Failure::new(error.exit_code(), message).of_kind(error.kind());
    failure.may_pass = error.may_pass();
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The person at the terminal.
struct Person;

impl Terminal for Person {
    fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    fn ask(&self, question: &str) -> std::io::Result<Option<String>> {
        let mut stderr = std::io::stderr();
        write!(stderr, "{question}")?;
        stderr.flush()?;
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer)?;
        Ok((read > 0).then_some(answer))
    }

    fn input(&self, limit: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
