//! Small helpers for what people read and type.

use std::borrow::Cow;
use std::time::Duration;

/// The known name nearest to a mistyped one, as the end of an error message:
/// `" (did you mean 'region'?)"`, or nothing when none is near.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    known
        .into_iter()
        .map(|name| (distance(typed, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(typed.len()) / 4)
        // Something of it must be right.
        .filter(|(distance, name)| *distance < name.len().max(typed.len()))
        .min()
        .map_or_else(String::new, |(_, name)| {
            format!(" (did you mean '{name}'?)")
        })
}

/// How many letters must be added, removed, replaced or swapped with their neighbour to turn one
/// word into the other (Damerau-Levenshtein, optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// A size in bytes as people read it: `0 B`, `999 B`, `1.5 MiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// The unified diff of two texts under their names, with this many lines around each change.
#[must_use]
pub fn unified_diff(old: (&str, &str), new: (&str, &str), context: usize) -> String {
    similar::TextDiff::configure()
        // Past this time the rest is shown as replaced, which is right, only longer.
        .timeout(Duration::from_secs(2))
        .diff_lines(old.1, new.1)
        .unified_diff()
        .context_radius(context)
        .header(old.0, new.0)
        .to_string()
}

/// `1 object`, `2 objects`.
#[must_use]
pub fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Whether a character could make a text look like another one: it is not seen, moves what is,
/// or tells a terminal what to do.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            u32::from(c),
            0xad | 0x34f
                | 0x61c
                | 0x115f..=0x1160
                | 0x17b4..=0x17b5
                | 0x180b..=0x180f
                | 0x200b..=0x200f
                | 0x2028..=0x202e
                | 0x2060..=0x206f
                | 0x3164
                | 0xfe00..=0xfe0f
                | 0xfeff
                | 0xffa0
                | 0xfff0..=0xfffb
                | 0x1d173..=0x1d17a
                | 0xe0000..=0xe0fff
        )
}

/// A name or a value as it may be printed: what isn't seen is written as an escape.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_unseen(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// A text as it may be printed over several lines: what isn't seen is written as an escape.
#[must_use]
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    let is_layout = |c: char| matches!(c, '\n' | '\t');
    if !text.contains(|c| is_unseen(c) && !is_layout(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(is_layout) {
        let line = piece.trim_end_matches(is_layout);
        shown.push_str(&visible(line));
        shown.push_str(&piece[line.len()..]);
    }
    Cow::Owned(shown)
}

/// How wide lines of prose are, in columns.
const WIDTH: usize = 80;

/// A text in lines of at most 80 columns. What stands before the first one is as wide as the
/// `indent` before all others. No word is broken.
#[must_use]
pub fn wrapped(text: &str, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let first = lines.len();
        for word in line.split(' ') {
            let last = lines.get_mut(first..).and_then(<[String]>::last_mut);
            match last {
                Some(last) if indent + columns(last) + 1 + columns(word) <= WIDTH => {
                    last.push(' ');
                    last.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// A text without the middle of words that are longer than anybody reads.
#[must_use]
pub fn without_long_words(text: &str) -> String {
    const MOST: usize = 160;
    const SHOWN: usize = 60;
    let short = |word: &str| {
        let length = columns(word);
        if length <= MOST {
            return word.to_owned();
        }
        let start: String = word.chars().take(SHOWN).collect();
        let end: String = word.chars().skip(length - SHOWN).collect();
        format!("{start}…{end}")
    };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_before_the_edge_and_words_stay_whole() {
        let text = format!(
            "{}and then {}\n  as it is",
            "one two ".repeat(9),
            "x".repeat(90)
        );
        let lines = wrapped(&text, 4);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[0].len() <= 76 && lines[0].starts_with("one two"));
        assert_eq!(lines[1], "    then");
        assert_eq!(lines[2], format!("    {}", "x".repeat(90)));
        assert_eq!(lines[3], "      as it is");
        let long = without_long_words(&format!("a {}b c", "n".repeat(4000)));
        assert!(long.starts_with("a nn") && long.ends_with("nb c") && columns(&long) == 125);
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["region", "endpoint", "profile"];
        assert_eq!(did_you_mean("regoin", known), " (did you mean 'region'?)");
        assert_eq!(
            did_you_mean("endpont", known),
            " (did you mean 'endpoint'?)"
        );
        assert_eq!(did_you_mean("colour", known), "");
        assert_eq!(did_you_mean("", known), "");
        assert_eq!(did_you_mean("x", ["_", "n"]), "");
    }

    #[test]
    fn sizes_read_well() {
        let shown = [0, 1023, 1024, 1536, 1024 * 1024 - 1, 5 << 30].map(human_size);
        assert_eq!(
            shown,
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "5.0 GiB"]
        );
    }

    #[test]
    fn what_is_not_seen_is_written_out() {
        for (text, shown) in [
            ("a/ü b.yaml", "a/ü b.yaml"),
            ("שלום 日本 👍", "שלום 日本 👍"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2Ja\u{9b}", "\\u{1b}[2Ja\\u{9b}"),
            ("config\u{202e}fdp", "config\\u{202e}fdp"),
            ("con\u{200b}fig\u{feff}", "con\\u{200b}fig\\u{feff}"),
            ("a\u{2028}b\u{e0041}", "a\\u{2028}b\\u{e0041}"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(visible_lines("a\n\n\tb\u{1b}[2J\n"), "a\n\n\tb\\u{1b}[2J\n");
    }
}
