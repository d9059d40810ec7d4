//! Printing values so that people can read them.

use std::fmt::Write;

use mlua::{Table, Value};

use super::data;

/// How deep `print` looks into tables.
pub(super) const DEPTH: usize = 4;

/// Width up to which a table stays on one line, in characters.
const LINE: usize = 80;

/// A value on one line, for messages.
pub(super) fn one_line(value: &Value) -> String {
    let mut printer = Printer {
        depth: 1,
        path: Vec::new(),
    };
    printer.flat(value, 0)
}

/// A value as Lua would write it, tables over several lines where they are long, at most
/// `depth` tables deep.
pub(super) fn pretty(value: &Value, depth: usize) -> String {
    let mut printer = Printer {
        depth,
        path: Vec::new(),
    };
    printer.show(value, 0)
}

struct Printer {
    depth: usize,
    /// The tables around the one being printed, to see cycles.
    path: Vec<*const std::ffi::c_void>,
}

impl Printer {
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
        for (name, value) in entries(table) {
            let name = name.map_or_else(String::new, |name| format!("{name} = "));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{indent}{name}{},", self.show(&value, level + 1));
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
            Value::String(text) => quoted(&text.as_bytes()),
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
        level >= self.depth || self.path.contains(&table.to_pointer())
    }

    fn flat_table(&mut self, table: &Table, level: usize) -> String {
        if self.path.contains(&table.to_pointer()) {
            return "{<cycle>}".to_owned();
        }
        let entries = entries(table);
        if entries.is_empty() {
            return "{}".to_owned();
        }
        if level >= self.depth {
            return "{…}".to_owned();
        }
        self.path.push(table.to_pointer());
        let mut parts = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            let value = self.flat(&value, level + 1);
            parts.push(name.map_or_else(|| value.clone(), |name| format!("{name} = {value}")));
        }
        self.path.pop();
        format!("{{ {} }}", parts.join(", "))
    }
}

/// A table's entries: the list part first, without names, then the rest sorted by name.
fn entries(table: &Table) -> Vec<(Option<String>, Value)> {
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
                c if c.is_control() => {
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
