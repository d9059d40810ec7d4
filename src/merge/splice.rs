//! Where in the text of one YAML document a string goes, and as what.

use std::ops::Range;

use yaml_edit::{Mapping, YamlFile, YamlNode};

use super::document::Step;
use super::quote::{Style, scalar};

/// What replaces what in the text of one document.
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

/// The edit that puts a string at a path; `None` where the layout gives no place for it.
pub(super) fn splice(source: &str, path: &[Step], value: &str) -> Option<Splice> {
    let parse = YamlFile::parse(source);
    if parse.has_errors() {
        return None;
    }
    let top = root(&parse.tree())?;
    let (parent, rest) = (0..=path.len()).rev().find_map(|depth| {
        let node = find(top.clone(), &path[..depth])?;
        // A key without a value has an empty node, somewhere behind its comment.
        let is_there = !trimmed(source, &node).is_empty();
        is_there.then_some((node, &path[depth..]))
    })?;
    if rest.is_empty() {
        return replace(source, &parent, value);
    }
    let keys: Vec<&str> = rest
        .iter()
        .map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect::<Option<_>>()?;
    match &parent {
        YamlNode::Mapping(mapping) => match entry_key(mapping, keys[0]) {
            Some(key) => fill(source, &key, &keys[1..], value),
            None if mapping.is_flow_style() => insert_flow(source, &parent, &keys, value),
            None => insert_block(source, mapping, &keys, value),
        },
        // What stands there is a null, or the caller's check would have refused.
        YamlNode::Scalar(_) => Some(Splice {
            range: trimmed(source, &parent),
            text: flow(&keys, value),
        }),
        _ => None,
    }
}

/// The node at the top of a document.
pub(super) fn root(tree: &YamlFile) -> Option<YamlNode> {
    let document = tree.document()?;
    document
        .as_mapping()
        .map(YamlNode::Mapping)
        .or_else(|| document.as_sequence().map(YamlNode::Sequence))
}

/// The node at a path; aliases are not followed.
pub(super) fn find(node: YamlNode, path: &[Step]) -> Option<YamlNode> {
    path.iter().try_fold(node, |node, step| match step {
        Step::Key(key) => node
            .as_mapping()?
            .find_entry_by_key(key.as_str())?
            .value_node(),
        Step::Index(index) => node.get_item(*index),
    })
}

/// The key of that name in a mapping.
pub(super) fn entry_key(mapping: &Mapping, key: &str) -> Option<YamlNode> {
    mapping.find_entry_by_key(key)?.key_node()
}

/// The range of a node without the white space that the tree counts to it.
fn trimmed(source: &str, node: &YamlNode) -> Range<usize> {
    let range = node.byte_range();
    let (start, end) = (range.start as usize, range.end as usize);
    start..start + source[start..end].trim_end().len()
}

fn replace(source: &str, node: &YamlNode, value: &str) -> Option<Splice> {
    let inner = match node {
        YamlNode::TaggedNode(tagged) => YamlNode::Scalar(tagged.value()?),
        YamlNode::Scalar(_) | YamlNode::Alias(_) => node.clone(),
        YamlNode::Mapping(_) | YamlNode::Sequence(_) => return None,
    };
    let range = trimmed(source, &inner);
    let text = scalar(value, Style::of(&source[range.clone()]));
    Some(Splice { range, text })
}

/// Gives a value to a key that stands there without one.
fn fill(source: &str, key: &YamlNode, rest: &[&str], value: &str) -> Option<Splice> {
    let end = trimmed(source, key).end;
    let at = end + source[end..].find(':')? + 1;
    Some(Splice {
        range: at..at,
        text: format!(" {}", flow(rest, value)),
    })
}

/// `{a: {b: value}}` on one line; the value alone without keys.
fn flow(keys: &[&str], value: &str) -> String {
    keys.iter()
        .rev()
        .fold(scalar(value, Style::Plain), |inner, key| {
            format!("{{{}: {inner}}}", scalar(key, Style::Plain))
        })
}

fn insert_flow(source: &str, parent: &YamlNode, keys: &[&str], value: &str) -> Option<Splice> {
    let brace = parent.byte_range().start as usize;
    let at = brace + source[brace..].find('{')? + 1;
    let is_empty = source[at..].trim_start().starts_with('}');
    let comma = if is_empty { "" } else { ", " };
    let text = format!(
        "{}: {}{comma}",
        scalar(keys[0], Style::Plain),
        flow(&keys[1..], value)
    );
    Some(Splice {
        range: at..at,
        text,
    })
}

/// Adds a key before the first one that sorts after it, as kOps sorts keys, else at the end.
fn insert_block(source: &str, mapping: &Mapping, keys: &[&str], value: &str) -> Option<Splice> {
    let entries: Vec<_> = mapping.entries().collect();
    let starts: Vec<Range<usize>> = entries
        .iter()
        .map(|entry| Some(trimmed(source, &entry.key_node()?)))
        .collect::<Option<_>>()?;
    let first = starts.first()?.start;
    let indent: String = source[line_start(source, first)..first]
        .chars()
        .map(|c| if c == '\t' { c } else { ' ' })
        .collect();
    let end_of_line = if source.contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    let lines = block(keys, value, &indent).join(end_of_line);
    let stands_alone = |key: &Range<usize>| {
        let before = &source[line_start(source, key.start)..key.start];
        before.trim().is_empty()
    };
    let next = starts.iter().find(|key| {
        let name = source[(*key).clone()].trim_matches(['"', '\'']);
        name > keys[0] && stands_alone(key)
    });
    if let Some(key) = next {
        let at = above_comments(source, line_start(source, key.start), &indent);
        return Some(Splice {
            range: at..at,
            text: lines + end_of_line,
        });
    }
    let last = entries.last()?.value_node();
    let end = last.map_or(starts.last()?.end, |value| trimmed(source, &value).end);
    Some(match source[end..].find('\n') {
        Some(newline) => {
            let at = end + newline + 1;
            Splice {
                range: at..at,
                text: lines + end_of_line,
            }
        }
        None => Splice {
            range: source.len()..source.len(),
            text: format!("{end_of_line}{lines}"),
        },
    })
}

fn line_start(source: &str, offset: usize) -> usize {
    source[..offset]
        .rfind('\n')
        .map_or(0, |newline| newline + 1)
}

/// The start of the comment lines right above a line, which speak of what stands on it.
fn above_comments(source: &str, mut line: usize, indent: &str) -> usize {
    while line > 0 {
        let above = line_start(source, line - 1);
        let is_comment = source[above..line]
            .strip_prefix(indent)
            .is_some_and(|rest| rest.starts_with('#'));
        if !is_comment {
            break;
        }
        line = above;
    }
    line
}

/// The lines of nested block mappings, each two columns deeper.
fn block(keys: &[&str], value: &str, indent: &str) -> Vec<String> {
    let last = keys.len().saturating_sub(1);
    keys.iter()
        .enumerate()
        .map(|(depth, key)| {
            let inner = "  ".repeat(depth);
            let key = scalar(key, Style::Plain);
            if depth < last {
                return format!("{indent}{inner}{key}:");
            }
            format!("{indent}{inner}{key}: {}", scalar(value, Style::Plain))
        })
        .collect()
}
