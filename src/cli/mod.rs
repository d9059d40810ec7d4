//! The command line: one file a subcommand.

mod apply;
mod backend;
mod cat;
mod check;
mod config;
mod context;
mod cp;
mod diff;
mod edit;
mod exit;
mod history;
mod init;
mod interrupts;
mod job;
mod lock;
mod ls;
mod manual;
mod output;
mod permissions;
mod plan;
mod progress;
mod repl;
mod rm;
mod run;
mod scripts;
mod stat;
mod sync;
mod test;
mod undo;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::session::Mode;
use crate::store::registry::Env;
use context::Context;
use exit::{Exit, Failure};

/// Move, inspect and script the state stores of Kubernetes clusters (kOps).
#[derive(Parser)]
#[command(name = "kstate", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// Run this piece of Lua and print what it gives
    #[arg(short, value_name = "CODE")]
    eval: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "\
A STORE is a URL (s3://bucket/prefix, do://, scw://, linode://, hos://, gs://, oss://,
azureblob://account/container/prefix, swift://container/prefix, k8s:///namespace/prefix, memfs://),
a path, the name of a store in kstate's own configuration, or NAME:sub/folder. `state` is the state
store that kOps would use.

Exit codes: 0 done, 1 failed, 2 usage, 3 refused or needs confirmation, 4 somebody else changed
it, 5 partly done (run it again to go on), 6 the plan has changes, 7 the job runs already, 124 timed
out, 130 interrupted.";

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag")]
struct Global {
    #[arg(
        long,
        global = true,
        value_name = "STORE",
        help = "The state store, as in kOps, or the name of a store [env: KOPS_STATE_STORE]"
    )]
    state: Option<String>,
    /// The file to read the state store from, as in kOps, instead of ~/.kops.yaml or ~/.kops/config
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Open the stores of this backend that is written in Lua; may be given again
    #[arg(long, global = true, value_name = "FILE")]
    backend: Vec<std::path::PathBuf>,
    /// Write nothing anywhere; show what would be done
    #[arg(long, global = true)]
    dry_run: bool,
    /// Answer every question with yes
    #[arg(long, short, global = true)]
    yes: bool,
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Say more on standard error; twice for requests
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say nothing on standard error but errors; what a script prints is shown only when it fails,
    /// or as JSON
    #[arg(long, short, global = true)]
    quiet: bool,
    /// How to write what is said on standard error
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    log_format: output::LogFormat,
    /// Keep no journal: what is done can't be undone
    #[arg(long, global = true)]
    no_journal: bool,
    /// Change nothing that could not be restored afterwards
    #[arg(long, global = true, conflicts_with = "no_journal")]
    require_undo: bool,
    #[command(flatten)]
    stores: permissions::StoreGrants,
    /// Taken over from the commands that run scripts.
    #[arg(skip)]
    script: permissions::ScriptGrants,
}

#[derive(Subcommand)]
enum Command {
    // A doc comment here would hide the longer text that each command has.
    #[command(about = "Run a Lua script")]
    Run(run::Run),
    #[command(
        about = "Open a prompt for Lua, whose changes are staged; `kstate` alone does so too"
    )]
    Repl(repl::Repl),
    #[command(about = "Save what a script would do as a plan, and show plans")]
    Plan(plan::Plan),
    #[command(about = "Do what a plan says")]
    Apply(apply::Apply),
    #[command(about = "Take a run back")]
    Undo(undo::Undo),
    #[command(about = "Show what was changed, by runs before this one")]
    History(history::History),
    #[command(about = "List what lies in a store")]
    Ls(ls::Ls),
    #[command(about = "Print an object")]
    Cat(cat::Cat),
    #[command(about = "Show an object's metadata")]
    Stat(stat::Stat),
    #[command(about = "Copy an object, or with -r a tree")]
    Cp(cp::Cp),
    #[command(about = "Make a tree the same as another")]
    Sync(sync::Sync),
    #[command(about = "Delete an object, or with -r a tree")]
    Rm(rm::Rm),
    #[command(about = "Change a cluster, an instance group or any object in an editor")]
    Edit(edit::Edit),
    #[command(about = "Show how two trees or two objects differ")]
    Diff(diff::Diff),
    #[command(about = "Show where the state store is")]
    Config(config::Config),
    #[command(about = "Look at the kinds of stores, and test whether a store keeps its word")]
    Backend(backend::Backend),
    #[command(about = "Prepare a folder for writing scripts in an editor")]
    Init(init::Init),
    #[command(about = "Write a script or a backend to begin with")]
    New(init::New),
    #[command(about = "Find mistakes in scripts without running them")]
    Check(check::Check),
    #[command(about = "Run the tests of scripts")]
    Test(test::Test),
    #[command(about = "See, take over and compare the scripts that ship with kstate")]
    Scripts(scripts::Scripts),
    #[command(about = "See who holds the locks of a store, and break one")]
    Lock(lock::Lock),
    #[command(about = "Write the manual pages")]
    Man(manual::Man),
    #[command(about = "Print completions for a shell")]
    Completions(manual::Completions),
}

