//! Changes to values as changes to the text: what is written where.

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod tests;
mod way;
mod write;

use serde_yaml::Value;

use super::document::outline::{Child, Kind, Node, Style as Shape};
use super::quote::Style;
use super::splice::{Lines, Splice};
pub(super) use way::{follow, put, take, take_all};
use write::{Layout, flow, in_style};

/// What a node is a part of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Top,
    Child(&'a Node, &'a Child),
}

impl Place<'_> {
    fn is_flow(self) -> bool {
        match self {
            Self::Top => false,
            Self::Child(parent, _) => matches!(
                parent.kind,
                Kind::Mapping(Shape::Flow | Shape::Pair) | Kind::Sequence(Shape::Flow)
            ),
        }
    }
}

/// Collects the changes to one document of a text.
pub(super) struct Editor<'a> {
    lines: Lines<'a>,
    layout: Layout,
    newline: &'a str,
    /// Where the document's first value stands, and where it ends.
    head: usize,
    end: usize,
    splices: Vec<Splice>,
}

impl<'a> Editor<'a> {
    /// `lines` end with a line end each, as `newline`; `has_literals` when the last one has it
    /// in truth.
    pub(super) fn new(
        lines: Lines<'a>,
        end: usize,
        root: &Node,
        newline: &'a str,
        has_literals: bool,
    ) -> Self {
        Self {
            lines,
            layout: Layout::of(lines, root, has_literals),
            newline,
            head: root.span.start,
            end,
            splices: Vec::new(),
        }
    }

    pub(super) fn into_splices(self) -> Vec<Splice> {
        self.splices
    }

