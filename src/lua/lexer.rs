//! The words of a Lua text.

use std::ops::Range;

use serde_json::Number;

/// What can't be read, and in which line.
#[derive(Debug, PartialEq)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The line in which it begins, counted from 1.
    pub line: usize,
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// What it is.
    pub token: Token,
}

impl Word {
    /// Whether it is this name, keyword or symbol.
    #[must_use]
    pub fn is(&self, wanted: &str) -> bool {
        matches!(&self.token, Token::Name(text) | Token::Symbol(text) if text == wanted)
    }
}

/// What a text ends in the middle of.
#[derive(Debug, PartialEq)]
pub struct Cut {
    /// Where that begins, in bytes.
    pub start: usize,
    /// Why it has no end.
    pub fault: Fault,
}

/// All words of a text up to one that has no end.
#[must_use]
pub fn words(text: &str) -> (Vec<Word>, Option<Cut>) {
    Lexer::new(text).words()
}

/// A word of Lua.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A name or a keyword.
    Name(String),
    /// A string. What is no UTF-8 in it is replaced.
    Text(String),
    /// A number.
    Number(Number),
    /// One character of anything else: longer operators come as several.
    Symbol(String),
}

/// Takes a text apart.
pub(super) struct Lexer<'a> {
    length: usize,
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let length = text.len();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let rest = if text.starts_with('#') {
            &text[text.find('\n').unwrap_or(text.len())..]
        } else {
            text
        };
        Self {
            length,
            rest,
            line: 1,
        }
    }

    /// All words with their lines.
    pub(super) fn all(self) -> Result<Vec<(usize, Token)>, Fault> {
        match self.words() {
            (_, Some(cut)) => Err(cut.fault),
            (words, None) => Ok(words
                .into_iter()
                .map(|word| (word.line, word.token))
                .collect()),
        }
    }

    fn words(mut self) -> (Vec<Word>, Option<Cut>) {
        let mut words = Vec::new();
        loop {
            let mut start = self.at();
            let word = self.skip_blank(&mut start).and_then(|()| {
                start = self.at();
                self.word()
            });
            match word {
                Ok(Some(word)) => words.push(word),
                Ok(None) => return (words, None),
                Err(fault) => return (words, Some(Cut { start, fault })),
            }
        }
    }

    fn at(&self) -> usize {
        self.length - self.rest.len()
    }

    fn word(&mut self) -> Result<Option<Word>, Fault> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let (line, start) = (self.line, self.at());
        let token = match first {
            '"' | '\'' => Token::Text(self.quoted(first)?),
            '[' if self.long_bracket().is_some() => Token::Text(self.long("a string")?),
            '0'..='9' => self.number(),
            first if first.is_ascii_alphabetic() || first == '_' => Token::Name(
                self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
                    .to_owned(),
            ),
            _ => Token::Symbol(self.take(first.len_utf8()).to_owned()),
        };
        Ok(Some(Word {
            line,
            span: start..self.at(),
            token,
        }))
    }

    fn fault<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault {
            line: self.line,
            message: message.into(),
        })
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, holds: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !holds(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Goes on to the next word; `start` is where what is skipped last begins.
    fn skip_blank(&mut self, start: &mut usize) -> Result<(), Fault> {
        loop {
            self.take_while(char::is_whitespace);
            *start = self.at();
            if !self.rest.starts_with("--") {
                return Ok(());
            }
            self.take(2);
            if self.long_bracket().is_some() {
                self.long("a comment")?;
            } else {
                self.take_while(|c| c != '\n');
            }
        }
    }

    /// How many `=` the long bracket has that begins here.
    fn long_bracket(&self) -> Option<usize> {
        let inner = self.rest.strip_prefix('[')?;
        let level = inner.len() - inner.trim_start_matches('=').len();
        inner[level..].starts_with('[').then_some(level)
    }

    fn long(&mut self, what: &str) -> Result<String, Fault> {
        let level = self.long_bracket().unwrap_or(0);
        let end = format!("]{}]", "=".repeat(level));
        let Some(length) = self.rest.find(&end) else {
            return self.fault(format!("{what} has no end"));
        };
        let whole = self.take(length + end.len());
        let text = &whole[level + 2..length];
        Ok(text.strip_prefix('\n').unwrap_or(text).to_owned())
    }

    fn number(&mut self) -> Token {
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || c == '.');
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let integer = hex.map_or_else(|| text.parse(), |hex| i64::from_str_radix(hex, 16));
        let number = match (integer, text.parse::<f64>()) {
            (Ok(integer), _) => Some(Number::from(integer)),
            (Err(_), Ok(float)) => Number::from_f64(float),
            (Err(_), Err(_)) => None,
        };
        // One that can't be read here may stand in code, where it doesn't matter.
        number.map_or_else(|| Token::Symbol(text.to_owned()), Token::Number)
    }

    fn quoted(&mut self, quote: char) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        self.take(1);
        loop {
            let plain = self.take_while(|c| c != quote && c != '\\' && c != '\n');
            bytes.extend_from_slice(plain.as_bytes());
            if self.rest.is_empty() || self.rest.starts_with('\n') {
                return self.fault("a string has no end");
            }
            if self.take(1) != "\\" {
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            self.escape(&mut bytes)?;
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(kind) = self.rest.chars().next() else {
            return self.fault("a string has no end");
        };
        if kind.is_ascii_digit() {
            let digits = self
                .rest
                .bytes()
                .take(3)
                .take_while(u8::is_ascii_digit)
                .count();
            return match self.take(digits).parse() {
                Ok(byte) => {
                    bytes.push(byte);
                    Ok(())
                }
                Err(_) => self.fault("a string has a byte beyond 255"),
            };
        }
        self.take(kind.len_utf8());
        let byte = match kind {
            'n' => b'\n',
            't' => b'\t',
            'r' => b'\r',
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            '\\' | '"' | '\'' | '\n' => u8::try_from(kind).unwrap_or_default(),
            'z' => {
                self.take_while(char::is_whitespace);
                return Ok(());
            }
            'x' => {
                let hex = self
                    .rest
                    .get(..2)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                let Some(byte) = hex else {
                    return self.fault("a string has a '\\x' without two hex digits");
                };
                self.take(2);
                byte
            }
            'u' => return self.unicode(bytes),
            other => return self.fault(format!("a string has the unknown escape '\\{other}'")),
        };
        bytes.push(byte);
        Ok(())
    }

    fn unicode(&mut self, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        let code = self.rest.strip_prefix('{').and_then(|rest| {
            let (hex, _) = rest.split_once('}')?;
            let code = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
            Some((hex.len() + 2, code))
        });
        let Some((length, code)) = code else {
            return self.fault("a string has a '\\u' without a code in braces");
        };
        self.take(length);
        bytes.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}
