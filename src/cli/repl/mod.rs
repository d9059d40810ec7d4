//! `kstate repl`, `kstate -e CODE`, and Lua on standard input.

mod staged;
mod terminal;

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use clap::Args;

use super::Global;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::interrupts;
use super::output::{LogFormat, show_operations};
use super::permissions::ScriptGrants;
use super::run::{ScriptRun, find, here, told};
use crate::lua::{OpenPrompt, Runtime, ScriptError, Stop};
use crate::repl::{Evaluator, command};
use crate::scripts;
use crate::units;
use staged::Staged;
use terminal::Prompt;

/// The most memory that Lua's data takes at a prompt, unless it is said.
const MEMORY: u64 = 1 << 30;

/// Opens a prompt for Lua, as `kstate` alone does. Changes are staged: `:diff` and `:plan` show
/// them, `:commit` makes them. `:help` tells the rest.
///
/// Where standard input is no terminal, its statements are run one after the other, directly, up
/// to the first that fails.
#[derive(Args)]
pub(super) struct Repl {
    /// Make changes at once instead of staging them
    #[arg(long)]
    direct: bool,
    /// Run this script first, and keep its outermost locals
    #[arg(short, value_name = "SCRIPT")]
    init: Option<String>,
    /// The most memory that Lua's own data may take
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = units::size)]
    memory: u64,
    #[command(flatten)]
    grants: ScriptGrants,
    /// The script's arguments
    #[arg(
        requires = "init",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    args: Vec<String>,
    /// Code to run instead.
    #[arg(skip)]
    code: Option<String>,
    /// Nothing is ever written.
    #[arg(skip)]
    is_dry_run: bool,
    /// Nobody named a command.
    #[arg(skip)]
    is_bare: bool,
}

impl Repl {
    /// What `kstate` alone, or with code, does.
    pub(super) fn bare(code: Option<String>) -> Self {
        Self {
            is_bare: code.is_none(),
            code,
            memory: MEMORY,
            direct: false,
            init: None,
            grants: ScriptGrants::default(),
            args: Vec::new(),
            is_dry_run: false,
        }
    }

    /// Takes over what applies to all scripts. Whether changes are staged.
    pub(super) fn lift_flags(&mut self, global: &mut Global) -> bool {
        global.script = self.grants.clone();
        self.is_dry_run = global.dry_run;
        self.is_typed() && (self.is_dry_run || !self.direct)
    }

    /// Whether somebody types.
    fn is_typed(&self) -> bool {
        self.code.is_none() && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
    }

    pub(super) fn run(self, context: &Arc<Context>) -> Result<u8, Failure> {
        let run = ScriptRun::bounded(self.memory);
        let mut host = run.host("repl", "", context)?;
        "kstate repl".clone_into(&mut host.program);
        let io = host.io.clone();
        let is_typed = self.is_typed();
        let ended = here(async {
            let runtime = Runtime::new(host).map_err(|error| told(&error, &error.to_string()))?;
            runtime.embed(scripts::module);
            interrupts::stop_each(&io, runtime.stopper());
            let evaluator =
                Evaluator::new(runtime).map_err(|error| told(&error, &error.to_string()))?;
            if let Some(name) = &self.init {
                let source = find(name, context)?;
                match ended(&evaluator, evaluator.load(&source, &self.args).await) {
                    Ok(None) => {}
                    Ok(Some(code)) => return Ok(code),
                    Err(failure) if is_typed => {
                        failure.report(LogFormat::Text);
                    }
                    Err(failure) => return Err(failure),
                }
            }
            match &self.code {
                Some(code) => one(&evaluator, "-e", code, context).await,
                None if is_typed => {
                    let staged = Staged::new(self.direct, self.is_dry_run);
                    let mut prompt = Prompt::new(context, evaluator, staged)?;
                    prompt.greet();
                    prompt.run().await
                }
                None => statements(&evaluator, context, self.is_bare).await,
            }
        });
        if ended.is_ok() && !is_typed {
            show_operations(context)?;
        }
        ended
    }
}

/// What `kstate.debug.repl` opens: a prompt whose changes are the script's.
pub(super) fn in_script(context: &Arc<Context>) -> Option<OpenPrompt> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return None;
    }
    let context = Arc::clone(context);
    Some(Arc::new(move |runtime, globals| {
        let context = Arc::clone(&context);
        Box::pin(async move {
            let evaluator = Evaluator::with(runtime, globals);
            let opened = Prompt::new(&context, evaluator, Staged::of_script());
            let ended = match opened {
                Ok(mut prompt) => prompt.run().await,
                Err(failure) => Err(failure),
            };
            match ended {
                Ok(Exit::DONE) => Ok(()),
                Ok(code) => Err(ScriptError::stopped(Stop::Exit(code))),
                Err(failure) => Err(ScriptError::new("other", failure.message())),
            }
        })
    }))
}

/// How something ended: with an exit code that Lua asked for, or not at all.
fn ended<T>(evaluator: &Evaluator, result: Result<T, ScriptError>) -> Result<Option<u8>, Failure> {
    match result {
        Ok(_) => Ok(None),
        Err(error) => match error.stop() {
            Some(Stop::Exit(code)) => Ok(Some(code)),
            _ => Err(told(&error, &evaluator.runtime().render(&error))),
        },
    }
}

