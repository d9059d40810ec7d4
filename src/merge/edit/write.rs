//! Writing a value in the style of the document around it.

use serde_yaml::Value;

use super::super::document::outline::{Kind, Node, Style as Shape};
use super::super::quote::{Style, literal, scalar};
use super::super::splice::Lines;

/// How a document is laid out, by its first collections; else as kOps writes.
#[derive(Clone, Copy, Debug)]
pub(in crate::merge) struct Layout {
    /// How much deeper the keys of a mapping stand than the key that holds it.
    step: usize,
    /// How much deeper dashes stand than the key that holds them.
    dash_step: usize,
    /// Whether `|` scalars may be written: the last one needs a final newline.
    has_literals: bool,
}

/// Where the keys or the dashes of a value stand, should it have some.
#[derive(Clone, Copy, Default)]
struct Columns {
    /// Of the collection around it.
    outer: usize,
    keys: usize,
    dashes: usize,
}

impl Layout {
    pub(super) fn of(lines: Lines<'_>, root: &Node, has_literals: bool) -> Self {
        let mut found = (None, None);
        measure(lines, root, &mut found);
        Self {
            step: found.0.unwrap_or(2),
            dash_step: found.1.unwrap_or(0),
            has_literals,
        }
    }

    /// What follows a colon or a dash of a collection in `column`, from a blank or a line end on.
    /// Every line end is LF; there is none at the end. `head`: an anchor or a tag to keep.
    pub(super) fn block(
        self,
        value: &Value,
        head: &str,
        column: usize,
        is_element: bool,
    ) -> String {
        let (step, dash_step) = if is_element {
            (2, 2)
        } else {
            (self.step, self.dash_step)
        };
        let columns = Columns {
            outer: column,
            keys: column + step,
            dashes: column + dash_step,
        };
        let mut text = String::new();
        self.write(&mut text, value, head, columns, is_element);
        text
    }

    /// A whole document, as [`block`](Self::block).
    pub(super) fn top(self, value: &Value, head: &str) -> String {
        let mut text = String::new();
        self.write(&mut text, value, head, Columns::default(), false);
        text
    }

    fn write(
        self,
        text: &mut String,
        value: &Value,
        head: &str,
        columns: Columns,
        is_compact: bool,
    ) {
        if !head.is_empty() {
            text.push(' ');
            text.push_str(head);
        }
        let is_compact = is_compact && head.is_empty();
        match value {
            Value::Tagged(tagged) => {
                self.write(text, &tagged.value, &tagged.tag.to_string(), columns, false);
            }
            Value::Mapping(entries) if !entries.is_empty() => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    begin_line(text, columns.keys, is_compact && index == 0);
                    text.push_str(&self.entry(Some(key), value, columns.keys));
                }
            }
            Value::Sequence(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    begin_line(text, columns.dashes, is_compact && index == 0);
                    text.push_str(&self.entry(None, item, columns.dashes));
                }
            }
            Value::String(string) if self.has_literals => {
                let written = literal(string, columns.keys - columns.outer, columns.keys);
                text.push(' ');
                text.push_str(&written.unwrap_or_else(|| flow(value)));
            }
            _ => {
                text.push(' ');
                text.push_str(&flow(value));
            }
        }
    }

    /// `key: value` or `- value` in a column, without the line's indentation.
    pub(super) fn entry(self, key: Option<&Value>, value: &Value, column: usize) -> String {
        match key {
            Some(key) => format!("{}:{}", flow(key), self.block(value, "", column, false)),
            None => format!("-{}", self.block(value, "", column, true)),
        }
    }
}

fn begin_line(text: &mut String, column: usize, is_compact: bool) {
    if is_compact {
        text.push(' ');
    } else {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', column));
    }
}

/// A value on one line.
pub(super) fn flow(value: &Value) -> String {
    in_style(value, Style::Plain)
}

/// A value on one line, a string in a wished style.
pub(super) fn in_style(value: &Value, style: Style) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(string) => scalar(string, style),
        Value::Sequence(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Mapping(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", flow(key), flow(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Tagged(tagged) => format!("{} {}", tagged.tag, flow(&tagged.value)),
    }
}

/// The first steps from a block mapping to a mapping and to a sequence below it.
fn measure(lines: Lines<'_>, node: &Node, found: &mut (Option<usize>, Option<usize>)) {
    for child in &node.children {
        if found.0.is_some() && found.1.is_some() {
            return;
        }
        let (Kind::Mapping(Shape::Block), Some(inner)) = (node.kind, child.value.children.first())
        else {
            measure(lines, &child.value, found);
            continue;
        };
        let step = lines
            .column(inner.start)
            .checked_sub(lines.column(child.start));
        match child.value.kind {
            Kind::Mapping(Shape::Block) => found.0 = found.0.or(step.filter(|step| *step > 0)),
            Kind::Sequence(Shape::Block) => found.1 = found.1.or(step),
            _ => {}
        }
        measure(lines, &child.value, found);
    }
}
