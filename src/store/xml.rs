//! XML as object services speak it.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::de::DeserializeOwned;

/// Reads a document, whose outermost element must have this name: a page of HTML would pass for
/// an empty list of anything.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], root: &str) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(element) | Event::Empty(element) => {
                let name = element.local_name();
                if name.as_ref() == root {
                    return quick_xml::de::from_str(text).map_err(|error| error.to_string());
                }
                return Err(format!(
                    "the answer is a <{}>, not a <{root}>",
                    name.as_ref()
                ));
            }
            Event::Eof => return Err(format!("the answer has no <{root}>")),
            _ => {}
        }
    }
}

/// A text as it stands between tags. A carriage return would be read as a line feed.
pub(super) fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).replace('\r', "&#13;")
}

/// Whether a document can hold the text: <https://www.w3.org/TR/xml/#charsets>.
pub(super) fn is_sayable(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct List {
        name: String,
        entry: Vec<String>,
    }

    #[test]
    fn only_the_document_that_was_asked_for_is_read() {
        let xml = "<?xml version=\"1.0\"?>\n<List xmlns=\"urn:x\"><Name>a&amp;b</Name>\
            <Entry>1</Entry><Entry>2</Entry></List>";
        let list: List = read(xml.as_bytes(), "List").expect("a list");
        assert_eq!(list.name, "a&b");
        assert_eq!(list.entry, ["1", "2"]);
        assert_eq!(read::<List>(b"<List/>", "List"), Ok(List::default()));
        for wrong in [
            &b"<html><body>Sign in</body></html>"[..],
            b"",
            b"\xff",
            b"{}",
        ] {
            assert!(read::<List>(wrong, "List").is_err());
        }
    }

    #[test]
    fn what_xml_has_no_words_for_is_known() {
        assert!(is_sayable("a/b c\u{10ffff}\u{fffd}ü\t"));
        for odd in ["\u{ffff}", "a\u{fffe}", "\u{1}", "\u{1f}b"] {
            assert!(!is_sayable(odd), "{odd:?}");
        }
        assert_eq!(escaped("a<b>&\r\n"), "a&lt;b&gt;&amp;&#13;\n");
    }
}
