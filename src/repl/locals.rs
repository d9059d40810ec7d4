//! Locals that outlive the line in which they were typed.

use crate::lua::lexer::{Token, Word, words};

/// The text with its outermost locals turned into assignments to the prompt's globals, in the
/// same lines. Locals in blocks and functions stay what they are, and so does one with `<close>`,
/// which ends with its line.
pub(super) fn surviving(text: &str) -> String {
    let (words, _) = words(text);
    let mut edits: Vec<(std::ops::Range<usize>, &str)> = Vec::new();
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate() {
        let Token::Name(name) = &word.token else {
            continue;
        };
        match name.as_str() {
            // `for` and `while` have a `do`, and `elseif` no end of its own.
            "do" | "function" | "if" | "repeat" => depth += 1,
            "end" | "until" => depth = depth.saturating_sub(1),
            "local" if depth == 0 => {
                if let Some(Declared {
                    attributes,
                    last,
                    has_values,
                }) = declared(&words[at + 1..])
                {
                    edits.push((word.span.clone(), ""));
                    edits.extend(attributes.into_iter().map(|span| (span, "")));
                    if !has_values {
                        edits.push((last..last, " = nil"));
                    }
                }
            }
            _ => {}
        }
    }
    edits.sort_by_key(|(span, _)| span.start);
    let mut changed = String::with_capacity(text.len());
    let mut copied = 0;
    for (span, with) in edits {
        changed.push_str(&text[copied..span.start]);
        changed.push_str(with);
        copied = span.end;
    }
    changed.push_str(&text[copied..]);
    changed
}

/// What stands behind `local`.
#[derive(Default)]
struct Declared {
    /// `<const>`, which a global can't be.
    attributes: Vec<std::ops::Range<usize>>,
    /// Where the last name or attribute ends.
    last: usize,
    has_values: bool,
}

fn declared(words: &[Word]) -> Option<Declared> {
    let mut declared = Declared::default();
    let mut words = words.iter().peekable();
    if words.peek()?.is("function") {
        declared.has_values = true;
        return Some(declared);
    }
    loop {
        let word = words.next()?;
        if word.is("<") {
            let (name, end) = (words.next()?, words.next()?);
            if name.is("close") {
                return None;
            }
            declared.attributes.push(word.span.start..end.span.end);
            declared.last = declared.last.max(end.span.end);
        } else {
            declared.last = word.span.end;
        }
        match words.peek() {
            Some(next) if next.is(",") => {
                words.next();
            }
            Some(next) if next.is("<") => {}
            // Lua 5.5 lets an attribute stand before all names.
            Some(Word {
                token: Token::Name(_),
                ..
            }) if word.is("<") => {}
            next => {
                declared.has_values = next.is_some_and(|next| next.is("="));
                return Some(declared);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_locals_become_globals() {
        for (text, changed) in [
            ("local x = 1", " x = 1"),
            ("local a, b = f()", " a, b = f()"),
            ("local a, b", " a, b = nil"),
            ("local a\nlocal b = 2", " a = nil\n b = 2"),
            ("local x <const> = 1", " x  = 1"),
            ("local <const> x, y = 1, 2", "  x, y = 1, 2"),
            ("local x <const>", " x  = nil"),
            ("local x <close> = f()", "local x <close> = f()"),
            (
                "local function f() local y = 1 end",
                " function f() local y = 1 end",
            ),
            (
                "if a then local x = 1 end local y = 2",
                "if a then local x = 1 end  y = 2",
            ),
            (
                "for i = 1, 2 do local x = i end local y = 1",
                "for i = 1, 2 do local x = i end  y = 1",
            ),
            (
                "repeat local x = f() until x local y = 1",
                "repeat local x = f() until x  y = 1",
            ),
            (
                "print('local x = 1') -- local y",
                "print('local x = 1') -- local y",
            ),
            ("local s = [[\nlocal x\n]]", " s = [[\nlocal x\n]]"),
            (
                "t = { f = function() local x end }",
                "t = { f = function() local x end }",
            ),
        ] {
            assert_eq!(surviving(text), changed, "{text}");
        }
    }
}
