//! What a backend's file says of itself, read without running it: the fields of the table in its
//! `return kstate.backend{ … }` that are plain data, and the names of the others.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value as Json};

pub(super) use crate::lua::lexer::Fault;
use crate::lua::lexer::{Lexer, Token};

/// A file as it describes itself.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Described {
    /// The fields that are data.
    pub(super) data: Map<String, Json>,
    /// The names of those that are code.
    pub(super) code: BTreeSet<String>,
}

/// How deep tables may lie in each other.
const DEPTH: usize = 16;

/// Reads a file's text. Of the fields named in `data` the values must be literals.
pub(super) fn read(text: &str, data: &[&str]) -> Result<Described, Fault> {
    let mut reader = Reader {
        tokens: Lexer::new(text).all()?,
        at: 0,
    };
    reader.find_return()?;
    let mut described = Described::default();
    while let Some(name) = reader.field()? {
        if data.contains(&name.as_str()) {
            let value = reader.literal(&name, 0)?;
            described.data.insert(name, value);
        } else {
            reader.skip_expression()?;
            described.code.insert(name);
        }
        reader.separator()?;
    }
    Ok(described)
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn line(&self) -> usize {
        let last = self.tokens.last();
        self.tokens
            .get(self.at)
            .or(last)
            .map_or(1, |(line, _)| *line)
    }

    fn fault<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault {
            line: self.line(),
            message: message.into(),
        })
    }

    fn is(&self, wanted: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(text) | Token::Symbol(text)) if text == wanted)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.is(wanted);
        self.at += usize::from(found);
        found
    }

    /// Goes behind the `{` of the file's own `return kstate.backend{`.
    fn find_return(&mut self) -> Result<(), Fault> {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            if depth == 0 && self.is("return") {
                self.at += 1;
                let found = ["kstate", ".", "backend"]
                    .iter()
                    .all(|part| self.take(part));
                self.take("(");
                if found && self.take("{") {
                    return Ok(());
                }
                return self.fault("it returns something else than kstate.backend{ … }");
            }
            depth = nested(depth, token);
            self.at += 1;
        }
        self.fault("it is no backend: it doesn't end with return kstate.backend{ … }")
    }

    /// The name of the next field of a table with names; `None` at its end.
    fn field(&mut self) -> Result<Option<String>, Fault> {
        if self.take("}") {
            return Ok(None);
        }
        let name = match self.peek() {
            Some(Token::Name(name)) => name.clone(),
            Some(Token::Symbol(bracket)) if bracket == "[" => {
                self.at += 1;
                let Some(Token::Text(name)) = self.peek() else {
                    return self.fault("a name in [brackets] must be a string");
                };
                let name = name.clone();
                self.at += 1;
                if !self.is("]") {
                    return self.fault("a name in [brackets] must be a string");
                }
                name
            }
            _ => return self.fault("each field here has a name: NAME = …"),
        };
        self.at += 1;
        if !self.take("=") {
            return self.fault("each field here has a name: NAME = …");
        }
        Ok(Some(name))
    }

    fn separator(&mut self) -> Result<(), Fault> {
        if self.take(",") || self.take(";") || self.is("}") {
            return Ok(());
        }
        self.fault("a ',' is missing")
    }

    fn literal(&mut self, field: &str, depth: usize) -> Result<Json, Fault> {
        let not_literal = format!(
            "'{field}' must be written out, without variables and calls: it is read without running the file"
        );
        let value = match self.peek() {
            Some(Token::Text(text)) => Json::String(text.clone()),
            Some(Token::Number(number)) => Json::Number(number.clone()),
            Some(Token::Name(name)) if name == "true" => Json::Bool(true),
            Some(Token::Name(name)) if name == "false" => Json::Bool(false),
            Some(Token::Symbol(symbol)) if symbol == "{" && depth < DEPTH => {
                self.at += 1;
                return self.table(field, depth + 1);
            }
            Some(Token::Symbol(symbol)) if symbol == "-" => {
                self.at += 1;
                let Some(Token::Number(number)) = self.peek() else {
                    return self.fault(not_literal);
                };
                negative(number)
            }
            _ => return self.fault(not_literal),
        };
        self.at += 1;
        if [",", ";", "}"].iter().any(|end| self.is(end)) {
            return Ok(value);
        }
        self.fault(not_literal)
    }

    /// A table behind its `{`: a list, or fields with names.
    fn table(&mut self, field: &str, depth: usize) -> Result<Json, Fault> {
        let has_names = matches!(self.peek(), Some(Token::Symbol(symbol)) if symbol == "[")
            || matches!(self.tokens.get(self.at + 1), Some((_, Token::Symbol(symbol))) if symbol == "=");
        if has_names {
            let mut fields = Map::new();
            while let Some(name) = self.field()? {
                let value = self.literal(field, depth)?;
                fields.insert(name, value);
                self.separator()?;
            }
            return Ok(Json::Object(fields));
        }
        let mut items = Vec::new();
        while !self.take("}") {
            items.push(self.literal(field, depth)?);
            self.separator()?;
        }
        Ok(Json::Array(items))
    }

    /// Goes behind an expression, whatever it is.
    fn skip_expression(&mut self) -> Result<(), Fault> {
        let mut depth = 0;
        while let Some(token) = self.peek() {
            if depth == 0 && [",", ";", "}"].iter().any(|end| self.is(end)) {
                return Ok(());
            }
            depth = nested(depth, token);
            self.at += 1;
        }
        self.fault("the table of kstate.backend has no end")
    }
}

