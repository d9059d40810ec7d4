//! Where each value of a YAML document stands in its text.
//!
//! The outline follows the layout only; what the values are is told by the parser of
//! `serde_yaml`. It also is the guard of that parser: what nests too deeply, or would grow too
//! much when its aliases are followed, is found here in one pass.

mod block;
mod flow;
mod scalar;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;

/// How deeply collections may nest.
pub(super) const DEEPEST: usize = 64;

/// How much a text may stand for, in bytes, once each alias is replaced by what it refers to.
/// Each value counts for its text and [`NODE`] more.
pub(super) const LARGEST_EXPANSION: usize = 64 << 20;

/// What a value takes beside its text.
const NODE: usize = 32;

/// A value, or a key.
#[derive(Clone, Debug)]
pub(in crate::merge) struct Node {
    /// From its anchor or tag, or its first character, to its last one.
    pub(in crate::merge) span: Range<usize>,
    /// Its first character after anchor and tag.
    pub(in crate::merge) content: usize,
    pub(in crate::merge) anchor: Option<Range<usize>>,
    pub(in crate::merge) tag: Option<Range<usize>>,
    pub(in crate::merge) kind: Kind,
    /// The entries of a mapping, the elements of a sequence.
    pub(in crate::merge) children: Vec<Child>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::merge) enum Kind {
    /// Nothing stands there, which is a null.
    Empty,
    /// A scalar, plain or in quotes.
    Scalar,
    /// A `|` or `>` scalar.
    BlockScalar,
    Alias,
    Mapping(Style),
    Sequence(Style),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::merge) enum Style {
    Block,
    Flow,
    /// The mapping in `[key: value]`, which has no braces.
    Pair,
}

/// An entry of a mapping or an element of a sequence.
#[derive(Clone, Debug)]
pub(in crate::merge) struct Child {
    /// Its first character: of the key, a `?` or the dash.
    pub(in crate::merge) start: usize,
    pub(in crate::merge) key: Option<Node>,
    /// Right after the colon or the dash; `None` where there is no colon.
    pub(in crate::merge) gap: Option<usize>,
    pub(in crate::merge) value: Node,
    /// The comma behind it, in flow style.
    pub(in crate::merge) comma: Option<usize>,
}

impl Child {
    pub(in crate::merge) fn end(&self) -> usize {
        let key = self.key.as_ref().map_or(self.start, |key| key.span.end);
        key.max(self.gap.unwrap_or(0)).max(self.value.span.end)
    }
}

impl Node {
    fn new(kind: Kind, span: Range<usize>) -> Self {
        Self {
            content: span.start,
            span,
            anchor: None,
            tag: None,
            kind,
            children: Vec::new(),
        }
    }

    pub(super) fn empty(at: usize) -> Self {
        Self::new(Kind::Empty, at..at)
    }

    fn collection(kind: Kind, start: usize, end: usize, children: Vec<Child>) -> Self {
        Self {
            children,
            ..Self::new(kind, start..end)
        }
    }
}

/// Why there is no outline.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) at: usize,
    pub(super) message: String,
    /// Whether no other parser may have a try either.
    pub(super) is_limit: bool,
}

type Result<T> = std::result::Result<T, Trouble>;

/// The outline of the document in a range of a text. `expansion` adds up what all documents of
/// the text stand for.
pub(super) fn outline(text: &str, range: Range<usize>, expansion: &mut usize) -> Result<Node> {
    let mut outliner = Outliner {
        text: &text[..range.end],
        at: range.start,
        line: range.start,
        depth: 0,
        expansion,
        anchors: HashMap::new(),
    };
    outliner.document()
}

struct Outliner<'a> {
    text: &'a str,
    at: usize,
    /// Where the line of `at` begins.
    line: usize,
    depth: usize,
    expansion: &'a mut usize,
    /// What each anchor's value stands for, in bytes.
    anchors: HashMap<&'a str, usize>,
}

#[derive(Default)]
struct Properties {
    start: Option<usize>,
    anchor: Option<Range<usize>>,
    tag: Option<Range<usize>>,
}

fn is_blank(byte: Option<u8>) -> bool {
    matches!(byte, None | Some(b' ' | b'\t' | b'\r' | b'\n'))
}

fn is_flow_indicator(byte: u8) -> bool {
    matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
}

