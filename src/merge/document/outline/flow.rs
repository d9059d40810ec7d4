//! Collections in brackets.

use super::{Child, Kind, NODE, Node, Outliner, Result, Style, is_blank, is_flow_indicator};

impl Outliner<'_> {
    pub(super) fn flow(&mut self) -> Result<Node> {
        let start = self.at;
        let is_mapping = self.byte(0) == Some(b'{');
        let close = if is_mapping { b'}' } else { b']' };
        self.at += 1;
        self.count(NODE)?;
        let mut children: Vec<Child> = Vec::new();
        loop {
            self.skip();
            if self.has_ended() {
                self.at = start;
                return self.trouble("the bracket is never closed");
            }
            if self.byte(0) == Some(close) {
                self.at += 1;
                break;
            }
            if children.last().is_some_and(|last| last.comma.is_none()) {
                return self.trouble("a comma or a closing bracket was expected");
            }
            let mut child = self.flow_child(is_mapping)?;
            self.skip();
            if self.byte(0) == Some(b',') {
                child.comma = Some(self.at);
                self.at += 1;
            }
            children.push(child);
        }
        let kind = if is_mapping {
            Kind::Mapping(Style::Flow)
        } else {
            Kind::Sequence(Style::Flow)
        };
        Ok(Node::collection(kind, start, self.at, children))
    }

    fn flow_child(&mut self, in_mapping: bool) -> Result<Child> {
        let start = self.at;
        let is_explicit = self.byte(0) == Some(b'?');
        if is_explicit {
            self.at += 1;
            self.skip();
        }
        let first = self.flow_node()?;
        let place = self.place();
        self.skip();
        let gap = (self.byte(0) == Some(b':')).then_some(self.at + 1);
        let value = if let Some(gap) = gap {
            self.at = gap;
            self.skip();
            let mut value = self.flow_node()?;
            if value.kind == Kind::Empty && value.anchor.is_none() && value.tag.is_none() {
                value = Node::empty(gap);
            }
            value
        } else {
            self.back_to(place);
            Node::empty(first.span.end)
        };
        let is_pair = in_mapping || gap.is_some() || is_explicit;
        if !is_pair {
            return Ok(Child {
                start,
                key: None,
                gap: Some(start),
                value: first,
                comma: None,
            });
        }
        let entry = Child {
            start,
            key: Some(first),
            gap,
            value,
            comma: None,
        };
        if in_mapping {
            return Ok(entry);
        }
        self.count(NODE)?;
        let end = entry.end();
        let kind = Kind::Mapping(Style::Pair);
        Ok(Child {
            start,
            key: None,
            gap: Some(start),
            value: Node::collection(kind, start, end, vec![entry]),
            comma: None,
        })
    }

    fn flow_node(&mut self) -> Result<Node> {
        let before = *self.expansion;
        let properties = self.properties()?;
        let start = self.at;
        if properties.start.is_some() {
            self.skip();
        }
        let is_colon = self.byte(0) == Some(b':')
            && (is_blank(self.byte(1)) || self.byte(1).is_some_and(is_flow_indicator));
        let node = match self.byte(0) {
            Some(b',' | b']' | b'}') => self.empty_node(start)?,
            _ if is_colon => self.empty_node(start)?,
            Some(b'*') => self.alias()?,
            Some(b'[' | b'{') => self.deeper(Self::flow)?,
            Some(b'"' | b'\'') => {
                let node = self.quoted()?;
                self.count(NODE + node.span.len())?;
                node
            }
            _ => {
                let node = self.plain(None, true)?;
                self.count(NODE + node.span.len())?;
                node
            }
        };
        self.with_properties(node, properties, before)
    }

    pub(super) fn empty_node(&mut self, at: usize) -> Result<Node> {
        self.count(NODE)?;
        Ok(Node::empty(at))
    }
}