/// Runs a text and prints what it gives, as `print` does or as JSON.
async fn one(
    evaluator: &Evaluator,
    name: &str,
    text: &str,
    context: &Context,
) -> Result<u8, Failure> {
    let printed = match evaluator.eval_as(name, text).await {
        Ok(values) if values.is_empty() => Ok(()),
        Ok(values) if context.json => print_json(evaluator, values),
        Ok(values) => evaluator.runtime().print(&values),
        Err(error) => Err(error),
    };
    Ok(ended(evaluator, printed)?.unwrap_or(Exit::DONE))
}

fn print_json(evaluator: &Evaluator, values: mlua::MultiValue) -> Result<(), ScriptError> {
    let runtime = evaluator.runtime();
    for value in values {
        let line = runtime.json(value)? + "\n";
        let written = runtime.host().stdout.write(line.as_bytes());
        written.map_err(|error| ScriptError::new("other", format!("cannot print: {error}")))?;
    }
    Ok(())
}

/// Runs the statements on standard input up to the first that fails.
async fn statements(
    evaluator: &Evaluator,
    context: &Context,
    is_bare: bool,
) -> Result<u8, Failure> {
    // The lines before keep their place, so that errors name the right one.
    let (mut lines, mut text, mut is_empty) = (0, String::new(), is_bare);
    loop {
        let read = std::io::stdin().read_line(&mut text).map_err(|error| {
            Failure::new(Exit::FAILED, format!("cannot read standard input: {error}"))
        })?;
        if read == 0 && is_empty {
            return Err(usage());
        }
        is_empty = false;
        if lines == 0 && text.starts_with('#') {
            "\n".clone_into(&mut text);
        }
        let is_over = read == 0;
        if !is_over && evaluator.is_incomplete(&text) {
            continue;
        }
        if let Some(command) = command::parse(&text) {
            let (name, rest) = command.map_err(Failure::usage)?;
            let shown = simple(evaluator, name, rest, context).await?;
            std::io::stdout().write_all(shown.as_bytes())?;
        } else if !text.trim().is_empty() {
            let placed = "\n".repeat(lines) + text.trim_end_matches('\n');
            let code = one(evaluator, "stdin", &placed, context).await?;
            if code != Exit::DONE {
                return Ok(code);
            }
        }
        if is_over {
            return Ok(Exit::DONE);
        }
        lines += text.matches('\n').count();
        text.clear();
    }
}

/// A command without arguments, where nobody types one: all commands.
fn usage() -> Failure {
    use clap::CommandFactory;
    let mut stderr = std::io::stderr();
    let help = super::Cli::command().render_help();
    // Nobody is left to tell when standard error is gone.
    let _ = write!(stderr, "{help}");
    Failure::silent(Exit::USAGE)
}

/// A command of the prompt that needs no terminal; gives what it shows.
async fn simple(
    evaluator: &Evaluator,
    name: &str,
    rest: &str,
    context: &Context,
) -> Result<String, Failure> {
    let runtime = evaluator.runtime();
    let failed = |error: &ScriptError| told(error, &runtime.render(error));
    Ok(match name {
        "help" => evaluator.help(rest).map_err(Failure::usage)?,
        "type" => match evaluator.eval(rest).await {
            Ok(values) => runtime.describe(values.front()) + "\n",
            Err(error) => return Err(failed(&error)),
        },
        "time" => {
            let start = std::time::Instant::now();
            let values = evaluator.eval(rest).await;
            let took = start.elapsed();
            let values = values.map_err(|error| failed(&error))?;
            format!("{}{took:.1?}\n", shown(runtime, &values))
        }
        "load" => {
            let words = shlex::split(rest).filter(|words| !words.is_empty());
            let words = words.ok_or_else(|| Failure::usage(":load SCRIPT [ARGS]"))?;
            let source = find(&words[0], context)?;
            let code = match evaluator.load(&source, &words[1..]).await {
                Ok(exit) => exit.0,
                Err(error) => match error.stop() {
                    Some(Stop::Exit(code)) => code,
                    _ => return Err(failed(&error)),
                },
            };
            match code {
                Exit::DONE => String::new(),
                code => format!("exit code {code}\n"),
            }
        }
        "store" => {
            let name = if rest.is_empty() { "state" } else { rest };
            let opened = runtime.open_store(name).and_then(|store| {
                let shown = format!("s = {}\n", runtime.show(&store));
                evaluator.set("s", store).map(|()| shown)
            });
            opened.map_err(|error| failed(&error))?
        }
        "reset" => {
            evaluator.reset().map_err(|error| failed(&error))?;
            String::new()
        }
        other => {
            let message =
                format!("':{other}' is for changes that are staged, and here they are not");
            return Err(Failure::refused(message));
        }
    })
}

/// Values as the prompt shows them; empty when there are none.
fn shown(runtime: &Runtime, values: &mlua::MultiValue) -> String {
    let shown: Vec<_> = values.iter().map(|value| runtime.show(value)).collect();
    if shown.is_empty() {
        return String::new();
    }
    let is_long = shown.iter().any(|value| value.contains('\n'));
    shown.join(if is_long { "\n" } else { "\t" }) + "\n"
}
