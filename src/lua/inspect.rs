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
    /// For all tables together.
    all: Budget,
    /// No secrets, and nothing that moves the cursor.
    masked: bool,
}

/// What is left to be shown.
#[derive(Clone, Copy)]
struct Budget {
    entries: usize,
    bytes: usize,
    /// Entries to look at, to find those that are shown.
    looks: usize,
}

impl Limits {
    /// All of it, so many tables deep.
    const fn depth(depth: usize) -> Self {
        Self {
            depth,
            text: usize::MAX,
            entries: usize::MAX,
            all: Budget {
                entries: usize::MAX,
                bytes: usize::MAX,
                looks: usize::MAX,
            },
            masked: false,
        }
    }

    /// What fits on a screen or two.
    pub(super) const PROMPT: Self = Self {
        depth: DEPTH,
        text: 1000,
        entries: 100,
        all: Budget {
            entries: 1000,
            bytes: 64 << 10,
            looks: 200_000,
        },
        masked: true,
    };
}

/// So much of a string is searched for secrets before what is shown is cut off.
const SEARCHED: usize = 64 << 10;

/// A value on one line, for messages.
pub(super) fn one_line(value: &Value) -> String {
    let mut printer = Printer::new(Limits::depth(1));
    printer.flat(value, 0, usize::MAX).unwrap_or_default()
}

/// A value as Lua would write it, tables over several lines where they are long, at most
/// `depth` tables deep.
pub(super) fn pretty(value: &Value, depth: usize) -> String {
    Printer::new(Limits::depth(depth)).show(value, 0)
}

/// As [`pretty`], several values within limits for all of them.
pub(super) fn within<'a>(
    values: impl IntoIterator<Item = &'a Value>,
    limits: Limits,
) -> Vec<String> {
    let mut printer = Printer::new(limits);
    let mut shown = Vec::new();
    let mut values = values.into_iter();
    for value in values.by_ref() {
        shown.push(printer.show(value, 0));
        if !printer.takes_entry() {
            break;
        }
    }
    match values.count() {
        0 => {}
        more => shown.push(format!("… {more} more")),
    }
    shown
}

struct Printer {
    limits: Limits,
    left: Budget,
    /// The tables around the one being printed, to see cycles.
    path: Vec<*const std::ffi::c_void>,
    /// What is being printed stands under the name of a secret.
    is_secret: bool,
}

