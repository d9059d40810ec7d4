//! Finds mistakes in a script without running it: syntax, globals that nobody means, fields and
//! options that `kstate` doesn't have, and a declaration that wouldn't be accepted.
//!
//! Lua's own compiler has the word on syntax. What it accepts is read by `full_moon` into a tree,
//! and `walk` goes through that with what is known of each value (`known`), which comes from the
//! definitions of the functions. Where nothing is known, nothing is said.

mod calls;
mod contract;
mod known;
mod walk;

use full_moon::LuaVersion;
use full_moon::ast::Ast;
use full_moon::node::Node;
use full_moon::tokenizer::{Position, TokenReference};
use mlua::Lua;

use super::error::ScriptError;
use super::source::{self, Source};
use super::{lexer, traceback, vm};
use contract::Contract;
use known::Globals;
use walk::{Seen, Walk};

/// The stack that a thread needs for [`check`](super::Runtime::check): reading what Lua's compiler
/// accepts (200 levels of nesting) takes more than running it.
pub const STACK: usize = 64 << 20;

/// A mistake in a script, or why it can't be told whether there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where, counted from 1.
    pub line: usize,
    /// Where in the line, in characters counted from 1.
    pub column: usize,
    /// Which check found it.
    pub rule: Rule,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It isn't Lua.
    Syntax,
    /// A global is assigned, or read and unknown.
    Global,
    /// A table of ours or an object has no such field or method.
    Field,
    /// A function has no such option, or needs one.
    Option,
    /// What the script or backend says of itself.
    Declaration,
    /// The file can't be read.
    File,
    /// Lua accepts it, and the check can't read it.
    Unchecked,
}

impl Rule {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Global => "global",
            Self::Field => "field",
            Self::Option => "option",
            Self::Declaration => "declaration",
            Self::File => "file",
            Self::Unchecked => "unchecked",
        }
    }
}

impl Finding {
    /// Why a file can't be read.
    #[must_use]
    pub fn unreadable(error: &ScriptError) -> Self {
        Self {
            line: 1,
            column: 1,
            rule: Rule::File,
            message: error.message().to_owned(),
            hint: error.hint_text().map(str::to_owned),
        }
    }

    /// Whether something is wrong.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        self.rule != Rule::Unchecked
    }

    fn at(node: &impl Node, rule: Rule, error: &ScriptError) -> Self {
        let start = node.start_position();
        Self {
            line: start.map_or(1, Position::line),
            column: start.map_or(1, Position::character),
            rule,
            message: error.message().to_owned(),
            hint: error.hint_text().map(str::to_owned),
        }
    }
}

/// All that is wrong with a script, in the order of its lines.
pub(super) fn check(lua: &Lua, source: &Source) -> Vec<Finding> {
    let text = source::bare(&source.text);
    let public = vm::of(lua).public.clone();
    if let Err(error) = vm::load(lua, &source.name, text, public) {
        return vec![not_lua(&source::explain(&error, text), text)];
    }
    let parsed = full_moon::parse_fallible(text, LuaVersion::lua54());
    let mut findings = match parsed.errors().first() {
        Some(error) => vec![not_read(error.range().0, text)],
        None => look(lua, source, text, parsed.ast()),
    };
    // A sum of a hundred thousand terms is a tree as deep, which its destructor goes through by
    // recursion. Checking ends with the process.
    std::mem::forget(parsed);
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

fn look(lua: &Lua, source: &Source, text: &str, ast: &Ast) -> Vec<Finding> {
    let globals = Globals::of(lua, source::allows_globals(text));
    let contract = Contract::find(ast.nodes());
    let seen = Walk::new(&globals, &contract, &Seen::default())
        .file(ast.nodes())
        .seen;
    let mut findings = Walk::new(&globals, &contract, &seen)
        .file(ast.nodes())
        .findings;
    contract.check(lua, source, text, &mut findings);
    findings
}

/// What Lua's compiler accepts and the parser doesn't.
fn not_read(place: Position, text: &str) -> Finding {
    let (words, _) = lexer::words(text);
    let (rule, message, hint) = if words.iter().any(|word| word.is("global")) {
        let hint = "scripts keep to what Lua 5.4 has too";
        (
            Rule::Syntax,
            "this is Lua 5.5, which is not checked further",
            Some(hint),
        )
    } else {
        let message = "this is Lua, but the check can't read it: the file is not checked further";
        (Rule::Unchecked, message, None)
    };
    Finding {
        line: place.line(),
        column: place.character(),
        rule,
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
    }
}

/// What Lua's compiler said, at the token that it names.
fn not_lua(error: &ScriptError, text: &str) -> Finding {
    let said = error.message();
    let (line, message) = match traceback::position(said) {
        Some((name, line)) => (
            line,
            said[name.len()..].splitn(3, ':').last().unwrap_or(said),
        ),
        None => (1, said),
    };
    let near = message.rsplit_once(" near '").map(|(_, near)| near);
    let near = near.and_then(|near| near.strip_suffix('\''));
    let column = near.and_then(|near| {
        let line = text.lines().nth(line - 1)?;
        Some(line[..line.find(near)?].chars().count() + 1)
    });
    Finding {
        line,
        column: column.unwrap_or(1),
        rule: Rule::Syntax,
        message: message.trim().to_owned(),
        hint: error.hint_text().map(str::to_owned),
    }
}

/// A token without the blanks and comments around it.
fn word(token: &TokenReference) -> String {
    token.token().to_string()
}

#[cfg(test)]
mod tests;
