//! Collections in block style, which are told by their columns.

use super::{Child, Kind, Node, Outliner, Result, Style};

impl Outliner<'_> {
    /// A node of a block collection that stands in the column `parent`, `None` for the top.
    /// `may_align`: a sequence may have its dashes in that column too. `is_compact`: a
    /// collection may begin on this line.
    pub(super) fn block_node(
        &mut self,
        parent: Option<usize>,
        may_align: bool,
        is_compact: bool,
    ) -> Result<Node> {
        let origin = self.place();
        self.skip();
        let is_fresh = self.line != origin.1;
        let column = self.column();
        let is_inside = !is_fresh
            || parent.is_none_or(|parent| column > parent)
            || (may_align && Some(column) == parent && self.is_indicator(b'-'));
        if self.has_ended() || !is_inside {
            self.back_to(origin);
            return self.empty_node(origin.0);
        }
        if is_fresh && self.text[self.line..self.at].contains('\t') {
            return self.trouble("a tab is no indentation");
        }
        let may_nest = is_fresh || is_compact;
        if self.is_indicator(b'-') && may_nest {
            return self.deeper(|this| this.block_sequence(column));
        }
        if self.is_indicator(b'?') && may_nest {
            return self.deeper(|this| this.block_mapping(column, None));
        }
        let before = *self.expansion;
        let properties = self.properties()?;
        if properties.start.is_some() && self.is_at_line_end() {
            let node = self.deeper(|this| this.block_node(parent, may_align, false))?;
            return self.with_properties(node, properties, before);
        }
        let line = self.line;
        let node = self.inline(parent)?;
        let node = self.with_properties(node, properties, before)?;
        if may_nest && node.kind != Kind::BlockScalar && self.line == line && self.is_colon_next() {
            return self.deeper(|this| this.block_mapping(column, Some(node)));
        }
        Ok(node)
    }

    fn is_colon_next(&mut self) -> bool {
        let place = self.place();
        self.skip_blanks();
        let is_colon = self.is_indicator(b':');
        if !is_colon {
            self.back_to(place);
        }
        is_colon
    }

    fn block_sequence(&mut self, column: usize) -> Result<Node> {
        let start = self.at;
        let mut children = Vec::new();
        loop {
            let start = self.at;
            self.at += 1;
            let gap = Some(self.at);
            let value = self.block_node(Some(column), false, true)?;
            children.push(Child {
                start,
                key: None,
                gap,
                value,
                comma: None,
            });
            if !self.goes_on(column, |this| this.is_indicator(b'-'))? {
                break;
            }
        }
        let end = children.last().map_or(start, Child::end);
        let kind = Kind::Sequence(Style::Block);
        Ok(Node::collection(kind, start, end, children))
    }

    /// Whether a block collection has one more child, on a line of its own.
    fn goes_on(&mut self, column: usize, is_child: impl Fn(&Self) -> bool) -> Result<bool> {
        let place = self.place();
        self.skip();
        if self.has_ended() {
            self.back_to(place);
            return Ok(false);
        }
        let is_fresh = self.line != place.1;
        if !is_fresh || self.column() > column || self.text[self.line..self.at].contains('\t') {
            return self.trouble("a line has to begin at the column of one above");
        }
        if self.column() == column && is_child(self) {
            return Ok(true);
        }
        self.back_to(place);
        Ok(false)
    }

    /// `first` is the first key, read already up to its colon.
    fn block_mapping(&mut self, column: usize, first: Option<Node>) -> Result<Node> {
        let start = first.as_ref().map_or(self.at, |key| key.span.start);
        let mut children = Vec::new();
        let mut next = first;
        loop {
            children.push(match next.take() {
                None if self.is_indicator(b'?') => self.explicit_entry(column)?,
                Some(key) => self.entry(column, key)?,
                None => {
                    let key = self.block_key()?;
                    self.entry(column, key)?
                }
            });
            if !self.goes_on(column, |this| !this.is_indicator(b'-'))? {
                break;
            }
        }
        let end = children.last().map_or(start, Child::end);
        let kind = Kind::Mapping(Style::Block);
        Ok(Node::collection(kind, start, end, children))
    }

    fn block_key(&mut self) -> Result<Node> {
        let (before, line) = (*self.expansion, self.line);
        let properties = self.properties()?;
        if matches!(self.byte(0), Some(b'|' | b'>')) {
            return self.trouble("a key can't be a block scalar");
        }
        let key = self.inline(Some(usize::MAX))?;
        let key = self.with_properties(key, properties, before)?;
        if self.line != line || !self.is_colon_next() {
            return self.trouble("a key with a colon was expected");
        }
        Ok(key)
    }

    fn entry(&mut self, column: usize, key: Node) -> Result<Child> {
        self.at += 1;
        Ok(Child {
            start: key.span.start,
            key: Some(key),
            gap: Some(self.at),
            value: self.block_node(Some(column), true, false)?,
            comma: None,
        })
    }

    fn explicit_entry(&mut self, column: usize) -> Result<Child> {
        let start = self.at;
        self.at += 1;
        let key = Some(self.block_node(Some(column), true, true)?);
        let (gap, value) = if self.goes_on(column, |this| this.is_indicator(b':'))? {
            self.at += 1;
            let gap = Some(self.at);
            (gap, self.block_node(Some(column), true, true)?)
        } else {
            (None, self.empty_node(self.at)?)
        };
        Ok(Child {
            start,
            key,
            gap,
            value,
            comma: None,
        })
    }
}
