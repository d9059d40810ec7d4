//! The table of all fields, parsed from `table.txt` when it is first asked for.
//!
//! A line is a field: its depth as so many blanks, its name, what it holds. `[]string` is a list
//! of strings, `{}string` a map of them. The lines below an object, one blank further in, are its
//! fields. `@name` is an object whose fields stand elsewhere, below a line `@name`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Kind, Type};

static TABLE: LazyLock<[Node; 4]> = LazyLock::new(|| {
    let blocks = blocks(include_str!("table.txt"));
    Kind::ALL.map(|kind| Node {
        holds: Type::Object,
        fields: blocks.fields(kind.name()),
        element: None,
    })
});

/// The fields of a kind of object.
pub(super) fn root(kind: Kind) -> &'static Node {
    let [cluster, instance_group, keyset, ssh_credential] = &*TABLE;
    match kind {
        Kind::Cluster => cluster,
        Kind::InstanceGroup => instance_group,
        Kind::Keyset => keyset,
        Kind::SshCredential => ssh_credential,
    }
}

/// A field, and what is below it.
pub(super) struct Node {
    pub(super) holds: Type,
    pub(super) fields: Vec<(&'static str, Node)>,
    pub(super) element: Option<Box<Node>>,
}

impl Node {
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let at = self
            .fields
            .binary_search_by(|(known, _)| (*known).cmp(name));
        Some(&self.fields[at.ok()?].1)
    }
}

struct Line {
    depth: usize,
    name: &'static str,
    holds: &'static str,
}

struct Blocks(HashMap<&'static str, Vec<Line>>);

fn blocks(text: &'static str) -> Blocks {
    let mut blocks = HashMap::new();
    let mut open = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let bare = line.trim_start();
        match bare.split_once(' ') {
            None => open = bare,
            Some((name, holds)) => {
                let depth = line.len() - bare.len();
                let lines: &mut Vec<Line> = blocks.entry(open).or_default();
                lines.push(Line { depth, name, holds });
            }
        }
    }
    Blocks(blocks)
}

impl Blocks {
    fn fields(&self, block: &str) -> Vec<(&'static str, Node)> {
        self.below(self.0.get(block).map_or(&[], Vec::as_slice))
    }

    /// The fields that the lines describe, those at the depth of the first.
    fn below(&self, lines: &[Line]) -> Vec<(&'static str, Node)> {
        let mut fields = Vec::new();
        let mut rest = lines;
        while let Some((line, after)) = rest.split_first() {
            let inner = after.iter().take_while(|below| below.depth > line.depth);
            let (own, next) = after.split_at(inner.count());
            fields.push((line.name, self.node(line.holds, own)));
            rest = next;
        }
        fields
    }

    fn node(&self, holds: &'static str, below: &[Line]) -> Node {
        let of = |holds, element: &'static str| Node {
            holds,
            fields: Vec::new(),
            element: Some(Box::new(self.node(element, below))),
        };
        let plain = |holds| Node {
            holds,
            fields: Vec::new(),
            element: None,
        };
        let object = |fields| Node {
            holds: Type::Object,
            fields,
            element: None,
        };
        if let Some(element) = holds.strip_prefix("[]") {
            return of(Type::List, element);
        }
        if let Some(element) = holds.strip_prefix("{}") {
            return of(Type::Map, element);
        }
        match holds {
            "string" => plain(Type::String),
            "bool" => plain(Type::Boolean),
            "int32" => plain(Type::Int32),
            "int" => plain(Type::Int64),
            "int-or-string" => plain(Type::IntOrString),
            "quantity" => plain(Type::Quantity),
            "duration" => plain(Type::Duration),
            "bytes" => plain(Type::Bytes),
            "time" => plain(Type::Time),
            "object" => object(self.below(below)),
            shared if shared.starts_with('@') => object(self.fields(shared)),
            _ => plain(Type::Any),
        }
    }
}