impl Outliner<'_> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn trouble<T>(&self, message: &str) -> Result<T> {
        Err(Trouble {
            at: self.at,
            message: message.to_owned(),
            is_limit: false,
        })
    }

    fn limit<T>(&self, message: String) -> Result<T> {
        Err(Trouble {
            at: self.at,
            message,
            is_limit: true,
        })
    }

    fn count(&mut self, bytes: usize) -> Result<()> {
        *self.expansion = self.expansion.saturating_add(bytes);
        if *self.expansion > LARGEST_EXPANSION {
            return self.limit(format!(
                "the text stands for more than {} MiB once its aliases are followed",
                LARGEST_EXPANSION >> 20
            ));
        }
        Ok(())
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEEPEST {
            return self.limit(format!("values nest deeper than {DEEPEST} levels"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Passes over white space, comments and line ends.
    fn skip(&mut self) {
        while let Some(byte) = self.byte(0) {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => self.newline(),
                b'#' if self.at == self.line || self.is_after_blank() => self.skip_line(),
                _ => return,
            }
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.byte(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn is_after_blank(&self) -> bool {
        is_blank(Some(self.text.as_bytes()[self.at - 1]))
    }

    fn newline(&mut self) {
        self.at += 1;
        self.line = self.at;
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn place(&self) -> (usize, usize) {
        (self.at, self.line)
    }

    fn back_to(&mut self, place: (usize, usize)) {
        (self.at, self.line) = place;
    }

    fn column(&self) -> usize {
        self.at - self.line
    }

    /// Whether the document ends here: at the text's end or a marker.
    fn has_ended(&self) -> bool {
        let is_marker = || {
            let rest = &self.text.as_bytes()[self.at..];
            (rest.starts_with(b"---") || rest.starts_with(b"...")) && is_blank(self.byte(3))
        };
        self.at >= self.text.len() || (self.at == self.line && is_marker())
    }

    fn is_indicator(&self, byte: u8) -> bool {
        self.byte(0) == Some(byte) && is_blank(self.byte(1))
    }

    fn is_at_line_end(&self) -> bool {
        matches!(self.byte(0), None | Some(b'\r' | b'\n' | b'#')) || self.has_ended()
    }

    fn document(&mut self) -> Result<Node> {
        let source = &self.text[self.at..];
        let is_lone = |at: usize| source.as_bytes().get(at + 1) != Some(&b'\n');
        if source.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}', '\0'])
            || source.match_indices('\r').any(|(at, _)| is_lone(at))
        {
            return self.trouble(
                "line ends other than LF and CRLF, and byte order marks within, can't be followed",
            );
        }
        self.skip();
        while self.at == self.line && self.byte(0) == Some(b'%') {
            self.skip_line();
            self.skip();
        }
        let has_header = self.text[self.at..].starts_with("---") && self.has_ended();
        if has_header {
            self.at += 3;
        }
        let node = self.block_node(None, false, !has_header)?;
        self.skip();
        if !self.has_ended() {
            return self.trouble("a value was expected to end here");
        }
        Ok(node)
    }

    /// Anchor and tag, in any order, and the blanks behind them.
    fn properties(&mut self) -> Result<Properties> {
        let mut found = Properties::default();
        loop {
            let start = self.at;
            let slot = match self.byte(0) {
                Some(b'&') => &mut found.anchor,
                Some(b'!') => &mut found.tag,
                _ => return Ok(found),
            };
            if slot.is_some() {
                return self.trouble("a value has one anchor and one tag at most");
            }
            self.at += 1;
            self.name();
            *slot = Some(start..self.at);
            found.start = found.start.or(Some(start));
            if !is_blank(self.byte(0)) && !self.byte(0).is_some_and(is_flow_indicator) {
                return self.trouble("a blank was expected after an anchor or a tag");
            }
            self.skip_blanks();
        }
    }

    fn name(&mut self) {
        let is_name = |byte: u8| !is_blank(Some(byte)) && !is_flow_indicator(byte);
        while self.byte(0).is_some_and(is_name) {
            self.at += 1;
        }
    }

    fn with_properties(
        &mut self,
        mut node: Node,
        properties: Properties,
        before: usize,
    ) -> Result<Node> {
        let Some(start) = properties.start else {
            return Ok(node);
        };
        if node.anchor.is_some() || node.tag.is_some() || node.kind == Kind::Alias {
            return self.trouble("a value has one anchor and one tag at most");
        }
        if let Some(anchor) = &properties.anchor {
            let name = &self.text[anchor.start + 1..anchor.end];
            self.anchors.insert(name, *self.expansion - before);
        }
        node.span.start = start;
        if node.kind == Kind::Empty {
            let ends = [&properties.anchor, &properties.tag].map(|range| range.as_ref());
            let end = ends.into_iter().flatten().map(|range| range.end).max();
            node.span.end = end.unwrap_or(node.span.end);
            node.content = node.span.end;
        }
        node.anchor = properties.anchor;
        node.tag = properties.tag;
        Ok(node)
    }
}