/// How deep in blocks and brackets what follows a token is. `while` and `for` open theirs with
/// `do`.
fn nested(depth: usize, token: &Token) -> usize {
    let (Token::Name(text) | Token::Symbol(text)) = token else {
        return depth;
    };
    match text.as_str() {
        "function" | "if" | "do" | "repeat" | "(" | "{" | "[" => depth + 1,
        "end" | "until" | ")" | "}" | "]" => depth.saturating_sub(1),
        _ => depth,
    }
}

fn negative(number: &Number) -> Json {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => Json::from(-integer),
        (None, Some(float)) => Json::from(-float),
        (None, None) => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DATA: [&str; 3] = ["scheme", "options", "capabilities"];

    #[test]
    fn data_is_read_and_code_is_passed_over() {
        let text = r#"#!/usr/bin/env kstate
            -- return kstate.backend{ scheme = "comment" }
            --[==[ return kstate.backend{ ]] ]==]
            local function help(a) if a then return kstate.other{ x = 1 } end end
            local long = [[ return kstate.backend{ scheme = "text" } ]]
            for i = 1, 2 do while true do repeat local x = { "end" } until x end end
            return kstate.backend {
              scheme = "mi\n\x41\u{e9}\z
                        ne",
              ["options"] = { { name = 'a', default = -2.5, }, { name = [[
b]]; max = 0x10 } },
              capabilities = { if_absent = true, metadata = false },
              open = function(cfg) if cfg then return { cfg, "}", n = #"x" } end end,
              stat = help, -- by name
              read = help and function() return end or nil,
              list = load("return 1"),
            }
        "#;
        let found = read(text, &DATA).expect("a description");
        let expected = json!({
            "scheme": "mi\nA\u{e9}ne",
            "options": [{ "name": "a", "default": -2.5 }, { "name": "b", "max": 16 }],
            "capabilities": { "if_absent": true, "metadata": false },
        });
        assert_eq!(Json::Object(found.data), expected);
        let code: Vec<_> = found.code.iter().map(String::as_str).collect();
        assert_eq!(code, ["list", "open", "read", "stat"]);
    }

    #[test]
    fn what_can_not_be_read_is_told_with_its_line() {
        for (text, line, words) in [
            ("local x = 1\n", 1, "it is no backend"),
            ("\nreturn { scheme = 'x' }", 2, "something else"),
            (
                "return kstate.backend{\n scheme = name }",
                2,
                "'scheme' must be written out",
            ),
            (
                "return kstate.backend{\n scheme = 'a' .. 'b' }",
                2,
                "must be written out",
            ),
            (
                "return kstate.backend{\n options = { { x = f() } } }",
                2,
                "must be written out",
            ),
            (
                "return kstate.backend{ scheme = 'a'\n stat = f }",
                2,
                "must be written out",
            ),
            ("return kstate.backend{ 'a' }", 1, "has a name"),
            ("return kstate.backend{ stat = function() ", 1, "has no end"),
            (
                "return kstate.backend{ scheme = 'a",
                1,
                "a string has no end",
            ),
            ("return kstate.backend{ scheme = [[a", 1, "has no end"),
            ("return kstate.backend{ scheme = '\\q' }", 1, "'\\q'"),
        ] {
            let fault = read(text, &DATA).expect_err(text);
            assert_eq!(fault.line, line, "{text}: {fault:?}");
            assert!(fault.message.contains(words), "{text}: {fault:?}");
        }
    }
}
