//! Documents, read and written.

use bytes::Bytes;
use http::Response;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::{Outcome, refuse};

pub(super) fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// An answer of one element with this content.
pub(super) fn answer(root: &str, content: &str) -> Response<Bytes> {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}>{content}</{root}>");
    let response = Response::builder().header("content-type", "application/xml");
    response.body(text.into()).expect("a response")
}

/// The innermost elements of a document: their paths, and what stands in them to the byte.
pub(super) fn leaves(body: &[u8]) -> Outcome<Vec<(String, String)>> {
    let wrong = |what: String| refuse(400, "MalformedXML", "0017-00000503", what);
    let Ok(text) = std::str::from_utf8(body) else {
        return wrong("no UTF-8".to_owned());
    };
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let (mut content, mut is_leaf) = (String::new(), false);
    let mut leaves = Vec::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                path.push(element.local_name().as_ref().to_owned());
                content.clear();
                is_leaf = true;
            }
            Ok(Event::End(_)) => {
                if std::mem::take(&mut is_leaf) {
                    leaves.push((path.join("/"), std::mem::take(&mut content)));
                }
                path.pop();
            }
            Ok(Event::Text(text)) => content.push_str(&text.xml10_content()),
            Ok(Event::GeneralRef(name)) => match (name.resolve_char_ref(), &*name) {
                (Ok(Some(c)), _) => content.push(c),
                (_, "lt") => content.push('<'),
                (_, "gt") => content.push('>'),
                (_, "amp") => content.push('&'),
                (_, "quot") => content.push('"'),
                (_, "apos") => content.push('\''),
                (_, other) => return wrong(format!("&{other};")),
            },
            Ok(Event::Decl(_)) => {}
            Ok(Event::Eof) if path.is_empty() => return Ok(leaves),
            Ok(other) => return wrong(format!("{other:?}")),
            Err(error) => return wrong(error.to_string()),
        }
    }
}
