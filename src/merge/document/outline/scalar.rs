//! Scalars and aliases.

use super::{Kind, NODE, Node, Outliner, Result, is_blank, is_flow_indicator};

impl Outliner<'_> {
    /// What begins on this line and is no block collection. `parent` as in `block_node`;
    /// `usize::MAX` for what must end on this line.
    pub(super) fn inline(&mut self, parent: Option<usize>) -> Result<Node> {
        let start = self.at;
        let node = match self.byte(0) {
            Some(b'*') => return self.alias(),
            Some(b'"' | b'\'') => self.quoted()?,
            Some(b'[' | b'{') => return self.deeper(Self::flow),
            Some(b'|' | b'>') => self.block_scalar(parent)?,
            _ => self.plain(parent, false)?,
        };
        self.count(NODE + node.span.end - start)?;
        Ok(node)
    }

    pub(super) fn alias(&mut self) -> Result<Node> {
        let start = self.at;
        self.at += 1;
        self.name();
        let name = &self.text[start + 1..self.at];
        let Some(size) = self.anchors.get(name).copied() else {
            self.at = start;
            return self.trouble(&format!("there is no anchor &{name} above"));
        };
        self.count(size.max(NODE))?;
        Ok(Node::new(Kind::Alias, start..self.at))
    }

    pub(super) fn quoted(&mut self) -> Result<Node> {
        let start = self.at;
        let quote = self.byte(0);
        self.at += 1;
        loop {
            match self.byte(0) {
                None => {
                    self.at = start;
                    return self.trouble("the quote is never closed");
                }
                Some(b'\\') if quote == Some(b'"') && self.byte(1) != Some(b'\n') => self.at += 2,
                Some(b'\'') if quote == Some(b'\'') && self.byte(1) == Some(b'\'') => self.at += 2,
                Some(b'\n') => {
                    self.newline();
                    if self.has_ended() {
                        return self.trouble("the document ends inside of quotes");
                    }
                }
                byte => {
                    self.at += 1;
                    if byte == quote {
                        return Ok(Node::new(Kind::Scalar, start..self.at));
                    }
                }
            }
        }
    }

    pub(super) fn plain(&mut self, parent: Option<usize>, in_flow: bool) -> Result<Node> {
        let start = self.at;
        let may_start = match self.byte(0) {
            None => false,
            Some(b'-' | b'?' | b':') => {
                let is_end = in_flow && self.byte(1).is_some_and(is_flow_indicator);
                !is_blank(self.byte(1)) && !is_end
            }
            Some(byte) => !b",[]{}#&*!|>'\"%@`".contains(&byte),
        };
        if !may_start {
            return self.trouble("a value can't begin with this character");
        }
        loop {
            let (end, is_stopped) = self.plain_line(in_flow);
            if is_stopped {
                return Ok(Node::new(Kind::Scalar, start..end));
            }
            let place = self.place();
            while matches!(self.byte(0), Some(b' ' | b'\t' | b'\r' | b'\n')) {
                if self.byte(0) == Some(b'\n') {
                    self.newline();
                } else {
                    self.at += 1;
                }
            }
            let is_deeper = in_flow || parent.is_none_or(|parent| self.column() > parent);
            let is_stopped = self.byte(0) == Some(b'#')
                || (in_flow && self.byte(0).is_some_and(is_flow_indicator))
                || self.is_indicator(b':');
            if self.has_ended() || !is_deeper || is_stopped {
                self.back_to(place);
                return Ok(Node::new(Kind::Scalar, start..end));
            }
        }
    }

    /// The end of a plain scalar on this line, and whether it ends here for good.
    fn plain_line(&mut self, in_flow: bool) -> (usize, bool) {
        let mut end = self.at;
        loop {
            let is_stopped = match self.byte(0) {
                None | Some(b'\r' | b'\n') => {
                    self.at = end;
                    return (end, self.byte(0).is_none());
                }
                Some(b':') => {
                    is_blank(self.byte(1))
                        || (in_flow && self.byte(1).is_some_and(is_flow_indicator))
                }
                Some(b'#') => self.is_after_blank(),
                Some(byte) => in_flow && is_flow_indicator(byte),
            };
            if is_stopped {
                self.at = end;
                return (end, true);
            }
            let byte = self.byte(0);
            self.at += 1;
            if !is_blank(byte) {
                end = self.at;
            }
        }
    }

    /// A `|` or `>` scalar: its header, then each line that is indented deeply enough.
    fn block_scalar(&mut self, parent: Option<usize>) -> Result<Node> {
        let start = self.at;
        self.at += 1;
        let (mut keeps, mut indent) = (false, None);
        while let Some(byte) = self.byte(0) {
            match byte {
                b'+' => keeps = true,
                b'-' => {}
                b'1'..=b'9' => {
                    indent = Some(parent.unwrap_or(0) + usize::from(byte - b'0'));
                }
                _ => break,
            }
            self.at += 1;
        }
        let mut end = self.at;
        if !is_blank(self.byte(0)) {
            return self.trouble("a block scalar's text begins on the next line");
        }
        self.skip_blanks();
        if !self.is_at_line_end() {
            return self.trouble("a block scalar's text begins on the next line");
        }
        let mut last_line = self.line;
        self.skip_line();
        let mut blank_end = None;
        while self.byte(0) == Some(b'\n') {
            self.newline();
            let place = self.place();
            while self.byte(0) == Some(b' ') && indent.is_none_or(|indent| self.column() < indent) {
                self.at += 1;
            }
            let is_blank_line = matches!(self.byte(0), Some(b'\r' | b'\n'));
            if is_blank_line {
                self.skip_line();
                blank_end = Some(self.place());
                continue;
            }
            let least = indent.unwrap_or(parent.map_or(1, |parent| parent + 1));
            if self.byte(0).is_none() || self.column() < least || self.has_ended() {
                self.back_to(place);
                break;
            }
            indent = Some(self.column());
            self.skip_line();
            end = self.at - usize::from(self.text[..self.at].ends_with('\r'));
            last_line = self.line;
            blank_end = None;
        }
        if let Some((at, line)) = blank_end.filter(|_| keeps) {
            end = at - usize::from(self.text[..at].ends_with('\r'));
            last_line = line;
        }
        self.back_to((end, last_line));
        Ok(Node::new(Kind::BlockScalar, start..end))
    }
}
