//! Label selectors: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>.

use serde_json::Value;

enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// A parsed selector.
pub(super) struct Selector(Vec<Term>);

impl Selector {
    /// Else says what can't be parsed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for part in split(text) {
            terms.push(term(part.trim())?);
        }
        Ok(Self(terms))
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        let among = |key: &str, values: &[String]| {
            value(key).is_some_and(|value| values.iter().any(|wanted| wanted == value))
        };
        self.0.iter().all(|term| match term {
            Term::In(key, values) => among(key, values),
            Term::NotIn(key, values) => !among(key, values),
            Term::Exists(key) => value(key).is_some(),
            Term::Missing(key) => value(key).is_none(),
        })
    }
}

/// At commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn term(text: &str) -> Result<Term, String> {
    let key = |text: &str| {
        let text = text.trim();
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if text.is_empty() || !text.chars().all(is_good) {
            return Err(format!("unable to parse requirement: {text:?}"));
        }
        Ok(text.to_owned())
    };
    let list = |text: &str| -> Result<Vec<String>, String> {
        let inner = text
            .trim()
            .strip_prefix('(')
            .and_then(|t| t.strip_suffix(')'));
        let inner = inner.ok_or_else(|| format!("unable to parse requirement: {text:?}"))?;
        Ok(inner
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect())
    };
    if let Some(missing) = text.strip_prefix('!') {
        return Ok(Term::Missing(key(missing)?));
    }
    if let Some((left, right)) = text.split_once("!=") {
        return Ok(Term::NotIn(key(left)?, vec![right.trim().to_owned()]));
    }
    if let Some((left, right)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Term::In(key(left)?, vec![right.trim().to_owned()]));
    }
    if let Some((left, right)) = text.split_once(" notin ") {
        return Ok(Term::NotIn(key(left)?, list(right)?));
    }
    if let Some((left, right)) = text.split_once(" in ") {
        return Ok(Term::In(key(left)?, list(right)?));
    }
    Ok(Term::Exists(key(text)?))
}
