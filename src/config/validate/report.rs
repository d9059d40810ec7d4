//! What was found in one object, while its rules are gone through.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_yaml::Value;

use crate::merge::document::{Document, Path, Step};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// kOps refuses it, loses it, or the cluster breaks.
    Error,
    /// It may be meant so.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Something in a manifest that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named to us.
    pub file: String,
    /// The line in the file, counting from 1.
    pub line: usize,
    /// The column in characters, counting from 1.
    pub column: usize,
    /// The field.
    #[serde(serialize_with = "as_text")]
    pub path: Path,
    /// What is wrong, with the name of the field.
    pub message: String,
    /// What to do about it, when that is clear.
    pub hint: Option<String>,
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            file,
            line,
            column,
            message,
            ..
        } = self;
        write!(
            f,
            "{severity}: {file}: line {line}, column {column}: {message}"
        )?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// An object in a file.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// How to name the file to a person.
    pub file: &'a str,
    /// The name that the place of the file asks for: that of the cluster's folder, or of the
    /// file of an instance group. `None` for a file that is in no store.
    pub name: Option<&'a str>,
    /// The file.
    pub document: &'a Document,
    /// Which document in the file it is.
    pub part: usize,
}

impl<'a> Object<'a> {
    pub(super) fn get(self, path: &[&str]) -> Option<&'a Value> {
        let path = Path::keys(path);
        self.document.get(self.part, &path)
    }

    /// A text that is there and not empty.
    pub(super) fn text(self, path: &[&str]) -> Option<&'a str> {
        self.get(path)?.as_str().filter(|text| !text.is_empty())
    }

    /// The elements of a list, none where there is no list.
    pub(super) fn list(self, path: &[&str]) -> &'a [Value] {
        self.get(path)
            .and_then(Value::as_sequence)
            .map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_true(self, path: &[&str]) -> bool {
        self.get(path).and_then(Value::as_bool) == Some(true)
    }

    pub(super) fn has(self, path: &[&str]) -> bool {
        self.get(path).is_some_and(|value| !value.is_null())
    }

    /// Whether a field is missing or empty. One with a value of the wrong type is neither.
    pub(super) fn lacks(self, path: &[&str]) -> bool {
        self.get(path).is_none_or(|value| {
            value.is_null()
                || value.as_str() == Some("")
                || value.as_sequence().is_some_and(Vec::is_empty)
        })
    }
}

/// A text in a mapping that is there and not empty.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// A path by its names and numbers: `&["spec", "subnets"]`.
pub(super) fn at(names: &[&str]) -> Path {
    Path::keys(names)
}

/// An element of a list, and a field of it unless that is empty.
pub(super) fn element(list: &Path, index: usize, field: &str) -> Path {
    let element = list.then(Step::Index(index));
    if field.is_empty() {
        element
    } else {
        element.then(Step::Key(field.to_owned()))
    }
}

/// How many findings to keep of one file. Each costs a pass through the text, so it is fewer where
/// the text is far longer than any manifest; they tell enough.
fn limit(text: &str) -> usize {
    (1_000_000 / (1 + text.len())).clamp(5, 100)
}

/// The findings in one object.
pub(super) struct Report<'a> {
    pub(super) object: Object<'a>,
    findings: Vec<Finding>,
    limit: usize,
    is_full: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(object: Object<'a>) -> Self {
        Self {
            object,
            findings: Vec::new(),
            limit: limit(object.document.text()),
            is_full: false,
        }
    }

    /// How many findings to look for: one more than fit, to know that there are more.
    pub(super) fn room(&self) -> usize {
        self.limit + 1 - self.findings.len()
    }

    pub(super) fn error(&mut self, path: &Path, message: impl Into<String>) {
        self.push(Severity::Error, path, message.into(), None);
    }

    pub(super) fn warning(&mut self, path: &Path, message: impl Into<String>) {
        self.push(Severity::Warning, path, message.into(), None);
    }

    pub(super) fn error_with(&mut self, path: &Path, message: impl Into<String>, hint: String) {
        self.push(Severity::Error, path, message.into(), Some(hint));
    }

    /// Something about a key itself, not about what it holds.
    pub(super) fn key_error(&mut self, path: &Path, message: String, hint: Option<String>) {
        self.place(Severity::Error, path, true, message, hint);
    }

    pub(super) fn push(
        &mut self,
        severity: Severity,
        path: &Path,
        message: String,
        hint: Option<String>,
    ) {
        self.place(severity, path, false, message, hint);
    }

    fn place(
        &mut self,
        severity: Severity,
        path: &Path,
        at_key: bool,
        message: String,
        hint: Option<String>,
    ) {
        if self.findings.len() == self.limit {
            self.is_full = true;
            return;
        }
        let Object { document, part, .. } = self.object;
        let is_scalar = |value: &Value| !value.is_mapping() && !value.is_sequence();
        let (line, column) = if document.get(part, path).is_some_and(is_scalar) && !at_key {
            document.position(part, path)
        } else {
            document.key_position(part, path)
        };
        self.findings.push(Finding {
            severity,
            file: self.object.file.to_owned(),
            line,
            column,
            path: path.clone(),
            message,
            hint,
        });
    }

    /// The findings in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.findings
            .sort_by_key(|finding| (finding.line, finding.column));
        if let (true, Some(last)) = (self.is_full, self.findings.last()) {
            let mut more = last.clone();
            let limit = self.limit;
            more.message = format!("there is more; only the first {limit} findings are shown");
            more.path = Path::default();
            more.hint = None;
            self.findings.push(more);
        }
        self.findings
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_longer_the_text_the_fewer_findings() {
        assert_eq!(super::limit(&"x".repeat(3_000)), 100);
        assert_eq!(super::limit(&"x".repeat(50_000)), 19);
        assert_eq!(super::limit(&"x".repeat(5_000_000)), 5);
    }
}
