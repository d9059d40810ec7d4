//! Lua on standard input, where nobody types.

use std::io::{Read, Write};

use super::{Context, Exit, Failure, ended, one, print, simple};
use crate::lua::Source;
use crate::repl::{Evaluator, Ran, command};

/// Runs what is on standard input: a script as one, anything else statement by statement, up to
/// the first that fails.
pub(super) async fn run(
    evaluator: &Evaluator,
    context: &Context,
    is_bare: bool,
) -> Result<u8, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::new(Exit::FAILED, format!("cannot read standard input: {error}"))
        })?;
    if text.is_empty() && is_bare {
        return Err(usage());
    }
    let source = Source::new("stdin", text);
    if evaluator.is_script(&source) {
        return script(evaluator, &source, context).await;
    }
    statements(evaluator, source.text_for_prompt(), context).await
}

async fn script(evaluator: &Evaluator, source: &Source, context: &Context) -> Result<u8, Failure> {
    let printed = match evaluator.run_whole(source).await {
        Ok(Ran::Returned(values)) => print(evaluator, values, context).map(|()| Exit::DONE),
        Ok(Ran::Ended(code)) => Ok(code.0),
        Err(error) => Err(error),
    };
    ended(evaluator, printed)
}

async fn statements(evaluator: &Evaluator, text: &str, context: &Context) -> Result<u8, Failure> {
    let mut done = 0;
    while !text[done..].trim().is_empty() {
        let end = done + evaluator.first_statement(&text[done..]);
        let statement = &text[done..end];
        if let Some(command) = command::parse(statement) {
            let (name, rest) = command.map_err(Failure::usage)?;
            let shown = simple(evaluator, name, rest, context).await?;
            std::io::stdout().write_all(shown.as_bytes())?;
        } else {
            // The lines before keep their place, so that errors name the right one.
            let lines = text[..done].matches('\n').count();
            let placed = "\n".repeat(lines) + statement.trim_end_matches('\n');
            let code = one(evaluator, "stdin", &placed, context).await?;
            if code != Exit::DONE {
                return Ok(code);
            }
        }
        done = end;
    }
    Ok(Exit::DONE)
}

/// A command without arguments, where nobody types one: all commands.
fn usage() -> Failure {
    use clap::CommandFactory;
    let mut stderr = std::io::stderr();
    let help = crate::cli::Cli::command().render_help();
    // Nobody is left to tell when standard error is gone.
    let _ = write!(stderr, "{help}");
    Failure::silent(Exit::USAGE)
}
