//! Secrets that are known by what stands around them.

use super::{is_secret_name, key_column, name_before};

/// The value of a `name:` field on a line: the variable that a `value:` nearby belongs to.
pub(super) fn env_name(line: &str) -> Option<&str> {
    line.match_indices(':').find_map(|(at, _)| {
        let (name, _) = name_before(line, at)?;
        if name != "name" {
            return None;
        }
        let value = line[at + 1..].trim_start();
        let value = value.trim_start_matches(['"', '\'', '\\']);
        let end = value.find(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)));
        Some(&value[..end.unwrap_or(value.len())])
    })
}

/// Which lines hold a secret by what stands around them: the `value:` beside a secret variable's
/// `name:`, and the entries of a Kubernetes `Secret`.
pub(super) fn forced_lines(lines: &[&str]) -> Vec<bool> {
    let mut forced = vec![false; lines.len()];
    for (at, line) in lines.iter().enumerate() {
        if is_field(line, "name") && env_name(line).is_some_and(is_secret_name) {
            for sibling in siblings(lines, at) {
                forced[sibling] |= is_field(lines[sibling], "value");
            }
        }
    }
    for document in documents(lines) {
        if lines[document.clone()]
            .iter()
            .any(|line| is_kind_secret(line))
        {
            let mut below: Option<usize> = None;
            for at in document {
                let column = key_column(lines[at]);
                if below.is_some_and(|data| column <= data) && !lines[at].trim().is_empty() {
                    below = None;
                }
                forced[at] |= below.is_some();
                if is_field(lines[at], "data") || is_field(lines[at], "stringData") {
                    below = below.or(Some(column));
                }
            }
        }
    }
    forced
}

fn is_kind_secret(line: &str) -> bool {
    is_field(line, "kind")
        && line
            .split_once(':')
            .is_some_and(|(_, kind)| kind.trim().trim_matches(['"', '\'', ',']) == "Secret")
}

fn is_field(line: &str, name: &str) -> bool {
    let key = line.trim_start_matches([' ', '\t', '-', '{']);
    let key = key.strip_prefix(['"', '\'']).unwrap_or(key);
    key.strip_prefix(name)
        .is_some_and(|rest| rest.starts_with([':', '"', '\'']))
}

/// The other lines of the mapping that a line belongs to, in the same list item.
fn siblings(lines: &[&str], at: usize) -> Vec<usize> {
    let column = key_column(lines[at]);
    let starts_item = |at: usize| lines[at].trim_start().starts_with("- ");
    let is_outside = |at: usize| {
        !lines[at].trim().is_empty() && key_column(lines[at]) < column || lines[at].trim() == "}"
    };
    let after = (at + 1..lines.len())
        .take_while(|at| !is_outside(*at))
        .take_while(|at| !(starts_item(*at) && key_column(lines[*at]) <= column));
    let mut found: Vec<usize> = after.collect();
    let mut before = at;
    while before > 0 && !(starts_item(before) && key_column(lines[before]) <= column) {
        before -= 1;
        if is_outside(before) {
            break;
        }
        found.push(before);
    }
    found
}

fn documents(lines: &[&str]) -> Vec<std::ops::Range<usize>> {
    let mut starts: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].starts_with("---"))
        .collect();
    starts.insert(0, 0);
    starts.push(lines.len());
    starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}
