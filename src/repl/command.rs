//! What may be typed at the prompt beside Lua: a word after a colon.

use crate::text::did_you_mean;

/// A command of the prompt.
pub struct Command {
    /// The word, without the colon.
    pub name: &'static str,
    /// What may follow it.
    pub takes: &'static str,
    /// What it does.
    pub summary: &'static str,
}

const fn command(name: &'static str, takes: &'static str, summary: &'static str) -> Command {
    Command {
        name,
        takes,
        summary,
    }
}

/// All commands.
pub const COMMANDS: [Command; 11] = [
    command(
        "help",
        "[NAME]",
        "what a function, module, object or command is",
    ),
    command("type", "EXPRESSION", "what kind of value an expression has"),
    command("time", "CODE", "run code and tell how long it took"),
    command(
        "load",
        "SCRIPT [ARGS]",
        "run a script; its outermost locals stay",
    ),
    command("store", "[STORE]", "open a store as `s`"),
    command("reset", "", "forget all variables; staged changes stay"),
    command(
        "diff",
        "",
        "how the staged changes differ from what is there, line by line",
    ),
    command(
        "plan",
        "[FILE]",
        "show the staged changes as a plan, or save them as one",
    ),
    command("commit", "", "make the staged changes"),
    command(
        "drop",
        "[KEY]",
        "forget the staged changes, or those of one object",
    ),
    command("quit", "", "leave, as Ctrl-D does"),
];

/// A line that begins with a colon, taken apart: the command and what follows it; `None` for
/// Lua.
///
/// # Errors
/// There is no such command.
pub fn parse(line: &str) -> Option<Result<(&'static str, &str), String>> {
    let line = line.trim();
    let rest = line
        .strip_prefix(':')
        .filter(|rest| !rest.starts_with(':'))?;
    let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let name = if name == "q" { "quit" } else { name };
    let known = COMMANDS.iter().find(|command| command.name == name);
    Some(
        known
            .map(|command| (command.name, rest.trim()))
            .ok_or_else(|| {
                let near = did_you_mean(name, COMMANDS.iter().map(|command| command.name));
                format!("there is no command ':{name}'{near}; :help lists them")
            }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_begins_a_command_and_two_a_label() {
        assert!(parse("x = 1").is_none() && parse("::again::").is_none());
        assert_eq!(parse(" :plan  a b "), Some(Ok(("plan", "a b"))));
        assert_eq!(parse(":q"), Some(Ok(("quit", ""))));
        let unknown = parse(":comit").unwrap().unwrap_err();
        assert!(unknown.contains("did you mean 'commit'?"), "{unknown}");
    }
}
