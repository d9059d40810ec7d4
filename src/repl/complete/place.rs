//! Where in Lua the cursor stands.

use crate::lua::lexer::{Token, Word, words};

/// Names with dots between them, and what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) names: Vec<String>,
    /// The last name is that of a method.
    pub(super) is_method: bool,
    /// What is meant is what a call of it returns.
    pub(super) is_call: bool,
    /// It is a text in quotes instead.
    pub(super) is_text: bool,
}

impl Chain {
    /// The names as they are typed.
    pub(super) fn path(&self) -> String {
        self.names.join(".")
    }
}

/// What is expected at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing that is known.
    Nothing,
    /// A variable or a keyword.
    Name,
    /// A field of this.
    Field(Chain),
    /// A method of this.
    Method(Chain),
    /// An option of a call of this, which has some already.
    Option(Chain, Vec<String>),
    /// A text among the arguments of a call of this, after so many others.
    Text(Chain, usize),
}

/// The place at the end of a text, and where the word there begins.
pub(super) fn place(text: &str) -> (usize, Place) {
    let (words, cut) = words(text);
    if let Some(cut) = cut {
        let is_quoted = text[cut.start..].starts_with(['"', '\'']);
        if !is_quoted {
            return (text.len(), Place::Nothing);
        }
        return (cut.start + 1, argument(&words));
    }
    let gap = words.last().map_or(0, |word| word.span.end);
    // Between words there is nothing but space and comments.
    if text[gap..]
        .rsplit('\n')
        .next()
        .is_some_and(|line| line.contains("--"))
    {
        return (text.len(), Place::Nothing);
    }
    let (before, start) = match words.split_last() {
        Some((last, before)) if is_name(last) && last.span.end == text.len() => {
            (before, last.span.start)
        }
        _ => (&words[..], text.len()),
    };
    (start, expected(before))
}

fn is_name(word: &Word) -> bool {
    matches!(word.token, Token::Name(_))
}

fn expected(before: &[Word]) -> Place {
    let Some((last, rest)) = before.split_last() else {
        return Place::Name;
    };
    let is_concatenation = rest.last().is_some_and(|word| word.is("."));
    match chain(rest) {
        Some(chain) if last.is(".") && !is_concatenation => Place::Field(chain),
        Some(chain) if last.is(":") => Place::Method(chain),
        None if last.is(".") && !is_concatenation || last.is(":") => Place::Nothing,
        _ if last.is("{") || last.is(",") => option(before).unwrap_or(Place::Name),
        _ => Place::Name,
    }
}

/// The chain of names at the end.
fn chain(words: &[Word]) -> Option<Chain> {
    let mut chain = Chain::default();
    let mut words = words;
    match words.last()? {
        last if last.is(")") => {
            let open = opening(words)?;
            let is_text = matches!(
                &words[open + 1..words.len() - 1],
                [Word {
                    token: Token::Text(_),
                    ..
                }]
            );
            words = &words[..open];
            // `("text"):upper` calls nothing before.
            if is_text && !words.last().is_some_and(is_name) {
                chain.is_text = true;
                return Some(chain);
            }
            chain.is_call = true;
        }
        Word {
            token: Token::Text(_),
            ..
        } => {
            chain.is_text = true;
            return Some(chain);
        }
        _ => {}
    }
    loop {
        let (last, rest) = words.split_last()?;
        let Token::Name(name) = &last.token else {
            return None;
        };
        chain.names.insert(0, name.clone());
        match rest.split_last() {
            // Two dots put texts together.
            Some((dot, rest)) if dot.is(".") && !rest.last().is_some_and(|word| word.is(".")) => {
                words = rest;
            }
            Some((colon, rest)) if colon.is(":") && chain.names.len() == 1 => {
                chain.is_method = true;
                words = rest;
            }
            _ => return Some(chain),
        }
    }
}

/// Where the bracket that ends a text was opened.
fn opening(words: &[Word]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate().rev() {
        match &word.token {
            Token::Symbol(symbol) if matches!(symbol.as_str(), ")" | "}" | "]") => depth += 1,
            Token::Symbol(symbol) if matches!(symbol.as_str(), "(" | "{" | "[") => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The innermost bracket that is still open, and how many commas stand directly in it.
fn open_bracket(words: &[Word]) -> Option<(usize, usize)> {
    let (mut depth, mut commas) = (0_usize, 0);
    for (at, word) in words.iter().enumerate().rev() {
        let Token::Symbol(symbol) = &word.token else {
            continue;
        };
        match symbol.as_str() {
            ")" | "}" | "]" => depth += 1,
            "(" | "{" | "[" if depth == 0 => return Some((at, commas)),
            "(" | "{" | "[" => depth -= 1,
            "," if depth == 0 => commas += 1,
            _ => {}
        }
    }
    None
}

/// A place where the name of an option is expected.
fn option(before: &[Word]) -> Option<Place> {
    let (at, _) = open_bracket(before).filter(|(at, _)| before[*at].is("{"))?;
    let outer = &before[..at];
    let inner = &before[at + 1..];
    let given = inner.windows(2).filter(|pair| pair[1].is("="));
    let given = given.filter_map(|pair| match &pair[0].token {
        Token::Name(name) => Some(name.clone()),
        _ => None,
    });
    // `f{ … }`, or the last argument of `f(…, { … })`.
    let called = chain(outer).filter(|chain| !chain.is_call).or_else(|| {
        let (call, _) = open_bracket(outer).filter(|(at, _)| outer[*at].is("("))?;
        let last = outer.last()?;
        (last.is("(") || last.is(",")).then(|| chain(&outer[..call]))?
    });
    Some(Place::Option(called?, given.collect()))
}

/// A place inside of a text.
fn argument(before: &[Word]) -> Place {
    let direct = chain(before).filter(|chain| !chain.is_call && !chain.is_text);
    let called = direct.map(|chain| (chain, 0)).or_else(|| {
        let (at, commas) = open_bracket(before).filter(|(at, _)| before[*at].is("("))?;
        let last = before.last()?;
        (last.is("(") || last.is(",")).then(|| Some((chain(&before[..at])?, commas)))?
    });
    called.map_or(Place::Nothing, |(chain, others)| Place::Text(chain, others))
}