/// Parses the process's arguments, does what they say, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json() => {
            output::log_to_stderr(0, false, output::LogFormat::Json);
            let text = error.to_string();
            let failure = Failure::usage(text.trim().trim_start_matches("error: "));
            return ExitCode::from(failure.report(output::LogFormat::Json));
        }
        Err(error) => {
            // Printing help to a closed pipe is no failure worth a message.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                Exit::USAGE
            } else {
                Exit::DONE
            });
        }
    };
    let format = cli.global.log_format;
    output::log_to_stderr(cli.global.verbose, cli.global.quiet, format);
    let (command, mode) = match cli.take_command() {
        Ok(command) => command,
        Err(failure) => return ExitCode::from(failure.report(format)),
    };
    if let Command::Run(run) = &command
        && run.watch
    {
        let ended = watch::run(run, &cli.global, mode);
        return ExitCode::from(ended.unwrap_or_else(|failure| failure.report(format)));
    }
    let result = Context::new(Env::of_process(), &cli.global, mode).and_then(|context| {
        let context = Arc::new(context);
        let result = match command {
            Command::Run(run) => run.run(&context),
            Command::Repl(repl) => repl.run(&context),
            Command::Plan(plan) => plan.run(&context),
            Command::Edit(edit) => edit.run(&context),
            Command::Test(test) => test.run(&context),
            command => context.interruptible(dispatch(command, &context)),
        };
        context.conclude(matches!(result, Ok(Exit::DONE | Exit::CHANGES)));
        result
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => ExitCode::from(failure.report(format)),
    }
}

/// Whether a command line that makes no sense asks for a log that programs read.
fn wants_json() -> bool {
    let words: Vec<_> = std::env::args_os().collect();
    let together = words.iter().any(|word| word == "--log-format=json");
    let apart = |pair: &[std::ffi::OsString]| pair[0] == "--log-format" && pair[1] == "json";
    together || words.windows(2).any(apart)
}

impl Cli {
    /// What to do, and what becomes of this run's writes; takes the runtime's flags out of a
    /// script's arguments.
    fn take_command(&mut self) -> Result<(Command, Mode), Failure> {
        let mut command = match (self.command.take(), self.eval.take()) {
            (Some(_), Some(_)) => {
                return Err(Failure::usage("-e stands alone: kstate -e CODE"));
            }
            (Some(command), None) => command,
            (None, code) => Command::Repl(repl::Repl::bare(code)),
        };
        let plans = match &mut command {
            Command::Run(run) => {
                run.script.lift_flags(&mut self.global);
                false
            }
            Command::Repl(repl) => repl.lift_flags(&mut self.global),
            Command::Plan(plan) => plan.lift_flags(&mut self.global),
            Command::Test(test) => {
                self.global.script = test.grants.clone();
                false
            }
            _ => false,
        };
        let mode = match (plans, self.global.dry_run) {
            (true, _) => Mode::Plan,
            (false, true) => Mode::DryRun,
            (false, false) => Mode::Direct,
        };
        Ok((command, mode))
    }
}

async fn dispatch(command: Command, context: &Context) -> Result<u8, Failure> {
    let result = match command {
        // Run before this: scripts have a thread of their own kind, and an editor gets the signals.
        Command::Run(_)
        | Command::Repl(_)
        | Command::Plan(_)
        | Command::Edit(_)
        | Command::Test(_) => Ok(Exit::DONE),
        // These tell themselves what they would do.
        Command::Apply(apply) => return apply.run(context).await,
        Command::Undo(undo) => return undo.run(context).await,
        Command::History(history) => history.run(context),
        Command::Ls(ls) => ls.run(context).await,
        Command::Cat(cat) => cat.run(context).await,
        Command::Stat(stat) => stat.run(context).await,
        Command::Cp(cp) => cp.run(context).await,
        Command::Sync(sync) => sync.run(context).await,
        Command::Rm(rm) => rm.run(context).await,
        Command::Diff(diff) => diff.run(context).await,
        Command::Config(config) => config.run(context),
        Command::Backend(backend) => backend.run(context).await,
        Command::Init(init) => init.run(context),
        Command::New(new) => new.run(context),
        Command::Check(check) => check.run(context),
        Command::Scripts(scripts) => scripts.run(context),
        Command::Lock(lock) => lock.run(context).await,
        Command::Man(man) => man.run(context),
        Command::Completions(completions) => completions.run(),
    };
    output::show_operations(context)?;
    result
}
