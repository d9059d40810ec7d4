//! Printing values so that people can read them.

use std::fmt::Write;

use mlua::{Table, Value};

use super::data;
use crate::config::mask::{HIDDEN, is_secret_name, mask};
use crate::text;

/// How deep `print` looks into tables.
pub(super) const DEPTH: usize = 4;

/// Width up to which a table stays on one line, in characters.
const LINE: usize = 80;

/// How much of a value is shown.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// How many tables deep.
    depth: usize,
    /// So many characters of a string.
    text: usize,
    /// So many entries of a table.
    entries: usize,
    /// No secrets.
    masked: bool,
}

impl Limits {
    /// All of it, so many tables deep.
    const fn depth(depth: usize) -> Self {
        Self {
            depth,
            text: usize::MAX,
            entries: usize::MAX,
            masked: false,
        }
    }

    /// What fits on a screen or two.
    pub(super) const PROMPT: Self = Self {
        depth: DEPTH,
        text: 1000,
        entries: 100,
        masked: true,
    };
}

/// A value on one line, for messages.
pub(super) fn one_line(value: &Value) -> String {
    Printer::new(Limits::depth(1)).flat(value, 0)
}

/// A value as Lua would write it, tables over several lines where they are long, at most
/// `depth` tables deep.
pub(super) fn pretty(value: &Value, depth: usize) -> String {
    within(value, Limits::depth(depth))
}

/// As [`pretty`], within limits.
pub(super) fn within(value: &Value, limits: Limits) -> String {
    Printer::new(limits).show(value, 0)
}

struct Printer {
    limits: Limits,
    /// The tables around the one being printed, to see cycles.
    path: Vec<*const std::ffi::c_void>,
}

impl Printer {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            path: Vec::new(),
        }
    }

    fn show(&mut self, value: &Value, level: usize) -> String {
        let flat = self.flat(value, level);
        let Value::Table(table) = value else {
            return flat;
        };
        if (flat.len() + 2 * level <= LINE && !flat.contains('\n')) || self.closed(table, level) {
            return flat;
        }
        self.path.push(table.to_pointer());
        let indent = "  ".repeat(level + 1);
        let mut text = "{\n".to_owned();
        let (entries, more) = self.cut(entries(table));
        for (name, value) in entries {
            let shown = match &name {
                Some(name) if self.hides(name, &value) => HIDDEN.to_owned(),
                _ => self.show(&value, level + 1),
            };
            let name = name.map_or_else(String::new, |name| format!("{name} = "));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{indent}{name}{shown},");
        }
        if more > 0 {
            let _ = writeln!(text, "{indent}… {more} more");
        }
        text.push_str(&"  ".repeat(level));
        text.push('}');
        self.path.pop();
        text
    }

    fn flat(&mut self, value: &Value, level: usize) -> String {
        match value {
            Value::Nil => "nil".to_owned(),
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Table(table) => self.flat_table(table, level),
            null if data::is_null(null) => "null".to_owned(),
            Value::Error(error) => error.to_string(),
            other => match other.to_string() {
                Ok(text) => text,
                Err(_) => format!("<{}>", other.type_name()),
            },
        }
    }

    fn closed(&self, table: &Table, level: usize) -> bool {
        level >= self.limits.depth || self.path.contains(&table.to_pointer())
    }

    fn flat_table(&mut self, table: &Table, level: usize) -> String {
        if self.path.contains(&table.to_pointer()) {
            return "{<cycle>}".to_owned();
        }
        let entries = entries(table);
        if entries.is_empty() {
            return "{}".to_owned();
        }
        if level >= self.limits.depth {
            return "{…}".to_owned();
        }
        self.path.push(table.to_pointer());
        let (entries, more) = self.cut(entries);
        let mut parts = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            let value = match &name {
                Some(name) if self.hides(name, &value) => HIDDEN.to_owned(),
                _ => self.flat(&value, level + 1),
            };
            parts.push(name.map_or_else(|| value.clone(), |name| format!("{name} = {value}")));
        }
        if more > 0 {
            parts.push(format!("… {more} more"));
        }
        self.path.pop();
        format!("{{ {} }}", parts.join(", "))
    }

    fn text(&self, bytes: &[u8]) -> String {
        if self.limits.masked
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return self.shortened(&mask(text));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => self.shortened(text),
            // Each byte of it may be written as four characters.
            Err(_) if bytes.len() > self.limits.text => {
                let (first, rest) = bytes.split_at(self.limits.text);
                format!(
                    "{}… {}",
                    quoted(first),
                    text::count(rest.len() as u64, "byte")
                )
            }
            Err(_) => quoted(bytes),
        }
    }

    fn shortened(&self, text: &str) -> String {
        match text.char_indices().nth(self.limits.text) {
            Some((end, _)) => {
                let (first, rest) = text.split_at(end);
                let rest = text::count(rest.chars().count() as u64, "more character");
                format!("{}… {rest}", quoted(first.as_bytes()))
            }
            None => quoted(text.as_bytes()),
        }
    }

    /// The entries that are shown, and how many are not.
    fn cut(&self, mut entries: Vec<Entry>) -> (Vec<Entry>, usize) {
        let more = entries.len().saturating_sub(self.limits.entries);
        entries.truncate(self.limits.entries);
        (entries, more)
    }

    /// Whether an entry is called like a secret, and may be one.
    fn hides(&self, name: &str, value: &Value) -> bool {
        self.limits.masked && value.is_string() && is_secret_name(name)
    }
}

/// A name, unless it is a part of the list, and a value.
type Entry = (Option<String>, Value);

/// A table's entries: the list part first, without names, then the rest sorted by name.
fn entries(table: &Table) -> Vec<Entry> {
    let table = &contents(table);
    let length = table.raw_len();
    let mut list = Vec::new();
    let mut named = Vec::new();
    // `pairs` of mlua is raw: a metamethod never runs here.
    for (key, value) in table.pairs::<Value, Value>().flatten() {
        match &key {
            Value::Integer(index)
                if usize::try_from(*index).is_ok_and(|index| (1..=length).contains(&index)) =>
            {
                list.push((*index, value));
            }
            Value::String(text) => named.push((name(&text.as_bytes()), value)),
            other => named.push((format!("[{}]", one_line(other)), value)),
        }
    }
    list.sort_by_key(|(index, _)| *index);
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    let list = list.into_iter().map(|(_, value)| (None, value));
    let named = named.into_iter().map(|(name, value)| (Some(name), value));
    list.chain(named).collect()
}

/// What a read-only view shows; any other table shows itself.
fn contents(table: &Table) -> Table {
    let behind = table.metatable().filter(|view| {
        let pairs = view.raw_get::<Value>("__pairs");
        pairs.is_ok_and(|pairs| !pairs.is_nil()) && table.is_empty()
    });
    behind
        .and_then(|view| view.raw_get::<Option<Table>>("__index").ok()?)
        .unwrap_or_else(|| table.clone())
}

fn name(text: &[u8]) -> String {
    let plain = text
        .first()
        .is_some_and(|c| c.is_ascii_alphabetic() || *c == b'_')
        && text.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_');
    if plain {
        return String::from_utf8_lossy(text).into_owned();
    }
    format!("[{}]", quoted(text))
}

/// A string as Lua would read it back; bytes that are no text are escaped.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                c if text::is_unseen(c) => {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.push('"');
    text
}
