//! A text on standard input, taken apart as a person would type it.

use super::Evaluator;
use super::command::COMMANDS;
use crate::lua::Source;
use crate::lua::lexer::{Token, words};

impl Evaluator {
    /// Whether a text is meant to run as one: it says so in a first line that begins with `#`, it
    /// ends in a `return`, or what it declares lasts to its end (`<close>`, a label).
    #[must_use]
    pub fn is_script(&self, source: &Source) -> bool {
        let text = source.text_for_prompt();
        let (words, _) = words(text);
        let lasts = words.windows(2).any(|pair| {
            pair[0].is("<") && pair[1].is("close") || pair[0].is(":") && pair[1].is(":")
        });
        // Nothing may follow a `return`.
        let returns = || !self.is_chunk(&format!("{text}\nlocal _"));
        self.is_chunk(text) && (source.is_marked() || lasts || returns())
    }

    /// Where the first statement of a text ends, or its first command: after whole lines. A line
    /// that can't begin a statement belongs to the one before it.
    #[must_use]
    pub fn first_statement(&self, text: &str) -> usize {
        let mut end = 0;
        for line in text.split_inclusive('\n') {
            let (before, with) = (&text[..end], &text[..end + line.len()]);
            let (known, cut) = words(before);
            let has_begun = !known.is_empty() || cut.is_some();
            let is_own = !has_begun && is_command(line);
            // A command stands alone, without the comments before it.
            let ends_before = is_own && !before.trim().is_empty();
            if ends_before || has_begun && !self.goes_on(before, line, with) {
                break;
            }
            end += line.len();
            if is_own {
                break;
            }
        }
        end
    }

    fn goes_on(&self, before: &str, line: &str, with: &str) -> bool {
        if self.is_incomplete(before) {
            return true;
        }
        let (words, _) = words(line);
        let Some(first) = words.first() else {
            return false;
        };
        let joins = match &first.token {
            Token::Symbol(symbol) => symbol != "{" && !is_command(line),
            Token::Name(name) => name == "and" || name == "or",
            _ => false,
        };
        joins && (self.is_whole(with) || self.is_incomplete(with))
    }
}

/// Whether a line is one of the prompt's commands, and not a method call that goes on.
fn is_command(line: &str) -> bool {
    let word = line.trim_start().strip_prefix(':');
    let word = word.and_then(|rest| rest.split(char::is_whitespace).next());
    word.is_some_and(|word| word == "q" || COMMANDS.iter().any(|command| command.name == word))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn a_line_that_begins_nothing_belongs_to_the_one_before() {
        let bench = Bench::new();
        for (text, first) in [
            ("x = 1\nx\n", "x = 1\n"),
            ("x = s\n  :at('x')\n  .y\nx\n", "x = s\n  :at('x')\n  .y\n"),
            ("1 +\n\n2\n3", "1 +\n\n2\n"),
            ("x = 1\n  + 2\ny", "x = 1\n  + 2\n"),
            ("f\n(1)\ny", "f\n(1)\n"),
            ("f(1,\n2)\n'raw'", "f(1,\n2)\n"),
            ("x\n{ 1 }\n", "x\n"),
            ("x = a\n  or {\n}\ny", "x = a\n  or {\n}\n"),
            ("s\n:drop\n", "s\n"),
            (":help x\n+ 1", ":help x\n"),
            ("\n:help x\ny", "\n:help x\n"),
            ("-- a\n:help x\n", "-- a\n"),
            ("x = = 1\ny", "x = = 1\n"),
            ("\n-- a\nif x then\nend\ny", "\n-- a\nif x then\nend\n"),
            ("for i = 1, 2 do", "for i = 1, 2 do"),
        ] {
            let end = bench.evaluator.first_statement(text);
            assert_eq!(&text[..end], first, "{text}");
        }
    }

    #[test]
    fn what_runs_as_one_is_told_from_statements() {
        let bench = Bench::new();
        for (text, is_script) in [
            ("local f = 1\nreturn { main = f }\n", true),
            ("return 1 -- x", true),
            ("local l <close> = f()\nwork()", true),
            ("goto done\nwork()\n::done::", true),
            ("local function f() return 1 end\nf()", false),
            ("x = 1\nx", false),
            ("return 1\nx", false),
            ("#!/usr/bin/env kstate\nf()\n", true),
            ("#!/usr/bin/env kstate\n1 + 1\n", false),
        ] {
            let source = Source::new("stdin", text.to_owned());
            assert_eq!(bench.evaluator.is_script(&source), is_script, "{text}");
        }
    }
}