    pub(super) fn source(&self) -> &'a str {
        self.lines.source
    }

    pub(super) fn begins_line(&self, offset: usize) -> bool {
        self.lines.begins_at(offset)
    }

    fn push(&mut self, start: usize, end: usize, text: &str) {
        self.splices.push(Splice {
            range: start..end,
            text: text.replace('\n', self.newline),
        });
    }

    /// Writes a value over a node. An anchor stays, and so does a comment on the line where the
    /// value begins.
    pub(super) fn replace(&mut self, place: Place<'_>, node: &Node, value: &Value) {
        let head = self.kept_head(node, value);
        if let Some(text) = self.on_one_line(place, node, value) {
            let before = self.source()[node.span.start..node.content].trim_end();
            if before == head {
                return self.push(node.content, node.span.end, &text);
            }
            let head = if head.is_empty() {
                head
            } else {
                format!("{head} ")
            };
            return self.push(node.span.start, node.span.end, &format!("{head}{text}"));
        }
        match place {
            Place::Child(parent, child) if !place.is_flow() => {
                let column = self.lines.column(child.start);
                let is_element = matches!(parent.kind, Kind::Sequence(_));
                let text = self.layout.block(value, &head, column, is_element);
                self.replace_block(child, node, &text);
            }
            Place::Child(_, child) => self.fill_flow(child, node, value),
            Place::Top => self.replace_top(node, &self.layout.top(value, &head)),
        }
    }

    /// Anchor and tag that a node keeps when it becomes `value`.
    fn kept_head(&self, node: &Node, value: &Value) -> String {
        let source = self.source();
        let tag = node.tag.clone().map(|tag| &source[tag]);
        let tag = tag.filter(|tag| *tag == "!!str" && value.is_string());
        let anchor = node.anchor.clone().map(|anchor| &source[anchor]);
        let kept: Vec<&str> = anchor
            .filter(|_| node.kind != Kind::Alias)
            .into_iter()
            .chain(tag)
            .collect();
        kept.join(" ")
    }

    /// The new text where it takes just the place of the old one.
    fn on_one_line(&self, place: Place<'_>, node: &Node, value: &Value) -> Option<String> {
        let source = &self.source()[node.content..node.span.end];
        let is_block = matches!(
            node.kind,
            Kind::BlockScalar | Kind::Mapping(Shape::Block) | Kind::Sequence(Shape::Block)
        );
        if node.kind == Kind::Empty || is_block {
            return None;
        }
        let text = in_style(value, Style::of(source));
        if place.is_flow() {
            return Some(text);
        }
        let stays_flow = match node.kind {
            Kind::Mapping(_) => value.is_mapping() && !node.children.is_empty(),
            Kind::Sequence(_) => value.is_sequence() && !node.children.is_empty(),
            _ => false,
        };
        let is_short = match value {
            Value::Mapping(entries) => entries.is_empty(),
            Value::Sequence(items) => items.is_empty(),
            Value::Tagged(_) => false,
            Value::String(string) => !string.contains('\n') || matches!(place, Place::Top),
            _ => true,
        };
        (stays_flow || is_short).then_some(text)
    }

    /// Replaces all behind a colon or a dash, up to the last line of what stands there.
    fn replace_block(&mut self, child: &Child, node: &Node, text: &str) {
        let Some(gap) = child.gap else {
            // A `?` key without a value.
            let end = self.lines.end_of(child.end());
            let indent = " ".repeat(self.lines.column(child.start));
            return self.push(end, end, &format!("\n{indent}:{text}"));
        };
        let end = self.lines.end_of(node.span.end.max(gap));
        let comment = self.comment(gap, node);
        let first_line = text.find('\n').unwrap_or(text.len());
        let (first, rest) = text.split_at(first_line);
        self.push(gap, end, &format!("{first}{comment}{rest}"));
    }

    /// The comment on the line of a colon or a dash, with the blanks before it, when it speaks of
    /// the whole value and not of a part.
    fn comment(&self, gap: usize, node: &Node) -> &'a str {
        let source = self.source();
        let line_end = self.lines.end_of(gap);
        let begins_here = node.content <= line_end && node.kind != Kind::Empty;
        let from = match node.kind {
            Kind::Mapping(Shape::Block) | Kind::Sequence(Shape::Block) if begins_here => line_end,
            Kind::BlockScalar if begins_here => {
                let header = &source[node.content..line_end];
                let length = header.find([' ', '\t']).unwrap_or(header.len());
                node.content + length
            }
            _ if begins_here => node.span.end,
            _ => {
                let heads = [&node.anchor, &node.tag].map(|range| range.as_ref());
                let on_line = |end: &usize| *end <= line_end;
                let ends = heads.into_iter().flatten().map(|range| range.end);
                ends.filter(on_line).max().unwrap_or(gap).max(gap)
            }
        };
        let comment = source[from..self.lines.end_of(from)].trim_end();
        if comment.trim_start().starts_with('#') {
            comment
        } else {
            ""
        }
    }

    /// Gives a value to a key in braces that has none.
    fn fill_flow(&mut self, child: &Child, node: &Node, value: &Value) {
        let text = flow(value);
        let at = node.span.end;
        if child.gap.is_some() {
            return self.push(at, at, &format!(" {text}"));
        }
        // A key of several lines needs a `?` before a colon.
        let key = &self.source()[child.start..at];
        if key.contains('\n') && !key.starts_with('?') {
            self.push(child.start, child.start, "? ");
        }
        self.push(at, at, &format!(": {text}"));
    }

    fn replace_top(&mut self, node: &Node, text: &str) {
        let line = text.strip_prefix(' ').unwrap_or(text);
        let lines = line.strip_prefix('\n').unwrap_or(line);
        if node.span.is_empty() {
            return self.push(self.end, self.end, &format!("{lines}\n"));
        }
        let (start, end) = (node.span.start, self.lines.end_of(node.span.end));
        if self.lines.begins_at(start) {
            self.push(self.lines.start_of(start), end, lines);
        } else {
            // Behind a `---`.
            let before = self.source()[..start].trim_end_matches(' ').len();
            let start = if line.len() > lines.len() {
                before
            } else {
                start
            };
            self.push(start, end, line);
        }
    }

    /// Adds an entry or an element before the child at an index, or behind the last one. `gone`
    /// says which children are removed in the same edit.
    pub(super) fn insert(
        &mut self,
        parent: &Node,
        at: usize,
        gone: &[bool],
        key: Option<&Value>,
        value: &Value,
    ) {
        let children = &parent.children;
        if !matches!(
            parent.kind,
            Kind::Mapping(Shape::Block) | Kind::Sequence(Shape::Block)
        ) {
            return self.insert_flow(parent, at, gone, key, value);
        }
        let (Some(first), Some(last)) = (children.first(), children.last()) else {
            return;
        };
        let column = self.lines.column(first.start);
        let text = self.layout.entry(key, value, column);
        let indent = " ".repeat(column);
        let lead = self.lead(children, gone);
        let at = match lead {
            Some((lead, keeps_lines)) if at <= lead && (at > 0 || keeps_lines) => lead,
            _ => at,
        };
        let is_glued = lead.is_some_and(|(lead, keeps_lines)| at == lead && !keeps_lines);
        let (offset, text) = match children.get(at) {
            Some(next) if self.lines.begins_at(next.start) && !is_glued => {
                (self.own_start(next), format!("{indent}{text}\n"))
            }
            Some(next) => (next.start, format!("{text}\n{indent}")),
            None => (self.lines.after(last.end()), format!("{indent}{text}\n")),
        };
        self.push(offset, offset, &text);
    }

    fn insert_flow(
        &mut self,
        parent: &Node,
        at: usize,
        gone: &[bool],
        key: Option<&Value>,
        value: &Value,
    ) {
        let text = match key {
            Some(key) => format!("{}: {}", flow(key), flow(value)),
            None => flow(value),
        };
        let children = &parent.children;
        let kept = gone.iter().rposition(|is_gone| !is_gone);
        let last = kept.and_then(|last| children.get(last));
        match (children.get(at), kept, last) {
            (Some(next), Some(kept), _) if at <= kept => {
                self.push(next.start, next.start, &format!("{text}, "));
            }
            (_, _, Some(last)) => self.push(last.end(), last.end(), &format!(", {text}")),
            _ => {
                let inside = parent.content + 1;
                self.push(inside, inside, &text);
            }
        }
    }

    /// Removes children, but not all. With each on a line of its own go the comment on that line
    /// and the comment lines right above in the same column; not those above the document's first
    /// entry, which speak of the whole.
    pub(super) fn remove(&mut self, parent: &Node, gone: &[bool]) {
        let children = &parent.children;
        if !matches!(
            parent.kind,
            Kind::Mapping(Shape::Block) | Kind::Sequence(Shape::Block)
        ) {
            return self.remove_flow(children, gone);
        }
        let lead = self.lead(children, gone);
        let from = lead.map_or(0, |(lead, keeps_lines)| {
            let start = children[0].start;
            if keeps_lines {
                let before = self.source()[..start].trim_end_matches(' ').len();
                let end = self.lines.end_of(children[lead - 1].end());
                self.push(before, end, "");
            } else {
                self.push(start, children[lead].start, "");
            }
            lead
        });
        for (child, _) in children
            .iter()
            .zip(gone)
            .skip(from)
            .filter(|(_, gone)| **gone)
        {
            let (start, end) = (self.own_start(child), self.lines.after(child.end()));
            self.push(start, end, "");
        }
    }

    /// How many children go from the front of a collection that begins behind a dash, and whether
    /// comments stand before the first that stays.
    fn lead(&self, children: &[Child], gone: &[bool]) -> Option<(usize, bool)> {
        let lead = gone.iter().position(|is_gone| !is_gone)?;
        if lead == 0 || self.lines.begins_at(children[0].start) {
            return None;
        }
        let end = self.lines.end_of(children[lead - 1].end());
        let between = &self.source()[end..children[lead].start];
        Some((lead, between.contains('#')))
    }

    fn remove_flow(&mut self, children: &[Child], gone: &[bool]) {
        let Some(kept) = gone.iter().rposition(|is_gone| !is_gone) else {
            return;
        };
        for index in (0..kept).filter(|index| gone[*index]) {
            self.push(children[index].start, children[index + 1].start, "");
        }
        let Some(last) = children.last().filter(|_| kept + 1 < children.len()) else {
            return;
        };
        let (start, end) = (children[kept].end(), last.end());
        if !self.source()[start..end].contains('\n') {
            return self.push(start, end, "");
        }
        if let Some(comma) = children[kept].comma {
            self.push(comma, comma + 1, "");
        }
        let comma = last.comma.map_or(end, |comma| comma + 1);
        self.push(children[kept + 1].start, comma, "");
    }

    /// Where a child that begins its line begins with the comments that belong to it.
    fn own_start(&self, child: &Child) -> usize {
        if child.start == self.head {
            self.lines.start_of(child.start)
        } else {
            self.lines.with_comments_above(child.start)
        }
    }
}
