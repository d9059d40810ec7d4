//! `kstate repl`, `kstate -e CODE`, and Lua on standard input.

mod keeper;
mod piped;
mod staged;
mod terminal;

use std::io::IsTerminal;
use std::sync::Arc;

use clap::Args;

use super::Global;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::interrupts::{self, Parting};
use super::output::show_operations;
use super::permissions::ScriptGrants;
use super::run::{ScriptRun, find, here, told};
use crate::lua::{OpenPrompt, Runtime, ScriptError, Stop};
use crate::repl::Evaluator;
use crate::scripts;
use crate::units;
use keeper::Keeper;
use staged::Staged;
use terminal::Prompt;

/// The most memory that Lua's data takes at a prompt, unless it is said.
const MEMORY: u64 = 1 << 30;

/// Opens a prompt for Lua, as `kstate` alone does. Changes are staged: `:diff` and `:plan` show
/// them, `:commit` makes them. `:help` tells the rest.
///
/// Where standard input is no terminal, what is there is run directly: a script as one, anything
/// else statement by statement, up to the first that fails.
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
        if self.code.is_none() && std::io::stdin().is_terminal() && !self.is_typed() {
            let message = "standard output is no terminal, so there is no prompt";
            return Err(Failure::refused(message).hint(
                "`kstate < FILE` runs statements, at once; script(1) keeps a log of a terminal",
            ));
        }
        let run = ScriptRun::bounded(self.memory);
        let mut host = run.host("repl", "", context)?;
        "kstate repl".clone_into(&mut host.program);
        let io = host.io.clone();
        let is_typed = self.is_typed();
        let staged = Staged::new(self.direct, self.is_dry_run);
        let keeper = Keeper::new(context, is_typed && staged.waits());
        host.on_stuck = {
            let keeper = Arc::clone(&keeper);
            Arc::new(move |_| {
                tracing::error!(
                    "it doesn't stop: it is inside one long call, such as a string match; ending the process"
                );
                keeper.end_process(Exit::INTERRUPTED);
            })
        };
        let ended = here(async {
            let runtime = Runtime::new(host).map_err(|error| told(&error, &error.to_string()))?;
            runtime.embed(scripts::module);
            let parting: Arc<dyn Parting> = keeper.clone();
            interrupts::stop_each(&io, &runtime.stopper(), &parting);
            let evaluator =
                Evaluator::new(runtime).map_err(|error| told(&error, &error.to_string()))?;
            if is_typed {
                let mut prompt = Prompt::new(evaluator, staged, keeper)?;
                let left = match &self.init {
                    Some(name) => prompt.begin_with(name, &self.args).await?,
                    None => None,
                };
                if let Some(code) = left {
                    return Ok(code);
                }
                prompt.greet();
                return prompt.run().await;
            }
            if let Some(name) = &self.init {
                let source = find(name, context)?;
                let loaded = evaluator.load(&source, &self.args).await;
                match ended(&evaluator, loaded.map(|exit| exit.0))? {
                    Exit::DONE => {}
                    code => return Ok(code),
                }
            }
            match &self.code {
                Some(code) => one(&evaluator, "-e", code, context).await,
                None => piped::run(&evaluator, context, self.is_bare).await,
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
            let keeper = Keeper::new(&context, false);
            let ended = match Prompt::new(evaluator, Staged::of_script(), keeper) {
                Ok(mut prompt) => {
                    prompt.greet();
                    prompt.run().await
                }
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

/// The exit code of something: its own, or one that Lua asked for.
fn ended(evaluator: &Evaluator, result: Result<u8, ScriptError>) -> Result<u8, Failure> {
    result.or_else(|error| match error.stop() {
        Some(Stop::Exit(code)) => Ok(code),
        _ => Err(told(&error, &evaluator.runtime().render(&error))),
    })
}

/// Runs a text and prints what it gives.
async fn one(
    evaluator: &Evaluator,
    name: &str,
    text: &str,
    context: &Context,
) -> Result<u8, Failure> {
    let printed = match evaluator.eval_as(name, text).await {
        Ok(values) => print(evaluator, values, context).map(|()| Exit::DONE),
        Err(error) => Err(error),
    };
    ended(evaluator, printed)
}

/// Prints values as `print` does, or as JSON.
fn print(
    evaluator: &Evaluator,
    values: mlua::MultiValue,
    context: &Context,
) -> Result<(), ScriptError> {
    if values.is_empty() {
        return Ok(());
    }
    if context.json {
        return print_json(evaluator, values);
    }
    evaluator.runtime().print(&values)
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
            let loaded = evaluator.load(&source, &words[1..]).await;
            let code = ended(evaluator, loaded.map(|exit| exit.0))?;
            match code {
                Exit::DONE => String::new(),
                code => format!("exit code {code}\n"),
            }
        }
        "store" => {
            let name = if rest.is_empty() { "state" } else { rest };
            let opened = runtime.open_store(name).and_then(|store| {
                let shown = format!("s = {}\n", runtime.show([&store]).concat());
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
    let shown = runtime.show(values);
    if shown.is_empty() {
        return String::new();
    }
    let is_long = shown.iter().any(|value| value.contains('\n'));
    shown.join(if is_long { "\n" } else { "\t" }) + "\n"
}