impl Printer {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            left: limits.all,
            path: Vec::new(),
            is_secret: false,
        }
    }

    fn show(&mut self, value: &Value, level: usize) -> String {
        let left = self.left;
        let room = LINE.saturating_sub(2 * level);
        let flat = self.flat(value, level, room);
        let Value::Table(table) = value else {
            return flat.unwrap_or_default();
        };
        if let Some(flat) = flat {
            return flat;
        }
        self.left = Budget {
            looks: self.left.looks,
            ..left
        };
        self.path.push(table.to_pointer());
        let indent = "  ".repeat(level + 1);
        let mut text = "{\n".to_owned();
        let (entries, mut rest) = self.entries(table, usize::MAX);
        let mut entries = entries.into_iter();
        while !entries.as_slice().is_empty() && self.takes_entry() {
            let Some((name, value)) = entries.next() else {
                break;
            };
            let shown = self.named(table, name.as_deref(), &value, |this| {
                this.show(&value, level + 1)
            });
            let name = name.map_or_else(String::new, |name| format!("{name} = "));
            self.left.bytes = self.left.bytes.saturating_sub(name.len() + indent.len());
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{indent}{name}{shown},");
        }
        rest.count += entries.len();
        if rest.count > 0 {
            let _ = writeln!(text, "{indent}{rest}");
        }
        text.push_str(&"  ".repeat(level));
        text.push('}');
        self.path.pop();
        text
    }

    /// Whether one more entry may be shown.
    fn takes_entry(&mut self) -> bool {
        let may = self.left.entries > 0 && self.left.bytes > 0;
        self.left.entries = self.left.entries.saturating_sub(1);
        may
    }

    /// Does something with a value that has a name.
    fn named<T>(
        &mut self,
        table: &Table,
        name: Option<&str>,
        value: &Value,
        print: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let was = self.is_secret;
        self.is_secret |=
            self.limits.masked && name.is_some_and(|name| is_secret(table, name, value));
        let done = print(self);
        self.is_secret = was;
        done
    }

    /// A value on one line; `None` for a table that takes more room.
    fn flat(&mut self, value: &Value, level: usize, room: usize) -> Option<String> {
        let text = match value {
            Value::Table(table) => return self.flat_table(table, level, room),
            Value::Nil => "nil".to_owned(),
            Value::Boolean(value) => value.to_string(),
            null if data::is_null(null) => "null".to_owned(),
            _ if self.is_secret && !value.is_function() => HIDDEN.to_owned(),
            Value::Integer(value) => value.to_string(),
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Error(error) => self.words(&error.to_string()),
            other => match other.to_string() {
                Ok(text) => self.words(&text),
                Err(_) => format!("<{}>", other.type_name()),
            },
        };
        self.left.bytes = self.left.bytes.saturating_sub(text.len());
        Some(text)
    }

    fn flat_table(&mut self, table: &Table, level: usize, room: usize) -> Option<String> {
        if self.path.contains(&table.to_pointer()) {
            return Some("{<cycle>}".to_owned());
        }
        if contents(table).is_empty() {
            return Some("{}".to_owned());
        }
        if level >= self.limits.depth {
            return Some("{…}".to_owned());
        }
        self.path.push(table.to_pointer());
        let text = self.flat_entries(table, level, room);
        self.path.pop();
        text
    }

    fn flat_entries(&mut self, table: &Table, level: usize, room: usize) -> Option<String> {
        // Each entry takes three characters at least.
        let (entries, rest) = self.entries(table, room / 3 + 1);
        if rest.is_cut {
            return None;
        }
        let mut text = "{ ".to_owned();
        for (at, (name, value)) in entries.into_iter().enumerate() {
            if !self.takes_entry() {
                return None;
            }
            if at > 0 {
                text.push_str(", ");
            }
            let left = room.saturating_sub(text.len());
            let shown = self.named(table, name.as_deref(), &value, |this| {
                this.flat(&value, level + 1, left)
            })?;
            if let Some(name) = name {
                text.push_str(&name);
                text.push_str(" = ");
            }
            text.push_str(&shown);
            if text.len() > room || shown.contains('\n') {
                return None;
            }
        }
        if rest.count > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {rest}");
        }
        text.push_str(" }");
        (text.len() <= room).then_some(text)
    }

    fn text(&self, bytes: &[u8]) -> String {
        if self.limits.masked {
            return self.masked_text(bytes);
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

    /// A text without its secrets. In bytes that are no UTF-8 they are looked for too.
    fn masked_text(&self, bytes: &[u8]) -> String {
        let (head, tail) = searched(bytes);
        let Ok(text) = std::str::from_utf8(head) else {
            let each: String = head.iter().copied().map(char::from).collect();
            let masked = mask(&each);
            let masked = masked.chars().map(|c| u8::try_from(c).unwrap_or(b'?'));
            let masked: Vec<_> = masked.collect();
            let (first, rest) = masked.split_at(masked.len().min(self.limits.text));
            return match rest.len() + tail.len() {
                0 => quoted(first),
                more => format!("{}… {}", quoted(first), text::count(more as u64, "byte")),
            };
        };
        let masked = mask(text);
        // All but the bytes in which a character goes on.
        let more = tail.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        Self::cut(&masked, self.limits.text, more, |text| {
            quoted(text.as_bytes())
        })
    }

    /// What an object says of itself.
    fn words(&self, text: &str) -> String {
        if !self.limits.masked {
            return text.to_owned();
        }
        let (head, tail) = searched(text.as_bytes());
        let masked = mask(&String::from_utf8_lossy(head));
        Self::cut(&masked, self.left.bytes, tail.len(), |text| {
            text::visible_lines(text).into_owned()
        })
    }

    fn shortened(&self, text: &str) -> String {
        Self::cut(text, self.limits.text, 0, |text| quoted(text.as_bytes()))
    }

    /// The first characters of a text, and how many there are more.
    fn cut(text: &str, most: usize, more: usize, print: fn(&str) -> String) -> String {
        let end = text.char_indices().nth(most).map(|(end, _)| end);
        let (first, rest) = text.split_at(end.unwrap_or(text.len()));
        match rest.chars().count() + more {
            0 => print(first),
            more => {
                let more = text::count(more as u64, "more character");
                format!("{}… {more}", print(first))
            }
        }
    }

    /// The entries that are shown, and how many are not.
    fn entries(&mut self, table: &Table, most: usize) -> (Vec<Entry>, Rest) {
        let (mut entries, is_cut) = entries(table, most.min(self.left.looks));
        self.left.looks = self.left.looks.saturating_sub(entries.len());
        let mut all = entries.len();
        if is_cut {
            all = all.max(contents(table).raw_len());
        }
        entries.truncate(self.limits.entries);
        let count = all - entries.len();
        (entries, Rest { count, is_cut })
    }
}

/// How many entries are not shown.
struct Rest {
    count: usize,
    /// There may be others.
    is_cut: bool,
}

impl std::fmt::Display for Rest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let least = if self.is_cut { "at least " } else { "" };
        write!(out, "… {least}{} more", self.count)
    }
}

/// The part of a text in which secrets are looked for, which ends with a character, and the rest.
fn searched(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some(head) = bytes.get(..SEARCHED) else {
        return (bytes, &[]);
    };
    match std::str::from_utf8(head) {
        Err(cut) if cut.error_len().is_none() => bytes.split_at(cut.valid_up_to()),
        _ => bytes.split_at(SEARCHED),
    }
}

/// Whether an entry of a table is a secret: by its name, or by what stands beside it, as in
/// `{ name = "S3_SECRET_ACCESS_KEY", value = … }` and in a Kubernetes `Secret`.
fn is_secret(table: &Table, name: &str, value: &Value) -> bool {
    let name = name.trim_matches(['[', ']', '"']);
    let beside = |field: &str| contents(table).raw_get::<String>(field).unwrap_or_default();
    match name.to_ascii_lowercase().as_str() {
        "value" if is_secret_name(&beside("name")) => true,
        "data" | "stringdata" if beside("kind") == "Secret" => true,
        "authorization" | "cookie" | "set-cookie" => value.is_string(),
        _ => is_secret_name(name),
    }
}

/// A name, unless it is a part of the list, and a value.
type Entry = (Option<String>, Value);

/// A table's entries: the list part first, without names, then the rest sorted by name. Whether
/// there may be more of them than were looked at.
fn entries(table: &Table, most: usize) -> (Vec<Entry>, bool) {
    let table = &contents(table);
    let length = table.raw_len();
    let mut list = Vec::new();
    let mut named = Vec::new();
    // `pairs` of mlua is raw: a metamethod never runs here.
    let mut pairs = table.pairs::<Value, Value>();
    for (key, value) in pairs.by_ref().take(most).flatten() {
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
    (list.chain(named).collect(), pairs.next().is_some())
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
