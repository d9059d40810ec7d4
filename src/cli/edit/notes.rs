//! What is told to a person inside the text: comment lines at its top, and conflict markers.

use crate::text::visible;

/// How each of our lines begins. None of a manifest does.
const MARK: &str = "# kstate|";

const BOM: &str = "\u{feff}";

/// A line about the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The line and column in the text that it speaks of.
    pub(super) at: Option<(usize, usize)>,
    /// What it says.
    pub(super) text: String,
}

/// The text below our lines. Lines and columns count as the person sees them.
pub(super) fn put(text: &str, title: &str, notes: &[Note]) -> String {
    let (bom, text) = match text.strip_prefix(BOM) {
        Some(text) => (BOM, text),
        None => ("", text),
    };
    let is_crlf = text
        .split_once('\n')
        .is_some_and(|(line, _)| line.ends_with('\r'));
    let end = if is_crlf { "\r\n" } else { "\n" };
    let above = notes.len() + 2;
    let mut shown = bom.to_owned();
    let mut line = |words: &str| {
        shown.extend([MARK, " ", words, end]);
    };
    line(title);
    for Note { at, text } in notes {
        let place = at.map(|(line, column)| format!("line {}, column {column}: ", line + above));
        line(&format!("  {}{}", place.unwrap_or_default(), visible(text)));
    }
    line("Lines that begin like this one are taken out again.");
    shown + text
}

/// The text without our lines, wherever they stand now.
pub(super) fn take(shown: &str) -> String {
    let (bom, text) = match shown.strip_prefix(BOM) {
        Some(text) => (BOM, text),
        None => ("", shown),
    };
    let lines = text.split_inclusive('\n');
    let kept = lines.filter(|line| !line.starts_with(MARK));
    std::iter::once(bom).chain(kept).collect()
}

/// The lines of a text that are conflict markers, counting from 1. A line of `=` alone counts
/// only between the others.
pub(super) fn markers(text: &str) -> Vec<usize> {
    let mut inside = false;
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let is_start = line.starts_with("<<<<<<< ");
        let is_end = line.starts_with(">>>>>>> ");
        if is_start || is_end || inside && line == "=======" {
            found.push(number);
        }
        inside = (inside || is_start) && !is_end;
    }
    found
}

/// The parts of a text between conflict markers, with these.
pub(super) fn hunks(marked: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    marked.lines().filter(move |line| {
        inside |= line.starts_with("<<<<<<< ");
        let shown = inside;
        inside &= !line.starts_with(">>>>>>> ");
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(at: Option<(usize, usize)>, text: &str) -> Note {
        let text = text.to_owned();
        Note { at, text }
    }

    #[test]
    fn lines_count_as_the_person_sees_them() {
        let notes = [note(Some((2, 3)), "wrong"), note(None, "so\nit is")];
        let shown = put("a: 1\nb: x\n", "2 errors.", &notes);
        assert!(shown.contains("line 6, column 3: wrong\n"), "{shown}");
        assert!(shown.contains("so\\nit is"), "{shown}");
        assert_eq!(shown.lines().nth(5), Some("b: x"));
    }

    #[test]
    fn the_text_comes_back_byte_for_byte() {
        for text in [
            "",
            "a: 1",
            "a: 1\r\nb: 2",
            "\u{feff}a: 1\n",
            "\u{feff}",
            "\r\n\n# kstate\n",
        ] {
            let shown = put(text, "1 error.", &[note(None, "wrong")]);
            assert_eq!(take(&shown), text, "{shown:?}");
            assert_eq!(take(text), text);
            assert_eq!(shown.contains("\r\n"), text.contains("\r\n"));
            assert_eq!(shown.starts_with(BOM), text.starts_with(BOM));
        }
        let moved = put("a: 1\n", "1 error.", &[]).replace("a: 1\n", "") + "a: 1\n# kstate| x";
        assert_eq!(take(&format!("b: 2\n{moved}")), "b: 2\na: 1\n");
    }

    #[test]
    fn markers_are_found_and_lines_that_look_like_one_are_not() {
        let marked = "a\n=======\n<<<<<<< yours\nb\n=======\nc\n>>>>>>> in the store\n=======\n";
        assert_eq!(markers(marked), [3, 5, 7]);
        assert_eq!(markers("Title\n=======\n <<<<<<< x\n"), Vec::<usize>::new());
        let hunks: Vec<_> = hunks(marked).collect();
        assert_eq!(hunks.first(), Some(&"<<<<<<< yours"));
        assert_eq!(hunks.len(), 5);
    }
}
